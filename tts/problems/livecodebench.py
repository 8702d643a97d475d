"""LiveCodeBench code generation (arXiv 2403.07974): contest problems with release windows against contamination.

Rows of the data set `livecodebench/code_generation_lite` (its card says licence CC; problems belong to LeetCode,
AtCoder and Codeforces), from a file, a folder of `test*.jsonl` files, or the hub. Nothing of it is shipped here but the
names of the problems in its published errata.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from tts.errors import DataError, counted
from tts.jsonl import user_path
from tts.plugins import FREE
from tts.problems._errata import published, read_errata
from tts.problems._hub import data_file, is_hub_name
from tts.problems._lcb import LCB, LcbRows
from tts.problems._rows import Row, RowFormat
from tts.types import ERRATA, Problem

LOG = logging.getLogger("tts")
HUB = "livecodebench/code_generation_lite"
Release = Literal["v1", "v2", "v3", "v4", "v5", "v6"]

# What each release adds to the one before, and how many problems there are then. Source: LiveCodeBench's README.
RELEASES: Mapping[Release, tuple[str, int]] = {
    "v1": ("test.jsonl", 400),
    "v2": ("test2.jsonl", 511),
    "v3": ("test3.jsonl", 612),
    "v4": ("test4.jsonl", 713),
    "v5": ("test5.jsonl", 880),
    "v6": ("test6.jsonl", 1055),
}


@dataclass(frozen=True)
class LiveCodeBench(LcbRows):
    """Options: `path` is a file of rows, a folder, or a hub data set's name; `release` v1 to v6 picks the folder's or
    the hub's files; `start_date` and `end_date` are ISO days, both ends included; `difficulty`, `platform`, `ids` and
    `limit` (the first so many) narrow further.

    Problems of the published errata have the tag `errata` (multiple_answers, interactive or bad_tests), and a report
    gives both numbers, with and without them. `errata` names a JSONL file of further ones, rows of
    {"question_id", "kind", "note"?}.
    """

    path: str = field(default=HUB, kw_only=True, metadata=FREE)
    release: Release = field(default="v6", kw_only=True, metadata=FREE)
    errata: str = field(default="", kw_only=True, metadata=FREE)

    def row_format(self) -> RowFormat:
        """LiveCodeBench's, with the errata as tags. Raises DataError for an unusable file of them."""
        return RowFormat(self._flagged, LCB.tests)

    def _flagged(self, row: Row, where: str) -> Problem:
        problem = LCB.problem(row, where)
        kind = self._own_errata.get(problem.id) or published(problem)
        return replace(problem, tags={**problem.tags, ERRATA: kind}) if kind else problem

    @cached_property
    def _own_errata(self) -> dict[str, str]:
        return read_errata(user_path(self.errata)) if self.errata else {}

    def problems(self) -> list[Problem]:
        """The wanted problems, in file order. Raises DataError. Warns of a release that is not of its published size,
        and of errata that are of no problem here.
        """
        found = super().problems()
        known = self._rows.known
        size = RELEASES[self.release][1]
        if self._release_files and len(known) != size:
            held = counted(len(known), "problem")
            LOG.warning("%s holds %s; release %s has %d.", self.path, held, self.release, size)
        strange = [name for name in self._own_errata if name not in known]
        if strange:
            LOG.warning("%s: no problem here has the id %s.", self.errata, ", ".join(map(repr, strange)))
        return found

    def files(self) -> list[Path]:
        """The files to read, downloaded if `path` names a hub data set. Raises DataError."""
        return self._release_files or super().files()

    @cached_property
    def _release_files(self) -> list[Path]:
        """The files of the release; none where `path` is a file, or a folder of files with other names."""
        path = user_path(self.path)
        wanted = [name for name, _ in RELEASES.values()][: int(self.release[1:])]
        if path.is_dir() and (path / wanted[0]).exists():
            missing = [name for name in wanted if not (path / name).exists()]
            if missing:
                raise DataError(
                    f"The folder {path} lacks {', '.join(missing)} of release {self.release}. "
                    "Fetch them, or set benchmark.release to what is there."
                )
            return [path / name for name in wanted]
        if path.exists():
            return []
        if is_hub_name(self.path):
            return [data_file(self.path, name) for name in wanted]
        raise DataError(f"No file, folder or hub data set {self.path!r}. Set benchmark.path to a JSONL file of rows.")


plugin = LiveCodeBench

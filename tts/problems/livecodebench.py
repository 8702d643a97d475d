"""LiveCodeBench code generation (arXiv 2403.07974): contest problems with release windows against contamination.

Rows of the data set `livecodebench/code_generation_lite` (its card says licence CC; problems belong to LeetCode,
AtCoder and Codeforces), from a file, a folder of `test*.jsonl` files, or the hub. Nothing of it is shipped here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tts.errors import DataError
from tts.jsonl import user_path
from tts.plugins import FREE
from tts.problems._files import download
from tts.problems._lcb import LcbRows

HUB = "livecodebench/code_generation_lite"
RELEASE_FILES = ("test.jsonl", "test2.jsonl", "test3.jsonl", "test4.jsonl", "test5.jsonl", "test6.jsonl")
Release = Literal["v1", "v2", "v3", "v4", "v5", "v6"]


@dataclass(frozen=True)
class LiveCodeBench(LcbRows):
    """Options: `path` is a JSONL file, a folder, or a hub data set's name; `release` v1 to v6 picks the folder's or the
    hub's files; filters as for `jsonl`.
    """

    path: str = field(default=HUB, kw_only=True, metadata=FREE)
    release: Release = field(default="v6", kw_only=True, metadata=FREE)

    def files(self) -> list[Path]:
        """The JSONL files of the release, downloaded if `path` names a hub data set. Raises DataError."""
        path = user_path(self.path)
        wanted = RELEASE_FILES[: int(self.release[1:])]
        if path.is_dir() and (path / wanted[0]).exists():
            missing = [name for name in wanted if not (path / name).exists()]
            if missing:
                raise DataError(
                    f"The folder {path} lacks {', '.join(missing)} of release {self.release}. "
                    "Fetch them, or set benchmark.release to what is there."
                )
            return [path / name for name in wanted]
        if path.exists():
            return super().files()
        if self.path.count("/") == 1 and not self.path.startswith((".", "~", "/")) and not path.suffix:
            return [download(self.path, name) for name in wanted]
        raise DataError(f"No file, folder or hub data set {self.path!r}. Set benchmark.path to a JSONL file of rows.")


plugin = LiveCodeBench

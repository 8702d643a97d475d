"""Running a test that takes code of the benchmark's own (`Check`): it runs in a cell, the program in another.

The check calls a stand-in, whose arguments come here as a claim of base types, are sent to the program's cell as an
ordinary call, and go back as its claim. So the check sees values and never an object of the program's, and the program
never sees the check. The check is the benchmark's and can be trusted to mean well; it is confined all the same.

Unlike in one process, the arguments that a program changes are its own copies. A check that ends before its first call,
or by a name or a module that is not there, says nothing of a program: it is broken.
"""

from dataclasses import replace

from tts.errors import BrokenCheck, InfraError
from tts.sandbox.cell import Cell
from tts.sandbox.guest.wire import Mode
from tts.sandbox.outcome import Limits, Outcome, Status
from tts.types import Call, Check

CHECK_LIMITS = Limits(cpu_seconds=10.0)  # of the check's own work between two calls
OWN_FAULTS = ("NameError", "ImportError", "ModuleNotFoundError")  # no value of a program's brings these about
STARVED = 10  # times its wall time, for a program that waits in each of its calls; most of it may be others' doing


def run_check(program: Cell, checker: Cell, code: str, check: Check, limits: Limits, keep: bool) -> Outcome:
    """Whether the program passes, as the outcome's output; `limits` are for all of the program's calls together, and
    `keep` has them share a process. Raises as `Cell.run` does, and BrokenCheck if the check itself fails.
    """
    used = _Sum(limits)
    try:
        said = _begin(checker, check)
        while isinstance(said.output, tuple):
            outcome = used.add(
                program.run(code, Call(check.entry_point, said.output, None, strict=check.strict), limits, keep)
            )
            if outcome.status is not Status.OK:
                return outcome
            said = _answer(checker, check, outcome.output)
    finally:
        try:
            checker.drop()
        finally:
            program.drop()
    if said.status is not Status.OK:
        return used.outcome(said.status, None, f"The check of what it returned: {said.detail}")
    if said.output is not None and said.output.partition(":")[0] in OWN_FAULTS:
        raise BrokenCheck(f"the check of {check.entry_point!r} fails by itself: {said.output}")
    return used.outcome(Status.OK, said.output is None, said.output or "")


def _begin(checker: Cell, check: Check) -> Outcome:
    """What the check says first: the arguments that it calls the program with."""
    said = checker.run(check.code, Call("", (), None), CHECK_LIMITS, keep=True, first=Mode.CHECK)
    if not isinstance(said.output, tuple):
        why = said.detail or said.output or "it ends without calling it"
        last = why.strip().rpartition("\n")[2]  # of a traceback, the exception
        raise BrokenCheck(f"the check of {check.entry_point!r} fails by itself: {last}")
    return said


def _answer(checker: Cell, check: Check, value: object) -> Outcome:
    """What the check says next. If it does not get over what the program returned, that is the program's doing."""
    answer = Call("", (value,), None)
    if not checker.holds(check.code, answer):
        raise InfraError(f"A check of {check.entry_point!r} has gone before its end.")
    return checker.run(check.code, answer, CHECK_LIMITS, keep=True)


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
        if outcome.status is Status.OK and self.wall_seconds > STARVED * self.limits.wall_seconds:
            return self.outcome(Status.TIMEOUT, None, f"not done after {self.wall_seconds:.0f} s")
        return replace(self.outcome(outcome.status, outcome.output, outcome.detail), stderr=outcome.stderr)

    def outcome(self, status: Status, output: object, detail: str) -> Outcome:
        """An outcome with what was used."""
        return Outcome(status, output, self.seconds, detail, "", self.wall_seconds, self.peak_bytes, self.reused)

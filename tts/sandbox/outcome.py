"""What a test may use and what came of it: plain data, shared by the host side and its callers. Runs nothing."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from tts.types import Test

Isolation = Literal["program", "test"]  # a process for each program, or for each of its tests
AskedLevel = Literal["auto", "A", "B", "C", "D"]  # of confinement; auto is the best that holds


class Status(StrEnum):
    """How a program's run on one test ended; whether its answer is right is `compare.matches`'s to say."""

    OK = "ok"
    RUNTIME_ERROR = "runtime_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT_LIMIT = "output_limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one test may use; every test gets the whole of it.

    `cpu_seconds` is processor time of all the program's processes together, so a busy machine changes no verdict. A
    test that has `seconds` of its own gets those, unless the limits are `firm`. `memory_mib` is resident memory.
    `output_mib` bounds each printed stream, the returned value and every file.
    """

    cpu_seconds: float = 6.0
    memory_mib: int = 2048
    output_mib: int = 16
    firm: bool = False

    @classmethod
    def given(cls, seconds: float | None, memory_mib: int, output_mib: int) -> "Limits":
        """Those that a user asks for; without seconds, what tests have of their own, else the usual ones."""
        return cls(cls().cpu_seconds if seconds is None else seconds, memory_mib, output_mib, seconds is not None)

    def of(self, test: Test) -> "Limits":
        """What this test may use."""
        return self if self.firm or test.seconds is None else replace(self, cpu_seconds=test.seconds)

    @property
    def wall_seconds(self) -> float:
        """The backstop for a program that waits instead of computing."""
        return max(3 * self.cpu_seconds, self.cpu_seconds + 5)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one program did on one test.

    `output` is the text printed on a `Stdin` test and the returned value, in the form `wire.parse` gives, on a `Call`;
    None unless `status` is ok. `seconds` is processor time, `peak_bytes` the most resident memory that one of its
    processes had. `reused` says that the process had run an earlier test of the same program. `detail` says why it
    failed and ends with `stderr`, the last of what was written there.
    """

    status: Status
    output: Any
    seconds: float
    detail: str = ""
    stderr: str = ""
    wall_seconds: float = 0.0
    peak_bytes: int = 0
    reused: bool = False

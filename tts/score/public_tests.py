"""The share of a problem's public tests that a program passes, by running them in the sandbox.

The one scorer that executes: what it costs is grading, not inference. Hidden tests are out of its reach.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tts.errors import ConfigError, InfraError
from tts.plugins import FREE
from tts.sandbox import Job, Limits, Outcome, find_confinement, matches, run_programs
from tts.types import Candidate, Problem, Score, Test


@dataclass(frozen=True)
class PublicTests:
    """Options: limits of each test (`timeout` in CPU seconds, by default what the benchmark's own grader allows, else
    6) and `workers`, by default one per usable core.
    """

    timeout: float | None = None
    memory_mib: int = 2048
    output_mib: int = 16
    workers: int | None = field(default=None, metadata=FREE)
    level: str = field(default="auto", metadata=FREE)

    def __post_init__(self) -> None:
        seconds = self._limits.cpu_seconds
        if not (0 < seconds <= 86_400 and 32 <= self.memory_mib <= 2**24 and 1 <= self.output_mib <= 2**20):
            raise ConfigError(
                "public_tests takes a timeout above 0 and up to 86400 CPU seconds, memory_mib from 32 to 2**24 and "
                f"output_mib from 1 to 2**20; got {seconds}, {self.memory_mib} and {self.output_mib}."
            )
        if self.workers is not None and self.workers < 1:
            raise ConfigError(
                f"public_tests' workers must be at least 1, got {self.workers}. Leave it out for all cores."
            )

    @property
    def _limits(self) -> Limits:
        return Limits.given(self.timeout, self.memory_mib, self.output_mib)

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Fractions from 0 to 1; None without code or public tests; nothing for what our own machinery failed on."""
        jobs: dict[tuple[str, str], Job[tuple[str, str]]] = {}
        waiting: dict[tuple[str, str], list[Candidate]] = {}
        for problem, candidate in pairs:
            if candidate.code is None or not problem.public_tests:
                yield Score(*candidate.key, None, "no code" if candidate.code is None else "no public tests")
                continue
            key = problem.id, candidate.code
            jobs[key] = Job(key, candidate.code, problem.public_tests)
            waiting.setdefault(key, []).append(candidate)
        for key, passed in run_programs(
            jobs.values(), _judge, self._limits, self.workers, "program", find_confinement(self.level)
        ):
            if not isinstance(passed, InfraError):
                yield from (Score(*candidate.key, sum(passed) / len(passed)) for candidate in waiting[key])


def _judge(test: Test, outcome: Outcome) -> tuple[bool, bool]:
    return matches(test, outcome), True


plugin = PublicTests

"""`BestOfN`: best-of-N as one Python object around any generator, scorer and selector. Stores and grades nothing."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self, SupportsIndex, cast

from tts import planning, plugins
from tts.config import memory_config
from tts.engine import OneAwake, expected, scored
from tts.errors import ConfigError, InfraError, unknown
from tts.grade import GradeJob, Grader, Undecided
from tts.pipeline import with_code
from tts.prompts import EXTRACTORS
from tts.protocols import Generator, Scorer, Selector
from tts.sandbox import Limits
from tts.types import Behaviour, Candidate, Message, Pool, Problem, Score, Selection, Test, program_hash

GenerateFunction = Callable[[str, int], Sequence[str]]
ScoreFunction = Callable[[str, str], float | None]
SelectFunction = Callable[[Pool], int | None]
Named = str | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was chosen. `code` and `text` are None where the selector abstained or nothing held a program; `margin` is
    how far the chosen score lies above the best of the other candidates (negative if another scored higher), None
    without two scores. `candidates` and `scores` are parallel, all n of them.
    """

    code: str | None
    text: str | None
    score: float | None
    margin: float | None
    why: str
    candidates: tuple[Candidate, ...] = field(repr=False)
    scores: tuple[Score, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Sampler:
    """A plain function (prompt, n) -> n texts, as a generator."""

    function: GenerateFunction

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """Calls the function once per problem."""
        counts: dict[str, list[int]] = {}
        problems = {problem.id: problem for problem, _ in wanted}
        for problem, index in wanted:
            counts.setdefault(problem.id, []).append(index)
        for name, indices in counts.items():
            texts = self.function(problems[name].statement, len(indices))
            if not _is_texts(texts, len(indices)):
                raise ConfigError(
                    f"The generator function must return {len(indices)} strings for n = {len(indices)}, got "
                    f"{repr(texts)[:80]}."
                )
            yield from (Candidate(name, index, text) for index, text in zip(indices, texts, strict=True))


@dataclass(frozen=True, slots=True)
class _Rater:
    """A plain function (question, code) -> number, as a scorer."""

    function: ScoreFunction

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Calls the function for each candidate that has code."""
        for problem, candidate in pairs:
            if candidate.code is None:
                yield Score(*candidate.key, None, "no code")
            else:
                yield Score(*candidate.key, self._number(self.function(problem.statement, candidate.code)))

    def _number(self, value: object) -> float | None:
        """A float from whatever is one, NumPy's and PyTorch's scalars too."""
        try:
            return None if value is None else float(cast(float, value))
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"The scorer function must return a number or None, got {repr(value)[:80]}.") from error


@dataclass(frozen=True, slots=True)
class _Chooser:
    """A plain function pool -> position or None, as a selector."""

    function: SelectFunction

    def select(self, pool: Pool) -> Selection:
        """Calls the function. Raises ConfigError for a position outside the pool."""
        position = self.function(pool)
        if position is None:
            return Selection(None, "a function abstained")
        if not isinstance(position, SupportsIndex) or not 0 <= operator.index(position) < len(pool):
            raise ConfigError(f"The select function returned {position!r}; allowed are 0 to {len(pool) - 1} and None.")
        return Selection(operator.index(position), "chosen by a function")


def _is_texts(value: object, count: int) -> bool:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return len(value) == count and all(isinstance(text, str) for text in value)


class BestOfN:
    """Sample n programs for a task, score them, choose one.

    `generator`, `scorer` and `select` are each a plug-in's name, a mapping of its name and options, a plug-in object,
    or a plain function: generator(prompt, n) -> n texts, scorer(question, code) -> number, select(pool) -> position or
    None. `extraction` is the rule that takes code from a text, `seed` decides every draw.

    Models that are given by name share this machine's device under a memory plan, as in a run; `memory` has the options
    of a config's `memory`. Raises PlanError, with ways out, if they do not fit. It is a context manager: leaving, or
    `close`, ends their processes; objects that were given are the caller's to end.
    """

    def __init__(
        self,
        generator: Named | Generator | GenerateFunction = "transformers",
        scorer: Named | Scorer | ScoreFunction = "likelihood",
        n: int = 16,
        select: Named | Selector | SelectFunction = "argmax",
        *,
        extraction: str = "cascade",
        seed: int = 0,
        memory: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(n, int) or isinstance(n, bool) or n < 1:
            raise ConfigError(f"n must be a whole number, at least 1, got {n!r}.")
        if extraction not in EXTRACTORS:
            raise ConfigError(unknown(extraction, "the extraction rules", EXTRACTORS))
        self.n, self.extraction = n, extraction
        self.selector = cast(Selector, _resolve("selector", select, "select", _Chooser, seed))
        models = planning.Models(
            _spec("generator", generator),
            {"scorer": (spec, "scorer")} if (spec := _spec("scorer", scorer)) else {},
            memory_config({} if memory is None else memory),
        )
        mode, drawer, raters = planning.planned(
            models,
            _resolve("generator", generator, "generate", _Sampler, seed),
            {"scorer": _resolve("scorer", scorer, "score", _Rater, seed)},
        )
        self.generator, self.scorer = cast(Generator, drawer), cast(Scorer, raters["scorer"])
        both = (self.generator, generator), (self.scorer, scorer)
        self._ours = [part for part, given in both if isinstance(given, str | Mapping)]
        self._mode = mode
        self._device = OneAwake(mode)
        self._checked = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the models' processes and give their memory back; they load anew when used again."""
        for part in self._ours:
            if hasattr(part, "close"):
                part.close()
        self._device = OneAwake(self._mode)

    def _turn(self, part: object) -> None:
        """The device is this part's now."""
        if any(part is one for one in self._ours):
            self._device.rouse(part)

    def generate(self, task: str, public_tests: Sequence[Test] = ()) -> Answer:
        """The best of n for one task, given as plain text.

        `public_tests` are what majority votes and the public_tests scorer run programs on; without any, programs of the
        same text vote together.
        """
        if not isinstance(task, str):
            raise ConfigError(f"The task must be text, got {task!r}.")
        problem = Problem(
            id="task", statement=task, messages=(Message("user", task),), public_tests=tuple(public_tests)
        )
        wanted = [(problem, index) for index in range(self.n)]
        if not self._checked and hasattr(self.scorer, "check"):
            self.scorer.check()  # what cannot be scored need not be sampled
        self._checked = True
        self._turn(self.generator)
        keys = [(problem.id, index) for index in range(self.n)]
        drawn = expected("generator", keys, partial(self.generator.generate, wanted))
        candidates = sorted((with_code(c, self.extraction) for c in drawn), key=lambda c: c.index)
        return self.rank(problem, candidates)

    def _behaviours(self, problem: Problem, candidates: Sequence[Candidate]) -> tuple[Behaviour | None, ...]:
        if "behaviours" not in getattr(self.selector, "needs", ()) or not problem.public_tests:
            return ()
        return _observe(problem, candidates)

    def rank(self, problem: Problem, candidates: Sequence[Candidate]) -> Answer:
        """The best of candidates that exist already, their code extracted."""
        pairs = [(problem, c) for c in candidates]
        self._turn(self.scorer)
        found = {score.key: score for score in scored("scorer", self.scorer, pairs)}
        scores = tuple(found[c.key] for c in candidates)
        behaviours = self._behaviours(problem, candidates)
        pool = Pool(problem, tuple(candidates), scores, behaviours, {"scorer": scores})
        chosen = self.selector.select(pool)
        if chosen.position is not None and not 0 <= chosen.position < len(candidates):
            raise ConfigError(f"The selector chose {chosen.position}; allowed are 0 to {len(candidates) - 1} and None.")
        if chosen.position is None:
            return Answer(None, None, None, None, chosen.why, tuple(candidates), scores)
        if all(c.code is None for c in candidates):
            return Answer(None, None, None, None, "no candidate holds a program", tuple(candidates), scores)
        winner, score = candidates[chosen.position], scores[chosen.position].value
        others = [s.value for i, s in enumerate(scores) if i != chosen.position and s.value is not None]
        margin = score - max(others) if score is not None and others else None
        return Answer(winner.code, winner.text, score, margin, chosen.why, tuple(candidates), scores)


def _observe(problem: Problem, candidates: Sequence[Candidate]) -> tuple[Behaviour | None, ...]:
    """What the candidates do on the problem's public inputs, in the sandbox with its default limits."""
    public = problem.public_tests
    jobs = [GradeJob(problem.id, c.code, public, len(public)) for c in candidates]
    found = {program: behaviour for _, program, behaviour in Grader(Limits()).behaviours(jobs)}
    failed = [b for b in found.values() if isinstance(b, Undecided)]
    if failed:
        raise InfraError(f"{len(failed)} programs could not be run on the public inputs: {failed[0].why}")
    seen = {program: b for program, b in found.items() if isinstance(b, Behaviour)}
    return tuple(None if c.code is None else seen[program_hash(c.code)] for c in candidates)


def _spec(family: str, given: object) -> plugins.Spec | None:
    """What was asked for by name."""
    return plugins.Spec.parse(family, given) if isinstance(given, str | Mapping) else None


def _resolve(family: str, given: object, method: str, wrap: Callable[[Any], object], seed: int) -> object:
    if isinstance(given, str | Mapping):
        return plugins.build(family, given, seed=seed)
    if hasattr(given, method) and not isinstance(given, type):
        return given
    if callable(given) and not isinstance(given, type):
        return wrap(given)
    raise ConfigError(
        f"A {family} is a plug-in's name, a mapping, an object with .{method}() or a function; got {given!r}."
    )

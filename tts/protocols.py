"""The verbs: what a benchmark, a generator, a scorer, a selector, a policy must do. Protocols, so nothing is inherited.

A generator or scorer that holds a model may also have `start` (a generator's gets what is wanted first), `sleep` and
`wake` (its memory on the device goes and comes back), `close` (all of it goes; it loads anew when used) and `notes`
(what a reader of the run should know). A scorer's `borrow` gets the generator where both stay loaded, which may `lend`
its weights. One with `close` gets its turn where models do not share the device.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tts.types import Candidate, Decision, Key, Pool, Problem, Score, Selection, Test

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@runtime_checkable
class Benchmark(Protocol):
    """Where problems come from."""

    def problems(self) -> Iterable[Problem]:
        """The problems in their order, after the benchmark's own filters. Raises DataError for an unusable file."""

    def tests(self, problem_id: str) -> Sequence[Test]:
        """All tests that decide on a problem's programs, first those that are public, which need not be all of
        `public_tests`, then the hidden ones; read lazily, never shown to a model.

        Raises DataError if they cannot be decoded.
        """


@runtime_checkable
class Generator(Protocol):
    """Turns problems into candidates."""

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """One candidate for each wanted (problem, index), in any order, each yielded when it is finished.

        `wanted` is flat so that an engine sees one big batch, resuming is set subtraction, and a larger n asks only
        for the new indices. Candidates come without code: extraction is the pipeline's.
        """


@runtime_checkable
class Scorer(Protocol):
    """Turns candidates into numbers; higher is better, comparable within one problem only.

    A scorer may also have `check()`, which is called before any model loads and raises UserError where scoring cannot
    work.
    """

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """One score for each pair, in any order, each yielded when it is known. A value of None says why."""


@runtime_checkable
class Selector(Protocol):
    """Chooses one candidate of a pool, or abstains.

    How good it is at k of n is estimated by the first of these that it has, and the report says which: `rank_key`
    (`Ranked`), `chances` (`Chance`), `best` (`Batched`), or `select` on one drawn subset after the other. One with
    `needs = ("behaviours",)` makes the pipeline run the candidates on the public inputs first, `needs =
    ("written_tests",)` on tests that a model wrote; `ignores_scores = True` says that scores change nothing,
    `every_scorer = True` that it looks at all scorers at once (`own_scorer = True`: and at the pool's own scores apart
    from theirs), `drawn = True` that `select` throws dice, `weighs = NAME` that it weighs by itself what that scorer
    measures, so that a report shows it not with that one but with the others.
    """

    def select(self, pool: Pool) -> Selection:
        """The choice among `pool` (never empty); of candidates that are equal to it, the one of the lowest index. Must
        not depend on the order of the pool otherwise.
        """


@runtime_checkable
class Ranked(Selector, Protocol):
    """A selector that chooses the greatest key, whoever else was sampled; equal keys are averaged."""

    def rank_key(self, pool: Pool) -> Sequence[tuple[float, ...]] | Floats | None:
        """One tuple per candidate, all of one length, or an array (n, width); -inf for what is missing. None if its
        options are such that the order depends on who else was sampled.
        """


@runtime_checkable
class Chance(Selector, Protocol):
    """A selector of which it can be computed how likely each candidate is answered with."""

    def chances(self, pool: Pool, ks: Sequence[int]) -> Floats | None:
        """(n, K): the chance that each candidate is what is selected from k drawn without replacement, equal ones
        sharing theirs evenly, averaged over its dice where it throws any. None where that would cost more than it is
        worth.
        """


@runtime_checkable
class Batched(Selector, Protocol):
    """A selector that chooses from many subsets of a pool at once."""

    def best(self, pool: Pool, members: Bools) -> Bools:
        """(D, n): those that `select` would choose from if only the `members` (D, n) of each row had been sampled: it
        holds them for equal, and takes the one sampled first; an estimate takes each as often. None of a row where it
        abstains, or which is empty.
        """


@runtime_checkable
class Drawing(Selector, Protocol):
    """A selector that may throw dice and knows their odds, so that what it is worth is no single throw's luck."""

    def odds(self, pool: Pool, members: Bools) -> Floats | None:
        """(D, n): the chance that each candidate is selected if only the `members` (D, n) of a row had been sampled. A
        row adds up to 1, or to 0 where it is empty or the selector abstains. None if the odds are not known.
        """


@runtime_checkable
class Settling(Selector, Protocol):
    """A selector that may know its choice before all candidates are there."""

    def settled(self, pool: Pool, coming: Collection[int]) -> bool:
        """Whether `select` chooses the same candidate of `pool`, which is never empty and is observed as far as the
        selector needs it, whatever turns out of those that may still come, whose indices are `coming`.
        """


@runtime_checkable
class Policy(Protocol):
    """Decides when a problem has candidates enough: a pure function of what was sampled so far.

    It may have `needs = ("behaviours",)`, as a selector; and `knob = (name of an option, values)`, what `tts replay`
    varies to draw its curve; `blind = True` if it looks at no candidate, only at how many there may be; and, if it
    answers itself, `chooses_as`, the name of the selector that chooses alike. It never sees grades.
    """

    def decide(self, pool: Pool, n_max: int) -> Decision:
        """Whether to go on. `pool` has what was sampled so far, in the order of sampling, each scored and observed as
        far as that can be; it may be empty. At most `n_max` candidates are ever sampled, and `wanted` is no more.

        `wanted` says how many are certain to be needed: asked at any number between, the answer would not be to stop.
        So candidates up to `wanted` can be sampled at once, whatever comes.
        """


@runtime_checkable
class Allocator(Policy, Protocol):
    """A policy that weighs the problems of a run against each other."""

    def allot(self, pools: Sequence[Pool], n_max: Sequence[int]) -> list[Decision]:
        """One decision for each problem, from all problems' pools; `n_max` is the most for each."""


@runtime_checkable
class Stepped(Protocol):
    """A generator that takes and drops work while it runs; any other is run batch by batch.

    It may have `nudge()`, called from another thread when there is more to add or to drop: a step that only waits for
    the model ends at once.
    """

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Ask for candidates."""

    def step(self) -> list[Candidate]:
        """Run the model once; the candidates that finished, if any."""

    def abort(self, keys: Collection[Key]) -> Mapping[Key, int] | None:
        """Drop candidates, waiting or running, and free what they hold. Returns how many tokens each of them had by
        then, leaving out those of which it is not known; None if it is known of none.
        """

    @property
    def unfinished(self) -> int:
        """How many candidates are waiting or running."""

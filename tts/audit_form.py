"""Is a reward model fed and computed as it should be? The golden pair, the template, and what dtype and batches change.

A scorer without a reward model has none of these, and the reason is said. Everything here is computed anew, on a small
sample: a stored score cannot show what its computation depends on.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tts import selftest
from tts.engine import scored
from tts.errors import ModelError
from tts.pipeline import Progress
from tts.scoring import Pair
from tts.types import Candidate, Problem

SAMPLE = 24  # pairs, each scored a handful of times
ASKED = ("self-test", "template", "dtype", "batches")  # of a reward model


@dataclass(frozen=True, slots=True)
class SelfTest:
    """The golden pair: where its programs are from, and name, published score (None if none is) and ours of each."""

    source: str
    passed: bool
    tolerance: float | None
    lines: tuple[tuple[str, float | None, float], ...]


@dataclass(frozen=True, slots=True)
class Effect:
    """How far scores move when something that should not matter is changed; `passed` if none moves beyond the
    `tolerance`. `spread` is the standard deviation of the scores themselves, beside which a move is large or small.
    """

    what: str
    pairs: int
    largest: float
    mean: float
    spread: float
    tolerance: float
    passed: bool


@dataclass(frozen=True, slots=True)
class Form:
    """What was found; `not_applicable` holds what could not be asked, each with the reason."""

    self_test: SelfTest | None
    template: str
    effects: tuple[Effect, ...]
    not_applicable: dict[str, str]


def sample(pairs: Sequence[Pair]) -> list[Pair]:
    """A few pairs that have code: the first of each problem, then the second ones."""
    turn: dict[str, int] = {}
    ordered: list[tuple[int, int, Pair]] = []
    for problem, candidate in pairs:
        if candidate.code is not None:
            turn[problem.id] = turn.get(problem.id, 0) + 1
            ordered.append((turn[problem.id], len(ordered), (problem, candidate)))
    return [pair for _, _, pair in sorted(ordered, key=lambda one: one[:2])[:SAMPLE]]


def own_pairs() -> list[Pair]:
    """The self-test's own pair, where there is nothing else to look at."""
    problem = Problem("self-test", selftest.OWN.question, ())
    codes = selftest.OWN.programs.values()
    return [(problem, Candidate(problem.id, i, code, code, "given")) for i, code in enumerate(codes)]


def form(label: str, scorer: Any, pairs: Sequence[Pair], with_dtype: bool, progress: Progress) -> Form:
    """All of it for one scorer on a sample of pairs; the scorer is closed at the end if another dtype was tried."""
    if not isinstance(getattr(scorer, "card", None), str):
        reason = f"{type(scorer).__name__} is no reward model: it has no card, no template and no dtype"
        return Form(None, "", (), dict.fromkeys(ASKED, reason))
    missing: dict[str, str] = {}
    golden = _self_test(scorer, missing)
    template = _template(scorer, pairs, missing)
    progress.stage(f"batches {label}", 3, 0)
    before = _values(scorer, pairs, lambda: progress.advance(f"batches {label}"))
    effects = _order_effects(scorer, pairs, before, lambda: progress.advance(f"batches {label}"))
    if with_dtype:
        effects += _dtype_effect(scorer, pairs, before, missing)
    else:
        missing["dtype"] = "it was left out on request"
    if not before:
        missing["batches"] = "no pair of the sample got a score"
    return Form(golden, template, tuple(effects), missing)


def _self_test(scorer: Any, missing: dict[str, str]) -> SelfTest | None:
    try:
        found = selftest.run(scorer)
    except ModelError as error:  # a program without a score
        missing["self-test"] = str(error)
        return None
    lines = tuple((line.name, line.published, line.scored) for line in found.lines)
    return SelfTest(found.source, found.passed, found.tolerance, lines)


def _template(scorer: Any, pairs: Sequence[Pair], missing: dict[str, str]) -> str:
    rendered: Callable[[str, str], str] | None = getattr(scorer, "rendered", None)
    problem, candidate = pairs[0]
    text = rendered(problem.statement, candidate.code or "") if rendered else ""
    if not text:
        missing["template"] = "the server renders pairs itself; set tokenizer to the reward model's folder to see it"
    return text


Values = dict[tuple[str, int], float]


def _values(scorer: Any, pairs: Sequence[Pair], done: Callable[[], None] = lambda: None) -> Values:
    """The scores of those pairs that get one."""
    found = {score.key: score.value for score in scored("scorer", scorer, pairs) if score.value is not None}
    done()
    return found


def _order_effects(scorer: Any, pairs: Sequence[Pair], before: Values, done: Callable[[], None]) -> list[Effect]:
    """The same pairs the other way round, and each in a batch of its own."""
    tolerance = _tolerance(scorer)
    turned = _values(scorer, pairs[::-1], done)
    alone: Values = {}
    for pair in pairs:
        alone |= _values(scorer, [pair])
    done()
    found = [("the same pairs in reverse order", turned), ("each pair in a batch of its own", alone)]
    return [_effect(what, before, values, tolerance) for what, values in found if before]


def _dtype_effect(scorer: Any, pairs: Sequence[Pair], before: Values, missing: dict[str, str]) -> list[Effect]:
    """The same pairs in float32, or in bfloat16 if it is float32 that they are computed in."""
    computed: str | None = getattr(scorer, "computed_in", None)
    if computed is None or not hasattr(scorer, "dtype"):
        missing["dtype"] = "it is the server's; start one with --dtype float32 and audit that"
        return []
    tolerance = _tolerance(scorer)
    other = "float32" if computed != "float32" else "bfloat16"
    scorer.close()  # two copies need not fit
    twin = dataclasses.replace(scorer, dtype=other)
    try:
        after = _values(twin, pairs)
    finally:
        twin.close()
    allowed = max(tolerance, selftest.TOLERANCE[other])
    return [_effect(f"{other} instead of {computed}", before, after, allowed)] if before else []


def _tolerance(scorer: Any) -> float:
    """What a score may move by for its dtype; a server's is unknown, so the widest."""
    return selftest.TOLERANCE.get(getattr(scorer, "computed_in", ""), max(selftest.TOLERANCE.values()))


def _effect(what: str, before: Values, after: Values, tolerance: float) -> Effect:
    moved = np.array([abs(after[key] - value) for key, value in before.items() if key in after])
    largest = float(moved.max(initial=0.0))
    return Effect(
        what=what,
        pairs=len(moved),
        largest=largest,
        mean=float(moved.mean()) if len(moved) else np.nan,
        spread=float(np.std(list(before.values()))),
        tolerance=tolerance,
        passed=largest <= tolerance and len(moved) == len(before),
    )

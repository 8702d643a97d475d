"""Policies at work: how far each problem goes under one, over candidates that are stored or as they come.

A policy is asked at numbers of candidates that follow from its own answers, and always about the first so many in their
order, never about those that happen to be there. So nothing depends on which candidate finished sooner, short ones
usually do, and a run decides alike whether it runs through, is killed and continued, or is replayed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np

from tts.protocols import Allocator, Policy, Selector
from tts.select import asked, odds
from tts.types import Behaviour, Candidate, Decision, Key, Pool, Problem, Score, program_hash


class Walk:
    """Where problems stand under a policy; `n_max` is the most that each may have.

    `at` says about how many candidates each is asked about next, or was last; `at_most` how many are worth having by
    then; `decisions` has those that stopped.
    """

    def __init__(self, policy: Policy, n_max: Sequence[int]) -> None:
        self.policy, self.n_max = policy, list(n_max)
        self.at = [0] * len(self.n_max)
        self.at_most = list(n_max)
        self.decisions: list[Decision | None] = [None] * len(self.n_max)

    def advance(self, pools: Mapping[int, Pool]) -> None:
        """Ask as far as the candidates reach; `pools` has the first ones of each problem, by its number. Of a policy
        that weighs problems against each other, it must have all problems.
        """
        if isinstance(self.policy, Allocator):
            self._together(self.policy, pools)
            return
        for number, pool in pools.items():
            while self.decisions[number] is None and len(pool) >= self.at[number]:
                self._note(number, self.policy.decide(pool.take(range(self.at[number])), self.n_max[number]))

    def _together(self, policy: Allocator, pools: Mapping[int, Pool]) -> None:
        while None in self.decisions and all(len(pools[i]) >= at for i, at in enumerate(self.at)):
            asked = policy.allot([pools[i].take(range(at)) for i, at in enumerate(self.at)], self.n_max)
            for number, decision in enumerate(asked):
                if self.decisions[number] is None:
                    self._note(number, decision)

    def shrink(self, number: int) -> None:
        """A problem may have one candidate fewer."""
        self.n_max[number] -= 1
        self.at[number] = min(self.at[number], self.n_max[number])

    def _note(self, number: int, decision: Decision) -> None:
        wanted = max(1, min(decision.wanted, self.n_max[number]))
        if wanted <= self.at[number]:
            self.decisions[number] = replace(decision, wanted=wanted, at_most=None)
        else:
            self.at[number] = wanted
            self.at_most[number] = self.n_max[number] if decision.at_most is None else max(wanted, decision.at_most)


def settle(policy: Policy, pools: Sequence[Pool], n_max: Sequence[int]) -> list[Decision | None]:
    """Each problem's decision, whose pool is in the order of sampling; None where its candidates do not reach."""
    walk = Walk(policy, n_max)
    walk.advance(dict(enumerate(pools)))
    return walk.decisions


def worth(decision: Decision, selector: Selector, pool: Pool, correct: Sequence[float]) -> float:
    """How right the answer is under a decision: the policy's own, or what the selector chooses among the candidates
    that were decided on. Equals and dice are averaged, as in every estimate; a selector that can only be asked is
    asked once.
    """
    if decision.answer is not None:
        return correct[decision.answer]
    kept = pool.take(range(decision.wanted))
    known = odds(selector, kept, np.ones((1, len(kept)), dtype=np.bool_))
    if known is not None:
        return float(known[0] @ np.array(correct[: decision.wanted]))
    chosen = asked(selector, kept, range(len(kept)))
    return 0.0 if chosen < 0 else correct[chosen]


@dataclass(slots=True)
class _Sampled:
    """A problem on its way: `indices` are of all candidates that it may get, in their order; the first `asked` of them
    were asked for, the first `complete` are there with all that the policy looks at.
    """

    number: int
    problem: Problem
    indices: list[int]
    asked: int = 0
    complete: int = 0

    def keys(self, start: int, end: int | None = None) -> list[Key]:
        return [(self.problem.id, index) for index in self.indices[start:end]]


@dataclass(frozen=True, slots=True)
class Step:
    """What to ask for and what to drop."""

    ask: list[tuple[Problem, int]]
    cancel: set[Key]


class Live:
    """A run under a policy: what comes is told to it, and it says what to ask for next and what to drop.

    `ahead` candidates of a problem may be under way beyond those that it is certain to need, fewer where the policy
    knows that more would be waste. Dropped is what was asked for and is not drawn yet, once its problem has stopped at
    fewer: nothing that it could bring is looked at any more.
    """

    def __init__(self, policy: Policy, wanted: Sequence[tuple[Problem, int]], ahead: int, scored: bool) -> None:
        self._needs_scores, self._ahead = scored, ahead
        self._observes = "behaviours" in getattr(policy, "needs", ())
        self._problems: dict[str, _Sampled] = {}
        for problem, index in wanted:
            found = self._problems.setdefault(problem.id, _Sampled(len(self._problems), problem, []))
            found.indices.append(index)
        self.walk = Walk(policy, [len(one.indices) for one in self._problems.values()])
        self._candidates: dict[Key, Candidate] = {}
        self._scores: dict[Key, Score] = {}
        self._behaviours: dict[tuple[str, str], Behaviour] = {}
        self._unknowable: set[tuple[str, str]] = set()
        self._touched = set(self._problems)

    def drawn(self, candidate: Candidate) -> None:
        """A candidate is there, its program extracted."""
        self._candidates[candidate.key] = candidate
        self._touched.add(candidate.problem_id)

    def rated(self, score: Score) -> None:
        """The score that the policy looks at is there."""
        self._scores[score.key] = score
        self._touched.add(score.problem_id)

    def lost(self, key: Key) -> None:
        """A candidate that was asked for will not come: its problem's others are asked for in its stead."""
        one = self._problems[key[0]]
        place = one.indices.index(key[1])
        del one.indices[place]
        one.asked -= place < one.asked
        self.walk.shrink(one.number)
        self._touched.add(key[0])

    def observed(self, behaviours: Mapping[tuple[str, str], Behaviour]) -> None:
        """What programs do is known, by problem and program."""
        self._behaviours |= behaviours
        self._touched |= {problem_id for problem_id, _ in behaviours}

    def unknowable(self, programs: Iterable[tuple[str, str]]) -> None:
        """What these programs do cannot be found out now; their problems wait for another session."""
        self._unknowable |= set(programs)

    def unobserved(self) -> list[tuple[Problem, Candidate]]:
        """What the policy waits for: programs that are there and that nobody has run on the public inputs yet."""
        if not self._observes:
            return []
        return [
            (one.problem, self._candidates[key])
            for one in self._problems.values()
            if self.walk.decisions[one.number] is None
            for key in one.keys(one.complete, self.walk.at[one.number])
            if key in self._candidates and self._awaited(self._candidates[key])
        ]

    def _awaited(self, candidate: Candidate) -> bool:
        return not self._seen(candidate) and _program(candidate) not in self._unknowable

    def _seen(self, candidate: Candidate) -> bool:
        return candidate.code is None or _program(candidate) in self._behaviours

    def step(self) -> Step:
        """Ask the policy as far as it goes, and say what follows."""
        touched = [self._problems[name] for name in self._problems if name in self._touched]
        self._touched = set()
        for one in touched:
            one.complete += sum(1 for _ in takewhile(self._whole, one.keys(one.complete)))
        concerned = list(self._problems.values()) if isinstance(self.walk.policy, Allocator) else touched
        ready = [one for one in concerned if one.complete >= self.walk.at[one.number]]
        if ready and (len(ready) == len(concerned) or not isinstance(self.walk.policy, Allocator)):
            self.walk.advance({one.number: self._pool(one) for one in ready})
        asked = [pair for one in concerned for pair in self._ask(one)]
        return Step(asked, {key for one in ready for key in self._cancel(one)})

    def _whole(self, key: Key) -> bool:
        candidate = self._candidates.get(key)
        if candidate is None or (self._needs_scores and key not in self._scores):
            return False
        return not self._observes or self._seen(candidate)

    def _pool(self, one: _Sampled) -> Pool:
        keys = one.keys(0, one.complete)
        found = tuple(self._candidates[key] for key in keys)
        return Pool(
            one.problem,
            found,
            tuple(self._scores.get(key) or Score(*key, None, "no scorer") for key in keys),
            tuple(self._behaviour(c) for c in found) if self._observes else (),
        )

    def _behaviour(self, candidate: Candidate) -> Behaviour | None:
        return None if candidate.code is None else self._behaviours[_program(candidate)]

    def _ask(self, one: _Sampled) -> list[tuple[Problem, int]]:
        if self.walk.decisions[one.number] is not None:
            return []
        most = min(len(one.indices), self.walk.at_most[one.number], self.walk.at[one.number] + self._ahead)
        start, one.asked = one.asked, max(one.asked, most)
        return [(one.problem, i) for i in one.indices[start : one.asked] if (one.problem.id, i) not in self._candidates]

    def _cancel(self, one: _Sampled) -> list[Key]:
        decision = self.walk.decisions[one.number]
        if decision is None:
            return []
        beyond = one.keys(decision.wanted, one.asked)
        one.asked = min(one.asked, decision.wanted)
        return [key for key in beyond if key not in self._candidates]

    @property
    def decisions(self) -> dict[str, Decision]:
        """What was decided, by problem, of those that have stopped."""
        found = ((name, self.walk.decisions[one.number]) for name, one in self._problems.items())
        return {name: decision for name, decision in found if decision is not None}

    def decided_on(self, problem_id: str) -> Pool | None:
        """The candidates that a decision is about, the first `wanted`; None before there is one."""
        one = self._problems[problem_id]
        decision = self.walk.decisions[one.number]
        return None if decision is None else self._pool(one).take(range(decision.wanted))

    @property
    def n_max(self) -> dict[str, int]:
        """The most candidates that each problem may get."""
        return {name: len(one.indices) for name, one in self._problems.items()}


def _program(candidate: Candidate) -> tuple[str, str]:
    """What identifies a candidate's program, of which it must have one."""
    return candidate.problem_id, program_hash(candidate.code or "")

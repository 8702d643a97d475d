"""Policies at work: the same decisions live as replayed, whoever finishes first and however a run was stopped; what can
no longer change a decision is dropped, and nothing else.
"""

import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standins import problem, sampled, wanted
from support import IDS, Small, bring_up, programs, rows_of, tts
from test_contracts import pool_of
from test_pipeline import asked, facts, logged, note, rows, start, wait_for_rows
from test_report import made_up
from test_stop import POLICIES, policy

from tts import analysis, certainty, cost, margins, pipeline
from tts.plugins import FREE
from tts.protocols import Allocator
from tts.stopping import Live, Walk, settle, worth
from tts.store import open_for_reading
from tts.types import Behaviour, Candidate, Decision, Pool, Problem, Score, program_hash

__all__ = ["logged"]


# Candidates that come in any order.


def finished(key: tuple[str, int], seed: int) -> tuple[Candidate, Score, Behaviour]:
    """What comes of a candidate, whenever it comes."""
    rng = random.Random(f"{key} {seed}")
    candidate = sampled(*key)
    behaviour = Behaviour((rng.choice("aab"),), (rng.random() < 0.2,))
    return candidate, Score(*key, rng.gauss(0, 2)), behaviour


def whole_pool(name: str, n: int, seed: int, observed: bool) -> Pool:
    """A problem's pool in the order of its indices."""
    found = [finished((name, index), seed) for index in range(n)]
    candidates, scores, behaviours = zip(*found, strict=True)
    return Pool(problem(name), candidates, scores, behaviours if observed else ())


def run_live(live: Live, rng: random.Random, seed: int, problems: int) -> tuple[set, set]:
    """Give everything that is asked for, in any order, until nothing is under way; what was drawn and what dropped."""
    under_way: list[tuple[str, int]] = []
    drawn, dropped = set(), set()
    step = live.step()
    while True:
        under_way += [(one.id, index) for one, index in step.ask]
        assert len(set(under_way)) == len(under_way)
        assert not drawn & set(under_way)
        assert step.cancel <= set(under_way)
        dropped |= step.cancel
        under_way = [key for key in under_way if key not in step.cancel]
        if not under_way:
            return drawn, dropped
        key = under_way.pop(rng.randrange(len(under_way)))
        candidate, score, _ = finished(key, seed)
        drawn.add(key)
        live.drawn(candidate)
        live.rated(score)
        step = live.step()
        while pairs := live.unobserved():
            live.observed({(c.problem_id, program_hash(c.code)): finished(c.key, seed)[2] for _, c in pairs})
            more = live.step()
            step = replace(step, ask=[*step.ask, *more.ask], cancel=step.cancel | more.cancel)
        gone = step.cancel & {(one.id, index) for one, index in step.ask}
        step = replace(step, ask=[(p, i) for p, i in step.ask if (p.id, i) not in gone], cancel=step.cancel - gone)


@pytest.mark.parametrize("spec", POLICIES, ids=str)
@settings(max_examples=15)
@given(
    n=st.integers(1, 9),
    problems=st.integers(1, 3),
    ahead=st.integers(0, 4),
    seed=st.integers(0, 99),
    luck=st.integers(0, 99),
)
def test_what_is_decided_does_not_depend_on_who_finishes_first(spec, n, problems, ahead, seed, luck):
    chosen = policy(spec)
    observed = "behaviours" in getattr(chosen, "needs", ())
    live = Live(chosen, wanted(problems, n), ahead, scored=True)
    drawn, dropped = run_live(live, random.Random(luck), seed, problems)

    names = [f"p{i}" for i in range(problems)]
    replayed = settle(chosen, [whole_pool(name, n, seed, observed) for name in names], [n] * problems)
    assert live.decisions == dict(zip(names, replayed, strict=True))
    for name, decision in live.decisions.items():
        mine = {index for one, index in drawn if one == name}
        assert set(range(decision.wanted)) <= mine
        assert all(index >= decision.wanted for one, index in dropped if one == name)
        assert len(mine) <= min(n, decision.wanted + ahead)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "fixed", "k": 3},
        {"name": "allocate", "pilot": 2, "budget": 4},
        {"name": "allocate", "pilot": 4, "budget": 4},
    ],
    ids=str,
)
@given(ahead=st.integers(1, 9), seed=st.integers(0, 99), luck=st.integers(0, 99))
def test_a_policy_that_knows_its_number_is_drawn_nothing_ahead(spec, ahead, seed, luck):
    """What is drawn ahead of a budget's shares is no budget's any more."""
    live = Live(policy(spec), wanted(3, 9), ahead, scored=True)
    drawn, dropped = run_live(live, random.Random(luck), seed, 3)

    assert drawn == {(name, index) for name, decision in live.decisions.items() for index in range(decision.wanted)}
    assert not dropped
    assert len(drawn) <= 3 * spec.get("k", spec.get("budget"))


@given(n=st.integers(1, 12), k=st.integers(1, 12))
def test_with_nothing_ahead_nothing_is_drawn_that_is_not_decided_on(n, k):
    live = Live(policy({"name": "fixed", "k": k}), wanted(2, n), 0, scored=False)

    assert Counter(one.id for one, _ in live.step().ask) == {"p0": min(n, k), "p1": min(n, k)}


def test_scores_are_waited_for_only_where_there_is_a_scorer():
    for scored in (True, False):
        live = Live(policy({"name": "fixed", "k": 1}), wanted(1, 2), 0, scored)
        live.step()
        live.drawn(sampled("p0", 0))

        live.step()
        assert bool(live.decisions) != scored
        live.rated(Score("p0", 0, 1.0))
        live.step()
        assert live.decisions


def test_what_cannot_be_observed_holds_its_problem_back_and_no_other():
    live = Live(policy("beta"), wanted(2, 1), 0, scored=False)
    live.step()
    live.drawn(sampled("p0", 0))
    live.drawn(sampled("p1", 0))
    live.step()
    (_, first), (_, second) = live.unobserved()
    live.unknowable([("p0", program_hash(first.code))])
    live.observed({("p1", program_hash(second.code)): Behaviour(("1",))})
    live.step()

    assert live.unobserved() == []
    assert live.decisions.keys() == {"p1"}


@dataclass(frozen=True)
class Greedy:
    """A policy of somebody else's that asks for more than there may be, or for nothing."""

    wanted: int

    def decide(self, pool: Pool, n_max: int) -> Decision:
        return Decision(self.wanted)


@pytest.mark.parametrize(("asks", "gets"), [(100, 4), (0, 1), (-3, 1), (2, 2)])
def test_a_policy_gets_no_more_than_there_may_be_and_no_less_than_one(asks, gets):
    walk = Walk(Greedy(asks), [4])
    walk.advance({0: pool_of([1.0] * 4)})

    assert walk.decisions[0].wanted == gets


def test_what_a_decision_is_worth():
    pool, correct = pool_of([1.0, 3.0, 3.0, 9.0]), [0.0, 1.0, 0.0, 1.0]
    argmax, majority = (pipeline.plugins.build("selector", name) for name in ("argmax", "majority"))

    assert worth(Decision(1), argmax, pool, correct) == 0.0
    assert worth(Decision(3), argmax, pool, correct) == 0.5  # two are equally good
    assert worth(Decision(4), argmax, pool, correct) == 1.0
    assert worth(Decision(3, answer=1), argmax, pool, correct) == 1.0
    assert worth(Decision(2), majority, pool, correct) == 0.5  # one text against another: they share the win


# Whole runs.


@dataclass(frozen=True)
class Slots:
    """A generator that runs `width` candidates at once, of which an even index takes three times as long, and that can
    drop them. It writes down what it finished and what it dropped.
    """

    seed: int = 0
    width: int = field(default=4, metadata=FREE)
    seconds: float = field(default=0.0, metadata=FREE)
    log: str = field(default="", metadata=FREE)

    def generate(self, wanted):
        self.add(wanted)
        while self.unfinished:
            yield from self.step()

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        self.work["waiting"] += [(one.id, index) for one, index in wanted]

    def step(self) -> list[Candidate]:
        waiting, running = self.work["waiting"], self.work["running"]
        time.sleep(self.seconds)
        while waiting and len(running) < self.width:
            key = waiting.pop(0)
            running[key] = 1 + 2 * (key[1] % 2 == 0)
        done = []
        for key in list(running):
            running[key] -= 1
            if not running[key]:
                del running[key]
                done.append(self.finished(*key))
        return done

    def finished(self, name: str, index: int) -> Candidate:
        note(self.log, [name, index])
        code = programs(name)[index * (index + 3) % 4 if index else 0]
        return Candidate(name, index, f"```python\n{code}```", prompt_tokens=7, tokens=10 + index, logprob=-index / 8)

    def abort(self, keys: Collection[tuple[str, int]]) -> None:
        for key in keys:
            if key in self.work["waiting"]:
                self.work["waiting"].remove(key)
            self.work["running"].pop(key, None)
            note(self.log + ".dropped", list(key))

    @property
    def unfinished(self) -> int:
        return len(self.work["waiting"]) + len(self.work["running"])

    @cached_property
    def work(self):
        return {"waiting": [], "running": {}}


@pytest.fixture
def stopping(logged: Small) -> Small:
    """The small benchmark with n = 12, a generator that can drop candidates, and a scorer."""
    generator = {"name": "test_stopping:Slots", "n": 12, "log": str(logged.folder / "generated.jsonl")}
    logged.config.update(generator=generator, selectors=["argmax", "majority"])
    logged.write()
    return logged


RUNS = [
    {"name": "pandora", "ahead": 4, "cost": 0.05},
    {"name": "beta", "ahead": 6, "confidence": 0.8},
    {"name": "margin", "ahead": 0, "confidence": 0.8},
    {"name": "allocate", "ahead": 2, "pilot": 3, "budget": 5},
]


def stops_of(small: Small, folder: str = "run") -> dict[str, Decision]:
    with open_for_reading(small.folder / folder) as store:
        return analysis.stored_stops(store)


def replayed(small: Small, folder: str) -> dict[str, Decision]:
    """What the policy of the config would decide on a run in full, in the order of its indices."""
    from tts import config as configs

    config = configs.load(small.folder / "config.yaml")
    with open_for_reading(small.folder / folder) as store:
        judged, _ = analysis.judge(store, config)
        scores = analysis.stored_scores(store, config)["first"]
    pools = [analysis.pool_of(item, scores) for item in judged]
    found = settle(pipeline.policy(config), pools, [len(pool) for pool in pools])
    return {pool.problem.id: decision for pool, decision in zip(pools, found, strict=True)}


@pytest.mark.parametrize("spec", RUNS, ids=lambda spec: spec["name"])
def test_a_live_run_decides_as_a_replay_of_the_whole_pool_and_draws_less(stopping, spec):
    bring_up(stopping, folder="whole")
    asked(stopping.folder)
    stopping.write(stopping=spec)
    bring_up(stopping)

    expected = replayed(stopping, "whole")
    assert stops_of(stopping) == expected
    drawn = Counter(name for name, _ in asked(stopping.folder))
    ahead = 0 if spec["name"] == "allocate" else spec["ahead"]
    assert all(decision.wanted <= drawn[name] <= decision.wanted + ahead for name, decision in expected.items())
    assert drawn.total() < 36


def test_what_can_no_longer_change_the_decision_is_cancelled_and_what_was_saved_is_told(stopping):
    slow = stopping.config["generator"] | {"width": 2, "seconds": 0.05}
    stopping.write(stopping={"name": "pandora", "ahead": 8, "cost": 0.2}, generator=slow)
    bring_up(stopping)
    dropped = {tuple(key) for key in rows_of(stopping.folder / "generated.jsonl.dropped")}
    with open_for_reading(stopping.folder / "run") as store:
        drawn, report = store.candidate_keys(), analysis.analyse(store)
        saved = cost.saved(report)

    assert dropped
    assert not dropped & drawn
    assert all(index >= report.stops[name].wanted for name, index in dropped)
    assert len(dropped) <= saved.cancelled <= saved.most - saved.drawn  # some the generator has never heard of
    assert (saved.most, saved.drawn) == (36, len(drawn))
    assert saved.used == sum(decision.wanted for decision in report.stops.values())
    assert saved.tokens == sum(10 + index for _, index in drawn)
    assert report.n == min(decision.wanted for decision in report.stops.values())
    done = tts(stopping.folder, "report", "run")
    assert f"Stopped by pandora: {len(drawn)} of 36 candidates were drawn" in done.out
    page = (stopping.folder / "run" / "report.html").read_text()
    assert f"<h3>Stopping</h3>\n<p>Stopped by pandora: {len(drawn)} of 36 candidates were drawn" in page
    (one,) = json.loads(tts(stopping.folder, "report", "run", "--json").out)["runs"]
    assert one["stopping"]["cancelled"] == saved.cancelled


def test_what_is_said_of_a_stopped_run_is_over_what_every_problem_has():
    """Pools of unequal sizes, longer where the first candidates looked bad, would be no fair sample of anything."""
    whole = made_up(problems=6, n=8)
    sizes = {item.problem.id: 3 + place for place, item in enumerate(whole.judged)}
    unequal = replace(whole, n=3, judged=tuple(item.first(sizes[item.problem.id]) for item in whole.judged))
    report = replace(unequal, stops={name: Decision(wanted) for name, wanted in sizes.items()})
    cut = replace(whole, n=3, judged=tuple(item.first(3) for item in whole.judged))

    assert report.fair == cut.judged
    told, of_cut, of_all = (repr(margins.by_scorer(one)) for one in (report, cut, unequal))
    assert told == of_cut != of_all
    assert certainty.forecasts(report) == certainty.forecasts(cut) != certainty.forecasts(unequal)
    assert [one.k for one in certainty.forecasts(report)] == [6, 12, 24]


def test_an_audit_of_a_stopped_run_is_over_what_every_problem_has(stopping):
    stopping.write(stopping=RUNS[0])
    bring_up(stopping)
    with open_for_reading(stopping.folder / "run") as store:
        report = analysis.analyse(store)

    done = tts(stopping.folder, "audit", "config.yaml", "--pool", "run", "--probes", "0")
    assert done.code == 0, done.err
    facts = json.loads((stopping.folder / "run" / "audit.json").read_text())["pool"]
    assert (facts["cut"], facts["candidates"]) == (report.n, report.n * len(report.judged))
    assert report.n == min(decision.wanted for decision in report.stops.values()) < 12
    assert f"A policy stopped the run: the first {report.n} of each problem." in " ".join(done.out.split())


def test_a_stopped_run_does_nothing_again_and_can_be_raised(stopping):
    bring_up(stopping, folder="whole")
    asked(stopping.folder)
    stopping.write(stopping=RUNS[0])
    bring_up(stopping)
    first, before = asked(stopping.folder), facts(stopping.folder)
    bring_up(stopping)
    assert asked(stopping.folder) == []
    assert facts(stopping.folder) == before

    stricter = RUNS[0] | {"cost": 0.005}
    stopping.write(stopping=stricter)
    bring_up(stopping)
    second = asked(stopping.folder)
    assert not {(name, index) for name, index, *_ in before["candidates"]} & set(second)
    assert stops_of(stopping) == replayed(stopping, "whole")

    stopping.write()
    bring_up(stopping)
    assert {*first, *second, *asked(stopping.folder)} == {(name, i) for name in IDS for i in range(12)}
    assert stops_of(stopping) is None
    assert rows(stopping.folder / "run") == rows(stopping.folder / "whole")


def test_no_score_or_program_run_is_lost_when_a_stopped_run_is_killed(logged):
    """Kills at random moments, then a run to the end: the decisions and the rows decided on of an undisturbed run."""
    spec = {"name": "beta", "ahead": 3, "confidence": 0.8}
    generator = logged.config["generator"] | {"n": 10, "seconds": 0.02}
    logged.write(stopping=spec, generator=generator, selectors=["argmax", "majority"])
    bring_up(logged, folder="undisturbed")
    asked(logged.folder)
    rng = random.Random(0)
    for table in ("candidates", "scores", "behaviours"):
        process = start(logged.folder)
        wait_for_rows(logged.folder, table, 3)
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=rng.uniform(0.0, 0.1))
        process.kill()
        process.communicate()
    bring_up(logged)

    assert stops_of(logged) == stops_of(logged, "undisturbed")
    stops = stops_of(logged)
    kept = [
        {row["question_id"] + str(row["index"]): row for row in map(json.loads, rows(logged.folder / folder))}
        for folder in ("run", "undisturbed")
    ]
    for name, decision in stops.items():
        for index in range(decision.wanted):
            assert kept[0][f"{name}{index}"] == kept[1][f"{name}{index}"]
    again = Counter(asked(logged.folder))
    assert sum(again.values()) - len(again) <= 3 * (3 + 10)  # what was in flight at each kill


def test_an_allocator_is_one_that_sees_all_problems():
    assert [isinstance(policy(name), Allocator) for name in ("allocate", "beta")] == [True, False]

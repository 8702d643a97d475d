"""Who gets what: everything comes once whoever dies, nobody holds more than it may, nobody is blamed for another."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standins import problem, sampled, wanted

from tts.dispatch import DEATHS, RATED_AT_ONCE, Dispatch, Work, works_of
from tts.engine import Drawn, Rated
from tts.types import Score


class Simulated:
    """Engines that finish what they hold in a random order, and die: at random, or of a deadly candidate."""

    def __init__(self, seed, engines, width, turns, deadly=(), fragile=0.0, in_flight=None):
        self.rng = random.Random(seed)
        self.dispatch, self.engines = Dispatch(), engines
        self.width, self.turns, self.deadly, self.in_flight = width, turns, set(deadly), in_flight
        self.fragile = fragile  # how often a node dies, and its engine with it
        self.doing, self.number = {}, Counter()
        self.found, self.given_up, self.deaths, self.most = [], [], Counter(), 0
        self.gone = set()
        for engine in range(engines):
            self.join(engine)

    def join(self, engine):
        self.dispatch.join(engine, self.width, self.turns, self.in_flight)
        self.doing[engine], self.number[engine] = [], 0

    def node(self, engine):
        return f"node {engine} {self.deaths[engine]}"

    def run(self):
        rounds = 0
        while self.dispatch.busy:
            rounds += 1
            assert rounds < 20_000, "nothing comes of it"
            engine = self.rng.randrange(self.engines)
            self.take(engine)
            self.finish(engine)
        return rounds

    def take(self, engine):
        orders = self.dispatch.give(engine)
        if orders is None:
            return
        assert orders.number == self.number[engine] + 1
        self.number[engine] = orders.number
        for one, index in orders.wanted:
            self.doing[engine].append((None, (one.id, index), orders.rate))
        for label, pairs in orders.pairs.items():
            self.doing[engine] += [(label, candidate.key, False) for _, candidate in pairs]
        self.most = max(self.most, sum(who is None for who, _, _ in self.doing[engine]))

    def finish(self, engine):
        doing = self.doing[engine]
        if doing and self.rng.random() < self.fragile:
            self.gone.add(self.node(engine))
            self.die(engine)
        elif {key for _, key, _ in doing} & self.deadly:
            self.die(engine)
        elif doing:
            who, key, rate = doing.pop(self.rng.randrange(len(doing)))
            self.tell(engine, Drawn(sampled(*key)) if who is None else Rated(who, Score(*key, 1.0)))
            if rate:
                doing += [(label, key, False) for label in self.labels]

    def tell(self, engine, event):
        self.found += self.dispatch.heard(engine, self.number[engine], [event])

    def die(self, engine):
        node = self.node(engine)
        self.deaths[engine] += 1
        self.given_up += self.dispatch.died(engine, node, lambda name: name not in self.gone)
        self.join(engine)

    labels = ("a", "b")


def keys(events):
    return Counter(
        (None, event.candidate.key) if isinstance(event, Drawn) else (event.scorer, event.score.key) for event in events
    )


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    engines=st.integers(1, 5),
    width=st.integers(1, 9),
    turns=st.booleans(),
    problems=st.integers(1, 6),
    n=st.integers(1, 8),
    fragile=st.sampled_from([0.0, 0.02, 0.2]),
)
def test_everything_comes_once_however_many_nodes_die(seed, engines, width, turns, problems, n, fragile):
    work = wanted(problems, n)
    there = [(problem("old"), sampled("old", index)) for index in range(3)]
    sim = Simulated(seed, engines, width, turns, fragile=fragile)
    sim.dispatch.add(works_of(work, {"b": there}, sim.labels))

    sim.run()

    everyone = [(who, (one.id, index)) for one, index in work for who in (None, *sim.labels)]
    assert keys(sim.found) == Counter([*everyone, *(("b", candidate.key) for _, candidate in there)])
    assert not sim.given_up
    assert sim.most <= width + max(1, math.ceil(width / 4))


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    engines=st.integers(1, 4),
    width=st.integers(1, 30),
    turns=st.booleans(),
    deadly=st.sets(st.integers(0, 39), max_size=4),
)
def test_what_kills_is_given_up_after_three_deaths_and_nothing_else_is(seed, engines, width, turns, deadly):
    work = wanted(4, 10)
    guilty = {(work[i][0].id, work[i][1]) for i in deadly}
    sim = Simulated(seed, engines, width, turns, guilty)
    sim.dispatch.add(works_of(work, {}, sim.labels))

    sim.run()

    assert {work.key for work in sim.given_up} == guilty
    assert len(sim.given_up) == len(guilty)
    assert keys(sim.found) == Counter(
        (who, (one.id, index)) for one, index in work if (one.id, index) not in guilty for who in (None, *sim.labels)
    )
    assert sim.deaths.total() <= DEATHS * len(guilty)


def test_a_candidate_that_kills_its_scorer_is_given_up_though_it_was_drawn():
    class Later(Simulated):
        def finish(self, engine):
            """Drawing is safe; to be scored kills."""
            if any(who is not None and key == ("p0", 1) for who, key, _ in self.doing[engine]):
                self.die(engine)
            else:
                super().finish(engine)

    sim = Later(1, 2, 4, turns=False)
    sim.dispatch.add(works_of(wanted(2, 4), {}, sim.labels))

    sim.run()

    assert [work.key for work in sim.given_up] == [("p0", 1)]
    assert keys(sim.found)[None, ("p0", 1)] == 1
    assert ("a", ("p0", 2)) in keys(sim.found)


def test_a_bound_on_what_is_in_flight_holds():
    sim = Simulated(0, 3, 64, turns=False, in_flight=5)
    sim.dispatch.add(works_of(wanted(10, 10), {}, ()))
    sim.run()
    assert sim.most == 5


def test_an_engine_stays_with_a_problem_and_others_begin_with_others():
    dispatch = Dispatch()
    for engine in range(3):
        dispatch.join(engine, None, False, in_flight=2)
    dispatch.add(works_of(wanted(3, 6), {}, ()))
    got = {engine: dispatch.give(engine).wanted for engine in range(3)}
    assert [{one.id for one, _ in mine} for mine in got.values()] == [{"p0"}, {"p1"}, {"p2"}]
    for engine, mine in got.items():
        dispatch.heard(engine, 1, [Drawn(sampled(one.id, index)) for one, index in mine])
        assert {one.id for one, _ in dispatch.give(engine).wanted} == {mine[0][0].id}


def test_one_who_runs_out_of_problems_takes_from_the_one_with_most_left():
    dispatch = Dispatch()
    dispatch.join(0, None, False, in_flight=1)
    dispatch.join(1, None, False, in_flight=1)
    dispatch.add(works_of([*wanted(1, 2), *[(problem("long"), index) for index in range(9)]], {}, ()))
    held = {engine: dispatch.give(engine).wanted[0] for engine in (0, 1)}
    seen = []
    for _ in range(4):
        one, index = held[0]
        dispatch.heard(0, 99, [Drawn(sampled(one.id, index))])
        held[0] = dispatch.give(0).wanted[0]
        seen.append(held[0][0].id)
    assert seen == ["p0", "long", "long", "long"]


def test_models_that_take_turns_score_only_once_nothing_is_left_to_draw():
    dispatch = Dispatch()
    dispatch.join(0, 2, turns=True)
    work = wanted(1, 5)
    dispatch.add(works_of(work, {}, ("a",)))
    pairs = {}
    while not pairs:
        orders = dispatch.give(0)
        assert orders is not None and not orders.rate
        pairs = orders.pairs
        dispatch.heard(0, orders.number, [Drawn(sampled(one.id, index)) for one, index in orders.wanted])
    assert [candidate.key for _, candidate in pairs["a"]] == [(one.id, index) for one, index in work]


def test_few_are_given_to_score_at_once():
    dispatch = Dispatch()
    dispatch.join(0, 4, turns=False)
    dispatch.add(works_of((), {"a": [(problem("p"), sampled("p", index)) for index in range(1000)]}, ("a",)))
    assert len(dispatch.give(0).pairs["a"]) == RATED_AT_ONCE
    assert dispatch.give(0) is None


def test_what_was_cancelled_is_not_taken_for_what_is_asked_for_again():
    dispatch = Dispatch()
    dispatch.join(0, 1, turns=False)
    dispatch.add(works_of(wanted(1, 1), {}, ()))
    first = dispatch.give(0)
    assert dispatch.cancel([("p0", 0)]).engines == [0]
    assert not dispatch.busy
    dispatch.add(works_of(wanted(1, 1), {}, ()))
    second = dispatch.give(0)
    assert dispatch.heard(0, first.number, [Drawn(sampled("p0", 0))]) == []
    assert dispatch.heard(0, second.number, [Drawn(sampled("p0", 0))]) == [Drawn(sampled("p0", 0))]
    assert not dispatch.busy


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), turns=st.booleans(), gone=st.sets(st.integers(0, 19), max_size=20))
def test_what_is_cancelled_at_any_time_does_not_come(seed, turns, gone):
    work = wanted(4, 5)
    sim = Simulated(seed, 2, 3, turns)
    sim.dispatch.add(works_of(work, {}, sim.labels))
    for _ in range(seed % 30):
        engine = sim.rng.randrange(2)
        sim.take(engine)
        sim.finish(engine)
    dropped = {(work[i][0].id, work[i][1]) for i in gone}
    before = len(sim.found)
    sim.dispatch.cancel(dropped)
    sim.run()
    assert not {key for _, key in keys(sim.found[before:])} & dropped
    kept = {(one.id, index) for one, index in work} - dropped
    assert {key: count for key, count in keys(sim.found).items() if key[1] in kept} == {
        (who, key): 1 for key in kept for who in (None, *sim.labels)
    }


def test_what_is_drawn_can_be_spared():
    dispatch = Dispatch()
    dispatch.join(0, None, turns=False, in_flight=3)
    dispatch.add(works_of(wanted(1, 5), {}, ("a",)))
    orders = dispatch.give(0)
    dispatch.heard(0, orders.number, [Drawn(sampled("p0", 1))])
    found = dispatch.cancel([("p0", index) for index in range(1, 5)], spare_drawn=True)
    assert found.keys == found.undrawn == {("p0", 2), ("p0", 3), ("p0", 4)}
    assert found.engines == [0]
    assert dispatch.heard(0, orders.number, [Rated("a", Score("p0", 1, 1.0)), Drawn(sampled("p0", 2))]) == [
        Rated("a", Score("p0", 1, 1.0))
    ]
    assert dispatch.cancel([("p0", 1)], spare_drawn=True).keys == frozenset()


def test_what_is_asked_for_twice_is_refused():
    dispatch = Dispatch()
    dispatch.add(works_of(wanted(1, 2), {}, ()))
    with pytest.raises(ValueError, match="twice"):
        dispatch.add([Work(problem("p0"), 1, ())])
    with pytest.raises(ValueError, match="twice"):
        works_of([*wanted(1, 1), *wanted(1, 1)], {}, ())
    pair = (problem("p"), sampled("p", 0))
    with pytest.raises(ValueError, match="twice"):
        works_of((), {"a": [pair, pair]}, ())
    assert len(works_of((), {"a": [pair], "b": [pair]}, ())) == 1

"""The engine: everything asked for comes once, in every mode; what is dropped does not; nothing runs on afterwards."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standins import PATIENCE_SECONDS, Batched, Counting, Log, Rating, Stepping, problem, sampled, until, wanted

from tts.engine import THREAD, Drawn, Engine, Rated
from tts.errors import InfraError, ModelError
from tts.serving.guard import GuardedGenerator
from tts.types import Candidate, Score

MODES = ("share", "swap", "sequential")


def everything(engine: Engine) -> list[Drawn | Rated]:
    found = []
    while engine.busy:
        found += engine.poll(30)
    return found


def keys(events, kind=Drawn, label=None):
    if kind is Drawn:
        return [event.candidate.key for event in events if isinstance(event, Drawn)]
    return [event.score.key for event in events if isinstance(event, Rated) and label in (None, event.scorer)]


def asked(work) -> Counter:
    return Counter((one.id, index) for one, index in work)


class Doomed(Rating):
    def check(self) -> None:
        """What would be found out after the generator has loaded."""
        raise ModelError("the server is down")


@pytest.mark.parametrize("mode", MODES)
def test_a_scorer_that_cannot_work_says_so_before_anything_loads(mode):
    log = Log()
    engine = Engine(Stepping(log=log), {"fine": Rating(log=log), "doomed": Doomed(log=log)}, mode)
    with engine, pytest.raises(ModelError, match="the server is down"):
        engine.submit(wanted(1, 2))
    assert not [entry for entry in log.entries if entry.startswith(("start", "draw"))]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("generator", [Batched, Stepping])
def test_everything_asked_for_is_drawn_once_and_scored_once_by_each_scorer(mode, generator):
    work = wanted(3, 5)
    with Engine(generator(), {"a": Rating(), "b": Rating()}, mode) as engine:
        engine.submit(work)
        found = everything(engine)
    assert Counter(keys(found)) == asked(work)
    assert Counter(keys(found, Rated, "a")) == Counter(keys(found, Rated, "b")) == asked(work)


@pytest.mark.parametrize("mode", MODES)
def test_a_candidate_comes_before_its_scores(mode):
    with Engine(Stepping(), {"a": Rating()}, mode) as engine:
        engine.submit(wanted(4, 4))
        seen = set()
        for event in everything(engine):
            if isinstance(event, Drawn):
                seen.add(event.candidate.key)
            else:
                assert event.score.key in seen


@settings(max_examples=25, deadline=None)
@given(
    mode=st.sampled_from(MODES),
    problems=st.integers(1, 4),
    n=st.integers(1, 6),
    backlog=st.integers(1, 5),
    parts=st.integers(1, 3),
    dropped=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=6),
)
def test_work_that_is_handed_in_and_dropped_at_any_time_adds_up(mode, problems, n, backlog, parts, dropped):
    work, gone = wanted(problems, n), {(f"p{i}", index) for i, index in dropped}
    with Engine(Stepping(seconds=0.0005), {"a": Rating(seconds=0.0002)}, mode, backlog=backlog) as engine:
        found = []
        for part in range(parts):
            engine.submit(work[part::parts])
            found += engine.poll(0.001)
        before = set(keys(found)) | set(keys(found, Rated))
        engine.cancel(gone)
        found += everything(engine)
    left = asked(work)
    for key in gone - before:
        del left[key]
    for kind in (Drawn, Rated):
        counted = Counter(keys(found, kind))
        assert max(counted.values(), default=1) == 1
        assert counted.keys() >= left.keys() - gone
        assert counted.keys() <= left.keys()


def test_scores_of_candidates_that_are_there_already_need_no_generator():
    generator, scorer = Stepping(), Rating()
    pairs = [(problem("p0"), sampled("p0", index)) for index in range(5)]
    with Engine(generator, {"a": scorer}) as engine:
        engine.submit(pairs={"a": pairs})
        assert keys(everything(engine), Rated) == [candidate.key for _, candidate in pairs]
        assert "start generator" not in generator.log.entries


def test_nothing_is_loaded_for_no_work():
    log = Log()
    with Engine(Stepping(log=log), {"a": Rating(log=log)}) as engine:
        engine.submit()
        assert engine.poll() == []
        assert log.entries == []


@pytest.mark.parametrize("mode", MODES)
def test_the_engine_is_itself_a_generator_and_a_scorer(mode):
    with Engine(Stepping(), {"a": Rating()}, mode) as engine:
        drawn = list(engine.generate(wanted(2, 3)))
        assert Counter(candidate.key for candidate in drawn) == asked(wanted(2, 3))
        scores = list(engine.score([(problem(c.problem_id), c) for c in drawn]))
        assert {score.key: score.value for score in scores} == {c.key: float(c.index) for c in drawn}


def test_scoring_begins_while_others_are_drawn():
    log = Log()

    class Waiting(Stepping):
        def step(self):
            if self.drawn:
                assert until(lambda: "rate" in log.entries)
            return super().step()

    with Engine(Waiting(log=log), {"a": Rating(log=log)}) as engine:
        engine.submit(wanted(8, 8))
        found = everything(engine)
    assert Counter(keys(found, Rated)) == asked(wanted(8, 8))
    assert "draw" in log.entries[log.entries.index("rate") :]


LESS_SECONDS = PATIENCE_SECONDS / 4  # than a step waits that nobody ends


@dataclass
class Away(Stepping):
    """A generator whose model is at work elsewhere, and done with a step when `done` is set."""

    nudged: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    def step(self):
        """Waits for the model, unless it is nudged."""
        until(lambda: self.nudged.is_set() or self.done.is_set())
        if not self.done.is_set():
            self.nudged.clear()
            return []
        return super().step()

    def nudge(self):
        """From another thread."""
        self.nudged.set()


@pytest.mark.parametrize("guard", [lambda one: one, GuardedGenerator])
def test_what_is_asked_for_and_dropped_while_the_model_runs_reaches_the_generator_before_it_is_done(guard):
    generator = Away(steps=1)
    with Engine(guard(generator), {}) as engine:
        engine.submit(wanted(1, 2))
        assert until(lambda: len(generator.waiting) == 2)
        engine.submit([(problem("late"), 0)])
        assert until(lambda: ("late", 0) in generator.waiting, LESS_SECONDS)
        engine.cancel({("p0", 1)})
        assert until(lambda: ("p0", 1) not in generator.waiting, LESS_SECONDS)
        assert generator.taken == 0  # it has not run a step yet
        generator.done.set()
        assert Counter(keys(everything(engine), Drawn)) == Counter([("p0", 0), ("late", 0)])


def test_drawing_waits_for_a_slow_scorer():
    generator, backlog = Stepping(width=1, steps=1), 4
    with Engine(generator, {"a": Rating(seconds=0.02)}, backlog=backlog) as engine:
        engine.submit(wanted(10, 10))
        ahead = []
        while engine.busy:
            engine.poll(30)
            ahead.append(len(generator.drawn) - len(engine._scorers["a"].scored))
    # What is being scored, what waits, and what was under way.
    assert max(ahead) <= 2 * backlog + 2


def test_drawing_and_scoring_wait_for_one_who_does_not_fetch():
    generator, scorer = Stepping(width=1, steps=1), Rating()
    with Engine(generator, {"a": scorer}, backlog=5) as engine:
        engine.submit(wanted(10, 10))
        time.sleep(0.3)
        held = len(generator.drawn) + len(scorer.scored)
        assert held <= 5 + 3
        found = everything(engine)
    assert len(found) == 200


def test_in_swap_one_is_awake_at_a_time_and_in_sequential_one_is_loaded():
    for mode, begin, end in (("swap", "wake", "sleep"), ("sequential", None, "close")):
        log = Log()
        with Engine(Stepping(log=log), {"a": Rating(log=log)}, mode) as engine:
            for i in range(3):
                engine.submit([(problem(f"p{i}"), index) for index in range(6)])
                everything(engine)
            seen = [entry for entry, _ in groupby(log.entries)]
        turns = [entry for entry in seen if entry in ("draw", "rate")]
        assert turns == ["draw", "rate"] * 3
        for before, after in pairwise(seen):
            if before == "draw":
                assert after == f"{end} generator"
            if before == "rate":
                assert after in (f"{end} scorer", "close generator")  # the last when all is over
        if begin:
            assert seen.count("wake generator") == 2 and seen.count("wake scorer") == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("generator", "scorer"),
    [
        (Stepping(seconds=0.002, dies_after=6), Rating()),
        (Stepping(seconds=0.002), Rating(dies_after=3)),
    ],
    ids=["generator", "scorer"],
)
def test_when_one_dies_what_was_finished_comes_first_and_then_its_error(mode, generator, scorer):
    generator, scorer = (
        type(one)(**{k: getattr(one, k) for k in ("seconds", "dies_after")}) for one in (generator, scorer)
    )
    found = []

    def to_the_end(engine):
        while engine.busy:
            found.extend(engine.poll(30))

    with Engine(generator, {"a": scorer}, mode) as engine:
        engine.submit(wanted(4, 4))
        with pytest.raises(RuntimeError, match="the stand-in died"):
            to_the_end(engine)
        found += engine.close()
    assert set(keys(found, Rated)) == set(scorer.scored)
    assert set(keys(found)) == set(generator.drawn)


def test_a_generator_that_forgets_a_candidate_is_our_failure():
    class Forgetful(Stepping):
        def add(self, wanted):
            super().add(wanted[1:])

    with Engine(Forgetful(), {}) as engine:
        engine.submit(wanted(1, 3))
        with pytest.raises(InfraError, match="yielded nothing for 1 candidate,"):
            everything(engine)


def test_what_is_asked_for_twice_is_refused():
    with Engine(Stepping(seconds=0.01), {}) as engine:
        engine.submit(wanted(1, 3))
        with pytest.raises(ValueError, match="asked for twice"):
            engine.submit(wanted(1, 1))


def test_a_cancelled_candidate_is_aborted_and_may_be_asked_for_again():
    generator = Stepping(seconds=0.005, steps=50, width=2)
    with Engine(generator, {"a": Rating()}) as engine:
        engine.submit(wanted(1, 2))
        engine.poll(0.05)
        engine.cancel({("p0", 0), ("p0", 1)})
        assert not engine.busy
        assert until(lambda: generator.unfinished == 0)
        engine.submit(wanted(1, 1))
        found = everything(engine)
    assert keys(found) == keys(found, Rated) == [("p0", 0)]


@pytest.mark.parametrize("spare_drawn", [False, True])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_each_token_is_given_back_or_told_of_once(spare_drawn, seed):
    """Wherever candidates are when they are cancelled, and though they are asked for again."""
    rng = random.Random(seed)
    generator = Counting(width=3, steps=3, seconds=0.0005)
    work = wanted(2, 4)
    told, found, takes = [], [], Counter()
    with Engine(generator, {"a": Rating()}) as engine:
        open_keys = set()
        for _ in range(5):
            asking = [pair for pair in work if (pair[0].id, pair[1]) not in open_keys and rng.random() < 0.7]
            engine.submit(asking)
            takes += asked(asking)
            open_keys |= asked(asking).keys()
            found += engine.poll(rng.choice([0, 0.001, 0.01]))
            gone = {key for key in open_keys if rng.random() < 0.5}
            dropped = engine.cancel(gone, spare_drawn, lambda key, tokens: told.append((key, tokens)))
            open_keys -= dropped if spare_drawn else gone
        found += everything(engine)
        assert until(lambda: len(told) + len(keys(found)) == takes.total())
        assert generator.unfinished == 0
    assert Counter(key for key, _ in told) + Counter(keys(found)) == takes
    given_back = sum(event.candidate.tokens for event in found if isinstance(event, Drawn))
    assert given_back + sum(tokens for _, tokens in told) == generator.drawn_of.total()


def told_of(generator, runs):
    """What is told of two candidates that are cancelled while one runs."""
    told = {}
    with Engine(generator, {}) as engine:
        engine.submit(wanted(1, 2))
        assert until(runs)
        engine.cancel({("p0", 0), ("p0", 1)}, tell=told.__setitem__)
        generator.held_from = None
        assert until(lambda: len(told) == 2)
    return told


def test_where_a_generator_does_not_say_what_it_had_drawn_that_is_told():
    generator = Stepping(seconds=0.001, width=1, held_from=0)
    assert set(told_of(generator, lambda: generator.running).values()) == {None}


def test_of_a_batch_that_cannot_be_dropped_nothing_is_known():
    class Held(Batched):
        held_from = 0

        def generate(self, work):
            self.drawn += [(one.id, index) for one, index in work]
            assert until(lambda: self.held_from is None)
            yield from super().generate(work)

    generator = Held()
    assert set(told_of(generator, lambda: generator.drawn).values()) == {None}


def test_what_is_drawn_may_be_spared():
    generator = Stepping(width=2, steps=1, seconds=0.002, held_from=4)
    with Engine(generator, {"a": Rating(seconds=0.01)}) as engine:
        engine.submit(wanted(1, 8))
        assert until(lambda: generator.taken > 2)  # so the first four are laid down, and nobody has fetched them
        dropped = engine.cancel([("p0", index) for index in range(8)], spare_drawn=True)

        left = {("p0", index) for index in range(4)}
        assert dropped == {("p0", index) for index in range(4, 8)}
        found = everything(engine)
        assert set(keys(found)) == set(keys(found, Rated, "a")) == left
        assert engine.cancel([("p0", 0)]) == set()


def test_a_result_of_what_was_cancelled_is_not_taken_for_what_was_asked_for_later():
    """The score that is on its way belongs to the first take; the second has another program."""
    takes = iter(["take 1", "take 2 is longer"])
    going, go = threading.Event(), threading.Event()

    class Slow(Rating):
        def score(self, pairs):
            for _, candidate in pairs:
                going.set()
                assert go.wait(20)
                yield Score(*candidate.key, float(len(candidate.code)))

    def prepare(candidate):
        return Candidate(candidate.problem_id, candidate.index, candidate.text, code=next(takes))

    with Engine(Stepping(width=1, steps=1), {"a": Slow()}, prepare=prepare) as engine:
        engine.submit(wanted(1, 1))
        assert going.wait(20)
        engine.cancel({("p0", 0)})
        engine.submit(wanted(1, 1))
        go.set()
        found = everything(engine)
    assert [event.candidate.code for event in found if isinstance(event, Drawn)] == ["take 2 is longer"]
    assert [event.score.value for event in found if isinstance(event, Rated)] == [16.0]


@pytest.mark.parametrize("mode", MODES)
def test_work_comes_after_all_of_the_rest_was_cancelled(mode):
    with Engine(Stepping(), {"a": Rating(seconds=0.01), "b": Rating(seconds=0.01)}, mode) as engine:
        engine.submit(wanted(1, 4))
        while not any(isinstance(event, Rated) for event in engine.poll(20)):
            pass
        engine.cancel({("p0", index) for index in range(4)})
        assert not engine.busy
        engine.submit([(problem("p1"), 0)])
        found = everything(engine)
    assert keys(found) == [("p1", 0)] and keys(found, Rated) == [("p1", 0)] * 2


def test_a_scorer_that_holds_nothing_takes_no_turn_from_a_model():
    log = Log()

    class Free:
        def score(self, pairs):
            yield from (Score(*candidate.key, 1.0) for _, candidate in pairs)

    with Engine(Stepping(log=log), {"a": Free()}, "swap") as engine:
        engine.submit(wanted(2, 3))
        everything(engine)
        assert "sleep generator" not in log.entries


def test_every_model_is_closed_though_the_closing_of_one_fails():
    log = Log()

    class Stuck(Stepping):
        def close(self):
            raise RuntimeError("stuck")

    engine = Engine(Stuck(), {"a": Rating(log=log)})
    engine.submit(wanted(1, 1))
    everything(engine)
    with pytest.raises(RuntimeError, match="stuck"):
        engine.close()
    assert log.entries[-1] == "close scorer"


def test_one_who_turns_away_from_the_iterator_leaves_no_work_behind():
    generator = Stepping(seconds=0.002)
    with Engine(generator, {"a": Rating()}) as engine:
        for candidate in engine.generate(wanted(5, 5)):
            assert isinstance(candidate, Candidate)
            break
        assert not engine.busy and until(lambda: generator.unfinished == 0)


@pytest.mark.parametrize("mode", MODES)
def test_leaving_ends_threads_and_closes_models(mode):
    log = Log()
    before = set(threading.enumerate())
    with Engine(Stepping(seconds=0.005, log=log), {"a": Rating(log=log)}, mode) as engine:
        engine.submit(wanted(20, 20))
        engine.poll(5)
    assert not [one for one in set(threading.enumerate()) - before if one.name == THREAD]
    assert {"close generator", "close scorer"} <= set(log.entries)


def test_whole_problems_are_scored_before_those_still_being_drawn():
    pairs = [(problem("p0"), sampled("p0", 9)), (problem("p1"), sampled("p1", 9))]
    scorer = Rating()
    with Engine(Stepping(seconds=0.2, steps=100), {"a": scorer}) as engine:
        engine.submit([(problem("p0"), 0)], {"a": pairs})
        while not scorer.scored:
            engine.poll(5)
        assert scorer.batches[0] == [("p1", 9), ("p0", 9)]


def test_what_is_scored_is_what_was_prepared():
    class Seen(Rating):
        def score(self, pairs):
            for _, candidate in pairs:
                yield Score(*candidate.key, float(len(candidate.code)))

    def prepare(candidate):
        return Candidate(candidate.problem_id, candidate.index, candidate.text, code="x" * 7)

    with Engine(Stepping(), {"a": Seen()}, prepare=prepare) as engine:
        engine.submit(wanted(1, 2))
        found = everything(engine)
    assert [event.score.value for event in found if isinstance(event, Rated)] == [7.0, 7.0]
    assert {event.candidate.code for event in found if isinstance(event, Drawn)} == {"x" * 7}

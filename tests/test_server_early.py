"""Answers before all candidates are there: when the policy or the selector has enough, and what becomes of the rest."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import Served, config, serving
from standins import Talking, problem
from test_stop import POLICIES, policy

from tts import plugins
from tts.config import load_serve
from tts.engine import Drawn, Rated
from tts.errors import ConfigError, UpstreamError
from tts.serving.choosing import choose
from tts.serving.guard import Lost
from tts.serving.order import AtLeast, Order, Stopping, Wish
from tts.stopping import settle
from tts.types import Behaviour, Candidate, Pool, Problem, Score, Stdin, program_hash

# One request, whose candidates come in any order.

ONE = problem("p")
TESTED = Problem("p", "Double.", (), public_tests=(Stdin("1\n", "2\n"),))


def outcome(index: int, seed: int) -> tuple[Candidate, Score, Behaviour]:
    """What comes of a candidate, whenever it comes."""
    rng = random.Random(f"{index} {seed}")
    code = rng.choice(["a", "a", "a", "b", None])
    candidate = Candidate("p", index, "", code, "none" if code is None else "tagged", logprob=-rng.random())
    return candidate, Score("p", index, rng.gauss(0, 2)), Behaviour(({"a": "1", "b": None}.get(code or ""),), (True,))


def whole(n: int, seed: int, of: Problem, without: frozenset[int] = frozenset()) -> Pool:
    """All that would come, in the order of sampling."""
    found = [outcome(index, seed) for index in range(n) if index not in without]
    candidates, scores, _ = zip(*found, strict=True)
    behaviours = tuple(None if c.code is None else b if of.public_tests else Behaviour(()) for c, _, b in found)
    return Pool(of, candidates, scores, behaviours)


def run(order: Order, luck: int, seed: int, lost: frozenset[int]) -> None:
    """Give what is asked for, in any order, until it is enough or nothing more is asked for."""
    rng, under_way = random.Random(luck), []
    while not order.enough:
        if order.wish.observes_early:
            order.saw({program_hash(c.code): outcome(c.index, seed)[2] for c in order.unseen if c.code is not None})
        asked = order.step()
        assert not set(asked) & set(under_way)
        under_way += asked
        if order.enough:
            return
        assert under_way, "nothing is under way and it is not enough"
        index = under_way.pop(rng.randrange(len(under_way)))
        candidate, score, _ = outcome(index, seed)
        if index in lost:
            order.hear([Drawn(Lost("p", index, "", error=UpstreamError("down")))])
        else:
            order.hear([Drawn(candidate), Rated("s", score)])


def wish(of: Problem, n: int, selector: Any, spec: Any = None, ahead: int = 0, choices: int = 1) -> Wish:
    stopping = None if spec is None else Stopping(policy(spec), ahead)
    return Wish(of, n, choices, "s", "select", plugins.build("selector", selector), stopping, choices)


@pytest.mark.parametrize("spec", POLICIES, ids=str)
@settings(max_examples=25)
@given(
    n=st.integers(1, 9),
    ahead=st.integers(0, 9),
    choices=st.integers(1, 3),
    seed=st.integers(0, 99),
    luck=st.integers(0, 99),
    tested=st.booleans(),
)
def test_a_request_stops_where_a_run_would_whoever_finishes_first(
    spec: Any, n: int, ahead: int, choices: int, seed: int, luck: int, tested: bool
) -> None:
    choices, of = min(choices, n), TESTED if tested else ONE
    order = Order(wish(of, n, "argmax", spec, ahead, choices))
    run(order, luck, seed, frozenset())
    pool = whole(n, seed, of)
    (decision,) = settle(AtLeast(policy(spec), choices), [pool], [n])
    assert decision is not None and order.chosen_from is not None
    assert [c.index for c in order.chosen_from.candidates] == list(range(decision.wanted))
    assert bool(order.stopped) == (decision.wanted < n)
    assert len(order.asked) <= min(n, decision.wanted + ahead)
    assert (order.answer.position if order.answer else None) == decision.answer


@given(st.integers(1, 9), st.integers(0, 99), st.integers(0, 99), st.sets(st.integers(0, 8)), st.integers(1, 9))
def test_lost_candidates_are_made_up_for_by_others(n: int, seed: int, luck: int, gone: set[int], k: int) -> None:
    lost = frozenset(gone) & set(range(n))
    order = Order(wish(ONE, n, "argmax", {"name": "fixed", "k": k}))
    run(order, luck, seed, lost)
    left = [index for index in range(n) if index not in lost]
    assert order.chosen_from is not None
    assert [c.index for c in order.chosen_from.candidates] == left[:k]


CERTAIN = {"name": "beta", "confidence": 1.0}


@pytest.mark.parametrize("selector", ["majority", "codet"])
@pytest.mark.parametrize("spec", [None, CERTAIN], ids=str)
@settings(max_examples=150)
@given(n=st.integers(1, 12), seed=st.integers(0, 999), luck=st.integers(0, 99), tested=st.booleans())
def test_what_is_certain_is_what_all_candidates_would_have_said(
    selector: str, spec: Any, n: int, seed: int, luck: int, tested: bool
) -> None:
    """The selector's own certainty, and the policy's that promises the same majority."""
    if selector == "codet" and spec is not None:
        return  # it promises that of votes, not of sets
    of = TESTED if tested else ONE
    order = Order(wish(of, n, selector, spec, ahead=n))
    run(order, luck, seed, frozenset())
    assert order.chosen_from is not None
    rule = order.wish.selector
    pool = whole(n, seed, of)
    expected = choose(rule, order.observed(pool) if not tested else pool, 1)
    found = choose(rule, order.observed(order.chosen_from), 1)
    assert found.best is not None and expected.best is not None
    assert found.best.code == expected.best.code or not expected.best.valid
    if spec is None:
        assert found.best == expected.best


@given(st.integers(2, 9), st.integers(0, 99), st.integers(0, 99))
def test_where_programs_cannot_be_run_everything_is_waited_for(n: int, seed: int, luck: int) -> None:
    order = Order(wish(TESTED, n, "majority", CERTAIN))
    first = order.step()
    order.hear([Drawn(outcome(first[0], seed)[0]), Rated("s", outcome(first[0], seed)[1])])
    order.cannot_see()
    run_on = [index for index in range(n) if index not in first]
    assert order.step() == run_on
    for index in {*first[1:], *run_on}:
        assert not order.enough
        order.hear([Drawn(outcome(index, seed)[0]), Rated("s", outcome(index, seed)[1])])
        order.step()
    assert order.enough and not order.stopped


# Whole servers.


def one_by_one() -> Talking:
    return Talking(width=1, steps=1, seconds=0.002)


@pytest.fixture(scope="module")
def fixed() -> Iterator[Served]:
    """Three are enough, and one more may be under way."""
    with serving(config(9, stopping={"name": "fixed", "k": 3, "ahead": 1}), one_by_one()) as found:
        yield found


def test_a_majority_that_nothing_can_change_is_answered_and_the_rest_cancelled() -> None:
    generator = one_by_one()
    with serving(config(n=9, selectors=["majority", "argmax"]), generator) as served:
        generator.held_from = 5  # five of nine decide, and the engine is told of it while it draws the sixth
        told = served.tts("all alike")
        assert (told["sampled"], told["cancelled"], told["spared"], told["winner"]) == (5, 4, 0, 0)
        assert told["stopped_early"] == "nothing that may still come can change the choice"
        assert served.idle()
        assert len([key for key in generator.drawn if key[0] == told["run"]]) == 5
        generator.held_from = None
        assert served.metric("tts_candidates_total", what="cancelled") == told["cancelled"]
        assert served.metric("tts_stopped_early_total") == 1
        differing = served.tts("each its own")
        assert (differing["sampled"], differing["stopped_early"]) == (9, None)
        all_alike = served.tts("all alike", n=2)  # the second best is not known before all are there
        assert (all_alike["sampled"], all_alike["stopped_early"]) == (9, None)


def test_a_policy_s_word_ends_a_request_and_what_it_spares_is_said(fixed: Served) -> None:
    before = {what: fixed.metric("tts_candidates_total", what=what) for what in ("asked", "spared", "drawn")}
    told = fixed.tts("hello")
    assert told["stopped_early"] == "3 were asked for"
    assert told["winner"] == 2  # the best of the three
    assert (told["sampled"], told["cancelled"], told["spared"]) == (3, 0, 6)  # it knows its number: none is drawn ahead
    after = {what: fixed.metric("tts_candidates_total", what=what) - before[what] for what in before}
    assert after == {"asked": 3, "spared": 6, "drawn": 3}
    assert fixed.idle()


def test_a_stream_is_ended_by_the_policy_too(fixed: Served) -> None:
    messages = [{"role": "user", "content": "hello"}]
    *_, last = fixed.client.chat.completions.create(model="stand-in", messages=messages, stream=True)
    assert last.model_extra["tts"]["stopped_early"] == "3 were asked for"


def test_a_policy_stops_at_no_fewer_than_are_given_back(fixed: Served) -> None:
    answer = fixed.ask("hello", n=5).json()
    assert len(answer["choices"]) == 5
    assert answer["tts"]["spared"] + answer["tts"]["cancelled"] >= 3


def test_a_policy_stops_at_no_fewer_than_there_must_be() -> None:
    with serving(config(9, stopping={"name": "fixed", "k": 1, "ahead": 0}, min_candidates=4), one_by_one()) as served:
        told = served.tts("hello")
        assert (told["sampled"], told["winner"], told["spared"]) == (4, 3, 5)


def test_lost_candidates_do_not_keep_a_policy_from_its_word() -> None:
    with serving(config(9, stopping={"name": "fixed", "k": 3, "ahead": 0}), one_by_one()) as served:
        told = served.tts("lose some")
        assert [c["index"] for c in told["candidates"]] == [0, 2, 4]
        assert served.ask("lose all").status_code == 502


@pytest.mark.parametrize("ahead", [0, 9])
def test_a_policy_that_compares_programs_runs_them_as_they_come(ahead: int) -> None:
    generator = one_by_one()
    with serving(config(9, stopping={"name": "adap", "first": 2, "ahead": ahead}), generator) as served:
        generator.held_from = 2  # what is asked for ahead does not end by itself
        tests = [{"input": "", "output": "x 1\n"}]
        told = served.tts("x", tts={"public_tests": tests})
        assert told["why"] == told["stopped_early"] == "candidate 2 of 2 passes the public tests"
        assert told["winner"] == 1
        under_way = min(ahead, 7)
        assert (told["sampled"], told["cancelled"], told["spared"]) == (2, under_way, 7 - under_way)
        assert served.idle() and served.metric("tts_candidates_total", what="cancelled") == under_way
        generator.held_from = None
        assert served.tts("x")["sampled"] == 9  # without tests nothing can pass any


def test_a_policy_s_bad_option_is_named() -> None:
    demo = Path(__file__).parent.parent / "configs" / "serve-demo.yaml"
    with pytest.raises(ConfigError, match=r"stopping\.confidence"):
        load_serve(demo, ["stopping={name: beta, confidnce: 0.9}"])
    assert load_serve(demo, ["stopping={name: beta, ahead: 16}"]).stopping.ahead == 16

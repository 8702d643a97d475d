"""The parts of the server: ranking, guards, admission, and the engine and generators as a server needs them."""

import asyncio
import math
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from standins import Moody, Rating, Stepping, Talking, problem, sampled, wanted

from tts import config as configs
from tts import plugins
from tts.engine import Drawn, Engine, Rated
from tts.errors import ConfigError, InfraError, PromptError
from tts.generate.transformers import Transformers
from tts.serving.admission import Admission
from tts.serving.choosing import choose
from tts.serving.guard import FAILED, GuardedGenerator, GuardedScorer, Lost, failed
from tts.serving.pump import Pump
from tts.serving.refusals import Names, Refusal, of_loss
from tts.types import Candidate, Message, Pool, Problem, Sampling, Score

# Ranking.


def pool_of(scores):
    candidates = tuple(Candidate("p", i, "", "pass", "given") for i in range(len(scores)))
    return Pool(problem("p"), candidates, tuple(Score("p", i, value) for i, value in enumerate(scores)))


scores = st.lists(st.none() | st.sampled_from([-2.0, 0.0, 1.0, 3.5]), min_size=1, max_size=7)


@given(scores, st.integers(1, 9))
def test_argmax_s_ranking_is_the_order_of_its_keys(values, count):
    selector = plugins.build("selector", "argmax")
    found = choose(selector, pool_of(values), count)
    keys = selector.rank_key(found.pool)
    expected = sorted(range(len(values)), key=lambda i: (tuple(keys[i]), -i), reverse=True)[:count]
    assert list(found.ranking) == expected


@given(scores, st.integers(1, 9), st.sampled_from(["random", "majority", "weighted_vote", "threshold"]))
def test_a_ranking_begins_with_the_selector_s_choice_and_names_nobody_twice(values, count, name):
    selector, pool = plugins.build("selector", name), pool_of(values)
    found, first = choose(selector, pool, count), selector.select(pool)
    if first.position is None:
        assert found.ranking == () and found.best is None and found.score is None
    else:
        assert found.ranking[0] == first.position
        assert len(set(found.ranking)) == len(found.ranking) == min(count, len(values))
    assert found.why == first.why


@given(scores)
def test_the_margin_is_to_the_best_of_the_others(values):
    found = choose(plugins.build("selector", "argmax"), pool_of(values), 1)
    others = [value for i, value in enumerate(values) if i != found.ranking[0] and value is not None]
    mine = values[found.ranking[0]]
    assert found.margin == (None if mine is None or not others else mine - max(others))


# Guards.


def told(text: str) -> Problem:
    return Problem(text, text, (Message("user", text),))


def everything(generator):
    found = []
    while generator.unfinished:
        found += generator.step()
    return {candidate.key: candidate for candidate in found}


def test_a_problem_that_is_refused_loses_its_own_candidates_only():
    guarded = GuardedGenerator(Talking())
    guarded.add([(told("fine"), 0), (told("refuse me"), 0), (told("refuse me"), 1), (told("other"), 0)])
    found = everything(guarded)
    lost = {key for key, candidate in found.items() if isinstance(candidate, Lost)}
    assert lost == {("refuse me", 0), ("refuse me", 1)}
    assert isinstance(found["refuse me", 0].error, PromptError)
    assert set(found) - lost == {("fine", 0), ("other", 0)}


def test_a_generator_that_breaks_is_closed_and_starts_anew():
    inner = Talking()
    guarded = GuardedGenerator(inner)
    guarded.add([(told("break"), 0), (told("beside"), 0)])
    found = everything(guarded)
    assert all(isinstance(candidate, Lost) for candidate in found.values()) and len(found) == 2
    assert isinstance(guarded.failure, InfraError)
    assert inner.log.entries[-1] == "close generator"
    guarded.add([(told("after"), 0)])
    assert not isinstance(everything(guarded)["after", 0], Lost)
    assert guarded.failure is None


def test_what_is_aborted_is_not_given_back_lost_or_not():
    guarded = GuardedGenerator(Talking())
    guarded.add([(told("refuse me"), 0), (told("a"), 0), (told("b"), 0)])
    guarded.abort({("refuse me", 0), ("a", 0)})
    assert set(everything(guarded)) == {("b", 0)}


@given(st.lists(st.sampled_from(["fine", "scorer dies"]), max_size=6))
def test_a_guarded_scorer_scores_every_pair_whatever_happens(texts):
    guarded = GuardedScorer("moody", Moody())
    pairs = [(told(text), sampled(text, i)) for i, text in enumerate(texts)]
    found = list(guarded.score(pairs))
    assert sorted(score.key for score in found) == sorted(candidate.key for _, candidate in pairs)
    dead = texts.index("scorer dies") if "scorer dies" in texts else len(texts)
    assert [failed(score) for score in sorted(found, key=lambda s: s.index)] == [i >= dead for i in range(len(texts))]
    assert bool(guarded.failure) == (dead < len(texts))


class Lending(Talking):
    """A generator whose weights are a new object each time that it loads."""

    weights = None

    def lend(self, model, device, dtype):
        self.weights = self.weights or object()
        return self.weights if model == "mine" else None

    def close(self):
        self.weights = None
        super().close()


@dataclass
class Borrowing(Rating):
    """A scorer that has the generator's weights if its model is the generator's, else its own."""

    model: str = "mine"
    lender: Any = None
    weights: Any = None

    def borrow(self, generator):
        self.lender = generator

    def score(self, pairs):
        self.weights = self.weights or self.lender.lend(self.model, "cpu", "float32") or "its own"
        return super().score(pairs)

    def close(self):
        self.weights = self.lender = None
        super().close()


def test_a_scorer_behind_its_guard_shares_the_weights_of_the_generator_behind_its_own():
    generator, scorer, other = Lending(), Borrowing(), Borrowing(model="another", name="other")
    scorers = {label: GuardedScorer(label, one) for label, one in (("mine", scorer), ("another", other))}
    with Engine(GuardedGenerator(generator), scorers) as engine:
        engine.submit([(told("fine"), 0)])
        drained(engine)
        assert scorer.weights is generator.weights is not None
        assert other.weights == "its own"
        engine.submit([(told("break"), 0)])
        drained(engine)
        engine.submit([(told("after"), 0)])
        drained(engine)
        assert scorer.weights is generator.weights is not None  # the new ones: the old ones are in memory no more
        assert "close other" not in other.log.entries


@dataclass
class Noting(Rating):
    """A scorer that says once how it runs."""

    notes: list[str] = field(default_factory=list)

    def score(self, pairs):
        self.notes = ["it scored with half the tokens"]
        return super().score(pairs)


def test_what_models_say_of_how_they_run_is_logged_once(caplog):
    generator = Talking()
    generator.notes = ["the upstream refuses seed"]
    with caplog.at_level("INFO", "tts.serve"):
        guarded = GuardedGenerator(generator)
        for name in ("a", "b"):
            guarded.add([(told(name), 0)])
            everything(guarded)
        scorer = GuardedScorer("noting", Noting())
        for name in ("a", "b"):
            list(scorer.score([(told(name), sampled(name, 0))]))
    assert caplog.messages == ["the upstream refuses seed", "it scored with half the tokens"]


def test_only_the_scorer_s_own_failure_is_one():
    assert failed(Score("p", 0, None, FAILED + "x"))
    assert not failed(Score("p", 0, None, "no code"))
    assert not failed(Score("p", 0, 1.0))


# Admission.


@pytest.mark.parametrize(("concurrency", "queue"), [(1, 0), (2, 3), (4, 1)])
def test_so_many_run_so_many_wait_and_the_rest_is_refused(concurrency, queue):
    async def check():
        admission, leave, order, most = Admission(concurrency, queue), asyncio.Event(), [], 0

        async def visit(i):
            nonlocal most
            async with admission.place():
                most = max(most, admission.running)
                order.append(i)
                await leave.wait()

        visits = []
        for i in range(concurrency + queue + 2):
            visits.append(asyncio.ensure_future(visit(i)))
            await asyncio.sleep(0)
        assert (admission.running, admission.waiting) == (concurrency, queue)
        leave.set()
        ended = await asyncio.gather(*visits, return_exceptions=True)
        assert [isinstance(end, Refusal) for end in ended] == [False] * (concurrency + queue) + [True] * 2
        assert order == sorted(order) and most == concurrency
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(check())


def test_when_to_come_back_is_as_far_as_the_queue_is_long():
    async def check():
        admission = Admission(2, 10)
        for _ in range(200):
            admission.took(8.0)
        assert admission.retry_after == 4
        admission.waiting = 3
        assert admission.retry_after == 16
        first, begun = Admission(1, 0), time.monotonic()  # none was ever answered, and one takes long
        async with first.place():
            await asyncio.sleep(1.1)
            told, held = first.retry_after, time.monotonic() - begun
            assert 2 <= told <= math.ceil(held)
        assert 2 <= first.retry_after <= math.ceil(1 + (time.monotonic() - begun - 1) / 10)  # the first second's mean

    asyncio.run(check())


# The engine.


def drained(engine):
    found = []
    while engine.busy:
        found += engine.poll(30)
    return found


def test_an_engine_scores_with_the_scorers_that_are_asked_for():
    a, b = Rating(), Rating()
    with Engine(Stepping(), {"a": a, "b": b}) as engine:
        engine.submit(wanted(2, 3), scorers={"b"})
        found = drained(engine)
    assert len([event for event in found if isinstance(event, Drawn)]) == 6
    assert {event.scorer for event in found if isinstance(event, Rated)} == {"b"}
    assert a.scored == [] and len(b.scored) == 6


def test_an_engine_keeps_nothing_of_a_problem_that_is_done_with():
    with Engine(Stepping(), {"a": Rating()}) as engine:
        engine.submit(wanted(3, 4))
        drained(engine)
        engine.submit(wanted(2, 50))
        engine.poll(30)
        engine.cancel({(one.id, index) for one, index in wanted(2, 50)})
        assert not engine.busy
        desk = engine._desk
        held = (desk._problems, desk._drawing, desk._left, desk._raters, desk._owed, desk._wanted)
        assert not any(held) and not any(desk._waiting.values())


def test_others_may_submit_and_cancel_while_one_polls():
    """Threads submit problems of their own and cancel some; each gets all of what it kept, and nothing else comes."""
    with Engine(Stepping(seconds=0.0005), {"a": Rating()}) as engine:
        engine.submit([(problem("first"), 0)])
        kept, stop = set(), threading.Event()

        def work(name):
            for i in range(20):
                mine = [(problem(f"{name}-{i}"), index) for index in range(3)]
                engine.submit(mine)
                if i % 4 == 0:
                    engine.cancel({(one.id, index) for one, index in mine})
                else:
                    kept.update((one.id, index) for one, index in mine)

        threads = [threading.Thread(target=work, args=(name,)) for name in "xyz"]
        for thread in threads:
            thread.start()
        found = []
        while any(thread.is_alive() for thread in threads) or engine.busy:
            found += engine.poll(0.05)
        stop.set()
    drawn = [event.candidate.key for event in found if isinstance(event, Drawn)]
    rated = [event.score.key for event in found if isinstance(event, Rated)]
    assert len(set(drawn)) == len(drawn) and len(set(rated)) == len(rated)
    assert kept <= set(drawn) and kept <= set(rated)


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_pump_whose_event_loop_is_gone_ends_without_a_word():
    with Engine(Stepping(seconds=0.05), {}) as engine:
        pump = Pump(engine, lambda: None)

        async def begin():
            pump.start()
            pump.submit(problem("p"), range(40), (), lambda _: None)

        asyncio.run(begin())
        while engine.busy and pump._thread.is_alive():
            time.sleep(0.01)
        pump.stop()
        assert not pump._thread.is_alive() and pump.broken is None


# The transformers generator, sampled by the problem and in fixed slots.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.causal(tmp_path_factory.mktemp("causal"), "Llama"))


def transformers(folder, **more):
    return Transformers(**{"model": folder, "dtype": "float32", "max_tokens": 12, "seed": 3} | more)


def drawn(generator, pairs):
    return {c.key: c for c in generator.generate(pairs)}


def test_a_problem_is_sampled_as_it_says_beside_others_that_say_nothing(folder):
    own = Sampling(temperature=0.0, max_tokens=5)
    mixed = [(told("say a"), i) for i in range(3)]
    mixed += [(Problem("own", "say b", told("say b").messages, sampling=own), i) for i in range(2)]
    found = drawn(transformers(folder), mixed)
    greedy = drawn(transformers(folder, temperature=0.0, max_tokens=5), [(told("say b"), 0)])["say b", 0]
    alone = drawn(transformers(folder), mixed[:3])
    assert {found["own", i].text for i in range(2)} == {greedy.text}
    assert all(found["own", i].tokens <= 5 for i in range(2))
    assert {key: found[key].text for key in alone} == {key: c.text for key, c in alone.items()}


def test_a_chat_that_the_model_s_template_refuses_loses_its_own_candidates_only(tmp_path):
    tiny.causal(tmp_path, "Llama")
    refuses = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role.') }}{% endif %}"
    tiny.save_tokenizer(tmp_path, refuses + tiny.TEMPLATE)
    guarded = GuardedGenerator(transformers(str(tmp_path)))
    guarded.add([(told("say a"), 0)])
    guarded.add([(Problem("other", "say b", (Message("system", "Be brief."), *told("say b").messages)), 0)])
    found = {}
    while guarded.unfinished:
        found |= {candidate.key[0]: candidate for candidate in guarded.step()}
    told_of = of_loss(found["other"].error, Names())
    assert (told_of.status, told_of.param) == (400, "messages") and "No system role" in told_of.message
    assert guarded.closings == 0 and not isinstance(found[told("say a").id], Lost)


def test_a_seed_of_a_problem_s_own_decides_whatever_it_is_called(folder):
    def text(name, seed):
        asked = Problem(name, "say", told("say").messages, sampling=Sampling(seed=seed))
        return drawn(transformers(folder), [(asked, 0)])[name, 0].text

    assert text("one", 5) == text("two", 5) != text("one", 6)


def test_in_fixed_slots_what_comes_later_joins_the_batch_that_runs(folder):
    generator = transformers(folder, slot_tokens=128, batch_size=6, max_tokens=20)
    generator.add([(told("x"), 0)])
    generator.step()
    batch = generator.running.batch
    generator.add([(told("a longer one than the first"), i) for i in range(3)])
    generator.step()
    generator.step()
    assert generator.running.batch is batch and not generator.running.waiting
    assert batch.slots.count == 6 and batch.slots.active == 4
    with pytest.raises(PromptError, match=r"generator\.slot_tokens of 128"):
        generator.add([(told("y" * 200), 0)])


def test_fixed_slots_change_no_text(folder):
    pairs = [(told(f"say {i}"), index) for i in range(3) for index in range(2)]
    fixed, free = (drawn(transformers(folder, slot_tokens=size), pairs) for size in (100, None))
    assert {key: c.text for key, c in fixed.items()} == {key: c.text for key, c in free.items()}


def test_a_problem_without_messages_is_continued_as_it_stands(folder):
    generator = transformers(folder)
    assert generator.prompt_tokens(Problem("raw", "def f(", ())) == generator.loaded[1]("def f(")["input_ids"]


# Its config.


def test_a_run_s_config_serves_too(tmp_path):
    text = "benchmark: mini\nks: [1, 2]\ngenerator: {name: transformers, n: 4}\nscorer: length\nselectors: [argmax]\n"
    (tmp_path / "c.yaml").write_text(text)
    found = configs.load_serve(tmp_path / "c.yaml", ["serve.max_n=8", "generator.n=8"])
    assert (found.generator.n, found.serve.max_n, found.scorers[0].label) == (8, 8, "length")


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("serve.max_m=3", "Did you mean 'serve.max_n'"),
        ("serve.max_n=0", "serve.max_n"),
        ("serve.max_n=2", "generator.n is 4"),
        ("serve.deadline=.nan", "serve.deadline"),
        ("serve.fallback=argmx", "Did you mean 'argmax'"),
        ("serve.min_candidates=99", "serve.min_candidates is 99"),
        ("selectors=[argmax, argmax]", "two of one label"),
        ("generator.temprature=1", "generator.temperature"),
    ],
)
def test_a_bad_option_of_serve_is_named(tmp_path, override, word):
    (tmp_path / "c.yaml").write_text("generator: {name: transformers, n: 4}\nscorer: length\nselectors: [argmax]\n")
    with pytest.raises(ConfigError) as caught:
        configs.load_serve(tmp_path / "c.yaml", [override])
    assert word in str(caught.value)

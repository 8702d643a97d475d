"""What clients are told, and not told, where something fails under their requests; what a failure may not pass over."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import MODEL, Served, config, metric, serving
from standins import PATIENCE_SECONDS, Counting, Rating, Stepping, Talking, problem, sampled, until
from test_server import process, silence

from tts import plugins
from tts.engine import Drawn, Engine, Rated
from tts.errors import InfraError, UpstreamError
from tts.serving.choosing import choose
from tts.serving.guard import GuardedGenerator, GuardedScorer, Lost
from tts.serving.order import Order, Wish
from tts.serving.pump import Pump
from tts.serving.refusals import Names, Refusal, brief, of_loss
from tts.serving.service import Service
from tts.types import Candidate, Key, Pool, Problem, Score, Selection

SECRET = "/root/engine.log"
DIED = InfraError(f"The engine died. The end of its log, {SECRET}:\nSECRET LINE")
VALUES = st.lists(st.none() | st.sampled_from([-2.0, 0.0, 1.0, 3.5]), min_size=1, max_size=7)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server for all tests that ask it only."""
    with serving() as found:
        yield found


# A threshold is kept by whoever chooses.


@given(VALUES, st.integers(1, 9), st.sampled_from([-3.0, 0.0, 2.0, 9.0]), st.integers(0, 6))
def test_nobody_under_the_threshold_is_given_back(
    values: list[float | None], count: int, threshold: float, settled: int
) -> None:
    candidates = tuple(Candidate("p", i, "", "pass", "given") for i in range(len(values)))
    pool = Pool(problem("p"), candidates, tuple(Score("p", i, value) for i, value in enumerate(values)))
    least = {"name": "threshold", "mode": "absolute", "value": threshold, "then": "argmax"}
    first = Selection(settled % len(values), "the policy said so")
    found = choose(plugins.build("selector", least), pool, count, first, threshold)
    enough = [i for i, value in enumerate(values) if value is not None and value >= threshold]
    assert len(found.ranking) == min(count, len(enough)) and set(found.ranking) <= set(enough)
    if first.position in enough:
        assert found.ranking[0] == first.position


def test_of_three_choices_only_those_over_the_threshold_are_given_back(served: Served) -> None:
    answer = served.ask(n=3, tts={"threshold": 1.5}).json()  # scored 0, 1, 2 and 3
    ranks = {c["rank"]: c["score"] for c in answer["tts"]["candidates"] if c["rank"] is not None}
    assert ranks == {0: 3.0, 1: 2.0} and len(answer["choices"]) == 2


# What stays in the server's log.


class Dying:
    """A scorer of which the engine died."""

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Nothing."""
        raise DIED
        yield


def test_a_dead_scorer_s_log_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    (score,) = GuardedScorer("dying", Dying()).score([(problem("p"), sampled("p", 0))])
    assert score.why.endswith("The engine died") and "SECRET LINE" in caplog.text


class Wordy:
    """A scorer whose second score is a text."""

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """A number, then none."""
        for i, (_, candidate) in enumerate(pairs):
            yield Score(*candidate.key, 0.5 if i == 0 else "high")  # type: ignore[arg-type]


def test_a_scorer_that_gives_a_text_fails_alone() -> None:
    found = list(GuardedScorer("wordy", Wordy()).score([(problem("p"), sampled("p", i)) for i in range(3)]))
    assert [score.value for score in found] == [0.5, None, None]
    assert all("high" in score.why for score in found[1:])


def test_a_lost_candidate_s_log_is_not_told() -> None:
    assert of_loss(DIED, Names()).message == "The model failed: The engine died. The log has more."
    wish = Wish(problem("p"), 2, 1, "s", "random", plugins.build("selector", "random"), None)
    order = Order(wish)
    order.step()
    order.hear([Drawn(Lost("p", 0, "", error=DIED)), Drawn(sampled("p", 1))])
    with serving() as served:
        asyncio.run(served.service._decider.decide(order, "deadline", 1e9))
    assert "The engine died" in order.degraded[0][1] and not re.search(f"SECRET|{SECRET}", str(order.degraded))


def test_an_upstream_s_address_is_not_told() -> None:
    error = UpstreamError("The server at http://10.0.0.7 refused (400): no such role.", 400, "no such role")
    assert of_loss(error, Names()).message == "The upstream server refused: no such role"


@dataclass
class Losing:
    """A scorer that cannot open what it needs."""

    path: str

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Nothing."""
        raise RuntimeError(f"cannot open {self.path}")
        yield


@pytest.mark.parametrize(
    "secret", ["http://10.0.0.7:8000/v1", "https://u:p@host/v1?key=1", "/root/model.bin", "~/keys", "10.0.0.7:8000"]
)
def test_places_are_not_told(secret: str) -> None:
    """Wherever in the first sentence they are."""
    for text in (f"The server at {secret} did not answer.", f"No {secret!r}, it says.", f"{secret}: no such file"):
        assert secret not in brief(InfraError(text)) and secret not in brief(UpstreamError(text))
    (score,) = GuardedScorer("lost", Losing(secret)).score([(problem("p"), sampled("p", 0))])
    assert secret not in score.why and "cannot open" in score.why


@pytest.mark.parametrize("text", ["3 tokens/s and 5 / 3", "either/or", "of 12.5 it took 1.25"])
def test_what_is_no_place_is_told(text: str) -> None:
    assert brief(InfraError(text)) == text


def test_whoever_asks_whether_it_is_ready_is_not_told_what_the_upstream_said() -> None:
    class Refusing(Talking):
        """Its server is down, and talks."""

        def lost(self) -> dict[Key, Any]:
            return {
                key: UpstreamError("The server at http://10.0.0.7 refused (500): " + SECRET, 500)
                for key in super().lost()
            }

    with serving(generator=Refusing(width=64, steps=2)) as served:
        assert served.ask("lose all").status_code == 502
        answer = httpx.get(f"{served.url}/ready", timeout=PATIENCE_SECONDS)
    assert answer.status_code == 503
    assert (
        answer.json()["error"]["message"] == "Not ready: the model failed: the upstream server failed with status 500."
    )


@pytest.mark.parametrize(("status", "told"), [(400, 400), (403, 400), (401, 502), (404, 502), (None, 502)])
def test_an_upstream_s_refusal_is_the_client_s_where_it_is_about_what_it_asked(status: int | None, told: int) -> None:
    assert of_loss(UpstreamError("no", status, "no"), Names()).status == told


@given(st.text())
def test_what_is_told_of_a_failure_is_one_line(text: str) -> None:
    told = brief(InfraError(text))
    assert told and not told.endswith(".") and "\n" not in told
    assert len(told) <= 200


# One that fails is no other's failure.


class Stuck(Stepping):
    """A generator whose engine is dead when it is told to drop something."""

    def abort(self, keys: Any) -> None:
        """Raises."""
        raise RuntimeError("the engine is dead")


def test_a_generator_that_breaks_when_something_is_dropped_takes_only_itself_along() -> None:
    guarded = GuardedGenerator(Stuck(steps=9))
    guarded.add([(problem("a"), 0), (problem("b"), 0)])
    guarded.abort({("a", 0)})
    (lost,) = guarded.step()
    assert isinstance(lost, Lost) and lost.key == ("b", 0)
    assert guarded.failure is not None


@pytest.mark.parametrize(
    ("status", "down"), [(None, True), (503, True), (401, True), (404, True), (400, False), (403, False)]
)
def test_an_upstream_that_answers_nobody_makes_the_server_not_ready_until_it_answers(
    status: int | None, down: bool
) -> None:
    @dataclass
    class Upstream(Talking):
        def lost(self) -> dict[Key, Any]:
            return {key: UpstreamError("it is down", status) for key in super().lost()}

    guarded = GuardedGenerator(Upstream())
    guarded.add([(problem("lose all"), 0)])
    while guarded.unfinished:
        guarded.step()
    assert (guarded.failure is not None) is down
    guarded.add([(problem("fine"), 0)])
    while guarded.unfinished:
        guarded.step()
    assert guarded.failure is None


def test_a_bug_in_what_a_request_hears_is_its_own_end() -> None:
    def watch(*_: object) -> None:
        raise RuntimeError("the stand-in has a bug")

    wish = Wish(problem("p"), 2, 1, "s", "random", plugins.build("selector", "random"), None)
    order = Order(wish, watch)
    order.step()
    order.hear([Drawn(sampled("p", 0)), Drawn(sampled("p", 1))])
    with pytest.raises(Refusal) as caught:
        asyncio.run(order.news(60))
    assert caught.value.code == "internal_error"
    assert order.coming == 0  # so that nobody waits to be told of the second


def one_candidate() -> Order:
    """A request for one, which is asked for."""
    order = Order(Wish(problem("p"), 1, 1, "s", "random", plugins.build("selector", "random"), None))
    order.step()
    return order


@pytest.mark.parametrize("steps", range(5))
def test_who_hangs_up_just_as_something_comes_has_hung_up(steps: int) -> None:
    async def hang_up() -> tuple[bool, bool]:
        order = one_candidate()
        order.drawn_at = time.monotonic()
        waiting = asyncio.create_task(order.news(60))
        await asyncio.sleep(0.01)
        order.hear([])
        for _ in range(steps):
            await asyncio.sleep(0)
        in_time = waiting.cancel()
        await asyncio.wait([waiting])
        return in_time, waiting.cancelled()

    in_time, cancelled = asyncio.run(hang_up())
    assert in_time == cancelled


def test_a_score_that_has_come_is_not_late_though_it_was_long_until_somebody_looked() -> None:
    order = one_candidate()
    order.hear([Drawn(sampled("p", 0)), Rated("s", Score("p", 0, 1.0))])
    assert order.drawn_at is not None
    order.drawn_at -= 100  # as after programs that ran for so long
    assert asyncio.run(order.news(60))


def accounted(told: Mapping[str, int]) -> int:
    """Of how many candidates an answer says what became of them."""
    return sum(told[what] for what in ("sampled", "cancelled", "spared", "lost"))


def test_nothing_reaches_a_request_that_is_over_though_it_was_on_its_way() -> None:
    async def run() -> tuple[int, int]:
        order = one_candidate()
        with Engine(Stepping(), {}) as engine:
            pump = Pump(engine, lambda: None)
            pump.submit(problem("p"), [0], (), order.hear)
            pump._deliver([Drawn(replace(sampled("p", 0), tokens=7))])
            order.close(lambda _: pump.close("p"))
            cancelled = order.coming
            await asyncio.sleep(0)
            assert not pump._sinks and order.cancelled_tokens == 7
        return len(order.candidates), cancelled

    assert asyncio.run(run()) == (0, 1)


@pytest.mark.parametrize(("least", "status"), [(2, 200), (3, 502)])
def test_of_choices_that_were_lost_the_others_are_given_back_if_as_many_came_as_must(least: int, status: int) -> None:
    with serving(config(min_candidates=least)) as served:
        answer = served.ask("lose some", n=4)
    assert answer.status_code == status
    if status == 200:
        assert len(answer.json()["choices"]) == 2 and "2 of 4" in answer.json()["tts"]["degraded"][0]


@dataclass
class Brief(Talking):
    """Has a limit of its own."""

    max_tokens: int = 4


@pytest.mark.parametrize(
    ("generator", "most", "asked", "got"),
    [(Talking, 5, None, 5), (Brief, 5, None, None), (Brief, 3, None, 3), (Brief, 5, 5, 5), (Brief, None, None, None)],
    ids=str,
)
def test_the_smaller_of_two_limits_counts_for_one_who_names_none(
    generator: type[Talking], most: int | None, asked: int | None, got: int | None
) -> None:
    with serving(config(max_tokens=most), generator(width=64, steps=1)) as served:
        assert served.ask(max_tokens=asked).status_code == 200
        one, _ = served.generator.asked[-1]
    assert one.sampling is not None and one.sampling.max_tokens == got


@pytest.mark.parametrize(
    "more",
    [
        {"tts": {"public_tests": None}},
        {"tts": {"return_candidates": None}},
        {"tts": None, "stop": None, "seed": None},
        {"tts": {"else": None}},
        {"stream": True, "stream_options": {"include_usage": None}},
    ],
    ids=str,
)
def test_null_asks_for_nothing_wherever_it_is(served: Served, more: dict[str, Any]) -> None:
    assert served.ask(**more).status_code == 200


@pytest.mark.parametrize("name", ["model", "messages"])
def test_null_is_refused_where_something_must_be_said(served: Served, name: str) -> None:
    answer = served.ask(**{name: None})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


@pytest.mark.parametrize(
    ("text", "select", "counted"),
    [("hi", "majority", ""), ("lose some", "argmax", "generator"), ("scorer dies", "majority", "scorer")],
)
def test_what_an_answer_says_that_it_was_degraded_by_is_what_is_counted(text: str, select: str, counted: str) -> None:
    with serving() as served:
        assert bool(served.tts(text, tts={"select": select})["degraded"]) == bool(counted)
        assert served.ask("scorer dies").status_code == 503  # which is no answer
        for what in ("generator", "scorer", "sandbox", "deadline"):
            assert served.metric("tts_degraded_total", what=what) == (what == counted)


def test_the_tokens_of_a_request_that_failed_are_counted_too() -> None:
    with serving() as served:
        assert served.ask("scorer dies").status_code == 503
        counts = [served.metric("tts_tokens_total", kind=kind) for kind in ("prompt", "completion")]
    assert counts == [len("scorer dies"), 10 + 11 + 12 + 13]


def test_an_answer_accounts_for_each_candidate_that_was_asked_for() -> None:
    generator = Talking(width=4, steps=1)
    with serving(config(24, selectors=["majority"]), generator) as served, ThreadPoolExecutor(8) as pool:
        told = list(pool.map(served.tts, ["alike", "lose some alike", "hi"] * 16))
    assert [accounted(one) for one in told] == [one["n"] for one in told]


def test_an_answer_accounts_for_each_token_that_was_sampled_for_it() -> None:
    generator = Counting(width=4, steps=3, seconds=0.001)
    with serving(config(24, selectors=["majority"]), generator) as served, ThreadPoolExecutor(8) as pool:
        answers = [answer.json() for answer in pool.map(served.ask, ["alike", "lose some alike", "hi"] * 16)]
        assert until(lambda: all_counted(served, generator))
    for answer in answers:
        tokens, run = answer["tts"]["tokens"], answer["tts"]["run"]
        whole = sum(candidate["tokens"] for candidate in answer["tts"]["candidates"])
        assert answer["usage"]["completion_tokens"] == tokens["sampled"] == whole + (tokens["cancelled"] or 0)
        if tokens["cancelled"] is not None:  # None on a machine that stalls for half a second
            assert tokens["sampled"] == sum(many for key, many in generator.drawn_of.items() if key[0] == run)


def all_counted(served: Served, generator: Counting) -> bool:
    """Whether each token that was drawn for a request is counted, and nobody listens for more."""
    drawn = sum(tokens for key, tokens in generator.drawn_of.items() if key[0] != "warm-up")
    return served.metric("tts_tokens_total", kind="completion") == drawn and not served.service._pump._sinks


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_drawn_of_candidates_that_the_deadline_cancels_is_in_the_usage(stream: bool) -> None:
    generator = Counting(width=64, steps=2, seconds=0.002)
    with serving(config(n=8, selectors=["majority"], deadline=3.0, min_candidates=2), generator) as served:
        generator.held_from = 2
        answer = served.ask(stream=stream, stream_options={"include_usage": True} if stream else None)
        last = json.loads(answer.text.split("data: ")[-2]) if stream else answer.json()
        assert until(lambda: all_counted(served, generator))
        assert last["usage"]["completion_tokens"] == served.metric("tts_tokens_total", kind="completion") > 8 * 2


def test_what_was_drawn_for_one_who_hangs_up_is_counted() -> None:
    generator = Counting(width=64, steps=2, seconds=0.002)
    with serving(generator=generator) as served:
        with silence(served):
            assert until(lambda: generator.drawn_of.total() > 4 * 2)
        assert until(lambda: all_counted(served, generator))
        assert served.metric("tts_tokens_total", kind="completion") > 0


def test_an_answer_does_not_wait_for_long_to_hear_what_was_drawn() -> None:
    """As where a generator is in the midst of a step that takes minutes."""
    go_on = threading.Event()

    class Slow(Counting):
        def abort(self, keys: Collection[Key]) -> dict[Key, int]:
            go_on.wait()
            return super().abort(keys)

    generator = Slow(width=1, steps=1, held_from=2)
    with serving(config(n=3, selectors=["majority"]), generator) as served:
        try:
            answer = served.ask("alike").json()
            assert (answer["tts"]["sampled"], answer["tts"]["tokens"]["cancelled"]) == (2, None)
            assert answer["usage"]["completion_tokens"] == answer["tts"]["tokens"]["sampled"] == 2
        finally:
            go_on.set()
        assert until(lambda: all_counted(served, generator))


NO_COUNTS = [None, "many", float("nan"), -5, 10**400, 7.5]


@pytest.mark.parametrize("nonsense", NO_COUNTS, ids=lambda count: str(count)[:9])
def test_a_count_that_is_none_is_not_known_and_costs_nobody_anything(nonsense: Any, caplog: Any) -> None:
    class Confused(Talking):
        def abort(self, keys: Collection[Key]) -> Any:
            super().abort(keys)
            return dict.fromkeys(keys, nonsense)

        def _said(self, candidate: Candidate) -> Candidate:
            return replace(super()._said(candidate), tokens=nonsense, prompt_tokens=nonsense)

    with serving(config(n=3, selectors=["majority"]), Confused(width=1, steps=1, held_from=2)) as served:
        answer = served.ask("alike").json()
        assert answer["tts"]["tokens"] == {"winner": None, "sampled": 0, "cancelled": None}
        assert answer["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        assert served.idle() and served.service.trouble == ""
    assert "Traceback" not in caplog.text


def test_a_generator_that_tells_no_counts_at_all_of_what_it_dropped_ends_no_server() -> None:
    class Confused(Talking):
        def abort(self, keys: Collection[Key]) -> Any:
            super().abort(keys)
            return True

    with serving(config(n=3, selectors=["majority"]), Confused(width=1, steps=1, held_from=2)) as served:
        assert served.tts("alike")["tokens"]["cancelled"] is None
        served.generator.held_from = None
        assert served.ask().status_code == 200


class Nonsense(Talking):
    """Its log probabilities are no numbers."""

    def _said(self, candidate: Candidate) -> Candidate:
        return replace(super()._said(candidate), logprob=float("nan"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_log_probability_that_is_no_number_is_null(stream: bool) -> None:
    with serving(config(), Nonsense(width=64, steps=2)) as served:
        answer = served.ask(tts={"return_candidates": True}, stream=stream)
        assert answer.status_code == 200 and '"logprob":null' in answer.text and "NaN" not in answer.text


# What OpenAI's clients look at.


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("refuse me", {}),
        ("lose all", {}),
        ("lose all", {"stream": True}),
        ("hi", {"model": "other"}),
        ("hi", {"n": 99}),
    ],
    ids=str,
)
def test_a_refusal_has_the_run_s_id_and_its_time(served: Served, text: str, more: dict[str, Any]) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}]}
    answer = served.post(body | more)
    assert answer.status_code >= 400
    assert answer.headers["X-Request-Id"].startswith("chatcmpl-")
    assert float(answer.headers["X-Tts-Total-Seconds"]) >= 0


def test_a_bug_s_answer_and_its_traceback_have_the_run_s_id(caplog: pytest.LogCaptureFixture) -> None:
    with serving(config(selectors=[{"name": "standins:Buggy", "label": "buggy"}])) as served:
        answer = served.ask()
    assert answer.status_code == 500 and float(answer.headers["X-Tts-Total-Seconds"]) >= 0
    assert f"A bug ended {answer.headers['X-Request-Id']}" in caplog.text


def test_what_is_no_request_has_no_run(served: Served) -> None:
    assert "X-Request-Id" not in served.ask(messages=[]).headers


def test_the_deadline_counts_from_the_arrival_of_the_request() -> None:
    async def ask() -> None:
        service = Service(config(deadline=600), Talking(), {"rating": Rating(), "likelihood": Rating()})
        one = Wish(problem("silent"), 1, 1, "rating", "argmax", service.selectors["argmax"], None)
        try:
            async with service.running():
                await service.answer(one, time.monotonic() - 1000)
        finally:
            service.close()

    with pytest.raises(Refusal) as caught:
        asyncio.run(ask())
    assert (caught.value.status, caught.value.code) == (504, "deadline")


def test_an_answer_s_seconds_count_from_the_arrival_of_the_request(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        body = json.dumps({"model": MODEL, "prompt": "hi"}).encode()
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        )
        connection.sendall(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")  # so it has arrived
        begun = time.monotonic()
        until(lambda: time.monotonic() > begun + 0.2)
        connection.sendall(body)
        answer = connection.makefile("rb").read()
    found = re.search(rb"x-tts-total-seconds: ([\d.]+)", answer, re.IGNORECASE)
    assert found is not None and float(found[1]) >= 0.2


@pytest.mark.parametrize("value", [0, 1, True])
def test_log_probabilities_of_a_continued_text_are_refused(served: Served, value: Any) -> None:
    answer = served.post({"model": MODEL, "prompt": "hi", "logprobs": value}, "completions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logprobs")


@pytest.mark.parametrize("wanted", [False, True])
def test_the_usage_is_null_until_the_last_chunk_where_it_is_asked_for(served: Served, wanted: bool) -> None:
    client = served.client.chat.completions
    more = {"stream_options": {"include_usage": True}} if wanted else {}
    chunks = list(client.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True, **more))
    told = [("usage" in chunk.model_fields_set, chunk.usage is None) for chunk in chunks]
    assert told == ([(True, True)] * (len(chunks) - 1) + [(True, False)] if wanted else [(False, True)] * len(chunks))


# Programs, and the end of the time to drain.


def with_tests(count: int, text: str) -> dict[str, Any]:
    """A request with so many tests, on each of which "slow programs" run out of time."""
    tests = [{"input": str(i), "output": "x"} for i in range(count)]
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "tts": {"public_tests": tests}}


RUNS_PROGRAMS = ("selectors=[majority]", "grading.timeout=1", "generator.seconds=0", "serve.max_public_tests=1000")


def test_requests_whose_programs_run_when_the_time_to_drain_is_over_are_told_so_and_do_not_hold_it(
    tmp_path: Path,
) -> None:
    with process(tmp_path, "serve.drain=1", *RUNS_PROGRAMS) as (running, url, _), ThreadPoolExecutor() as pool:
        body = with_tests(1000, "slow programs")  # which would take over a quarter of an hour
        asked = [
            pool.submit(httpx.post, f"{url}/v1/chat/completions", json=body | {"stream": streams}, timeout=60)
            for streams in (False, True)
        ]
        assert until(lambda: metric(url, "tts_requests_running") == 2)
        running.send_signal(signal.SIGTERM)
        whole, streamed = (one.result() for one in asked)
        assert ended(running) == (0, False)
    assert (whole.status_code, whole.json()["error"]["code"]) == (503, "draining")
    assert '"code":"draining"' in streamed.text


def test_a_body_that_is_still_read_at_the_server_s_end_does_not_hold_it(tmp_path: Path) -> None:
    with process(tmp_path, "serve.drain=600") as (running, url, _):
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 100")  # it waits for the body
            running.send_signal(signal.SIGTERM)
            answer = connection.makefile("rb").read()
        assert ended(running) == (0, False)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503") and json.loads(body)["error"]["code"] == "draining"


def test_programs_of_one_who_has_hung_up_do_not_keep_the_next_waiting(tmp_path: Path) -> None:
    with process(tmp_path, "serve.deadline=30", *RUNS_PROGRAMS) as (running, url, _):
        with closing(HTTPConnection(url.removeprefix("http://"))) as client:
            kind = {"Content-Type": "application/json"}
            client.request("POST", "/v1/chat/completions", json.dumps(with_tests(1000, "slow programs")), kind)
            assert until(lambda: psutil.Process(running.pid).children() != [])  # the sandbox's
        assert httpx.post(f"{url}/v1/chat/completions", json=with_tests(1, "fine"), timeout=60).status_code == 200


@pytest.mark.parametrize(("count", "status"), [(3, 200), (4, 400)])
def test_no_more_tests_are_run_than_may_be_brought(count: int, status: int) -> None:
    with serving(config(max_public_tests=3)) as served:
        tests = [{"input": "", "output": ""}] * count
        answer = served.ask(tts={"public_tests": tests, "select": "majority"})
        assert answer.status_code == status
        if status == 400:
            assert answer.json()["error"]["param"] == "tts.public_tests"


def ended(running: subprocess.Popen[str]) -> tuple[int, bool]:
    """A process's status, and whether it printed a traceback."""
    _, said = running.communicate(timeout=60)
    return running.returncode, "Traceback" in said

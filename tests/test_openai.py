"""The openai generator against a server that misbehaves in every way, and against vLLM's real one."""

import asyncio
import importlib.util
import json
import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import chat_server
import psutil
import pytest
import tiny
import yaml
from hypothesis import given
from hypothesis import strategies as st
from reward_server import serving_vllm
from served import metric, until
from standins import PATIENCE_SECONDS
from support import Small, bring_up, rows_of, small, tts  # noqa: F401

from tts.engine import Drawn, Engine
from tts.errors import ConfigError, UpstreamError
from tts.generate._choices import Ask, refused_option
from tts.generate._upstream import Upstream
from tts.generate.openai import OpenAI
from tts.generate.transformers import Transformers
from tts.seeds import seed_of
from tts.types import Candidate, Message, Problem, Sampling

Start = Callable[..., str]


def problem(name: str, text: str = "Print x.", **more: Any) -> Problem:
    return Problem(id=name, statement=text, messages=(Message("system", "Be brief."), Message("user", text)), **more)


P = problem("p")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers, which end with the test."""
    running = []

    def begin(mode: str, port: int = 0) -> str:
        server = chat_server.serving(mode, tmp_path / "log", port)
        running.append(server)
        return server.__enter__()

    yield begin
    for server in running:
        server.__exit__(None, None, None)


def generator(url: str, **options: Any) -> OpenAI:
    return OpenAI(**{"model": chat_server.MODEL, "base_url": url, "pause": 0.02, "retries": 4} | options)


def drawn(one: OpenAI, wanted: list[tuple[Problem, int]]) -> dict[tuple[str, int], Candidate]:
    try:
        found = list(one.generate(wanted))
    finally:
        one.close()
    assert len({candidate.key for candidate in found}) == len(found)
    return {candidate.key: candidate for candidate in found}


def until_it_fails(one: OpenAI, wanted: list[tuple[Problem, int]]) -> tuple[list[tuple[str, int]], str]:
    """(the keys of what came, what was said then)."""
    found = []
    try:
        for candidate in one.generate(wanted):
            found.append(candidate.key)
    except UpstreamError as error:
        return sorted(found), str(error)
    finally:
        one.close()
    raise AssertionError("nothing failed")


def asked(folder: Path) -> list[dict[str, Any]]:
    """The requests that came, in their order."""
    return [row for row in rows_of(folder / "log") if "body" in row]


def first(n: int, of: Problem = P) -> list[tuple[Problem, int]]:
    return [(of, index) for index in range(n)]


def test_a_server_that_is_waited_for_is_told_of_and_the_wait_may_be_ended(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        one = generator(f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", retries=100, pause=60)
        with ThreadPoolExecutor() as pool:
            starting = pool.submit(one.start, first(1))
            assert until(lambda: "is not ready" in caplog.text and "Trying again" in caplog.text)
            one.close()
            with pytest.raises(CancelledError):
                starting.result(timeout=10)


@pytest.mark.parametrize("mode", ["fine", "bare", "busy"])
@pytest.mark.parametrize("per_request", [1, 3, 100])
def test_every_candidate_comes_once_however_many_a_request_asks_for(start: Start, mode: str, per_request: int) -> None:
    wanted = first(7) + first(4, problem("q"))
    found = drawn(generator(start(mode), per_request=per_request, retries=30), wanted)
    assert set(found) == {(one.id, index) for one, index in wanted}
    assert len({candidate.text for candidate in found.values()}) == len(wanted)


def test_a_candidate_says_what_the_answer_said(start: Start) -> None:
    candidate = drawn(generator(start("fine")), first(1))["p", 0]
    seed = seed_of(0, "p", 0) % 2**31
    assert candidate == Candidate(
        "p", 0, f"```python\nprint({seed}, 0)\n```", prompt_tokens=7, tokens=4, logprob=-0.375, finish="stop"
    )


def test_what_is_sent(start: Start, tmp_path: Path) -> None:
    options = {"top_k": 5, "stop": ("END",), "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 3}
    more = {"limit_name": "max_completion_tokens", "extra": {"chat_template_kwargs": {"enable_thinking": False}}}
    drawn(generator(start("fine"), **options, **more, per_request=2), first(2))
    (request,) = asked(tmp_path)
    assert request["path"] == "/v1/chat/completions"
    assert request["body"] == {
        "model": chat_server.MODEL,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Print x."}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop": ["END"],
        "max_completion_tokens": 9,
        "n": 2,
        "seed": seed_of(3, "p", 0) % 2**31,
        "logprobs": True,
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_a_text_to_be_continued_goes_to_completions(start: Start, tmp_path: Path) -> None:
    raw = Problem("raw", "def add(", ())
    candidate = drawn(generator(start("fine")), [(raw, 0)])["raw", 0]
    assert (candidate.tokens, candidate.logprob) == (4, -0.375)
    (request,) = asked(tmp_path)
    assert request["path"] == "/v1/completions"
    assert (request["body"]["prompt"], request["body"]["logprobs"]) == ("def add(", 0)
    assert "messages" not in request["body"]


def test_a_problem_may_say_how_it_is_sampled(start: Start, tmp_path: Path) -> None:
    own = problem("own", sampling=Sampling(temperature=0.0, max_tokens=3, stop=("X",), seed=8))
    drawn(generator(start("fine"), seed=1), [(own, 0), (P, 0)])
    bodies = {row["body"]["temperature"]: row["body"] for row in asked(tmp_path)}
    assert (bodies[0.0]["max_tokens"], bodies[0.0]["stop"]) == (3, ["X"])
    assert bodies[0.0]["seed"] == seed_of(8, "", 0) % 2**31  # whatever the problem is called
    assert (bodies[0.8]["max_tokens"], bodies[0.8]["seed"]) == (1024, seed_of(1, "p", 0) % 2**31)


def test_a_sample_s_seed_depends_on_nothing_else_that_is_asked_for(start: Start) -> None:
    url = start("fine")
    few = drawn(generator(url), first(2))
    many = drawn(generator(url), first(2, problem("other")) + first(5)[::-1])
    assert all(many[key].text == candidate.text for key, candidate in few.items())


def test_no_more_requests_than_allowed_run_at_once(start: Start, tmp_path: Path) -> None:
    drawn(generator(start("slow"), concurrency=3), first(9))
    assert max(row["running"] for row in asked(tmp_path)) == 3


@pytest.mark.parametrize(
    ("mode", "word"),
    [("one_breaks", "CUDA error"), ("one_refused", "maximum context"), ("one_flagged", "input was flagged")],
)
def test_a_request_that_fails_for_good_loses_only_its_own_and_is_told_last(start: Start, mode: str, word: str) -> None:
    one = generator(start(mode), retries=1, concurrency=2)
    found, said = until_it_fails(one, [(problem("bad", "bad"), 0), *first(8)])
    assert found == [("p", index) for index in range(8)]
    assert said.startswith("1 candidate did not come, ('bad', 0) first")
    assert word in said and "run the same command again" in said


def test_a_problem_that_fails_again_and_again_gives_up_itself_and_no_other(start: Start, tmp_path: Path) -> None:
    one = generator(start("one_breaks"), retries=0, concurrency=1)
    found, said = until_it_fails(one, [*first(9, problem("bad", "bad")), *first(8)])
    assert found == [("p", index) for index in range(8)]
    assert said.startswith("9 candidates did not come")
    assert len(asked(tmp_path)) == 5 + 8


def test_a_server_that_fails_problem_after_problem_is_not_asked_for_the_others(start: Start, tmp_path: Path) -> None:
    one = generator(start("breaks"), retries=0, concurrency=1)
    until_it_fails(one, [(problem(f"p{i}"), 0) for i in range(100)])
    assert len(asked(tmp_path)) == 2 + 5


def test_one_who_asks_what_is_lost_is_told_and_nothing_is_raised(start: Start) -> None:
    one = generator(start("one_breaks"), retries=0)
    one.add([(problem("bad", "bad"), 0), *first(3)])
    found, lost = [], {}
    while one.unfinished:
        found += one.step()
        lost |= one.lost()
    one.close()
    assert len(found) == 3
    assert set(lost) == {("bad", 0)} and "CUDA error" in str(lost["bad", 0])


def test_a_server_that_broke_is_not_asked_for_all_that_waits(start: Start, tmp_path: Path) -> None:
    found, said = until_it_fails(generator(start("breaks"), retries=0, concurrency=1), first(100))
    assert len(found) == 2
    assert said.startswith("98 candidates did not come")
    assert len(asked(tmp_path)) == 2 + 5


@pytest.mark.parametrize(
    ("mode", "word", "status"), [("no_key", "key_file or key_env", 401), ("no_model", "model and base_url", 404)]
)
def test_a_refusal_that_all_would_meet_ends_it_at_once(
    start: Start, tmp_path: Path, mode: str, word: str, status: int
) -> None:
    with pytest.raises(UpstreamError, match=word) as caught:
        drawn(generator(start(mode), concurrency=2), first(50))
    assert caught.value.status == status
    assert len(asked(tmp_path)) <= 4


def test_tries_are_ever_further_apart_by_a_random_share(start: Start, tmp_path: Path) -> None:
    one = generator(start("breaks"), concurrency=1, pause=0.4, retries=3, seed=4)
    found, _ = until_it_fails(one, first(3))
    assert len(found) == 2
    tries = [row["time"] for row in asked(tmp_path)][2:]
    share = random.Random(4).uniform
    for i, (before, after) in enumerate(pairwise(tries)):
        assert 0 <= after - before - 0.4 * 2**i * share(0.5, 1.0) < 0.35  # whole pauses of 0.4, 0.8, 1.6 are over that
    assert len(tries) == 4


def test_a_route_that_is_missing_costs_those_of_another_nothing(start: Start, tmp_path: Path) -> None:
    one = generator(start("chats_only"), concurrency=1)
    text = Problem("text", "def f():", ())
    one.start([(text, 0)])
    one.add([(text, index) for index in range(9)])
    one.add(first(3))
    found, lost = [], {}
    while one.unfinished:
        found += one.step()
        lost |= one.lost()
    one.close()
    assert len(found) == 3 and set(lost) == {("text", index) for index in range(9)}
    assert all(error.of_one_request for error in lost.values())
    assert len(asked(tmp_path)) == 1 + 3


@pytest.mark.parametrize(("mode", "name"), [("no_logprobs", "logprobs"), ("no_seed", "seed")])
def test_a_server_that_refuses_an_extra_is_asked_without_it_and_the_notes_say_so(
    start: Start, tmp_path: Path, mode: str, name: str
) -> None:
    one = generator(start(mode))
    assert len(list(one.generate(first(5)))) == 5
    (note,) = one.notes
    one.close()
    assert f"refuses {name}" in note
    without = [row for row in asked(tmp_path) if name not in row["body"]]
    assert len(without) == 5


@pytest.mark.parametrize(
    ("mode", "seconds"), [("limited", 1.0), ("limited_ms", 0.7), ("limited_date", 0.9), ("quota", 0.8)]
)
def test_a_server_s_word_on_when_to_come_back_is_kept(start: Start, tmp_path: Path, mode: str, seconds: float) -> None:
    """The requests that follow the last one that said so come no earlier, whoever sends them."""
    found = drawn(generator(start(mode), concurrency=1, pause=0.0), first(5))
    assert len(found) == 5
    times = [row["time"] for row in asked(tmp_path)]
    said = {"limited": [0, 1, 2], "limited_ms": [0, 1, 2], "limited_date": [0], "quota": [3]}[mode]
    assert all(times[i + 1] - times[i] >= seconds - 0.02 for i in said)


def test_a_date_that_is_none_is_no_word(start: Start) -> None:
    assert len(drawn(generator(start("limited_nonsense")), first(3))) == 3


def test_one_who_is_told_to_wait_holds_the_others_back_too(start: Start, tmp_path: Path) -> None:
    drawn(generator(start("quota"), concurrency=1), first(8))
    rows = asked(tmp_path)
    waits = [after["time"] - before["time"] for before, after in pairwise(rows)]
    assert waits[3] >= 0.78
    assert min(waits[4:]) < 0.7  # nobody waits any more


def test_a_server_that_ignores_n_is_asked_for_the_rest_one_by_one(start: Start, tmp_path: Path) -> None:
    found = drawn(generator(start("one_only"), per_request=4), first(4))
    assert len({candidate.text for candidate in found.values()}) == 4
    assert [row["body"].get("n") for row in asked(tmp_path)] == [4, None, None, None]


def test_what_a_server_left_out_is_asked_for_again_only_where_it_is_still_wanted(start: Start, tmp_path: Path) -> None:
    one = generator(start("one_when_told"), per_request=4)
    one.add(first(4))
    assert until(lambda: (tmp_path / "log").exists() and asked(tmp_path) != [])
    one.abort({("p", 2), ("p", 3)})
    (tmp_path / "go").touch()
    found = []
    while one.unfinished:
        found += one.step()
    one.close()
    assert [candidate.index for candidate in found] == [0, 1]
    assert [row["body"].get("n") for row in asked(tmp_path)] == [4, None]


def test_one_count_for_several_choices_is_shared_by_them(start: Start) -> None:
    found = drawn(generator(start("no_logprobs"), per_request=3, logprobs=False), first(3))
    assert [candidate.tokens for candidate in found.values()] == [4, 4, 4]
    alone = drawn(generator(start("no_logprobs"), logprobs=False), first(1))
    assert (alone["p", 0].tokens, alone["p", 0].logprob) == (4, None)


@given(st.lists(st.integers(1, 9) | st.none(), min_size=1, max_size=6), st.none() | st.integers(0, 40))
def test_the_shares_of_a_count_add_up_to_it(known: list[int | None], total: int | None) -> None:
    """`known`: how many log probabilities each choice has."""
    choices = [{"text": "x", "logprobs": n and {"token_logprobs": [-1.0] * n}} for n in known]
    ask = Ask(Problem("p", "s", ()), tuple(range(len(known))), len(known))
    found = [c.tokens for c in ask.candidates({"choices": choices, "usage": {"completion_tokens": total}}, "url")]
    assert all(count in (None, tokens) for count, tokens in zip(known, found, strict=True))
    shares = [tokens for count, tokens in zip(known, found, strict=True) if count is None and tokens is not None]
    if total is None or total < sum(filter(None, known)):
        assert not shares
    elif None in known:
        assert sum(filter(None, found)) == total and max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    "values", [[10**400], [-1e308] * 4, [float("nan")], [float("-inf"), -1.0], [True], ["-1"]], ids=str
)
def test_log_probabilities_that_are_none_are_left_out(values: list[Any]) -> None:
    choices = [{"text": "x", "logprobs": {"token_logprobs": values}}]
    (found,) = Ask(Problem("p", "s", ()), (0,), 1).candidates({"choices": choices}, "url")
    assert (found.text, found.logprob) == ("x", None)


@pytest.mark.parametrize(
    ("parameter", "message", "refused"),
    [
        ("seed", "is not supported", "seed"),
        ("", "Unknown argument: 'logprobs'", "logprobs"),
        ("top_k", "top_k cannot be used with a seed", None),
        ("temperature", "logprobs ask for temperature 1", None),
        ("", "the prompt is too long", None),
    ],
)
def test_a_server_is_asked_without_what_it_refuses_and_nothing_else(
    parameter: str, message: str, refused: str | None
) -> None:
    body = {"seed": 1, "logprobs": True, "top_k": 5, "temperature": 0.5}
    assert refused_option(body, parameter, message) == refused


def test_an_answer_without_text_is_an_empty_candidate(start: Start) -> None:
    assert drawn(generator(start("refuses")), first(1))["p", 0].text == ""


@pytest.mark.parametrize(
    ("mode", "timeout", "word"),
    [
        ("html", 60, "no completion"),
        ("nonsense", 60, "no completion"),
        ("trickles", 0.5, "timed out after 0.5"),
        ("hangs", 0.5, "timed"),
    ],
)
def test_a_useless_answer_ends_with_its_reason(start: Start, mode: str, timeout: float, word: str) -> None:
    begun = time.monotonic()
    with pytest.raises(UpstreamError, match=word):
        drawn(generator(start(mode), timeout=timeout, retries=0), first(1))
    assert time.monotonic() - begun < 60  # where it would take 100 s or more


def test_a_server_that_is_not_there_is_named_before_anything_is_sampled() -> None:
    one = generator("http://127.0.0.1:9/v1", retries=1)
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1:9.*2 tries"):
        one.start(first(1))
    one.close()


def test_an_unknown_model_is_named_before_anything_is_sampled(start: Start) -> None:
    one = generator(start("fine"), model="stand-on")
    with pytest.raises(UpstreamError, match=r"No 'stand-on'.*Did you mean 'stand-in'"):
        one.start(first(1))
    one.close()


def test_a_request_that_nobody_wants_any_more_is_broken_off(start: Start, tmp_path: Path) -> None:
    one = generator(start("hangs"), per_request=2)
    one.add(first(4))
    while len(asked_so_far(tmp_path)) < 2:
        one.step()
    one.abort({("p", 0), ("p", 1), ("p", 2)})
    assert one.unfinished == 1
    assert until(lambda: any("broken_off" in row for row in rows_of(tmp_path / "log")))
    time.sleep(0.2)
    assert len([row for row in rows_of(tmp_path / "log") if "broken_off" in row]) == 1  # the other holds a wanted one
    one.close()


def test_requests_that_are_broken_off_leave_no_connection_and_no_place_taken(start: Start, tmp_path: Path) -> None:
    """In whatever they are: waiting, connecting, sending, being answered; the same ones broken off again and again."""
    url = start("hangs")
    port, mine = int(url.rsplit(":")[-1].split("/")[0]), psutil.Process()
    one = generator(url, concurrency=8)
    for turn in range(40):
        keys = [(f"p{turn}", index) for index in range(12)]
        one.add([(problem(name), index) for name, index in keys])
        time.sleep(0.001 * turn)
        for key in keys:
            one.abort({key})

    def connections() -> int:
        return sum(bool(c.raddr) and c.raddr.port == port for c in mine.net_connections("tcp"))

    assert until(lambda: connections() == 0), connections()
    one.add(first(8, problem("last", "the last")))
    assert until(lambda: sum("the last" in str(row["body"]) for row in asked_so_far(tmp_path)) == 8)
    one.close()


def test_a_request_is_broken_off_in_the_very_moment_that_it_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """anyio cancels the task itself then, for a moment, as `connect_tcp` does here."""
    asked, went_on, long = [], [], 10 * PATIENCE_SECONDS

    async def post(upstream: Upstream, route: str, body: dict[str, Any]) -> None:
        name = body["messages"][-1]["content"]
        asked.append(name)
        with anyio.CancelScope() as connecting:

            def connected() -> None:
                upstream.drop({(name, 0)})
                connecting.cancel()

            asyncio.get_running_loop().call_soon(connected)
            await asyncio.sleep(long)
        went_on.append(name)
        await asyncio.sleep(long)

    monkeypatch.setattr(Upstream, "_post", post)
    one = generator("http://127.0.0.1:1/v1", concurrency=1)
    one.add([*first(1, problem("p", "p")), *first(1, problem("q", "q"))])
    assert until(lambda: "q" in asked), went_on
    one.close()
    assert went_on == []


def asked_so_far(folder: Path) -> list[dict[str, Any]]:
    return asked(folder) if (folder / "log").exists() else []


def test_the_engine_takes_more_while_requests_run(start: Start, tmp_path: Path) -> None:
    """The server answers nobody before four have asked."""
    with Engine(generator(start("four"), timeout=60, retries=0), {}) as engine:
        engine.submit(first(2))
        assert until(lambda: len(asked_so_far(tmp_path)) == 2)
        engine.submit(first(2, problem("q")))
        found = []
        while engine.busy:
            found += [event.candidate.key for event in engine.poll() if isinstance(event, Drawn)]
    assert len(found) == 4


def test_a_server_that_comes_back_is_asked_again(start: Start, tmp_path: Path) -> None:
    port = int(start("fine").rsplit(":")[-1].split("/")[0])
    with chat_server.serving("hangs", tmp_path / "log") as url:
        port = int(url.rsplit(":")[-1].split("/")[0])
        one = generator(url, retries=8, pause=0.1)
        one.add(first(3))
        while len(asked_so_far(tmp_path)) < 3:
            one.step()
    start("fine", port)
    found = []
    while one.unfinished:
        found += one.step()
    one.close()
    assert len(found) == 3


@pytest.mark.parametrize("where", ["file", "environment"])
def test_the_key_is_sent_and_never_said(
    start: Start, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("secret-key\n")
    monkeypatch.setenv("MY_KEY", "secret-key")
    options = {"file": {"key_file": str(tmp_path / "key")}, "environment": {"key_env": "MY_KEY"}}[where]
    with pytest.raises(UpstreamError) as caught:
        drawn(generator(start("no_key"), **options), first(1))
    assert asked(tmp_path)[0]["key"] == "Bearer secret-key"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"base_url": "localhost:8000"}, "base_url"),
        ({"per_request": 0}, "per_request"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"pause": -1}, "pause"),
        ({"temperature": -1}, "temperature"),
        ({"key_file": "a", "key_env": "B"}, "key_env"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        OpenAI(model="m", **options)


def test_a_missing_key_is_told_by_the_option_s_name() -> None:
    with pytest.raises(ConfigError, match=r"generator\.key_env: the environment variable NO_SUCH_KEY"):
        generator("http://127.0.0.1:9/v1", key_env="NO_SUCH_KEY").start(first(1))


# A whole run.


def test_a_run_stores_what_came_and_goes_on_with_the_rest(start: Start, small: Small) -> None:  # noqa: F811
    config = yaml.safe_load((small.folder / "config.yaml").read_text())
    options = {"name": "openai", "model": chat_server.MODEL, "n": 3, "retries": 0, "pause": 0, "concurrency": 1}
    small.write(**config | {"generator": {**options, "base_url": start("breaks")}})
    done = tts(small.folder, "run", "config.yaml", "--folder", "run")
    assert done.code == 2
    assert "7 candidates did not come" in done.error and "run the same command again" in done.error

    small.write(**config | {"generator": {**options, "base_url": start("fine")}})
    bring_up(small)
    kept = [row for row in asked(small.folder) if row["body"]["messages"]]
    bodies = [json.dumps(row["body"], sort_keys=True) for row in kept]
    assert len(set(bodies)) == 9  # each of three problems' three, the seeds differ
    assert bodies[:2] not in [bodies[i : i + 2] for i in range(7, len(bodies))]  # those that came are not asked again


# vLLM's own server.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("causal")
    return tiny.causal(folder, "Llama", head_dim=32, hidden_size=64, num_attention_heads=2)


@pytest.fixture(scope="module")
def vllm_url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vllm")
    log = tmp_path_factory.mktemp("vllm") / "log"
    with serving_vllm(model, log, "--served-model-name", "tiny", "--enforce-eager") as url:
        yield f"{url}/v1"


SHORT = [problem(f"p{i}", "say " + "ab" * (i * 3)) for i in range(3)]


@pytest.mark.engine
@pytest.mark.parametrize("per_request", [1, 3])
def test_vllm_s_server_gives_what_the_model_says_here(vllm_url: str, model: Path, per_request: int) -> None:
    one = generator(vllm_url, model="tiny", temperature=0.0, top_p=1.0, max_tokens=12, per_request=per_request)
    one.start(first(1))
    mine = drawn(one, [(p, i) for p in SHORT for i in range(3)])
    reference = Transformers(model=str(model), dtype="float32", temperature=0.0, max_tokens=12)
    theirs = {c.problem_id: c for c in reference.generate([(p, 0) for p in SHORT])}
    for (name, _), candidate in mine.items():
        assert candidate.text == theirs[name].text.rstrip("�")
        assert (candidate.tokens, candidate.prompt_tokens) == (theirs[name].tokens, theirs[name].prompt_tokens)
        assert candidate.logprob == pytest.approx(theirs[name].logprob, abs=1e-3)
        assert candidate.finish == theirs[name].finish


@pytest.mark.engine
def test_vllm_s_server_continues_a_text_and_draws_differently(vllm_url: str) -> None:
    raw = Problem("raw", "def add(", ())
    found = drawn(generator(vllm_url, model="tiny", seeds=False, max_tokens=16), [(raw, i) for i in range(6)])
    assert len({candidate.text for candidate in found.values()}) > 3
    assert all(candidate.tokens and candidate.logprob and candidate.logprob < 0 for candidate in found.values())


@pytest.mark.engine
def test_vllm_s_server_refuses_one_prompt_and_answers_the_others(vllm_url: str) -> None:
    wanted = [(problem("long", "x" * 9000), 0), *first(3)]
    one = generator(vllm_url, model="tiny", seeds=False, max_tokens=8)
    found, said = until_it_fails(one, wanted)
    assert found == [("p", 0), ("p", 1), ("p", 2)]
    assert "400" in said and "context length" in said


@pytest.mark.engine
def test_vllm_s_server_drops_what_is_aborted(vllm_url: str) -> None:
    endless = {"ignore_eos": True}  # so that one ends by its length alone, which is what is counted
    one = generator(vllm_url, model="tiny", seeds=False, max_tokens=1900, extra=endless)
    root = vllm_url.removesuffix("/v1")
    ended = partial(metric, root, "vllm:request_success_total", finished_reason="length")
    running = partial(metric, root, "vllm:num_requests_running")
    before = ended()
    one.add(first(8))
    assert until(lambda: running() > 0)
    one.abort({("p", index) for index in range(8)})
    assert until(lambda: running() == 0)
    assert ended() == before  # none by itself
    one.close()
    drawn(generator(vllm_url, model="tiny", seeds=False, max_tokens=2, extra=endless), first(1))
    assert until(lambda: ended() == before + 1)  # which would have been counted

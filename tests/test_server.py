"""`tts serve` from outside: OpenAI's own client, bad input, clients that hang up, overload, and models that fail."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import chat_server
import httpx
import openai
import psutil
import pytest
import tiny
from prometheus_client.parser import text_string_to_metric_families
from served import MODEL, Served, config, metric, serving, until
from standins import PATIENCE_SECONDS, Rating, Talking
from support import command, environment

from tts import server
from tts.errors import ConfigError, UpstreamError
from tts.generate.openai import OpenAI
from tts.score.likelihood import Likelihood
from tts.score.public_tests import PublicTests
from tts.serving.observer import Observer
from tts.serving.service import Service
from tts.types import Message, Problem

HI = [{"role": "user", "content": "hi"}]
SILENT = {"model": MODEL, "messages": [{"role": "user", "content": "silent"}]}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server that no test changes or breaks for good."""
    with serving() as found:
        yield found


def said(text: str) -> tuple[str, int]:
    """(the words, the index) that an answer of the stand-in's tells."""
    found = re.fullmatch(r"```python\nprint\((.*), (\d+)\)\n```", text, re.DOTALL)
    assert found, text
    words: str = eval(found[1])
    return words, int(found[2])


# OpenAI's client.


def test_a_chat_is_answered_with_the_best_of_n(served: Served) -> None:
    answer = served.client.chat.completions.create(model=MODEL, messages=HI)
    (choice,) = answer.choices
    assert said(choice.message.content) == ("hi", 3)  # `rating` scores by the index
    assert (choice.finish_reason, choice.message.role, answer.object) == ("stop", "assistant", "chat.completion")
    assert answer.usage.prompt_tokens == 2
    assert answer.usage.completion_tokens == 10 + 11 + 12 + 13  # all that was sampled
    told = answer.model_extra["tts"]
    assert (told["n"], told["sampled"], told["winner"], told["score"], told["margin"]) == (4, 4, 3, 3.0, 1.0)
    assert [c["score"] for c in told["candidates"]] == [0.0, 1.0, 2.0, 3.0]
    assert [c["rank"] for c in told["candidates"]] == [None, None, None, 0]
    assert told["why"] and not told["abstained"] and not told["degraded"]
    assert not any("text" in c for c in told["candidates"])


def test_a_text_is_continued(served: Served) -> None:
    answer = served.client.completions.create(model=MODEL, prompt="x = 1\n", best_of=3)
    assert said(answer.choices[0].text) == ("x = 1\n", 2)
    assert answer.object == "text_completion"
    assert served.generator.asked[-1][0].messages == ()


def test_async_and_streamed(served: Served) -> None:
    async def ask() -> list[str]:
        client = served.async_client
        whole = client.chat.completions.create(model=MODEL, messages=HI)
        stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        texts = await client.completions.create(model=MODEL, prompt="hi", stream=True)
        parts = [chunk.choices[0].text async for chunk in texts if chunk.choices]
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="other", messages=HI)
        return [(await whole).choices[0].message.content, "".join(pieces), "".join(parts)]

    assert [said(text) for text in asyncio.run(ask())] == [("hi", 3)] * 3


def test_a_stream_has_role_pieces_end_and_usage(served: Served) -> None:
    text = "long " * 200
    chunks = list(
        served.client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": text}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    *_, end, usage = chunks
    assert said("".join(c.choices[0].delta.content or "" for c in chunks[:-1])) == (text, 3)
    assert len(chunks) > 6
    assert (end.choices[0].finish_reason, end.model_extra["tts"]["winner"]) == ("stop", 3)
    assert (usage.choices, usage.usage.completion_tokens) == ([], 46)
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_continued_text_is_streamed(served: Served) -> None:
    chunks = list(served.client.completions.create(model=MODEL, prompt="x", stream=True))
    assert said("".join(chunk.choices[0].text for chunk in chunks)) == ("x", 3)
    assert chunks[-1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_n_choices_are_the_best_by_rank(served: Served, stream: bool) -> None:
    answer = served.client.chat.completions.create(model=MODEL, messages=HI, n=3, stream=stream)
    if stream:
        texts = ["", "", ""]
        for chunk in answer:
            texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    else:
        texts = [choice.message.content for choice in answer.choices]
    assert [said(text)[1] for text in texts] == [3, 2, 1]


def test_the_models_are_listed(served: Served) -> None:
    assert [model.id for model in served.client.models.list()] == [MODEL]
    assert served.client.models.retrieve(MODEL).owned_by == "tts"
    with pytest.raises(openai.NotFoundError):
        served.client.models.retrieve("other")


def test_headers_have_the_run_s_id_and_its_timings(served: Served) -> None:
    raw = served.client.chat.completions.with_raw_response.create(model=MODEL, messages=HI)
    answer = raw.parse()
    assert raw.headers["x-request-id"] == answer.id == answer.model_extra["tts"]["run"] == answer._request_id
    seconds = {name: float(raw.headers[f"x-tts-{name}-seconds"]) for name in ("queue", "generate", "score", "total")}
    assert 0 < seconds["generate"] <= seconds["total"] < PATIENCE_SECONDS
    assert seconds["queue"] + seconds["generate"] + seconds["score"] == pytest.approx(seconds["total"], abs=0.01)


def test_a_stream_s_headers_have_what_is_known_when_it_begins(served: Served) -> None:
    create = served.client.chat.completions.with_streaming_response.create
    with create(model=MODEL, messages=HI, stream=True) as ready:
        assert float(ready.headers["x-tts-total-seconds"]) > 0
    with serving(config(concurrency=1, keep_alive=0.1)) as slow, ExitStack() as first:
        first.enter_context(silence(slow))
        assert until(lambda: slow.service.admission.running == 1)
        with streaming(slow.url, SILENT) as waits:
            assert "x-request-id" in waits.headers and "x-tts-queue-seconds" not in waits.headers
            first.close()
            assert until(lambda: slow.service.admission.waiting == 0)
        assert until(lambda: slow.service.admission.running == 0)
        with streaming(slow.url, SILENT) as runs:
            assert 0 <= float(runs.headers["x-tts-queue-seconds"]) < PATIENCE_SECONDS
            assert "x-tts-total-seconds" not in runs.headers


def test_parts_developer_and_neutral_parameters_are_taken(served: Served) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    neutral = {"logprobs": False, "presence_penalty": 0, "tools": [], "response_format": {"type": "text"}, "user": "me"}
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    answer = served.post({"model": MODEL, "messages": messages, "stream": None, "stop": None, **neutral})
    assert said(answer.json()["choices"][0]["message"]["content"]) == ("ab", 3)
    assert served.generator.asked[-1][0].messages[0] == Message("system", "Be brief.")


@pytest.mark.parametrize("dumped", [False, True])
@pytest.mark.parametrize("extra", [{}, {"tts": {"threshold": 99.0}}], ids=["answer", "abstention"])
def test_an_answer_may_be_sent_back_in_the_next_turn(served: Served, extra: Any, dumped: bool) -> None:
    create = served.client.chat.completions.create
    first = create(model=MODEL, messages=HI, extra_body=extra).choices[0].message
    before = first.model_dump() if dumped else first
    second = create(model=MODEL, messages=[*HI, before, {"role": "user", "content": "more"}])
    assert said(second.choices[0].message.content) == ("more", 3)
    expected = (first.content or first.refusal) or pytest.fail("neither")
    assert served.generator.asked[-1][0].messages[1] == Message("assistant", expected)


def test_an_assistant_s_message_may_have_parts_of_which_some_refuse(served: Served) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]
    served.post({"model": MODEL, "messages": [*HI, {"role": "assistant", "content": parts}, *HI]}).raise_for_status()
    assert served.generator.asked[-1][0].messages[1] == Message("assistant", "ab")


# The extension, and what a request says of sampling.


def test_sampling_reaches_the_generator_and_what_is_not_said_is_left_to_it(served: Served) -> None:
    served.ask("mine", temperature=0.3, top_p=0.5, top_k=7, max_completion_tokens=9, stop="END", seed=5)
    sampling = served.generator.asked[-1][0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.3, 0.5, 7)
    assert (sampling.max_tokens, sampling.stop, sampling.seed) == (9, ("END",), 5)
    served.ask("any integer is a seed", seed=-1)
    assert served.generator.asked[-1][0].sampling.seed == 2**63 - 1
    served.ask("theirs")
    assert set(vars_of(served.generator.asked[-1][0].sampling)) == {None}


def vars_of(sampling: Any) -> list[Any]:
    return [getattr(sampling, name) for name in ("temperature", "top_p", "top_k", "max_tokens", "stop", "seed")]


def test_a_client_that_offers_an_upgrade_is_answered_as_if_it_did_not(served: Served) -> None:
    """As Java's own client offers h2c."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    answer = served.post({"model": MODEL, "messages": HI}, headers=offer)
    assert answer.status_code == 200, answer.text


def test_greedy_candidates_are_not_drawn_twice_unless_it_is_asked_for(served: Served) -> None:
    assert served.tts(temperature=0)["n"] == 1
    assert served.tts(temperature=0, n=2)["n"] == 2
    assert served.tts(temperature=0, tts={"n": 3})["n"] == 3


def test_the_extension_chooses_scorer_selector_and_n(served: Served) -> None:
    told = served.tts(tts={"n": 6, "scorer": "likelihood", "select": "argmax", "return_candidates": True})
    scores = [c["score"] for c in told["candidates"]]
    assert len(scores) == 6
    assert scores == [c["logprob"] for c in told["candidates"]]
    assert told["winner"] == scores.index(max(scores)) == 2
    assert [said(c["text"]) for c in told["candidates"]] == [("hi", i) for i in range(6)]
    assert served.tts(tts={"select": "majority"})["why"].startswith("1 of 4 are the same text")


@pytest.mark.parametrize("route", ["chat", "completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_threshold_that_none_reaches_is_an_abstention(served: Served, route: str, stream: bool) -> None:
    extra = {"tts": {"threshold": 99.0}}
    if route == "chat":
        answer = served.client.chat.completions.create(model=MODEL, messages=HI, stream=stream, extra_body=extra)
    else:
        answer = served.client.completions.create(model=MODEL, prompt="hi", stream=stream, extra_body=extra)
    chunks = list(answer) if stream else [answer]
    told = chunks[-1].model_extra["tts"]
    assert told["abstained"] and told["winner"] is None and "threshold" in told["why"]
    if route == "chat":
        words = [c.choices[0].delta if stream else c.choices[0].message for c in chunks]
        assert next(w.refusal for w in words if w.refusal).startswith("No candidate was chosen of 4")
        assert not any(w.content for w in words)
    else:
        assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_a_threshold_that_some_reach_chooses_among_them(served: Served) -> None:
    assert served.tts(tts={"threshold": 2.5})["winner"] == 3


def test_candidates_arrive_in_the_stream_as_they_come(served: Served) -> None:
    extra = {"tts": {"return_candidates": True}}
    chunks = list(served.client.chat.completions.create(model=MODEL, messages=HI, stream=True, extra_body=extra))
    news = [chunk.model_extra["tts"]["candidate"] for chunk in chunks if not chunk.choices]
    assert sorted(c["index"] for c in news if "text" in c) == [0, 1, 2, 3]
    assert {c["index"]: c["score"] for c in news if c["score"] is not None} == {i: float(i) for i in range(4)}


# Bad input.

NO_MODEL = {"messages": HI}
CHAT = {"model": MODEL, "messages": HI}
BAD_VALUES = [
    (NO_MODEL, "model", "invalid_value"),
    ({"model": MODEL}, "messages", "invalid_value"),
    ({"model": MODEL, "messages": []}, "messages", "invalid_value"),
    ({"model": MODEL, "messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"model": MODEL, "messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content", "invalid_value"),
    (
        {**CHAT, "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]}]},
        "messages.0.content.1.type",
        "invalid_value",
    ),
    ({**CHAT, "n": 65}, "n", "invalid_value"),
    ({**CHAT, "n": 0}, "n", "invalid_value"),
    ({**CHAT, "n": True}, "n", "invalid_value"),
    ({**CHAT, "tts": {"n": 65}}, "tts.n", "invalid_value"),
    ({**CHAT, "n": 3, "tts": {"n": 2}}, "n", "invalid_value"),
    ({**CHAT, "tts": {"select": "best"}}, "tts.select", "invalid_value"),
    ({**CHAT, "tts": {"scorer": "rm"}}, "tts.scorer", "invalid_value"),
    ({**CHAT, "tts": {"threshold": "high"}}, "tts.threshold", "invalid_value"),
    ({**CHAT, "tts": {"beam": 3}}, "tts.beam", "unsupported_parameter"),
    ({**CHAT, "tts": 5}, "tts", "invalid_value"),
    ({**CHAT, "temperature": -1}, "temperature", "invalid_value"),
    ({**CHAT, "temperature": "hot"}, "temperature", "invalid_value"),
    ({**CHAT, "top_p": 0}, "top_p", "invalid_value"),
    ({**CHAT, "max_tokens": 0}, "max_tokens", "invalid_value"),
    ({**CHAT, "stop": [""]}, "stop.0", "invalid_value"),
    ({**CHAT, "stream": "yes"}, "stream", "invalid_value"),
    ({**CHAT, "logprobs": True}, "logprobs", "unsupported_parameter"),
    ({**CHAT, "presence_penalty": 0.5}, "presence_penalty", "unsupported_parameter"),
    ({**CHAT, "tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
    ({**CHAT, "response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
    ({**CHAT, "temprature": 1}, "temprature", "unsupported_parameter"),
    ({**CHAT, "max_tokens": 10, "max_completion_tokens": 500}, "max_tokens", "invalid_value"),
    ({**CHAT, "stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({**CHAT, "messages": [{"role": "user", "content": None}]}, "messages.0.content", "invalid_value"),
    ({**CHAT, "messages": [{"role": "assistant", "refusal": None}]}, "messages.0.content", "invalid_value"),
    ({**CHAT, "messages": [{**HI[0], "refusal": "no"}]}, "messages.0.refusal", "invalid_value"),
    ({**CHAT, "messages": [{**HI[0], "tool_calls": []}]}, "messages.0.tool_calls", "unsupported_parameter"),
    (
        {**CHAT, "messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        "messages.0.tool_calls",
        "unsupported_parameter",
    ),
    ([1, 2], "", "invalid_value"),
    (None, "", "invalid_value"),
]


@pytest.mark.parametrize(("body", "param", "code"), BAD_VALUES, ids=lambda value: str(value)[-60:])
def test_a_bad_value_is_named(served: Served, body: Any, param: str, code: str) -> None:
    content = json.dumps(body).encode()
    url = f"{served.url}/v1/chat/completions"
    answer = httpx.post(url, content=content, headers={"Content-Type": "application/json"})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["param"] or "").startswith(param)
    assert (error["code"] or "") == code
    assert error["message"]


TEXT = {"model": MODEL, "prompt": "hi"}
BAD_TEXTS = [
    ({**TEXT, "prompt": "x" * 51}, "prompt"),
    ({**TEXT, "prompt": "refuse me"}, "prompt"),
    ({**TEXT, "prompt": ["a", "b"]}, "prompt"),
    ({**TEXT, "best_of": 99}, "best_of"),
    ({**TEXT, "tts": {"n": 99}}, "tts.n"),
    ({**TEXT, "best_of": 2, "tts": {"n": 7}}, "best_of"),
    ({**TEXT, "max_tokens": 101}, "max_tokens"),
]


@pytest.fixture(scope="module")
def narrow() -> Iterator[Served]:
    """A server with low limits."""
    with serving(config(max_n=5, max_tokens=100, max_prompt_characters=50)) as found:
        yield found


@pytest.mark.parametrize(("body", "param"), BAD_TEXTS, ids=lambda value: str(value)[-60:])
def test_what_is_refused_is_named_as_the_request_has_it(narrow: Served, body: Any, param: str) -> None:
    answer = narrow.post(body, "completions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert answer.json()["error"]["message"].startswith((f"{param}: ", "The prompt has"))


def test_two_names_for_one_thing_may_say_the_same(narrow: Served) -> None:
    answer = narrow.post({**TEXT, "best_of": 2, "tts": {"n": 2}}, "completions")
    assert answer.json()["tts"]["n"] == 2
    assert narrow.ask(max_tokens=5, max_completion_tokens=5).status_code == 200


def test_openai_s_client_has_its_own_error_for_each(served: Served) -> None:
    create = served.client.chat.completions.create
    with pytest.raises(openai.BadRequestError, match="Did you mean 'temperature'"):
        create(model=MODEL, messages=HI, extra_body={"temprature": 1})
    with pytest.raises(openai.NotFoundError, match="There are: stand-in") as caught:
        create(model="gpt-4", messages=HI)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    before = served.metric("tts_candidates_total", what="lost")
    with pytest.raises(openai.BadRequestError, match=r"9000 tokens.*2048") as refused:
        create(model=MODEL, messages=[{"role": "user", "content": "refuse me"}])
    assert refused.value.code == "context_length_exceeded"
    assert served.metric("tts_candidates_total", what="refused") >= 4
    assert served.metric("tts_candidates_total", what="lost") == before  # by which an operator is woken


def test_a_prompt_too_long_is_refused_with_its_status_in_a_stream_too(served: Served) -> None:
    with pytest.raises(openai.BadRequestError, match="9000 tokens"):
        served.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "refuse me"}], stream=True
        )


RAW = [
    (b"{", "application/json", 400, "invalid_json"),
    (b"\xff\xfe", "application/json", 400, "invalid_json"),
    (b"", "application/json", 400, "invalid_value"),
    (json.dumps(CHAT).encode(), "text/plain", 415, "unsupported_media_type"),
    (json.dumps(CHAT).encode(), "", 415, "unsupported_media_type"),
    (b'{"model": "' + b"x" * 2**21 + b'"}', "application/json", 413, "body_too_large"),
    (b"[" * 100_000, "application/json", 400, "invalid_json"),
]


@pytest.mark.parametrize(("content", "kind", "status", "code"), RAW, ids=lambda value: str(value)[:30])
def test_a_body_that_cannot_be_read_is_refused(
    served: Served, content: bytes, kind: str, status: int, code: str
) -> None:
    url, headers = f"{served.url}/v1/chat/completions", {"Content-Type": kind} if kind else {}
    answer = httpx.post(url, content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert content or answer.json()["error"]["message"].startswith("The body is empty or null.")


def test_a_body_without_a_length_is_measured_as_it_comes(served: Served) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(3000):
            yield b"x" * 1024

    url, headers = f"{served.url}/v1/chat/completions", {"Content-Type": "application/json"}
    answer = httpx.post(url, content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


def test_unknown_routes_and_methods_are_refused_in_the_same_shape(served: Served) -> None:
    assert get(f"{served.url}/v1/embeddings").json()["error"]["type"] == "invalid_request_error"
    answer = get(f"{served.url}/v1/chat/completions")
    assert (answer.status_code, answer.json()["error"]["message"]) == (405, "Method Not Allowed. See /openapi.json.")


def test_limits_of_the_config_are_kept(narrow: Served) -> None:
    assert narrow.ask(n=6).status_code == 400
    for name in ("max_tokens", "max_completion_tokens"):
        assert narrow.ask(**{name: 101}).json()["error"]["param"] == name
    assert narrow.ask("x" * 51).json()["error"]["code"] == "context_length_exceeded"
    assert narrow.tts(tts={"n": 5}, max_tokens=100)["n"] == 5


def test_a_generator_that_samples_in_its_own_way_has_that_said() -> None:
    with serving(generator=Talking(steps=1, honours=frozenset({"max_tokens"}))) as served:
        error = served.ask(temperature=0.5).json()["error"]
        assert error["param"] == "temperature" and "Leave it out" in error["message"]
        assert served.ask(max_tokens=5).status_code == 200


# Keys.


def test_a_key_is_needed_where_there_are_keys_and_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0), serving(keys=["first-key", "second-key"]) as served:
        bare = f"{served.url}/v1"
        for key in ("first-key", "second-key"):
            client = openai.OpenAI(base_url=bare, api_key=key, max_retries=0)
            assert client.chat.completions.create(model=MODEL, messages=HI).choices
            assert client.models.list()
        for key in ("third-key", "first-ke", "first-keyy", "FIRST-KEY"):
            with pytest.raises(openai.AuthenticationError, match="API key is wrong") as caught:
                openai.OpenAI(base_url=bare, api_key=key, max_retries=0).models.list()
            assert caught.value.code == "invalid_api_key"
        missing = httpx.post(f"{bare}/chat/completions", json=CHAT)
        assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
        basic = {"Authorization": "Basic first-key"}
        assert get(f"{bare}/models", headers=basic).status_code == 401
        assert get(f"{served.url}/health").status_code == 200
        assert "-key" not in get(f"{served.url}/metrics").text
    assert "-key" not in caplog.text


# Clients that hang up.


def test_a_client_that_hangs_up_has_its_candidates_cancelled_at_once(served: Served) -> None:
    before = served.metric("tts_candidates_total", what="cancelled")
    with silence(served):
        assert until(lambda: served.generator.unfinished == 4)
    assert served.idle()  # which what is silent never is by itself
    assert until(lambda: served.metric("tts_candidates_total", what="cancelled") == before + 4)
    assert until(lambda: served.metric("tts_requests_running") == 0)


def test_a_client_that_asks_twice_before_it_hangs_up_has_its_candidates_cancelled_too(served: Served) -> None:
    host, port = served.url.removeprefix("http://").split(":")
    body = json.dumps(SILENT)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(2 * f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert until(lambda: served.generator.unfinished == 4)
    assert served.idle()


def test_a_client_that_leaves_a_stream_has_its_candidates_cancelled_at_once(served: Served) -> None:
    before, tasks = served.metric("tts_disconnects_total"), served.metric("tts_tasks")
    with streaming(served.url, SILENT) as answer:
        lines = answer.iter_lines()
        assert next(lines) == ": sampling"  # a comment, so that nobody takes the silence for an end
        assert until(lambda: served.generator.unfinished == 4)
    assert served.idle()
    assert until(lambda: served.metric("tts_disconnects_total") == before + 1)
    assert until(lambda: served.metric("tts_tasks") <= tasks)


def test_comments_keep_a_stream_until_the_winner_comes() -> None:
    with serving(config(keep_alive=0.1)) as served:
        served.generator.held_from = 0
        with streaming(served.url, {"model": MODEL, "messages": HI}) as answer:
            lines = filter(None, answer.iter_lines())
            assert [next(lines), next(lines)] == [": sampling"] * 2
            served.generator.held_from = None
            assert [line for line in lines if not line.startswith(":")][-1] == "data: [DONE]"
        served.generator.held_from = 0
        begun = served.client.chat.completions.create(model=MODEL, messages=HI, stream=True)
        chunks = to_the_end(served, begun)
        assert said("".join(c.choices[0].delta.content or "" for c in chunks if c.choices)) == ("hi", 3)


def test_one_who_hangs_up_while_waiting_in_the_queue_leaves_it() -> None:
    with serving(config(concurrency=1, queue=1)) as served:
        with silence(served):
            assert until(lambda: served.generator.unfinished == 4)
            with silence(served):
                assert until(lambda: served.service.admission.waiting == 1)
            assert until(lambda: served.service.admission.waiting == 0)
            assert served.service.admission.running == 1  # the first is still at it
        assert served.ask().status_code == 200


@contextmanager
def silence(served: Served) -> Iterator[None]:
    """A client that waits for an answer that does not come, and hangs up at the end of the block."""
    client = HTTPConnection(served.url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    try:
        client.request("POST", "/v1/chat/completions", json.dumps(SILENT), {"Content-Type": "application/json"})
        yield
    finally:
        client.close()


@contextmanager
def streaming(url: str, body: dict[str, Any]) -> Iterator[httpx.Response]:
    """A stream that has begun, and is left at the end of the block."""
    body = body | {"stream": True}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=PATIENCE_SECONDS) as answer:
        yield answer


# Overload.


def test_more_than_may_wait_are_told_when_to_come_back() -> None:
    with serving(config(concurrency=1, queue=2)) as served, ThreadPoolExecutor() as pool:
        with silence(served):
            assert until(lambda: served.service.admission.running == 1)
            waiting = [pool.submit(served.ask, f"w{i}") for i in range(2)]
            assert until(lambda: served.service.admission.waiting == 2)
            with pytest.raises(openai.RateLimitError) as caught:
                served.client.chat.completions.create(model=MODEL, messages=HI)
            assert int(caught.value.response.headers["retry-after"]) >= 1
        assert {answer.result().status_code for answer in waiting} == {200}
        assert served.ask().status_code == 200


def test_one_who_runs_and_one_who_waits_are_told_that_the_deadline_has_passed() -> None:
    with serving(config(concurrency=1, deadline=0.5)) as served, ThreadPoolExecutor() as pool:
        for answer in [pool.submit(served.ask, "silent") for _ in range(2)]:
            assert (answer.result().status_code, answer.result().json()["error"]["code"]) == (504, "deadline")


def test_the_deadline_answers_with_what_there_is_if_that_is_enough() -> None:
    with serving(config(n=8, deadline=3.0, min_candidates=2)) as served:
        served.generator.held_from = 2
        told = served.tts()
        assert (told["sampled"], told["cancelled"]) == (2, 6)
        assert "deadline" in told["degraded"][0]
        assert served.idle()


@pytest.mark.parametrize("count", [48])
def test_many_at_once_share_the_engine_and_each_gets_its_own_answer(count: int) -> None:
    async def ask(served: Served) -> list[tuple[str, str]]:
        client = served.async_client

        async def one(i: int) -> tuple[str, str]:
            text = f"request {i}"
            answer = await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": text}], n=1 + i % 3
            )
            assert len(answer.choices) == 1 + i % 3
            return text, answer.choices[0].message.content

        return list(await asyncio.gather(*map(one, range(count))))

    with serving() as served, ThreadPoolExecutor() as pool:
        served.generator.held_from = 0  # until all have come
        asked = pool.submit(asyncio.run, ask(served))
        came = until(lambda: served.generator.unfinished == count * 4)
        taken, served.generator.held_from = served.generator.taken, None
        assert came and all(said(answer) == (text, 3) for text, answer in asked.result())
        assert served.generator.taken - taken <= count * 4 * 2 / 64 + 2  # each step is one of 64 requests' candidates


def test_requests_share_the_scorer_s_batches_too() -> None:
    rating = Rating(seconds=0.05)
    scorers = {"rating": rating, "likelihood": Likelihood()}
    with serving(scorers=scorers) as served, ThreadPoolExecutor() as pool:
        served.generator.held_from = 0
        answers = [pool.submit(served.ask, f"request {i}") for i in range(4)]
        assert until(lambda: served.generator.unfinished == 16)
        served.generator.held_from = None
        assert [answer.result().status_code for answer in answers] == [200] * 4
    assert max(len({problem for problem, _ in batch}) for batch in rating.batches) > 1


# Models that fail.


def test_lost_candidates_are_done_without_if_enough_came() -> None:
    with serving(config(min_candidates=2)) as served:
        told = served.tts("lose some")
        assert (told["sampled"], told["lost"], told["winner"]) == (2, 2, 2)
        assert told["degraded"][0].startswith("2 of 4 candidates were lost: The upstream server gave no answer")
    with serving(config(min_candidates=3)) as served:
        answer = served.ask("lose some")
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")


def test_a_request_whose_candidates_are_all_lost_is_an_error_of_openai_s_client(served: Served) -> None:
    with pytest.raises(openai.InternalServerError, match="The upstream server gave no answer"):
        served.client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "lose all"}])


def test_a_generator_that_breaks_loses_what_ran_and_serves_the_next() -> None:
    with serving() as served:
        answer = served.ask("break")
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_failed")
        assert get(f"{served.url}/ready").status_code == 503
        assert served.ask("mend").status_code == 200
        assert get(f"{served.url}/ready").status_code == 200
        assert "close generator" in served.generator.log.entries


SCORER_TIMEOUTS = {"scorer dies": PATIENCE_SECONDS, "scorer sleeps": 0.3}


@pytest.mark.parametrize(("text", "word"), [("scorer dies", "the scorer died"), ("scorer sleeps", "too long")])
def test_a_scorer_that_fails_leaves_the_choice_to_the_fallback_and_the_answer_says_so(text: str, word: str) -> None:
    fallback = {"name": "argmax", "label": "by-likelihood"}
    with serving(config(scorer_timeout=SCORER_TIMEOUTS[text], fallback=fallback)) as served:
        told = served.tts(text)
        assert "by-likelihood" in told["degraded"][0] and word in told["degraded"][0]
        assert told["winner"] == 2  # the likeliest
        served.rating.woken.set()
        assert until(lambda: not served.tts("fine")["degraded"])  # once it has finished what it was at


def test_no_fallback_passes_over_a_threshold() -> None:
    with serving(config(fallback={"name": "argmax", "label": "by-likelihood"})) as served:
        answer = served.ask("scorer dies", tts={"threshold": 1000})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "scorer_failed")


def test_a_scorer_that_has_gone_silent_makes_the_server_not_ready_until_it_speaks() -> None:
    with serving(config(scorer_timeout=0.3)) as served:
        assert served.ask("scorer sleeps").status_code == 504
        answer = get(f"{served.url}/ready")
        assert answer.status_code == 503 and "has not said anything" in answer.json()["error"]["message"]
        served.rating.woken.set()
        assert until(lambda: get(f"{served.url}/ready").status_code == 200)


def test_a_body_that_does_not_come_is_waited_for_until_the_deadline() -> None:
    with serving(config(deadline=1.0)) as served:
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
            head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 408")
        assert until(lambda: served.ask("fine").status_code == 200)  # whose deadline may pass on a machine that stalls


@pytest.mark.parametrize(("text", "status"), [("scorer dies", 503), ("scorer sleeps", 504)])
def test_a_scorer_that_fails_is_the_request_s_failure_without_a_fallback(text: str, status: int) -> None:
    with serving(config(scorer_timeout=SCORER_TIMEOUTS[text])) as served:
        answer = served.ask(text)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "scorer_failed")
        served.rating.woken.set()
        assert until(lambda: served.ask("fine").status_code == 200)


def test_an_error_after_the_stream_has_begun_is_openai_s_client_s_error() -> None:
    with serving(config(keep_alive=0.1)) as served:
        stream = served.client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "scorer sleeps and then the scorer dies"}], stream=True
        )
        served.rating.woken.set()
        with pytest.raises(openai.APIError, match="the scorer died"):
            list(stream)


def to_the_end(served: Served, stream: Any) -> list[Any]:
    """All of a stream that has begun, the candidates of which are held until then."""
    served.generator.held_from = None
    return list(stream)


BUGGY = ["argmax", {"name": "standins:Buggy", "label": "buggy"}]


@pytest.mark.parametrize("begun", [False, True])  # whether the stream has, before the bug shows
def test_a_bug_is_openai_s_error_too_and_its_traceback_is_in_the_log(
    caplog: pytest.LogCaptureFixture, begun: bool
) -> None:
    with serving(config(selectors=BUGGY, keep_alive=0.1 if begun else 2 * PATIENCE_SECONDS)) as served:
        create, extra = served.client.chat.completions.create, {"tts": {"select": "buggy"}}
        with pytest.raises(openai.InternalServerError, match="by a bug") as caught:
            create(model=MODEL, messages=HI, extra_body=extra)
        assert (caught.value.code, caught.value.type) == ("internal_error", "server_error")
        served.generator.held_from = 0 if begun else None
        with pytest.raises(openai.APIError, match="by a bug"):
            to_the_end(served, create(model=MODEL, messages=HI, extra_body=extra, stream=True))
        served.generator.held_from = 0 if begun else None
        with streaming(served.url, {"model": MODEL, "messages": HI, **extra}) as answer:
            served.generator.held_from = None
            assert answer.read().rstrip().endswith(b"data: [DONE]") == begun
        assert served.metric("tts_requests_total", route="/v1/chat/completions", status="500") == (1 if begun else 3)
        assert served.ask("fine").status_code == 200
    assert "the stand-in has a bug" in caplog.text and "Traceback" in caplog.text


def test_once_the_engine_is_broken_all_are_told_at_once() -> None:
    with serving() as served, ThreadPoolExecutor() as pool:
        before = pool.submit(served.ask, "silent")
        assert until(lambda: served.generator.unfinished == 4)
        codes = [answer.json()["error"]["code"] for answer in (served.ask("no text"), before.result(), served.ask())]
        assert codes == ["engine_broken"] * 3
        ready = get(f"{served.url}/ready")
        assert (ready.status_code, "the engine broke" in ready.text) == (503, True)


# Programs.

ECHO = [{"input": "1\n", "output": "2\n"}]


def test_public_tests_are_refused_where_nothing_runs_programs() -> None:
    with serving(config(selectors=["argmax"])) as served:
        assert not served.service.executes
        answer = served.ask(tts={"public_tests": ECHO})
        assert answer.json()["error"]["param"] == "tts.public_tests"


def test_a_selector_that_compares_what_programs_do_runs_them_on_the_request_s_tests(served: Served) -> None:
    told = served.tts("same", tts={"select": "majority", "public_tests": ECHO})
    assert told["why"] == "1 of 4 behave alike"


def test_no_program_runs_unless_the_request_brings_tests(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    ran, run = [], Observer._run

    def noted(self: Observer, problem: Problem, *more: Any) -> None:
        ran.append(problem.id)
        run(self, problem, *more)

    monkeypatch.setattr(Observer, "_run", noted)
    for select in ("argmax", "majority"):
        served.tts("x", tts={"select": select})
    served.tts("x", tts={"select": "argmax", "public_tests": ECHO})
    assert ran == []
    told = served.tts("x", tts={"select": "majority", "public_tests": ECHO})
    assert set(ran) == {told["run"]}


def test_a_selector_that_counts_passed_tests_goes_before_the_score() -> None:
    with serving(config(selectors=["tests_then_score"])) as served:
        told = served.tts("x", tts={"public_tests": [{"input": "", "output": "x 1\n"}]})
        assert (told["winner"], told["why"]) == (1, "passes 1 of 1 public tests, then its score (1)")


# Its life.

CONFIG = """
generator: {name: "standins:Talking", n: 4, width: 64, seconds: 0.25, steps: 4}
scorers: [likelihood]
selectors: [argmax]
serve: {model: stand-in, drain: 120}
"""
DRAIN_SECONDS = 120.0


@contextmanager
def process(
    folder: Path, *more: str, says: str = CONFIG, **environ: str
) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """`tts serve` as a process, its url, and what it said until it served."""
    (folder / "serve.yaml").write_text(says)
    line = command("serve", "serve.yaml", "--port", 0, *more)
    running = subprocess.Popen(line, cwd=folder, env=environment() | environ, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    late = threading.Timer(PATIENCE_SECONDS, running.kill)  # which ends the waiting for a line
    said, url = "", None
    with running.stderr:
        try:
            late.start()
            while url is None:
                said += (line_ := running.stderr.readline())
                assert line_, said
                url = re.search(r"http://[\d.]+:\d+", line_)
            late.cancel()
            yield running, url[0], said
        finally:
            late.cancel()
            running.kill()
            running.wait()


REAL = """
generator: {name: transformers, model: base, n: 3, max_tokens: 1500, batch_size: 8, dtype: float32, temperature: 0.8}
scorers: [likelihood]
selectors: [argmax]
memory: {device: cpu, prompt_tokens: 200}
serve: {model: real}
"""


def test_a_real_model_is_served(tmp_path: Path) -> None:
    tiny.endless(tiny.causal(tmp_path / "base", max_position_embeddings=2048))
    chat = {"model": "real", "messages": [{"role": "user", "content": "Say x."}]}
    with process(tmp_path, says=REAL) as (_, url, _):
        answer = httpx.post(f"{url}/v1/chat/completions", json=chat | {"max_tokens": 8}, timeout=PATIENCE_SECONDS)
        told = answer.json()
        assert (answer.status_code, told["tts"]["sampled"]) == (200, 3)
        scores = [candidate["score"] for candidate in told["tts"]["candidates"]]
        assert told["tts"]["score"] == max(scores) and len(set(scores)) == 3
        assert 3 <= told["usage"]["completion_tokens"] <= 24 and told["usage"]["prompt_tokens"] > 0
        long = {"model": "real", "messages": [{"role": "user", "content": 3000 * "x"}]}
        refused = httpx.post(f"{url}/v1/chat/completions", json=long, timeout=PATIENCE_SECONDS)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        before = metric(url, "tts_tokens_total", kind="completion")
        with streaming(url, chat | {"temperature": 0.1}):
            assert until(lambda: metric(url, "tts_candidates_running") == 3)
        assert until(lambda: metric(url, "tts_candidates_running") == 0)
        assert metric(url, "tts_candidates_total", what="cancelled") == 3
        assert until(lambda: metric(url, "tts_tokens_total", kind="completion") > before)  # those that they had by then


def test_models_that_would_take_turns_are_not_served(tmp_path: Path) -> None:
    tiny.causal(tmp_path / "base")
    tiny.reward(tmp_path / "reward")
    (tmp_path / "serve.yaml").write_text(REAL.replace("likelihood", "{name: codescaler, model: reward}"))
    line = command("serve", "serve.yaml", "memory.mode=sequential")
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "take turns" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its url."""
    with process(tmp_path) as (running, url, _):
        yield running, url


@pytest.mark.parametrize(
    ("host", "keys", "warned"),
    [((), "", False), (("--host", "0.0.0.0"), "", True), (("--host", "0.0.0.0"), "keys_env", False)],
    ids=str,
)
def test_it_listens_at_loopback_unless_told_otherwise_and_warns_where_all_may_use_it(
    tmp_path: Path, host: tuple[str, ...], keys: str, warned: bool
) -> None:
    named = ["serve.keys_env=MY_KEYS"] if keys else []
    with process(tmp_path, *named, *host, MY_KEYS="one,two") as (running, _, said):
        sockets = psutil.Process(running.pid).net_connections("tcp")
        listening = {one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN}
        assert listening == {host[-1] if host else "127.0.0.1"}
        assert ("whoever reaches this machine may use this server" in said) == warned


@pytest.mark.parametrize("where", ["keys_file", "keys_env"])
def test_keys_come_from_the_file_or_the_variable_that_the_config_names(tmp_path: Path, where: str) -> None:
    (tmp_path / "keys").write_text("one\ntwo\n")
    place = {"keys_file": "keys", "keys_env": "MY_KEYS"}[where]
    with process(tmp_path, f"serve.{where}={place}", MY_KEYS="one, two") as (_, url, _):
        for key, status in (("one", 200), ("two", 200), ("three", 401)):
            assert get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == status


def test_keys_that_are_not_there_are_told_before_anything_loads(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text(CONFIG)
    (tmp_path / "noted").write_text("# Ada's key\none\n")
    for option, word in (
        ("keys_file=nowhere", "nowhere cannot be read"),
        ("keys_file=noted", "noted must hold keys of printable ASCII without spaces"),
        ("keys_env=NO_KEYS", "NO_KEYS must hold"),
    ):
        line = command("serve", "serve.yaml", "--port", 0, f"serve.{option}")
        done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and word in done.stderr and "Traceback" not in done.stderr


def test_sigterm_lets_what_runs_be_answered_and_takes_nothing_more(
    started: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = started
    with ThreadPoolExecutor() as pool, httpx.Client(timeout=PATIENCE_SECONDS) as client:
        kept = client.post(f"{url}/v1/chat/completions", json=CHAT)  # a connection that stays open
        running = pool.submit(httpx.post, f"{url}/v1/chat/completions", json=CHAT, timeout=PATIENCE_SECONDS)
        assert until(lambda: metric(url, "tts_candidates_running") == 4)
        process.send_signal(signal.SIGTERM)
        assert until(lambda: refused(url))
        assert kept.status_code == running.result().status_code == 200
    assert process.wait(PATIENCE_SECONDS) == 0


def test_what_has_no_answer_when_the_time_to_drain_is_over_is_told_so(tmp_path: Path) -> None:
    queued = ("serve.drain=1", "serve.concurrency=2")
    with process(tmp_path, *queued) as (running, url, _), ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(httpx.post, f"{url}/v1/chat/completions", json=SILENT | {"stream": streams}, timeout=60)
            for streams in (False, True, False, False)  # two of which have to wait
        ]
        assert until(lambda: metric(url, "tts_candidates_running") == 8 and metric(url, "tts_requests_waiting") == 2)
        running.send_signal(signal.SIGTERM)
        whole, streamed, *others = (one.result() for one in asked)
        assert running.wait(PATIENCE_SECONDS) == 0
        assert running.stderr is not None and "Traceback" not in running.stderr.read()
    for answer in (whole, *others):
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
    assert '"code":"draining"' in streamed.text.replace('": "', '":"')


def get(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, timeout=PATIENCE_SECONDS, **more)


def refused(url: str) -> bool:
    try:
        get(f"{url}/health")
    except httpx.TransportError:
        return True
    return False


def test_a_second_signal_ends_it_at_once_and_those_who_wait_are_told(
    started: tuple[subprocess.Popen[str], str],
) -> None:
    process, url = started
    with ThreadPoolExecutor() as pool:
        asked = [
            pool.submit(httpx.post, f"{url}/v1/chat/completions", json=SILENT | {"stream": streams}, timeout=60)
            for streams in (False, True)
        ]
        assert until(lambda: metric(url, "tts_candidates_running") == 8)
        process.send_signal(signal.SIGTERM)
        assert until(lambda: refused(url))
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(DRAIN_SECONDS / 2) == 0
        answers = [one.result() for one in asked]
    assert answers[0].status_code == 503
    assert all('"code":"draining"' in answer.text for answer in answers)
    assert process.stderr is not None
    said = process.stderr.read()
    assert f"Stopping: 2 requests may take {DRAIN_SECONDS:g} seconds" in said
    assert "Event loop is closed" not in said and "Traceback" not in said


def test_a_process_whose_engine_broke_ends_with_status_1(started: tuple[subprocess.Popen[str], str]) -> None:
    process, url = started
    body = {"model": MODEL, "prompt": "no text"}
    answer = httpx.post(f"{url}/v1/completions", json=body, timeout=PATIENCE_SECONDS)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_broken")
    assert process.wait(PATIENCE_SECONDS) == 1
    assert process.stderr is not None
    said = process.stderr.read()
    assert "Traceback" in said and said.splitlines()[-1].startswith("Failure: The engine broke")


def test_an_address_that_is_taken_is_said_before_anything_loads(tmp_path: Path, served: Served) -> None:
    (tmp_path / "serve.yaml").write_text(CONFIG)
    port = served.url.rsplit(":", 1)[1]
    line = command("serve", "serve.yaml", "--port", port)
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"The server cannot have 127.0.0.1:{port}" in done.stderr and "Traceback" not in done.stderr


def test_of_two_that_load_at_one_address_the_second_is_told_once_it_would_listen() -> None:
    def deaf() -> None:
        raise AssertionError("it says that it listens")

    with server.bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with server.bound("127.0.0.1", port) as second:
            first.listen()
            service = Service(config(), Talking(), {"rating": Rating(), "likelihood": Rating()})
            with pytest.raises(ConfigError, match=f"The server cannot have 127.0.0.1:{port}"):
                server.serve(service, [], second, deaf)
            service.close()


def test_an_empty_address_is_not_every_address(tmp_path: Path) -> None:
    (tmp_path / "serve.yaml").write_text(CONFIG)
    line = command("serve", "serve.yaml", "--host", "")
    done = subprocess.run(line, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--host is empty" in done.stderr and "Traceback" not in done.stderr


def test_the_state_is_told(served: Served) -> None:
    assert get(f"{served.url}/health").json() == {"status": "ok"}
    assert get(f"{served.url}/ready").json() == {"status": "ready"}
    for path in ("/", "/health", "/ready"):
        answer = httpx.head(f"{served.url}{path}", timeout=PATIENCE_SECONDS)
        assert (answer.status_code, answer.content) == (200, b"")
    served.ask()  # a family without a sample has no name yet
    told = {family.name for family in text_string_to_metric_families(get(f"{served.url}/metrics").text)}
    assert {"tts_requests", "tts_seconds", "tts_tokens", "tts_requests_running"} <= told
    page = get(f"{served.url}/")
    assert page.headers["content-type"].startswith("text/html") and "default-src 'none'" in str(page.headers)


def test_answers_are_counted() -> None:
    with serving() as served:

        def counted() -> tuple[float, float]:
            answers = served.metric("tts_requests_total", route="/v1/chat/completions", status="200")
            return answers, served.metric("tts_seconds_count", stage="generate")

        for asked in (1, 2):
            served.ask()  # its client has the answer before it is counted
            assert until(lambda asked=asked: counted() == (asked, asked))


def test_a_request_has_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "tts.serve"), serving() as served:
        run = served.ask("a secret task").headers["X-Request-Id"]
        httpx.post(f"{served.url}/v1/completions", content=b"{", headers={"Content-Type": "application/json"})
        get(f"{served.url}/health")
        assert until(lambda: "no run: 400 from /v1/completions in 0." in caplog.text)
    assert f"{run}: 200 from /v1/chat/completions in " in caplog.text
    assert "/health" not in caplog.text and "a secret task" not in caplog.text


# tts on tts.


def test_our_generator_samples_from_our_server(served: Served) -> None:
    one = OpenAI(model=MODEL, base_url=f"{served.url}/v1", per_request=2, pause=0.02)
    problem = Problem("p", "stack", (Message("user", "stack"),))
    one.start([(problem, 0)])
    found = list(one.generate([(problem, index) for index in range(4)]))
    assert [said(c.text)[0] for c in found] == ["stack"] * 4
    assert one.notes == [f"the server at {served.url}/v1 refuses logprobs; it was asked without"]
    one.close()


def test_tts_stacks_on_tts(served: Served) -> None:
    inner = OpenAI(model=MODEL, base_url=f"{served.url}/v1", pause=0.02, retries=1)
    with serving(config(n=3), generator=inner) as outer:
        answer = outer.ask("stacked").json()
        assert said(answer["choices"][0]["message"]["content"]) == ("stacked", 3)
        assert answer["tts"]["sampled"] == 3
        assert answer["usage"]["completion_tokens"] == 3 * (10 + 11 + 12 + 13)
        refused = outer.ask("refuse me")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "upstream_refused")


def test_an_upstream_that_dies_and_comes_back(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with chat_server.serving("fine", tmp_path / "log") as url:
            port = int(url.split(":")[2].split("/")[0])
            generator = OpenAI(model=chat_server.MODEL, base_url=url, pause=0.01, retries=1)
            served = stack.enter_context(serving(config(), generator))
            assert served.ask().status_code == 200
        assert served.ask().status_code == 502
        with chat_server.serving("fine", tmp_path / "log", port):
            assert served.ask().status_code == 200


def test_what_cannot_work_is_told_before_the_server_answers(tmp_path: Path) -> None:
    dead = OpenAI(model="m", base_url="http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(UpstreamError, match="did not answer"), serving(generator=dead):
        pass


def test_a_config_without_a_scorer_or_n_is_refused() -> None:
    from pydantic import ValidationError

    from tts.config import ServeConfig

    parts = {"generator": {"name": "replay", "path": "x", "n": 4}, "scorers": ["length"], "selectors": ["argmax"]}
    for missing in ("scorers", "selectors"):
        with pytest.raises(ConfigError, match=f"{missing} is missing"):
            ServeConfig.model_validate(parts | {missing: []})
    with pytest.raises(ConfigError, match="say how many"):
        ServeConfig.model_validate(parts | {"generator": {"name": "replay", "path": "x"}})
    with pytest.raises((ConfigError, ValidationError)):
        ServeConfig.model_validate(parts | {"serve": {"keys_file": "a", "keys_env": "B"}})


def test_the_scorer_public_tests_runs_programs_on_a_request_s_tests() -> None:
    with serving(config(), scorers={"rating": PublicTests(), "likelihood": PublicTests()}) as served:
        tests = [{"input": "", "output": "x 2\n"}]
        told = served.tts("x", tts={"public_tests": tests})
        assert [c["score"] for c in told["candidates"]] == [0.0, 0.0, 1.0, 0.0]
        assert told["winner"] == 2

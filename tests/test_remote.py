"""The remote scorer against a real server process on this machine, well behaved and not."""

import importlib.util
import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import reward_server
import tiny
from support import Done, Small, command, rows_of, tts, write_rows

from tts.errors import ConfigError, UserError
from tts.score._parallel import Parallel
from tts.score.codescaler import CodeScaler
from tts.score.remote import Remote
from tts.types import Candidate, Problem, Score

Start = Callable[[str], str]


def pairs(count: int) -> list[tuple[Problem, Candidate]]:
    problem = Problem("p", "Add two numbers.", ())
    codes = [f"def add(a, b):\n    return a + b  # {'x' * i}\n" for i in range(count)]
    return [(problem, Candidate("p", i, code, code)) for i, code in enumerate(codes)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server in a mode; its url."""
    with ExitStack() as running:
        yield lambda mode: running.enter_context(reward_server.serving(mode, tmp_path / "log"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.reward(tmp_path_factory.mktemp("reward"))


def asked(folder: Path) -> list[dict[str, Any]]:
    return rows_of(folder / "log")


def values(scorer: Remote, items: list[tuple[Problem, Candidate]]) -> list[float | None]:
    found = {score.key: score.value for score in scorer.score(items)}
    return [found[candidate.key] for _, candidate in items]


@pytest.mark.parametrize("route", ["classify", "pooling"])
def test_pairs_are_sent_as_codescaler_renders_them_in_batches_without_activation(
    start: Start, tmp_path: Path, model: Path, route: Any
) -> None:
    items = pairs(20)
    scorer = Remote(model="rm", url=start("fine"), route=route, tokenizer=str(model), batch_size=8)
    tokens = [CodeScaler(model=str(model)).tokens(p.statement, c.code or "") for p, c in items]
    assert values(scorer, items) == [float(sum(row)) for row in tokens]
    requests = asked(tmp_path)
    assert sorted(len(request["input"]) for request in requests) == [4, 8, 8]
    for request in requests:
        assert (request["path"], request["model"]) == (f"/{route}", "rm")
        assert request["use_activation"] is False
        assert request["add_special_tokens"] is False
        assert request.get("task") == ("classify" if route == "pooling" else None)


def test_without_a_tokenizer_the_server_renders_the_chat(start: Start, tmp_path: Path) -> None:
    items = pairs(5)
    expected = [float(len(p.statement) + len(c.code or "")) for p, c in items]
    assert values(Remote(model="rm", url=start("fine") + "/"), items) == expected
    messages = [request["messages"] for request in asked(tmp_path)]
    assert [[m["role"] for m in chat] for chat in messages] == [["user", "assistant"]] * 5


def test_no_code_and_overlong_pairs_are_null(start: Start, model: Path) -> None:
    problem = Problem("p", "q", ())
    long = "x = 1\n" * 1000
    items = [(problem, Candidate("p", i, "", code)) for i, code in enumerate([None, "x", long, "y"])]
    url = start("fine")
    for scorer in (Remote(model="rm", url=url, tokenizer=str(model)), Remote(model="rm", url=url)):
        found = {score.index: score for score in scorer.score(items)}
        assert found[0] == Score("p", 0, None, "no code")
        assert found[1].value is not None
        assert found[2].value is None
        assert found[2].why.startswith("overlong: This model's maximum context length")
        assert found[3].value is not None
    local = Remote(model="rm", url=url, tokenizer=str(model), max_length=100)
    assert {s.index: s for s in local.score(items)}[2].why.endswith("max_length is 100")


def test_a_busy_server_is_asked_again(start: Start, tmp_path: Path) -> None:
    scorer = Remote(model="rm", url=start("busy"), pause=0.01, concurrency=1)
    assert None not in values(scorer, pairs(4))
    assert len(asked(tmp_path)) > 4


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("html", ["no list of scores", "Welcome to nginx"]),
        ("chat", ["no list of scores", "route"]),
        ("few", ["no list of scores", "0 rows for 1 pair"]),
        ("words", ["no list of scores", "high"]),
        ("infinite", ["no list of scores", "inf"]),
        ("huge", ["no list of scores", "1000"]),
        ("deep", ["no list of scores", "[["]),
        ("no_index", ["no list of scores", "index must be each number from 0 to 0 once, got [[0]]"]),
        ("two_labels", ["2 labels", "reward model has 1"]),
        ("misconfigured", ["refused to score (400)", "max_model_len is 0. Check the scorer's model"]),
        ("unknown_model", ["refused to score (404)", "The model `rm` does not exist. Check the scorer's model"]),
    ],
)
def test_nonsense_is_a_user_s_error_with_the_remedy(start: Start, mode: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        values(Remote(model="rm", url=start(mode), pause=0.01), pairs(3))
    assert all(word in str(caught.value) for word in words)


def test_a_server_that_is_down_is_a_user_s_error_after_the_retries() -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"did not answer after 3 tries: .*refused.*Start it.*run the same"):
        values(Remote(model="rm", url="http://127.0.0.1:9", retries=2, pause=0.05), pairs(1))
    assert time.monotonic() - begun >= 0.05 + 0.1


def test_a_server_is_looked_for_before_anything_is_sent_to_it(start: Start, tmp_path: Path) -> None:
    for mode in ("fine", "no_root"):
        Remote(model="rm", url=start(mode)).check()
    assert not (tmp_path / "log").exists()
    with pytest.raises(UserError, match=r"after 1 try: .*refused"):
        Remote(model="rm", url="http://127.0.0.1:9", retries=0).check()
    with pytest.raises(ConfigError, match="key_file nowhere cannot be read"):
        Remote(model="rm", url="http://127.0.0.1:9", key_file="nowhere").check()


def test_a_slow_server_is_given_up_after_the_timeout(start: Start) -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match="timed out"):
        values(Remote(model="rm", url=start("slow"), timeout=0.3, retries=1, pause=0.01), pairs(1))
    assert time.monotonic() - begun < 4


@pytest.mark.parametrize("mode", ["trickles", "trickles_open", "trickles_headers"])
def test_a_server_that_never_stops_sending_is_given_up_after_the_timeout(start: Start, mode: str) -> None:
    scorer = Remote(model="rm", url=start(mode), timeout=0.5, retries=1, pause=0.01)
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"after 2 tries: it timed out after 0.5 seconds\. Start it"):
        values(scorer, pairs(1))
    assert 2 * 0.5 <= time.monotonic() - begun < 5


def test_a_refusal_whose_words_never_end_is_one_after_the_timeout(start: Start) -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match=r"refused to score \(404\): Not Found\. Check"):
        values(Remote(model="rm", url=start("trickles_refusal"), timeout=2), pairs(1))
    assert time.monotonic() - begun < 10


def test_what_a_request_opened_is_closed(start: Start) -> None:
    scorer = Remote(model="rm", url=start("fine"), concurrency=2)
    values(scorer, pairs(4))
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    values(scorer, pairs(40))
    for _ in range(100):  # a thread's end is not its work's
        after = (len(os.listdir("/proc/self/fd")), threading.active_count())
        if after <= before:
            break
        time.sleep(0.05)
    assert after <= before


def test_ctrl_c_does_not_wait_for_a_server_that_hangs(start: Start, tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.jsonl", [{"id": i, "question": "q", "code": f"print({i})"} for i in range(20)])
    options = ("--scorer", "remote", "model=rm", f"url={start('hangs')}")
    process = subprocess.Popen(command("score", "pairs.jsonl", *options), cwd=tmp_path, stderr=subprocess.PIPE)
    while not (tmp_path / "log").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in error


def test_calls_run_side_by_side_and_no_more_than_asked() -> None:
    running: set[int] = set()
    seen: list[int] = []

    def work(number: int) -> int:
        running.add(number)
        time.sleep(0.05)
        seen.append(len(running))
        running.discard(number)
        return number

    calls = Parallel(work, 3)
    found = [*itertools.chain.from_iterable(map(calls.put, range(10))), *calls.rest()]
    assert sorted(found) == list(range(10))
    assert max(seen) == 3


def test_what_was_answered_before_the_server_broke_is_kept(start: Start) -> None:
    found: list[Score] = []
    scorer = Remote(model="rm", url=start("breaks"), retries=0, concurrency=1)
    with pytest.raises(UserError, match="CUDA error"):
        found.extend(scorer.score(pairs(10)))
    assert len(found) == 2


def test_a_run_whose_server_broke_goes_on_with_what_is_missing(start: Start, tmp_path: Path, small: Small) -> None:
    def run(mode: str) -> Done:
        options = {"name": "remote", "model": "rm", "url": start(mode), "retries": 0, "concurrency": 1}
        small.write(scorers=[options], selectors=["argmax"])
        return tts(tmp_path, "run", "config.yaml", "--folder", "run")

    broken = run("breaks")
    assert broken.code == 2
    assert "CUDA error" in broken.error
    before = len(asked(tmp_path))
    assert before == 3  # two answers and the failure
    assert run("fine").code == 0
    assert tts(tmp_path, "export", "run", "--to", "rows.jsonl").code == 0
    assert len(asked(tmp_path)) - before == len(rows_of(tmp_path / "rows.jsonl")) - 2


def test_a_file_of_pairs_goes_on_where_its_server_broke(start: Start, tmp_path: Path) -> None:
    rows = [{"id": i, "question": "q", "code": f"print({i})"} for i in range(6)]
    write_rows(tmp_path / "pairs.jsonl", [*rows, rows[0]])

    def score(mode: str, model: str = "rm") -> Done:
        options = (f"model={model}", f"url={start(mode)}", "retries=0", "concurrency=1")
        return tts(tmp_path, "score", "pairs.jsonl", "--scorer", "remote", *options, "--out", "s.jsonl")

    broken = score("breaks")
    assert broken.code == 2
    assert "2 scores are kept in" in broken.error and "s.jsonl.part; the same command goes on" in broken.error
    assert not (tmp_path / "s.jsonl").exists()
    assert len(asked(tmp_path)) == 3  # two answers and the failure
    assert score("breaks", model="other").code == 2
    assert len(asked(tmp_path)) == 3 + 3  # nothing known of another model

    assert score("fine").code == 0
    sent = [request["messages"][1]["content"] for request in asked(tmp_path)[6:]]
    assert sorted(sent) == [f"print({i})" for i in range(2, 6)]
    assert [row["value"] for row in rows_of(tmp_path / "s.jsonl")] == [9.0] * 7
    assert not list(tmp_path.glob("*.part"))


def test_the_key_is_sent_from_its_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    values(Remote(model="rm", url=start("fine"), key_file=str(tmp_path / "key")), pairs(1))
    assert asked(tmp_path)[0]["key"] == "Bearer secret"
    with pytest.raises(ConfigError, match="key_file"):
        values(Remote(model="rm", url="http://127.0.0.1:9", key_file=str(tmp_path / "none")), pairs(1))


def test_a_key_that_a_server_repeats_is_not_said(start: Start, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    with pytest.raises(UserError, match=r"refused to score \(401\): Wrong key") as caught:
        values(Remote(model="rm", url=start("no_key"), key_file=str(tmp_path / "key")), pairs(1))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", [b"one\ntwo", b"\xff\xfe", "schl\u00fcssel".encode(), b"a\0b"])
def test_a_file_that_holds_no_key_is_refused_before_anything_is_sent(tmp_path: Path, key: bytes) -> None:
    (tmp_path / "key").write_bytes(key)
    with pytest.raises(ConfigError, match="must hold one key"):
        Remote(model="rm", url="http://127.0.0.1:9", key_file=str(tmp_path / "key")).check()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"url": "localhost:8000"}, "url"),
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://a..b:8000"}, "url"),
        ({"url": "http://127.0.0.1:9/\u00e4"}, "url"),
        ({"url": "http://[::1"}, "url"),
        ({"url": "http://a b"}, "url"),
        ({"url": "http://host:port"}, "url"),
        ({"url": "http://host:80/\n"}, "url"),
        ({"batch_size": 0}, "batch_size"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout must be above 0 and at most 86400 seconds"),
        ({"timeout": 1e300}, "timeout must be above 0 and at most 86400 seconds"),
        ({"timeout": float("nan")}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"pause": -1}, "pause"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": 100}, "without tokenizer"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Remote(model="rm", **options)


@pytest.mark.long
def test_a_real_vllm_server_gives_codescaler_s_scores(tmp_path: Path) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vllm")
    model = str(tiny.reward(tmp_path, hidden_size=64, head_dim=32))  # a size that vLLM's attention takes
    problem = Problem("q", "Print x. " * 40, ())
    long = Candidate("q", 0, "", "x = 1\n" * 600)
    items = [*pairs(40), (problem, long), *((problem, Candidate("q", i, "", f"print({i})")) for i in range(1, 9))]
    expected = {s.key: s for s in CodeScaler(model=model, dtype="float32", max_length=2048).score(items)}
    assert [key for key, score in expected.items() if score.value is None] == [("q", 0)]
    with reward_server.serving_vllm(tmp_path, tmp_path / "log", "--runner", "pooling") as url:
        for route, tokenizer in itertools.product(("classify", "pooling"), ("", model)):
            scorer = Remote(model=model, url=url, route=route, tokenizer=tokenizer)  # type: ignore[arg-type]
            found = {score.key: score for score in scorer.score(items)}
            assert found.keys() == expected.keys()
            assert {k: s.value for k, s in found.items()} == pytest.approx(
                {k: s.value for k, s in expected.items()}, abs=1e-4
            )
            assert found["q", 0].why.startswith("overlong: This model's maximum context length is 2048 tokens")
        with pytest.raises(UserError, match=r"refused to score \(404\): The model `other` does not exist"):
            values(Remote(model="other", url=url), pairs(1))

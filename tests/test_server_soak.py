"""Five minutes of everything at once: many clients, some of whom hang up, malformed bodies, an upstream that is killed
and comes back. Memory stays flat, no task is left, no answer is another's.
"""

import asyncio
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import chat_server
import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from served import metric, until
from support import command, environment

MINUTES = 5.0
CLIENTS = 12
CONCURRENCY = 64  # requests to the upstream at once
N = 3  # candidates by default, and so connections to the upstream that a single request uses
EXPIRY_SECONDS = 5.0  # of a connection to the upstream that nobody uses: httpx's own
LEAST_REQUESTS = 1000
MIB = 2**20
CHAT = {"model": "stand-in", "messages": [{"role": "user", "content": "the last"}]}
CONFIG = """
generator:
  {{name: openai, model: stand-in, base_url: "{url}", n: {n}, retries: 2, pause: 0.05, concurrency: {concurrency}}}
scorers: [likelihood, length]
selectors: [argmax, majority]
serve: {{min_candidates: 1, concurrency: 16, queue: 64, deadline: 20, keep_alive: 0.2, fallback: majority}}
"""


class Upstream:
    """The stand-in's process, which is killed and started again at the same port."""

    def __init__(self, log: Path) -> None:
        self._log, self._server = log, chat_server.serving("echoes", log)
        self.url = self._server.__enter__()
        self._port = int(self.url.split(":")[2].split("/")[0])

    def kill(self) -> None:
        """SIGKILL, with whatever it was answering."""
        self._server.__exit__(None, None, None)

    def start(self) -> None:
        """Again."""
        self._server = chat_server.serving("echoes", self._log, self._port)
        self._server.__enter__()


class Client:
    """One of many, each with a seed of its own; `seen` counts what came of its requests."""

    def __init__(self, url: str, number: int, seen: Counter[str]) -> None:
        self._url, self._number, self._seen = url, number, seen
        self._random = random.Random(number)

    async def run(self, until_time: float) -> None:
        """One request after the other."""
        async with httpx.AsyncClient(timeout=60) as client:
            turn = 0
            while time.monotonic() < until_time:
                turn += 1
                await self._one(client, f"client {self._number} turn {turn}")

    async def _one(self, client: httpx.AsyncClient, text: str) -> None:
        kind = self._random.choices(("whole", "stream", "hang up", "malformed"), (5, 3, 2, 1))[0]
        body: dict[str, Any] = {"model": "stand-in", "messages": [{"role": "user", "content": text}]}
        try:
            if kind == "hang up":
                await self._hang_up(client, body)
            elif kind == "malformed":
                await self._malformed(client)
            else:
                self._check(text, await self._answer(client, body, kind == "stream"))
        except httpx.TransportError as error:
            self._seen[type(error).__name__] += 1

    async def _answer(self, client: httpx.AsyncClient, body: dict[str, Any], stream: bool) -> tuple[int, str]:
        body = body | {"stream": stream, "n": self._random.choice((1, 1, 2)), "tts": {"n": self._random.randint(2, 5)}}
        answer = await client.post(f"{self._url}/v1/chat/completions", json=body)
        if answer.status_code != 200:
            return answer.status_code, answer.text
        if not stream:
            return 200, "".join(c["message"]["content"] for c in answer.json()["choices"])
        events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
        found = [json.loads(event) for event in events]
        errors = [event["error"]["code"] for event in found if "error" in event]
        if errors:
            return 599, errors[0]
        deltas = [choice["delta"] for event in found for choice in event["choices"]]
        return 200, "".join(delta.get("content") or "" for delta in deltas)

    def _check(self, text: str, answer: tuple[int, str]) -> None:
        """An answer holds its own request's words and no other's."""
        status, said = answer
        self._seen[f"status {status}"] += 1
        if status == 200:
            others = set(re.findall(r"client \d+ turn \d+", said)) - {text}
            self._seen["right" if text in said and not others else "WRONG"] += 1

    async def _hang_up(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        body = body | {"stream": self._random.random() < 0.5}
        try:
            async with asyncio.timeout(self._random.uniform(0.0, 0.15)):
                await client.post(f"{self._url}/v1/chat/completions", json=body)
        except TimeoutError:
            self._seen["hung up"] += 1

    async def _malformed(self, client: httpx.AsyncClient) -> None:
        content = self._random.choice(
            [b"{", b"[]", b"\xff", b"null", b'{"model": 1}', b'{"model": "x", "messages": []}']
        )
        headers = {"Content-Type": self._random.choice(["application/json", "text/plain"])}
        answer = await client.post(f"{self._url}/v1/chat/completions", content=content, headers=headers)
        assert 400 <= answer.status_code < 500
        self._seen["malformed"] += 1


async def trouble(upstream: Upstream, until_time: float, memory: list[float], server: psutil.Process) -> int:
    """Kill the upstream now and then, and see how much memory the server has. How many kills."""
    kills = 0
    while time.monotonic() < until_time - 25:
        await asyncio.sleep(20)
        memory.append(server.memory_info().rss / MIB)
        await asyncio.to_thread(upstream.kill)
        await asyncio.sleep(2)
        await asyncio.to_thread(upstream.start)
        kills += 1
    return kills


async def soak(
    url: str, upstream: Upstream, server: psutil.Process, seconds: float
) -> tuple[Counter[str], list[float], int]:
    """(what came of all requests, MiB of memory as time went on, kills)."""
    seen: Counter[str] = Counter()
    memory: list[float] = []
    end = time.monotonic() + seconds
    clients = [Client(url, number, seen).run(end) for number in range(CLIENTS)]
    fuzzing = asyncio.to_thread(fuzz_until, url, end)
    kills, *_ = await asyncio.gather(trouble(upstream, end, memory, server), fuzzing, *clients)
    return seen, memory, kills


def fuzz(url: str, examples: int = 100) -> None:
    """Bodies made up from the OpenAPI, right and wrong. None is the server's own fault, whatever the upstream's are."""
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for mode in schemathesis.GenerationMode:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(described["/v1/chat/completions"]["POST"].as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case) -> None:
            assert case.call().status_code != 500

        send()


def fuzz_until(url: str, end: float) -> None:
    while time.monotonic() < end:
        fuzz(url, examples=20)


@dataclass(frozen=True)
class Held:
    """What a server holds: threads, tasks, and descriptors by kind."""

    threads: int
    tasks: float
    from_clients: int
    to_upstream: int
    other: int

    @classmethod
    def by(cls, server: psutil.Process, url: str) -> "Held":
        """Once no client is connected, unless one is for long: what is being closed would be counted in part."""
        tasks = metric(url, "tts_tasks")
        mine = int(url.rsplit(":", 1)[1])

        def connected() -> tuple[int, int]:
            sockets = [one for one in server.net_connections("tcp") if one.status != psutil.CONN_LISTEN]
            clients = sum(one.laddr.port == mine for one in sockets)
            return clients, len(sockets) - clients

        until(lambda: connected()[0] == 0, 10)
        clients, to_upstream = connected()
        return cls(server.num_threads(), tasks, clients, to_upstream, server.num_fds() - clients - to_upstream)


@pytest.mark.long
def test_five_minutes_of_everything(tmp_path: Path) -> None:
    upstream = Upstream(tmp_path / "log")
    (tmp_path / "serve.yaml").write_text(CONFIG.format(url=upstream.url, n=N, concurrency=CONCURRENCY))
    line = command("serve", "serve.yaml", "--port", 0)
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(line, cwd=tmp_path, env=environment(), stderr=log)
    try:
        assert until(lambda: "Serving" in (tmp_path / "server.log").read_text(), 60)
        url = re.findall(r"http://127\.0\.0\.1:\d+", (tmp_path / "server.log").read_text())[0]
        server = psutil.Process(process.pid)
        fuzz(url)
        before = Held.by(server, url)
        seen, memory, kills = asyncio.run(soak(url, upstream, server, 60 * MINUTES))
        fuzz(url)
        for name in ("tts_requests_running", "tts_requests_waiting", "tts_candidates_running"):
            assert until(lambda name=name: metric(url, name) == 0, 10), name
        time.sleep(EXPIRY_SECONDS + 1)
        assert httpx.post(f"{url}/v1/chat/completions", json=CHAT).status_code == 200  # expired connections go with it
        after = Held.by(server, url)
        print(dict(seen), [round(mib) for mib in memory], kills, before, after, file=sys.stderr)
        assert seen["WRONG"] == 0 and seen["right"] > LEAST_REQUESTS // 2
        assert sum(seen.values()) - seen["right"] >= LEAST_REQUESTS
        assert kills >= 5 and seen["hung up"] > 50 and seen["malformed"] > 50
        assert after.tasks <= before.tasks
        assert after.from_clients == 0
        assert after.to_upstream <= N
        assert after.other <= before.other
        assert after.threads <= before.threads + 2  # asyncio's own, that look names up
        settled = memory[len(memory) // 3 :]
        assert max(settled[len(settled) // 2 :]) < 1.1 * max(settled[: len(settled) // 2]) + 4
        process.terminate()
        assert process.wait(30) == 0
        assert "Traceback" not in (tmp_path / "server.log").read_text()
    finally:
        process.kill()
        process.wait()
        upstream.kill()

#!/usr/bin/env python3
"""Throughput and latency of `tts serve` from outside, beside bare `vllm serve` given n = N, in one run.

The same model, engine arguments, prompts, n, sampling and lengths, over HTTP from one client process. All servers are
started first and then take turns, load by load, so that one works at a time and a noisy machine is noisy to all. Rounds
go there and back, an even number of them, so that no server comes after another more often than before it; and each is
asked once before its turn, since a machine may have taken back the memory of one that was idle:

- `vllm serve`: the bare server, asked for n choices; and the same asked for log probabilities, too, which is what the
  scorer `likelihood` needs;
- `tts serve`: the generator `vllm`, scorer `likelihood`;
- `tts in front`: the generator `openai` in front of the bare server, `likelihood`;
- `tts, reward model`: the same with the scorer codescaler, of the model's size with a random head, on the same cores.

Loads are closed (so many clients, each with its next request at once) and open (requests come by a Poisson process,
at a share of what the bare server did at most). Goals, of `tts serve` against the bare server: throughput at least 0.9,
and median latency longer by less than 5% of the bare server's or 20 ms, whichever is more. Both are medians over rounds
of what differs within a round: many short rounds say more than a few long ones where others use the machine.

    python benchmarks/server_load.py --clients 1 4 16 64 --shares 0.5 0.8 --n 4 --max-tokens 16
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import yaml
from _children import Failed, cpu_seconds
from _results import save
from untrained import with_head

from tts.models import EMBEDDED, locate
from tts.problems.mini import Mini

MODEL = "embedded"
GOAL_THROUGHPUT, GOAL_SHARE, GOAL_SECONDS = 0.9, 0.05, 0.02
START_SECONDS = 900.0
BARE, LOGPROBS, TTS, FRONT, REWARD = (
    "vllm serve",
    "vllm serve, log probabilities",
    "tts serve",
    "tts in front",
    "tts, reward model",
)
PATIENCE_SECONDS = 600.0  # for an answer
KV_GIB = 1  # of keys and values, for each engine: prompts that come again are found there
HEAD = f"{'':>32}{'load':>16} {'requests/s':>11} {'tokens/s':>9} {'median s':>9} {'p95 s':>7} {'CPU s each':>11}"


@dataclass(frozen=True)
class Settings:
    """What all servers are given alike."""

    n: int
    max_tokens: int
    sequences: int
    requests: int  # of a load, at least
    engine_threads: int  # 0: one for each core, bound to it
    dtype: str = "auto"  # vLLM's: the checkpoint's bfloat16, also on a CPU that computes it slowly

    @property
    def threads(self) -> dict[str, str]:
        """The same for every engine; bound as tts binds them, which is the quicker way (vllm_generation.py), unless
        they are fewer than cores: then whoever else runs on a core does not hold up the others of a barrier.
        """
        if self.engine_threads:
            return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(self.engine_threads)}
        return {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0))))}

    @property
    def engine(self) -> dict[str, Any]:
        """vLLM's arguments."""
        lengths = {"max_model_len": 1024, "max_num_seqs": self.sequences, "max_num_batched_tokens": 1024}
        return {"dtype": self.dtype, **lengths}


@dataclass(frozen=True)
class Server:
    """One that runs: where, the process whose CPU seconds are its own, and what is added to its requests."""

    name: str
    url: str
    pids: tuple[int, ...]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One load on one server. `latencies` in seconds, one for each request; `wall` of the whole load."""

    latencies: list[float]
    tokens: int
    wall: float
    cpu: float

    @property
    def row(self) -> dict[str, float]:
        """The figures of a table."""
        ordered = sorted(self.latencies)
        return {
            "requests_per_second": len(ordered) / self.wall,
            "tokens_per_second": self.tokens / self.wall,
            "median_seconds": statistics.median(ordered),
            "p95_seconds": ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
            "cpu_seconds_per_request": self.cpu / len(ordered),
        }


# Servers.


@contextlib.contextmanager
def started(line: Sequence[str], url: str, log: Path, environment: Mapping[str, str]) -> Iterator[int]:
    """The process id of a server, once it is ready. Raises Failed with the end of its log."""
    with log.open("w") as output:
        # A group that can be ended, but of our session: Linux shares the processor among sessions, and a server that
        # computes on all cores can hold up the clients of another one for seconds.
        process = subprocess.Popen(line, stdout=output, stderr=output, env=os.environ | environment, process_group=0)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(log.read_text()[-3000:])
            time.sleep(0.5)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(url: str) -> bool:
    """Whether a server is there."""
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health", verify=False).status_code == 200
    return False


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found: int = taken.getsockname()[1]
        return found


def start_vllm(stack: contextlib.ExitStack, settings: Settings, folder: Path) -> Server:
    """The bare server."""
    port = free_port()
    options = [part for name, value in settings.engine.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    # Not `vllm serve`, which asks for the metadata of a package `vllm` and does not find that of `vllm-cpu`.
    line = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(locate(EMBEDDED))]
    line += ["--served-model-name", MODEL, "--enforce-eager", "--port", str(port), *options]
    url = f"http://127.0.0.1:{port}"
    more = {"VLLM_CPU_KVCACHE_SPACE": str(KV_GIB)}
    return Server(BARE, url, (stack.enter_context(started(line, url, folder / "vllm.log", settings.threads | more)),))


def start_tts(
    stack: contextlib.ExitStack, name: str, generator: Mapping[str, Any], scorer: Any, settings: Settings, folder: Path
) -> Server:
    """`tts serve` with a generator and a scorer; it samples what requests do not say."""
    config = {
        "generator": {
            "n": settings.n, "temperature": 0.8, "top_p": 0.95, "max_tokens": settings.max_tokens, **generator
        },
        "scorers": [scorer],
        "selectors": ["argmax"],
        "memory": {"prompt_tokens": 256},
        "serve": {"model": MODEL, "concurrency": 64, "queue": 1024, "max_n": 64},
    }  # fmt: skip
    (path := folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    line = [sys.executable, "-m", "tts.cli", "serve", str(path), "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    return Server(name, url, (stack.enter_context(started(line, url, folder / f"{name}.log", settings.threads)),))


def start_all(stack: contextlib.ExitStack, wanted: Sequence[str], settings: Settings, folder: Path) -> list[Server]:
    """All that are wanted; those in front have the bare server's CPU seconds for their own, too."""
    bare = start_vllm(stack, settings, folder)
    found = [bare, Server(LOGPROBS, bare.url, bare.pids, {"logprobs": True})]
    upstream = {"name": "openai", "model": MODEL, "base_url": f"{bare.url}/v1", "seeds": False}
    upstream |= {"per_request": settings.n, "concurrency": 64}
    own = {"name": "vllm", "model": EMBEDDED, "enforce_eager": True, "kv_cache_memory_bytes": KV_GIB * 2**30}
    own |= settings.engine
    if TTS in wanted:
        found.append(start_tts(stack, TTS, own, "likelihood", settings, folder))
    for name, scorer in ((FRONT, "likelihood"), (REWARD, None)):
        if name in wanted:
            chosen = scorer or {"name": "codescaler", "model": with_head(EMBEDDED, str(folder / "reward"))}
            front = start_tts(stack, name, upstream, chosen, settings, folder)
            found.append(Server(name, front.url, (*front.pids, *bare.pids)))
    return [server for server in found if server.name in wanted]


# Load.


class Client:
    """Asks one server for one problem after the other."""

    def __init__(self, server: Server, settings: Settings, prompts: Sequence[list[dict[str, str]]]) -> None:
        self._server, self._prompts = server, itertools.cycle(prompts)
        ours = server.name in (BARE, LOGPROBS)
        plain = {"n": settings.n, "temperature": 0.8, "top_p": 0.95, "max_tokens": settings.max_tokens}
        self._body = {"model": MODEL, **(plain if ours else {}), **server.more}
        self.latencies: list[float] = []
        self.tokens = 0

    async def ask(self, client: httpx.AsyncClient) -> None:
        """One request."""
        begun = time.monotonic()
        body = self._body | {"messages": next(self._prompts)}
        answer = await client.post(f"{self._server.url}/v1/chat/completions", json=body)
        self.latencies.append(time.monotonic() - begun)
        if answer.status_code != 200:
            raise Failed(f"{self._server.name} answered {answer.status_code}: {answer.text[:500]}")
        self.tokens += answer.json()["usage"]["completion_tokens"]

    async def closed(self, clients: int, requests: int) -> None:
        """So many at once, until so many were answered."""
        left = iter(range(requests))

        async def one(client: httpx.AsyncClient) -> None:
            for _ in left:
                await self.ask(client)

        async with connected() as client:
            await asyncio.gather(*(one(client) for _ in range(clients)))

    async def open(self, rate: float, requests: int, seed: int) -> None:
        """So many a second, as chance has it, whatever has been answered: exponential gaps, which a few draws would not
        average out of, so that they are made to add up.
        """
        rng, tasks = random.Random(seed), []
        gaps = [rng.expovariate(1.0) for _ in range(requests)]
        async with connected() as client:
            for gap in gaps:
                tasks.append(asyncio.create_task(self.ask(client)))
                await asyncio.sleep(gap / sum(gaps) * requests / rate)
            await asyncio.gather(*tasks)


def connected() -> httpx.AsyncClient:
    """A client without limits of its own."""
    return httpx.AsyncClient(timeout=PATIENCE_SECONDS, limits=httpx.Limits(max_connections=None))


@dataclass(frozen=True)
class Load:
    """Clients at once, or requests a second."""

    clients: int = 0
    rate: float = 0.0

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.clients} clients" if self.clients else f"{self.rate:.2f} a second"

    def put_on(
        self, server: Server, settings: Settings, prompts: Sequence[list[dict[str, str]]], seed: int = 0
    ) -> Measured:
        """On one server, to its end; the arrivals of an open one are the seed's."""
        client, requests = Client(server, settings, prompts), max(self.clients, settings.requests)
        before, begun = sum(map(cpu_seconds, server.pids)), time.monotonic()
        if self.clients:
            asyncio.run(client.closed(self.clients, requests))
        else:
            asyncio.run(client.open(self.rate, requests, seed))
        wall, cpu = time.monotonic() - begun, sum(map(cpu_seconds, server.pids)) - before
        return Measured(client.latencies, client.tokens, wall, cpu)


def measure(servers: Sequence[Server], arguments: argparse.Namespace, settings: Settings) -> list[dict[str, Any]]:
    """A row for each load and server."""
    prompts = [[{"role": m.role, "content": m.content} for m in p.messages] for p in Mini().problems()]
    for server in servers:  # what is compiled and cached at first is no part of any load
        Load(clients=max(arguments.clients)).put_on(server, settings, prompts)
    print(HEAD)
    rows: list[dict[str, Any]] = []
    for clients in arguments.clients:
        rows += turns(Load(clients=clients), servers, settings, prompts, arguments)
        keep(rows, arguments)
    most = max(row["requests_per_second"] for row in rows if row["server"] == BARE)
    for share in arguments.shares:
        rows += turns(Load(rate=share * most), servers, settings, prompts, arguments)
        keep(rows, arguments)
    return rows


def keep(rows: Sequence[Mapping[str, Any]], arguments: argparse.Namespace) -> Path:
    """Save what is known so far: a load takes minutes."""
    return save(arguments.name, {"settings": vars(arguments), "rows": rows, "goals": goals(rows)})


def turns(
    load: Load,
    servers: Sequence[Server],
    settings: Settings,
    prompts: Sequence[list[dict[str, str]]],
    arguments: argparse.Namespace,
) -> list[dict[str, Any]]:
    """One load on each server, in as many rounds, every other one in reverse; no round's first request is cold."""
    found: dict[str, list[Measured]] = {server.name: [] for server in servers}
    for round_ in range(arguments.rounds):
        for server in servers[:: 1 if round_ % 2 == 0 else -1]:
            Load(clients=1).put_on(server, replace(settings, requests=1), prompts)
            found[server.name].append(load.put_on(server, settings, prompts, seed=round_))
    rows = []
    for name, parts in found.items():
        whole = Measured(
            [latency for part in parts for latency in part.latencies],
            sum(part.tokens for part in parts),
            sum(part.wall for part in parts),
            sum(part.cpu for part in parts),
        )
        row = {"server": name, "clients": load.clients, "rate": load.rate, "machine_load": os.getloadavg()[0]}
        rows.append(row | whole.row | {"rounds": [part.row for part in parts]})
        print(f"{name:>32}{load.name:>16} {row_of(rows[-1])}   (load average {row['machine_load']:.1f})", flush=True)
    return rows


def row_of(row: Mapping[str, Any]) -> str:
    """The figures as the head names them."""
    return (
        f"{row['requests_per_second']:11.2f} {row['tokens_per_second']:9.1f} {row['median_seconds']:9.3f} "
        f"{row['p95_seconds']:7.2f} {row['cpu_seconds_per_request']:11.3f}"
    )


# What is said of it.


def goals(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each load of each of our servers against the bare server: the median over rounds of what differs in a round."""
    bare = {(row["clients"], row["rate"]): row for row in rows if row["server"] == BARE}
    ours = [row for row in rows if row["server"] not in (BARE, LOGPROBS)]
    return [judged(row, bare[row["clients"], row["rate"]]) for row in ours]


def judged(row: Mapping[str, Any], bare: Mapping[str, Any]) -> dict[str, Any]:
    """One of them."""
    pairs = list(zip(row["rounds"], bare["rounds"], strict=True))

    def over(key: str) -> float:
        return statistics.median(mine[key] / theirs[key] for mine, theirs in pairs)

    added = statistics.median(mine["median_seconds"] - theirs["median_seconds"] for mine, theirs in pairs)
    allowed = max(GOAL_SHARE * bare["median_seconds"], GOAL_SECONDS)
    throughput = over("tokens_per_second")
    return {
        "server": row["server"],
        "clients": row["clients"],
        "rate": row["rate"],
        "throughput_ratio": throughput,
        "added_seconds": added,
        "allowed_seconds": allowed,
        "cpu_ratio": over("cpu_seconds_per_request"),
        "met": (not row["clients"] or throughput >= GOAL_THROUGHPUT) and added < allowed,
    }


def line_of(goal: Mapping[str, Any]) -> str:
    """What is printed of a comparison."""
    added, allowed, load = goal["added_seconds"], goal["allowed_seconds"], Load(goal["clients"], goal["rate"]).name
    return (
        f"{goal['server']:>32}{load:>16}   throughput {goal['throughput_ratio']:.2f}"
        f"   added {added:+.3f} s of {allowed:.3f}   CPU {goal['cpu_ratio']:.2f}   {'met' if goal['met'] else 'missed'}"
    )


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Throughput and median latency against clients, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    closed = [row for row in rows if row["clients"]]
    for name in dict.fromkeys(row["server"] for row in closed):
        mine = [row for row in closed if row["server"] == name]
        clients = [row["clients"] for row in mine]
        for axis, key in zip(axes, ("tokens_per_second", "median_seconds"), strict=True):
            axis.plot(clients, [row[key] for row in mine], marker="o", label=name)
    for axis, said in zip(axes, ("tokens a second", "median latency, seconds"), strict=True):
        axis.set(xscale="log", xlabel="clients at once", ylabel=said, ylim=(0, None))
        axis.set_xticks(sorted({row["clients"] for row in closed}), labels=sorted({row["clients"] for row in closed}))
        axis.minorticks_off()
    axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)
    print(f"saved {path}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    everything = [BARE, LOGPROBS, TTS, FRONT, REWARD]
    parser.add_argument("--servers", nargs="+", choices=everything, default=everything, help="default: all")
    parser.add_argument("--clients", nargs="+", type=int, default=[1, 4, 16, 64], help="default: %(default)s")
    parser.add_argument("--shares", nargs="*", type=float, default=[0.5, 0.8], help="of the bare server's most")
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--sequences", type=int, default=32, help="that an engine runs at once")
    parser.add_argument("--requests", type=int, default=8, help="of each load and round, at least")
    parser.add_argument("--rounds", type=int, default=2, help="even; default: %(default)s")
    parser.add_argument("--engine-threads", type=int, default=0, help="0: one for each core, bound to it")
    parser.add_argument("--dtype", default="auto", help="of vLLM; float32 is quicker on a CPU without bfloat16")
    parser.add_argument("--name", default="server_load", help="of the files in results/, or a path without ending")
    arguments = parser.parse_args()
    if arguments.rounds < 2 or arguments.rounds % 2:
        parser.error(f"--rounds must be even and at least 2, got {arguments.rounds}")
    a = arguments
    settings = Settings(a.n, a.max_tokens, a.sequences, a.requests, a.engine_threads, a.dtype)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        rows = measure(start_all(stack, arguments.servers, settings, Path(folder)), arguments, settings)
    for goal in goals(rows):
        print(line_of(goal))
    draw(rows, keep(rows, arguments).with_suffix(".png"))


if __name__ == "__main__":
    main()

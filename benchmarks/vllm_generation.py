#!/usr/bin/env python3
"""Tokens per second of the `vllm` generator beside plain `vllm.LLM.chat`, in one run.

Same model, problems, n, sampling, max_tokens and engine arguments, each in a process of its own; they are started one
after the other and take turns, so that one works at a time and a noisy machine is noisy to all. Where others use the
same cores, tokens per second of processors, of the whole process tree, tell more. `LLM.chat` is measured twice: with
the same settings (log probabilities and, on CUDA, seeds), which is the ratio of the goal (at least 0.95), and bare.

With `--threads`, tts's generator alone, on vLLM's CPU build: how its threads are bound (VLLM_CPU_OMP_THREADS_BIND as it
is by default, all cores, which is what tts sets, and not at all), and compiled against enforce_eager with the seconds
that a start takes, the first one with nothing compiled before.

    python benchmarks/vllm_generation.py --problems 8 --n 8 --max-tokens 64 --rounds 5
    python benchmarks/vllm_generation.py --threads
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from _children import Child, cpu_seconds, serve
from _results import save

from tts.generate.vllm import Vllm
from tts.models import locate
from tts.problems.mini import Mini
from tts.types import Problem

GOAL = 0.95
PATIENCE_SECONDS = 900.0  # for a start or a round
BIND = "VLLM_CPU_OMP_THREADS_BIND"


@dataclass(frozen=True)
class Way:
    """One engine to measure: what drives it, its environment, and how its requests differ."""

    name: str
    driver: str = "tts"
    environment: Mapping[str, str] = field(default_factory=dict)
    enforce_eager: bool = True


# The parent: starts the ways, has them take turns, prints.


def compare(ways: Sequence[Way], settings: dict[str, Any], rounds: int) -> list[dict[str, Any]]:
    """A row for each way, the rounds taken in turns."""
    with contextlib.ExitStack() as stack:
        started = []
        for way in ways:
            job = settings | {"driver": way.driver, "enforce_eager": way.enforce_eager}
            child = stack.enter_context(Child(__file__, job, way.environment))
            started.append((way, child, child.ask(PATIENCE_SECONDS, what="start")))
            print(f"{way.name}: started in {started[-1][2]['seconds']:.1f} s", flush=True)
        asked = [(way, child, kind) for way, child, start in started for kind in start["kinds"]]
        rates: list[list[float]] = [[] for _ in asked]
        cpu_rates: list[list[float]] = [[] for _ in asked]
        for _ in range(rounds):
            for (_, child, kind), column, cpu_column in zip(asked, rates, cpu_rates, strict=True):
                before = cpu_seconds(child.pid)
                done = child.ask(PATIENCE_SECONDS, what=kind)
                column.append(done["tokens"] / done["seconds"])
                cpu_column.append(done["tokens"] / (cpu_seconds(child.pid) - before))
        starts = {way.name: start for way, _, start in started}
    return [
        {
            "way": way.name + ("" if kind == "same" else f", {kind}"),
            "start_seconds": starts[way.name]["seconds"],
            "tokens_per_s": statistics.median(column),
            "tokens_per_cpu_s": statistics.median(cpu_column),
            "rounds": column,
            "rounds_cpu": cpu_column,
        }
        for (way, _, kind), column, cpu_column in zip(asked, rates, cpu_rates, strict=True)
    ]


def show(rows: Sequence[dict[str, Any]], base: dict[str, Any]) -> None:
    """The table; ratios to the row `base`."""
    for row in rows:
        row["ratio"] = row["tokens_per_s"] / base["tokens_per_s"]
        row["ratio_of_cpu_seconds"] = row["tokens_per_cpu_s"] / base["tokens_per_cpu_s"]
        low, high = min(row["rounds"]), max(row["rounds"])
        print(
            f"{row['way']:>26}: {row['tokens_per_s']:8.1f} tokens/s ({low:.0f} to {high:.0f})   "
            f"ratio {row['ratio']:.2f}, in CPU seconds {row['ratio_of_cpu_seconds']:.2f}   "
            f"started in {row['start_seconds']:.1f} s"
        )


def beside_chat(a: argparse.Namespace, settings: dict[str, Any]) -> None:
    """The generator against LLM.chat."""
    cores = all_cores()
    eager = not a.compiled
    ways = [Way("LLM.chat", "chat", {BIND: cores}, eager), Way("tts", "tts", {BIND: cores}, eager)]
    rows = compare(ways, settings, a.rounds)
    show(rows, rows[0])
    ratio = rows[-1]["ratio"]
    print(f"goal: at least {GOAL} of LLM.chat with the same settings: {'met' if ratio >= GOAL else 'NOT met'}")
    save(a.name or "vllm_generation", {"goal": GOAL, **facts(a, settings), "results": rows})


def threads(a: argparse.Namespace, settings: dict[str, Any]) -> None:
    """Threads and compilation."""
    cores = all_cores()
    with tempfile.TemporaryDirectory() as cache:
        compiled = {BIND: cores, "VLLM_CACHE_ROOT": cache}
        ways = [
            Way("threads auto", environment={BIND: "auto"}),
            Way("threads on all cores", environment={BIND: cores}),
            Way("threads nobind", environment={BIND: "nobind"}),
            Way("all cores, compiled", environment=compiled, enforce_eager=False),
            Way("all cores, compiled before", environment=compiled, enforce_eager=False),
        ]
        rows = compare(ways, settings, a.rounds)
    show(rows, rows[1])
    save(a.name or "vllm_threads", facts(a, settings) | {"results": rows})


def facts(a: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """How it was measured; the load is that of the minute before the start, and of the last one."""
    return {"load_before": a.load, "load_after": os.getloadavg()[0], "settings": settings | {"rounds": a.rounds}}


def all_cores() -> str:
    """What tts sets."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))


# The child: one engine.


Rounds = dict[str, Callable[[], int]]


def child(job: dict[str, Any]) -> None:
    """Start an engine on the first request, then run a round for each; end it when there are no more."""
    problems = Mini(limit=job["problems"]).problems()
    rounds: Rounds = {}

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        begun = time.perf_counter()
        if request["what"] == "start":
            rounds.update((with_chat if job["driver"] == "chat" else with_tts)(job, problems, stack))
            seconds = time.perf_counter() - begun
            for one in rounds.values():
                one()  # warm up, and have all prompts cached
            return {"seconds": seconds, "kinds": list(rounds)}
        tokens = rounds[request["what"]]()
        return {"tokens": tokens, "seconds": time.perf_counter() - begun}

    with contextlib.ExitStack() as stack:
        serve(handle)


def with_tts(job: dict[str, Any], problems: Sequence[Problem], stack: contextlib.ExitStack) -> Rounds:
    """The generator: a function that draws n candidates of each problem and counts their tokens."""
    generator = Vllm(
        model=job["model"], max_tokens=job["max_tokens"], **job["engine"], enforce_eager=job["enforce_eager"]
    )
    wanted = [(problem, index) for problem in problems for index in range(job["n"])]
    stack.callback(generator.close)
    generator.start(wanted)
    return {"same": lambda: sum(candidate.tokens or 0 for candidate in generator.generate(wanted))}


def with_chat(job: dict[str, Any], problems: Sequence[Problem], _: contextlib.ExitStack) -> Rounds:
    """Plain vLLM: the same with and without what tts asks for beside the text."""
    from vllm import LLM, SamplingParams
    from vllm.platforms import current_platform

    options = Vllm()  # its defaults are the sampling of both
    llm = LLM(model=locate(job["model"]), seed=0, **job["engine"], enforce_eager=job["enforce_eager"])
    chats = [[{"role": m.role, "content": m.content} for m in problem.messages] for problem in problems]
    sampling = {"temperature": options.temperature, "top_p": options.top_p, "max_tokens": job["max_tokens"]}
    seed = None if current_platform.is_cpu() else 0
    same = SamplingParams(n=job["n"], logprobs=0, seed=seed, **sampling)
    bare = SamplingParams(n=job["n"], **sampling)

    def run(params: SamplingParams) -> int:
        done = llm.chat(chats, params, use_tqdm=False)
        return sum(len(one.token_ids) for output in done for one in output.outputs)

    return {"same": lambda: run(same), "bare": lambda: run(bare)}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", action="store_true", help="threads and compilation instead")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--problems", type=int, default=8)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--max-num-seqs", type=int, default=64)
    parser.add_argument("--max-model-len", type=int, default=2048)
    parser.add_argument("--max-num-batched-tokens", type=int, default=4096)
    parser.add_argument("--kv-gib", type=float, default=0.5, help="keys and values of each engine")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--compiled", action="store_true", help="without enforce_eager")
    parser.add_argument("--name", help="of the file in results/, or a path without .json")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.child:
        child(json.loads(a.child))
        return
    a.load = os.getloadavg()[0]
    engine = {
        "dtype": a.dtype,
        "max_num_seqs": a.max_num_seqs,
        "max_model_len": a.max_model_len,
        "max_num_batched_tokens": a.max_num_batched_tokens,  # left out, LLM and LLMEngine choose differently
        "kv_cache_memory_bytes": int(a.kv_gib * 2**30),
        "gpu_memory_utilization": 0.05,  # only what the start-up check asks for: the line above decides
    }
    settings = {"model": a.model, "problems": a.problems, "n": a.n, "max_tokens": a.max_tokens, "engine": engine}
    (threads if a.threads else beside_chat)(a, settings)


if __name__ == "__main__":
    main()

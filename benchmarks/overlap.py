#!/usr/bin/env python3
"""Wall time of generation plus scoring, in mode share, over the longer of the two alone.

Two measurements. With stand-ins whose speeds are fixed (they sleep, so any machine will do), for several ratios of
their speeds: the generator is stepped like a batch engine (a number of sequences at once, of different lengths), the
scorer yields a batch at a time. Goal: at most 1.15. With `--real`, a model and a reward model on this machine: where
both need the same cores, nothing is left to overlap, and the figure is about the sum of the two over the longer.

    python benchmarks/overlap.py
    python benchmarks/overlap.py --real vllm --problems 6 --n 8 --max-tokens 64
"""

import argparse
import dataclasses
import os
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from _results import save

from tts.engine import Drawn, Engine
from tts.types import Candidate, Key, Problem, Score

GOAL = 1.15
Wanted = Sequence[tuple[Problem, int]]


class FixedGenerator:
    """`width` sequences run at once; each takes a drawn number of steps of `step_seconds`."""

    def __init__(self, width: int, step_seconds: float, seed: int = 0) -> None:
        self.width, self.step_seconds, self.seed = width, step_seconds, seed
        self._waiting: deque[Key] = deque()
        self._running: dict[Key, int] = {}  # steps to go

    def add(self, wanted: Wanted) -> None:
        """Ask for candidates."""
        self._waiting += [(problem.id, index) for problem, index in wanted]

    def step(self) -> list[Candidate]:
        """One step of all that run; the candidates that finished."""
        while self._waiting and len(self._running) < self.width:
            key = self._waiting.popleft()
            self._running[key] = steps_of(key, self.seed)
        if self._running:
            time.sleep(self.step_seconds)
        self._running = {key: steps - 1 for key, steps in self._running.items()}
        done = [key for key, steps in self._running.items() if not steps]
        for key in done:
            del self._running[key]
        return [Candidate(*key, "", "pass", "given") for key in done]

    def abort(self, keys: Collection[Key]) -> None:
        """Drop candidates."""
        self._waiting = deque(key for key in self._waiting if key not in keys)
        self._running = {key: steps for key, steps in self._running.items() if key not in keys}

    @property
    def unfinished(self) -> int:
        """How many candidates are waiting or running."""
        return len(self._waiting) + len(self._running)


def steps_of(key: Key, seed: int) -> int:
    """How long a candidate is, in steps."""
    return random.Random(f"{seed} {key}").randint(10, 40)


class FixedScorer:
    """Sleeps for each score and yields them by the batch."""

    def __init__(self, seconds: float, batch: int) -> None:
        self.seconds, self.batch = seconds, batch

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """A score for each pair."""
        for start in range(0, len(pairs), self.batch):
            some = pairs[start : start + self.batch]
            time.sleep(self.seconds * len(some))
            yield from (Score(*candidate.key, 0.0) for _, candidate in some)


def measure(engine: Engine, alone: Wanted, together: Wanted) -> dict[str, float]:
    """Seconds of the generator alone, of the scorer alone, and of both together with, in it, the seconds until the
    last candidate. The models must be loaded; where an engine remembers prefixes, the two must be alike, not the same.
    """
    problems = {problem.id: problem for problem, _ in alone}
    begun = time.perf_counter()
    drawn = list(engine.generate(alone))
    generate_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    list(engine.score([(problems[candidate.problem_id], candidate) for candidate in drawn]))
    score_seconds = time.perf_counter() - begun
    begun = last = time.perf_counter()
    tokens = 0
    engine.submit(together)
    while engine.busy:
        found = [event.candidate for event in engine.poll() if isinstance(event, Drawn)]
        if found:
            last = time.perf_counter()
            tokens += sum(candidate.tokens or 0 for candidate in found)
    return {
        "generate_seconds": generate_seconds,
        "score_seconds": score_seconds,
        "together_seconds": time.perf_counter() - begun,
        "drawn_seconds": last - begun,
        "tokens_alone": sum(candidate.tokens or 0 for candidate in drawn),
        "tokens_together": tokens,
    }


def summary(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Medians of the rounds, and the ratios."""
    found = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    alone = found["generate_seconds"], found["score_seconds"]
    return found | {
        "ratio": statistics.median(
            one["together_seconds"] / max(one["generate_seconds"], one["score_seconds"]) for one in rounds
        ),
        "ratio_one_after_the_other": sum(alone) / max(alone),
    }


def stand_ins(a: argparse.Namespace, scorer_share: float) -> dict[str, Any]:
    """One row: the scorer alone takes `scorer_share` times as long as the generator alone, the longer `--seconds`."""
    problems = [Problem(f"p{i:03}", "", ()) for i in range(a.problems)]
    wanted = [(problem, index) for problem in problems for index in range(a.n)]
    seconds = a.seconds / max(1.0, scorer_share)
    steps = sum(steps_of((problem.id, index), 0) for problem, index in wanted) / a.width
    generator = FixedGenerator(a.width, seconds / steps)
    scorer = FixedScorer(seconds * scorer_share / len(wanted), a.batch)
    with Engine(generator, {"fixed": scorer}) as engine:
        rounds = [measure(engine, wanted, wanted) for _ in range(a.rounds)]
    return {"scorer_over_generator": scorer_share} | summary(rounds)


def real(a: argparse.Namespace) -> dict[str, Any]:
    """The row of models on this machine."""
    from scoring import with_head

    from tts import plugins
    from tts.problems.mini import Mini
    from tts.score.codescaler import CodeScaler

    problems = Mini(limit=a.problems).problems()
    wanted = [(problem, index) for problem in problems for index in range(a.n)]
    own: dict[str, Any] = {"batch_size": a.width}
    if a.real == "vllm":
        memory = {"kv_cache_memory_bytes": 2**29, "gpu_memory_utilization": 0.05, "max_model_len": 2048}
        own = {"max_num_seqs": a.width, "enforce_eager": True, **memory}
    made = {"name": a.real, "model": a.model, "dtype": a.dtype, "max_tokens": a.max_tokens, **own}
    with tempfile.TemporaryDirectory() as folder:
        scorer = CodeScaler(model=with_head(a.model, folder), dtype=a.dtype, backend="transformers")
        with Engine(plugins.build("generator", made), {"codescaler": scorer}, prepare=_as_code) as engine:
            _drain(engine, [(problem, 0) for problem in problems])  # load, warm up, and have every prompt cached
            rounds = [measure(engine, wanted, wanted) for _ in range(a.rounds)]
    return {"generator": a.real, "model": a.model, "cores": len(os.sched_getaffinity(0))} | summary(rounds)


def _as_code(candidate: Candidate) -> Candidate:
    """All of the text is scored, so that each candidate costs the scorer what it is long."""
    return dataclasses.replace(candidate, code=candidate.text or "pass", extraction="given")


def _drain(engine: Engine, wanted: Wanted) -> None:
    engine.submit(wanted)
    while engine.busy:
        engine.poll()


LINE = (
    "{what:>34}: generator alone {generate_seconds:6.2f} s   scorer alone {score_seconds:6.2f} s   together "
    "{together_seconds:6.2f} s   over the longer {ratio:.3f}   (in turns {ratio_one_after_the_other:.2f})   {verdict}"
)


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 1.0, 2.0, 4.0], metavar="SHARE")
    parser.add_argument("--seconds", type=float, default=6.0, help="of the slower stand-in alone")
    parser.add_argument("--problems", type=int, default=24)
    parser.add_argument("--n", type=int, default=16, help="candidates per problem")
    parser.add_argument("--width", type=int, default=32, help="sequences that the generator runs at once")
    parser.add_argument("--batch", type=int, default=8, help="scores that the stand-in yields at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--real", choices=["transformers", "vllm"], help="measure models instead of stand-ins")
    parser.add_argument("--model", default="embedded", help="of --real; the scorer is its backbone with a random head")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--name", help="of the file in results/, or a path without .json")
    a = parser.parse_args()
    facts = {"settings": vars(a), "load_before": os.getloadavg()[0]}
    if a.real:
        row = real(a)
        print(LINE.format(what=f"{a.real}, {a.model}, {row['cores']} cores", verdict="models share the cores", **row))
        save(a.name or f"overlap_{a.real}", {**facts, "load_after": os.getloadavg()[0], "results": row})
        return
    table = []
    for share in a.shares:
        row = stand_ins(a, share)
        row["met"] = row["ratio"] <= GOAL
        table.append(row)
        verdict = f"goal {GOAL}: {'met' if row['met'] else 'NOT met'}"
        print(LINE.format(what=f"scorer takes {share:g} of generator", verdict=verdict, **row), flush=True)
    save(a.name or "overlap", {"goal": GOAL, **facts, "load_after": os.getloadavg()[0], "results": table})


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What tts does on one NVIDIA GPU with vLLM: speed of generation and scoring, plan against peak memory, sleep, overlap.

Models have real shapes and random weights, texts have drawn lengths; no network is needed. Parts:

  peak        bf16 matrix products of torch: the figure that shares are of
  generation  tokens per second of the `vllm` generator alone
  scoring     pairs per second on a 1.7B reward model: its card's snippet (one padded batch of a problem's candidates),
              codescaler's transformers backend, codescaler's vllm backend
  plan        the plan's peak against the device's, for generators of 1.5B and 7B, scorers of 1.7B and 8B, share and
              swap, with keys and values, the prefill and the scorer's token budget filled
  sleep       seconds to sleep and to wake, and what is left on the device
  overlap     wall time of generation plus scoring in mode share, over the longer alone and over one after the other;
              what sharing costs the generator

Goals: codescaler scores at 5 times the card's speed or more, and at 40% of the peak or more; plans are within 5% of the
measured peak; sharing costs the generator at most 10%; memory never runs out. FLOPs of a forward pass are
2 * P * tokens + 4 * layers * heads * head_dim * attended, with P the parameters of the layers' matrices (no embedding,
no head) and attended the pairs of a token and one at or before it. "Run" counts what a way runs, a prefix that is
shared once and padding for the card's; "done" counts every pair in full.

Each measurement has a process of its own; what fails is recorded and the rest goes on. Results are saved after each
part; what was measured earlier on the same device, and is not now, is kept, so that a few commands make one table.

    python benchmarks/gpu.py                             # all of it: about an hour
    python benchmarks/gpu.py --parts plan --modes swap --backends vllm --generators generator-7b --models /big/disk
    python benchmarks/gpu.py --tiny                      # the same on the CPU with tiny models: proves that it runs
"""

import argparse
import dataclasses
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import _synthetic as synthetic
from _children import Child, Failed, sampling
from _gpu_jobs import RAN_OUT, TINY, Row, Sizes
from _results import save

from tts import environment

GIB = 2**30
LOG = re.compile(r"/\S*tts-vllm-\S+\.log")
PATIENCE_SECONDS = 560.0  # for one answer
POLL_MILLISECONDS = 50
OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
COUNTS = ("pairs", "tokens", "cached_tokens", "flops_run", "flops_done")
JOBS = str(Path(__file__).parent / "_gpu_jobs.py")


@dataclass(frozen=True)
class Bench:
    """One run of this script: sizes, where models are, what device there is, what is wanted of it."""

    sizes: Sizes
    models: Path
    kind: str  # cuda or cpu
    generators: tuple[str, ...]
    scorers: tuple[str, ...]
    backends: tuple[str, ...]
    modes: tuple[str, ...]

    def config(self, generator: str, scorer: str | None, backend: str = "auto", mode: str = "share") -> Row:
        """An experiment as `tts plan` takes it. The generator's weights are vLLM's own dummies."""
        s = self.sizes
        drawn = {
            "name": "vllm",
            "model": synthetic.make(self.models, generator, "none"),
            "dtype": "bfloat16",
            "max_tokens": s.max_tokens,
            "max_model_len": s.max_model_len,
            "enforce_eager": s.eager,
            "engine_args": {"load_format": "dummy"},
        }
        memory = {"mode": mode, "device": self.kind, "prompt_tokens": s.prompt_tokens}
        scorers = [self.scorer(synthetic.make(self.models, scorer, "zeros"), backend)] if scorer else []
        return {"benchmark": "mini", "generator": drawn, "scorers": scorers, "memory": memory}

    def scorer(self, folder: str, backend: str) -> Row:
        """A scorer's options."""
        sizes = {"max_length": self.sizes.longest_pair, "token_budget": self.sizes.token_budget}
        return {"name": "codescaler", "model": folder, "backend": backend, "dtype": "bfloat16", **sizes}


# The parts. Each gives rows as they are measured; a row that failed says why.


def peak(bench: Bench, _: dict[str, list[Row]]) -> Iterator[Row]:
    """Matrix products."""
    (row,) = asked({"job": "peak", "sizes": bench.sizes.matrices}, "run")
    yield row


def generation(bench: Bench, _: dict[str, list[Row]]) -> Iterator[Row]:
    """Generators alone."""
    for name in bench.generators:
        job = {"job": "generation", "config": bench.config(name, None), "sizes": dataclasses.asdict(bench.sizes)}
        yield attempted({"model": name}, lambda job=job: _generated(job, bench.sizes.rounds))


def _generated(job: Row, rounds: int) -> Row:
    start, *done = asked(job, "start", *["run"] * rounds)
    rates = [one["tokens"] / one["seconds"] for one in done]
    return start | {"tokens_per_s": statistics.median(rates), "rounds": rates}


def scoring(bench: Bench, parts: dict[str, list[Row]]) -> Iterator[Row]:
    """The ways to score, on the same pairs; other pairs in each round, since engines remember prefixes."""
    name = bench.scorers[0]
    folder = synthetic.make(bench.models, name, "random")
    tflops = next((row["tflops"] for row in parts.get("peak", ()) if "tflops" in row), None)
    card: Row | None = None
    for way in ("card", *bench.backends):
        job = {"job": "scoring", "way": way, "sizes": dataclasses.asdict(bench.sizes), "kind": bench.kind}
        job["scorer"] = bench.scorer(folder, "transformers" if way == "card" else way)
        row = attempted({"model": name, "way": way}, lambda job=job: _scored(job, bench.sizes.rounds, tflops))
        if "failed" not in row:
            card = card or row
            row["times_card"] = row["pairs_per_s"] / card["pairs_per_s"]
            row["difference_from_card"] = max(abs(x - y) for x, y in zip(row["scores"], card["scores"], strict=True))
        yield row


def _scored(job: Row, rounds: int, tflops: float | None) -> Row:
    _, *done = asked(job, "start", *({"what": "run", "seed": seed} for seed in range(rounds)))
    seconds = sum(one["seconds"] for one in done)
    sums = {name: sum(one[name] for one in done) for name in COUNTS}
    row: Row = {
        "pairs_per_s": sums["pairs"] / seconds,
        "tokens_per_s": sums["tokens"] / seconds,
        "tflops_run": sums["flops_run"] / seconds / 1e12,
        "tflops_done": sums["flops_done"] / seconds / 1e12,
        "cached_tokens": sums["cached_tokens"],
        "scores": done[0]["scores"],
        "notes": done[-1]["notes"],
        "oom": sum(bool(RAN_OUT.search(note)) for note in done[-1]["notes"]),
    }
    if tflops is not None:
        row |= {"share_run": row["tflops_run"] / tflops, "share_done": row["tflops_done"] / tflops}
    return row


def plan(bench: Bench, _: dict[str, list[Row]]) -> Iterator[Row]:
    """Planned and measured peaks."""
    for mode in bench.modes:
        for generator in bench.generators:
            for scorer in bench.scorers:
                for backend in bench.backends:
                    what = {"generator": generator, "scorer": scorer, "backend": backend, "mode": mode}
                    if mode == "swap" and bench.kind == "cpu":
                        yield what | {"skipped": "vLLM has no sleep mode on a CPU"}
                        continue
                    job = {"job": "plan", "config": bench.config(generator, scorer, backend, mode)}
                    yield attempted(what, lambda job=job: _planned(job, bench))


def _planned(job: Row, bench: Bench) -> Row:
    job["sizes"] = dataclasses.asdict(bench.sizes)
    before = used_bytes(bench.kind)
    with Child(JOBS, job, OFFLINE) as child, watched(bench.kind, child.pid) as peaks:
        found = child.ask(PATIENCE_SECONDS, what="start")
        done = child.ask(PATIENCE_SECONDS, what="run")
    measured = peaks[-1] - before
    return {
        "planned_bytes": found["peak_bytes"],
        "measured_bytes": measured,
        "error": found["peak_bytes"] / measured - 1,
        "plan": found,
        **done,
        "oom": sum(bool(RAN_OUT.search(note)) for note in done["notes"]),
    }


def sleep(bench: Bench, _: dict[str, list[Row]]) -> Iterator[Row]:
    """Engines that sleep."""
    if bench.kind == "cpu":
        yield {"skipped": "vLLM has no sleep mode on a CPU"}
        return
    for name in bench.generators:
        config = bench.config(name, None)
        config["generator"]["enable_sleep_mode"] = True
        job = {"job": "sleep", "config": config, "sizes": dataclasses.asdict(bench.sizes)}
        yield attempted({"model": name}, lambda job=job: _slept(job, bench))


def _slept(job: Row, bench: Bench) -> Row:
    before, rows = used_bytes(bench.kind), []
    with Child(JOBS, job, OFFLINE) as child:
        start = child.ask(PATIENCE_SECONDS, what="start")
        awake = used_bytes(bench.kind) - before
        for _ in range(bench.sizes.rounds):
            slept = child.ask(PATIENCE_SECONDS, what="sleep")
            asleep = used_bytes(bench.kind) - before
            rows.append((slept["seconds"], asleep, child.ask(PATIENCE_SECONDS, what="wake")["seconds"]))
        after = child.ask(PATIENCE_SECONDS, what="run")
    sleeps, asleeps, wakes = zip(*rows, strict=True)
    figures = {"sleep_seconds": sleeps, "wake_seconds": wakes, "asleep_bytes": asleeps}
    return (
        start
        | {name: statistics.median(values) for name, values in figures.items()}
        | {
            "first_sleep_seconds": sleeps[0],
            "awake_bytes": awake,
            "tokens_after": after["tokens"],
        }
    )


def overlap(bench: Bench, _: dict[str, list[Row]]) -> Iterator[Row]:
    """Both at once against each alone."""
    scorer = bench.scorers[0]
    for generator in bench.generators:
        for backend in bench.backends:
            config = bench.config(generator, scorer, backend)
            config["scorers"][0]["model"] = synthetic.make(bench.models, scorer, "random")
            job = {"job": "overlap", "config": config, "sizes": dataclasses.asdict(bench.sizes)}
            what = {"generator": generator, "scorer": scorer, "backend": backend}
            yield attempted(what, lambda job=job: asked(job, "start", "run")[1])


PARTS: dict[str, Callable[[Bench, dict[str, list[Row]]], Iterator[Row]]] = {
    "peak": peak,
    "generation": generation,
    "scoring": scoring,
    "plan": plan,
    "sleep": sleep,
    "overlap": overlap,
}


def asked(job: Row, *requests: str | Row) -> list[Row]:
    """A child's answers. Raises Failed."""
    with Child(JOBS, job, OFFLINE) as child:
        return [child.ask(PATIENCE_SECONDS, **({"what": r} if isinstance(r, str) else r)) for r in requests]


def attempted(what: Row, measure: Callable[[], Row]) -> Row:
    """A row of what was measured, or of why it was not."""
    try:
        return what | measure()
    except Failed as error:
        return what | failure(error)


def failure(error: Failed) -> Row:
    """Why, and whether memory ran out, as its text or the engine's log that it names says."""
    text = str(error)
    logs = [Path(name).read_text(errors="replace") for name in LOG.findall(text) if Path(name).is_file()]
    return {"failed": text, "oom": int(any(RAN_OUT.search(one) for one in (text, *logs)))}


# The device's memory.


def used_bytes(kind: str) -> int:
    """What all processes hold of the GPU; 0 on a CPU, where the measured processes' own is counted."""
    return _smi("memory.used") * 2**20 if kind == "cuda" else 0


def _smi(figure: str) -> int:
    command = ["nvidia-smi", "--id=0", f"--query-gpu={figure}", "--format=csv,noheader,nounits"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@contextmanager
def watched(kind: str, process: int) -> Iterator[list[int]]:
    """The highest memory so far, in bytes, last in a list; of the GPU, or of a process and its descendants."""
    if kind == "cpu":
        with _watched_tree(process) as peaks:
            yield peaks
        return
    command = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    polling = subprocess.Popen([*command, f"--loop-ms={POLL_MILLISECONDS}"], stdout=subprocess.PIPE, text=True)
    peaks = [0]

    def watch() -> None:
        for line in polling.stdout or ():
            peaks.append(max(peaks[-1], int(line) * 2**20))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        polling.terminate()
        thread.join()
        polling.wait()


@contextmanager
def _watched_tree(process: int) -> Iterator[list[int]]:
    """The same of a process and its descendants on a CPU."""
    from memory import pss

    peaks = [0]

    def look() -> None:
        peaks.append(max(peaks[-1], int(sum(pss(process).values()) * 2**20)))

    with sampling(look, POLL_MILLISECONDS / 1000):
        yield peaks


# What is shown.


def shown(part: str, row: Row) -> str:
    """A row for people."""
    if "skipped" in row or "failed" in row:
        why = "skipped: " + row["skipped"] if "skipped" in row else _why(row["failed"])
        return " ".join([*(str(row[name]) for name in NAMES if name in row), why])
    return LINES[part](row) + "".join(f"   [{text}]" for text in verdicts(part, row))


NAMES = ("way", "model", "generator", "scorer", "backend", "mode")


def _why(text: str) -> str:
    lines = text.strip().splitlines() or ["it said nothing"]
    line = next((line for line in reversed(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)), lines[-1])
    return line.replace("ModelError:", "not available:") if line.startswith("ModelError:") else f"FAILED: {line}"


def _scoring_line(row: Row) -> str:
    share = (
        f"{row['share_run']:.1%} of peak run, {row['share_done']:.1%} done" if "share_run" in row else "peak unknown"
    )
    return (
        f"{row['model']} {row['way']:>12}: {row['pairs_per_s']:8.1f} pairs/s   {row['tokens_per_s']:9.0f} tokens/s   "
        f"{row['times_card']:5.2f} times the card   {share}   scores differ by {row['difference_from_card']:.3f}"
    )


LINES: dict[str, Callable[[Row], str]] = {
    "peak": lambda row: f"{row['device']}: {row['tflops']:.2f} TFLOP/s of bf16 matrix products",
    "generation": lambda row: (
        f"{row['model']}: {row['tokens_per_s']:8.0f} tokens/s with {row['max_num_seqs']} sequences, started in "
        f"{row['start_seconds']:.0f} s"
    ),
    "scoring": _scoring_line,
    "plan": lambda row: (
        f"{row['generator']} + {row['scorer']} {row['backend']} {row['mode']}: planned "
        f"{row['planned_bytes'] / GIB:.2f} GiB, measured {row['measured_bytes'] / GIB:.2f} ({row['error']:+.1%})"
    ),
    "sleep": lambda row: (
        f"{row['model']}: sleeps in {row['sleep_seconds']:.2f} s (at first {row['first_sleep_seconds']:.2f}), wakes in "
        f"{row['wake_seconds']:.2f} s; {row['awake_bytes'] / GIB:.1f} GiB awake, {row['asleep_bytes'] / GIB:.1f} asleep"
    ),
    "overlap": lambda row: (
        f"{row['generator']} + {row['scorer']} {row['backend']}: alone {row['generate_seconds']:.1f} s and "
        f"{row['score_seconds']:.1f} s, together {row['together_seconds']:.1f} s: {row['ratio']:.2f} of the longer, "
        f"{row['together_seconds'] / (row['generate_seconds'] + row['score_seconds']):.2f} of one after the other; the "
        f"generator is {row['slowdown']:.1%} slower"
    ),
}


@dataclass(frozen=True)
class Goal:
    """Of a figure in a part's rows: at least `limit`, which one row is to reach, or at most, which all are to keep;
    `either`: above or below.
    """

    what: str
    part: str
    figure: str
    limit: float
    least: bool = False
    either: bool = False

    def size(self, figure: float) -> float:
        """What is compared."""
        return abs(figure) if self.either else figure

    def met(self, figure: float) -> bool:
        """Whether it is reached."""
        return figure >= self.limit if self.least else self.size(figure) <= self.limit

    @property
    def wanted(self) -> str:
        """In words."""
        return f"{self.what}: at {'least' if self.least else 'most'} {self.limit:g}"


GOALS = [
    Goal("times the card's speed", "scoring", "times_card", 5.0, least=True),
    Goal("share of the peak, run", "scoring", "share_run", 0.40, least=True),
    Goal("error of the plan", "plan", "error", 0.05, either=True),
    Goal("what sharing costs the generator", "overlap", "slowdown", 0.10),
]


def verdicts(part: str, row: Row) -> list[str]:
    """The goals of a row."""
    mine = [goal for goal in GOALS if goal.part == part and goal.figure in row and row.get("way") != "card"]
    return [f"{goal.wanted}: {'met' if goal.met(row[goal.figure]) else 'NOT met'}" for goal in mine]


def goals(parts: dict[str, list[Row]]) -> list[Row]:
    """Each goal whose figure was measured, with the figure that decides."""
    found = []
    for goal in GOALS:
        rows = [row for row in parts.get(goal.part, ()) if goal.figure in row and row.get("way") != "card"]
        if rows:
            figure = max((row[goal.figure] for row in rows), key=goal.size)
            found.append({"goal": goal.wanted, "figure": figure, "met": goal.met(figure)})
    ran_out = sum(row.get("oom", 0) for rows in parts.values() for row in rows)
    return [*found, {"goal": "times that memory ran out: at most 0", "figure": ran_out, "met": ran_out == 0}]


def main() -> None:
    """Measure part by part, print and save each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--tiny", action="store_true", help="tiny models, on whatever device vLLM is built for")
    parser.add_argument("--backends", nargs="+", choices=["transformers", "vllm"], default=["transformers", "vllm"])
    parser.add_argument("--modes", nargs="+", choices=["share", "swap"], default=["share", "swap"], help="of plan")
    parser.add_argument("--generators", nargs="+", choices=sorted(synthetic.SHAPES))
    parser.add_argument("--scorers", nargs="+", choices=sorted(synthetic.SHAPES), help="the first is timed")
    parser.add_argument("--models", type=Path, help="where models are made and found again; a temporary folder")
    parser.add_argument("--name", help="of the file in results/, or a path without .json; gpu, or gpu_tiny with --tiny")
    a = parser.parse_args()
    device = device_name()
    if device is None and not a.tiny:
        sys.exit("No GPU is found here (nvidia-smi). --tiny runs every part on the CPU with tiny models.")
    sizes, names = (TINY, ("tiny",)) if a.tiny else (Sizes(), ("1.5b", "7b"))
    generators = a.generators or [f"generator-{name}" for name in names]
    scorers = a.scorers or [f"scorer-{name}" for name in (names if a.tiny else ("1.7b", "8b"))]
    with tempfile.TemporaryDirectory(prefix="tts-models-") as folder:
        wanted = (tuple(names) for names in (generators, scorers, a.backends, a.modes))
        bench = Bench(sizes, a.models or Path(folder), "cuda" if device else "cpu", *wanted)
        parts = measure(bench, a.parts, a.name or ("gpu_tiny" if a.tiny else "gpu"), device or "CPU")
    print("\nTiny models: the figures below only show that all of it runs." if a.tiny else "")
    for goal in goals(parts):
        print(f"{goal['goal']}: {goal['figure']:.3g}, {'met' if goal['met'] else 'NOT met'}")


def measure(bench: Bench, names: Sequence[str], name: str, device: str) -> dict[str, list[Row]]:
    """The rows of each part, in the parts' order, saved after each part."""
    state = {"device": device, "sizes": dataclasses.asdict(bench.sizes)}
    parts = earlier(name, state)
    for part in (part for part in PARTS if part in names):
        print(f"\n{part}", flush=True)
        for row in measured(part, bench, parts):
            named = [row.get(name) for name in NAMES]
            kept = [one for one in parts.get(part, ()) if [one.get(name) for name in NAMES] != named]
            parts[part] = [*kept, row | {"commit": environment.commit()}]
            print("  " + shown(part, row), flush=True)
        save(name, state | {"goals": goals(parts), "parts": parts})
    return parts


def measured(part: str, bench: Bench, parts: dict[str, list[Row]]) -> Iterator[Row]:
    """A part's rows, and in place of the rest of them what went wrong with all."""
    try:
        yield from PARTS[part](bench, parts)
    except (Failed, OSError) as error:
        yield failure(Failed(str(error)))


def earlier(name: str, state: Row) -> dict[str, list[Row]]:
    """The parts of an earlier run on this device with these sizes."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    same = all(found.get(name) == json.loads(json.dumps(value)) for name, value in state.items())
    return dict(found["parts"]) if same else {}


def device_name() -> str | None:
    """The first GPU's, None without one."""
    command = ["nvidia-smi", "--id=0", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


if __name__ == "__main__":
    main()

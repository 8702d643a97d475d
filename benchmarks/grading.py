"""The grader beside LiveCodeBench's: programs per second on the same programs, tests, cores and limits, taking turns;
and what it promises under load, with much data, and while its cells are killed.

    python -m venv /tmp/lcb && /tmp/lcb/bin/pip install numpy tqdm
    /tmp/lcb/bin/pip install --no-deps nvidia-livecodebench
    python benchmarks/grading.py --reference /tmp/lcb/bin/python
    python benchmarks/grading.py --parts load memory faults

Without --reference, tts alone is measured. LiveCodeBench's grader is run through its own `evaluate_generations`, in a
process of its own; both get as many workers as there are cores.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from _children import sampling
from _results import save

from tts.errors import InfraError
from tts.grade import GradeJob, Grader, Undecided
from tts.sandbox import Isolation, Job, Limits, Outcome, find_confinement, matches, run_programs
from tts.types import Stdin, Test

PROGRAMS, TESTS = 160, 20
ISOLATIONS: tuple[Isolation, ...] = ("program", "test")
LIMITS = Limits()
PARTS = ("speed", "cores", "load", "memory", "faults")
REFERENCE = """
import json, sys, time
from livecodebench.evaluation.compute_code_generation_metrics import evaluate_generations
if __name__ == "__main__":
    job = json.load(open(sys.argv[1]))
    started = time.perf_counter()
    results, _ = evaluate_generations(job["samples"], job["codes"], num_process_evaluate=job["workers"], timeout=6)
    seconds = time.perf_counter() - started
    passed = sum(all(value is True for value in row[0]) for row in results.values())
    print(json.dumps({"seconds": seconds, "passed": passed}))
"""


def programs(kind: str) -> list[tuple[str, list[Stdin]]]:
    """Small programs of an ordinary kind, none alike, with their tests: all right, half of them wrong, or a twentieth
    of them endless.
    """
    made = []
    for n in range(PROGRAMS):
        code = (
            "import sys\n\n\ndef solve(values):\n    best = {}\n    for i, value in enumerate(values):\n"
            f"        best[value] = max(best.get(value, 0), i + {n})\n"
            "    return sum(best.values())\n\n\n"
            "data = sys.stdin.read().split()\nprint(solve(list(map(int, data[1:]))))\n"
        )
        if kind == "half wrong" and n % 2:
            code = code.replace("sum(best.values())", "sum(best.values()) + 1")
        if kind == "5% endless" and n % 20 == 0:
            code = code.replace("    best = {}\n", "    best = {}\n    while True:\n        pass\n")
        made.append((code, [_test(n, i) for i in range(TESTS)]))
    return made


def _test(n: int, i: int) -> Stdin:
    values = [random.Random(i).randrange(50) for _ in range(30)]
    best: dict[int, int] = {}
    for position, value in enumerate(values):
        best[value] = max(best.get(value, 0), position + n)
    return Stdin(f"{len(values)}\n{' '.join(map(str, values))}\n", f"{sum(best.values())}\n")


def judge(test: Test, outcome: Outcome) -> tuple[tuple[bool, float], bool]:
    """Whether a test passed, which ends a program if not, and the wall seconds that it took."""
    right = matches(test, outcome)
    return (right, outcome.wall_seconds), right


def ours(made: list[tuple[str, list[Stdin]]], isolation: Isolation, workers: int) -> dict[str, float]:
    """Seconds, programs that passed, and the median milliseconds of a test, by its outcome."""
    jobs = [Job(n, code, tests) for n, (code, tests) in enumerate(made)]
    started = time.perf_counter()
    results = dict(run_programs(jobs, judge, LIMITS, workers, isolation))
    seconds = time.perf_counter() - started
    steps = [step for result in results.values() if not isinstance(result, InfraError) for step in result]
    passed = sum(not isinstance(r, InfraError) and len(r) == TESTS and all(ok for ok, _ in r) for r in results.values())
    return {"seconds": seconds, "passed": passed, "test_ms": 1000 * statistics.median(wall for _, wall in steps)}


def theirs(made: list[tuple[str, list[Stdin]]], python: str, workers: int) -> dict[str, float]:
    """The same of LiveCodeBench's grader."""
    samples = [
        {"input_output": json.dumps({"inputs": [t.input for t in tests], "outputs": [t.output for t in tests]})}
        for _, tests in made
    ]
    job = {"samples": samples, "codes": [[code] for code, _ in made], "workers": workers}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "job.json").write_text(json.dumps(job))
        (Path(folder) / "reference.py").write_text(REFERENCE)
        done = subprocess.run(
            [python, "reference.py", "job.json"], cwd=folder, capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        raise SystemExit(f"LiveCodeBench's grader failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def speed(reference: str | None, rounds: int, workers: int) -> list[dict[str, Any]]:
    """Each kind of set, each grader, in turns; medians."""
    rows: list[dict[str, Any]] = []
    for kind in ("right", "half wrong", "5% endless"):
        made = programs(kind)
        ways: dict[str, Callable[[], dict[str, float]]] = {
            "tts, program": lambda made=made: ours(made, "program", workers),
            "tts, test": lambda made=made: ours(made, "test", workers),
        }
        if reference:
            ways["LiveCodeBench"] = lambda made=made: theirs(made, reference, workers)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
        for _ in range(rounds if kind == "right" else 1):
            for way, run in ways.items():
                found[way].append(run())
        base = statistics.median(r["seconds"] for r in found["LiveCodeBench"]) if reference else None
        for way, results in found.items():
            seconds = statistics.median(r["seconds"] for r in results)
            row = {
                "set": kind,
                "grader": way,
                "programs_per_second": PROGRAMS / seconds,
                "ratio": base / seconds if base else None,
                "test_ms": statistics.median(r.get("test_ms", float("nan")) for r in results),
                "passed": results[0]["passed"],
            }
            ratio = f"{row['ratio']:6.2f}" if base else ""
            print(
                f"{kind:>12} {way:>14}: {row['programs_per_second']:7.1f} programs/s  ratio {ratio}   "
                f"{row['test_ms']:.2f} ms a test   {row['passed']:.0f} passed",
                flush=True,
            )
            rows.append(row)
    return rows


def scaling(most: int, rounds: int) -> list[dict[str, Any]]:
    """The right programs in one cell, two, four, ... up to a cell for each core: how much faster, and how many cores
    were busy meanwhile, whoever kept them so.
    """
    made, rows = programs("right"), []
    counts = sorted({*(2**power for power in range(most.bit_length()) if 2**power < most), most})
    for isolation in ISOLATIONS:
        found: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
        for _ in range(rounds):
            for count in counts:
                before = psutil.cpu_times()
                seconds = ours(made, isolation, count)["seconds"]
                after = psutil.cpu_times()
                idle = after.idle + after.iowait - before.idle - before.iowait
                found[count].append((seconds, (psutil.cpu_count() or 1) - idle / seconds))
        alone = statistics.median(seconds for seconds, _ in found[1])
        for count in counts:
            seconds, busy = map(statistics.median, zip(*found[count], strict=True))
            row = {"isolation": isolation, "cells": count, "programs_per_second": PROGRAMS / seconds}
            rows.append(row | {"speedup": alone / seconds, "busy_cores": busy})
            print(
                f"cores: {isolation:>7} {count:3} cells {PROGRAMS / seconds:7.1f} programs/s, "
                f"{alone / seconds:.2f} times one cell, {busy:.2f} cores busy",
                flush=True,
            )
    return rows


def load(cores: int, rounds: int = 3) -> list[dict[str, Any]]:
    """Verdicts of 24 right one-second programs in a cell for each core, and in eight, program by program."""
    code = "import time\nend = time.process_time() + 1\nwhile time.process_time() < end: pass\nprint({})"
    jobs = [GradeJob("load", code.format(n), [Stdin("", f"{n}\n")]) for n in range(24)]
    rows = []
    for _ in range(rounds):
        verdicts: dict[int, dict[str, str]] = {}
        for cells in (cores, 8 * cores):
            started = time.perf_counter()
            grades = Grader(Limits(cpu_seconds=2.0, memory_mib=256), cells).grade(jobs)
            verdicts[cells] = {g.program: "undecided" if isinstance(g, Undecided) else g.verdict for g in grades}
            passed = sum(verdict == "passed" for verdict in verdicts[cells].values())
            seconds = time.perf_counter() - started
            other = sum(verdicts[cells][program] != verdict for program, verdict in verdicts[cores].items())
            rows.append({"cells": cells, "passed": passed, "of": len(jobs), "seconds": seconds, "other": other})
            print(
                f"load: {passed} of {len(jobs)} one-second programs passed in {cells} cells on {cores} cores in "
                f"{seconds:.1f} s; {other} have another verdict than in {cores} cells",
                flush=True,
            )
    return rows


def memory(megabytes: int = 100, cells: int = 16) -> dict[str, Any]:
    """The peak of the process tree's proportional set size while many cells grade tests of so much data."""
    lines = "1234567 " * (megabytes * 2**20 // 8 // cells)
    tests = [Stdin(lines + f"{n}\n", f"{len(lines.split()) + 1}\n") for n in range(cells)]
    jobs = [
        Job(n, f"import sys\nprint(sum(len(l.split()) for l in sys.stdin), {n} * '')", [t]) for n, t in enumerate(tests)
    ]
    peak = [0]
    with sampling(lambda: peak.append(max(peak[-1], _tree_bytes())), 0.05):
        results = dict(run_programs(jobs, judge, LIMITS, cells))
    right = sum(not isinstance(r, InfraError) and r[0][0] for r in results.values())
    print(
        f"memory: {cells} cells, {megabytes} MB of tests: peak {peak[-1] / 2**20:.0f} MiB of the tree, {right} passed"
    )
    return {"cells": cells, "megabytes": megabytes, "peak_mib": peak[-1] / 2**20, "passed": right}


def _tree_bytes() -> int:
    """Proportional set size of this process and all that descend from it."""
    total = 0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total


@contextmanager
def _assassin(seed: int) -> Iterator[list[int]]:
    """Kills a random cell every 50 to 200 ms; the list counts them."""
    stop, drawn, killed = threading.Event(), random.Random(seed), [0]

    def kill() -> None:
        while not stop.wait(drawn.uniform(0.05, 0.2)):
            cells = [p for p in psutil.Process().children() if p.name() in ("bwrap", "python", "python3")]
            if cells:
                with suppress(psutil.Error):
                    drawn.choice(cells).send_signal(signal.SIGKILL)
                    killed[0] += 1

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def faults(workers: int) -> dict[str, Any]:
    """160 programs while cells are killed: verdicts lost or changed."""
    made = programs("half wrong")
    jobs = [Job(n, code, tests) for n, (code, tests) in enumerate(made)]
    with _assassin(0) as killed:
        results = dict(run_programs(jobs, judge, LIMITS, workers, "test"))
    undecided = sum(isinstance(r, InfraError) for r in results.values())
    changed = sum(
        all(ok for ok, _ in result) != (n % 2 == 0)
        for n, result in results.items()
        if not isinstance(result, InfraError)
    )
    print(
        f"faults: {killed[0]} cells killed over {len(jobs)} programs: {changed} verdicts changed, {undecided} undecided"
    )
    return {"killed": killed[0], "programs": len(jobs), "changed": changed, "undecided": undecided}


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--reference", help="a Python in which nvidia-livecodebench is installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--name", default="grading", help="of the file in results/, or a path without .json")
    a = parser.parse_args()
    confinement = find_confinement()
    print(f"level {confinement.level}, {a.workers} workers")
    found: dict[str, Any] = {"level": str(confinement.level), "workers": a.workers}
    if "speed" in a.parts:
        found["speed"] = speed(a.reference, a.rounds, a.workers)
    if "cores" in a.parts:
        found["cores"] = scaling(a.workers, a.rounds)
    if "load" in a.parts:
        found["load"] = load(a.workers)
    if "memory" in a.parts:
        found["memory"] = memory()
    if "faults" in a.parts:
        found["faults"] = faults(a.workers)
    save(a.name, found)


if __name__ == "__main__":
    main()

"""How a run on Ray scales: with engines whose speed is fixed, and with a real model on this machine.

The stand-ins sleep, so that the cores of this machine are not the limit: each actor draws `--width` candidates at once,
of 1 to `--most` steps of `--seconds`. Efficiency is the work divided by what so many actors could do of it in the time
that was taken, so that the end, when places are idle, counts against it. Driver time is the processor time of this
process, all of Ray's threads in it included, and of storing each candidate and its score, for each candidate.

Also measured: what a stored candidate takes on disk, and what a report of so many takes in seconds and memory. From
these, docs/scaling.md computes where one driver and one file stop.

python benchmarks/ray_scaling.py
python benchmarks/ray_scaling.py --actors 2 4 --work 100
python benchmarks/ray_scaling.py --real
python benchmarks/ray_scaling.py --table
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from _results import save
from _standin import Fixed, FixedScore

from tts.cluster import RayEngine
from tts.engine import Drawn, Engine, Event, Failed, Rated
from tts.ray_places import Need, reserve
from tts.ray_session import Session, connect
from tts.store import Store, open_for_writing
from tts.types import Candidate, Message, Problem, Score, Stdin

EFFICIENCY, DRIVER_MS = 0.95, 2.0  # what is to be met
Wanted = Sequence[tuple[Problem, int]]
STATEMENT = "Read two numbers and print their sum. " * 40  # 1.5 kB, as long as a contest's


@dataclass(frozen=True)
class Taken:
    """What a run took: wall seconds, and processor seconds of this process."""

    seconds: float
    cpu_seconds: float


def problem(number: int) -> Problem:
    """One with a public test, as those of contests have."""
    return Problem(f"p{number:07}", STATEMENT, (Message("user", STATEMENT),), (Stdin("1 2\n", "3\n"),))


def asked(problems: int, n: int) -> list[tuple[Problem, int]]:
    """n candidates for each."""
    return [(one, index) for one in map(problem, range(problems)) for index in range(n)]


def cpu_seconds() -> float:
    """Processor time of all threads of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def engine_of(generator: Fixed, scorer: FixedScore) -> Engine:
    """What runs in an actor."""
    return Engine(generator, {"score": scorer})


def stored(store: Store, events: Sequence[Event | Failed]) -> int:
    """Keep what came, as a run does; how many candidates."""
    for event in events:
        if isinstance(event, Drawn):
            list(store.add_candidates([event.candidate]))
        elif isinstance(event, Rated):
            list(store.add_scores("score", [event.score]))
    return sum(isinstance(event, Drawn) for event in events)


def run_on(engine: RayEngine, wanted: Wanted, store: Store) -> Taken:
    """Draw and score all of it, and store it."""
    begun, before = time.monotonic(), cpu_seconds()
    engine.submit(wanted)
    count = 0
    while engine.busy:
        count += stored(store, engine.poll())
    taken = Taken(time.monotonic() - begun, cpu_seconds() - before)
    assert count == len(wanted)
    return taken


def warm_up(engine: RayEngine, actors: int) -> None:
    """Until every actor stands, and some have worked: starting is not what is measured here."""
    work = [(Problem("warm", "", ()), index) for index in range(100_000)]
    engine.submit(work)
    while engine.standing < actors:
        engine.poll(1)
    engine.cancel([(one.id, index) for one, index in work])
    time.sleep(1.0)


def scaling(a: argparse.Namespace, session: Session, actors: int) -> dict[str, Any]:
    """One row: so many actors."""
    fixed = Fixed(a.seconds, a.width, a.most)
    wanted = asked(-(-a.work * actors * a.width // a.n), a.n)
    places = reserve(session, Need(actors, 0.01, 0), 120)
    make = partial(engine_of, fixed, FixedScore())
    with (
        tempfile.TemporaryDirectory() as folder,
        open_for_writing(Path(folder)) as store,
        RayEngine(session, places, make, ["score"], wait_seconds=600) as engine,
    ):
        warm_up(engine, actors)
        taken = run_on(engine, wanted, store)
    steps = sum(fixed.steps((one.id, index)) for one, index in wanted)
    ideal = steps * a.seconds / a.width / actors
    return {
        "actors": actors,
        "candidates": len(wanted),
        "ideal_seconds": ideal,
        "seconds": taken.seconds,
        "efficiency": ideal / taken.seconds,
        "candidates_per_second": len(wanted) / taken.seconds,
        "driver_ms_per_candidate": 1000 * taken.cpu_seconds / len(wanted),
    }


def full_speed(a: argparse.Namespace, session: Session) -> dict[str, Any]:
    """What the driver takes when nothing else holds it back: actors that give what they have at once."""
    wanted = asked(-(-a.full // a.n), a.n)
    places = reserve(session, Need(2, 0.01, 0), 120)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_for_writing(Path(folder)) as store,
        RayEngine(session, places, partial(engine_of, Fixed(0.0, 256, 1), FixedScore()), ["score"]) as engine,
    ):
        warm_up(engine, 2)
        taken = run_on(engine, wanted, store)
    return {
        "candidates": len(wanted),
        "candidates_per_second": len(wanted) / taken.seconds,
        "driver_ms_per_candidate": 1000 * taken.cpu_seconds / len(wanted),
    }


def candidate(of: str, index: int) -> Candidate:
    """One of 2 kB, half of it code."""
    code = "".join(f"x{line} = int(input()) + {index}\n" for line in range(36))
    return Candidate(of, index, f"{'I think. ' * 110}```python\n{code}```", code, "tagged", 400, 500, -0.3)


def filled(store: Store, count: int, n: int) -> Iterator[float]:
    """Fill a store with so many candidates and scores; seconds since it began, after each."""
    names = [one.id for one in map(problem, range(-(-count // n)))]
    store.add_problems([problem(number) for number in range(len(names))])
    begun = time.monotonic()
    for name in names:
        for index in range(n):
            list(store.add_candidates([candidate(name, index)]))
            list(store.add_scores("score", [Score(name, index, float(index))]))
            yield time.monotonic() - begun


READ = """
import resource, sys, time
from pathlib import Path
from tts.store import open_for_reading
begun = time.monotonic()
with open_for_reading(Path(sys.argv[1])) as store:
    held = [store.problems(), list(store.candidates()), store.scores("score")]
print(time.monotonic() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


def one_file(a: argparse.Namespace) -> dict[str, Any]:
    """One store: how fast it is written, how large it gets, what reading it whole takes, as resuming and reports do."""
    with tempfile.TemporaryDirectory() as folder:
        with open_for_writing(Path(folder)) as store:
            *_, seconds = filled(store, a.stored, a.n)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        _, empty = _read(_empty(Path(folder) / "none"))
        read_seconds, peak = _read(Path(folder))
    count = -(-a.stored // a.n) * a.n
    return {
        "candidates": count,
        "write_ms_per_candidate": 1000 * seconds / count,
        "bytes_per_candidate": size / count,
        "read_us_per_candidate": 1e6 * read_seconds / count,
        "read_memory_bytes_per_candidate": (peak - empty) / count,
    }


def _empty(folder: Path) -> Path:
    """A store that holds nothing."""
    with open_for_writing(folder):
        return folder


def _read(folder: Path) -> tuple[float, int]:
    """(seconds, peak bytes) of a process that reads a store whole."""
    done = subprocess.run([sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True)
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


CONFIG = """
benchmark: {{name: mini, limit: {problems}}}
generator: {{name: transformers, n: {n}, max_tokens: {max_tokens}, dtype: bfloat16}}
scorers: [likelihood]
"""


def real(a: argparse.Namespace) -> dict[str, Any]:
    """The embedded model as a run has it, in this process and on actors that share the same cores."""
    from tts import config as configs
    from tts import pipeline
    from tts.cluster import RayCluster

    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(CONFIG.format(problems=a.problems, n=a.n, max_tokens=a.max_tokens))
        for actors in (0, 1, 2):
            config = configs.load(path, [f"cluster.actors={actors}"] if actors else [])
            with open_for_writing(Path(folder) / f"run{actors}") as store:
                if config.cluster is None:
                    pipeline.run(config, store)
                else:
                    with RayCluster(config.cluster) as where:
                        pipeline.run(config, store, where=where)
                tokens = sum(one.tokens or 0 for one in store.candidates())
                session = store.meta("sessions")[-1]
                seconds = store.meta("timings")["generate and score"]
            busy = session["busy_seconds"].get("generate", seconds)
            found[f"{actors}_actors" if actors else "this_process"] = {
                "tokens": tokens,
                "seconds": seconds,
                "tokens_per_second": tokens / seconds,
                "tokens_per_second_once_loaded": tokens / (busy / max(1, actors)),
            }
    return found


MEMORY_BYTES, FILE_BYTES = 64 << 30, 100 << 30  # what docs/scaling.md takes a driver's machine to have for one run


def beyond(found: dict[str, Any], count: int) -> dict[str, Any]:
    """What so many candidates take of one driver and one file, and how many runs that makes."""
    speed, file = found["full_speed"], found["one_file"]
    runs = max(
        1,
        -(-count * file["read_memory_bytes_per_candidate"] // MEMORY_BYTES),
        -(-count * file["bytes_per_candidate"] // FILE_BYTES),
    )
    return {
        "candidates": f"{count:,}",
        "driver": _time(count * speed["driver_ms_per_candidate"] / 1000),
        "file": _size(count * file["bytes_per_candidate"]),
        "read": _time(count * file["read_us_per_candidate"] / 1e6),
        "memory": _size(count * file["read_memory_bytes_per_candidate"]),
        "runs": f"{runs:,.0f}",
    }


def _time(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def table(found: dict[str, Any]) -> str:
    """The rows of docs/scaling.md."""
    rows = [beyond(found, count) for count in (10**3, 10**6, 10**9)]
    return "\n".join(f"| {' | '.join(row.values())} |" for row in rows)


ROW = (
    "{actors:>3} actors: {candidates:>6} candidates, ideal {ideal_seconds:6.1f} s, took {seconds:6.1f} s, efficiency "
    "{efficiency:.3f}, {candidates_per_second:6.1f} candidates/s, driver {driver_ms_per_candidate:.2f} ms each"
)


def measured(a: argparse.Namespace) -> dict[str, Any]:
    """Stand-ins and the store, with a line for each."""
    file = one_file(a)
    print(f"one file: {file}", flush=True)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    session = connect(None, 60)
    rows = []
    for actors in a.actors:
        rows.append(scaling(a, session, actors))
        print(ROW.format(**rows[-1]), flush=True)
    speed = full_speed(a, session)
    print(f"full speed: {speed}")
    session.close(keep_logs=False)
    met = all(row["efficiency"] >= EFFICIENCY and row["driver_ms_per_candidate"] <= DRIVER_MS for row in rows)
    print(f"goals (efficiency {EFFICIENCY}, driver {DRIVER_MS} ms): {'met' if met else 'NOT met'}")
    goal = {"efficiency": EFFICIENCY, "driver_ms": DRIVER_MS, "met": met}
    return {"goal": goal, "scaling": rows, "full_speed": speed, "one_file": file}


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--actors", type=int, nargs="+", default=[2, 4, 8, 32])
    parser.add_argument("--seconds", type=float, default=0.25, help="of a step")
    parser.add_argument("--width", type=int, default=16, help="candidates that an actor draws at once")
    parser.add_argument("--most", type=int, default=16, help="steps of the longest candidate; the shortest has 1")
    parser.add_argument("--work", type=int, default=40, help="candidates for each place of each actor")
    parser.add_argument("--n", type=int, default=16, help="candidates per problem")
    parser.add_argument("--full", type=int, default=20_000, help="candidates of the driver's full speed")
    parser.add_argument("--stored", type=int, default=100_000, help="candidates of the one file")
    parser.add_argument("--real", action="store_true", help="measure the embedded model instead")
    parser.add_argument("--problems", type=int, default=8, help="of --real")
    parser.add_argument("--max-tokens", type=int, default=64, help="of --real")
    parser.add_argument("--table", action="store_true", help="print docs/scaling.md's rows from what was measured")
    parser.add_argument("--name", help="of the file in results/, or a path without .json")
    a = parser.parse_args()
    facts = {"settings": vars(a), "load_before": os.getloadavg()}
    if a.table:
        print(table(json.loads((Path(__file__).parent / "results" / "ray_scaling.json").read_text())))
    elif a.real:
        row = real(a)
        for name in ("this_process", "1_actors", "2_actors"):
            print(f"{name:>13}: {row[name]}")
        save(a.name or "ray_scaling_real", {**facts, "load_after": os.getloadavg(), "results": row})
    else:
        save(a.name or "ray_scaling", measured(a) | facts | {"load_after": os.getloadavg()})


if __name__ == "__main__":
    main()

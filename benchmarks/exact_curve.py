"""How long does an exact best-of-k curve take? `tts.metrics.exact_curve` against a plain Python loop over tie groups.

Two loops are timed on a few problems of the same data: one calls math.comb each time, the other finds every binomial in
a table filled before its clock starts. Ratios are per problem. Prints a table; writes results/exact_curve.json.

    python benchmarks/exact_curve.py
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from _results import save
from numpy.typing import NDArray

from tts.metrics import exact_curve

SIZES = [(175, 64), (1000, 128), (1055, 256), (1000, 1024)]  # problems, samples
TIES = [("none", 1 << 30), ("many", 20)]  # how many different ranks there can be
REPEATS = 5
LOOPED = 3  # problems given to the plain loops


def plain_loop(ranks: Sequence[int], correct: Sequence[float], k: int, comb: Callable[[int, int], int]) -> float:
    n, above, total = len(ranks), 0, 0.0
    groups: dict[int, list[float]] = {}
    for rank, right in zip(ranks, correct, strict=True):
        groups.setdefault(rank, []).append(right)
    for _, group in sorted(groups.items()):
        bracket = comb(n - above, k) - comb(n - above - len(group), k)
        total += sum(group) / len(group) * (bracket / comb(n, k))
        above += len(group)
    return total


def best_seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    def once() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return min(once() for _ in range(repeats))


def measure(problems: int, n: int, ties: str, distinct: int) -> dict[str, float | str]:
    rng = np.random.default_rng(0)
    ranks, correct = rng.integers(distinct, size=(problems, n)), rng.integers(2, size=(problems, n)).astype(float)
    ks = [2**power for power in range(n.bit_length())]
    data = list(zip(ranks, correct, strict=True))
    few = [(r.tolist(), c.tolist()) for r, c in data[:LOOPED]]
    table = cache(math.comb)

    def loop(comb: Callable[[int, int], int]) -> NDArray[np.float64]:
        return np.array([[plain_loop(r, c, k, comb) for k in ks] for r, c in few])

    seconds = best_seconds(lambda: exact_curve(data, ks))
    off = np.abs(loop(table) - exact_curve(data, ks)[:LOOPED]).max()  # also fills the table
    each, looked_up = best_seconds(lambda: loop(math.comb), 1), best_seconds(lambda: loop(table), 3)
    return {
        "problems": problems,
        "samples": n,
        "ks": len(ks),
        "ties": ties,
        "seconds": seconds,
        "times_faster_than_math_comb_loop": each / LOOPED / (seconds / problems),
        "times_faster_than_table_loop": looked_up / LOOPED / (seconds / problems),
        "largest_difference": float(off),
    }


def main() -> None:
    rows = [measure(problems, n, *ties) for problems, n in SIZES for ties in TIES]
    print("problems  samples  ks  ties   seconds   vs math.comb loop   vs table loop   largest difference")
    for row in rows:
        print("{:8}  {:7}  {:2}  {:4}  {:8.4f}  {:17.0f}x  {:13.1f}x  {:19.1e}".format(*row.values()))
    note = f"seconds: best of {REPEATS}; the loops ran {LOOPED} problems of the same data in the same process"
    save("exact_curve", {"note": note, "rows": rows})


if __name__ == "__main__":
    main()

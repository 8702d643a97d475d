"""Every strategy from one pool: accuracy at each k with its interval, how it was estimated, and what k = n candidates
and choosing among them cost.

A pool is a run's folder. It is copied, and what the strategies need beside its samples (scores of the shipped scorers,
grades, behaviours) is brought up in the copy; problems without all n samples are left out. Prints a table, the
comparisons of the best strategy with the others, and pass@n foretold from half of the samples beside what it is; writes
results/strategies.json.

    python benchmarks/strategies.py ~/.cache/tts/pools/humaneval-qwen2.5-coder-0.5b
    python benchmarks/strategies.py --sizes        # seconds on made-up pools of 1,000 x 1,024 and 1,055 x 64
"""

import argparse
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from _results import save

from tts import analysis, certainty, config, cost, extrapolation, pipeline, plugins
from tts.analysis import Curve, Judged, RunReport
from tts.config import Config
from tts.cost import Account, Unit
from tts.cost_report import number
from tts.plugins import Spec
from tts.store import FILE, Store, open_for_reading, open_for_writing
from tts.types import BASELINES, Behaviour, Candidate, Grade, Problem, Score, Stdin, Verdict
from tts.wording import interval, percent

SCORERS = ["likelihood", "length", "public_tests"]
STRATEGIES: list[Any] = [
    *["random", "argmax", "majority", "weighted_vote", "threshold", "soft", "mob", "mbr", "codet", "tests_then_score"],
    *["pessimistic", "ensemble"],
    {"name": "ensemble", "how": "zscore", "label": "ensemble zscore"},
    {"name": "ensemble", "how": "bound", "label": "ensemble bound"},
    *["regularised", {"name": "regularised", "by": "logprob", "label": "regularised logprob"}, "staged"],
]
RANKED: list[Any] = ["random", "argmax", "tests_then_score", "staged", {"name": "regularised", "by": "logprob"}]
SPENT: tuple[Unit, ...] = ("tokens", "flops", "seconds")
HIDINGS = 20  # random halves of the samples that pass@n is foretold from


# -- a real pool ------------------------------------------------------------------------------------------------------


def copied(source: Path, folder: Path) -> Path:
    """The run's database, also of one that is being written, in a folder of its own."""
    folder.mkdir()
    old = sqlite3.connect(f"{(source / FILE).absolute().as_uri()}?mode=ro", uri=True)
    new = sqlite3.connect(folder / FILE)
    with closing(old), closing(new):
        old.backup(new)
    return folder


def widened(store: Store, extra_inputs: int) -> Config:
    """The run's own config over the problems that are complete, with all strategies and scorers."""
    own = analysis.stored_config(store)
    counts = Counter(name for name, _ in store.candidate_keys())
    complete = [p.id for p in store.problems() if counts[p.id] >= (own.generator.n or 1)]
    spec = Spec(own.benchmark.name, {**own.benchmark.options, "ids": complete})
    plain = own.model_copy(update={"benchmark": spec, "scorers": (), "selectors": (), "ks": ()})
    tree = {"scorers": SCORERS, "selectors": STRATEGIES, "behaviours": {"extra_inputs": extra_inputs}}
    extras = config.parse(
        {"benchmark": "mini", "generator": {"name": "replay", "path": "x"}, **tree}, where="strategies"
    )
    return plain.model_copy(
        update={"scorers": extras.scorers, "selectors": extras.selectors, "behaviours": extras.behaviours}
    )


def brought_up(source: Path, extra_inputs: int, folder: Path) -> RunReport:
    """The report of a pool's copy, with what the strategies need."""
    copy = copied(source, folder / "copy")
    with open_for_writing(copy) as store:
        undecided = pipeline.run(widened(store, extra_inputs), store)
        if undecided:
            raise SystemExit(f"{len(undecided)} programs could not be decided; run it again.")
    with open_for_reading(copy) as store:
        return replace(analysis.analyse(store), folder=source)


def shared_costs(report: RunReport) -> dict[str, float]:
    """Per problem, whatever chooses: distinct programs that were run, and runs of a program on an input."""
    programs = [
        {c.code: b for c, b in zip(item.candidates, item.behaviours, strict=True) if b} for item in report.judged
    ]
    problems = len(report.judged)
    return {
        "programs": sum(map(len, programs)) / problems,
        "runs": sum(len(b.outputs) for found in programs for b in found.values()) / problems,
    }


def selection_seconds(report: RunReport) -> dict[str, float]:
    """Curve name -> seconds to choose from every problem's full pool, each of which is looked at for the first time."""
    found = {}
    specs = {item.label: item.spec for item in report.config.selectors}
    for curve in report.curves:
        if curve.selector in specs:
            selector = plugins.build("selector", specs[curve.selector], seed=report.config.seed)
            pools = analysis.pools_of(report.judged, report.scores)[
                curve.scorers[0] if len(curve.scorers) == 1 else SCORERS[0]
            ]
            found[curve.name] = seconds(lambda one=selector, many=pools: [one.select(pool) for pool in many])
    return found


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def row(report: RunReport, taken: Account, curve: Curve, chosen_in: float | None) -> dict[str, Any]:
    """A strategy's line of the table; its `cost` is the mean per problem at k = n, by unit, None where not known."""
    spent = {unit: cost.axis(report, taken, curve, unit) for unit in SPENT}
    return {
        "strategy": curve.name,
        "scorer": ", ".join(curve.scorers),
        "estimate": curve.method,
        "values": {point.k: point.value for point in curve.points},
        "errors": {point.k: point.se for point in curve.points},
        "intervals": {point.k: (point.low, point.high) for point in curve.points},
        "cost": {unit: None if found is None else found[-1] for unit, found in spent.items()},
        "over_random": asdict(curve.over_random),
        "milliseconds": None if chosen_in is None else 1000 * chosen_in / len(report.judged),
        "saved": None if curve.saved is None else asdict(curve.saved),
    }


def print_rows(rows: Sequence[dict[str, Any]], ks: Sequence[int]) -> None:
    """The table in Markdown, as it goes into README.md. Costs are means per problem at the last k, the choosing among
    the milliseconds alone.
    """
    headers = [f"k = {k}" for k in ks] + ["over random"] + [f"{unit} at k = {ks[-1]}" for unit in SPENT]
    print(f"| strategy | estimate | {' | '.join(headers)} | ms to choose |")
    print("|---" * (len(headers) + 3) + "|")
    for one in rows:
        cells = [_cell(one["values"][k], one["errors"][k], *one["intervals"][k]) for k in ks]
        gain = one["over_random"]
        cells.append(f"{percent(gain['value'], True)} {interval(gain['low'], gain['high'], True)}")
        cells += [number(one["cost"][unit]) for unit in SPENT]
        cells.append("" if one["milliseconds"] is None else f"{one['milliseconds']:.2f}")
        print(f"| {one['strategy']} | {one['estimate']} | {' | '.join(cells)} |")


def _cell(value: float, error: float, low: float, high: float) -> str:
    told = percent(value) if error == 0 else f"~{percent(value)} ±{percent(error)}"
    return f"{told} {interval(low, high)}"


def print_certainty(found: certainty.Certainty, best: str) -> None:
    """The best strategy against each other, what is detectable, and forecasts."""
    print(f"\n| {best} against | only it | only the other | p | p, Holm |\n|---|---|---|---|---|")
    for c in found.comparisons:
        if best in (c.one, c.other):
            alone, other = (c.only_one, c.only_other), c.other if c.one == best else c.one
            mine, theirs = alone if c.one == best else alone[::-1]
            print(f"| {other} | {mine} | {theirs} | {c.p:.2g} | {c.holm:.2g} |")
    if found.detectable is not None:
        size = found.detectable
        print(f"\ndetectable: {100 * size.difference:.1f} points, where two differ on {100 * size.disagreement:.1f}%")
    for one in found.forecasts:
        print(f"pass@{one.k} foretold: {100 * one.value:.1f} [{100 * one.low:.1f}, {100 * one.high:.1f}]")


def hidden_halves(report: RunReport, hidings: int = HIDINGS) -> dict[str, Any]:
    """pass@n foretold from a random half of each problem's samples, again and again, beside what all of them give."""
    n, rng = report.n, np.random.default_rng(report.config.seed)
    correct = np.array([item.correct[:n] for item in report.judged])
    actual = float((correct.sum(axis=1) > 0).mean())
    found = []
    for seed in range(hidings):
        shown = rng.permuted(correct, axis=1)[:, : n // 2].sum(axis=1).astype(int)
        found += extrapolation.forecast(np.full(len(shown), n // 2), shown, [n], seed=seed)
    held = sum(one.low <= actual <= one.high for one in found)
    values = [one.value for one in found]
    return {
        "n": n,
        "actual": actual,
        "foretold": float(np.mean(values)),
        "spread": float(np.std(values)),
        "held": held,
        "hidings": hidings,
        "low": float(np.mean([f.low for f in found])),
        "high": float(np.mean([f.high for f in found])),
    }


def measure_pool(source: Path, extra_inputs: int) -> None:
    """Print and save all of it for one pool."""
    with tempfile.TemporaryDirectory() as folder:
        report = brought_up(source, extra_inputs, Path(folder))
    chosen_in, problems = selection_seconds(report), len(report.judged)
    taken = cost.account(report)
    rows = [row(report, taken, curve, chosen_in.get(curve.name)) for curve in report.curves]
    shared, found, halves = shared_costs(report), certainty.certainty(report), hidden_halves(report)
    print(f"{report.config.benchmark.name}: {problems} problems, n = {report.n}, load {os.getloadavg()[0]:.1f}")
    print_rows(rows, report.ks)
    print("\nper problem: " + ", ".join(f"{name} {value:,.1f}" for name, value in shared.items()))
    print(f"saved by staged: {next(r['saved'] for r in rows if r['saved'])}")
    best = max((c for c in report.curves if c.name not in BASELINES and not c.drawn), key=_last)
    print_certainty(found, best.name)
    print(
        "pass@{n} is {actual:.1%}; from half of the samples: {foretold:.1%} ±{spread:.1%} over {hidings} halves, "
        "mean interval [{low:.1%}, {high:.1%}], which held it {held} times".format(**halves)
    )
    measured = {"problems": problems, "n": report.n, "rows": rows, "cost": shared, "halves": halves}
    save("strategies", measured | {"certainty": asdict(found), "load": os.getloadavg(), "pool": source.name})


def _last(curve: Curve) -> float:
    return curve.points[-1].value


# -- made-up pools, for time ------------------------------------------------------------------------------------------


def made_up(problems: int, n: int, seed: int = 0) -> tuple[list[Judged], dict[str, dict[tuple[str, int], Score]]]:
    """Problems whose candidates fall into classes of very different sizes, and the scores of two scorers."""
    rng = np.random.default_rng(seed)
    judged, scores = [], {"one": {}, "two": {}}
    for p in range(problems):
        name = f"p{p}"
        kinds = np.minimum(rng.geometric(0.3, size=n), 12)
        problem = Problem(name, "", (), (Stdin("1", "1"), Stdin("2", "2")))
        candidates = tuple(
            Candidate(name, i, "", f"print({kind})", "tagged", logprob=float(value))
            for i, (kind, value) in enumerate(zip(kinds, rng.normal(size=n), strict=True))
        )
        done = {int(k): Behaviour((str(k), str(k % 3)), (k % 2 == 0, k % 3 == 0)) for k in np.unique(kinds)}
        right = int(rng.integers(1, 6))
        grades = tuple(
            Grade(name, "", Verdict.PASSED if kind == right else Verdict.WRONG_ANSWER, 0.0, 2, 0) for kind in kinds
        )
        judged.append(Judged(problem, candidates, grades, tuple(done[int(kind)] for kind in kinds)))
        for label in scores:
            values = rng.normal(size=n).round(2)
            scores[label].update({(name, i): Score(name, i, float(v)) for i, v in enumerate(values)})
    return judged, scores


def timed(judged: Sequence[Judged], scores: Any, selectors: Sequence[Any], ks: Sequence[int]) -> dict[str, float]:
    """Wall and processor seconds from a run's facts to the curves of some selectors with their intervals."""
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "x"}, "selectors": list(selectors)}
    plan = config.parse(raw | {"scorers": [{"name": "length", "label": label} for label in scores]}, where="sizes")
    before = time.process_time()
    wall = seconds(lambda: analysis.curves(judged, scores, plan, ks))
    return {"seconds": wall, "cpu_seconds": time.process_time() - before}


def measure_sizes() -> None:
    """Print and save seconds on made-up pools."""
    judged, scores = made_up(1000, 1024)
    ks = [2**power for power in range(11)]
    ranked = timed(judged, {"one": scores["one"]}, RANKED, ks)
    print(f"1,000 problems x 1,024 samples, {len(RANKED)} rank-key selectors and the oracle, 11 k: {_took(ranked)}")
    del judged, scores
    judged, scores = made_up(1055, 64)
    ks, rows = [1, 2, 4, 8, 16, 32, 64], []
    alone = timed(judged, {"one": scores["one"]}, ["random"], ks)
    print(f"\n1,055 problems x 64 samples, 7 k; of each {_took(alone)} are for random and oracle beside it")
    for strategy in STRATEGIES:
        several = "ensemble" in str(strategy)
        took = timed(judged, scores if several else {"one": scores["one"]}, [strategy], ks)
        rows.append({"strategy": str(strategy), **took})
        print(f"{_took(took)}  {strategy}", flush=True)
    save("strategies_sizes", {"rank_key": ranked, "baselines": alone, "rows": rows, "load": os.getloadavg()})


def _took(found: dict[str, float]) -> str:
    return "{seconds:.1f} s ({cpu_seconds:.1f} in CPU seconds)".format(**found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", nargs="?", type=Path, help="the folder of a run")
    parser.add_argument("--extra-inputs", type=int, default=0, help="inputs mutated from the public ones, a problem")
    parser.add_argument("--sizes", action="store_true", help="seconds on made-up pools instead")
    given = parser.parse_args()
    if given.sizes:
        measure_sizes()
    elif given.pool is not None:
        measure_pool(given.pool.expanduser(), given.extra_inputs)
    else:
        parser.error("give a run's folder, or --sizes")


if __name__ == "__main__":
    main()

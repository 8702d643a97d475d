#!/usr/bin/env python3
"""The whole recipe of the embedded scorer: pools, pairs, training, and what it is worth on pools that it never saw.

    OMP_NUM_THREADS=2 python benchmarks/train_embedded.py
    python benchmarks/train_embedded.py --tiny       # the same of a few made-up samples: proves that it runs
    python benchmarks/train_embedded.py --adapter tts/embedded_scorer --judge humaneval-qwen2.5-coder-0.5b

Each stage is a `tts` command, said as it is run, and does only what is missing, so that the same line goes on after an
interruption. What models wrote is read from `pools/samples`, and sampled where it is not there. Trained on: MBPP's
training part and problems of our own (`_own_problems.py`), without those alike a problem of `mini`, HumanEval or MBPP's
test part.
"""

import argparse
import gzip
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import _own_problems
from _results import save

from tts import adapters, analysis, metrics, pair_rows, pairs, plugins, train, training, wording
from tts.errors import TtsError
from tts.ledger import key_of
from tts.likeness import alike, shingles, shown_tests
from tts.models import load_tokenizer
from tts.ranking import Interval
from tts.score._pairs import longest
from tts.store import open_for_reading

HERE = Path(__file__).parent
CARD, CONFIG = HERE.parent / "docs" / "model-card.md", HERE.parent / "configs" / "train-embedded.yaml"
CACHE = Path("~/.cache/tts").expanduser()
SAMPLES = HERE / "pools" / "samples"  # what the models wrote, by pool, in rows that the generator `replay` reads
SAMPLED = SAMPLES / "pools.json"  # what it took
COLUMNS = ("question_id", "index", "text", "tokens", "logprob", "finish")
EVALUATION = (
    {"name": "mini"},
    {"name": "humaneval", "path": str(CACHE / "data" / "HumanEval.jsonl.gz")},
    {"name": "mbpp", "path": str(CACHE / "data" / "mbpp.jsonl"), "split": "test"},
)
# MBPP's training tasks that are one of its test part in other words: their reference solutions are the same program.
RETOLD = {"608", "666", "676", "708", "800", "841", "842"}
TRAINED, RIVALS = "trained", ("likelihood", "length")
FILES = (adapters.CONFIG, adapters.WEIGHTS, "config.json")  # that are shipped; the tokenizer is the base's
SHOWN = 300  # characters of a command
MOST_BYTES = 25 * 10**6  # of these and the card
GOAL_POOL, GOAL_K, GOAL_SHARE = "mini-smollm2-135m-n32", 16, 0.4  # issue 9: of the gap between random and oracle


@dataclass(frozen=True)
class Pool:
    """A run: where it is kept and what it is made by."""

    folder: Path
    config: Path
    overrides: tuple[str, ...] = ()

    @property
    def replayed(self) -> bool:
        """Whether it is made of samples that were kept."""
        return any("name: replay" in override for override in self.overrides)


@dataclass(frozen=True)
class Recipe:
    """All that is chosen: pools to train on, pools to judge by, options of `tts pairs` and overrides of `tts train`."""

    work: Path
    training: tuple[Pool, ...]
    judging: tuple[Pool, ...]
    own: Path
    apart: Callable[[], Sequence[str]]  # the statements that training keeps away from
    judged: Sequence[dict[str, str]] = ()  # benchmarks of which no own problem may be one
    pairs: tuple[str, ...] = ("--per-problem", "16", "--mutants", "8")
    held_out: float = 0.12  # of the problems
    train: tuple[str, ...] = ()


# The two recipes.


def real(work: Path, anew: bool = False) -> Recipe:
    """The one that is shipped; `anew` samples what there are samples of."""
    names = ("train-mbpp-135m", "train-mbpp-0.5b", "train-own-135m", "train-own-0.5b")
    judged = (
        ("mini-smollm2-135m-n32", "mini-135m"),
        ("humaneval-qwen2.5-coder-0.5b", "humaneval"),
        ("mbpp-qwen2.5-coder-0.5b", "mbpp"),
    )
    own = work / "own.jsonl"

    def pool(folder: Path, name: str) -> Pool:
        own_path = (f"benchmark.path={own}",) if "-own-" in name else ()
        kept = () if anew or not samples_of(folder).is_file() else _replayed(folder, every=bool(own_path))
        return Pool(folder, HERE / "pools" / f"{name}.yaml", own_path + kept)

    return Recipe(
        work,
        tuple(pool(work / name, name) for name in names),
        tuple(pool(CACHE / "pools" / folder, name) for folder, name in judged),
        own,
        lambda: list(_statements(EVALUATION)),
        EVALUATION,
    )


def _replayed(folder: Path, every: bool) -> tuple[str, ...]:
    """Overrides by which a pool is made of its kept samples; unless there are some of `every` problem, of those that
    have them.
    """
    generator = f"generator={{name: replay, path: {samples_of(folder)}}}"
    if every:
        return (generator,)
    with gzip.open(samples_of(folder), "rt") as file:
        ids = dict.fromkeys(json.loads(line)["question_id"] for line in file)
    return generator, f"benchmark.ids=[{', '.join(map(repr, ids))}]"


def samples_of(folder: Path) -> Path:
    """Where the samples of the pool in a folder are kept."""
    return SAMPLES / f"{folder.name}.jsonl.gz"


def _statements(benchmarks: Iterable[dict[str, str]]) -> Iterator[str]:
    for one in benchmarks:
        yield from (problem.statement for problem in plugins.build("benchmark", one).problems())


TINY = {  # own tasks, a right line and wrong ones
    "half-of": ("return n // 2", "return n / 2", "return n * 2", "return n % 2"),
    "hours-of": ("return m // 60", "return m / 60", "return m % 60", "return 60"),
    "days-of": ("return 7 * w + d", "return w + d", "return 7 * d + w", "return 7 * w"),
    "upper-text": ("return text.upper()", "return text.lower()", "return text.title()", "return text + ''"),
    "first-half": (
        "return values[: len(values) // 2]",
        "return values[len(values) // 2 :]",
        "return values[:2]",
        "return values",
    ),
    "zero-there": ("return 0 in values", "return 0 == values", "return values[0] == 0", "return not values"),
    "last-three": ("return text[-3:]", "return text[:3]", "return text[3:]", "return text[-2:]"),
    "hex-text": ("return format(n, 'x')", "return hex(n)", "return format(n, 'b')", "return str(n)"),
}


def tiny(work: Path) -> Recipe:
    """A few made-up samples of a few of our own problems, a step or two of training, and a pool of the others."""
    rows = {row["question_id"].removeprefix("own-"): row for row in _own_problems.rows()}
    samples = [
        {"question_id": f"own-{name}", "index": i, "code": f"{rows[name]['starter_code'].rstrip()}\n    {line}\n"}
        | {"logprob": -0.1 * i, "tokens": 9}
        for name, lines in TINY.items()
        for i, line in enumerate(lines)
    ]
    work.mkdir(parents=True, exist_ok=True)
    path = work / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in samples))
    names = [f"own-{name}" for name in TINY]
    generator = f"generator={{name: replay, path: {path}}}"

    def pool(name: str, ids: Sequence[str]) -> Pool:
        chosen = f"benchmark={{name: jsonl, path: {work / 'own.jsonl'}, ids: [{', '.join(ids)}]}}"
        return Pool(work / name, HERE / "pools" / "train-own-135m.yaml", (chosen, generator, "grading.timeout=2"))

    return Recipe(
        work,
        (pool("train-tiny", names[:6]),),
        (pool("judge-tiny", names[6:]),),
        work / "own.jsonl",
        lambda: [rows[name.removeprefix("own-")]["question_content"] for name in names[6:]],
        pairs=("--per-problem", "3", "--no-balance"),
        held_out=0.2,
        train=("epochs=1", "lora.rank=2", "batch=4", "micro_batch=4"),
    )


# The stages.


def tts(*arguments: object, captured: bool = False) -> str:
    """Run a command of tts; what it printed, if that is captured, 100 columns wide."""
    line = [sys.executable, "-m", "tts.cli", *map(str, arguments)]
    print("$ tts", textwrap.shorten(shlex.join(line[3:]), SHOWN, placeholder=" ..."), flush=True)
    how: dict[str, Any] = {"stdout": subprocess.PIPE, "env": os.environ | {"COLUMNS": "100"}} if captured else {}
    return subprocess.run(line, check=True, text=True, **how).stdout or ""


def sample(pools: Sequence[Pool]) -> list[dict[str, Any]]:
    """Bring pools up; what is in them and what they took."""
    for pool in pools:
        tts("run", pool.config, *pool.overrides, "--folder", pool.folder)
    return [_facts(pool) for pool in pools]


def write_own(recipe: Recipe) -> None:
    """Write our own problems, of which the tiny recipe judges by some, so that those are needed."""
    for benchmark in (plugins.build("benchmark", one) for one in recipe.judged):
        for problem in benchmark.problems():
            if same := _own_problems.met(problem.id, benchmark.tests(problem.id)):
                sys.exit(f"{problem.id} may be {', '.join(same)} in other words: see COINCIDENCES in _own_problems.py.")
    own = {row["question_content"] for row in _own_problems.rows()}
    recipe.own.parent.mkdir(parents=True, exist_ok=True)
    _own_problems.written(recipe.own, [statement for statement in recipe.apart() if statement not in own])


def _facts(pool: Pool) -> dict[str, Any]:
    """What is in a pool; the seconds are those of the sampling, also where its samples were kept."""
    with open_for_reading(pool.folder) as store:
        found = analysis.analyse(store)
        tokens = sum(candidate.tokens or 0 for candidate in store.candidates())
    kept = _kept_facts().get(pool.folder.name, {})
    return {
        "pool": pool.folder.name,
        "problems": len(found.judged),
        "candidates": found.graded,
        "tokens": tokens,
        "passed": found.verdicts["passed"],
        "seconds": kept.get("seconds") if pool.replayed else _generating(found.spent),
    }


def _generating(spent: Mapping[tuple[str, str], float]) -> float:
    """Seconds that the generator was at work."""
    return round(sum(seconds for (stage, _), seconds in spent.items() if stage == "generate"), 1)


def _kept_facts() -> dict[str, dict[str, Any]]:
    return json.loads(SAMPLED.read_text()) if SAMPLED.is_file() else {}


def keep_samples(pools: Sequence[Pool]) -> None:
    """Put what the models wrote in pools that were sampled here, and the seconds that it took, where the next run reads
    it: of the problems of which all samples are there.
    """
    SAMPLES.mkdir(exist_ok=True)
    facts = _kept_facts()
    for pool in pools:
        with open_for_reading(pool.folder) as store:
            n = analysis.stored_config(store).generator.n
            seconds = _generating(store.spent())
        exported = pool.folder.with_name(f"{pool.folder.name}.jsonl")
        tts("export", pool.folder, "--to", exported)
        rows = [{name: row[name] for name in COLUMNS} for row in map(json.loads, exported.open())]
        held = Counter(row["question_id"] for row in rows)
        whole = [row for row in rows if held[row["question_id"]] == n]
        text = "".join(json.dumps(row) + "\n" for row in whole)
        samples_of(pool.folder).write_bytes(gzip.compress(text.encode(), mtime=0))
        facts[pool.folder.name] = {"candidates": len(rows), "kept": len(whole), "seconds": seconds}
        print(f"{pool.folder.name}: {len(whole)} of {len(rows)} samples kept, {len(whole) // n} problems")
    SAMPLED.write_text(json.dumps(facts, indent=1) + "\n")


def pair(recipe: Recipe) -> tuple[Path, dict[str, Any]]:
    """Make the pairs of what the pools hold now, leave out those of problems alike one that is judged by, and draw the
    sides. Mutants that were executed before are not executed again.
    """
    file = recipe.work / "all-pairs.jsonl"
    tts("pairs", *(pool.folder for pool in recipe.training), "--out", file, *recipe.pairs, "--held-out", "0")
    made = pair_rows.read(file)
    alike_ones = leaking({one.statement: one.problem_id for one in made}, recipe.apart())
    found = _sided([one for one in made if one.statement not in alike_ones], recipe)
    kept = recipe.work / "pairs.jsonl"
    pair_rows.write(kept, found)
    facts = {"problems_left_out_as_alike": len(alike_ones), **_counted(found)}
    print(json.dumps(facts, indent=1))
    return kept, facts


def leaking(named: Mapping[str, str], apart: Sequence[str]) -> set[str]:
    """Of statements, with their problems' ids, those that say what one of the others does, show a test of one, or are
    RETOLD.
    """
    others, tests = [shingles(one) for one in apart], frozenset[str]().union(*map(shown_tests, apart))

    def leaks(statement: str, name: str) -> bool:
        mine = shingles(statement)
        return name in RETOLD or bool(shown_tests(statement) & tests) or any(alike(mine, other) for other in others)

    return {statement for statement, name in named.items() if leaks(statement, name)}


def _counted(given: Sequence[pairs.Pair]) -> dict[str, dict[str, Any]]:
    """What there is on each side."""
    sides = {side: [one for one in given if one.split == side] for side in (pairs.TRAIN, pairs.HELD_OUT)}
    return {
        side: {
            "pairs": len(mine),
            "problems": len({one.statement for one in mine}),
            "mutants": sum(one.source != pairs.SAMPLED for one in mine),
            "length_accuracy": round(pairs.length_accuracy(mine), 4),
        }
        for side, mine in sides.items()
    }


def _sided(made: Sequence[pairs.Pair], recipe: Recipe) -> list[pairs.Pair]:
    """Pairs with sides, on each of which length tells nothing. Both forms of a problem of our own are on one side, as
    are statements that are alike.
    """
    free = [replace(one, split=pairs.UNSPLIT) for one in made]
    sided = pairs.sided(free, recipe.held_out, 0, lambda one: one.problem_id.replace("own-io-", "own-"))
    if "--no-balance" in recipe.pairs:
        return sided
    sides = ([one for one in sided if one.split == side] for side in (pairs.TRAIN, pairs.HELD_OUT))
    return [one for mine in sides for one in pairs.balanced(mine, mine[0].split)]


def fit(recipe: Recipe, rows: Path, more: Sequence[str]) -> tuple[Path, dict[str, Any]]:
    """Train, in a folder for these pairs and overrides; the adapter and how it went."""
    overrides = (f"pairs={rows}", *recipe.train, *more)
    folder = recipe.work / f"training-{key_of(rows.read_text(), *overrides)[:8]}"
    tts("train", CONFIG, *overrides, "--folder", folder)
    epochs = training.kept(folder / "epochs.jsonl")
    adapter = folder / "adapter"
    config = training.load(CONFIG, overrides)
    context = json.loads((adapter / "config.json").read_text())["max_position_embeddings"]
    limit = longest(context, config.max_length)
    made = pair_rows.read(rows)
    tokens = train.tokens_of(made, load_tokenizer("The embedded scorer", config.model))
    return adapter, {
        "bytes": shipped_bytes(adapter),
        "longest_scored": context,
        "longest_trained": limit,
        "used": _counted(train.short_enough(made, tokens, limit)),
        "seconds": round(epochs[-1].seconds, 1),
        "epochs": [
            {
                "epoch": round(one.epoch, 2),
                "step": one.step,
                "loss": one.loss,
                "accuracy": _ends(one.accuracy),
                "without_mutants": _ends(one.sampled) if one.sampled else None,
                "kept": one is training.best_of(epochs),
            }
            for one in epochs
        ],
    }


def _ends(share: Interval) -> list[float]:
    return [share.value, share.low, share.high]


def judge(recipe: Recipe, adapter: Path) -> list[dict[str, Any]]:
    """The trained scorer beside its rivals on each pool, in a copy, so that pools that others read stay as they are."""
    found = []
    for pool in recipe.judging:
        sample([pool])
        copied = recipe.work / "judged" / pool.folder.name
        if not copied.is_dir():
            beside = copied.with_name(f".{copied.name}.part")
            shutil.rmtree(beside, ignore_errors=True)
            shutil.copytree(pool.folder, beside)
            beside.rename(copied)
        scorer = f"{{name: codescaler, label: {TRAINED}, model: {adapter}}}"
        scorers = f"scorers=[{scorer}, {', '.join(RIVALS)}]"
        tts("run", pool.config, *pool.overrides, scorers, "selectors=[argmax]", "--folder", copied)
        with open_for_reading(copied) as store:
            found += compared(pool.folder.name, analysis.analyse(store))
    return found


def compared(pool: str, report: analysis.RunReport) -> list[dict[str, Any]]:
    """A row for each strategy and k: percent solved, and by how much the trained scorer is above it."""
    names = {
        TRAINED: "argmax",
        **{rival: f"argmax:{rival}" for rival in RIVALS},
        "random": "random",
        "oracle": "oracle",
    }
    curves = {name: report.curve(curve) for name, curve in names.items()}
    rows = []
    for name, curve in curves.items():
        for i, point in enumerate(curve.points):
            mine = curves[TRAINED].per_problem[:, i]
            above = metrics.paired_difference(mine, curve.per_problem[:, i])
            three = (curve, curves["random"], curves["oracle"])
            share = metrics.selection_efficiency(*(one.points[i].value for one in three))
            ends = metrics.efficiency_interval(*(one.per_problem[:, i] for one in three))
            rows.append(
                {
                    "pool": pool,
                    "problems": len(report.judged),
                    "strategy": name,
                    "k": point.k,
                    "solved": round(100 * point.value, 2),
                    "interval": [round(100 * point.low, 2), round(100 * point.high, 2)],
                    "trained_above": [round(100 * value, 2) for value in (above.value, above.low, above.high)],
                    "share_of_gap": round(share, 4),
                    "share_interval": [round(end, 4) for end in ends],
                }
            )
    return rows


# The card, and what is shipped.


def audit(recipe: Recipe, adapter: Path) -> str:
    """What `tts audit` says of the adapter on the first pool that it was judged by."""
    scorers = recipe.work / "scorers.yaml"
    scorers.write_text(f"scorers: [{{name: codescaler, label: {TRAINED}, model: {adapter}}}]\n")
    pool = recipe.work / "judged" / recipe.judging[0].folder.name
    said = tts("audit", scorers, "--pool", pool, "--out", recipe.work / "audit", captured=True)
    return "\n".join(text.rstrip() for text in said.splitlines() if not text.startswith("Audit: "))


def card(saved: dict[str, Any], audited: str) -> str:
    """The model card, from what was saved of the whole recipe."""
    found = saved["training"]
    sides = [
        {"side": f"{side}, {what}", **counts[side]}
        for side in (pairs.TRAIN, pairs.HELD_OUT)
        for what, counts in (("made", saved["pairs"]), ("used", found["used"]))
    ]
    shares = ("accuracy", "without_mutants")
    epochs = [
        {**one, **{name: one[name] and _percent(one[name]) for name in shares}, "loss": f"{one['loss']:.4f}"}
        for one in found["epochs"]
    ]
    return CARD.read_text().format(
        megabytes=f"{found['bytes'] / 1e6:.1f}",
        longest_scored=found["longest_scored"],
        longest_trained=found["longest_trained"],
        overrides=" ".join(saved["overrides"]) or "as it stands",
        commit=saved["commit"],
        hardware=json.dumps(saved["hardware"]),
        left_out=saved["pairs"]["problems_left_out_as_alike"],
        pools=table(saved["pools"]),
        pairs=table(sides),
        seconds=found["seconds"],
        epochs=table(epochs),
        results=table(saved["results"]),
        verdict=verdict(saved["results"]),
        audit=audited,
    )


def _percent(values: Sequence[float]) -> str:
    value, low, high = values
    return f"{wording.percent(value)}% {wording.interval(low, high)}"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same keys in Markdown."""
    cells = [["-" if value in (None, [None, None]) else str(value) for value in row.values()] for row in rows]
    lines = [list(rows[0]), ["---"] * len(rows[0]), *cells]
    return "\n".join(f"| {' | '.join(name.replace('_', ' ') for name in line)} |" for line in lines)


def shipped_bytes(adapter: Path) -> int:
    """Bytes of what is shipped of an adapter."""
    return sum((adapter / name).stat().st_size for name in FILES)


def check_size(adapter: Path, text: str = "") -> None:
    """Ends the script where adapter and card are larger than what may be shipped."""
    size = shipped_bytes(adapter) + len(text.encode())
    if size > MOST_BYTES:
        sys.exit(
            f"{adapter} takes {size:,} bytes, and at most {MOST_BYTES:,} are shipped. Lower the rank: lora.rank=16."
        )


def ship(adapter: Path, text: str, to: Path) -> None:
    """Put the adapter and its card where tts looks for the embedded scorer."""
    check_size(adapter, text)
    to.mkdir(exist_ok=True)
    for name in FILES:
        shutil.copyfile(adapter / name, to / name)  # not its mode: a package is for all users
    (to / "README.md").write_text(text)


def _share(row: Mapping[str, Any]) -> str:
    """The share of the gap with its 95% interval."""
    if math.isnan(row["share_of_gap"]):
        return "there is no gap"
    low, high = row["share_interval"]
    return f"{100 * row['share_of_gap']:.0f}% of the gap [{100 * low:.0f}, {100 * high:.0f}]"


def show(rows: Sequence[dict[str, Any]]) -> None:
    """The rows as a table, and the goal."""
    for pool in dict.fromkeys(row["pool"] for row in rows):
        mine = [row for row in rows if row["pool"] == pool]
        print(f"\n{pool}: {mine[0]['problems']} problems; percent solved, and trained - strategy with a 95% interval")
        for row in mine:
            low, high = row["interval"]
            value, least, most = row["trained_above"]
            print(
                f"{row['strategy']:<11} k = {row['k']:<3} {row['solved']:5.1f} [{low:.1f}, {high:.1f}]   "
                f"{value:+5.1f} [{least:+.1f}, {most:+.1f}]   {_share(row)}"
            )
    print(f"\n{verdict(rows)}")


def verdict(rows: Sequence[dict[str, Any]]) -> str:
    """Whether the goal is met, with its figures; that it was not judged by where its pool is not among the rows."""
    goal = {row["strategy"]: row for row in rows if (row["pool"], row["k"]) == (GOAL_POOL, GOAL_K)}
    said = f"Goal on {GOAL_POOL} at k = {GOAL_K}: {100 * GOAL_SHARE:.0f}% of the gap, and above likelihood for certain."
    if not goal:
        return f"{said} Not judged by."
    share, above = goal[TRAINED]["share_of_gap"], goal["likelihood"]["trained_above"]
    met = "Met" if share >= GOAL_SHARE and above[1] > 0 else "Not met"
    return (
        f"{said} {met}: {_share(goal[TRAINED])}, likelihood {_share(goal['likelihood'])}; "
        f"{above[0]:+.1f} points [{above[1]:+.1f}, {above[2]:+.1f}] above likelihood."
    )


def _named(pools: Sequence[Pool], names: Sequence[str]) -> tuple[Pool, ...]:
    there = {pool.folder.name: pool for pool in pools}
    if unknown := set(names) - there.keys():
        sys.exit(f"--judge knows no pool {', '.join(sorted(unknown))}; there are {', '.join(there)}.")
    return tuple(there[name] for name in names)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides of configs/train-embedded.yaml")
    parser.add_argument("--work", type=Path, default=CACHE / "embedded", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--tiny", action="store_true", help="a few made-up samples instead of the pools")
    parser.add_argument(
        "--anew", action="store_true", help="sample also what pools/samples has: some 12 hours of a core"
    )
    parser.add_argument("--judge", nargs="+", metavar="POOL", help="the pools to be judged by; default: all three")
    parser.add_argument(
        "--adapter", type=Path, metavar="DIR", help="judge this one and train none: tts/embedded_scorer"
    )
    parser.add_argument("--until", choices=("pools", "pairs", "training"), help="end there")
    parser.add_argument(
        "--keep-samples", action="store_true", help="put what was sampled into pools/samples, and end there"
    )
    parser.add_argument(
        "--ship", action="store_true", help="put adapter and card into the package: tts/embedded_scorer"
    )
    parser.add_argument("--name", help="of the file in results/, or a path without .json")
    return parser.parse_args()


def main() -> None:
    """The command line."""
    a = _options()
    work = a.work.expanduser().resolve()
    recipe = tiny(work) if a.tiny else real(work, a.anew)
    if a.judge:
        recipe = replace(recipe, judging=_named(recipe.judging, a.judge))
    if a.keep_samples:
        pools = (*recipe.training, *recipe.judging)
        keep_samples([pool for pool in pools if pool.folder.is_dir() and not pool.replayed])
    elif a.adapter:
        show(judged := judge(recipe, a.adapter.resolve()))
        save(a.name or "train_embedded_judged", {"adapter": str(a.adapter), "results": judged})
    else:
        train_and_judge(recipe, a)


def train_and_judge(recipe: Recipe, a: argparse.Namespace) -> None:
    """All of the stages, or those until the one that is asked for."""
    write_own(recipe)
    pools = sample(recipe.training)
    if a.until == "pools":
        return
    rows, pairing = pair(recipe)
    if a.until == "pairs":
        return
    adapter, trained = fit(recipe, rows, a.overrides)
    if a.until == "training":
        return
    if a.ship:
        check_size(adapter)  # before the hours of judging it
    judged = judge(recipe, adapter)
    show(judged)
    found = {"overrides": a.overrides, "pools": pools, "pairs": pairing, "training": trained, "results": judged}
    saved = save(a.name or ("train_embedded_tiny" if a.tiny else "train_embedded"), found)
    text = card(json.loads(saved.read_text()), audit(recipe, adapter))
    (recipe.work / "README.md").write_text(text)
    print(f"Adapter: {adapter}   Card: {recipe.work / 'README.md'}")
    if a.ship:
        ship(adapter, text, adapters.SHIPPED)


if __name__ == "__main__":
    try:
        main()
    except TtsError as error:
        sys.exit(f"Error: {error}")

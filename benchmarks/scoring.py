#!/usr/bin/env python3
"""Seconds to score n candidates of a problem: codescaler beside its model card's snippet, in one run.

The same reward model, dtype, questions and programs. The reward model is a real backbone with a random head, which
costs what a trained one costs. The card's way is one padded batch of a problem's candidates. Each problem is scored by
codescaler before and after the card's way, and the mean taken, so that a noisy machine is noisy to both. The questions
are real (LeetCode contests, LiveCodeBench rows); the programs are made up: each problem's starter code and one to three
of the mini benchmark's right and wrong programs, names varied. `--model` is given as often as wanted; those that are
not there are left out.

    python benchmarks/scoring.py --problems 3 --n 16
"""

import argparse
import ctypes
import os
import random
import re
import resource
import runpy
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _results import save
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from untrained import with_head

from tts.models import EMBEDDED, cache_folder, device_and_dtype
from tts.problems.jsonl import Jsonl
from tts.score._prefix import common_prefix
from tts.score.codescaler import CodeScaler
from tts.types import Candidate, Problem

ROOT = Path(__file__).parent.parent
QUESTIONS = ROOT.parent / "shared" / "data" / "leetcode-contest.lcb.jsonl"
LINE = (
    "{model:>20} {dtype}: {pairs} pairs of {mean_tokens:.0f} tokens   card {card_seconds:6.1f} s, {card_peak_mib:5.0f} "
    "MiB   tts {tts_seconds:6.1f} s, {tts_peak_mib:5.0f} MiB   ratio {ratio:5.2f} ({ratio_of_cpu_seconds:.2f} in CPU "
    "seconds)   largest difference {largest_difference:.4f} of scores up to {largest_score:.1f}"
)
NAMES = re.compile(r"\b(count|total|result|best|found|items|values|numbers|left|right|dp|seen)\b")


def programs(problem: Problem, n: int, rng: random.Random) -> list[Candidate]:
    """n different programs of a length that models write."""
    modules = [runpy.run_path(str(path)) for path in sorted((ROOT / "tests" / "mini_solutions").glob("*.py"))]
    bodies = [body for module in modules for body in (module["REFERENCE"], *module["WRONG"].values())]
    found = []
    for index in range(n):
        text = "\n".join(rng.sample(bodies, rng.randint(1, 3)))
        renamed = NAMES.sub(lambda match, i=index: f"{match[0]}_{i}", text)
        code = problem.starter_code + renamed.replace("\n", "\n        ")
        found.append(Candidate(problem.id, index, code, code, "given"))
    return found


class Card:
    """What the model card does, a problem at a time."""

    def __init__(self, folder: str, dtype: Any, device: Any) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=dtype)
        self.model = model.to(device).eval()

    def tokens(self, problem: Problem, candidates: list[Candidate]) -> Any:
        """The padded batch."""
        texts = [
            self.tokenizer.apply_chat_template(
                [{"role": "user", "content": problem.statement}, {"role": "assistant", "content": c.code}],
                tokenize=False,
            )
            for c in candidates
        ]
        return self.tokenizer(texts, truncation=True, padding=True, max_length=2048, return_tensors="pt")

    def score(self, problem: Problem, candidates: list[Candidate]) -> list[float]:
        """The snippet."""
        batch = self.tokens(problem, candidates)
        with torch.no_grad():
            out = self.model(
                input_ids=batch["input_ids"].to(self.model.device),
                attention_mask=batch["attention_mask"].to(self.model.device),
            )
        values: list[float] = out.logits.squeeze(-1).cpu().tolist()
        return values


def ours(scorer: CodeScaler, problem: Problem, candidates: list[Candidate]) -> list[float]:
    """Scores in the candidates' order."""
    found = {score.index: score.value for score in scorer.score([(problem, c) for c in candidates])}
    return [found[c.index] or 0.0 for c in candidates]


class Meter:
    """What one way of scoring took: seconds on the clock, seconds of processors, and the peak memory that the process,
    or the GPU, held above the start.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self.peak_mib = 0.0

    def __call__(self, work: Any, *arguments: Any) -> Any:
        before = _reset_peak()
        begun, cpu = time.perf_counter(), time.process_time()
        result = work(*arguments)
        self.seconds += time.perf_counter() - begun
        self.cpu_seconds += time.process_time() - cpu
        self.peak_mib = max(self.peak_mib, _peak_mib() - before)
        return result


def _reset_peak() -> float:
    """Forget the highest memory so far; MiB held now."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    elif (clear := Path("/proc/self/clear_refs")).exists():
        ctypes.CDLL(None).malloc_trim(0)  # or what the other way freed would hide what this one takes
        clear.write_text("5")
    return _peak_mib()


def _peak_mib() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+)", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def tokens_run(rows: list[tuple[int, ...]]) -> int:
    """Tokens of a problem's candidates, their common prefix once."""
    shared = common_prefix(rows)
    return shared + sum(len(row) - shared for row in rows)


def measure(folder: str, dtype: str, problems: list[Problem], a: argparse.Namespace) -> dict[str, Any]:
    """One row of the table."""
    rng = random.Random(a.seed)
    sets = [(problem, programs(problem, a.n, rng)) for problem in problems]
    scorer = CodeScaler(model=folder, dtype=dtype, device=a.device, token_budget=a.token_budget)
    device, resolved = device_and_dtype(a.device, dtype)
    card = Card(folder, resolved, device)
    short = Problem("warm-up", "Add two numbers.", ())
    warm = [Candidate("warm-up", i, "", f"print({i})") for i in range(2)]
    ours(scorer, short, warm)
    card.score(short, warm)
    ways = Meter(), Meter()
    difference = largest = 0.0
    for problem, candidates in sets:
        mine = ways[1](ours, scorer, problem, candidates)
        reference = ways[0](card.score, problem, candidates)
        ways[1](ours, scorer, problem, candidates)
        largest = max([largest, *map(abs, reference)])
        difference = max([difference, *(abs(x - y) for x, y in zip(reference, mine, strict=True))])
    rows = [[tuple(scorer.tokens(p.statement, c.code or "")) for c in cs] for p, cs in sets]
    lengths = [[len(row) for row in group] for group in rows]
    return {
        "dtype": str(resolved).removeprefix("torch."),
        "pairs": sum(map(len, lengths)),
        "mean_tokens": sum(map(sum, lengths)) / sum(map(len, lengths)),
        "tokens": sum(map(sum, lengths)),
        "tokens_run": sum(tokens_run(row) for row in rows),
        "tokens_padded": sum(max(row) * len(row) for row in lengths),
        "card_seconds": ways[0].seconds,
        "tts_seconds": ways[1].seconds / 2,
        "ratio": 2 * ways[0].seconds / ways[1].seconds,
        "ratio_of_cpu_seconds": 2 * ways[0].cpu_seconds / ways[1].cpu_seconds,
        "card_peak_mib": ways[0].peak_mib,
        "tts_peak_mib": ways[1].peak_mib,
        "largest_difference": difference,
        "largest_score": largest,
    }


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = [str(cache_folder() / "qwen2.5-coder-0.5b"), EMBEDDED]
    parser.add_argument("--model", action="append", help=f"default: {' and '.join(default)}")
    parser.add_argument("--dtype", nargs="+", default=["auto"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--questions", type=Path, default=QUESTIONS)
    parser.add_argument("--problems", type=int, default=3)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--token-budget", type=int, default=8192)
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    load = os.getloadavg()[0]
    if a.threads:
        torch.set_num_threads(a.threads)
    problems = random.Random(a.seed).sample(list(Jsonl(path=str(a.questions)).problems()), a.problems)
    table = []
    for model in a.model or default:
        if model != EMBEDDED and "/" in model and not Path(model).is_dir():
            print(f"{model}: not there, left out")
            continue
        with tempfile.TemporaryDirectory() as folder:
            for dtype in a.dtype:
                row = {"model": Path(model).name} | measure(with_head(model, folder), dtype, problems, a)
                table.append(row)
                print(LINE.format(**row), flush=True)
    settings = vars(a) | {"questions": a.questions.name, "threads": torch.get_num_threads()}
    save("scoring", {"load_before": load, "load_after": os.getloadavg()[0], "settings": settings, "results": table})


if __name__ == "__main__":
    main()

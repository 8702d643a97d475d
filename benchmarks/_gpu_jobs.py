#!/usr/bin/env python3
"""The measured side of gpu.py: one job in a process of its own, started and asked by it (`_children.py`)."""

import argparse
import dataclasses
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _synthetic as synthetic
from _children import serve

from tts import config as configs
from tts import planning, plugins
from tts.errors import TtsError
from tts.score._prefix import common_prefix
from tts.shapes import ModelShape
from tts.types import Candidate, Problem

RAN_OUT = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)
Row = dict[str, Any]
Actions = dict[str, Callable[..., Row]]


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    matrices: tuple[int, ...] = (4096, 8192, 16384)
    problems: int = 32
    n: int = 16
    question: int = 500
    max_tokens: int = 512
    prompt_tokens: int = 1024
    max_model_len: int = 4096
    longest_pair: int = 4096
    token_budget: int = 16384
    rounds: int = 2
    eager: bool = False


TINY = Sizes(
    matrices=(256, 512),
    problems=3,
    n=4,
    question=200,
    max_tokens=24,
    prompt_tokens=128,
    max_model_len=512,
    longest_pair=512,
    token_budget=1024,
    rounds=2,
    eager=True,
)


def child(job: Row) -> None:
    """Do what is asked, one request after the other."""
    handlers: dict[str, Callable[[Row, ExitStack], Actions]] = {
        "peak": do_peak,
        "generation": do_generation,
        "scoring": do_scoring,
        "plan": do_plan,
        "sleep": do_sleep,
        "overlap": do_overlap,
    }
    actions: Actions = {}

    def handle(request: Row) -> Row:
        if not actions:
            actions.update(handlers[job["job"]](job, stack))
        what = request.pop("what")
        return actions[what](**request)

    try:
        with ExitStack() as stack:
            serve(handle)
    except TtsError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result)."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def do_peak(job: Row, _: ExitStack) -> Actions:
    """The best of several sizes, each the mean of ten products."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"

    def once(size: int) -> float:
        a, b = (torch.randn(size, size, device=device).bfloat16() for _ in range(2))
        for _ in range(3):
            a @ b
        _synchronize()
        seconds, _ = clock(lambda: ([a @ b for _ in range(10)], _synchronize()))
        return 20 * size**3 / seconds / 1e12

    def run() -> Row:
        found = {str(size): once(size) for size in job["sizes"]}
        name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        return {"device": name, "tflops": max(found.values()), "by_size": found}

    return {"run": run}


def _synchronize() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def planned(raw: Row, stack: ExitStack) -> tuple[Any, Any, dict[str, Any]]:
    """(plan, generator, scorers) of an experiment; the stack closes them."""
    config = configs.parse(raw)
    found = planning.plan_for(config)
    scorers = {item.label: plugins.build("scorer", item.spec) for item in config.scorers}
    generator = plugins.build("generator", config.generator.spec)
    _, generator, scorers = planning.planned(planning.Models.of(config), generator, scorers)
    for part in (generator, *scorers.values()):
        if hasattr(part, "close"):
            stack.callback(part.close)
    return found, generator, scorers


def do_generation(job: Row, stack: ExitStack) -> Actions:
    """n candidates of each problem."""
    s = Sizes(**job["sizes"])
    _, generator, _ = planned(job["config"], stack)
    wanted = [(synthetic.problem(i, s.question), index) for i in range(s.problems) for index in range(s.n)]

    def run() -> Row:
        seconds, tokens = clock(lambda: sum(candidate.tokens or 0 for candidate in generator.generate(wanted)))
        return {"seconds": seconds, "tokens": tokens}

    def start() -> Row:
        seconds, _ = clock(lambda: generator.start(wanted))
        list(generator.generate(wanted[:: s.n]))
        return {"start_seconds": seconds, "max_num_seqs": generator.max_num_seqs}

    return {"start": start, "run": run}


def do_scoring(job: Row, stack: ExitStack) -> Actions:
    """All pairs of a round, which the seed names; a round's scores are compared between the ways."""
    s = Sizes(**job["sizes"])
    options = dict(job["scorer"])
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "none"}, "scorers": [options]}
    _, _, scorers = planned(raw | {"memory": {"mode": "share", "device": job["kind"]}}, stack)
    scorer = scorers["codescaler"]
    if job["way"] == "card":
        import torch
        from scoring import Card

        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        card = Card(options["model"], torch.bfloat16, device)

    def score(groups: Sequence[tuple[Problem, list[Candidate]]]) -> list[float]:
        if job["way"] == "card":
            return [value for problem, candidates in groups for value in card.score(problem, candidates)]
        found = {score.key: score.value for score in scorer.score([(p, c) for p, cs in groups for c in cs])}
        return [found[c.key] for _, cs in groups for c in cs]

    def run(seed: int) -> Row:
        groups = families(s, f"{seed}-")
        before = cached(scorer)
        seconds, values = clock(lambda: score(groups))
        shape = ModelShape.from_config(*_config(options["model"]))
        counted = count(groups, scorer.tokens, shape, job["way"], cached(scorer) - before)
        return {"seconds": seconds, "scores": values, "notes": notes(scorer)} | counted

    def start() -> Row:
        score(families(dataclasses.replace(s, problems=2), "warm-up-"))
        return {}

    return {"start": start, "run": run}


def families(s: Sizes, name: str) -> list[tuple[Problem, list[Candidate]]]:
    """Problems with n programs each, no pair beyond the card's 2048 tokens or the longest that is scored."""
    most = min(2048, s.longest_pair) - s.question - 64
    found = []
    for number in range(s.problems):
        problem = synthetic.problem(f"{name}{number}", s.question)
        lengths = [synthetic.program_tokens((problem.id, index), high=min(1400, most)) for index in range(s.n)]
        found.append((problem, [synthetic.candidate(problem, i, length) for i, length in enumerate(lengths)]))
    return found


def notes(scorer: Any) -> list[str]:
    """What a scorer has to say of how it ran."""
    found = [*getattr(scorer, "notes", ()), *getattr(vars(scorer).get("runner"), "notes", ())]
    return list(dict.fromkeys(found))


def _config(folder: str) -> tuple[Row, str]:
    path = Path(folder) / "config.json"
    return json.loads(path.read_text()), str(path)


def cached(scorer: Any) -> int:
    """How many tokens vLLM has not run again so far."""
    found: int = getattr(vars(scorer).get("pooling"), "cached_tokens", 0)
    return found


def count(
    groups: Sequence[tuple[Problem, list[Candidate]]], tokens: Any, shape: ModelShape, way: str, cached_tokens: int
) -> Row:
    """Pairs, their tokens, and FLOPs: of all pairs in full, and what the way runs. vLLM is credited with as much of
    what sharing could save as its cached tokens are of those that could be.
    """
    full = shared = padded = total = sharable = 0
    for problem, candidates in groups:
        rows = [tuple(tokens(problem.statement, candidate.code)) for candidate in candidates]
        lengths, prefix = [len(row) for row in rows], common_prefix(rows)
        total += sum(lengths)
        sharable += (len(rows) - 1) * prefix
        full += sum(flops(shape, length, 0) for length in lengths)
        shared += flops(shape, prefix, 0) + sum(flops(shape, length - prefix, prefix) for length in lengths)
        padded += len(rows) * flops(shape, max(lengths), 0)
    run = {"card": padded, "transformers": shared}.get(way, full - (full - shared) * cached_tokens / sharable)
    counts = {"pairs": sum(len(c) for _, c in groups), "tokens": total, "cached_tokens": cached_tokens}
    return counts | {"flops_run": run, "flops_done": full}


def flops(shape: ModelShape, tokens: int, before: int) -> int:
    """Of `tokens` tokens on top of the `before` ones whose keys and values are there."""
    weights = shape.layers * sum(linear.rows * linear.columns for linear in shape.linears())
    attended = tokens * before + tokens * (tokens + 1) // 2
    return 2 * weights * tokens + 4 * shape.layers * shape.query * attended


def do_plan(job: Row, stack: ExitStack) -> Actions:
    """Fill what was planned: as many prompts as run at once, and families that do not fit the token budget. Twice, so
    that engines that take turns have each slept and come back.
    """
    from tts.engine import Engine

    s = Sizes(**job["sizes"])
    found, generator, scorers = planned(job["config"], stack)
    assert found.generator is not None
    at_once = found.generator.concurrency or 1
    scorer = scorers["codescaler"]
    question = int(0.7 * s.longest_pair)
    own = s.longest_pair - question - 64

    def wave(number: int) -> None:
        wanted = [(synthetic.problem(f"{number}-{i}", s.prompt_tokens - 64), 0) for i in range(at_once + 2)]
        asked_for = [synthetic.problem(f"family-{number}-{i}", question) for i in range(4)]
        pairs = [(p, synthetic.candidate(p, i, own - i)) for p in asked_for for i in range(16)]
        engine.submit(wanted, {"codescaler": pairs})
        while engine.busy:
            engine.poll()

    def as_program(candidate: Candidate) -> Candidate:
        return dataclasses.replace(candidate, code="pass", extraction="given")

    engine = stack.enter_context(Engine(generator, scorers, found.mode, as_program))

    def run() -> Row:
        seconds, _ = clock(lambda: [wave(number) for number in range(2)])
        said = [*engine.notes, *notes(scorer)]
        return {"seconds": seconds, "notes": list(dict.fromkeys(said))}

    return {"start": lambda: planning.as_json(found), "run": run}


def do_sleep(job: Row, stack: ExitStack) -> Actions:
    """Start, sleep, wake, draw."""
    s = Sizes(**job["sizes"])
    _, generator, _ = planned(job["config"], stack)
    wanted = [(synthetic.problem(i, s.question), 0) for i in range(4)]

    def timed(name: str) -> Callable[[], Row]:
        return lambda: {"seconds": clock(getattr(generator, name))[0]}

    def start() -> Row:
        seconds, _ = clock(lambda: generator.start(wanted))
        return {"start_seconds": seconds}

    def run() -> Row:
        return {"tokens": sum(candidate.tokens or 0 for candidate in generator.generate(wanted))}

    return {"start": start, "sleep": timed("sleep"), "wake": timed("wake"), "run": run}


def do_overlap(job: Row, stack: ExitStack) -> Actions:
    """The measurement of overlap.py; a candidate is scored as a program of a drawn length."""
    from overlap import measure, summary

    from tts.engine import Engine

    s = Sizes(**job["sizes"])
    found, generator, scorers = planned(job["config"], stack)
    most = min(1400, s.longest_pair - s.question - 64)

    def drawn(name: str) -> list[tuple[Problem, int]]:
        problems = [synthetic.problem(f"{name}{i}", s.question) for i in range(s.problems)]
        return [(problem, index) for problem in problems for index in range(s.n)]

    def as_program(one: Candidate) -> Candidate:
        made = synthetic.candidate(
            Problem(one.problem_id, "", ()), one.index, synthetic.program_tokens(one.key, high=most)
        )
        return dataclasses.replace(one, code=made.code, extraction="given")

    engine = stack.enter_context(Engine(generator, scorers, found.mode, as_program))

    def start() -> Row:
        engine.submit(drawn("warm-up-")[: 2 * s.n])
        while engine.busy:
            engine.poll()
        return {}

    def run() -> Row:
        rounds = [
            measure(engine, drawn(f"{number}-alone-"), drawn(f"{number}-together-")) for number in range(s.rounds)
        ]
        said = [*engine.notes, *(note for scorer in scorers.values() for note in notes(scorer))]
        slower = [
            1 - one["tokens_together"] / one["drawn_seconds"] / (one["tokens_alone"] / one["generate_seconds"])
            for one in rounds
        ]
        ran_out = sum(bool(RAN_OUT.search(note)) for note in dict.fromkeys(said))
        return summary(rounds) | {"slowdown": statistics.median(slower), "notes": said, "oom": ran_out}

    return {"start": start, "run": run}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", type=json.loads, required=True)
    child(parser.parse_args().child)

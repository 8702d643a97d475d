"""A run of made-up problems and programs, stored as `tts run` stores one, of any size: what reports are measured with.

Programs are Python as models write it, of 0.3 to 4 thousand characters, those of one problem alike in part; a third of
the wrong ones fails a public test. Problems have difficulties, platforms and dates, and statements of 0.6 to 4 thousand
characters.
"""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from tts import config as configs
from tts.store import Store, open_for_writing
from tts.types import Behaviour, Candidate, Grade, Message, Problem, Score, Stdin, Verdict, program_hash

GRADER = "made up"
SCORERS = ("likelihood", "length")
CONFIG = {
    "benchmark": {"name": "jsonl", "path": "problems.jsonl"},
    "generator": {"name": "replay", "path": "samples.jsonl"},
    "scorers": list(SCORERS),
    "selectors": ["random", "argmax", "majority", "weighted_vote"],
}
NAMES = [
    "left",
    "right",
    "total",
    "count",
    "best",
    "seen",
    "queue",
    "graph",
    "node",
    "edge",
    "depth",
    "index",
    "value",
    "values",
    "row",
    "column",
    "limit",
    "answer",
]
LINES = (
    "{a} = [int(part) for part in input().split()]",
    "for {a} in range(len({b})):\n        {c} += {b}[{a}] * {n}",
    "if {a} > {b}:\n        {a}, {b} = {b}, {a}  # keep the smaller one first",
    "{a} = max({a}, {b} + {n})",
    "while {a} and {b}[-1] >= {c}:\n        {b}.pop()",
    '{a} = {{key: {n} for key in {b} if key != "{c}"}}',
    "{a}.append(({b}, {c} - {n}))",
    'assert {a} is not None, f"no {{{b}}} for {{{c}}}"',
)
WORDS = (
    *("You", "are", "given", "an", "array", "of", "integers", "and", "a", "number.", "Find", "how", "many"),
    *("pairs", "of", "different", "positions", "have", "it", "as", "sum."),
)
WRONG = (Verdict.WRONG_ANSWER, Verdict.WRONG_ANSWER, Verdict.RUNTIME_ERROR, Verdict.TIMEOUT)


def make(folder: Path, problems: int, n: int, seed: int = 0) -> Path:
    """Store a run with n candidates of each of so many problems; its folder."""
    rng = random.Random(seed)
    found = [_problem(rng, number) for number in range(problems)]
    with open_for_writing(folder) as store:
        store.add_problems(found)
        identities = {label: f"made up {label}" for label in SCORERS}
        config = configs.parse(CONFIG).resolved().dump()
        store.set_meta({"config": config, "grader": GRADER, "scorers": identities, "timings": {"grade": 1.0}})
        for problem in found:
            _sample(rng, store, problem, n)
    return folder


def _problem(rng: random.Random, number: int) -> Problem:
    statement = " ".join(rng.choices(WORDS, k=rng.randint(120, 800)))
    tags = {
        "title": " ".join(rng.choices(WORDS, k=4)),
        "difficulty": rng.choice(["easy", "medium", "hard"]),
        "platform": rng.choice(["here", "there"]),
        "contest_date": f"{2023 + number % 24 // 12}-{number % 12 + 1:02}-15T00:00:00",
    }
    public = (Stdin("3 4\n", "7\n"), Stdin("1 1\n", "2\n"))
    return Problem(f"problem-{number}", statement, (Message("user", statement),), public, tags=tags)


def _sample(rng: random.Random, store: Store, problem: Problem, n: int) -> None:
    """Candidates of a problem with their scores, grades and behaviours."""
    rate, opening = rng.betavariate(0.5, 1), _body(rng, 6)
    right = [rng.random() < rate for _ in range(n)]
    candidates = [_candidate(rng, problem, index, opening) for index in range(n)]
    _finish(store.add_candidates(candidates))
    for label in SCORERS:
        scores = [Score(*c.key, rng.gauss(ok, 1.0)) for c, ok in zip(candidates, right, strict=True)]
        _finish(store.add_scores(f"made up {label}", scores))
    grades = [_grade(rng, candidate, ok) for candidate, ok in zip(candidates, right, strict=True)]
    _finish(store.add_grades(GRADER, grades))
    outputs = [("7", "2") if ok else (str(rng.randint(0, 9)), "2") for ok in right]
    programs = zip(grades, outputs, strict=True)
    _finish(store.add_behaviours(GRADER, [(problem.id, grade.program, Behaviour(out)) for grade, out in programs]))


def _finish(items: Iterable[object]) -> None:
    for _ in items:
        pass


def _candidate(rng: random.Random, problem: Problem, index: int, opening: str) -> Candidate:
    lines = max(3, int(rng.lognormvariate(2.9, 0.6)))
    code = f"def main():\n{opening}{_body(rng, min(lines, 90))}    print(answer)\n\n\nmain()  # {index}\n"
    text = f"Here is a program.\n\n```python\n{code}```\n"
    return Candidate(problem.id, index, text, code, "tagged", 400, len(code) // 4, -rng.random(), "stop")


def _body(rng: random.Random, lines: int) -> str:
    return "".join(f"    {line}\n" for line in _lines(rng, lines))


def _lines(rng: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        a, b, c = rng.sample(NAMES, 3)
        yield rng.choice(LINES).format(a=a, b=b, c=c, n=rng.randint(0, 99))


def _grade(rng: random.Random, candidate: Candidate, right: bool) -> Grade:
    program = program_hash(candidate.code or "")
    if right:
        return Grade(candidate.problem_id, program, Verdict.PASSED, 0.2, 20, 20, wall_seconds=0.3, peak_mib=12.0)
    passed = rng.choice([0, 5, 12])
    shown = {"diff": "At line 1 (1 line expected, 1 printed):\n-7\n+8", "got": "8\n"} if passed == 0 else {}
    why = f"test {passed}: wrong answer"
    return Grade(candidate.problem_id, program, rng.choice(WRONG), 0.2, 20, passed, why, 0.3, 12.0, **shown)

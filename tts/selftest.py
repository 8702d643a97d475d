"""Does a scorer give the scores that its reward model's own card publishes? `tts score --self-test`.

The example is read out of the card (README.md beside the checkpoint, or on the hub): the Python with `question`, the
programs, and the comment `RM Scores: [...]`. It is parsed, never executed. A card without an example leaves a check of
order alone, on a pair of our own.
"""

import ast
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from tts import prompts
from tts.errors import ConfigError, ModelError
from tts.hub import NotFetched, fetch
from tts.models import locate
from tts.protocols import Scorer
from tts.types import Candidate, Problem

# How far a score may lie from the published one, by the dtype that it is computed in. The published ones are float32;
# bfloat16 has 8 significant bits, which a 1.7B model turns into about 0.1 at scores of about 10.
TOLERANCE = {"float32": 0.02, "float16": 0.1, "bfloat16": 0.3}
# A hostile card takes seconds and no more: characters of a card and of a line, lines of an example, comments looked at.
LONGEST_CARD, LONGEST_LINE, LONGEST_EXAMPLE, MOST_COMMENTS = 200_000, 1000, 300, 3
QUESTION = re.compile(r"^question\s*=", re.MULTILINE)
NUMBER = re.compile(r"[+-]?\d{1,9}(\.\d{0,30})?(e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
SCORES = re.compile(r"#[^#\[]*\bRM Scores?\b[^#\[]*(?P<list>\[[^\[\]]*\])", re.IGNORECASE)

OWN_QUESTION = "Write a Python function `largest(numbers)` that returns the largest number of a list that is not empty."
OWN_PROGRAMS = {
    "right": "def largest(numbers):\n    return max(numbers)\n",
    "wrong": "def largest(numbers):\n    return numbers[0] + len(numbers)\n",
}


@dataclass(frozen=True, slots=True)
class Example:
    """A question, programs by name, and what they score in the card's order; None where only the order is known, best
    first.
    """

    question: str
    programs: Mapping[str, str]
    scores: tuple[float, ...] | None


OWN = Example(OWN_QUESTION, OWN_PROGRAMS, None)


@dataclass(frozen=True, slots=True)
class Line:
    """One program's published score and ours."""

    name: str
    published: float | None
    scored: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the self-test found; `tolerance` is None when only the order could be checked."""

    source: str
    tolerance: float | None
    lines: tuple[Line, ...]

    @property
    def passed(self) -> bool:
        """Whether every score is within the tolerance, and the programs are in the right order where their published
        scores lie further apart than two tolerances.
        """
        if self.tolerance is None:
            found = [line.scored for line in self.lines]
            return _order(found) == _order(list(range(0, -len(found), -1)))
        known = [(line.published, line.scored) for line in self.lines if line.published is not None]
        near = all(abs(published - scored) <= self.tolerance for published, scored in known)
        return near and all(a[1] > b[1] for a in known for b in known if a[0] - b[0] > 2 * self.tolerance)

    def __str__(self) -> str:
        rows = [f"Example: {self.source}"]
        for line in self.lines:
            published = "" if line.published is None else f"   published {line.published:9.4f}"
            rows.append(f"  {line.name:<20} scored {line.scored:9.4f}{published}")
        verdict = "Passed" if self.passed else "Failed"
        if self.tolerance is None:
            return "\n".join([*rows, f"{verdict}: the order alone, since no published scores are at hand."])
        return "\n".join([*rows, f"{verdict}: the order, and scores within {self.tolerance} of the published ones."])


def _order(values: Sequence[float]) -> list[int]:
    return sorted(range(len(values)), key=lambda i: values[i])


def run(scorer: Scorer) -> Outcome:
    """Score a card's example. Raises ConfigError for a scorer that has no reward model, ModelError if a program gets
    no score.
    """
    card = getattr(scorer, "card", None)
    if not isinstance(card, str):
        raise ConfigError(
            f"{type(scorer).__name__} is no reward model, so there is no card to test it with. "
            "Give --scorer codescaler or remote."
        )
    text, source = _card(card)
    example = read_card(text) or OWN
    if example is OWN:
        found = "an example that cannot be read" if any(map(SCORES.search, _lines(text))) else "no example"
        source = f"our own pair, since {source} has {found}"
    problem = Problem("self-test", example.question, ())
    candidates = [Candidate(problem.id, i, code, code, "given") for i, code in enumerate(example.programs.values())]
    scored = {score.index: score for score in scorer.score([(problem, c) for c in candidates])}
    lines = []
    for i, name in enumerate(example.programs):
        value = scored[i].value
        if value is None:
            raise ModelError(f"The self-test's program {name!r} got no score: {scored[i].why}.")
        lines.append(Line(name, example.scores[i] if example.scores else None, value))
    return Outcome(source, _tolerance(scorer) if example.scores else None, tuple(lines))


def _tolerance(scorer: Any) -> float:
    """By the dtype that the scorer computes in; a server's is unknown, so the widest."""
    return TOLERANCE.get(getattr(scorer, "computed_in", ""), max(TOLERANCE.values()))


def _card(model: str) -> tuple[str, str]:
    """A model card's text and where it is; no text where there is none."""
    if not model:
        return "", "no card (set tokenizer to the reward model's folder or hub name)"
    source = locate(model)
    path = Path(source) / "README.md"
    if not Path(source).is_dir():
        try:
            path = fetch(source, "README.md")
        except NotFetched as reason:
            return "", f"the card of {model} (not to be had: {reason})"
    if not path.is_file():
        return "", f"{source}, which holds no README.md,"
    return path.read_text(encoding="utf-8", errors="replace"), str(path)


def read_card(text: str) -> Example | None:
    """The example of a card, or None. The first `RM Scores` comment decides, and the longest run of lines up to it that
    is Python and holds the question and as many programs as scores; fences are not relied on, since the question's own
    text may contain some.
    """
    lines = text[:LONGEST_CARD].splitlines()
    comments = ((end, match) for end, line in enumerate(_lines(text)) if (match := SCORES.search(line)))
    for end, match in islice(comments, MOST_COMMENTS):
        scores = _floats(match["list"])
        for start in range(max(0, end - LONGEST_EXAMPLE), end) if scores else ():
            example = _example("\n".join(lines[start:end]), scores or ())
            if example:
                return example
    return None


def _lines(text: str) -> list[str]:
    """Beginnings of a card's lines."""
    return [line[:LONGEST_LINE] for line in text[:LONGEST_CARD].splitlines()]


def _floats(text: str) -> tuple[float, ...] | None:
    """The numbers of a list as it is printed; None for anything else."""
    found = [part.strip() for part in text.strip("[]").split(",")]
    return tuple(map(float, found)) if all(NUMBER.fullmatch(part) for part in found) else None


def _example(source: str, scores: tuple[float, ...]) -> Example | None:
    """The example in a piece of text, if that is Python."""
    if not QUESTION.search(source) or not prompts.parses(
        source
    ):  # knows the texts on which CPython's parser fails by more than an error
        return None
    with warnings.catch_warnings():  # or -W error would turn a card's "\d" into an error
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    strings = {name: value for node in tree.body for name, value in _assigned_string(node)}
    question = strings.pop("question", None)
    names = next(iter(_name_lists(tree, strings, len(scores))), [name for name in strings if "program" in name])
    if question is None or len(names) != len(scores):
        return None
    return Example(question, {name: strings[name] for name in names}, scores)


def _assigned_string(node: ast.stmt) -> list[tuple[str, str]]:
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return [(target.id, node.value.value) for target in node.targets if isinstance(target, ast.Name)]
    return []


def _name_lists(tree: ast.Module, strings: Mapping[str, str], length: int) -> list[list[str]]:
    """Every list or tuple of so many names of programs: `for program in [right, wrong]` gives the scores' order."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple) and len(node.elts) == length:
            names = [element.id for element in node.elts if isinstance(element, ast.Name) and element.id in strings]
            if len(names) == length:
                found.append(names)
    return found

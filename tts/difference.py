"""How a wrong answer differs from the expected one, for people, in some hundred characters.

Made on the host from text and parsed claims alone. The work is bounded whatever was printed or returned: what both have
in common is passed over at the speed of a copy, and only a few clipped lines from the first difference on are compared.
"""

import difflib
from collections.abc import Callable
from typing import Any

from tts.errors import counted
from tts.sandbox.compare import equal_lines, shown
from tts.types import Check, Stdin, Test, Tolerance

MAX_CHARACTERS = 1_000
LINES = 4  # of each side, from the first that differs
WIDTH = 100  # characters of one line
BEFORE = 40  # characters of a long line that are shown before its first difference
VALUE_CHARACTERS = 100_000  # of a returned value that are looked at
EQUAL_LINES = 2_000  # lines that differ as texts and not by the rules, "1.0" and "1", before the search ends
LONG_LINE = 100_000  # characters; longer ones that differ as texts are not compared again by the rules
CHUNK = 4_096

Equal = Callable[[str, str], bool]


def difference(test: Test, output: Any, default: Tolerance | None) -> str:
    """Where the output of a test, a printed text or a parsed claim, first differs from what is expected, and how.

    At most MAX_CHARACTERS, in lines that begin with "-" (expected), "+" (got) or " " (both).
    """
    if isinstance(test, Stdin):
        tolerance = test.tolerance or default
        text = _of_texts(test.output.strip(), output.strip(), lambda a, b: equal_lines(a.strip(), b.strip(), tolerance))
    elif isinstance(test, Check):
        return ""  # what the check says is the detail
    else:
        text = _of_values(*(shown(value, VALUE_CHARACTERS, test.strict) for value in (test.returns, output)))
    return text.encode("utf-8", "replace").decode("utf-8")[:MAX_CHARACTERS]


def _of_values(want: str, got: str) -> str:
    column = _common(want, got)
    if column == len(want) == len(got):
        return f"The first {column:,} characters of the expected and the returned value are the same."
    return f"At character {column + 1}:\n{_changes([want], [got])}"


def _of_texts(want: str, got: str, equal: Equal) -> str:
    number, place, other = _first(want, got, equal)
    counts = f"{counted(_count(want), 'line')} expected, {_count(got)} printed"
    return f"At line {number + 1} ({counts}):\n{_changes(_window(want, place), _window(got, other))}"


def _count(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _first(want: str, got: str, equal: Equal) -> tuple[int, int | None, int | None]:
    """The number of the first line that differs, from 0, and where it begins in both; None where a text has ended."""
    common = _common(want, got)
    start = want.rfind("\n", 0, common) + 1
    number = want.count("\n", 0, start)
    place: int | None = start if want else None
    other: int | None = start if got else None
    for _ in range(EQUAL_LINES):
        if place is None or other is None:
            break
        (line, after), (theirs, later) = _line(want, place), _line(got, other)
        if max(len(line), len(theirs)) > LONG_LINE or not equal(line, theirs):
            break
        number, place, other = number + 1, after, later
    return number, place, other


def _line(text: str, start: int) -> tuple[str, int | None]:
    """The line that begins there, and where the next one does."""
    end = text.find("\n", start)
    return (text[start:], None) if end < 0 else (text[start:end], end + 1)


def _common(first: str, second: str) -> int:
    """How many characters two texts have in common at their start."""
    size, place = min(len(first), len(second)), 0
    while place < size and first[place : place + CHUNK] == second[place : place + CHUNK]:
        place += CHUNK
    while place < size and first[place] == second[place]:
        place += 1
    return min(place, size)


def _window(text: str, start: int | None) -> list[str]:
    lines: list[str] = []
    while start is not None and len(lines) < LINES:
        line, start = _line(text, start)
        lines.append(line.strip())
    return lines


def _changes(want: list[str], got: list[str]) -> str:
    offset = max(0, _common(want[0], got[0]) - BEFORE) if want and got else 0
    ours, theirs = ([_clipped(line, 0 if i else offset) for i, line in enumerate(lines)] for lines in (want, got))
    changes = list(difflib.unified_diff(ours, theirs, n=LINES, lineterm=""))[3:]  # after its own heading
    return "\n".join(changes)


def _clipped(line: str, offset: int) -> str:
    if len(line) <= WIDTH:
        return line
    end = offset + WIDTH
    return ("…" if offset else "") + line[offset:end] + ("…" if end < len(line) else "")

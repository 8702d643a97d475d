"""Numbers and others' texts as they are shown, on a terminal, in a file or on a page.

Text that a model or a benchmark wrote is hostile until shown otherwise: what cannot be seen in it is made visible here,
and whoever puts it into markup escapes it there.
"""

import re
from dataclasses import dataclass
from itertools import groupby

# Controls, bidi and zero-width characters, separators, tags, lone surrogates, non-characters; first and last of each.
UNSEEN: tuple[tuple[int, int], ...] = (
    (0x00, 0x08),
    (0x0B, 0x1F),
    (0x7F, 0x9F),
    (0xAD, 0xAD),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0xE0000, 0xE0FFF),
)
_UNSEEN = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSEEN) + "]")


def visible(text: str) -> str:
    """The text with each character that cannot be seen, or that hides others, written as its escape, like `\\u202e`.

    Tabs and newlines stay, CRLF becomes a newline. The result can be encoded and printed on any terminal.
    """
    return _UNSEEN.sub(lambda found: _escape(found[0]), text.replace("\r\n", "\n"))


def plain(text: str) -> str:
    """The same, in which matplotlib finds no formula."""
    return visible(text).replace("$", r"\$")


def marked_up(escaped: str) -> str:
    """Escaped markup in which what `visible` writes out stands in a `span`, apart from the same escape written out."""
    text = escaped.replace("\r\n", "\n")
    return _UNSEEN.sub(lambda found: f'<span class="unseen">{_escape(found[0])}</span>', text)


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def percent(fraction: float, sign: bool = False) -> str:
    """A fraction in percent with one decimal, without the sign of it; zero is never negative."""
    text = f"{100 * fraction:{'+' if sign else ''}.1f}"
    return text if float(text) else "0.0"


def interval(low: float, high: float, sign: bool = False) -> str:
    """The ends of an interval in percent."""
    return f"[{percent(low, sign)}, {percent(high, sign)}]"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table in words, for whatever shows it: the first column says what a row is about, the others hold numbers.
    Where it is `grouped`, rows with the same first cell belong together, and it is shown once.
    """

    title: str
    headers: list[str]
    rows: list[list[str]]
    notes: list[str]
    grouped: bool = False

    def shown(self) -> list[tuple[list[str], bool]]:
        """The rows, each with whether its group ends there."""
        if not self.grouped:
            return [(row, False) for row in self.rows]
        groups = [list(rows) for _, rows in groupby(self.rows, key=lambda row: row[0])]
        return [
            (["" if place else row[0], *row[1:]], place == len(rows) - 1)
            for rows in groups
            for place, row in enumerate(rows)
        ]

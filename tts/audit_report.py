"""An audit saved and shown: JSON, terminal tables, a section for the run's page, a page of its own.

Everything is shown from the saved JSON, so that what is shown later is what was shown at once. What is said is
`audit_tables.py`'s business.
"""

import dataclasses
from pathlib import Path
from typing import Any

import markupsafe
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tts.audit import VERSION, Audit
from tts.audit_tables import Found, Rows, facts, sections, warnings
from tts.errors import DataError
from tts.jsonl import read_saved, without_nan
from tts.page import page_environment
from tts.wording import visible

FILE, PAGE = "audit.json", "audit.html"
REMEDY = "Run `tts audit` again, or delete the file."
NOTHING = markupsafe.Markup()
WIDE = 130  # columns of a terminal in which every table has room


# What is saved.


def as_json(found: Audit) -> dict[str, Any]:
    """The audit as plain JSON; what is no finite number is null."""
    plain: dict[str, Any] = without_nan(dataclasses.asdict(found))
    return plain


def load(path: Path) -> dict[str, Any]:
    """A saved audit. Raises DataError for a file that is none, or another version's."""
    return read_saved(path, "audit", VERSION, REMEDY)


# Where it is shown.


def terminal(found: Found, width: int) -> Group:
    """Tables for a terminal of so many columns."""
    parts: list[Any] = [Text(visible(text)) for text in facts(found)]
    for section in sections(found):
        parts += [Text(""), Text(visible(section.title), style="bold")]
        parts += [_table(rows, width) for rows in section.tables]
        if section.listing:
            parts.append(Text("One pair as the reward model reads it:"))
            parts.append(Text(visible(section.listing), style="cyan"))
        parts += [Text(visible(note), style="dim") for note in section.notes]
    parts += [Text(visible(f"Beware: {text}"), style="bold yellow") for text in warnings(found)]
    return Group(*parts)


def _table(rows: Rows, width: int) -> Table:
    """A table as full as there is room for: without the column that is aside, and with intervals on lines of their own,
    where there is little.
    """
    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    shown, between = (rows, " [") if width >= WIDE else (rows.narrow(), "\n[")
    for position, header in enumerate(shown.headers):
        drawn.add_column(Text(visible(header)), justify="right" if position else "left", overflow="fold")
    for row in shown.rows:
        drawn.add_row(*(Text(visible(cell).replace(" [", between)) for cell in row))
    return drawn


def section(found: Found) -> markupsafe.Markup:
    """The audit as a section of a page."""
    template = page_environment().get_template("audit.html.j2")
    shown = template.render(facts=facts(found), warnings=warnings(found), sections=sections(found))
    return markupsafe.Markup(shown)  # autoescaped


def page(found: Found, title: str) -> str:
    """A page of its own that needs nothing else."""
    return page_environment().get_template("audit_page.html.j2").render(title=title, section=section(found))


def saved_section(folder: Path) -> markupsafe.Markup:
    """The section of the audit in a run's folder; nothing if there is none. Raises DataError as `load`, and for a file
    that lacks something.
    """
    path = folder / FILE
    if not path.exists():
        return NOTHING
    try:
        return section(load(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is damaged ({error!r}). {REMEDY}") from error

"""Tables in words as Markdown and as LaTeX, and rows as CSV; text is text there, whoever wrote it."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tts.wording import Sheet, visible

PREAMBLE = r"% These tables need \usepackage{booktabs}."
_MINUS = re.compile(r"(?<![\w.])-(?=\d)")
_NO_LABEL = re.compile(r"[^A-Za-z0-9]+")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>#|~]")
_LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"$\sim$",
    "±": r"$\pm$",
    **{special: f"\\{special}" for special in "&%$#_{}"},
}


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows under a header; what a row has not is empty. ValueError for a column that is none of these."""
    written = io.StringIO()
    table = csv.DictWriter(written, columns, restval="", lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({key: visible(value) if isinstance(value, str) else value for key, value in row.items()})
    return written.getvalue()


def markdown(sheets: Iterable[Sheet]) -> str:
    """The tables, each under its title, as GitHub reads it."""
    return "\n\n".join(f"#### {for_markdown(sheet.title)}\n\n{markdown_table(sheet)}" for sheet in sheets)


def markdown_table(sheet: Sheet) -> str:
    """A table and its notes."""
    headers, *rows = [[for_markdown(cell) for cell in row] for row in (sheet.headers, *sheet.rows)]
    ruler = ["---", *["---:"] * (len(headers) - 1)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (headers, ruler, *rows))
    said = "\n".join(f"- {for_markdown(note)}" for note in sheet.notes)
    return "\n\n".join(part for part in (table if rows else "", said) if part)


def for_markdown(text: str) -> str:
    """Text that says nothing to Markdown."""
    return _MARKDOWN.sub(lambda found: f"\\{found[0]}", visible(text)).replace("\n", " ")


def latex(sheets: Iterable[Sheet], name: str) -> str:
    """The tables that have rows, labelled `tab:NAME-1` and so on, for the package booktabs."""
    numbered = enumerate((sheet for sheet in sheets if sheet.rows), 1)
    return "\n\n".join([PREAMBLE, *(latex_table(sheet, f"{sheet.title}.", name, i) for i, sheet in numbered)]) + "\n"


def latex_table(sheet: Sheet, title: str, name: str, place: int) -> str:
    """One table; its caption is the title and the notes."""
    headers, *rows = [[for_latex(cell) for cell in row] for row in (sheet.headers, *sheet.rows)]
    said = " ".join(for_latex(note) for note in (title, *sheet.notes))
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\begin{{tabular}}{{l{'r' * (len(headers) - 1)}}}",
            r"\toprule",
            " & ".join(headers) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{said}}}",
            rf"\label{{tab:{_NO_LABEL.sub('-', name).strip('-')}-{place}}}",
            r"\end{table}",
        ]
    )


def for_latex(text: str) -> str:
    """Text that says nothing to LaTeX."""
    escaped = "".join(_LATEX.get(character, character) for character in visible(text)).replace("\n", " ")
    return _MINUS.sub("$-$", escaped)

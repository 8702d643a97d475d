"""What tables are printed on: as wide as the terminal is and, where there is none, as wide as they need."""

import os

from rich.console import Console

WIDEST = 10_000  # columns, more than any table has


def console(width: int | None = None) -> Console:
    """Standard output, `width` columns wide; None is the terminal's width or what COLUMNS says, and no limit in a file
    or a pipe, where a narrow column would cut words in two.
    """
    found = Console(width=width)
    if width is not None or found.is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return found
    return Console(width=WIDEST)

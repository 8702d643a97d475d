"""Which columns a benchmark's rows have, so that a file in another's format is told by what it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tts import plugins
from tts.errors import DataError


@dataclass(frozen=True, slots=True)
class Columns:
    """The names that every row has, and how its `task_id` begins where another benchmark's rows have the same names."""

    names: tuple[str, ...] = ()
    task_id: str = ""

    def missing(self, row: Mapping[str, Any]) -> list[str]:
        """The names that a row has not."""
        return [name for name in self.names if name not in row]

    def is_named_so(self, row: Mapping[str, Any]) -> bool:
        """Whether a row's id begins as it should."""
        return str(row.get("task_id")).startswith(self.task_id)


def check_columns(own: Columns, row: Mapping[str, Any], where: str) -> None:
    """Raises DataError for a row that is not as it should be and is just as another benchmark reads them. What else is
    wrong with a row is for its own format to say.
    """
    missing = own.missing(row)
    if not missing and own.is_named_so(row):
        return
    lacking = f"there is no {missing[0]}" if missing else f"task_id does not begin with {own.task_id!r}"
    for name, columns in _known():
        may_be_meant = bool(missing) or columns.names == own.names
        if may_be_meant and not columns.missing(row) and columns.is_named_so(row):
            raise DataError(f"{where}: {lacking}. This is a row of {name}: read it with benchmark.name: {name}.")


def _known() -> list[tuple[str, Columns]]:
    """Each benchmark's columns, those first that have the most."""
    shipped = ((name, plugins.find("benchmark", name)) for name in plugins.names("benchmark"))
    found = [(name, plugin.columns) for name, plugin in shipped if plugin.columns.names]
    return sorted(found, key=lambda known: -len(known[1].names))

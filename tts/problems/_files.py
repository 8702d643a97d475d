"""Rows in files: all of them in order, and one again by its place. JSON lines, gzipped or not, or Parquet, as the
file's name ends.

Every row comes as the bytes of a JSON object, whatever the file, so that nobody else needs to know of Parquet.
"""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tts.errors import ConfigError, DataError, explained
from tts.jsonl import open_lines, raw_lines

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

ENDINGS = (".jsonl", ".jsonl.gz", ".parquet")
BATCH = 16  # rows of a Parquet file in memory at once; one can be megabytes


def is_parquet(path: Path) -> bool:
    """Whether a file is read as Parquet; any other is JSON lines."""
    return path.suffix == ".parquet"


def row_files(folder: Path, pattern: str = "*") -> list[Path]:
    """A folder's files of rows whose name without its ending matches, in the order of their names."""
    return sorted(path for ending in ENDINGS for path in folder.glob(pattern + ending))


def read_rows(path: Path, unread: Collection[str] = ()) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, place, JSON) of each row; a Parquet file's `unread` columns are left out. Raises DataError.

    The place is the offset in bytes of a line, the index from 0 of a Parquet file's row.
    """
    if not is_parquet(path):
        yield from raw_lines(path)
        return
    with _parquet(path) as file:
        index = 0
        for batch in file.iter_batches(batch_size=BATCH, columns=_columns(file, unread)):
            for row in batch.to_pylist():
                yield index + 1, index, _json(row, path, index)
                index += 1


def read_row(path: Path, place: int, unread: Collection[str] = ()) -> bytes:
    """The JSON of the row at a place that `read_rows` gave; empty where there is none any more. Raises DataError."""
    if is_parquet(path):
        return _parquet_row(path, place, unread)
    with explained(DataError, f"{path} cannot be read", "Put the file back."), open_lines(path) as file:
        file.seek(place)
        return file.readline()


def _parquet_row(path: Path, index: int, unread: Collection[str]) -> bytes:
    with _parquet(path) as file:
        begin = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if index < begin + rows:
                (row,) = file.read_row_group(group, _columns(file, unread)).slice(index - begin, 1).to_pylist()
                return _json(row, path, index)
            begin += rows
    return b""


@contextmanager
def _parquet(path: Path) -> "Iterator[ParquetFile]":
    """An open Parquet file; what is wrong with it while it is read is a DataError."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ConfigError(
            f"{path} is Parquet, and reading it needs pyarrow. Run: pip install pyarrow. Or give JSON lines."
        ) from error
    try:
        with (
            explained(DataError, f"{path} cannot be read", "Give the path of a Parquet file."),
            path.open("rb") as stream,  # whose errors have the system's own reasons
            ParquetFile(stream) as file,
        ):
            yield file
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}. Fetch it again, or give another.") from error


def _columns(file: "ParquetFile", unread: Collection[str]) -> list[str]:
    return [name for name in file.schema_arrow.names if name not in unread]


def _json(row: dict[str, Any], path: Path, index: int) -> bytes:
    try:
        return json.dumps(row, default=_iso).encode()
    except TypeError as error:
        raise DataError(
            f"{path}, row {index + 1}: {error}. Texts, numbers, dates, lists and objects can be."
        ) from error


def _iso(value: object) -> str:
    """A day or a time as the text that it is in JSON lines. Raises TypeError for anything else."""
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a {type(value).__name__} is no JSON")

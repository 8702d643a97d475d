"""Reading JSONL and JSON that users or earlier commands wrote: every complaint names the file, the line, what was got
and what is allowed.
"""

import codecs
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from tts.errors import DataError, explained

NO_TEXT = (  # the first bytes of what is sometimes given for JSON lines
    (b"\x1f\x8b", "gzipped, and its name does not end in .gz", "Rename or unpack it."),
    (codecs.BOM_UTF16_LE, "text in UTF-16", "Write it in UTF-8."),
    (codecs.BOM_UTF16_BE, "text in UTF-16", "Write it in UTF-8."),
    (b"PAR1", "Parquet, and its name does not end in .parquet", "Rename it."),
)


def without_nan(value: Any, infinite: bool = False) -> Any:
    """Mappings, sequences and numbers as JSON has them, which knows no NaN: null. So is infinity, unless `infinite`
    keeps it, which Python alone reads again.
    """
    if isinstance(value, Mapping):
        return {str(key): without_nan(item, infinite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item, infinite) for item in value]
    return None if isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and not infinite)) else value


def user_path(text: str) -> Path:
    """A path as a user wrote it, with ~ for a home folder. Raises DataError for what can be no path."""
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise DataError(f"The path {text!r} names a user who has no home folder here. Write it out.") from error
    if "\0" in text:
        raise DataError(f"The path {text!r} holds a NUL character, which no file name can.")
    return path


def read_json(path: Path, what: str, remedy: str) -> Any:
    """What a file of JSON holds. Raises DataError for one that is no such thing, with the remedy."""
    with explained(DataError, f"{path} cannot be read", remedy):
        data = path.read_bytes()
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no {what}: not JSON ({error}). {remedy}") from error


def read_saved(path: Path, what: str, version: int, remedy: str) -> dict[str, Any]:
    """What was saved under this `version`. Raises DataError for a file that is none, or another version's."""
    found = read_json(path, what, remedy)
    if not isinstance(found, dict) or found.get("version") != version:
        raise DataError(f"{path} is no {what} that this tts reads, which has version {version}. {remedy}")
    return found


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each non-empty line. Raises DataError."""
    for number, _, line in raw_lines(path):
        yield number, parse_line(line, path, number)


def open_lines(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked if its name ends in .gz, as are offsets in it."""
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def raw_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(line number from 1, byte offset, bytes) of each non-empty line. Raises DataError if the file cannot be read."""
    with explained(DataError, f"{path} cannot be read", "Give the path of a JSONL file."), open_lines(path) as file:
        offset = 0
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    _check_beginning(line, path)
                if line.strip():
                    yield number, offset, line
                offset += len(line)
        except (EOFError, zlib.error) as error:
            raise DataError(f"{path} cannot be unpacked: {error}. Fetch it again.") from error


def _check_beginning(line: bytes, path: Path) -> None:
    """Raises DataError for a file that by its first bytes is no text in UTF-8."""
    for begins, what, remedy in NO_TEXT:
        if line.startswith(begins):
            raise DataError(f"{path} is {what}. {remedy}")


def parse_line(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """One line's JSON object. Raises DataError."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: not JSON ({error}). Mend or delete this line.") from error
    if not isinstance(row, dict):
        raise DataError(
            f"{path}, line {number}: a row must be a JSON object, got {type(row).__name__}. Mend or delete this line."
        )
    return row


def expect(row: Mapping[str, Any], name: str, kind: type | tuple[type, ...], where: str, *, needed: bool = True) -> Any:
    """A field of the right type; None where it is absent or null and not needed. Raises DataError."""
    value = row.get(name)
    if value is None and not needed:
        return None
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if value is None or not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        allowed = " or ".join(k.__name__ for k in kinds)
        got = "nothing" if value is None else repr(value)[:80]
        raise DataError(f"{where}: {name} must be {allowed}, got {got}. Mend or delete the row.")
    return value

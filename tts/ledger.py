"""What `tts audit` or `tts score` has found so far, in JSON lines, so that the same command goes on where it stopped.

One line a fact, added when it is known; a line that was cut off by a kill is dropped when the file is opened again.
Knows neither scorers nor graders: a fact is a kind, a key of its own making, and fields.
"""

import fcntl
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from tts.errors import DataError, StoreError, explained
from tts.jsonl import parse_line


def key_of(*parts: Any) -> str:
    """A fact's key: 32 hex digits that are different for different parts, which are JSON values."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Ledger:
    """An open file of facts, this process's alone until it is closed; a context manager. Raises StoreError where it
    cannot be written or another process has it, DataError for a file of something else.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._writing():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        try:
            _lock(self._file, path)
            self._facts = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._facts)

    def find(self, kind: str, key: str) -> Mapping[str, Any] | None:
        """The fields of a fact, or None."""
        return self._facts.get((kind, key))

    def keep(self, kind: str, key: str, **fields: Any) -> None:
        """Add a fact, on disk before this returns as far as the operating system is concerned."""
        line = json.dumps({"kind": kind, "key": key, **fields}, ensure_ascii=True) + "\n"
        with self._writing():
            self._file.write(line.encode())
            self._file.flush()
        self._facts[kind, key] = fields

    def _writing(self) -> Any:
        return explained(StoreError, f"{self._path} cannot be written", "Free some space, or give another --out.")

    def _read(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            self._file.truncate(whole)
        lines = data[:whole].splitlines()
        return dict(_fact(line, self._path, number) for number, line in enumerate(lines, 1) if line.strip())


def _fact(line: bytes, path: Path, number: int) -> tuple[tuple[str, str], Mapping[str, Any]]:
    row = parse_line(line, path, number)
    kind, key = row.pop("kind", None), row.pop("key", None)
    if not isinstance(kind, str) or not isinstance(key, str):
        raise DataError(f"{path}, line {number}: no fact that tts wrote. Delete this line, or give another --out.")
    return (kind, key), row


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StoreError(f"{path} is in use by another tts. Wait for it to end, or give another --out.") from error

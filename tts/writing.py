"""Files that are either the old one or complete: written beside their place and renamed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tts.errors import ConfigError, UserError, explained


def _writing(path: Path, kept: str = "") -> AbstractContextManager[None]:
    return explained(UserError, f"{path} cannot be written", f"Free some space, or give another file to write.{kept}")


def _places(path: Path) -> tuple[Path, Path]:
    """Where a result goes, links followed, and a name in the same folder, which is made. Raises OSError, and UserError
    for what is no file.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise UserError(f"{path} cannot be written: it is no ordinary file. Give the path of a file to write.")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target, target.with_name(f".{target.name}.{uuid4().hex[:12]}.part")


def check_writable(path: Path, *inputs: Path) -> None:
    """Find out before long work whether its result has a place, and is not one of its inputs. Raises UserError."""
    for given in inputs:
        if path.exists() and path.samefile(given):
            raise ConfigError(f"--out {path} is the input {given}, which it would overwrite. Give another --out.")
    with _writing(path):
        _, beside = _places(path)
        beside.touch()
        beside.unlink()


@contextmanager
def replacing(path: Path, kept: str = "") -> Iterator[Path]:
    """The name of a file to write, which takes `path`'s place when all went well. Raises UserError if it cannot, with
    a sentence on what is `kept` all the same.
    """
    with _writing(path, kept):
        target, beside = _places(path)
        try:
            yield beside
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], kept: str = "") -> int:
    """Write rows as JSONL in `path`'s place once all are there; how many. Raises UserError as `replacing` does."""
    count = 0
    # What UTF-8 cannot hold, a lone surrogate, is written as JSON's own escape.
    with replacing(path, kept) as beside, beside.open("w", encoding="utf-8", errors="backslashreplace") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count

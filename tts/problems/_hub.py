"""A hub data set's files for a benchmark, or the sentence that says what to do without them."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tts.errors import DataError
from tts.hub import NotFetched, fetch, fetch_matching
from tts.jsonl import user_path
from tts.problems._files import ENDINGS

Found = TypeVar("Found")


def is_hub_name(text: str) -> bool:
    """Whether a `path` that is not there reads as owner/name rather than as a file or a folder."""
    return text.count("/") == 1 and not text.startswith((".", "~", "/")) and not Path(text).suffix


def hub_file(path: str) -> Path | None:
    """The file that `owner/name/file.jsonl` means on the hub, unless it is there on this machine; else None.

    Raises DataError if it cannot be fetched.
    """
    parts = path.split("/")
    if path.startswith((".", "~", "/")) or len(parts) < 3 or not path.endswith(ENDINGS) or user_path(path).exists():
        return None
    return data_file("/".join(parts[:2]), "/".join(parts[2:]))


def data_file(repository: str, name: str) -> Path:
    """One file of a data set, downloaded unless it is in the local cache. Raises DataError."""
    return _fetched(repository, name, lambda: fetch(repository, name, "dataset"))


def data_files(repository: str, pattern: str) -> list[Path]:
    """The files of a data set whose path matches, such as `data/test-*`, in order of their names. Raises DataError."""
    return _fetched(repository, pattern, lambda: fetch_matching(repository, pattern, "dataset"))


def _fetched(repository: str, what: str, fetching: Callable[[], Found]) -> Found:
    try:
        return fetching()
    except NotFetched as reason:
        raise DataError(
            f"{what} of {repository!r} cannot be fetched from the hub: {reason}. "
            "Download it elsewhere and set benchmark.path to its folder."
        ) from reason

"""Where a benchmark's files of rows are: on this machine, or in a data set on the hub."""

from pathlib import Path

from tts.errors import DataError
from tts.hub import NotFetched, fetch
from tts.jsonl import user_path

ROWS = (".jsonl", ".json", ".gz")


def download(repository: str, name: str) -> Path:
    """A file of a data set on the hub, in the local cache. Raises DataError if it is not to be had."""
    try:
        return fetch(repository, name, "dataset")
    except NotFetched as reason:
        raise DataError(
            f"{name} of {repository!r} cannot be fetched from the hub: {reason}. "
            "Download it elsewhere and set benchmark.path to its folder."
        ) from reason


def hub_file(path: str) -> Path | None:
    """The file that `owner/name/file.jsonl` means on the hub, unless it is there on this machine; else None.

    Raises DataError if it cannot be fetched.
    """
    parts = path.split("/")
    if path.startswith((".", "~", "/")) or len(parts) < 3 or not path.endswith(ROWS) or user_path(path).exists():
        return None
    return download("/".join(parts[:2]), "/".join(parts[2:]))

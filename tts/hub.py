"""Files from the Hugging Face hub, or one reason why they are not to be had."""

import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

LONGEST = 300  # of what the library says
Kind = Literal["model", "dataset"]


class NotFetched(Exception):
    """Why, in the library's own words or ours, as a piece of a sentence."""


def fetch(repository: str, name: str, kind: Kind = "model") -> Path:
    """A file of a repository in the local cache, downloaded if it is not there. Raises NotFetched."""

    def download() -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(repository, name, repo_type=kind)

    return Path(_explained(download))


def fetch_matching(repository: str, pattern: str, kind: Kind = "model") -> list[Path]:
    """The files of a repository whose path matches a shell pattern, sorted, from the local cache as far as they are
    there. Raises NotFetched, also if there is none.
    """

    def download() -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(repository, repo_type=kind, allow_patterns=pattern)

    found = sorted(Path(_explained(download)).glob(pattern))
    if not found:
        raise NotFetched(f"no file of it matches {pattern}")
    return found


def _explained(download: Callable[[], str]) -> str:
    try:
        from huggingface_hub import constants
        from huggingface_hub.errors import HfHubHTTPError
        from huggingface_hub.utils import logging
    except ImportError as error:
        raise NotFetched("huggingface_hub is not installed: pip install huggingface_hub") from error
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # else a line for each of its retries
    # The HTTP library's own errors, some of which pass through: it is another one in each version of the hub's.
    failed: type[Exception] = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
    try:
        if not constants.HF_HUB_OFFLINE and not urllib.request.getproxies():
            socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)  # else 20 s of retries without a network
        return download()
    except (OSError, ValueError, ImportError, failed) as error:  # ImportError: a proxy of a kind that needs a package
        words = " ".join(str(error).split())[:LONGEST].rstrip(".")
        raise NotFetched(words or type(error).__name__) from error

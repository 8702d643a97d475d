"""One file from the Hugging Face hub, or one reason why it is not to be had."""

import socket
import urllib.request
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

LONGEST = 300  # of what the library says


class NotFetched(Exception):
    """Why, in the library's own words or ours, as a piece of a sentence."""


def fetch(repository: str, name: str, kind: Literal["model", "dataset"] = "model") -> Path:
    """A file of a repository in the local cache, downloaded if it is not there. Raises NotFetched."""
    try:
        from huggingface_hub import constants, hf_hub_download
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
        return Path(hf_hub_download(repository, name, repo_type=kind))
    except (OSError, ValueError, ImportError, failed) as error:  # ImportError: a proxy of a kind that needs a package
        words = " ".join(str(error).split())[:LONGEST].rstrip(".")
        raise NotFetched(words or type(error).__name__) from error

"""Where a server is and the keys to it: addresses, key files, environment variables that a config names.

A key is printable ASCII without spaces, since it goes into a header; none is ever part of a message.
"""

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from tts.errors import ConfigError, explained

LONGEST = 500  # characters of a server's own words


def is_url(text: str) -> bool:
    """Whether a request can be sent there: http or https, a host, ASCII."""
    try:
        parts = urlsplit(text)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:  # a port that is no number, a bracket left open, a name with an empty part
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain


def hidden(text: str, key: str) -> str:
    """A server's own words without the key that it was sent, which some repeat where they refuse it."""
    return text.replace(key, "***") if key else text


def complaint(data: bytes, key: str) -> tuple[str, str]:
    """(message, parameter) of a server's refusal, in its own words, shortened, without the key that it was sent; "" for
    what it does not say.
    """
    text = data.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    inner = found.get("error", found) if isinstance(found, dict) else found
    message = inner.get("message", inner) if isinstance(inner, dict) else inner
    parameter = inner.get("param") if isinstance(inner, dict) else None
    return hidden(" ".join(str(message).split()), key)[:LONGEST], str(parameter or "")


def key_in_file(option: str, path: str) -> str:
    """The one key that a file holds. Raises ConfigError, which names the option."""
    keys = _lines(option, path)
    if len(keys) != 1 or not _is_key(keys[0]):
        raise ConfigError(f"{option} {path} must hold one key, one line of printable ASCII without spaces.")
    return keys[0]


def keys_in_file(option: str, path: str) -> list[str]:
    """The keys of a file, one a line. Raises ConfigError for none, or for what can be no key."""
    keys = _lines(option, path)
    if not keys or not all(map(_is_key, keys)):
        raise ConfigError(f"{option} {path} must hold keys of printable ASCII without spaces, one a line, and no more.")
    return keys


def _lines(option: str, path: str) -> list[str]:
    with explained(ConfigError, f"{option} {path} cannot be read", "Give the file of a key."):
        data = Path(path).expanduser().read_bytes()
    return [line.strip().decode("latin-1") for line in data.splitlines() if line.strip()]


def keys_in_environment(option: str, name: str) -> list[str]:
    """The keys that an environment variable holds, separated by commas. Raises ConfigError for none."""
    keys = [key.strip() for key in os.environ.get(name, "").split(",") if key.strip()]
    if not keys or not all(map(_is_key, keys)):
        raise ConfigError(f"{option}: the environment variable {name} must hold keys, printable ASCII without spaces.")
    return keys


def _is_key(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text

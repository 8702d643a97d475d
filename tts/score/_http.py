"""POST of JSON with a timeout and retries; nothing but the standard library, and nothing about scoring."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tts.access import complaint
from tts.errors import UserError
from tts.score._deadline import Deadline

LONGEST_PAUSE = 30.0  # seconds
LONGEST_ANSWER = 2**26  # bytes
LATER = {408, 425, 429, 500, 502, 503, 504}  # statuses that may pass


class Refused(Exception):
    """The server answered that the request itself is wrong; `status` and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _Later(Exception):
    """The server gave no answer this time; why."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask: `url` without a route, `seconds` for one request from end to end, `retries` after the first try,
    `pause` seconds before the first of them, twice as many before each next one.
    """

    url: str
    seconds: float
    retries: int
    pause: float
    headers: Mapping[str, str]

    def post(self, route: str, body: Mapping[str, Any]) -> Any:
        """The answer's JSON. Raises Refused, or UserError when the server is down or its answer is no JSON."""
        data: bytes = self._patiently(lambda deadline: self._once(deadline, route, body))
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise nonsense(self.url, data[:1000].decode("utf-8", "replace")) from error

    def reach(self) -> None:
        """Raises UserError unless somebody answers, whatever the answer."""
        self._patiently(self._knock)

    def _knock(self, deadline: Deadline) -> None:
        with suppress(urllib.error.HTTPError):
            deadline.open(self.url).close()

    def _patiently(self, ask: Callable[[Deadline], Any]) -> Any:
        pause = self.pause
        for attempt in range(self.retries + 1):
            try:
                return self._in_time(ask)
            except _Later as error:
                reason = str(error)
            if attempt < self.retries:
                time.sleep(min(pause, LONGEST_PAUSE))
                pause *= 2
        tries = "1 try" if self.retries == 0 else f"{self.retries + 1} tries"
        raise UserError(
            f"The server at {self.url} did not answer after {tries}: {reason.rstrip('.')}. Start it, correct the "
            "scorer's url, or raise its timeout; then run the same command again."
        )

    def _in_time(self, ask: Callable[[Deadline], Any]) -> Any:
        """What was asked for. Raises Refused, or _Later for what may pass."""
        with Deadline(self.seconds) as deadline:
            try:
                found = ask(deadline)
            except urllib.error.HTTPError as error:
                message = _message(error, self._key)
                if error.code not in LATER:
                    raise Refused(error.code, message) from error
                raise _Later(f"it answered {error.code}: {message}") from error
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
                raise _Later(self._timed_out if deadline.over else reason) from error
            if deadline.over:  # an answer of unknown length that was cut off looks whole
                raise _Later(self._timed_out)
            return found

    @property
    def _key(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    @property
    def _timed_out(self) -> str:
        return f"it timed out after {self.seconds:g} seconds"

    def _once(self, deadline: Deadline, route: str, body: Mapping[str, Any]) -> bytes:
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/{route}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **self.headers},
        )
        with deadline.open(request) as answer:
            data: bytes = answer.read(LONGEST_ANSWER)
        return data


def nonsense(url: str, what: object) -> UserError:
    """What to say of an answer that is no list of scores."""
    return UserError(
        f"The server at {url} answered what is no list of scores: {str(what)[:200]!r}. Check that the scorer's url and "
        "route are those of a reward model's /classify or /pooling, then run the same command again."
    )


def _message(error: urllib.error.HTTPError, key: str) -> str:
    """The server's own words, or what its status says."""
    try:
        said, _ = complaint(error.read(LONGEST_ANSWER), key)
    except (OSError, http.client.HTTPException):
        said = ""
    return said or str(error.reason)

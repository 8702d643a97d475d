"""What a client is told that cannot be answered, in OpenAI's shape: each refusal has a status, a type and a code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tts.errors import ChatError, PromptError, TtsError, UpstreamError

STATUSES = {
    400: "The request cannot be used as it is",
    401: "The API key is missing or wrong",
    404: "No such model or route",
    405: "The route takes another method",
    408: "The body did not come before the deadline",
    413: "The body is too large",
    415: "The body is not application/json",
    429: "Too many requests wait already; Retry-After says when to try again",
    500: "The server failed",
    502: "The upstream server failed",
    503: "The server is ending, or its models cannot be used",
    504: "The deadline passed",
}
# What stays in the server's log.
PLACE = re.compile(r"\w+://[^\s'\",;)]+|(?<![\w/.])~?/[^\s'\",;:)]+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")
LONGEST = 200  # characters of a failure that clients are told
TYPES = {429: "rate_limit_error"}


class Refusal(Exception):
    """An answer that is an error. `param` names the part of the request that it is about."""

    def __init__(
        self, status: int, message: str, *, code: str = "", param: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """OpenAI's error object."""
        kind = TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": self.message, "type": kind, "param": self.param or None, "code": self.code or None}
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Names:
    """What a request calls its parts, so that a refusal names what was sent: what is asked, the most tokens of an
    answer, how many candidates.
    """

    prompt: str = "messages"
    longest: str = "max_tokens"
    sampled: str = "tts.n"


def of_bug() -> Refusal:
    """For a request that a bug of the server's ended, which is in its log."""
    return Refusal(500, "The server failed by a bug, of which its log has the traceback.", code="internal_error")


def bad(param: str, message: str, code: str = "invalid_value") -> Refusal:
    """For a request that cannot be used because of one parameter."""
    return Refusal(400, f"{param}: {message}", param=param, code=code)


def of_loss(error: TtsError, names: Names) -> Refusal:
    """For a request all of whose candidates were lost, by why the first one was."""
    if isinstance(error, PromptError):
        longest = names.longest
        message = (
            f"The prompt has {error.prompt_tokens} tokens and {longest} is {error.max_tokens}: together more than "
            f"this server's context of {error.longest} tokens. Shorten the prompt or lower {longest}."
        )
        return Refusal(400, message, param=names.prompt, code="context_length_exceeded")
    if isinstance(error, ChatError):
        said = discreet(error.said)[:LONGEST].rstrip(".")
        return bad(names.prompt, f"the model's chat template refuses them: {said}.")
    if isinstance(error, UpstreamError):
        if error.of_one_request:  # what it was asked for, which the client decides
            said = discreet(error.said) or "the log says why"
            return Refusal(400, f"The upstream server refused: {said}", code="upstream_refused")
        return Refusal(502, f"{brief(error).capitalize()}; the log of this one says why.", code="upstream_error")
    return Refusal(503, f"The model failed: {brief(error)}. The log has more.", code="model_failed")


def brief(error: BaseException) -> str:
    """What clients are told of a failure: its first sentence without the full stop, since others may hold a process's
    log, and without paths and addresses; of an upstream server's, which may say anything, only how it failed.
    """
    if isinstance(error, UpstreamError):
        return f"the upstream server {f'failed with status {error.status}' if error.status else 'gave no answer'}"
    first, *_ = re.split(r"(?<=[.!?])\s|\n", discreet(str(error)), maxsplit=1)
    return first[:LONGEST].rstrip(".") or type(error).__name__


def discreet(text: str) -> str:
    """Without paths and addresses."""
    return PLACE.sub("(see the log)", text)

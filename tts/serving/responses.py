"""Answers and refusals as HTTP responses, also of what FastAPI refuses by itself, and how OpenAPI describes them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.types import Scope

from tts.serving.answers import ID, dumped, timings
from tts.serving.refusals import STATUSES, Refusal
from tts.serving.schema import Objection

ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": says, "content": {"application/json": {"schema": ERROR_SCHEMA}}}
    for status, says in STATUSES.items()
}
STREAM = {"text/event-stream": {"schema": {"type": "string"}}}
ANSWER: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"description": "The answer, or a stream of its chunks", "content": {"application/json": {}, **STREAM}},
}


@dataclass
class Arrival:
    """When a request came, by time.monotonic(), and what its run is called, once its body is known to be a request."""

    at: float = field(default_factory=time.monotonic)
    run: str = ""

    @classmethod
    def of(cls, scope: Scope) -> "Arrival":
        """The one of a connection's scope, which begins with the first question."""
        found: Arrival = scope.setdefault("state", {}).setdefault("arrival", cls())
        return found

    @property
    def headers(self) -> dict[str, str]:
        """The run's id and how long it has taken, if there is a run."""
        return {ID: self.run, **timings({"total": time.monotonic() - self.at})} if self.run else {}


def answer_json(body: Any, status: int = 200, more: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(dumped(body), status, dict(more or {}), media_type="application/json")


def refused(refusal: Refusal, scope: Scope) -> Response:
    """A response that is an error."""
    return answer_json(refusal.body, refusal.status, {**refusal.headers, **Arrival.of(scope).headers})


def of_validation(error: RequestValidationError) -> Refusal:
    """Pydantic's first complaint, with the parameter that it is about."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return Refusal(400, f"The body is not JSON: {first.get('ctx', {}).get('error', '')}.", code="invalid_json")
    cause = first.get("ctx", {}).get("error")
    parts = [str(part) for part in first["loc"] if part != "body"]
    parts = [part for part in parts if "[" not in part]  # pydantic's own words for validators have brackets
    if isinstance(cause, Objection):
        named = ".".join([*parts, *filter(None, [cause.parameter])])
        return Refusal(400, f"{named}: {cause}", param=named, code=cause.code)
    named = ".".join(parts)
    if not named and first["type"] == "missing":
        return Refusal(400, "The body is empty or null. Send a JSON object; see /openapi.json.", code="invalid_value")
    return Refusal(400, f"{named or 'The body'}: {first['msg']}.", param=named, code="invalid_value")


class RefusedBody(HTTPException):
    """A refusal while the body is read, as the one kind of error that FastAPI lets through there."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status, refusal.message)
        self.refusal = refusal


def of_http(error: HTTPException) -> Refusal:
    """What FastAPI refuses: a body that it cannot read, an unknown route, a route by the wrong method."""
    if isinstance(error, RefusedBody):
        return error.refusal
    code = "invalid_json" if error.status_code == 400 else ""
    detail = "The body is not JSON" if error.status_code == 400 else str(error.detail).rstrip(".")
    return Refusal(error.status_code, f"{detail}. See /openapi.json.", code=code, headers=error.headers)

"""What every request passes before its route: the key, the server's end, the kind and the size of its body; where a bug
ends that no route has caught, and where a request is counted and has its line in the log.
"""

import asyncio
import hashlib
import hmac
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tts.serving.refusals import Refusal, of_bug
from tts.serving.responses import Arrival, RefusedBody, refused
from tts.serving.service import Service

LOG = logging.getLogger("tts.serve")
NONE = 499  # the status of a request that nothing was answered to, since its client hung up


class Gate:
    """Around the whole application: checks requests for a model, counts and logs, and tells of bugs."""

    def __init__(self, app: ASGIApp, service: Service, keys: list[str]) -> None:
        self._app, self._service = app, service
        self._keys = [_digest(key) for key in keys]
        self._most = service.settings.max_body_kib * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # as load balancers ask; uvicorn leaves the body out by the scope of its own
            scope = {**scope, "method": "GET"}
        route, counted, arrival = _route_of(scope["path"]), _Counted(send), Arrival.of(scope)
        try:
            if scope["path"].startswith("/v1"):
                self._check(scope)
                receive = self._bounded(receive, arrival.at + self._service.settings.deadline)
            await self._app(scope, receive, counted)
        except Refusal as refusal:
            await refused(refusal, scope)(scope, receive, counted)
        except Exception as error:
            if counted.begun:
                raise  # the connection is cut: nothing else can be said any more
            LOG.error("A bug ended %s", arrival.run or f"a request of {route}", exc_info=error)
            await refused(of_bug(), scope)(scope, receive, counted)
        finally:
            self._service.meters.requests.labels(route, counted.status).inc()
            if scope["method"] == "POST":  # not what asks each second whether the server is there
                seconds = time.monotonic() - arrival.at
                LOG.info("%s: %s from %s in %.2f s", arrival.run or "no run", counted.status, route, seconds)

    def _check(self, scope: Scope) -> None:
        found = {name.lower(): value for name, value in scope["headers"]}
        if self._keys and not self._is_known(found.get(b"authorization", b"")):
            said = "The API key is wrong." if b"authorization" in found else "An API key is needed."
            bearer = {"WWW-Authenticate": "Bearer"}
            raise Refusal(
                401, f"{said} Send it as `Authorization: Bearer KEY`.", code="invalid_api_key", headers=bearer
            )
        if scope["method"] != "POST":
            return
        if self._service.draining:
            raise self._draining()
        kind = found.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json":
            got = kind.decode("ascii", "replace")[:80] or "nothing"
            raise Refusal(415, f"The body must be application/json, got {got}.", code="unsupported_media_type")
        length = found.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._most:
            raise self._too_large()

    def _is_known(self, authorization: bytes) -> bool:
        """Compared with every key, in a time that tells nothing."""
        word, _, key = authorization.partition(b" ")
        digest = _digest(key.strip().decode("latin-1"))
        found = [hmac.compare_digest(digest, known) for known in self._keys]
        return any(found) and word.lower() == b"bearer"

    def _bounded(self, receive: Receive, until: float) -> Receive:
        """A body is measured as it comes, which must not take longer than an answer may, nor hold the server's end."""
        size, whole = 0, False

        async def bounded() -> Message:
            nonlocal size, whole
            message = await (receive() if whole else self._part(receive, until))
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > self._most:
                raise RefusedBody(self._too_large())
            return message

        return bounded

    async def _part(self, receive: Receive, until: float) -> Message:
        """The next part of a body. Raises RefusedBody once it is too late for that."""
        part, ending = asyncio.ensure_future(receive()), asyncio.ensure_future(self._service.ending.wait())
        try:
            left = until - time.monotonic()
            await asyncio.wait({part, ending}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if part.done():
                return part.result()
            late = Refusal(408, "The body did not come before the deadline.", code="body_late")
            raise RefusedBody(self._draining() if ending.done() else late)
        finally:
            part.cancel()
            ending.cancel()

    def _draining(self) -> Refusal:
        return Refusal(503, "The server is ending. Ask another one.", code="draining", headers={"Connection": "close"})

    def _too_large(self) -> Refusal:
        most = self._service.settings.max_body_kib
        return Refusal(413, f"The body is larger than {most} KiB.", code="body_too_large")


class _Counted:
    """Sends, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, NONE

    @property
    def begun(self) -> bool:
        """Whether a response has begun."""
        return self.status != NONE

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _route_of(path: str) -> str:
    """A route's own name, so that what clients make up does not become a metric each."""
    known = {"/", "/health", "/ready", "/metrics", "/v1/models", "/v1/completions", "/v1/chat/completions"}
    return path if path in known else "other"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()

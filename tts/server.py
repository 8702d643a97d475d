"""An OpenAI-compatible front of one engine: routes, the gate before them, and the server's life. What happens to a
request between its JSON and its answer's is `serving/`'s.

`import tts` does not load this file: FastAPI and uvicorn are loaded with it.
"""

import asyncio
import hashlib
import hmac
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from importlib import resources
from types import FrameType
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tts.access import keys_in_environment, keys_in_file
from tts.errors import ConfigError, explained
from tts.serving.answers import DONE, KEEP_ALIVE, Writer, dumped, event, headers
from tts.serving.order import Order, Wish
from tts.serving.refusals import STATUSES, Refusal
from tts.serving.schema import ChatRequest, CompletionRequest, Objection
from tts.serving.service import Service
from tts.serving.wishes import wish_of
from tts.types import Candidate, Score

LOG = logging.getLogger("tts.serve")
Found = TypeVar("Found")
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
PAGE_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
STREAM = {"text/event-stream": {"schema": {"type": "string"}}}
ANSWER: dict[int | str, dict[str, Any]] = {
    **ERRORS,
    200: {"description": "The answer, or a stream of its chunks", "content": {"application/json": {}, **STREAM}},
}


class Gone(Exception):
    """The client has hung up."""


def answer_json(body: Any, status: int = 200, more: Mapping[str, str] | None = None) -> Response:
    """A JSON response."""
    return Response(dumped(body), status, dict(more or {}), media_type="application/json")


def refused(refusal: Refusal) -> Response:
    """A response that is an error."""
    return answer_json(refusal.body, refusal.status, refusal.headers)


class Gate:
    """What every request for a model passes first: the key, the server's end, the kind and the size of its body."""

    def __init__(self, app: ASGIApp, service: Service, keys: list[str]) -> None:
        self._app, self._service = app, service
        self._keys = [_digest(key) for key in keys]
        self._most = service.settings.max_body_kib * 1024

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route, counted = _route_of(scope["path"]), _Counted(send)
        try:
            if scope["path"].startswith("/v1"):
                self._check(scope)
                receive = self._bounded(receive)
            await self._app(scope, receive, counted)
        except Refusal as refusal:
            await refused(refusal)(scope, receive, counted)
        finally:
            self._service.meters.requests.labels(route, counted.status).inc()

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
            raise Refusal(
                503, "The server is ending. Ask another one.", code="draining", headers={"Connection": "close"}
            )
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

    def _bounded(self, receive: Receive) -> Receive:
        """A body without a length is measured as it comes."""
        size = 0

        async def bounded() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._most:
                raise HTTPException(413, self._too_large().message)  # the one kind that FastAPI lets through here
            return message

        return bounded

    def _too_large(self) -> Refusal:
        most = self._service.settings.max_body_kib
        return Refusal(413, f"The body is larger than {most} KiB.", code="body_too_large")


class _Counted:
    """Sends, and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 499

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


# Waiting for an answer and for a client that hangs up.


async def until_gone(receive: Receive, work: Coroutine[Any, Any, Found]) -> Found:
    """What `work` gives. Raises Gone, with the work cancelled and ended, as soon as the client has hung up."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        gone.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Refusal):
            await task


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Stream(Response):
    """Server-sent events: comments while nothing is known, then `chunks`. A client that hangs up ends the work."""

    media_type = "text/event-stream"

    def __init__(
        self, chunks: Callable[[Send], Awaitable[None]], more: Mapping[str, str], ended: Callable[[], None]
    ) -> None:
        self._chunks, self._ended = chunks, ended
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **more})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            await until_gone(receive, self._sent(send))
        except Gone:
            self._ended()

    async def _sent(self, send: Send) -> None:
        await self._chunks(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Live:
    """One request that is streamed: its work, and what there is to say of it meanwhile."""

    def __init__(self, service: Service, wish: Wish, writer: Writer, request: ChatRequest | CompletionRequest) -> None:
        self._service, self._writer, self._request = service, writer, request
        self._news: asyncio.Queue[bytes] = asyncio.Queue()
        self._first = b""
        watch = self._hear if request.tts.return_candidates else (lambda *_: None)
        self.task = asyncio.ensure_future(service.answer(wish, watch))

    def _hear(self, order: Order, item: Candidate | Score) -> None:
        self._news.put_nowait(self._writer.candidate(order, item))

    async def begin(self) -> None:
        """Until there is something to send or it is time to say that there is nothing yet. Raises Refusal for a request
        that failed so far, while its status can still be told. Cancelled, it ends the work.
        """
        try:
            self._first = await self._something()
        except asyncio.CancelledError:
            await self._stop()
            raise
        if self.task.done():
            self.task.result()

    async def _stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError, Refusal):
            await self.task

    async def _something(self) -> bytes:
        """The next news, a comment, or nothing once the work is done."""
        if not self._news.empty():
            return self._news.get_nowait()
        news = asyncio.ensure_future(self._news.get())
        seconds = self._service.settings.keep_alive
        try:
            await asyncio.wait({news, self.task}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                return news.result()
        finally:
            news.cancel()  # also where the client has hung up
        return b"" if self.task.done() else KEEP_ALIVE

    async def chunks(self, send: Send) -> None:
        """All that there is to say."""
        try:
            await _send(send, self._first)
            while not (self.task.done() and self._news.empty()):
                await _send(send, await self._something())
            await self._end(send)
        finally:
            await self._stop()

    async def _end(self, send: Send) -> None:
        try:
            outcome = self.task.result()
        except Refusal as refusal:
            await _send(send, event(refusal.body) + DONE)
            return
        for chunk in self._writer.chunks(outcome, self._request.tts.return_candidates, self._request.with_usage):
            await _send(send, chunk)


async def _send(send: Send, data: bytes) -> None:
    if data:
        await send({"type": "http.response.body", "body": data, "more_body": True})


# The routes.


def make_app(service: Service, keys: list[str]) -> FastAPI:
    """The application; whoever serves it must have called `service.load`."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(title="tts serve", description=__doc__, lifespan=life, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, service=service, keys=keys)
    app.add_exception_handler(Refusal, lambda _, error: refused(error))
    app.add_exception_handler(RequestValidationError, lambda _, error: refused(of_validation(error)))
    app.add_exception_handler(HTTPException, lambda _, error: refused(of_http(error)))
    _add_routes(app, service)
    _add_state(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions", responses=ANSWER)
    async def chat_completions(request: Request, body: ChatRequest) -> Response:
        """The best of N for a chat."""
        return await respond(service, request, body)

    @app.post("/v1/completions", responses=ANSWER)
    async def completions(request: Request, body: CompletionRequest) -> Response:
        """The best of N continuations of a text."""
        return await respond(service, request, body)

    @app.get("/v1/models", responses={401: ERRORS[401]})
    async def models() -> Response:
        """The one model."""
        return answer_json({"object": "list", "data": [_model(service)]})

    @app.get("/v1/models/{name:path}", responses={401: ERRORS[401], 404: ERRORS[404]})
    async def model(name: str) -> Response:
        """One model by its name."""
        if name != service.model:
            raise Refusal(404, f"No model {name!r} here. There is: {service.model}.", code="model_not_found")
        return answer_json(_model(service))


def _model(service: Service) -> dict[str, Any]:
    return {"id": service.model, "object": "model", "created": service.started, "owned_by": "tts"}


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/health", responses={200: {"content": {"application/json": {}}}})
    async def health() -> Response:
        """The process answers."""
        return answer_json({"status": "ok"})

    @app.get("/ready", responses={503: ERRORS[503]})
    async def ready() -> Response:
        """Requests may be sent here now."""
        if service.trouble:
            raise Refusal(503, f"Not ready: {service.trouble}.", code="not_ready")
        return answer_json({"status": "ready"})

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(service.meters.text, media_type="text/plain; version=0.0.4")

    @app.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """The web page."""
        text = resources.files("tts.serving").joinpath("page.html").read_text(encoding="utf-8")
        return HTMLResponse(text, headers={"Content-Security-Policy": PAGE_POLICY})


async def respond(service: Service, request: Request, body: ChatRequest | CompletionRequest) -> Response:
    """The answer to one request of either route. Raises Refusal."""
    wish = wish_of(service, body)
    writer = Writer(wish.problem.id, service.model, isinstance(body, ChatRequest))
    if body.user:
        LOG.info("%s is for user %s", wish.problem.id, body.user[:64])
    hung_up = service.meters.disconnects.inc
    try:
        if body.streams:
            live = Live(service, wish, writer, body)
            await until_gone(request.receive, live.begin())
            return Stream(live.chunks, {"X-Request-Id": wish.problem.id}, hung_up)
        outcome = await until_gone(request.receive, service.answer(wish))
    except Gone:
        hung_up()
        return Response(status_code=499)
    return answer_json(writer.whole(outcome, body.tts.return_candidates), more=headers(outcome))


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
    return Refusal(400, f"{named or 'The body'}: {first['msg']}.", param=named, code="invalid_value")


def of_http(error: HTTPException) -> Refusal:
    """What FastAPI refuses: a body that it cannot read, an unknown route, a route by the wrong method."""
    code = {400: "invalid_json", 413: "body_too_large"}.get(error.status_code, "")
    detail = "The body is not JSON" if error.status_code == 400 else str(error.detail).rstrip(".")
    return Refusal(error.status_code, f"{detail}. See /openapi.json.", code=code, headers=error.headers)


# The server's life.


def keys_of(service: Service) -> list[str]:
    """The API keys of the config; none are needed where it names none. Raises ConfigError."""
    settings = service.settings
    if settings.keys_file:
        return keys_in_file("serve.keys_file", settings.keys_file)
    return keys_in_environment("serve.keys_env", settings.keys_env) if settings.keys_env else []


def bound(host: str, port: int) -> socket.socket:
    """The server's address, taken before anything loads; it does not listen yet. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with explained(ConfigError, f"The server cannot have {host}:{port}", "Give another --host or --port."):
        taken.bind((host, port))
    return taken


class _Server(uvicorn.Server):
    """Says when it listens; the first signal lets it finish what runs, the second ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.draining = True
        self.force_exit = self.should_exit
        self.should_exit = True


def serve(service: Service, keys: list[str], address: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT, then let what runs finish. `ready` is called once it listens."""
    config = uvicorn.Config(
        make_app(service, keys),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(service.settings.drain),
    )
    _Server(config, service, ready).run(sockets=[address])

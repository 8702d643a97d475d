"""An OpenAI-compatible front of one engine: its routes, and the server's life. What happens to a request on its way to
its answer is `serving/`'s.

`import tts` does not load this file: FastAPI and uvicorn are loaded with it.
"""

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from importlib import resources
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from tts.access import keys_in_environment, keys_in_file
from tts.errors import ConfigError, InfraError, counted, explained
from tts.serving.answers import Writer, headers
from tts.serving.gate import Gate
from tts.serving.refusals import Refusal
from tts.serving.responses import ANSWER, ERRORS, Arrival, answer_json, of_http, of_validation, refused
from tts.serving.schema import ChatRequest, CompletionRequest
from tts.serving.service import Service
from tts.serving.streams import Gone, Stream, Streamed, until_gone
from tts.serving.wishes import new_id, wish_of

LOG = logging.getLogger("tts.serve")
PURPOSE = "OpenAI's routes; each answer is the best of N. The object `tts` and all options are in docs/serving.md."
PAGE_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
TELLING_SECONDS = 5.0  # after the time to drain, for those who are told that it is over
CUTTING_SECONDS = 1.0  # after the second signal, for the same

# The routes.


def make_app(service: Service, keys: list[str]) -> FastAPI:
    """The application; whoever serves it must have called `service.load`."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(title="tts serve", description=PURPOSE, lifespan=life, docs_url=None, redoc_url=None)
    app.add_middleware(Gate, service=service, keys=keys)
    _add_handlers(app)
    _add_routes(app, service)
    _add_state(app, service)
    return app


def _add_handlers(app: FastAPI) -> None:
    """Async, since others are each run on a thread."""

    @app.exception_handler(Refusal)
    async def refusal(request: Request, error: Refusal) -> Response:
        return refused(error, request.scope)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return refused(of_validation(error), request.scope)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        return refused(of_http(error), request.scope)


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
    arrival = Arrival.of(request.scope)
    arrival.run = new_id(body)
    wish = wish_of(service, body, arrival.run)
    writer = Writer(arrival.run, service.model, isinstance(body, ChatRequest), body.with_usage)
    if body.user:
        LOG.info("%s is for user %r", arrival.run, body.user[:64])
    hung_up = service.meters.disconnects.inc
    try:
        if body.streams:
            streamed = Streamed(service, wish, arrival.at, writer, body)
            await until_gone(request.receive, streamed.begin())
            return Stream(streamed.chunks, streamed.headers, hung_up)
        outcome = await until_gone(request.receive, service.answer(wish, arrival.at))
    except Gone:
        hung_up()
        return Response(status_code=499)
    return answer_json(writer.whole(outcome, body.tts.return_candidates), more=headers(outcome))


# The server's life.


def keys_of(service: Service) -> list[str]:
    """The API keys of the config; none are needed where it names none. Raises ConfigError."""
    settings = service.settings
    if settings.keys_file:
        return keys_in_file("serve.keys_file", settings.keys_file)
    return keys_in_environment("serve.keys_env", settings.keys_env) if settings.keys_env else []


def bound(host: str, port: int) -> socket.socket:
    """The server's address, taken before anything loads; it does not listen yet. Raises ConfigError."""
    if not host:
        raise ConfigError("--host is empty, which would mean every address. Give one: 127.0.0.1, or 0.0.0.0 for all.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _having(host, port):
        taken.bind((host, port))
    return taken


def _having(host: str, port: int) -> AbstractContextManager[None]:
    return explained(ConfigError, f"The server cannot have {host}:{port}", "Give another --host or --port.")


def configured(app: FastAPI, **more: Any) -> uvicorn.Config:
    """For uvicorn, with h11: httptools loses the body of a request that offers an upgrade, as Java's clients offer h2c
    with each.
    """
    return uvicorn.Config(app, http="h11", log_config=None, access_log=False, server_header=False, **more)


class _Server(uvicorn.Server):
    """Says when it listens; the first signal lets it finish what runs, the second ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Service, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._ready = service, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Raises ConfigError where another server has the address by now; two that do not listen yet may both have it,
        and uvloop passes over what becomes of the second.
        """
        for one in sockets or ():
            with _having(*one.getsockname()[:2]):
                one.listen(self.config.backlog)
        await super().startup(sockets)
        self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end: also once the engine has broken, without which nothing is ever answered again."""
        return await super().on_tick(counter) or self._service.broken is not None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what runs finish, and refuse what has not by then, while its client can still be told."""
        self._service.ending.set()
        drain, admission = self._service.settings.drain, self._service.admission
        if self._service.broken is None:
            left = admission.running + admission.waiting
            more = f": {counted(left, 'request')} may take {drain:g} seconds, until a second signal" if left else ""
            LOG.info("Stopping%s", more)
        over = asyncio.get_running_loop().call_later(drain, self._service.drained)
        try:
            await super().shutdown(sockets)
        finally:
            over.cancel()
        if self.force_exit:
            await self._cut_off()

    async def _cut_off(self) -> None:
        """Tell those that still wait, rather than have uvicorn tell them of a bug, and end as otherwise."""
        self._service.drained()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=CUTTING_SECONDS)
        await self.lifespan.shutdown()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.draining = True
        self.force_exit = self.should_exit
        self.should_exit = True


def serve(service: Service, keys: list[str], address: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT, then let what runs finish. `ready` is called once it listens. Raises
    InfraError where the engine broke.
    """
    patience = math.ceil(service.settings.drain + TELLING_SECONDS)
    config = configured(make_app(service, keys), timeout_graceful_shutdown=patience)
    _Server(config, service, ready).run(sockets=[address])
    if service.broken is not None:
        raise InfraError(
            f"The engine broke: {service.broken!r}. The log has the traceback. Start the server again, as systemd does."
        ) from service.broken

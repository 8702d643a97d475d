"""Waiting for an answer, and for a client that hangs up meanwhile; an answer that is streamed as server-sent events."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tts.serving.answers import DONE, ID, KEEP_ALIVE, Writer, event, headers, timings
from tts.serving.order import Order, Wish
from tts.serving.refusals import Refusal, of_bug
from tts.serving.schema import ChatRequest, CompletionRequest
from tts.serving.service import Service
from tts.types import Candidate, Score

LOG = logging.getLogger("tts.serve")
Found = TypeVar("Found")


class Gone(Exception):
    """The client has hung up."""


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
        try:
            await self._chunks(send)
        except Exception as error:
            LOG.error("A bug ended the stream of %s", self.headers[ID], exc_info=error)
            await _send(send, event(of_bug().body) + DONE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Streamed:
    """One request that is streamed: its work, and what there is to say of it meanwhile."""

    def __init__(
        self, service: Service, wish: Wish, arrived: float, writer: Writer, request: ChatRequest | CompletionRequest
    ) -> None:
        self._service, self._writer, self._request = service, writer, request
        self._id = wish.problem.id
        self._news: asyncio.Queue[bytes] = asyncio.Queue()
        self._first = b""
        watch = self._hear if request.tts.return_candidates else (lambda *_: None)
        self.task = asyncio.ensure_future(service.answer(wish, arrived, watch))

    @property
    def headers(self) -> dict[str, str]:
        """What is known once it has begun: all timings if it is over already, else how long it waited for its turn."""
        if self.task.done():
            return headers(self.task.result())
        queued = self._service.queued(self._id)
        return {ID: self._id} | ({} if queued is None else timings({"queue": queued}))

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
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()  # the client is gone, or has been told

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
        for chunk in self._writer.chunks(outcome, self._request.tts.return_candidates):
            await _send(send, chunk)


async def _send(send: Send, data: bytes) -> None:
    if data:
        await send({"type": "http.response.body", "body": data, "more_body": True})

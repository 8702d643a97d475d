"""One OpenAI-compatible server over HTTP: requests side by side on a thread of their own, with retries, backoff and the
server's own word on how fast it may be asked.

Knows nothing of what its caller does with the answers: they lie in a queue, a candidate or the reason for each key.
"""

import asyncio
import email.utils
import json
import logging
import queue
import random
import re
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import httpx

from tts.access import complaint, hidden
from tts.errors import TtsError, UpstreamError, unknown
from tts.generate._choices import Ask, nonsense, refused_option
from tts.types import Candidate, Key

if TYPE_CHECKING:
    from tts.generate.openai import OpenAI

LOG = logging.getLogger("tts")
IDLE_SECONDS = 5.0  # after which a connection that nobody uses is closed, before the server closes it
LONGEST_PAUSE = 60.0  # seconds between two tries, unless the server asks for more
LONGEST_WISH = 600.0  # seconds that a server may ask to be left alone
LONGEST_ANSWER = 2**28  # bytes
LATER = {408, 409, 425, 429, 500, 502, 503, 504, 529}  # statuses that may pass
NO_KEY, NO_ROUTE = 401, 404  # refusals that others would meet, too: all of them, and those of the same route
IN_A_ROW = 5  # failures for good without an answer between, after which what waits is given up with them
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")


@dataclass(eq=False)
class _Refused(Exception):
    """The server answered that it will not; `wait` seconds is when it may be asked again, by its own word."""

    status: int
    message: str
    parameter: str
    wait: float | None


class _Later(Exception):
    """No answer came this time; why."""


class Upstream:
    """Asks for what is `put`; `answers` gets (key, candidate) or (key, why there is none) for each key that was not
    dropped. `notes` say what the server was asked without. `bug` is what ended a request that should not have.
    """

    def __init__(self, options: "OpenAI") -> None:
        self.options, self.url = options, options.base_url.rstrip("/")
        self.answers: queue.SimpleQueue[tuple[Key, Candidate | TtsError]] = queue.SimpleQueue()
        self.notes: list[str] = []
        self.bug: BaseException | None = None
        self._without: list[str] = []
        self._waiting: deque[Ask] = deque()
        self._running: dict[asyncio.Task[None], Ask] = {}
        self._broken_off: WeakSet[asyncio.Task[Any]] = WeakSet()
        self._wanted: set[Key] = set()
        self._failures: Counter[str] = Counter()  # for good since the last answer, by problem
        self._gate = _Gate()
        self._random = random.Random(options.seed)
        self._key = options.key
        self._reached = False  # ever
        self._answered: set[str] = set()  # the routes that gave candidates
        self._lists_model = False
        self._clients = _Clients(options, self._key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="openai", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    # The caller's side.

    def put(self, asks: Iterable[Ask]) -> None:
        """Ask for these, too."""
        self._loop.call_soon_threadsafe(self._put, list(asks))

    def drop(self, keys: Collection[Key]) -> None:
        """Nobody wants these any more."""
        self._loop.call_soon_threadsafe(self._drop, set(keys))

    def reach(self, model: str) -> None:
        """Raises UpstreamError unless the server answers, and for a model that it says it has not."""
        asyncio.run_coroutine_threadsafe(self._reach(model), self._loop).result()

    def close(self) -> None:
        """Break off everything and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # On the thread.

    def _put(self, asks: list[Ask]) -> None:
        self._wanted.update(key for ask in asks for key in ask.keys)
        self._waiting.extend(asks)
        self._fill()

    def _drop(self, keys: set[Key]) -> None:
        self._wanted -= keys
        self._waiting = deque(filter(self._is_wanted, self._waiting))
        for task, ask in self._running.items():
            if not self._is_wanted(ask):
                self._break_off(task)

    def _is_wanted(self, ask: Ask) -> bool:
        return not self._wanted.isdisjoint(ask.keys)

    async def _end(self) -> None:
        self._waiting.clear()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}  # also that of one who waits to reach the server
        for task in tasks:
            self._break_off(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._clients.close()

    def _break_off(self, task: "asyncio.Task[Any]") -> None:
        """Once: a second time would interrupt its closing. `task.cancelling` does not say whether it was: anyio, too,
        cancels a task, when its connection is made.
        """
        if task not in self._broken_off:
            self._broken_off.add(task)
            task.cancel()

    def _fill(self) -> None:
        """Keep as many requests going as may be."""
        while self._waiting and len(self._running) < self.options.concurrency:
            ask = self._waiting.popleft()
            task = self._loop.create_task(self._serve(ask))
            self._running[task] = ask
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled() and task.exception() is not None:
            self.bug = task.exception()
        self._fill()

    def _give(self, key: Key, answer: Candidate | TtsError) -> None:
        if key in self._wanted:
            self._wanted.discard(key)
            self.answers.put((key, answer))

    async def _serve(self, ask: Ask) -> None:
        """One request's whole way: its candidates, or why there are none."""
        try:
            found = ask.candidates(await self._answer(ask), self.url)
        except UpstreamError as error:
            self._lose(ask, error)
            return
        self._failures.clear()
        self._answered.add(ask.route)
        for candidate in found:
            self._give(candidate.key, candidate)
        self._waiting.extendleft(reversed([one for one in ask.rest(len(found)) if self._is_wanted(one)]))

    def _lose(self, ask: Ask, error: UpstreamError) -> None:
        """Its candidates are given up; where others would fare no better, so are those that wait."""
        if not error.of_one_request:
            self._failures[ask.problem.id] += 1
        for one in [ask, *filter(self._as_lost(ask, error), self._waiting)]:
            for key in one.keys:
                self._give(key, error)
        self._waiting = deque(filter(self._is_wanted, self._waiting))

    def _as_lost(self, ask: Ask, error: UpstreamError) -> Callable[[Ask], bool]:
        """Whether one that waits would fare no better than one that failed."""
        mine = ask.problem.id
        if error.status == NO_KEY or len(self._failures) >= IN_A_ROW:
            self._failures.clear()
            return lambda _: True
        if self._lacks(ask.route, error.status):  # it may have another: chats, but no texts
            return lambda one: one.route == ask.route
        if self._failures[mine] >= IN_A_ROW:  # in a server one client's request, which alone may be what cannot be
            return lambda one: one.problem.id == mine
        return lambda _: False

    def _lacks(self, route: str, status: int | None) -> bool:
        """Whether it refused for want of a route, as far as is known."""
        return status == NO_ROUTE and route not in self._answered

    async def _answer(self, ask: Ask) -> Any:
        """The answer's JSON. Raises UpstreamError after all retries."""
        while True:
            body = ask.body(self.options, self._without)
            try:
                return await self._patiently(lambda body=body: self._post(ask.route, body))  # type: ignore[misc]
            except _Refused as refusal:
                name = refused_option(body, refusal.parameter, refusal.message)
                if refusal.status not in (400, 422) or name is None:
                    has_model = self._lists_model or bool(self._answered)
                    raise self._refusal(refusal, has_model and self._lacks(ask.route, refusal.status)) from refusal
                if name not in self._without:
                    self._without.append(name)
                    self.notes.append(f"the server at {self.url} refuses {name}; it was asked without")

    def _refusal(self, refusal: _Refused, of_route: bool = False) -> UpstreamError:
        hint = {401: " Check generator.key_file or key_env.", 403: " Check generator.key_file or key_env."}
        more = hint.get(refusal.status, " Check generator.model and base_url." if refusal.status == NO_ROUTE else "")
        message = f"The server at {self.url} refused ({refusal.status}): {refusal.message.rstrip('.')}.{more}"
        return UpstreamError(message, refusal.status, refusal.message, of_route)

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What `ask` gives, tried again while it may pass. Raises _Refused, or UpstreamError at the end."""
        pause, reason = self.options.pause, ""
        for attempt in range(self.options.retries + 1):
            await self._gate.passed()
            wish = None
            try:
                return await ask()
            except _Later as later:
                reason = str(later)
            except _Refused as refusal:
                if refusal.status not in LATER:
                    raise
                reason, wish = f"it answered {refusal.status}: {refusal.message}", refusal.wait
            if attempt == 0 and not self._reached:
                LOG.warning("The server at %s is not ready: %s. Trying again", self.url, reason.rstrip("."))
            if attempt < self.options.retries:
                await asyncio.sleep(max(pause * self._random.uniform(0.5, 1.0), wish or 0.0))
                pause = min(2 * pause, LONGEST_PAUSE)
        tries = "1 try" if self.options.retries == 0 else f"{self.options.retries + 1} tries"
        raise UpstreamError(
            f"The server at {self.url} did not answer after {tries}: {reason.rstrip('.')}. Start it, correct "
            "generator.base_url, or raise generator.timeout or retries."
        )

    async def _post(self, route: str, body: Mapping[str, Any]) -> Any:
        """Once. Raises _Refused or _Later."""
        content = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return await self._once("POST", route, content=content, headers=headers)

    async def _once(self, method: str, route: str, **more: Any) -> Any:
        try:
            async with (
                asyncio.timeout(self.options.timeout),
                self._clients.one() as client,
                client.stream(method, f"{self.url}/{route}", **more) as response,
            ):
                data = await _read(response)
        except TimeoutError as error:
            raise _Later(f"it timed out after {self.options.timeout:g} seconds") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise _Later(str(error) or type(error).__name__) from error
        self._gate.heed(response.headers, response.status_code)
        self._reached = self._reached or response.status_code not in LATER
        if response.status_code != 200:
            message, parameter = complaint(data, self._key)
            wish = _wish(response.headers)
            raise _Refused(response.status_code, message or response.reason_phrase, parameter, wish)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise nonsense(self.url, hidden(data[:1000].decode("utf-8", "replace"), self._key)) from error

    async def _reach(self, model: str) -> None:
        try:
            listed = await self._patiently(lambda: self._once("GET", "models"))
        except _Refused as refusal:
            if refusal.status in (401, 403):
                raise self._refusal(refusal) from refusal
            return  # a server need not have this route
        rows = listed.get("data") if isinstance(listed, dict) else None
        names = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        known = [name for name in names if isinstance(name, str)]
        if known and model not in known:
            raise UpstreamError(unknown(model, f"the models of {self.url}", known), NO_ROUTE)
        self._lists_model = bool(known)


class _Clients:
    """An HTTP client for each request that runs, kept for the next one with its connection. One whose request was
    broken off is closed with all that it holds: a pool that many share loses track of such connections, and of their
    places.
    """

    def __init__(self, options: "OpenAI", key: str) -> None:
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._verify = httpx.create_ssl_context() if options.base_url.startswith("https") else False
        self._timeout = httpx.Timeout(options.timeout)
        self._idle: list[tuple[float, httpx.AsyncClient]] = []  # since when, the longest first

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """Nobody else's until the end of the block."""
        while self._idle and self._idle[0][0] < time.monotonic() - IDLE_SECONDS:
            await self._idle.pop(0)[1].aclose()
        client = self._idle.pop()[1] if self._idle else self._made()
        answered = False
        try:
            yield client
            answered = True
        finally:
            if answered:
                self._idle.append((time.monotonic(), client))
            else:
                await client.aclose()

    def _made(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(headers=self._headers, verify=self._verify, timeout=self._timeout)

    async def close(self) -> None:
        """All of them."""
        while self._idle:
            await self._idle.pop()[1].aclose()


class _Gate:
    """When a server that has said how fast it may be asked may be asked again."""

    def __init__(self) -> None:
        self._opens = 0.0

    async def passed(self) -> None:
        """Wait until then."""
        while (left := self._opens - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def heed(self, headers: Mapping[str, str], status: int) -> None:
        """What an answer's headers say: nothing more for so long (429, or what is left is nothing)."""
        waits = [_wish(headers) or 0.0] if status in (429, 503) else []
        for kind in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{kind}") == "0":
                waits.append(_seconds(headers.get(f"x-ratelimit-reset-{kind}", "")) or 0.0)
        if waits:
            self._opens = max(self._opens, time.monotonic() + min(max(waits), LONGEST_WISH))


def _wish(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: retry-after-ms, or Retry-After as a number or a date."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WISH)
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is None and text:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):  # an offset from UTC may be any number
            return None
    return None if seconds is None else min(max(0.0, seconds), LONGEST_WISH)


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{0,9})?", text.strip()) else None


def _seconds(text: str) -> float | None:
    """`1s`, `6m0s`, `20ms`, or a bare number of seconds."""
    number = _number(text)
    found = DURATION.fullmatch(text.strip())
    if number is not None or found is None or not text.strip():
        return number
    try:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
    except ValueError:  # two points in one number
        return None
    return 3600 * hours + 60 * minutes + seconds + milliseconds / 1000


async def _read(response: httpx.Response) -> bytes:
    """The body, of no more than LONGEST_ANSWER bytes. Raises ValueError for a longer one."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size > LONGEST_ANSWER:
            raise ValueError(f"its answer is over {LONGEST_ANSWER} bytes")
    return b"".join(parts)

"""A request over HTTP that ends when its time is up, however slowly the other side sends; the standard library alone.

urllib's own timeout bounds each wait for bytes, so a server that sends one byte now and then never meets it. Looking up
a name and shaking hands with a proxy are not covered: each of their waits is bounded by urllib's timeout.
"""

import http.client
import socket
import threading
import time
import urllib.request
from contextlib import suppress
from typing import Any


class Deadline:
    """A context manager: what was opened through it is shut down when its `seconds` are over, and closed at the end."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._ends = seconds, time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> "Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for connection in self._watched:
                connection.close()
            self._watched = []

    @property
    def over(self) -> bool:
        """Whether the time is up; what was read until then may be cut off."""
        return time.monotonic() >= self._ends

    def open(self, request: urllib.request.Request | str) -> Any:
        """The answer, as `urllib.request.urlopen` gives it, and raising as that does."""
        opener = urllib.request.build_opener(_Http(self), _Https(self))
        return opener.open(request, timeout=self._seconds)

    def watch(self, connection: socket.socket) -> None:
        """Shut this connection down when the time is up, by a handle of our own, since TLS takes its socket over."""
        with self._lock:
            self._watched.append(connection.dup())
        if self.over:
            self._shut()

    def _shut(self) -> None:
        with self._lock:
            for connection in self._watched:
                with suppress(OSError):  # it has ended by itself
                    connection.shutdown(socket.SHUT_RDWR)


class _Plain(http.client.HTTPConnection):
    deadline: Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


class _Secure(http.client.HTTPSConnection, _Plain):
    """Connects as its second base does and then shakes hands, which is thereby watched."""


def _maker(kind: type[_Plain], deadline: Deadline) -> Any:
    """What makes the connections of an urllib handler."""

    def make(host: str, **options: Any) -> _Plain:
        connection = kind(host, **options)
        connection.deadline = deadline
        return connection

    return make


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._make = _maker(_Plain, deadline)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._make = _maker(_Secure, deadline)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)

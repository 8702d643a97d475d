"""A program's template from the host's side: the process that forks itself for each of the program's tests."""

import socket

from tts.sandbox.files import Files, kind_of
from tts.sandbox.guest import wire
from tts.types import Run


class Template:
    """Its program and its socket. Made before the process is."""

    def __init__(self, code: str, test: Run) -> None:
        self.code, self.kind = code, kind_of(test)
        self.given = 0  # tests so far
        self.socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def runs(self, code: str, test: Run) -> bool:
        """Whether this is a test for it."""
        return self.code == code and self.kind == kind_of(test)

    def go(self, files: Files) -> None:
        """Send it a test. Raises OSError if it has gone."""
        self.given += 1
        socket.send_fds(self.socket, [wire.GO], files.fds)

    def close(self) -> None:
        """Let go of it; the zygote buries it."""
        self.socket.close()
        self.theirs.close()

"""A program's process that runs one test after another, from the host's side.

The host sends it on and hears from it directly: two processes to wake for a test, where the zygote between them would
make it four. What the process says is a claim; what it has used is read from the kernel.
"""

import os
import socket
import struct
from contextlib import suppress

from tts.sandbox.files import Files, kind_of
from tts.sandbox.guest import usage, wire
from tts.types import Run

CREDENTIALS = struct.Struct("iII")  # struct ucred: process, user, group
UNREAD_SECONDS = 0.002  # of processor time without a look at memory: it takes 1 ms to be given 2 to 20 MiB


class Kept:
    """The process's files, its socket and its use; `code` is its program, which may be one that checks another's. Made
    before the process is.
    """

    def __init__(self, code: str, test: Run, checks: bool = False) -> None:
        self.code, self.kind, self.checks = code, kind_of(test), checks
        self.files = Files(code, test)
        self.word = os.urandom(wire.WORD_BYTES)
        self.spent = 0.0  # CPU seconds of its tests so far
        self.socket, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(wire.TICK_SECONDS)
        self.pid = self._status = -1  # known from its first word on
        self._peak, self._read_after = 0, 0.0  # bytes, and the CPU seconds after which they were read

    def runs(self, code: str, test: Run) -> bool:
        """Whether this is a next test for it."""
        return self.code == code and self.kind == kind_of(test)

    def go(self, test: Run) -> int | None:
        """Send it on to a test: as `done`, within a tick. Raises InfraError for arguments that cannot be sent."""
        new = self.files.refill(test)
        try:
            socket.send_fds(self.socket, [wire.GO], new)
            return self.done()
        except OSError:  # it takes longer, or it has gone
            return None

    def done(self) -> int | None:
        """The exit code with which it says that its test is done; None if it says anything else, and nobody listens to
        it any more. Raises TimeoutError if it says nothing for a tick.
        """
        try:
            message, control, _, _ = self.socket.recvmsg(wire.DONE.size + 1, socket.CMSG_SPACE(CREDENTIALS.size))
            code, word = wire.DONE.unpack(message)
        except TimeoutError:  # an OSError as well
            raise
        except (OSError, struct.error):
            word = b""
        if word != self.word:
            with suppress(OSError):  # it has hung up itself
                self.socket.shutdown(socket.SHUT_RDWR)
            return None
        if self.pid == -1:
            self.pid, _, _ = CREDENTIALS.unpack(control[0][2])  # the kernel's word, as a number of our own namespace
        return int(code)

    def used(self) -> tuple[float, int] | None:
        """CPU seconds and most resident bytes of all its tests; None if that cannot be read from here. The bytes, which
        take the kernel long to tell, are those of `UNREAD_SECONDS` ago at most.
        """
        try:
            if self._status == -1:
                self._status = usage.open_status(self.pid)
            cpu = usage.cpu_of(self.pid)
            if self._peak == 0 or cpu - self._read_after > UNREAD_SECONDS:
                self._peak, self._read_after = usage.peak_of(self._status), cpu
            return cpu, self._peak
        except OSError:
            return None

    def close(self) -> None:
        """Let go of it; the zygote buries it."""
        self.files.close()
        self.socket.close()
        self.theirs.close()
        if self._status != -1:
            os.close(self._status)

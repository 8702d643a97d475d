"""The memory files of a candidate's process, from the host's side: what it is given, and what it leaves."""

import fcntl
import os
from types import TracebackType
from typing import Self

from tts.errors import InfraError
from tts.sandbox.guest import wire
from tts.types import Call, Run

DETAIL_BYTES = 2_000
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class Files:
    """Descriptors of a test's job and input, both sealed, and of the files for output, errors and result: no process's
    for longer than it lives. With `refill` the same process may have its program's next test.
    """

    def __init__(self, code: str, test: Run) -> None:
        """Raises InfraError for arguments that cannot be sent."""
        self._program = program(code)
        self._refillable = False
        job, given = self._program + _call(test), _input(test)
        self.fds: list[int] = []
        try:
            for content in (job, given):
                self.fds.append(sealed(content))
            while len(self.fds) < wire.FILES:
                self.fds.append(os.memfd_create("tts", os.MFD_CLOEXEC))
        except OSError:
            self.close()
            raise

    @property
    def job(self) -> int:
        """The program's text, and a call's name and arguments."""
        return self.fds[0]

    @property
    def input(self) -> int:
        """What the program reads."""
        return self.fds[1]

    @property
    def output(self) -> int:
        """What it printed."""
        return self.fds[2]

    @property
    def errors(self) -> int:
        """Its diagnostics."""
        return self.fds[3]

    @property
    def result(self) -> int:
        """What its function returned."""
        return self.fds[4]

    def refill(self, test: Run) -> list[int]:
        """Another test in place of the last one's, of which nothing is left; what comes back is the descriptor that the
        process must be sent for it, which is so once: a file that is not sealed. Raises InfraError as `__init__` does.
        """
        calls = isinstance(test, Call)
        place, start, content = (0, len(self._program), _call(test)) if calls else (1, 0, _input(test))
        for fd in (self.output, self.errors, self.result):
            _put(fd, b"", 0)
        if self._refillable:
            _put(self.fds[place], content, start)
            return []
        new = written(self._program[:start] + content)
        old, self.fds[place] = self.fds[place], new
        os.close(old)
        self._refillable = True
        return [new]

    def close(self) -> None:
        """Let go of them."""
        for fd in self.fds:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def kind_of(test: Run) -> tuple[bool, bool]:
    """What a process for a test is: whether it calls a function, and whether it is strict."""
    return isinstance(test, Call), isinstance(test, Call) and test.strict


def program(code: str) -> bytes:
    """A job without a call."""
    text = code.encode("utf-8", "surrogatepass")
    return wire.JOB.pack(len(text)) + text


def _input(test: Run) -> bytes:
    return b"" if isinstance(test, Call) else test.input.encode("utf-8", "surrogatepass")


def _call(test: Run) -> bytes:
    if not isinstance(test, Call):
        return b""
    try:
        return wire.dumps((test.entry_point, list(test.args)))
    except (TypeError, ValueError) as error:
        raise InfraError(f"The arguments of a test of {test.entry_point!r} cannot be sent: {error}.") from error


def written(content: bytes) -> int:
    """A file of that content."""
    fd = os.memfd_create("tts", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        _put(fd, content, 0)
    except OSError:
        os.close(fd)
        raise
    return fd


def sealed(content: bytes) -> int:
    """A file of that content, for good."""
    fd = written(content)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, SEALS)
    return fd


def _put(fd: int, content: bytes, start: int) -> None:
    """Have a file hold this from `start` on, and whoever has the same open file read and write from its beginning."""
    os.ftruncate(fd, start)
    rest = memoryview(content)
    while rest:
        rest = rest[os.pwrite(fd, rest, start + len(content) - len(rest)) :]
    os.lseek(fd, 0, os.SEEK_SET)


def tail(fd: int) -> str:
    """The last of what was written there, as text."""
    size = os.fstat(fd).st_size
    if size == 0:
        return ""
    start = max(0, size - DETAIL_BYTES)
    return os.pread(fd, size - start, start).decode("utf-8", "replace").strip()

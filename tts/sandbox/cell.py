"""The host side of a cell: starts a zygote (`guest/`), sends it one test at a time and reads what came of it.

Expected outputs never leave this process, and nothing that a candidate wrote is trusted: its output is bytes of bounded
length, its returned value a bounded document (`wire.parse`), its diagnostics the last 2,000 bytes. Whether an answer is
right is decided elsewhere (`compare.py`), as is retrying (`pool.py`).
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tts.errors import InfraError
from tts.sandbox.confinement import Confinement
from tts.sandbox.guest import wire
from tts.sandbox.guest.wire import End, Mode
from tts.sandbox.outcome import Limits, Outcome, Status
from tts.types import Call, Test

DETAIL_BYTES = 2_000
START_SECONDS = 60.0  # a cold disk and a busy machine; a cell usually takes a tenth of a second
CLOSE_SECONDS = 15.0
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class CellDied(InfraError):
    """The cell ended under a test. The test has no outcome; a new cell may try it again."""


class Killed(CellDied):
    """A candidate died of a SIGKILL that was not the cell's. If it happens every time, `outcome` is the truth."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("a candidate was killed by another process")
        self.outcome = outcome


class Cell:
    """One zygote. A context manager; `run` and `drop` may be called from one thread at a time, `interrupt` from any."""

    def __init__(self, confinement: Confinement) -> None:
        self.confinement = confinement
        self._cleanup = ExitStack()
        self._kept: str | None = None  # the program whose process waits for another test
        self._control: socket.socket
        self._process: subprocess.Popen[bytes]
        self._errors: int
        self._uid = -1

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def _start(self, stack: ExitStack) -> None:
        folder = "/" if self.confinement.has_own_files else tempfile.mkdtemp(prefix="tts-cell-")
        if folder != "/":
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(self._control.close)
        self._errors = os.memfd_create("zygote")
        stack.callback(os.close, self._errors)
        with theirs:
            self._process = subprocess.Popen(
                self.confinement.command(theirs.fileno(), folder),
                env={},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        stack.callback(self._end, folder)
        self._control.settimeout(START_SECONDS)
        (self._uid,) = wire.HELLO.unpack(self._receive(wire.HELLO.size))

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def interrupt(self) -> None:
        """Hangs up: the zygote kills what runs and ends, and `run` raises CellDied. Idempotent."""
        with suppress(OSError):  # the zygote has gone already
            self._control.shutdown(socket.SHUT_RDWR)

    def run(self, code: str, test: Test, limits: Limits, keep: bool = False) -> Outcome:
        """Runs a program on one test, in the process that was kept for it or in a new one; `keep` keeps that for the
        program's next. Raises CellDied if the cell, rather than the program, failed, and InfraError for arguments that
        cannot be sent to any cell.
        """
        is_call = isinstance(test, Call)
        mode = Mode.NEXT if keep and self._kept == code else Mode.FIRST if keep else Mode.FRESH
        with _memfds("" if mode is Mode.NEXT else code, test) as fds:
            request = wire.Request(
                mode, is_call, limits.cpu_seconds, limits.wall_seconds, limits.memory_mib << 20, limits.output_mib << 20
            ).pack()
            self._control.settimeout(10 * limits.wall_seconds + START_SECONDS)  # the zygote's own limits come first
            try:
                socket.send_fds(self._control, [request], fds)
            except OSError as error:
                raise CellDied(self._last_words(fds)) from error
            end, code_or_signal, cpu, wall, peak = wire.REPLY.unpack(self._receive(wire.REPLY.size, fds))
            self._kept = code if end == End.DONE else None
            outcome = _outcome(End(end), code_or_signal, cpu, peak, wall, is_call=is_call, limits=limits, fds=fds)
        if (end, code_or_signal) == (End.SIGNALLED, signal.SIGKILL) and outcome.status is Status.RUNTIME_ERROR:
            raise Killed(outcome)
        return replace(outcome, reused=mode is Mode.NEXT)

    def drop(self) -> None:
        """End the process that is kept for another test, if one is. Raises CellDied."""
        if self._kept is not None:
            self._kept = None
            try:
                self._control.send(wire.Request(Mode.DROP, False, 0.0, 0.0, 0, 0).pack())
            except OSError as error:
                raise CellDied(self._last_words()) from error

    def _receive(self, size: int, fds: tuple[int, ...] = ()) -> bytes:
        try:
            message = self._control.recv(size)
        except OSError as error:
            raise CellDied(f"no word from the cell: {error}. {self._last_words(fds)}") from error
        if len(message) != size:
            raise CellDied(self._last_words(fds))
        return message

    def _last_words(self, fds: tuple[int, ...] = ()) -> str:
        words = "\n".join(filter(None, [_tail(self._errors), _tail(fds[3]) if fds else ""]))
        return f"The sandbox's process ended. Its last words: {words or 'none'}"

    def _end(self, folder: str) -> None:
        """Has the zygote bury everything and end, or, if it cannot, does so in its place."""
        self.interrupt()
        try:
            clean = self._process.wait(CLOSE_SECONDS) == 0
        except subprocess.TimeoutExpired:
            self._process.kill()
            clean = self._process.wait() == 0
        if not clean and not self.confinement.has_own_files:  # else all ended with their namespace
            _sweep(self._uid, folder)


@contextmanager
def _memfds(code: str, test: Test) -> Iterator[tuple[int, ...]]:
    """Descriptors of the job, the input, and the empty files for output, errors and result."""
    text = code.encode("utf-8", "surrogatepass")
    call = _call(test) if isinstance(test, Call) else b""
    given = "" if isinstance(test, Call) else test.input
    with ExitStack() as stack:
        fds = []
        for content in (wire.JOB.pack(len(text)) + text + call, given.encode("utf-8", "surrogatepass")):
            fds.append(_memfd(stack, os.MFD_ALLOW_SEALING))
            with open(fds[-1], "wb", closefd=False) as file:
                file.write(content)
            fcntl.fcntl(fds[-1], fcntl.F_ADD_SEALS, SEALS)
            os.lseek(fds[-1], 0, os.SEEK_SET)
        fds += [_memfd(stack, 0) for _ in range(3)]
        yield tuple(fds)


def _call(test: Call) -> bytes:
    try:
        return wire.dumps((test.entry_point, list(test.args)))
    except (TypeError, ValueError) as error:
        raise InfraError(f"The arguments of a test of {test.entry_point!r} cannot be sent: {error}.") from error


def _memfd(stack: ExitStack, flags: int) -> int:
    fd = os.memfd_create("tts", flags | os.MFD_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _outcome(
    end: End, code: int, cpu: float, peak: int, wall: float, *, is_call: bool, limits: Limits, fds: tuple[int, ...]
) -> Outcome:
    """What the zygote saw, and what the candidate left in its files, as one outcome."""
    output, errors, result = fds[2:]
    failure = _failure(end, code, cpu, peak, limits, [os.fstat(fd).st_size for fd in (output, result)])
    status, value, why = (failure[0], None, failure[1]) if failure else _answer(is_call, output, result)
    said = _tail(errors)
    return Outcome(status, value, cpu, f"{why}\n{said}".strip() if why else "", said, wall, peak)


def _answer(is_call: bool, output: int, result: int) -> tuple[Status, Any, str]:
    """(status, value, why not) of a candidate that ended well."""
    if not is_call:
        return Status.OK, _read(output).decode("utf-8", "surrogateescape"), ""
    try:
        return Status.OK, wire.parse(_read(result)), ""
    except wire.TooLarge as error:
        return Status.OUTPUT_LIMIT, None, str(error)
    except ValueError as error:
        why = f"no usable result: {error}" if os.fstat(result).st_size else "ended without returning a value"
        return Status.RUNTIME_ERROR, None, why


def _failure(end: End, code: int, cpu: float, peak: int, limits: Limits, sizes: list[int]) -> tuple[Status, str] | None:
    if end is End.CPU or cpu > limits.cpu_seconds or (end is End.SIGNALLED and code == signal.SIGXCPU):
        return Status.TIMEOUT, f"used {cpu:.2f} s of processor time, {limits.cpu_seconds:g} allowed"
    if end is End.WALL:
        return Status.TIMEOUT, f"not done after {limits.wall_seconds:g} s, of which it computed {cpu:.2f}"
    exhausted = end in (End.EXITED, End.DONE) and code == wire.MEMORY_EXIT
    if end is End.MEMORY or peak > limits.memory_mib << 20 or exhausted:
        return Status.MEMORY, f"needed more than {limits.memory_mib} MiB"
    if max(sizes) > limits.output_mib << 20:
        return Status.OUTPUT_LIMIT, f"wrote more than {limits.output_mib} MiB"
    if end is End.SIGNALLED:
        return Status.RUNTIME_ERROR, f"killed by {_signal_name(code)}"
    if end is End.FILES:
        return Status.OUTPUT_LIMIT, "made too many files"
    if end is End.THREADS:
        return Status.RUNTIME_ERROR, "started too many threads"
    if code != 0:
        return Status.RUNTIME_ERROR, f"exit code {code}"
    return None


def _signal_name(number: int) -> str:
    names = {int(known): known.name for known in signal.Signals}
    return names.get(number, f"signal {number}")


def _read(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _tail(fd: int) -> str:
    size = os.fstat(fd).st_size
    start = max(0, size - DETAIL_BYTES)
    return os.pread(fd, size - start, start).decode("utf-8", "replace").strip()


def _sweep(uid: int, folder: str) -> None:
    """Kills what a cell that died without burying its dead left behind, found by user id or by working folder.

    As an ordinary user a process that has changed its folder escapes this; a namespace would end it.
    """
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            theirs = os.stat(f"/proc/{name}").st_uid == uid if uid >= 0 else False
            if theirs or os.readlink(f"/proc/{name}/cwd").startswith(folder):
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            continue  # gone, or another user's

"""The host side of a cell: starts a zygote (`guest/`), sends it one test at a time and reads what came of it.

Expected outputs never leave this process, and nothing that a candidate wrote is trusted: its output is bytes of bounded
length, its returned value a bounded document (`wire.parse`), its diagnostics the last 2,000 bytes. Whether an answer is
right is decided elsewhere (`compare.py`), as is retrying (`pool.py`).
"""

import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from tts.errors import InfraError
from tts.sandbox.confinement import ENVIRONMENT, GUARDS, Confinement
from tts.sandbox.files import Files, kind_of, program, sealed, tail
from tts.sandbox.forking import Template
from tts.sandbox.guest import clearing, seccomp, wire
from tts.sandbox.guest.wire import End, Mode, Report, Request
from tts.sandbox.kept import Kept
from tts.sandbox.outcome import Limits, Outcome, Status
from tts.types import Call, Run

START_SECONDS = 60.0  # a cold disk and a busy machine; a cell usually takes a tenth of a second
CLOSE_SECONDS = 15.0
LAST_CHARACTERS = 400  # of what a zygote says as it ends


class CellDied(InfraError):
    """The cell ended under a test. The test has no outcome; a new cell may try it again."""


class Lost(Exception):
    """A template does not begin a test: its program is for processes of its own."""


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
        self._kept: Kept | None = None  # a program's process that waits for another test
        self._template: Template | None = None  # the process that is forked for each test of a program
        # Without the filter, a program's own children end beside its tests; and without a table there is no filter.
        self._forks = seccomp.supported() and "seccomp" in GUARDS[confinement.level]
        self._unforkable = ""  # a program whose template was lost
        self._unkept = ""  # one whose process does not stay for another test
        self._control: socket.socket
        self._process: subprocess.Popen[bytes]
        self._errors: int
        self._room: int  # a descriptor of the candidates' folder
        self._empty_bytes: int  # its size
        self._uid = -1

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._start(stack)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()
        self._cleanup.close()

    def _start(self, stack: ExitStack) -> None:
        folder = "/" if self.confinement.has_own_files else tempfile.mkdtemp(prefix="tts-cell-")
        if folder != "/":
            stack.callback(_remove, folder)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.callback(self._control.close)
        self._errors = os.memfd_create("zygote")
        stack.callback(os.close, self._errors)
        with theirs:
            self._process = subprocess.Popen(
                self.confinement.command(theirs.fileno(), folder),
                env=ENVIRONMENT,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        stack.callback(self._end, folder)
        self._control.settimeout(START_SECONDS)
        self._uid, self._room = self._hello()
        stack.callback(os.close, self._room)
        self._empty_bytes = os.fstat(self._room).st_size

    @property
    def pid(self) -> int:
        """The zygote's process id."""
        return self._process.pid

    def interrupt(self) -> None:
        """Hangs up: the zygote kills what runs and ends, and `run` raises CellDied. Idempotent."""
        with suppress(OSError):  # the zygote has gone already
            self._control.shutdown(socket.SHUT_RDWR)

    def run(self, code: str, test: Run, limits: Limits, keep: bool = False, first: Mode = Mode.FIRST) -> Outcome:
        """Runs a program on one test, in the process that was kept for it or in a new one; `keep` keeps that for the
        program's next, and `first` is how such a process begins. Raises CellDied if the cell, rather than the program,
        failed, and InfraError for arguments that cannot be sent to any cell.
        """
        if keep and self._kept is not None and self.holds(code, test):
            return self._run_next(self._kept, test, limits)
        if keep and code == self._unkept:
            return self.run_forked(code, test, limits)
        self._forget()  # which the zygote buries before it starts another
        if keep:
            return self._run_first(code, test, limits, first)
        with Files(code, test) as files:
            self._send(_request(Mode.FRESH, test, limits), files.fds, files.errors)
            return _outcome(self._report(files.errors), test, limits, files, (files.output, files.result))

    def run_forked(self, code: str, test: Run, limits: Limits) -> Outcome:
        """As `run`, always in a new process: a fork of one that has compiled the program. Worth it from a program's
        second test on.
        """
        if code == self._unforkable or not self._forks:
            return self.run(code, test, limits)
        with Files(code, test) as files:
            started = time.monotonic()
            try:
                report = self._forked(code, test, limits, files)
            except Lost:
                self._unforkable = code
                return self.run(code, test, limits)
            report = report._replace(wall=time.monotonic() - started)
            return _outcome(report, test, limits, files, (files.output, files.result))

    def _forked(self, code: str, test: Run, limits: Limits, files: Files) -> Report:
        """The zygote is asked to watch only if the test takes longer than a tick. Raises Lost."""
        template = self._template
        if template is None or not template.runs(code, test):
            template = self._new_template(code, test, limits)
        try:
            template.go(files)
            ended = self._ends_soon(template)
        except OSError:  # it has gone
            ended = False
        if not ended:
            self._send(_request(Mode.FORKED, test, limits)._replace(number=template.given))
        report = self._report(files.errors)
        if report.end is End.LOST:
            raise Lost
        return report

    def _new_template(self, code: str, test: Run, limits: Limits) -> Template:
        self._forget()
        template = self._template = Template(code, test)
        job = sealed(program(code))
        try:
            self._send(_request(Mode.TEMPLATE, test, limits), [job, template.theirs.fileno()])
        finally:
            os.close(job)
            template.theirs.close()
        return template

    def _ends_soon(self, template: Template) -> bool:
        """Whether there is a report within a tick."""
        poller = select.poll()
        for side in (self._control, template.socket):
            poller.register(side, select.POLLIN)
        found = [fd for fd, _ in poller.poll(wire.TICK_SECONDS * 1000)]
        return self._control.fileno() in found

    def holds(self, code: str, test: Run) -> bool:
        """Whether there is a process that was kept for it."""
        return self._kept is not None and self._kept.runs(code, test)

    def execute(self, program: int, test: Run, limits: Limits) -> Outcome:
        """As `run`, for a compiled program, given as an executable memory file, and always in a new process."""
        self._forget()
        with Files("", test) as files:
            for fd in files.fds:
                os.fchmod(fd, 0o600)  # what it prints is never executed
            self._send(_request(Mode.NATIVE, test, limits), [program, *files.fds[1:]], files.errors)
            return _outcome(self._report(files.errors), test, limits, files, bounded=(files.output, files.errors))

    def _run_first(self, code: str, test: Run, limits: Limits, mode: Mode) -> Outcome:
        kept = self._kept = Kept(code, test, checks=mode is Mode.CHECK)
        with kept.theirs as session:
            request = _request(mode, test, limits)._replace(word=kept.word)
            self._send(request, [*kept.files.fds, session.fileno()], kept.files.errors)
        return self._end_test(kept, self._watched(kept, None), test, limits)

    def _run_next(self, kept: Kept, test: Run, limits: Limits) -> Outcome:
        """The zygote is asked for help only if the test takes longer than a tick or leaves something to clear up."""
        started = time.monotonic()
        code = kept.go(test)
        used = None if code is None or not self._is_tidy() else kept.used()
        if code is not None and used is not None:
            report = Report(End.DONE, code, used[0] - kept.spent, time.monotonic() - started, used[1])
        else:
            self._send(_request(Mode.WATCH, test, limits)._replace(spent=kept.spent))
            report = self._watched(kept, code)._replace(wall=time.monotonic() - started)
        return self._end_test(kept, report, test, limits, reused=True)

    def _end_test(self, kept: Kept, report: Report, test: Run, limits: Limits, reused: bool = False) -> Outcome:
        kept.spent += report.cpu
        try:
            return _outcome(report, test, limits, kept.files, (kept.files.output, kept.files.result), reused)
        finally:
            if report.end is not End.DONE:
                self._unkept = self._unkept if kept.checks else kept.code
                self._forget()
            elif not kept.checks and (kept.spent + limits.cpu_seconds) * 2 > wire.KEPT_TESTS * limits.cpu_seconds:
                self.drop()

    def _watched(self, kept: Kept, code: int | None) -> Report:
        """What the zygote says of a test that it watches, once the process itself says that it is done; `code` is what
        it has said already.
        """
        if code is None:
            code = self._first_word(kept)
        if code is not None:
            self._send(Request(Mode.PAUSE))
        report = self._report(kept.files.errors)
        return report if code is None or report.end is not End.DONE else report._replace(code=code)

    def _first_word(self, kept: Kept) -> int | None:
        """As `Kept.done`, however long it takes; None also if the zygote has something to say first."""
        poller = select.poll()
        for side in (self._control, kept.socket):
            poller.register(side, select.POLLIN)
        seconds = self._control.gettimeout()
        assert seconds is not None
        events = dict(poller.poll(seconds * 1000))
        return kept.done() if list(events) == [kept.socket.fileno()] else None

    def drop(self) -> None:
        """End the process that is kept for another test or forked for each, if one is. Raises CellDied."""
        if self._kept is not None or self._template is not None:
            self._forget()
            self._send(Request(Mode.DROP))

    def _forget(self) -> None:
        for held in (self._kept, self._template):
            if held is not None:
                held.close()
        self._kept = self._template = None

    def _is_tidy(self) -> bool:
        """Whether the candidates' folder is as a new process would find it."""
        now = os.fstat(self._room)
        if stat.S_IMODE(now.st_mode) != wire.ROOM_MODE:
            return False
        if self.confinement.has_own_files:
            return now.st_size == self._empty_bytes  # a tmpfs, where each name in a folder adds to it
        with os.scandir(self._room) as entries:
            return next(entries, None) is None

    def _send(self, request: Request, fds: Sequence[int] = (), errors: int | None = None) -> None:
        self._control.settimeout(10 * request.wall_seconds + START_SECONDS)  # the zygote's own limits come first
        try:
            socket.send_fds(self._control, [request.pack()], fds)
        except OSError as error:
            raise CellDied(self._last_words(errors)) from error

    def _hello(self) -> tuple[int, int]:
        """The candidates' user id, and a descriptor of their folder."""
        try:
            message, fds, _, _ = socket.recv_fds(self._control, wire.HELLO.size, 1)
        except OSError as error:
            raise CellDied(f"no word from the cell: {error}. {self._last_words(None)}") from error
        if len(message) != wire.HELLO.size:
            raise CellDied(self._last_words(None))
        (uid,), (room,) = wire.HELLO.unpack(message), fds
        return uid, room

    def _report(self, errors: int) -> Report:
        try:
            message = self._control.recv(wire.REPORT_BYTES)
        except OSError as error:
            raise CellDied(f"no word from the cell: {error}. {self._last_words(errors)}") from error
        if len(message) != wire.REPORT_BYTES:
            raise CellDied(self._last_words(errors))
        return Report.unpack(message)

    def _last_words(self, errors: int | None) -> str:
        found = [tail(self._errors), "" if errors is None else tail(errors)]
        words = "\n".join(filter(None, (said[-LAST_CHARACTERS:] for said in found)))
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


def _request(mode: Mode, test: Run, limits: Limits) -> Request:
    memory, output = limits.memory_mib << 20, limits.output_mib << 20
    return Request(mode, *kind_of(test), limits.cpu_seconds, limits.wall_seconds, memory, output)


def _outcome(
    report: Report, test: Run, limits: Limits, files: Files, bounded: Sequence[int], reused: bool = False
) -> Outcome:
    """What the zygote saw, and what the candidate left in its files, as one outcome; the size of those that are
    `bounded` can fail it. Raises Killed.
    """
    failure = _failure(report, limits, [os.fstat(fd).st_size for fd in bounded])
    status, value, why = (failure[0], None, failure[1]) if failure else _answer(test, files)
    said = tail(files.errors)
    detail = f"{why}\n{said}".strip() if why else ""
    outcome = Outcome(status, value, report.cpu, detail, said, report.wall, report.peak, reused)
    if (report.end, report.code) == (End.SIGNALLED, signal.SIGKILL) and status is Status.RUNTIME_ERROR:
        raise Killed(outcome)
    return outcome


def _answer(test: Run, files: Files) -> tuple[Status, Any, str]:
    """(status, value, why not) of a candidate that ended well."""
    if not isinstance(test, Call):
        return Status.OK, _read(files.output).decode("utf-8", "surrogateescape"), ""
    try:
        return Status.OK, wire.parse(_read(files.result)), ""
    except wire.TooLarge as error:
        return Status.OUTPUT_LIMIT, None, str(error)
    except ValueError as error:
        why = f"no usable result: {error}" if os.fstat(files.result).st_size else "ended without returning a value"
        return Status.RUNTIME_ERROR, None, why


def _failure(report: Report, limits: Limits, sizes: list[int]) -> tuple[Status, str] | None:
    end, code, cpu, _, peak = report
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


def _remove(folder: str) -> None:
    """Removes the candidates' folder, which the zygote has done unless it was killed. In a process of its own, since it
    goes from folder to folder.
    """
    if os.path.exists(folder):
        subprocess.run([sys.executable, "-I", "-S", clearing.__file__, folder], cwd="/", stderr=subprocess.DEVNULL)
        with suppress(OSError):
            os.rmdir(folder)


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

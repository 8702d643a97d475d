"""Watching a candidate's processes and burying them: what they use, whether that is too much, and their end.

Reads /proc and nothing of a candidate's. Loaded in the zygote; decides no verdict.
"""

import contextlib
import ctypes
import os
import resource
import select
import signal
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts.sandbox.guest import usage, wire
else:
    import usage
    import wire

TICK_MS = int(wire.TICK_SECONDS * 1000)
BURIAL_SECONDS = 10.0
FORK_SECONDS = 1.0  # for a template, which compiles its program first, to begin a test
MOST_THREADS = 512  # of one candidate at once; the kernel does not count them for root
MOST_FILES = 4096  # of one candidate at once, where its folder is a file system of its own


class HostGone(Exception):
    """The host closed the socket: bury what runs and end."""


class Child:
    """A candidate's process as the zygote sees it; `template` is the number of the process that forked it, which has
    no part in it.
    """

    def __init__(self, pid: int, folder: str | None, template: int | None = None) -> None:
        self.pid, self.folder, self.template = pid, folder, template
        self.pidfd = os.pidfd_open(pid)
        self.meter = Meter(template)
        self.before = children_cpu()

    def let_go(self) -> int:
        """Its number; it is watched no more."""
        os.close(self.pidfd)
        return self.pid

    def watch(self, request: "wire.Request", control: socket.socket) -> "wire.End":
        """How its test ends: DONE if the host says so, EXITED, or the limit that it is over."""
        started = time.monotonic()
        queued = self.meter.queued
        poller = select.poll()
        poller.register(self.pidfd, select.POLLIN)
        poller.register(control, select.POLLIN)
        while True:
            events = dict(poller.poll(TICK_MS))
            if control.fileno() in events:
                if not control.recv(wire.REQUEST_BYTES):
                    raise HostGone
                return wire.End.DONE  # all that can be said meanwhile
            if self.pidfd in events:
                return wire.End.EXITED
            excess = self._excess(request, time.monotonic() - started, queued)
            if excess is not None:
                return excess

    def _excess(self, request: "wire.Request", elapsed: float, queued: float) -> "wire.End | None":
        """Which limit its processes are over by now, if any. Waiting for a processor is not their fault."""
        cpu, resident = self.meter.read()
        if cpu - request.spent > request.cpu_seconds:
            return wire.End.CPU
        if resident > request.memory:
            return wire.End.MEMORY
        if self.folder is not None and files_in(self.folder) > MOST_FILES:
            return wire.End.FILES
        if self.meter.threads > MOST_THREADS:
            return wire.End.THREADS
        waited = self.meter.queued - queued
        if elapsed > request.wall_seconds and (
            elapsed > 10 * request.wall_seconds or elapsed - waited > request.wall_seconds
        ):
            return wire.End.WALL
        return None

    def used(self) -> tuple[float, int]:
        """(CPU seconds, most resident bytes) until now; none of the latter if it has ended already."""
        status = usage.open_status(self.pid)
        try:
            return usage.cpu_of(self.pid), usage.peak_of(status)
        except ProcessLookupError:
            return usage.cpu_of(self.pid), 0
        finally:
            os.close(status)

    def bury(self) -> tuple[int, float, int]:
        """Kill it, its group and every descendant: (wait status, CPU seconds, most resident bytes)."""
        for kill in (os.killpg, os.kill):  # it is unburied, so neither number can have been given to another
            with contextlib.suppress(ProcessLookupError):
                kill(self.pid, signal.SIGKILL)
        _, status, used = os.wait4(self.pid, 0)
        deadline = time.monotonic() + BURIAL_SECONDS
        while not _bury_rest(self.template):
            if time.monotonic() > deadline:
                raise RuntimeError(f"descendants of a candidate still live {BURIAL_SECONDS:.0f} s after being killed")
        os.close(self.pidfd)
        return status, children_cpu() - self.before, used.ru_maxrss * 1024


class Meter:
    """What a tree of processes uses, read every tick.

    `queued` is the seconds for which its threads were ready but no processor was free, which is not their fault; what a
    thread had waited when it was last seen stays counted after its end.
    """

    def __init__(self, template: int | None = None) -> None:
        self.template = template
        self.queued = 0.0
        self.threads = 0
        self.seen: dict[str, int] = {}  # what each thread had waited, in nanoseconds

    def read(self) -> tuple[float, int]:
        """CPU seconds and resident bytes of all living descendants together; adds to `queued`."""
        cpu_ticks = pages = self.threads = 0
        todo = own_children(self.template)
        while todo:
            pid = todo.pop()
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                self._add_queued(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            cpu_ticks += sum(int(field) for field in fields[11:15])  # own and reaped children's, user and system
            pages += int(fields[21])
            todo += children(pid)
        return cpu_ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize()

    def _add_queued(self, pid: int) -> None:
        """Adds what each thread of a process has waited since it was last seen."""
        threads = os.listdir(f"/proc/{pid}/task")
        self.threads += len(threads)
        for thread in threads:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                    waited = int(file.read().split()[1])
                before = self.seen.get(thread, 0)
                self.queued += (waited - before if waited >= before else waited) / 1e9  # less: another thread's number
                self.seen[thread] = waited


def children(pid: int) -> list[int]:
    """The living and unburied children of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        if pid == os.getpid():
            raise  # this kernel cannot list children: a candidate could not be killed whole
    return found


def own_children(template: int | None) -> list[int]:
    """The zygote's, but for a template."""
    return [pid for pid in children(os.getpid()) if pid != template]


def ended() -> int | None:
    """A child of the zygote's that has ended and is not buried."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return None if found is None else found.si_pid


def appeared(template: int, control: socket.socket) -> int | None:
    """The process that a template has forked for a test, once there is one; None if it takes too long."""
    deadline = time.monotonic() + FORK_SECONDS
    poller = select.poll()
    poller.register(control, select.POLLIN)
    while time.monotonic() < deadline:
        if pids := own_children(template):
            return pids[0]
        if poller.poll(TICK_MS):
            raise HostGone  # all that can happen meanwhile
    return None


class Endings:
    """Waits for the host's next request and for the ends of children at once."""

    def __init__(self, control: socket.socket) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))  # children undo that (`confine.py`)
        mask = ctypes.c_uint64(1 << signal.SIGCHLD - 1)
        libc = ctypes.CDLL(None, use_errno=True)
        self.signals = libc.signalfd(-1, ctypes.byref(mask), os.O_CLOEXEC | os.O_NONBLOCK)
        if self.signals == -1:
            raise OSError(ctypes.get_errno(), "signalfd")
        self.poller = select.poll()
        self.poller.register(control, select.POLLIN)
        self.poller.register(self.signals, select.POLLIN)

    def asked(self) -> bool:
        """Whether it is the host's request that came; if not, a child may have ended."""
        found = [fd for fd, _ in self.poller.poll()]
        if self.signals in found:
            os.read(self.signals, 128)
        return self.signals not in found


def children_cpu() -> float:
    """CPU seconds of all descendants buried so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def files_in(folder: str) -> int:
    """Files and folders on a file system of its own."""
    found = os.statvfs(folder)
    return found.f_files - found.f_ffree


def _bury_rest(template: int | None) -> bool:
    """One round against orphans, which all become the zygote's children. Returns whether none is left."""
    if template is None:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] != 0:
                return False
        except ChildProcessError:
            return True
    rest = own_children(template)
    for child in rest:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, os.WNOHANG)
    if rest:
        time.sleep(0.0005)
    return template is not None and not rest

"""The guest side of a cell: a zygote that forks candidate processes, one for each test or one for each program.

Run by path in a process of its own (`cell.py` starts it). It never reads a candidate's program, input or output: it
passes descriptors on, so that nothing a candidate does reaches it. Any error of its own ends it, which the host sees
and mends with a new cell; it cannot turn one into a candidate's failure.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts.sandbox.guest import candidate, clearing, confine, native, template, watch, wire
else:
    # `random` and `threading` would have each child draw a seed and take stock of its threads, which costs a third of a
    # fork: `candidate.py` seeds, and there is one thread.
    register_at_fork, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    import candidate
    import clearing
    import confine
    import native
    import template
    import watch
    import wire

    os.register_at_fork = register_at_fork

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36
NATIVE, TEMPLATE = wire.Mode.NATIVE, wire.Mode.TEMPLATE  # bound once, as in `candidate.py`
LOST = wire.Report(wire.End.LOST, 0, 0.0, 0.0, 0)

Prepare = Callable[["wire.Request"], None]
Task = tuple["wire.Request", tuple[int, ...]]  # a forked child's: what the host asks, with these descriptors


class Zygote:
    """The loop that waits for a request, forks a child or finds the kept one, watches and replies. `own_files` says
    that the folder is a file system of its own; `prepare` is called before each fork.
    """

    def __init__(self, control: socket.socket, folder: str, own_files: bool, prepare: Prepare) -> None:
        self.control, self.folder, self.prepare = control, folder, prepare
        self.counted = folder if own_files else None
        self.began = mmap.mmap(-1, 4096)  # shared: a child sets the first byte when the candidate's own code begins
        self.child: watch.Child | None = None
        self.template: int | None = None  # the number of the process that forks itself for its program's tests
        self.reported = 0  # how many of these tests have been
        self.endings = watch.Endings(control)

    def serve(self) -> Task | None:
        """Serves until the host hangs up. Returns None then, or, in a forked child, the task that it must run."""
        try:
            while True:
                while self.template is not None and not self.endings.asked():
                    self.report_ended()
                message, fds, _, _ = socket.recv_fds(self.control, wire.REQUEST_BYTES, wire.FILES + 1)
                if not message:
                    break
                request = wire.Request.unpack(message)
                if request.mode in wire.NEW:
                    self.drop()
                    self.prepare(request)
                    if self.fork() == 0:
                        return request, tuple(fds)
                    for fd in fds:
                        os.close(fd)
                self.act(request)
        except (watch.HostGone, ConnectionError):
            pass
        self.drop()
        return None

    def act(self, request: "wire.Request") -> None:
        """What is asked for, once there is the child that it is about."""
        mode = request.mode
        if mode is wire.Mode.DROP:
            self.drop()
        elif mode is wire.Mode.TEMPLATE:
            assert self.child is not None
            self.template, self.child, self.reported = self.child.let_go(), None, 0
        elif mode is wire.Mode.FORKED:
            self.follow_forked(request)
        elif mode is not wire.Mode.PAUSE:  # which is too late here: what it is about has been answered
            self.control.send(self.follow(request).pack())

    def follow_forked(self, request: "wire.Request") -> None:
        """Watches a test that the template has forked, unless it has been answered, even if the template has gone."""
        if request.number <= self.reported:
            return
        pid = None if self.template is None else watch.appeared(self.template, self.control)
        if pid is None:
            self.drop()
            self.answer(LOST)
        else:
            self.child = watch.Child(pid, self.counted, self.template)
            self.answer(self.follow(request))

    def report_ended(self) -> None:
        """Answers a test of the template's that has ended."""
        pid = watch.ended()
        if pid == self.template:
            self.drop()  # the host hears of it by its own session
        elif pid is not None:
            self.child = watch.Child(pid, self.counted, self.template)
            self.answer(self.report(wire.End.EXITED))

    def answer(self, report: "wire.Report") -> None:
        """Says what became of a test of the template's."""
        self.began[0] = 0
        self.reported += 1
        self.control.send(report.pack())

    def fork(self) -> int:
        """A child in an empty folder: 0 in the child, its number here."""
        self.began[0] = 0
        pid = os.fork()
        if pid != 0:
            self.child = watch.Child(pid, self.counted)
        return pid

    def follow(self, request: "wire.Request") -> "wire.Report":
        """Watches the child to the end of its test, buries it unless it is kept, and says what happened."""
        assert self.child is not None
        started = time.monotonic()
        end = self.child.watch(request, self.control)
        if end is wire.End.DONE:
            cpu, peak = self.child.used()
            clearing.empty(self.folder)
            return wire.Report(end, 0, cpu - request.spent, time.monotonic() - started, peak)
        return self.report(end, request.spent, started)

    def report(self, end: "wire.End", spent: float = 0.0, started: float | None = None) -> "wire.Report":
        """Buries the child, and says what happened; without its start, what the wall time was is the host's to say."""
        status, cpu, peak = self.bury()
        elapsed = 0.0 if started is None else time.monotonic() - started
        if not self.began[0] and end is wire.End.EXITED:
            raise RuntimeError(f"a child ended with wait status {status} before its candidate began")
        code = os.waitstatus_to_exitcode(status)
        if end is wire.End.EXITED and code < 0:
            end, code = wire.End.SIGNALLED, -code
        return wire.Report(end, code, cpu - spent, elapsed, peak)

    def bury(self) -> tuple[int, float, int]:
        """The child's wait status, CPU seconds and peak bytes; nothing of it is left."""
        assert self.child is not None
        child, self.child = self.child, None
        found = child.bury()
        clearing.empty(self.folder)
        return found

    def drop(self) -> None:
        """End a child that is kept, and a template."""
        if self.template is not None:
            self.child, self.template = watch.Child(self.template, None), None
        if self.child is not None:
            self.bury()


def open_control(fd: int) -> socket.socket:
    """The host's socket, out of the way of a candidate's own descriptors, which must be taken while others are
    received.
    """
    control = socket.socket(fileno=fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))
    for taken in range(3, candidate.OWN_FILES):
        os.dup2(0, taken)
    if fd >= candidate.OWN_FILES:
        os.close(fd)
    return control


def greet(control: socket.socket, folder: str, account: "confine.Account") -> bool:
    """Hands the host the candidates' user id and folder; false if it was killed meanwhile."""
    hello = wire.HELLO.pack(-1 if account.uid is None else account.uid)
    room = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        socket.send_fds(control, [hello], [room])
    except BrokenPipeError:
        return False
    finally:
        os.close(room)
    return True


def main() -> None:
    """Serves tests until the host hangs up; in a forked child, runs its own. Arguments: the socket's descriptor, the
    candidates' folder, and words: landlock, seccomp, own_files.
    """
    fd, folder, words = int(sys.argv[1]), sys.argv[2], set(sys.argv[3:])
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    for name in (
        "wire", "watch", "confine", "candidate", "clearing", "foreign", "keeping", "landlock", "native", "prelude",
        "scopes", "seccomp", "template", "unchanged", "usage",
    ):  # fmt: skip
        del sys.modules[name]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # after that write: /proc/self now belongs to root
    account = confine.find_account()
    if account.uid is not None:
        os.chown(folder, account.uid, account.uid)
    control = open_control(fd)
    confinement = confine.Confinement(folder, account, words, libc)  # its descriptors lie above a candidate's own
    zygote = Zygote(control, folder, "own_files" in words, confinement.prepare)
    candidate.prepare(libc)
    task = zygote.serve() if greet(control, folder, account) else None
    if task is None:
        if "own_files" not in words:
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # the host would, unless it was killed
        return
    request, fds = task
    if request.mode is NATIVE:
        native.run(fds, confinement, zygote.began)
    if request.mode is TEMPLATE:
        template.run(request, fds, confinement, zygote.began)
    confinement.apply(confinement.filter)
    candidate.run(request, fds, zygote.began)


if __name__ == "__main__":
    main()

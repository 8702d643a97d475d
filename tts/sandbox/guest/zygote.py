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
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts.sandbox.guest import candidate, confine, watch, wire
else:
    import candidate
    import confine
    import watch
    import wire

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36


@dataclass(frozen=True, slots=True)
class Task:
    """A forked child's first test: the host's request, its five descriptors (job, input, output, errors, result), and
    the socket over which it gets more, if it may.
    """

    request: "wire.Request"
    fds: tuple[int, ...]
    session: socket.socket | None
    word: bytes


class Zygote:
    """The loop that waits for a request, forks or wakes a child, watches and replies. `own_files` says that the folder
    is a file system of its own.
    """

    def __init__(self, control: socket.socket, folder: str, own_files: bool) -> None:
        self.control, self.folder = control, folder
        self.counted = folder if own_files else None
        self.began = mmap.mmap(-1, 4096)  # shared: a child sets the first byte when the candidate's own code begins
        self.child: watch.Child | None = None

    def serve(self) -> Task | None:
        """Serves until the host hangs up. Returns None then, or, in a forked child, the task that it must run."""
        try:
            while True:
                message, fds, _, _ = socket.recv_fds(self.control, wire.REQUEST_BYTES, 5)
                if not message:
                    break
                request = wire.Request.unpack(message)
                if request.mode == wire.Mode.NEXT:
                    self.hand_on(message, fds)
                else:
                    self.drop()
                    if request.mode == wire.Mode.DROP:
                        continue
                    task = self.fork(request, tuple(fds))
                    if task is not None:
                        return task
                reply = self.follow(request)
                for fd in fds:
                    os.close(fd)
                self.control.send(reply)
        except (watch.HostGone, ConnectionError):
            pass
        self.drop()
        return None

    def fork(self, request: "wire.Request", fds: tuple[int, ...]) -> Task | None:
        """A child in an empty folder: its task in the child, None here."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) if request.mode else (None, None)
        self.began[0] = 0
        word = os.urandom(wire.WORD_BYTES) if request.mode else b""
        pid = os.fork()
        if pid == 0:
            return Task(request, fds, theirs, word)
        if theirs is not None:
            theirs.close()
        self.child = watch.Child(pid, ours, word, self.counted)
        return None

    def hand_on(self, message: bytes, fds: list[int]) -> None:
        """Give the kept child its next test; one that has died meanwhile is found by watching it."""
        assert self.child is not None and self.child.session is not None
        try:
            socket.send_fds(self.child.session, [message], fds)
        except OSError:
            self.child.session.close()
            self.child.session = None

    def follow(self, request: "wire.Request") -> bytes:
        """Watches the child to the end of its test, buries it unless it is kept, and says what happened."""
        assert self.child is not None
        started, child = time.monotonic(), self.child
        end, code = child.watch(request, self.control)
        if end == wire.End.DONE and (child.spent + request.cpu_seconds) * 2 < confine.KEPT_TESTS * request.cpu_seconds:
            cpu, peak = child.pause()
            watch.empty(self.folder)
            return wire.REPLY.pack(end, code, cpu, time.monotonic() - started, peak)
        status, cpu, peak = self.bury()
        elapsed = time.monotonic() - started
        if not self.began[0] and end is wire.End.EXITED:
            raise RuntimeError(f"a child ended with wait status {status} before its candidate began")
        if end == wire.End.DONE:
            return wire.REPLY.pack(wire.End.EXITED, code, cpu, elapsed, peak)
        code = os.waitstatus_to_exitcode(status)
        if end is wire.End.EXITED and code < 0:
            end, code = wire.End.SIGNALLED, -code
        return wire.REPLY.pack(end, code, cpu, elapsed, peak)

    def bury(self) -> tuple[int, float, int]:
        """The child's wait status, CPU seconds and peak bytes; nothing of it is left."""
        assert self.child is not None
        child, self.child = self.child, None
        found = child.bury()
        watch.empty(self.folder)
        return found

    def drop(self) -> None:
        """End a child that is kept."""
        if self.child is not None:
            self.bury()


def open_control(fd: int) -> socket.socket:
    """The host's socket, out of the way of descriptors 0 to 4, which must be taken while descriptors are received."""
    control = socket.socket(fileno=fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))
    for taken in (3, 4):
        os.dup2(0, taken)
    if fd > 4:
        os.close(fd)
    return control


def main() -> None:
    """Serves tests until the host hangs up; in a forked child, runs its own. Arguments: the socket's descriptor, the
    candidates' folder, and words: landlock, seccomp, own_files.
    """
    fd, folder, words = int(sys.argv[1]), sys.argv[2], set(sys.argv[3:])
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    for name in ("wire", "watch", "confine", "candidate", "keeping", "landlock", "seccomp"):
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
    zygote = Zygote(open_control(fd), folder, "own_files" in words)
    confinement = confine.Confinement(folder, account, words, libc)  # its descriptors lie above a candidate's own
    candidate.prepare(libc)
    zygote.control.send(wire.HELLO.pack(-1 if account.uid is None else account.uid))
    task = zygote.serve()
    if task is None:
        if "own_files" not in words:
            with contextlib.suppress(OSError):
                os.rmdir(folder)  # the host would, unless it was killed
        return
    for target, given in enumerate(task.fds[1:]):
        os.dup2(given, target)
    confinement.apply(task.request)
    if task.session is None:
        candidate.run_once(task.request, task.fds[0], zygote.began)
    candidate.run_many(task.request, task.fds[0], zygote.began, task.session, task.word)


if __name__ == "__main__":
    main()

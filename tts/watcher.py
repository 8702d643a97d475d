"""Ends the processes that write to a given log; as a program, once the one that started it is gone, however it went.

Nothing else marks them as surely on Linux. vLLM's processes have its log for standard output or error from their first
moment on, and so have those that they start. A process whose parent was killed has another parent; what /proc shows of
an environment is overwritten by a process that gives itself a title; a session or process group is the terminal's.
Neither what reads the log nor what writes to it by another descriptor is touched. Multiprocessing's resource trackers
are left, too: they end by themselves once nobody is left whose shared memory they would free.

As a program it loads the standard library alone, so that it starts in hundredths of a second. Knows nothing of vLLM.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

PATIENCE_SECONDS = 60.0  # for what was killed to be gone
PAUSE_SECONDS = 0.05
KEEP_LOG, SPARE_ALL = b"keep the log;", b"spare all;"
TRACKER = b"multiprocessing.resource_tracker"


class Watcher:
    """A process that waits for the end of this one, then ends what writes to a log and removes the log.

    Its standard input is a pipe that only this process holds, and its session is its own, so that what ends this
    process, a signal to its whole group included, does not end the watcher.
    """

    def __init__(self, log: Path) -> None:
        with log.open("rb") as file:  # which the watcher holds, so that it is known by its number though it is deleted
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(log), str(file.fileno())],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # and not the caller's, who may wait for the end of what we write
                stderr=subprocess.DEVNULL,
                pass_fds=[file.fileno()],
                start_new_session=True,
            )

    def keep_log(self) -> None:
        """Leave the log: it tells of a failure."""
        self._tell(KEEP_LOG)

    def end(self) -> None:
        """Have it do its work now; returns when that is done. Spares this process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def dismiss(self) -> None:
        """The same where all has ended in order: what still writes to the log is another's, begun in that moment."""
        self._tell(SPARE_ALL)
        self.end()

    def _tell(self, word: bytes) -> None:
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # somebody killed the watcher
                self._process.stdin.write(word)


def end_writers(log: os.stat_result, spared: Collection[int]) -> int:
    """Kill each process whose standard output or error is the log, and return how many there were. What they were about
    to start is found by asking again, until there are none.
    """
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = [pid for pid in pids if pid not in spared and _writes_to(pid, log) and not _is_tracker(pid)]
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def _writes_to(pid: int, log: os.stat_result) -> bool:
    for descriptor in (1, 2):
        with contextlib.suppress(OSError):  # closed, gone, or another user's
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{descriptor}"), log):
                return True
    return False


def _is_tracker(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return TRACKER in file.read()
    return False


def _watch(log: Path, descriptor: int) -> None:
    spared = {os.getpid(), os.getppid()}
    told = sys.stdin.buffer.read()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while SPARE_ALL not in told and end_writers(os.fstat(descriptor), spared) and time.monotonic() < deadline:
        time.sleep(PAUSE_SECONDS)
    if KEEP_LOG not in told:
        log.unlink(missing_ok=True)


if __name__ == "__main__":
    _watch(Path(sys.argv[1]), int(sys.argv[2]))

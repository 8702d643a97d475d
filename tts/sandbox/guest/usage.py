"""What a living process has used, read from outside of it. Loaded on both sides, so it imports nothing of tts."""

import os
import time


def cpu_of(pid: int) -> float:
    """CPU seconds of all its threads. Raises OSError if it has gone."""
    return time.clock_gettime(~pid << 3 | 2)  # the process's clock (CPUCLOCK_SCHED), as glibc numbers it


def open_status(pid: int) -> int:
    """A descriptor for `peak_of`. Raises OSError if it has gone."""
    return os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)


def peak_of(status: int) -> int:
    """The most resident bytes that it has had. Raises OSError if it has ended."""
    _, found, rest = os.pread(status, 4096, 0).partition(b"VmHWM:")
    if not found:
        raise ProcessLookupError("no memory: the process has ended")
    return int(rest.split(maxsplit=1)[0]) << 10

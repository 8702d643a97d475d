"""What a candidate's process may not do, made so by itself before it reads a byte of the candidate: limits, user,
capabilities, Landlock, seccomp. None of it can be undone.
"""

import ctypes
import os
import resource
import signal
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tts.sandbox.guest import landlock, seccomp, wire
else:
    import landlock
    import seccomp
    import wire

KINDS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_CORE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
)
PROCESSES = 512  # at once, threads included, where candidates have a user of their own
SHARED_PROCESSES = 512  # beyond those that an ordinary user has already, whose limit counts them all
STACK_ROOM = 1 << 30  # address space beyond the memory limit: stacks that are reserved and hardly touched
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 38
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_READ_SEARCH = 1 << 2
NEEDED_CAPS = 1 << 0 | 1 << 1 | CAP_DAC_READ_SEARCH | 1 << 5 | 1 << 6 | 1 << 7  # CHOWN to SETUID of capabilities(7)


@dataclass(frozen=True, slots=True)
class Account:
    """What candidates run as: their user id (None: the zygote's own), its limit of processes, and whether they must
    keep the right to read everything, since the interpreter is not readable to all.
    """

    uid: int | None
    processes: int
    read_all: bool


class Confinement:
    """Made by the zygote, which it binds in what is right for that as well. `prepare` makes the steps ready with which
    `apply` binds a child: an object that a child makes or looks at is a page that it must copy.
    """

    def __init__(self, folder: str, account: Account, guards: set[str], libc: ctypes.CDLL) -> None:
        os.chdir(folder)
        self.account, self.libc = account, libc
        own_files = "own_files" in guards
        self.filter = seccomp.Filter(own_files, libc) if "seccomp" in guards else None
        self.template_filter = seccomp.Filter(own_files, libc, forks=True) if "seccomp" in guards else None
        self.binding = list(self._binding(folder, "landlock" in guards))
        self.hard = {kind: resource.getrlimit(kind)[1] for kind in KINDS}
        self.steps: list[Callable[[], object]] = []
        self.limits: tuple[tuple[int, int], ...] = ()  # that the steps set
        self._limit(resource.RLIMIT_CORE, 0)()
        self._limit(resource.RLIMIT_NOFILE, wire.OPEN_FILES)()
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")

    def prepare(self, request: "wire.Request") -> None:
        """In the zygote: for this request's limits, which are the second nets. What is watched from outside is decided
        there.
        """
        tests = wire.KEPT_TESTS if request.mode in wire.KEPT else 1
        limits = (
            (resource.RLIMIT_AS, request.memory + STACK_ROOM),
            (resource.RLIMIT_CPU, int(tests * request.cpu_seconds) + 2),
            (resource.RLIMIT_FSIZE, request.output + 1),
            (resource.RLIMIT_NPROC, self.account.processes),
        )
        if limits != self.limits:
            self.limits = limits
            self.steps = [
                partial(os.setpgid, 0, 0),
                *(self._limit(kind, limit) for kind, limit in limits),
                *self.binding,
            ]

    def apply(self, calls: "seccomp.Filter | None") -> None:
        """Bind this process, for good, also to these system calls. Raises OSError if any part of it fails."""
        for step in self.steps:
            if step() == -1:  # libc's; the interpreter's own raise
                raise OSError(ctypes.get_errno(), f"{step}")
        if calls is not None:
            calls.install(os.getpid())

    def apply_to_template(self) -> None:
        """Bind a template, and let none of its forks, which have its user and its Landlock, look into it."""
        self.apply(self.template_filter)
        self.libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)

    def apply_to_fork(self) -> None:
        """Bind a fork of a template's, by what it has not of that."""
        os.setpgid(0, 0)
        self.libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
        self.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if self.filter is not None:
            self.filter.install(os.getpid())

    def _limit(self, kind: int, limit: int) -> Callable[[], object]:
        hard = self.hard[kind]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        return partial(resource.setrlimit, kind, (limit, limit))

    def _binding(self, folder: str, landlocked: bool) -> Iterator[Callable[[], object]]:
        """What is the same for all candidates, up to the filter of system calls."""
        yield partial(signal.pthread_sigmask, signal.SIG_SETMASK, ())  # the zygote's, and not what a program expects
        libc, account = self.libc, self.account
        if account.uid is not None:
            yield partial(libc.prctl, PR_SET_KEEPCAPS, int(account.read_all), 0, 0, 0)
            yield partial(os.setgroups, [])
            yield partial(os.setresgid, *[account.uid] * 3)
            yield partial(os.setresuid, *[account.uid] * 3)
        kept = CAP_DAC_READ_SEARCH if account.read_all else 0
        header, sets = struct.pack("<Ii", CAPABILITY_VERSION_3, 0), struct.pack("<6I", kept, kept, 0, 0, 0, 0)
        yield partial(libc.capset, header, sets)
        # else /proc/self, and with it /dev/stdin, would belong to root
        yield partial(libc.prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
        yield partial(libc.prctl, PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if landlocked:
            yield landlock.restriction(landlock.ruleset(readable(), folder, libc), libc)


def readable() -> list[str]:
    """What the interpreter and its libraries are made of."""
    system = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives"]
    return [*system, sys.prefix, sys.base_prefix]


def find_account() -> Account:
    """As root with the needed capabilities: an unused user id from the middle of those there are."""
    own = Account(None, processes_of(os.getuid()) + SHARED_PROCESSES, False)
    if os.geteuid() != 0 or os.getuid() != 0:
        return own
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    with open("/proc/self/uid_map") as file:
        first, _, count = max(([int(field) for field in line.split()] for line in file), key=lambda entry: entry[2])
    if effective & NEEDED_CAPS != NEEDED_CAPS or count < 1 << 15:
        return own
    uid = first + count // 2 + int.from_bytes(os.urandom(4), "little") % (count // 4)
    return Account(uid, PROCESSES, not all(map(readable_by_all, readable())))


def processes_of(uid: int) -> int:
    """How many processes and threads a user has now."""
    total = 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid == uid:
                total += len(os.listdir(f"/proc/{name}/task"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def readable_by_all(path: str) -> bool:
    """Whether another user could reach this path."""
    path = os.path.realpath(path)
    while os.path.exists(path) and os.stat(path).st_mode & stat.S_IXOTH:
        if path == "/":
            return True
        path = os.path.dirname(path)
    return not os.path.exists(path)

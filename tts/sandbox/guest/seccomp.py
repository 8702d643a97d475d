"""The system calls that a candidate may make, as a filter that the kernel runs on each of them.

An allow-list: what is not named here fails with EPERM and goes on failing in whatever the process becomes. A candidate
computes, uses its memory and its threads, and reads and writes the files that Landlock lets it open; it starts no
program and no process, opens no socket, and signals, traces or inspects nobody but itself. Why each group is here is
said beside it; a few calls are allowed with some arguments only.

The filter is classic BPF (seccomp(2), linux/filter.h): instructions of 8 bytes over the call's number, the processor's
architecture and the low halves of its arguments. Loads nothing but the standard library: it runs in the zygote.
"""

import ctypes
import errno
import platform
import signal
import struct
from collections.abc import Iterator
from functools import partial

# Name -> numbers on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl) and on aarch64 (asm-generic/unistd.h); None where
# that processor has no such call, because a newer one does its work.
FILES = {  # which ones can be opened is Landlock's to say
    "read": (0, 63), "write": (1, 64), "open": (2, None), "openat": (257, 56), "openat2": (437, 437), "close": (3, 57),
    "close_range": (436, 436), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68), "readv": (19, 65),
    "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286), "pwritev2": (328, 287),
    "stat": (4, None), "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439),
    "readlink": (89, None), "readlinkat": (267, 78), "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49),
    "fchdir": (81, 50), "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None),
    "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None),
    "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "truncate": (76, 45), "ftruncate": (77, 46),
    "fallocate": (285, 47), "fsync": (74, 82), "fdatasync": (75, 83), "flock": (73, 32), "umask": (95, 166),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "pipe": (22, None),
    "pipe2": (293, 59), "getxattr": (191, 8), "lgetxattr": (192, 9), "fgetxattr": (193, 10), "listxattr": (194, 11),
    "llistxattr": (195, 12), "flistxattr": (196, 13), "fadvise64": (221, 223),
}  # fmt: skip
METADATA = {  # Landlock does not look at these: only where all that can be named is the candidate's own
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "utimensat": (280, 88),
}  # fmt: skip
WAITING = {  # for descriptors that the candidate has: its own pipes, and the socket pairs that asyncio wakes itself by
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "eventfd2": (290, 19), "sendto": (44, 206), "recvfrom": (45, 207),
    "sendmsg": (46, 211), "recvmsg": (47, 212), "shutdown": (48, 210), "getsockopt": (55, 209),
    "getsockname": (51, 204), "getpeername": (52, 205),
}  # fmt: skip
MEMORY = {
    "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214),
    "mincore": (27, 232), "msync": (26, 227), "membarrier": (324, 283),
}  # fmt: skip
THREADS = {
    "futex": (202, 98), "futex_waitv": (449, 449), "set_robust_list": (273, 99), "get_robust_list": (274, 100),
    "set_tid_address": (218, 96), "rseq": (334, 293), "sched_yield": (24, 124), "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121), "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125),
    "sched_get_priority_min": (147, 126), "getpriority": (140, 141), "getcpu": (309, 168), "gettid": (186, 178),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
SIGNALS = {  # handlers and alarms of its own; sending is below
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102), "restart_syscall": (219, 128),
}  # fmt: skip
TIME = {
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165),
}  # fmt: skip
ITSELF = {  # who it is and what it may use, which tells it nothing of others
    "getpid": (39, 172), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158),
    "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156), "uname": (63, 160), "sysinfo": (99, 179),
    "getrandom": (318, 278), "getrlimit": (97, 163), "setrlimit": (160, 164), "capget": (125, 90),
    "wait4": (61, 260), "waitid": (247, 95), "arch_prctl": (158, None),
}  # fmt: skip
ALLOWED = FILES | WAITING | MEMORY | THREADS | SIGNALS | TIME | ITSELF

# Allowed where an argument (by its place) has one of these values.
CHOSEN = {
    "fcntl": ((72, 25), 1, (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032, 1034)),  # not: owners, leases, notices, sizes of pipes
    "ioctl": ((16, 29), 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # is it a terminal, how much is there
    "prctl": ((157, 167), 0, (3, 15, 16, 0x53564D41)),  # names of threads and mappings, and what is asked of itself
    "socketpair": ((53, 199), 0, (1,)),  # AF_UNIX
    "madvise": ((28, 233), 2, (0, 1, 2, 3, 4, 8, 14, 15, 16, 17, 18, 19)),  # not: to put pages where none counts them
}
MMAP = (9, 222)
MAP_SHARED, MAP_ANONYMOUS = 0x01, 0x20
# Allowed on the candidate's own process, by its number or, in the second group, as 0; kill(0) means the process group.
OWN = {"kill": (62, 129), "tgkill": (234, 131)}
OWN_OR_ZERO = {"prlimit64": (302, 261), "sched_setaffinity": (203, 122)}
SELF = 0x7E5E1F00  # stands for that number until the filter is installed; no process has it
CLONE = (56, 220)
CLONE_PARENT, CLONE_THREAD = 0x00008000, 0x00010000
FORK = CLONE_PARENT | signal.SIGCHLD  # a process that is a child of the caller's own parent
# What a template needs beside, which runs nothing of a candidate's: to fork, and what its forks do before theirs.
FORKING = {"kill": (62, 129), "tgkill": (234, 131), "setpgid": (109, 154), "prlimit64": (302, 261),
           "sched_setaffinity": (203, 122), "prctl": (157, 167)}  # fmt: skip
EXECVEAT = (322, 281)  # for compiled programs alone: from one descriptor, and nothing else of its family
AT_EMPTY_PATH = 0x1000
MISSING = (435, 435)  # clone3, whose arguments no filter can see: "no such call" makes glibc use clone

PROCESSORS = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # place in the tables, AUDIT_ARCH_*
X32 = 0x40000000  # calls of x86-64's other ABI

LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
DENIED = FAIL | errno.EPERM
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
INSTRUCTION, CONSTANT = struct.Struct("<HBBI"), struct.Struct("<I")  # struct sock_filter, which ends with the latter

Code = list[tuple[int, int, int, int]]  # operation, jump if true, jump if false, constant

THREAD: Code = [  # clone, for threads alone
    (LOAD, 0, 0, ARGUMENTS),
    (JUMP_ANY_BIT, 0, 1, CLONE_THREAD),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, DENIED),
]

# mmap, but not of memory that is shared and no file's: pages that were let go would be kept, and counted as nobody's.
MAPPING: Code = [
    (LOAD, 0, 0, ARGUMENTS + 8 * 3),
    (JUMP_ANY_BIT, 0, 2, MAP_ANONYMOUS),
    (JUMP_ANY_BIT, 0, 1, MAP_SHARED),
    (RETURN, 0, 0, DENIED),
    (RETURN, 0, 0, ALLOW),
]


def supported() -> bool:
    """Whether there is a table for this processor."""
    return platform.machine() in PROCESSORS


class Filter:
    """Made once, in the kernel's form, with a place for the number of the process that installs it. `own_files`: all
    files that can be written are the candidate's. `executable`: a descriptor that may be executed. `forks`: it is for
    a template, whose forks add a candidate's own.
    """

    def __init__(self, own_files: bool, libc: ctypes.CDLL, executable: int | None = None, forks: bool = False) -> None:
        place, architecture = PROCESSORS[platform.machine()]
        verdicts = _verdicts(place, own_files)
        if forks:
            verdicts |= {numbers[place]: [(RETURN, 0, 0, ALLOW)] for numbers in FORKING.values()}
            verdicts[CLONE[place]] = [*THREAD[:1], (JUMP_EQUAL, 1, 0, FORK), *THREAD[1:]]
        if executable is not None:
            verdicts[EXECVEAT[place]] = _execution(executable)
        code = [
            (LOAD, 0, 0, ARCHITECTURE),
            (JUMP_EQUAL, 1, 0, architecture),
            (RETURN, 0, 0, KILL),
            (LOAD, 0, 0, NUMBER),
            *_search(_segments(verdicts)),
        ]
        made = b"".join(INSTRUCTION.pack(*instruction) for instruction in code)
        self.made = ctypes.create_string_buffer(made, len(made))
        self.places = [i * INSTRUCTION.size + 4 for i, (*_, constant) in enumerate(code) if constant == SELF]
        described = struct.pack("@HxxxxxxP", len(code), ctypes.addressof(self.made))  # struct sock_fprog
        self.argument = ctypes.create_string_buffer(described, len(described))
        address = ctypes.addressof(self.argument)
        self.set = partial(libc.prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0)

    def install(self, pid: int) -> None:
        """Bind this process, whose number is `pid`, and all its threads to come. Needs no_new_privs. Raises OSError."""
        for place in self.places:
            CONSTANT.pack_into(self.made, place, pid)
        if self.set() != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"seccomp: {errno.errorcode.get(number, number)}")


def _verdicts(place: int, own_files: bool) -> dict[int, Code]:
    """Number -> what to do, for every call that is not simply denied."""
    found: dict[int, Code] = {}
    for numbers in (ALLOWED | (METADATA if own_files else {})).values():
        number = numbers[place]
        if number is not None:
            found[number] = [(RETURN, 0, 0, ALLOW)]
    for chosen, argument, values in CHOSEN.values():
        found[chosen[place]] = list(_one_of(argument, values))
    for own in OWN.values():
        found[own[place]] = list(_one_of(0, (SELF,)))
    for own in OWN_OR_ZERO.values():
        found[own[place]] = list(_one_of(0, (0, SELF)))
    found[CLONE[place]] = THREAD
    found[MMAP[place]] = MAPPING
    found[MISSING[place]] = [(RETURN, 0, 0, FAIL | errno.ENOSYS)]
    return found


def _one_of(argument: int, values: tuple[int, ...]) -> Iterator[tuple[int, int, int, int]]:
    """Allow a call whose argument is one of these, by its low half, which is all that an int has."""
    yield LOAD, 0, 0, ARGUMENTS + 8 * argument
    for left, value in zip(range(len(values) - 1, -1, -1), values, strict=True):
        yield JUMP_EQUAL, left + 1, 0, value
    yield RETURN, 0, 0, DENIED
    yield RETURN, 0, 0, ALLOW


def _execution(executable: int) -> Code:
    """Allow to execute what this descriptor is. A path in its place cannot be seen from here: that is Landlock's."""
    return [
        (LOAD, 0, 0, ARGUMENTS),
        (JUMP_EQUAL, 1, 0, executable),
        (RETURN, 0, 0, DENIED),
        (LOAD, 0, 0, ARGUMENTS + 8 * 4),
        (JUMP_EQUAL, 1, 0, AT_EMPTY_PATH),
        (RETURN, 0, 0, DENIED),
        (RETURN, 0, 0, ALLOW),
    ]


def _segments(verdicts: dict[int, Code]) -> list[tuple[int, Code]]:
    """(first number, what to do) of runs of numbers that are treated alike, ascending from 0."""
    denied: Code = [(RETURN, 0, 0, DENIED)]
    found = [(0, denied)]
    for number in sorted({*verdicts, *(number + 1 for number in verdicts), 0}):
        code = verdicts.get(number, denied)
        if code != found[-1][1]:
            found = found[:-1] if found[-1][0] == number else found
            found.append((number, code))
    return found


def _search(segments: list[tuple[int, Code]]) -> Code:
    """A binary search: the kernel runs it once for each number when the filter is installed, to know which calls are
    always allowed, so that a list would cost more than all else there.
    """
    if len(segments) == 1:
        return segments[0][1]
    middle = len(segments) // 2
    below, above = _search(segments[:middle]), _search(segments[middle:])
    assert len(below) < 256, "a jump's width"
    return [(JUMP_AT_LEAST, len(below), 0, segments[middle][0]), *below, *above]

"""Which files a candidate may open, through Landlock (landlock(7)): a set of rules made once by the zygote, to which
each candidate binds itself.

The interpreter and the libraries can be read, three devices and the candidate's own folder can be written, nothing else
of the file system can be opened, listed, made, moved or removed, no TCP port bound or reached, and, where the kernel
knows these scopes, no process outside signalled and no abstract socket joined. Descriptors that are open already are
not affected: a candidate's standard streams are memory files. Loads nothing but the standard library: it runs in the
zygote.
"""

import ctypes
import os
import struct
from collections.abc import Callable, Sequence
from functools import partial

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on x86-64 and aarch64
VERSION_FLAG, PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
# Access rights that a version of the interface knows, each version with those before it (linux/landlock.h).
RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: TRUNCATE, 5: IOCTL_DEV}
NETWORK = {4: 0b11}  # to bind and to connect, TCP
SCOPES = {6: 0b11}  # abstract UNIX sockets and signals
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # what a rule on a file, not a folder, may name
READ = READ_FILE | READ_DIR
DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


def version(libc: ctypes.CDLL) -> int:
    """The kernel's version of the interface; 0 without Landlock."""
    return max(0, int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG))))


def ruleset(readable: Sequence[str], writable: str, libc: ctypes.CDLL) -> int:
    """A descriptor of the rules. Paths that are not there are passed over. Raises OSError."""
    known = version(libc)
    handled = _sum(RIGHTS, known)
    attributes = struct.pack("<QQQ", handled, _sum(NETWORK, known), _sum(SCOPES, known))
    size = 8 if known < 4 else 16 if known < 6 else 24  # as the version knows the structure
    found = libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint32(0))
    if found < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path in readable:
        _allow(found, path, READ, libc)
    for device in DEVICES:
        _allow(found, device, READ_FILE | WRITE_FILE, libc)
    _allow(found, writable, handled & ~EXECUTE, libc)
    return int(found)


def restriction(rules: int, libc: ctypes.CDLL) -> Callable[[], int]:
    """What binds the process that calls it and all that it will start; -1 if that fails. Needs no_new_privs."""
    return partial(libc.syscall, RESTRICT_SELF, rules, 0)


def _allow(rules: int, path: str, access: int, libc: ctypes.CDLL) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # not there, or not for us: then not for the candidate either
        return
    try:
        if not os.path.isdir(path):
            access &= OF_FILES
        attributes = struct.pack("<Qi", access, fd)  # struct landlock_path_beneath_attr is packed
        if libc.syscall(ADD_RULE, ctypes.c_int(rules), ctypes.c_int(PATH_BENEATH), attributes, ctypes.c_uint32(0)) != 0:
            raise OSError(ctypes.get_errno(), f"landlock_add_rule for {path}")
    finally:
        os.close(fd)


def _sum(table: dict[int, int], known: int) -> int:
    return sum(rights for since, rights in table.items() if since <= known)

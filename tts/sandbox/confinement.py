"""The command that starts a cell's zygote at a level of confinement, and what the levels mean.

Which level holds on this machine is found out by `levels.py`; this file only knows how each is started.
"""

import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

GUEST = Path(__file__).with_name("guest")
STACK_BYTES = 512 << 20
TMP_BYTES = 64 << 20
COMPILER_BYTES = 256 << 20

# A process's memory is laid out for the stack limit it starts with, so the limit must be raised before the last exec; a
# `preexec_fn` would do that too, and can deadlock in a process with threads.
LAUNCH = 'ulimit -S -s "$0" && exec "$@"'
ENVIRONMENT = {"PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"}  # of a zygote, which empties it for its candidates


class Level(StrEnum):
    """How well candidates are confined."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


MEANING = {
    Level.A: "namespaces of their own (bubblewrap), Landlock, a system call filter",
    Level.B: "Landlock and a system call filter, in the host's namespaces",
    Level.C: "a system call filter alone, so that programs can read every file that their user may read",
    Level.D: "limits alone, which do not protect from a program that wants to do harm",
}
GUARDS = {
    Level.A: ("landlock", "seccomp", "own_files"),
    Level.B: ("landlock", "seccomp"),
    Level.C: ("seccomp",),
    Level.D: (),
}


@dataclass(frozen=True, slots=True)
class Confinement:
    """A level, the bubblewrap that makes its namespaces (level A), and why no higher level holds."""

    level: Level
    bwrap: str = ""
    why: str = ""

    @property
    def has_own_files(self) -> bool:
        """Whether a cell's folder is inside it, not the host's."""
        return self.level is Level.A

    def command(self, control: int, folder: str) -> list[str]:
        """What starts a zygote that listens on a descriptor; `folder` is the host's, for its candidates to work in."""
        guest, room = ("/tts", _room()) if self.has_own_files else (str(GUEST), folder)
        zygote = [sys.executable, "-s", "-B", "-X", "utf8", f"{guest}/zygote.py", str(control), room]
        inside = [*self._namespaces(), *zygote, *GUARDS[self.level]]
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        stack = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
        return ["/bin/sh", "-c", LAUNCH, str(stack >> 10), *inside]

    def compiler_command(self, inside: Sequence[str]) -> list[str]:
        """What runs a command in namespaces that hold the system's files and an empty folder, at level A: no /proc and
        no device, which a compiler can be told to read, and not the interpreter.
        """
        room = ["--size", str(COMPILER_BYTES), "--tmpfs", "/tmp", "--chdir", "/tmp"]
        return [*self._isolated(), *_system_files(), *room, "--", *inside]

    def _namespaces(self) -> list[str]:
        """bubblewrap and its options (bwrap(1)); nothing at other levels."""
        if not self.has_own_files:
            return []
        words = [*self._isolated(), *_system_files(), *_interpreter_files()]
        words += ["--ro-bind", str(GUEST), "/tts", "--proc", "/proc", "--dev", "/dev"]
        return [*words, "--size", str(TMP_BYTES), "--tmpfs", _room(), "--chdir", _room(), "--"]

    def _isolated(self) -> list[str]:
        kinds = ("user", "pid", "net", "ipc", "uts")
        words = [self.bwrap, *(f"--unshare-{kind}" for kind in kinds), "--unshare-cgroup-try"]
        return [*words, "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "cell"]


def _room() -> str:
    """The folder that a candidate may write, inside a cell: /tmp, unless that would hide the interpreter."""
    hidden = any(Path(path).is_relative_to("/tmp") for path in (sys.base_prefix, sys.prefix))
    return "/candidate" if hidden else "/tmp"


def _system_files() -> list[str]:
    """Options that show the system's libraries and programs, and nothing else of the host's files."""
    words = ["--ro-bind", "/usr", "/usr"]
    for path in ("/bin", "/sbin", "/lib", "/lib64"):
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    for path in ("/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives"):
        words += ["--ro-bind-try", path, path]
    return words


def _interpreter_files() -> list[str]:
    """Options that show the interpreter, where it is not the system's."""
    words = []
    for path in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not Path(path).is_relative_to("/usr"):
            words += ["--ro-bind", path, path]
    return words

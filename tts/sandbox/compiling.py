"""The compile step: a system's compiler works on a program's text in namespaces of its own, and what it made is taken
out as a sealed memory file.

A compiler does much of what the text asks of it, and is not made to withstand it: it gets the text on its standard
input, a folder of bounded size, the system's files to read, limits, and nothing else. Whatever it then does is the
program's doing (`CompileFailed`); only that it could not be started is ours.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from tts.errors import InfraError
from tts.sandbox.cell import CellDied
from tts.sandbox.confinement import Confinement, Level
from tts.sandbox.files import SEALS, sealed, tail

WALL_SECONDS = 120.0
SOURCE_BYTES = 4 << 20
LIMITS = {"cpu": "20:22", "as": 1 << 30, "fsize": 64 << 20, "nproc": 64, "core": 0}  # of each process (prlimit(1))
PROGRAM = "/tmp/program"
KILLED = "Killed signal terminated program"  # what g++ says if not our limits, but the kernel ended its compiler
REFUSED = 66  # the script's exit status if the compiler had a non-zero one
SCRIPT = f'export PATH=/usr/bin:/bin\n"$@" >&2 || exit {REFUSED}\nexec cat {PROGRAM}'
TICK_SECONDS = 0.1
EXECUTE_ONLY = 0o111  # of what cannot be read the kernel keeps no core, which something of the host's would look into


class CompileFailed(Exception):
    """The program's own failure to compile; the message says why, and ends with the compiler's words."""


def build(command: Sequence[str], code: str, confinement: Confinement, stopped: Callable[[], bool]) -> int:
    """A descriptor of the program that a command makes, at PROGRAM, of the text on its standard input. Raises
    CompileFailed, CellDied for what another attempt may mend, and InfraError if it is `stopped` meanwhile.
    """
    assert confinement.level is Level.A, "a compiler needs bubblewrap's namespaces"
    text = code.encode("utf-8", "surrogatepass")
    if len(text) > SOURCE_BYTES:
        raise CompileFailed(f"does not compile: its text has over {SOURCE_BYTES >> 20} MiB")
    limits = [f"--{name}={value}" for name, value in LIMITS.items()]
    inside = ["prlimit", *limits, "sh", "-c", SCRIPT, "sh", *command]
    with ExitStack() as closing, ExitStack() as undo:
        source = sealed(text)
        closing.callback(os.close, source)
        messages = os.memfd_create("messages")
        closing.callback(os.close, messages)
        program = os.memfd_create("program", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        undo.callback(os.close, program)
        status = _status(confinement.compiler_command(inside), (source, program, messages), stopped)
        _check(status, os.fstat(program).st_size, tail(messages))
        fcntl.fcntl(program, fcntl.F_ADD_SEALS, SEALS)
        os.fchmod(program, EXECUTE_ONLY)
        undo.pop_all()
    return program


def _status(command: Sequence[str], streams: Sequence[int], stopped: Callable[[], bool]) -> int | None:
    """The exit status of a command with these streams; None if it takes too long, and is killed."""
    stdin, stdout, stderr = streams
    deadline = time.monotonic() + WALL_SECONDS
    process = subprocess.Popen(
        command, env={}, cwd="/", stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )
    try:
        while time.monotonic() < deadline:
            if stopped():
                raise InfraError("stopped")
            with suppress(subprocess.TimeoutExpired):
                return process.wait(TICK_SECONDS)
        return None
    finally:
        process.kill()  # and with it, if it still runs, all that is in its namespaces
        process.wait()


def _check(status: int | None, size: int, said: str) -> None:
    if status is None:
        raise CompileFailed(f"does not compile within {WALL_SECONDS:.0f} s\n{said}")
    if status == REFUSED and KILLED not in said:
        raise CompileFailed(f"does not compile\n{said}")
    if status != 0:
        raise CellDied(f"The compiler's process ended with status {status}. Its last words: {said or 'none'}")
    if size == 0:
        raise CompileFailed(f"does not compile: the compiler wrote no program\n{said}")

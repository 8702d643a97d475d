"""The sandbox's self-test: one program that tries to get out in many ways, and says which worked.

The same program runs outside the sandbox first, as the control: what does not work there either shows nothing and is
not counted, and if too little works the test is not believed. Everything that it tries is harmless and aimed at things
that the test itself made.
"""

import contextlib
import errno
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tts.errors import InfraError
from tts.sandbox.cell import Cell
from tts.sandbox.confinement import Confinement, Level
from tts.sandbox.outcome import Limits, Status
from tts.types import Stdin

LIMITS = Limits(cpu_seconds=5.0, memory_mib=256, output_mib=1)
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EROFS)
LEAST_CONTROLS = 10  # attempts that must work outside, or the test shows nothing
CONTROL_SECONDS = 20.0

# Name -> the body of a function that returns whether it got out; `given` holds what the test prepared.
ATTEMPTS = {
    "read a file": "return open(given['file']).read() == given['secret']",
    "list a folder": "return bool(os.listdir(given['folder']))",
    "write a file": "open(given['folder'] + '/made', 'w').close(); return True",
    "see a process": "return given['secret'] in open(f\"/proc/{given['process']}/cmdline\").read()",
    "signal a process": "os.kill(given['process'], 0); return True",
    "read another's environment": "return bool(open(f'/proc/{os.getppid()}/environ', 'rb').read())",
    "have the host's environment": "return 'TTS_SECRET' in os.environ",
    "reach a port": "socket.create_connection(('127.0.0.1', given['port']), 1).close(); return True",
    "reach an abstract socket": """
        with socket.socket(socket.AF_UNIX) as reached:
            reached.connect('\\0' + given['secret'])
        return True""",
    "open a socket": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(); return True",
    "see shared memory": "return os.path.exists('/dev/shm') and bool(open(given['shared']).read())",
    "make System V shared memory": """
        made = call('shmget', 0, 4096, 0o1600)
        return made >= 0 and call('shmctl', made, 0, 0) == 0""",
    "start a process": """
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        return True""",
    "start a program": "return subprocess.call(['/bin/true']) == 0",
    "make a memory file": "os.close(os.memfd_create('x')); return True",
    "make namespaces": "return call('unshare', 0x10000000) == 0",
    "be traced": "return call('ptrace', 0, 0, 0, 0) == 0",
    "use the keyring": "return call('keyctl', 0, -3, 0) >= 0",
    "use an inherited descriptor": "os.fstat(given['descriptor']); return True",
    "hold a right of root's": "return held() & ~4 != 0",  # CAP_DAC_READ_SEARCH, if only root reads the interpreter
}
# What level C lets through by its definition: files that its user may read or write.
FILES_ONLY = {
    "read a file",
    "list a folder",
    "write a file",
    "see a process",
    "read another's environment",
    "see shared memory",
}

HEAD = """
import ctypes, json, os, platform, socket, subprocess, sys
given = json.loads(sys.stdin.readline())
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {'shmget': (29, 194), 'unshare': (272, 97), 'ptrace': (101, 117), 'keyctl': (250, 219), 'shmctl': (31, 195)}
PLACE = 0 if platform.machine() == 'x86_64' else 1
def call(name, *arguments):
    return libc.syscall(NUMBERS[name][PLACE], *map(ctypes.c_long, arguments))
def held():
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets) != 0:
        raise OSError
    return sets[0] | sets[3] << 32
found = []
"""
TAIL = """
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One attempt: whether it works outside, and whether it worked inside."""

    name: str
    outside: bool
    inside: bool


def attempt_all(confinement: Confinement) -> tuple[tuple[Finding, ...], str]:
    """(findings, why the level does not hold or "")."""
    try:
        with _prepared() as given:
            outside = _control(given)
            inside = _inside(confinement, given)
    except subprocess.TimeoutExpired as error:
        raise InfraError(
            f"The sandbox's self-test could not be run: {CONTROL_SECONDS:.0f} s were not enough for a program of a "
            "fraction of a second. Run the command again when this machine is less busy."
        ) from error
    except (InfraError, OSError) as error:
        if isinstance(error, OSError) and error.errno in EXHAUSTED:  # which says nothing of the sandbox
            raise InfraError(
                f"The sandbox's self-test could not be run: {error}. Free some, or raise the limit (see ulimit -a)."
            ) from error
        return (), f"no cell starts{f' with {confinement.bwrap}' * confinement.has_own_files} ({_one_line(error)})."
    findings = tuple(Finding(name, name in outside, name in inside) for name in ATTEMPTS)
    working = [finding.name for finding in findings if finding.outside]
    if len(working) < LEAST_CONTROLS:
        return findings, f"the test shows nothing, since only {len(working)} of its attempts work outside the sandbox."
    allowed = _allowed(confinement.level)
    escaped = [finding.name for finding in findings if finding.inside and finding.name not in allowed]
    return findings, f"a candidate can {', '.join(escaped)}." if escaped else ""


def _allowed(level: Level) -> set[str]:
    if level is Level.D:
        return set(ATTEMPTS)
    return FILES_ONLY if level is Level.C else set()


def program() -> str:
    """The program that tries everything."""
    parts = [HEAD]
    for number, (name, body) in enumerate(ATTEMPTS.items()):
        lines = textwrap.indent(textwrap.dedent(body).strip(), "    ")
        parts.append(
            f"def attempt_{number}():\n{lines}\n"
            f"try:\n    if attempt_{number}(): found.append({name!r})\nexcept Exception: pass\n"
        )
    return "".join([*parts, TAIL])


def _inside(confinement: Confinement, given: dict[str, object]) -> set[str]:
    with Cell(confinement) as cell:
        outcome = cell.run(program(), Stdin(json.dumps(given) + "\n", ""), LIMITS)
    if outcome.status is not Status.OK:
        raise InfraError(f"the self-test ended with {outcome.status}: {outcome.detail}")
    return set(json.loads(outcome.output))


def _control(given: dict[str, object]) -> set[str]:
    """The same program, unconfined, as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program()],
        input=json.dumps(given) + "\n",
        capture_output=True,
        text=True,
        timeout=CONTROL_SECONDS,
        env={"TTS_SECRET": "1"},
        pass_fds=[int(str(given["descriptor"]))],
    )
    if done.returncode != 0:
        raise InfraError(f"the self-test's control failed: {done.stderr[-300:]}")
    return set(json.loads(done.stdout))


@contextmanager
def _prepared() -> Iterator[dict[str, object]]:
    """Things that an escape would reach, each made for this test."""
    secret = secrets.token_hex(8)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tts-escape-")))
        folder.chmod(0o777)
        (folder / "file").write_text(secret)
        shared = Path("/dev/shm") / f"tts-{secret}"
        with contextlib.suppress(OSError):
            shared.write_text(secret)
            stack.callback(shared.unlink, missing_ok=True)
        ports = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0{secret}")
        abstract.listen()
        waiting = [sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()", secret]
        victim = stack.enter_context(subprocess.Popen(waiting, stdin=subprocess.PIPE))
        stack.callback(victim.kill)
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        stack.callback(os.close, writing)
        yield {
            "secret": secret,
            "file": str(folder / "file"),
            "folder": str(folder),
            "shared": str(shared),
            "port": ports.getsockname()[1],
            "process": victim.pid,
            "descriptor": reading,
        }


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]

"""Attacks do not succeed, right programs pass under the same confinement, and the host is as it was before.

`hostile.py` has the programs. All are graded once per file, and each test looks at one program's grade or at one kind
of harm to the host.
"""

import ctypes
import importlib.util
import multiprocessing.shared_memory
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hostile import ADD, BENIGN, CLEAN, HOSTILE, QUICK, Program

from tts.grade import Grade, GradeJob, Grader, Undecided
from tts.sandbox import Limits
from tts.types import Call, Stdin, Test, Verdict

REPOSITORY = Path(__file__).parents[2]
WORLD_WRITABLE = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/run/lock", "/var/crash", "/")
WORKERS = 2
IPC_RMID = 0
VICTIM = """
import signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print("ready", flush=True)
time.sleep(3600)
"""
HARM = ("file", "port", "signal", "process", "ipc", "change")

GradeAll = Callable[..., dict[str, Grade | Undecided]]


@dataclass(frozen=True)
class Host:
    """What programs may try to reach or to harm, and the words that stand for it in their text."""

    mark: str
    folder: Path
    victim: int
    words: Mapping[str, str]
    listeners: tuple[socket.socket, ...]
    before: Mapping[str, tuple[int, ...]]

    def fill(self, text: str, name: str = "") -> str:
        """A program's text for this host."""
        for word, meaning in {**self.words, "SHARED": str(self.shared(name)), "NAME": name}.items():
            text = text.replace(f"@{word}@", meaning)
        return text

    def tests(self, program: Program) -> list[Test]:
        """A program's tests for this host."""
        return [
            Stdin(test.input, self.fill(test.output))
            if isinstance(test, Stdin)
            else replace(test, returns=self.fill(test.returns) if isinstance(test.returns, str) else test.returns)
            for test in program.tests
        ]

    def shared(self, name: str) -> Path:
        """The file that this program may write to."""
        return self.folder / "shared" / name / "shared"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with ExitStack() as stack:
        yield _set_up(stack)


def _set_up(stack: ExitStack) -> Host:
    mark, secret = f"tth{os.getpid()}x", f"needle-{secrets.token_hex(16)}"
    folder = Path(tempfile.mkdtemp(prefix=f"{mark}-", dir="/tmp"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.callback(_remove_traces, mark, folder)
    folder.chmod(0o755)
    (folder / "secret").write_text(f"{secret}\n")
    (folder / "secret").chmod(0o644)
    writable = [folder / "open", *(folder / "shared" / p.name for p in HOSTILE if p.must_not == "change")]
    for place in writable:
        place.mkdir(parents=True)
        place.chmod(0o777)
        if place.parent.name == "shared":
            (place / "shared").write_text("as it was\n")
            (place / "shared").chmod(0o666)
    listeners = _listeners(stack, mark, folder / "open" / "socket")
    memory = multiprocessing.shared_memory.SharedMemory(f"{mark}-secret", create=True, size=100)
    stack.callback(memory.unlink)
    stack.callback(memory.close)
    memory.buf[: len(secret)] = secret.encode()
    Path("/dev/shm", memory.name).chmod(0o666)
    environment = pytest.MonkeyPatch()
    stack.callback(environment.undo)
    environment.setenv("A_SECRET", secret)
    victim = _victim(stack)
    words = {
        "FOLDER": str(folder / "open"),
        "FILE": str(folder / "secret"),
        "SHM": memory.name,
        "PORT": str(listeners[0].getsockname()[1]),
        "ABSTRACT": f"{mark}-stream",
        "DATAGRAM": f"{mark}-datagram",
        "VICTIM": str(victim),
        "HOST": str(os.getpid()),
        "KEY": str(_key()),
        "REPOSITORY": str(REPOSITORY),
        "SECRET": secret,
        "MARK": mark,
        "NICE": str(os.nice(0)),
        "CPUS": "1" if len(os.sched_getaffinity(0)) <= WORKERS else str(len(os.sched_getaffinity(0))),
    }
    return Host(mark, folder, victim, words, listeners, {str(p): _state(p) for p in folder.glob("shared/*/shared")})


def _listeners(stack: ExitStack, mark: str, path: Path) -> tuple[socket.socket, ...]:
    """A TCP and a UDP socket on one port, and UNIX sockets with an abstract name and with a path."""
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.bind(("127.0.0.1", 0))
    udp.bind(tcp.getsockname())
    stream, file = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    datagram = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    stream.bind(f"\0{mark}-stream")
    datagram.bind(f"\0{mark}-datagram")
    file.bind(str(path))
    path.chmod(0o777)
    for listener in (tcp, stream, file):
        listener.listen(100)
    found = (tcp, udp, stream, file, datagram)
    for listener in found:
        stack.callback(listener.close)
        listener.setblocking(False)
    return found


def _victim(stack: ExitStack) -> int:
    """A process that blocks all signals, so that those which reach it stay pending, with the secret around it."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", VICTIM], stdout=subprocess.PIPE, text=True)
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdout
    stack.callback(process.stdout.close)
    assert process.stdout.readline() == "ready\n"
    return process.pid


def _key() -> int:
    return 0x40000000 | os.getpid()


def _state(path: Path) -> tuple[int, ...]:
    """Nothing of a file that is not there any more."""
    with suppress(FileNotFoundError):
        found = path.lstat()
        attributes = len(os.listxattr(path, follow_symlinks=False))
        return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, attributes
    return ()


def _marked(mark: str) -> list[Path]:
    return [path for top in WORLD_WRITABLE for path in Path(top).glob(f"*{mark}*")]


def _remove_traces(mark: str, folder: Path) -> None:
    for path in _marked(mark):
        if path.is_dir() and path != folder:
            shutil.rmtree(path)
        elif path != folder:
            path.unlink(missing_ok=True)
    for pid in _marked_processes(mark):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    libc = ctypes.CDLL(None)
    for get, control in ((libc.shmget, libc.shmctl), (libc.msgget, libc.msgctl)):
        found = get(_key(), 0, 0) if get is libc.shmget else get(_key(), 0)
        if found >= 0:
            control(found, IPC_RMID, None)
    found = libc.semget(_key(), 0, 0)
    if found >= 0:
        libc.semctl(found, 0, IPC_RMID)


def _marked_processes(mark: str) -> dict[int, str]:
    """The processes with the mark in their name, command line, environment or folder."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        place = Path("/proc", name)
        with suppress(OSError):
            seen = [place.joinpath(part).read_bytes() for part in ("comm", "cmdline", "environ")]
            seen.append(os.fsencode(os.readlink(place / "cwd")))
            if int(name) != os.getpid() and mark.encode() in b" ".join(seen):
                found[int(name)] = seen[0].decode(errors="replace").strip()
    return found


@pytest.fixture(scope="module", params=[{}, {"level": "B"}, {"isolation": "program"}], ids=["A", "B", "program"])
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The options of a grader for which all must hold: a level of confinement, a level of isolation."""
    return dict(request.param)


@pytest.fixture(scope="module")
def grade(host: Host, options: dict[str, Any]) -> GradeAll:
    """Grades programs, those of equal limits together, by name."""

    def grade_all(programs: Iterable[Program], workers: int = WORKERS) -> dict[str, Grade | Undecided]:
        by_limits: dict[Limits, list[GradeJob]] = {}
        for program in programs:
            job = GradeJob(program.name, host.fill(program.code, program.name), host.tests(program))
            by_limits.setdefault(program.limits, []).append(job)
        return {
            done.problem_id: done
            for limits, jobs in by_limits.items()
            for done in Grader(limits, workers, **options).grade(jobs)
        }

    return grade_all


def _missing(program: Program) -> str:
    """Why a program cannot be tried here."""
    if program.needs == "x86_64":
        return "" if platform.machine() == "x86_64" else "the numbers of system calls are x86-64's"
    known = not program.needs or importlib.util.find_spec(program.needs)
    return "" if known else f"{program.needs} is not installed"


@pytest.fixture(scope="module")
def grades(grade: GradeAll) -> dict[str, Grade | Undecided]:
    """What came of every program, the hostile ones first."""
    return grade([program for program in [*HOSTILE, *BENIGN] if not _missing(program)])


@pytest.fixture(scope="module")
def harm(host: Host, grades: Mapping[str, Grade | Undecided]) -> dict[str, list[str]]:
    """What the host shows of each kind of harm, after all programs have been graded."""
    assert grades
    deadline = time.monotonic() + 2
    while _marked_processes(host.mark) and time.monotonic() < deadline:
        time.sleep(0.05)  # what has been killed may take a moment to go
    shared = {str(Path(name).parent.name) for name, state in host.before.items() if _state(Path(name)) != state}
    return {
        "file": sorted(_files(host)),
        "port": sorted(_received(host.listeners)),
        "signal": _signals(host.victim),
        "process": [f"{pid} {name}" for pid, name in _marked_processes(host.mark).items()],
        "ipc": _ipc(),
        "change": sorted(shared),
    }


def _files(host: Host) -> set[str]:
    ours = {str(host.folder), f"/dev/shm/{host.mark}-secret"}
    made = {path.name for path in (host.folder / "open").iterdir()} - {"socket"}
    return made | {str(path) for path in _marked(host.mark)} - ours


def _received(listeners: Sequence[socket.socket]) -> set[str]:
    found = set()
    for listener in listeners:
        with suppress(BlockingIOError):
            while True:
                if listener.type == socket.SOCK_DGRAM:
                    found.add(listener.recv(1000).decode(errors="replace"))
                else:
                    with listener.accept()[0] as connection:
                        connection.settimeout(1)
                        found.add(connection.recv(1000).decode(errors="replace") or "a connection")
    return found


def _signals(victim: int) -> list[str]:
    """The signals that have reached the victim."""
    try:
        lines = Path(f"/proc/{victim}/status").read_text().splitlines()
    except FileNotFoundError:
        return ["SIGKILL"]
    state = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    pending = int(state["SigPnd"], 16) | int(state["ShdPnd"], 16)
    found = [signal.Signals(n).name for n in signal.valid_signals() if n < 32 and pending >> n - 1 & 1]
    return found + (["SIGSTOP or SIGKILL"] if state["State"][0] in "TZ" else [])


def _ipc() -> list[str]:
    """The System V objects with the test's key."""
    found = []
    for path in Path("/proc/sysvipc").glob("*"):
        for line in path.read_text().splitlines()[1:]:
            if int(line.split()[0]) == _key():
                found.append(path.name)
    return found


def _skip_unless_possible(program: Program) -> None:
    if _missing(program):
        pytest.skip(_missing(program))


DISK = "level B bounds each file, not how many there are (docs/grading.md)"
NOT_PROMISED = {
    ("B", "disk-many_files"): DISK,
    ("B", "disk-inodes"): DISK,
    ("B", "disk-unlinked"): DISK,
    ("B", "system_calls-capability_kept"): "where only root can read the interpreter, the right to read is kept",
}


@pytest.mark.parametrize("program", HOSTILE, ids=lambda program: program.name)
def test_an_attack_does_not_succeed(grades, program, options, request):
    _skip_unless_possible(program)
    why = NOT_PROMISED.get((options.get("level", options.get("isolation", "A")), program.name))
    if why is not None:
        request.applymarker(pytest.mark.xfail(reason=why))
    done = grades[program.name]

    assert isinstance(done, Grade), done
    assert done.verdict in program.verdicts, done


@pytest.mark.parametrize("program", BENIGN, ids=lambda program: program.name)
def test_a_right_program_passes(grades, program, request):
    _skip_unless_possible(program)
    if program.name == "right_text-cache_recursion" and sys.version_info[:2] == (3, 12):
        request.applymarker(pytest.mark.xfail(reason="Python 3.12 bounds recursion through C, whatever the stack"))
    done = grades[program.name]

    assert isinstance(done, Grade), done
    assert (done.verdict, done.passed) == (Verdict.PASSED, len(program.tests)), done


@pytest.mark.parametrize("kind", HARM)
def test_the_host_is_unharmed(harm, kind):
    assert harm[kind] == []


def test_diagnostics_are_bounded(grades):
    assert {name: len(done.detail) for name, done in grades.items() if len(getattr(done, "detail", "")) > 4000} == {}


def test_a_right_program_passes_after_each_poison(grade):
    mixed = []
    for program in [p for p in HOSTILE if p.group.startswith("poison") and not _missing(p)]:
        clean = f"# after {program.name}\n{CLEAN}"
        mixed += [replace(program, limits=QUICK), Program(f"after {program.name}", "clean", clean, ADD, frozenset())]

    done = grade([program for program in mixed if program.limits == QUICK], workers=1)

    clean = {name: result for name, result in done.items() if name.startswith("after ")}
    assert len(clean) == len(mixed) // 2
    assert {n: str(d) for n, d in clean.items() if getattr(d, "verdict", None) is not Verdict.PASSED} == {}


def test_the_programs_cover_their_groups():
    names = [program.name for program in (*HOSTILE, *BENIGN)]

    assert len(set(names)) == len(names)
    assert len(HOSTILE) >= 90 and len(BENIGN) >= 40
    assert all(program.must_not in ("", *HARM) for program in HOSTILE)
    harmless = {
        program.name for program in HOSTILE if program.name.startswith("files-deep")
    }  # right if they are judged
    passing = {program.name for program in HOSTILE if Verdict.PASSED in program.verdicts and not program.must_not}
    assert passing == harmless
    assert {type(test) for program in HOSTILE for test in program.tests} == {Stdin, Call}

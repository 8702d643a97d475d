"""The guest side of a cell: a zygote that forks one candidate process per test, watches it and buries it.

Run by path in a process of its own (`cell.py` starts it); of tts it loads `wire.py` alone. The zygote never reads a
candidate's program, input or output: it passes descriptors on, so that nothing a candidate does reaches it. Any error
of its own ends it, which the host sees and mends with a new cell; it cannot turn one into a candidate's failure.

What this first isolation does not do: no namespaces and no system call filter. A candidate can read what its user can
read, can write to world-writable folders and use the network. Run as root, candidates get a user id of their own and
can signal nothing but themselves; run as an ordinary user, they could kill their zygote or all else of that user's.
"""

import atexit
import builtins
import contextlib
import ctypes
import errno
import fcntl
import gc
import importlib
import io
import mmap
import os
import random
import resource
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from tts.sandbox import wire
else:
    import wire  # by path: the script's own folder is sys.path[0] until `main` removes it

MODULES = (
    "string re datetime collections heapq bisect copy math random statistics itertools functools operator io sys json"
)
COMMON = "array cmath decimal enum fractions queue struct traceback types"  # loaded once here rather than once per test
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
RECURSION_LIMIT = 50_000  # as in LiveCodeBench's prelude
PROCESSES = 64  # at once, threads included, where candidates have a user of their own
SHARED_PROCESSES = 512  # beyond those that an ordinary user has already, whose limit counts them all
OPEN_FILES = 128
THREAD_STACK = 8 << 20
STACK_ROOM = 1 << 30  # address space beyond the memory limit: stacks that are reserved and hardly touched
TICK_MS = 10
BURIAL_SECONDS = 10.0
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 8, 36, 38
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_READ_SEARCH = 1 << 2
NEEDED_CAPS = 1 << 0 | 1 << 1 | CAP_DAC_READ_SEARCH | 1 << 5 | 1 << 6 | 1 << 7  # CHOWN to SETUID of capabilities(7)


class HostGone(Exception):
    """The host closed the socket: bury what runs and end."""


@dataclass(frozen=True, slots=True)
class Account:
    """What candidates run as: their user id (None: the zygote's own), its limit of processes, and whether they must
    keep the right to read everything."""

    uid: int | None
    processes: int
    read_all: bool


@dataclass(frozen=True, slots=True)
class Task:
    """One test: the host's request, its five descriptors (job, input, output, errors, result), and the folder."""

    request: "wire.Request"
    fds: tuple[int, ...]
    room: str


class Zygote:
    """The loop that waits for a request, forks, watches, buries and replies."""

    def __init__(self, control: socket.socket, folder: str, account: Account) -> None:
        self.control, self.folder, self.account = control, folder, account
        self.began = mmap.mmap(-1, 4096)  # shared: a child sets the first byte when the candidate's own code begins
        self.tests = 0

    def serve(self) -> Task | None:
        """Serves until the host hangs up. Returns None then, or, in a forked child, the task that it must run."""
        while True:
            request, fds, _, _ = socket.recv_fds(self.control, wire.REQUEST_BYTES, 5)
            if not request:
                return None
            self.tests += 1
            task = Task(wire.Request.unpack(request), tuple(fds), os.path.join(self.folder, str(self.tests)))
            self.began[0] = 0
            pid = self.fork(task)
            if pid == 0:
                return task
            reply = self.follow(pid, task)
            for fd in fds:
                os.close(fd)
            self.control.send(reply)

    def fork(self, task: Task) -> int:
        """A child in a fresh folder of its own."""
        os.mkdir(task.room, 0o700)
        if self.account.uid is not None:
            os.chown(task.room, self.account.uid, self.account.uid)
        return os.fork()

    def follow(self, pid: int, task: Task) -> bytes:
        """Watches a child to its end, buries all that it left, and says what happened."""
        before = children_cpu()
        try:
            end = watch(pid, task, self.control)
        finally:
            status, peak = bury(pid)
            cpu = children_cpu() - before
            remove_tree(task.room)
        if not self.began[0] and end is wire.End.EXITED:
            raise RuntimeError(f"a child ended with wait status {status} before its candidate began")
        code = os.waitstatus_to_exitcode(status)
        if end is wire.End.EXITED and code < 0:
            end, code = wire.End.SIGNALLED, -code
        return wire.REPLY.pack(end, code, cpu, peak)


def children_cpu() -> float:
    """CPU seconds of all descendants buried so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def watch(pid: int, task: Task, control: socket.socket) -> "wire.End":
    """Returns when the child has ended, or has used more than it may and must be killed."""
    started, meter = time.monotonic(), Meter()
    pidfd = os.pidfd_open(pid)
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    poller.register(control, 0)
    try:
        while True:
            events = dict(poller.poll(TICK_MS))
            if control.fileno() in events:
                raise HostGone
            if pidfd in events:
                return wire.End.EXITED
            excess = excess_of(meter, task, time.monotonic() - started)
            if excess is not None:
                return excess
    finally:
        os.close(pidfd)


def excess_of(meter: "Meter", task: Task, elapsed: float) -> "wire.End | None":
    """Which limit the tree of processes is over by now, if any."""
    cpu, resident = meter.read()
    if cpu > task.request.cpu_seconds:
        return wire.End.CPU
    if resident > task.request.memory:
        return wire.End.MEMORY
    if elapsed > task.request.wall_seconds and (
        elapsed > 10 * task.request.wall_seconds or elapsed - meter.queued > task.request.wall_seconds
    ):
        return wire.End.WALL
    return None


class Meter:
    """What a tree of processes uses, read every tick.

    `queued` is the seconds for which its threads were ready but no processor was free, which is not their fault; what a
    thread had waited when it was last seen stays counted after its end.
    """

    def __init__(self) -> None:
        self.queued = 0.0
        self.seen: dict[str, int] = {}  # what each thread had waited, in nanoseconds

    def read(self) -> tuple[float, int]:
        """CPU seconds and resident bytes of all living descendants together; adds to `queued`."""
        cpu_ticks = pages = 0
        todo = children(os.getpid())
        while todo:
            pid = todo.pop()
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
                self.add_queued(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
            cpu_ticks += sum(int(field) for field in fields[11:15])  # own and reaped children's, user and system
            pages += int(fields[21])
            todo += children(pid)
        return cpu_ticks / os.sysconf("SC_CLK_TCK"), pages * resource.getpagesize()

    def add_queued(self, pid: int) -> None:
        """Adds what each thread of a process has waited since it was last seen."""
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                    waited = int(file.read().split()[1])
                before = self.seen.get(thread, 0)
                self.queued += (waited - before if waited >= before else waited) / 1e9  # less: another thread's number
                self.seen[thread] = waited


def children(pid: int) -> list[int]:
    """The living and unburied children of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except (FileNotFoundError, ProcessLookupError):
        if pid == os.getpid():
            raise  # this kernel cannot list children: a candidate could not be killed whole
    return found


def bury(pid: int) -> tuple[int, int]:
    """Kills a child, its group and every descendant. Returns the child's wait status and peak resident bytes."""
    for kill in (os.killpg, os.kill):  # the child is unburied, so neither number can have been given to another
        with contextlib.suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    _, status, used = os.wait4(pid, 0)
    deadline = time.monotonic() + BURIAL_SECONDS
    while not bury_rest():
        if time.monotonic() > deadline:
            raise RuntimeError(f"descendants of a candidate still live {BURIAL_SECONDS:.0f} s after being killed")
    return status, used.ru_maxrss * 1024


def bury_rest() -> bool:
    """One round against orphans, which all become the zygote's children. Returns whether none is left."""
    try:
        if os.waitpid(-1, os.WNOHANG)[0] != 0:
            return False
    except ChildProcessError:
        return True
    for child in children(os.getpid()):
        os.kill(child, signal.SIGKILL)
    time.sleep(0.0005)
    return False


def remove_tree(path: str) -> None:
    """Removes a folder whatever is in it; no process of the candidate lives any more."""
    try:
        os.rmdir(path)
        return
    except OSError:
        pass
    if os.geteuid() != 0:
        open_folders(path)
    # not shutil.rmtree, which a folder nested a thousand deep defeats
    os.waitpid(os.posix_spawnp("rm", ["rm", "-rf", path], {}), 0)


def open_folders(path: str) -> None:
    """Gives back the owner's rights on every folder below, without following links."""
    os.chmod(path, 0o700)
    for parent, folders, _ in os.walk(path):
        for inner in (os.path.join(parent, folder) for folder in folders):
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)


def confine(task: Task, account: Account, libc: ctypes.CDLL) -> None:
    """Gives this child its descriptors 0 to 3, folder, limits and user."""
    os.setsid()
    for target, fd in enumerate(task.fds[1:]):
        os.dup2(fd, target)
    os.chdir(task.room)
    cpu = int(task.request.cpu_seconds) + 2  # a second net: the watcher decides
    for kind, limit in (
        (resource.RLIMIT_AS, task.request.memory + STACK_ROOM),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, task.request.output + 1),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, account.processes),
    ):
        set_limit(kind, limit)
    if account.uid is not None:
        drop_root(account.uid, account.read_all, libc)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self, and with it /dev/stdin, would belong to root
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_limit(kind: int, limit: int) -> None:
    """Lowers a limit for good, as far as the present hard limit allows."""
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def drop_root(uid: int, read_all: bool, libc: ctypes.CDLL) -> None:
    """Becomes an unused user without capabilities, save that of reading if the interpreter is not readable to all."""
    libc.prctl(PR_SET_KEEPCAPS, int(read_all), 0, 0, 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if read_all:
        header = struct.pack("<Ii", CAPABILITY_VERSION_3, 0)
        sets = struct.pack("<6I", CAP_DAC_READ_SEARCH, CAP_DAC_READ_SEARCH, 0, 0, 0, 0)
        if libc.capset(header, sets) != 0:
            raise OSError(ctypes.get_errno(), "capset")


def find_account() -> Account:
    """As root with the needed capabilities: an unused user id from the middle of those there are."""
    if os.geteuid() != 0 or os.getuid() != 0:
        return Account(None, processes_of(os.getuid()) + SHARED_PROCESSES, False)
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    with open("/proc/self/uid_map") as file:
        first, _, count = max(([int(field) for field in line.split()] for line in file), key=lambda entry: entry[2])
    if effective & NEEDED_CAPS != NEEDED_CAPS or count < 1 << 15:
        return Account(None, processes_of(os.getuid()) + SHARED_PROCESSES, False)
    uid = first + count // 2 + int.from_bytes(os.urandom(4), "little") % (count // 4)
    return Account(uid, PROCESSES, not all(map(readable_by_all, [sys.prefix, sys.base_prefix, *sys.path])))


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


def install_prelude() -> None:
    """Makes the names of LiveCodeBench's import prelude known everywhere, later imports winning.

    They go among the builtins and not into each program's own namespace: copying them there would double the cost of
    starting a program, because every object copied is a page of the zygote's that the child must copy as well.
    """
    names: dict[str, Any] = {}
    stars = [f"from {module} import *" for module in [*MODULES.split(), "builtins", "typing"]]
    imports = [f"import {module}" for module in MODULES.split()]
    exec("\n".join([*stars, *imports]), names)
    del names["__builtins__"]
    vars(builtins).update(names)


class Truncated(io.FileIO):
    """A file that loses what goes beyond the limit of its size: diagnostics must not decide a verdict."""

    def write(self, data: Any) -> int:
        """Says that all was written even if the limit cut it off."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            return memoryview(data).nbytes


def open_streams() -> None:
    """Fresh standard streams over descriptors 0 to 2, as the interpreter itself would make them, save that standard
    error takes any amount."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        binary: Any = open(fd, "wb" if fd else "rb", closefd=False)  # noqa: SIM115 - lives as long as the process
        if fd == 2:
            binary = io.BufferedWriter(Truncated(fd, "wb", closefd=False))
        binary.raw.name = f"<{name}>"
        errors = "backslashreplace" if fd == 2 else "surrogateescape"
        stream: Any = io.TextIOWrapper(binary, "utf-8", errors, "\n", line_buffering=fd == 2)
        stream.mode = "w" if fd else "r"
        for alias in (name, f"__{name}__"):
            setattr(sys, alias, stream)
        setattr(builtins, name, stream)  # a name of the prelude's


def read_job(fd: int) -> tuple[str, bytes]:
    """The program's text, and a call's name and arguments if there are any."""
    data = os.pread(fd, os.fstat(fd).st_size, 0)
    (length,) = wire.JOB.unpack_from(data)
    start = wire.JOB.size
    text = data[start : start + length].decode("utf-8", "surrogatepass")
    return text.removeprefix("\ufeff"), data[start + length :]  # a byte order mark, which Python passes over in files


def run_candidate(task: Task, began: mmap.mmap) -> NoReturn:
    """In the child: runs the program as its own module would run, and ends the process with its exit code."""
    source, call = read_job(task.fds[0])
    entry_point, arguments = wire.build(wire.parse(call, None)) if task.request.is_call else ("", [])
    module = ModuleType("candidate" if task.request.is_call else "__main__")
    vars(module)["__builtins__"] = builtins
    sys.modules[module.__name__] = sys.modules["__main__"] = module
    open_streams()
    os.closerange(4, 4096)
    random.seed(0)  # one verdict per program: it should not hang on luck
    gc.enable()
    began[0] = 1
    began.close()
    code = attempt(lambda: execute(source, module, task.request.is_call, entry_point, arguments))
    finish(code, vars(module), abrupt=task.request.is_call)


def execute(source: str, module: ModuleType, is_call: bool, entry_point: str, arguments: list[Any]) -> None:
    """Runs the text; for a call, then writes what the function returns to descriptor 3."""
    exec(compile(source, "<candidate>", "exec", dont_inherit=True), vars(module))
    if not is_call:
        return
    value = find_function(vars(module), entry_point)(*arguments)
    document = memoryview(wire.dumps(value, opaque=True))
    while document:
        document = document[os.write(3, document) :]


def find_function(names: dict[str, Any], entry_point: str) -> Any:
    """`Solution().f` if the program defines the class, else `f`."""
    solution = names.get("Solution")
    if isinstance(solution, type):
        return getattr(solution(), entry_point)
    if entry_point not in names:
        raise NameError(f"the program defines no {entry_point!r}")
    return names[entry_point]


def attempt(work: Callable[[], None]) -> int:
    """Runs a candidate's code and returns its exit code, as the interpreter would; the traceback starts at its text."""
    try:
        work()
        return 0
    except SystemExit as error:
        return exit_code(error.code)
    except BaseException as error:  # noqa: BLE001 - the process boundary: whatever it is, it is the candidate's
        code = wire.MEMORY_EXIT if isinstance(error, MemoryError) else 1
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != "<candidate>":
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return code


def exit_code(code: object) -> int:
    """The exit code of a SystemExit, whose other payloads are printed."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def finish(code: int, names: dict[str, Any], abrupt: bool) -> NoReturn:
    """Ends the process as the interpreter would, without the 6 ms that taking its own modules apart would cost.

    A function's process has said all with its result and ends at once; a program's joins its threads, runs its exit
    handlers and lets go of its names, so that files it left open are flushed.
    """
    if not abrupt:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        code = flush_streams() or code
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a stand-in may need the names that go now
        forget(names)
    os._exit(flush_streams() or code)


def forget(names: dict[str, Any]) -> None:
    """Drops a module's names, the private ones first, as the interpreter does at a module's end."""
    for private in (True, False):
        for name in list(names):
            if name != "__builtins__" and (not private or (name[:1] == "_" and name[1:2] != "_")):
                names[name] = None
    gc.collect()


def flush_streams() -> int:
    """Flushes the standard streams. Returns the interpreter's exit code for a failure to, else 0."""
    return 0 if flush(sys.stdout) & flush(sys.stderr) else 120


def flush(stream: Any) -> bool:
    """Flushes whatever the candidate left as a standard stream; False if that fails."""
    if stream is None or getattr(stream, "closed", False):
        return True
    try:
        stream.flush()
    except Exception:  # noqa: BLE001 - the process boundary: the stream may be the candidate's own object
        return False
    return True


def prepare(libc: ctypes.CDLL) -> None:
    """Sets up what all candidates share and must not pay for each time."""
    install_prelude()
    for module in COMMON.split():
        importlib.import_module(module)
    os.environ.clear()
    for variable in ONE_THREAD:  # in C's environment alone: numpy must not start a thread per core in every candidate
        libc.setenv(variable.encode(), b"1", 1)
    attributes = ctypes.create_string_buffer(256)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(THREAD_STACK))
    libc.pthread_setattr_default_np(attributes)  # not this process's huge stack limit, which is for its main thread
    sys.argv = ["candidate.py"]
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.set_int_max_str_digits(0)
    gc.disable()
    gc.collect()
    gc.freeze()


def open_control(fd: int) -> socket.socket:
    """The host's socket, out of the way of descriptors 0 to 3, which must be taken while descriptors are received."""
    control = socket.socket(fileno=fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 16))
    os.dup2(0, 3)
    if fd > 3:
        os.close(fd)
    return control


def main() -> None:
    """Serves tests until the host hangs up; in a forked child, runs one."""
    fd, folder = int(sys.argv[1]), sys.argv[2]
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    del sys.modules["wire"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # after that write: /proc/self now belongs to root
    account = find_account()
    zygote = Zygote(open_control(fd), folder, account)
    prepare(libc)
    task = None
    try:
        zygote.control.send(wire.HELLO.pack(-1 if account.uid is None else account.uid))
        task = zygote.serve()
    except (HostGone, ConnectionError):
        pass
    if task is None:
        remove_tree(folder)  # the host would, unless it was killed
        return
    confine(task, account, libc)
    run_candidate(task, zygote.began)


if __name__ == "__main__":
    main()

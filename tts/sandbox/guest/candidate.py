"""In a candidate's process: runs its program as its own module would run, on one test or on one after another.

Everything here is at the candidate's mercy from the moment its code begins, so nothing here decides anything: what it
says is a claim. What it does about state that one test leaves for the next (`untouched`) is for right programs.
"""

import atexit
import builtins
import contextlib
import ctypes
import errno
import gc
import importlib
import io
import mmap
import os
import random
import re
import socket
import sys
import threading
import weakref
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from tts.sandbox.guest import foreign, keeping, prelude, unchanged, wire
else:
    import foreign
    import keeping
    import prelude
    import unchanged
    import wire

# Loaded once here rather than once per test.
COMMON = "array cmath dataclasses decimal enum fractions queue struct textwrap time traceback types __future__"
FILE = "candidate.py"  # by its name; there is none
AS_MODULE = ("__main__", "candidate")  # what a program runs as, and one of which a function is called
LOADED = sys.modules  # a program may put something else there
NOTHING = ModuleType("nothing")
ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
RECURSION_LIMIT = 50_000  # as in LiveCodeBench's prelude
THREAD_STACK = 8 << 20
RESULT, SESSION, JOB = 3, 4, 5  # descriptors beside the streams, the last two only of a process that is kept
OWN_FILES = 6  # numbers below this are a candidate's; the job's is the last of those that it is given, and closed
STREAMS = ("stdin", "stdout", "stderr")
FAILURE_CHARACTERS = 2_000  # of why a check fails, which may quote all that the program returned
FIRST, CHECK = wire.Mode.FIRST, wire.Mode.CHECK  # bound once: a look at them touches pages that must be copied


# Judged by the zygote, so that its interpreter has its code in the form for what is done often, which each child would
# bring it into again, in pages of its own.
LIKELY = """
import sys
from collections import Counter, defaultdict
class Solution:
    def __init__(self, n: int, path=()): self.n, self.path = n, [*path]
    def solve(self, values: List[int]) -> int:
        best = defaultdict(int)
        for i, value in enumerate(values):
            best[value] = max(best.get(value, 0), i * 2 + 1)
            if i > 3 and value != best[i] or not value: best[i] -= 1
        while self.n: self.n //= 2
        return sum(x for x in best.values()) + len([y for y in self.path])
def main():
    data = sys.stdin.read().split()
    print(Solution(1).solve(list(map(int, data[1:]))), *sorted(Counter(data), key=lambda x: x[0]))
    try: print(f"{data[-1]}")
    except IndexError as error: print("none", file=sys.stderr)
if __name__ == "__main__":
    main()
"""
WARMING = 30


class Beginning:
    """How a zygote left what a program may change, to be compared with."""

    state = b""  # `random_state`
    known: foreign.Foreign
    watch: unchanged.Watch  # of `shared_names`


BEGINNING = Beginning()
PLAIN: dict[str, Any] = {}  # the builtins without the prelude, for what is run strictly


def prepare(libc: ctypes.CDLL) -> None:
    """In the zygote: sets up what all candidates share and must not pay for each time."""
    PLAIN.update(vars(builtins))
    install_prelude()
    for module in COMMON.split():
        importlib.import_module(module)
    re.purge()
    mmap.mmap = PrivateMap  # type: ignore[misc]
    BEGINNING.known = foreign.Foreign(vars(builtins), sys.modules)
    for _ in range(WARMING):
        assert keeping.keepable(LIKELY, BEGINNING.known)
    os.environ.clear()
    for variable in ONE_THREAD:  # in C's environment alone: numpy must not start a thread per core in every candidate
        libc.setenv(variable.encode(), b"1", 1)
    attributes = ctypes.create_string_buffer(256)
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(THREAD_STACK))
    libc.pthread_setattr_default_np(attributes)  # not this process's huge stack limit, which is for its main thread
    blank = os.memfd_create("blank")
    for fd in (0, 1):  # of the kind that a candidate's are, and standard error is: what streams ask of them they keep
        os.dup2(blank, fd)
    os.close(blank)
    for fd in range(len(STREAMS)):
        open_stream(fd)
    sys.argv = [FILE]
    sys.setrecursionlimit(RECURSION_LIMIT)
    sys.set_int_max_str_digits(0)
    gc.disable()
    random.seed(0)
    BEGINNING.state = random_state()
    BEGINNING.watch = unchanged.Watch(shared_names())
    gc.collect()
    gc.freeze()


def random_state() -> bytes:
    """What the shared generator would draw next, told without making objects of it; its own dict, which holds half of
    a pair of normal numbers, changes with that.
    """
    generator = random.seed.__self__  # type: ignore[attr-defined]
    header = object.__basicsize__
    return ctypes.string_at(id(generator) + header, generator.__class__.__base__.__basicsize__ - header)


def random_is_seeded() -> bool:
    """Whether nothing was drawn since the zygote seeded it: one verdict per program, which should not hang on luck."""
    return random_state() == BEGINNING.state


def collections_so_far() -> int:
    """How often garbage was collected, of whatever age."""
    return sum(generation["collections"] for generation in gc.get_stats())


def install_prelude() -> None:
    """Makes the names of LiveCodeBench's import prelude known everywhere, later imports winning.

    They go among the builtins and not into each program's own namespace: copying them there would double the cost of
    starting a program, because every object copied is a page of the zygote's that the child must copy as well.
    """
    vars(builtins).update(prelude.names())


class PrivateMap(mmap.mmap):
    """`mmap.mmap`, whose memory that is no file's is private: the filter allows no other, and nobody could share it."""

    def __new__(cls, fileno: int, length: int, flags: int = mmap.MAP_SHARED, *more: Any, **options: Any) -> Self:
        """As the class itself."""
        if fileno == -1 and not options.get("access"):
            flags = flags & ~mmap.MAP_SHARED | mmap.MAP_PRIVATE
        return super().__new__(cls, fileno, length, flags, *more, **options)


class Program:
    """A program's text, compiled once, and the tests that it is run on."""

    def __init__(self, request: "wire.Request", job: int) -> None:
        self.is_call = request.is_call
        self.strict = request.strict
        (length,) = wire.JOB.unpack(os.pread(job, wire.JOB.size, 0))
        text = os.pread(job, length, wire.JOB.size).decode("utf-8", "surrogatepass")
        self.source = text.removeprefix("\ufeff")  # a byte order mark, which Python passes over in files
        self.call_starts = wire.JOB.size + length
        self.read_call(job)
        self.compiled: CodeType | None = None
        self.module = NOTHING
        self.collections = 0  # `collections_so_far` when it began

    def read_call(self, job: int) -> None:
        """What a test asks of the program's function."""
        self.call = os.pread(job, os.fstat(job).st_size, self.call_starts)

    def is_keepable(self) -> bool:
        """Whether one process may run all of its tests."""
        return keeping.keepable(self.source, BEGINNING.known)

    def try_compile(self) -> None:
        """Compile it ahead of its tests; if that fails, they fail as they try."""
        with contextlib.suppress(SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
            self.compiled = self._compile()

    def _compile(self) -> CodeType:
        return compile(self.source, "<candidate>", "exec", dont_inherit=True)

    def run(self) -> tuple[int, bool]:
        """(exit code, whether the program ended the process itself) of one test."""
        entry_point, arguments = wire.build(wire.parse(self.call, None)) if self.is_call else ("", [])
        self.module = ModuleType(AS_MODULE[self.is_call])
        vars(self.module).update(__builtins__=PLAIN if self.strict else builtins, __file__=FILE)
        LOADED[self.module.__name__] = LOADED["__main__"] = self.module
        if not random_is_seeded():
            random.seed(0)
        self.collections = collections_so_far()
        return attempt(lambda: self._execute(entry_point, arguments))

    def _execute(self, entry_point: str, arguments: list[Any]) -> None:
        """Runs the text; for a call, then writes what the function returns to descriptor 3."""
        if self.compiled is None:
            self.compiled = self._compile()
        exec(self.compiled, vars(self.module))
        if not self.is_call:
            return
        find = named_function if self.strict else find_function
        give(find(vars(self.module), entry_point)(*arguments))

    def let_go(self) -> None:
        """Drop its module as the interpreter does at the end: what is garbage goes first, then the module, so that
        finalisers find its names as they were; only if something else holds the module are these cleared.
        """
        young = collections_so_far() == self.collections  # what was not collected so far
        gc.collect(0 if young else 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # a stand-in may need the names that go now
        for name in AS_MODULE:
            if LOADED.get(name) is self.module:
                del LOADED[name]
        left = weakref.ref(self.module)
        self.module = NOTHING
        gc.collect(1 if young else 2)
        module = left()
        if module is not None:
            forget(vars(module))


def give(value: Any) -> None:
    """Write a value where the host reads results."""
    document = memoryview(wire.dumps(value, opaque=True))
    while document:
        document = document[os.write(RESULT, document) :]


def take(fds: tuple[int, ...]) -> None:
    """Have the descriptors that the host gave where a program expects them, its job after the rest."""
    for target, given in enumerate((*fds[1:], fds[0])):
        os.dup2(given, target)


def run_forked(program: Program, fds: tuple[int, ...], began: mmap.mmap) -> NoReturn:
    """In a fork of its template's: run the program on one test."""
    take(fds)
    program.read_call(len(fds) - 1)
    os.closerange(SESSION, 4096)
    run_once(program, began)


def run(request: "wire.Request", fds: tuple[int, ...], began: mmap.mmap) -> NoReturn:
    """Run the program on its only test or on one after another, with the descriptors that the host gave."""
    take(fds)
    program = Program(request, len(fds) - 1)
    keeps = request.mode is CHECK or (request.mode is FIRST and program.is_keepable())
    os.closerange(JOB + 1 if keeps else SESSION, 4096)  # who cannot run another test has no way to say that it is done
    if request.mode is CHECK:
        run_check(program, request.word, began)
    if keeps:
        run_many(program, request.word, began)
    run_once(program, began)


def run_once(program: Program, began: mmap.mmap) -> NoReturn:
    """Run the program on its only test, and end as the interpreter would."""
    gc.enable()
    begin(began)
    code, _ = program.run()
    finish(code, program)


def run_many(program: Program, word: bytes, began: mmap.mmap) -> NoReturn:
    """Run a program that leaves nothing behind on test after test, until it ends itself or the host hangs up. `word` is
    what the host knows this process by.
    """
    program.try_compile()
    watch = BEGINNING.watch
    session = socket.socket(fileno=SESSION)
    gc.enable()
    begin(began)
    while True:
        watch.renew()
        code, ended = program.run()
        if ended or not untouched(watch) or not settle(program):
            finish(code, program)
        session.send(wire.DONE.pack(code, word))
        next_test(program, session)
        sys.setrecursionlimit(RECURSION_LIMIT)
        if re._cache:  # type: ignore[attr-defined]
            re.purge()  # the one cache that a program could find something of its last test's in
        open_stream(0)


def run_check(program: Program, word: bytes, began: mmap.mmap) -> NoReturn:
    """Run a benchmark's `check` on a function that asks the host, which runs it elsewhere; the last that the host is
    told is why it fails, or None.
    """
    session = socket.socket(fileno=SESSION)
    gc.enable()
    begin(began)

    def ask(*arguments: Any) -> Any:
        give(arguments)
        session.send(wire.DONE.pack(0, word))
        next_test(program, session)
        _, (answer,) = wire.build(wire.parse(program.call, None))
        return answer

    names: dict[str, Any] = {"__builtins__": builtins, "__name__": "check"}
    exec(compile(program.source, "<check>", "exec", dont_inherit=True), names)
    check, failure = names["check"], None
    try:
        check(ask)
    except Exception as error:  # noqa: BLE001 - a check fails by raising, whatever it is
        failure = f"{type(error).__name__}: {error}"[:FAILURE_CHARACTERS]
    give(failure)
    session.send(wire.DONE.pack(0, word))
    next_test(program, session)  # until the host hangs up
    os._exit(0)


def next_test(program: Program, session: socket.socket) -> None:
    """Wait for another test in place of the last one's."""
    message, new, _, _ = socket.recv_fds(session, len(wire.GO), 1)
    if message != wire.GO:
        os._exit(0)
    for fd in new:
        os.dup2(fd, JOB if program.is_call else 0)
        os.close(fd)
    if program.is_call:
        program.read_call(JOB)


def begin(began: mmap.mmap) -> None:
    """Tell the zygote that from now on whatever happens is the candidate's doing."""
    began[0] = 1
    began.close()


def shared_names() -> list[dict[str, Any]]:
    """The names of the modules that every program finds."""
    modules = [sys.modules[name] for name in prelude.MODULES.split() if name != "sys"]
    return [*(vars(module) for module in [*modules, builtins, os]), PLAIN]


def untouched(watch: unchanged.Watch) -> bool:
    """Whether a test left no thread, no handler for the end, its streams, and no change in those modules."""
    streams = all(getattr(sys, name) is getattr(sys, f"__{name}__") for name in STREAMS)
    return streams and threading.active_count() == 1 and atexit._ncallbacks() == 0 and watch.holds()


def settle(program: Program) -> bool:
    """Let go of a test's names and flush what it printed. Returns whether that worked."""
    if program.is_call:
        program.let_go()
        return True
    fine = flush_streams() == 0
    program.let_go()
    return fine and flush_streams() == 0


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


def open_stream(fd: int) -> None:
    """A fresh standard stream over its descriptor, as the interpreter itself would make it, save that standard error
    takes any amount. Those of a process's first test are made in the zygote, before the files are put there; later
    ones need a new one to read from, while the others, once flushed, are as new.
    """
    name = STREAMS[fd]
    binary: Any  # made from its parts, which takes half as long as `open` does
    if fd == 0:
        binary = io.BufferedReader(io.FileIO(fd, "rb", closefd=False))
    else:
        binary = io.BufferedWriter((io.FileIO, Truncated)[fd == 2](fd, "wb", closefd=False))
    binary.raw.name = f"<{name}>"
    errors = "backslashreplace" if fd == 2 else "surrogateescape"
    stream: Any = io.TextIOWrapper(binary, "utf-8", errors, "\n", line_buffering=fd == 2)
    stream.mode = "w" if fd else "r"
    for alias in (name, f"__{name}__"):
        setattr(sys, alias, stream)
    setattr(builtins, name, stream)  # a name of the prelude's


def find_function(names: dict[str, Any], entry_point: str) -> Any:
    """`Solution().f` if the program defines the class, else `f`."""
    solution = names.get("Solution")
    if isinstance(solution, type) and not entry_point.startswith("("):
        return getattr(solution(), entry_point)
    return named_function(names, entry_point)


def named_function(names: dict[str, Any], entry_point: str) -> Any:
    """The program's `f`; what begins with a parenthesis is evaluated."""
    if entry_point.startswith("("):
        return eval(entry_point, names)
    if entry_point not in names:
        raise NameError(f"the program defines no {entry_point!r}")
    return names[entry_point]


def attempt(work: Callable[[], None]) -> tuple[int, bool]:
    """Runs a candidate's code: (exit code as the interpreter's would be, whether it asked for the end). The traceback
    starts at its text.
    """
    try:
        work()
        return 0, False
    except SystemExit as error:
        return exit_code(error.code), True
    except BaseException as error:  # noqa: BLE001 - the process boundary: whatever it is, it is the candidate's
        code = wire.MEMORY_EXIT if isinstance(error, MemoryError) else 1
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != "<candidate>":
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        return code, False


def exit_code(code: object) -> int:
    """The exit code of a SystemExit, whose other payloads are printed."""
    if code is None:
        return 0
    if issubclass(type(code), int):  # not isinstance, nor its own operators: it may lie
        return int.__and__(code, 0xFF)  # type: ignore[operator]
    print(code, file=sys.stderr)
    return 1


def finish(code: int, program: Program) -> NoReturn:
    """Ends the process as the interpreter would, without the 6 ms that taking its own modules apart would cost.

    A function's process has said all with its result and ends at once; a program's joins its threads, runs its exit
    handlers and lets go of its names, so that files it left open are flushed.
    """
    if program.is_call:
        os._exit(flush_streams() or code)
    if threading.active_count() > 1 or threading._threading_atexits:  # type: ignore[attr-defined]
        threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    code = flush_streams() or code
    program.let_go()
    flush_streams()  # of whoever printed meanwhile; a program may have detached the first ones by right
    os._exit(code)


def forget(names: dict[str, Any]) -> None:
    """Drops a module's names, the private ones first, as the interpreter does at a module's end."""
    for private in (True, False):
        for name in list(names):
            if name != "__builtins__" and (not private or (name[:1] == "_" and name[1:2] != "_")):
                names[name] = None


def flush_streams() -> int:
    """Flushes the standard streams. Returns the interpreter's exit code for a failure to, else 0."""
    return 0 if flush(sys.stdout) & flush(sys.stderr) else 120


def flush(stream: Any) -> bool:
    """Flushes whatever the candidate left as a standard stream; False if that fails."""
    try:
        if stream is None or getattr(stream, "closed", False):
            return True
        stream.flush()
    except Exception:  # noqa: BLE001 - the process boundary: the stream may be the candidate's own object
        return False
    return True

"""C++: right programs pass, attacks do not succeed, compilers are bounded, and the host is as it was before.

`native.py` has the programs. All are compiled and run once, in one pool, each hostile one followed by a right one; each
test looks at one program's outcome.
"""

import ctypes
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pytest
from native import ATTACKS, FAILING, GOOD, REFUSED, RIGHT, Case
from support import rows_of, tts, write_rows

from tts.errors import ConfigError, DataError, InfraError
from tts.grade import GradeJob, Grader
from tts.sandbox import Confinement, Job, Level, Limits, Outcome, Runtime, Status, compiling, examine, find_runtime
from tts.sandbox import run_programs as run_in_pool
from tts.sandbox.guest import seccomp, wire
from tts.sandbox.runtime import Executable, Program
from tts.types import Call, Grade, Stdin, Test, Verdict

LIMITS = Limits(cpu_seconds=1.0, memory_mib=256, output_mib=1)
CPU_OF_A_COMPILER = "3:5"  # seconds, so that bombs take no longer
LEAST_CONTROLS = 10  # attacks that must work outside, or they show nothing
BOMB = next(case.code for case in REFUSED if case.name == "template_bomb")
Outcomes = Mapping[str, Outcome | InfraError]


@pytest.fixture(scope="module")
def level_a() -> Confinement:
    report = examine(Level.A)
    if not report.holds:
        pytest.skip(f"level A does not hold here: {report.problem}")
    return report.confinement


@pytest.fixture(scope="module")
def cpp(level_a: Confinement) -> Runtime:
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed")
    return find_runtime("cpp", level_a)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Things on the host that programs may try to reach, by the words that stand for them."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "secret").write_text("a secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield {"FILE": str(folder / "secret"), "FOLDER": str(folder), "PORT": str(listener.getsockname()[1])}
        with pytest.raises(BlockingIOError):  # nobody came
            listener.accept()


def filled(case: Case, host: Mapping[str, str]) -> str:
    code = case.code
    for word, meaning in host.items():
        code = code.replace(f"@{word}@", meaning)
    return code


def keep(test: Test, outcome: Outcome) -> tuple[Outcome, bool]:
    return outcome, True


@dataclass
class Run:
    """Runs programs in a pool of two cells, each on one test or on several."""

    runtime: Runtime
    confinement: Confinement

    def __call__(self, codes: Mapping[str, tuple[str, list[Test]]], limits: Limits = LIMITS) -> Outcomes:
        jobs = [Job(name, code, tests, self.runtime) for name, (code, tests) in codes.items()]
        results = run_in_pool(jobs, keep, limits, 2, confinement=self.confinement)
        return {name: found if isinstance(found, InfraError) else found[-1] for name, found in results}


@pytest.fixture(scope="module")
def run(cpp: Runtime, level_a: Confinement) -> Run:
    return Run(cpp, level_a)


@pytest.fixture(scope="module")
def outcomes(run: Run, host: Mapping[str, str]) -> Outcomes:
    """What came of every program, and, after each that is not right, of one that is."""

    def run_all(cases: list[Case]) -> Outcomes:
        codes: dict[str, tuple[str, list[Test]]] = {}
        for case in cases:
            codes[case.name] = filled(case, host), [Stdin(case.given, "")]
            if case not in RIGHT:
                codes[f"after {case.name}"] = GOOD.code, [Stdin(GOOD.given, "")]
        return run(codes)

    found = run_all([*RIGHT, *FAILING, *ATTACKS])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(compiling.LIMITS, "cpu", CPU_OF_A_COMPILER)
        return {**found, **run_all(REFUSED)}


@pytest.mark.parametrize("case", [*RIGHT, *FAILING, *ATTACKS], ids=lambda case: case.name)
def test_a_program_comes_to_what_it_should(outcomes, case):
    found = outcomes[case.name]

    assert isinstance(found, Outcome), found
    assert found.status in case.statuses, found
    assert found.status is not Status.OK or found.output == case.prints
    assert case.says in found.detail


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_does_not_compile_is_refused_in_bounded_words(outcomes, case):
    found = outcomes[case.name]

    assert isinstance(found, Outcome), found
    assert found.status in case.statuses, found
    if found.status is not Status.OK:
        assert found.detail.startswith("does not compile") and case.says in found.detail
    assert len(found.detail) < 2100
    assert "root:" not in found.detail and "a secret" not in found.detail


def test_a_right_program_passes_after_each_of_them(outcomes):
    after = {name: found for name, found in outcomes.items() if name.startswith("after ")}
    wrong = {n: f for n, f in after.items() if not isinstance(f, Outcome) or f.output != GOOD.prints}

    assert len(after) == len([*FAILING, *ATTACKS, *REFUSED])
    assert wrong == {}


def test_the_host_is_unharmed(outcomes, host):
    assert outcomes
    assert os.listdir(host["FOLDER"]) == ["secret"]
    assert Path(host["FILE"]).read_text() == "a secret"
    assert not list(Path("/dev/shm").glob("made")) and not Path("/made").exists()
    names = {"program", "cc1plus", "g++", "as", "ld", "bwrap", "again"}
    assert [child for child in psutil.Process().children(recursive=True) if child.name() in names] == []


def test_attacks_that_can_do_no_harm_work_outside(cpp, level_a, host, tmp_path):
    working = []
    for case in (case for case in ATTACKS if case.control):
        program = cpp.compile(filled(case, host), level_a, lambda: False)
        assert isinstance(program, Executable)
        name = [f"/proc/self/fd/{program.fd}"]
        done = subprocess.run(name, cwd=tmp_path, pass_fds=[program.fd], capture_output=True, timeout=20)
        working += [case.name] * (b"out" in done.stdout)
        program.close()

    assert len(working) >= LEAST_CONTROLS, working


def test_a_program_is_compiled_once_for_all_its_tests_and_each_has_a_process_of_its_own(cpp, level_a):
    code = '#include <cstdio>\nint n, x;\nint main() { scanf("%d", &x); printf("%d", n += x); }'
    counting = Counting(cpp)
    job = Job("once", code, [Stdin("1", ""), Stdin("2", ""), Stdin("3", "")], counting)

    ((_, found),) = run_in_pool([job], keep, LIMITS, 1, "program", level_a)

    assert isinstance(found, list) and [outcome.output for outcome in found] == ["1", "2", "3"]
    assert counting.compiled == [code]


@dataclass
class Counting:
    """A runtime that notes what it compiles."""

    runtime: Runtime
    compiled: list[str] = field(default_factory=list)
    name, version, calls, keeps, tags = "counting", "1", False, False, ()

    def compile(self, code: str, confinement: Confinement, stopped: Callable[[], bool]) -> Program:
        self.compiled.append(code)
        return self.runtime.compile(code, confinement, stopped)


def test_closing_ends_a_compilation(cpp, level_a):
    quick = Job("quick", "int main() {}", [Stdin("", "")], cpp)
    results = run_in_pool([quick, Job("slow", BOMB, [Stdin("", "")], cpp)], keep, LIMITS, 2, confinement=level_a)
    next(results)
    started = time.monotonic()
    results.close()

    assert time.monotonic() - started < 5


COMPILING = f"""
from tts.sandbox import Level, examine, find_runtime
confinement = examine(Level.A).confinement
cpp = find_runtime("cpp", confinement)
print("ready", flush=True)
cpp.compile({BOMB!r}, confinement, lambda: False)
"""


def test_a_compiler_dies_with_the_process_that_started_it(cpp):
    with subprocess.Popen([sys.executable, "-c", COMPILING], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        found: list[psutil.Process] = []
        deadline = time.monotonic() + 20
        while not any(child.name() == "cc1plus" for child in found):
            assert time.monotonic() < deadline
            found = psutil.Process(process.pid).children(recursive=True)
        process.kill()

    assert psutil.wait_procs(found, timeout=5)[1] == []


def test_a_compiler_that_cannot_be_started_is_our_failure(cpp, level_a):
    broken = replace(level_a, bwrap="/bin/false")

    found = Run(cpp, broken)({"good": (GOOD.code, [Stdin("", "")])})["good"]

    assert isinstance(found, InfraError) and "compiler" in str(found)


def test_other_levels_have_no_cpp():
    with pytest.raises(ConfigError, match=r"level A only.*sandbox-check"):
        find_runtime("cpp", Confinement(Level.B))


def test_without_a_compiler_the_package_is_named(level_a, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match="apt install g"):
        find_runtime("cpp", replace(level_a, why="none"))


def test_a_compiler_that_is_not_the_systems_is_refused(level_a, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "g++").write_text("#!/bin/sh\nexec /usr/bin/g++")
    (tmp_path / "g++").chmod(0o755)

    with pytest.raises(ConfigError, match="must lie under /usr"):
        find_runtime("cpp", replace(level_a, why="not the system's"))


def test_an_unknown_language_is_named(level_a):
    with pytest.raises(ConfigError, match="Did you mean 'python'"):
        find_runtime("pyhton", level_a)


class TestGrading:
    def test_verdicts_of_languages_are_kept_apart(self, cpp):
        python, native = Grader(LIMITS), Grader(LIMITS, isolation="program", language="cpp")

        assert cpp.version in native.version and "g++" in cpp.version and "-O2" in cpp.version
        assert f"python {sys.version.split()[0]} cpu" in python.version
        assert native.isolation == "test"  # whatever is asked for

    def test_a_function_cannot_be_called(self, cpp):
        job = GradeJob("adds", GOOD.code, [Stdin("", ""), Call("add", (1, 2), 3)])

        with pytest.raises(DataError, match=r"'adds' calls a function.*cpp"):
            list(Grader(LIMITS, language="cpp").grade([job]))

    def test_a_program_that_does_not_compile_has_a_runtime_error(self, cpp):
        jobs = [GradeJob(name, "int main() { x; }", [Stdin("", "")], public) for name, public in [("a", 1), ("b", 0)]]

        found = {done.problem_id: done for done in Grader(LIMITS, language="cpp").grade(jobs)}

        assert isinstance(found["a"], Grade) and isinstance(found["b"], Grade)
        assert found["a"].verdict is found["b"].verdict is Verdict.RUNTIME_ERROR
        assert "test 0: does not compile\n" in found["a"].detail and "not declared" in found["a"].detail
        assert found["b"].detail == "test 0: does not compile"

    def test_files_are_graded_from_the_command_line(self, cpp, tmp_path):
        cases = json.dumps([{"input": "2 3\n", "output": "5 2\n", "testtype": "stdin"}])
        problem = {"question_id": "sum", "question_content": "Add.", "public_test_cases": cases}
        fenced = f"First\n```\nnothing\n```\nthen\n```c++\n{GOOD.code}```\nas said in\n```text\nnothing\n```"
        candidates = [
            {"question_id": "sum", "index": 0, "code": GOOD.code},
            {"question_id": "sum", "index": 1, "text": fenced},
            {"question_id": "sum", "index": 2, "text": "no program"},
        ]
        write_rows(tmp_path / "problems.jsonl", [problem])
        write_rows(tmp_path / "candidates.jsonl", candidates)
        words = ["grade", "problems.jsonl", "candidates.jsonl", "--out", "out.jsonl", "--cache", "cache", "--language"]

        done = tts(tmp_path, *words, "cpp")
        native = rows_of(tmp_path / "out.jsonl")
        tts(tmp_path, *words, "python")
        python = rows_of(tmp_path / "out.jsonl")

        assert done.code == 0, done.err
        assert [row["verdict"] for row in native] == ["passed", "passed", "no_code"]
        assert [row["language"] for row in native + python] == ["cpp"] * 3 + ["python"] * 3
        assert python[0]["verdict"] == "runtime_error"


def verdict(calls: seccomp.Filter, number: int, *arguments: int) -> int:
    """What a filter says of a system call: its instructions, carried out."""
    data = struct.pack("<iIQ6Q", number, seccomp.PROCESSORS["x86_64"][1], 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = list(seccomp.INSTRUCTION.iter_unpack(calls.made.raw))
    at = value = 0
    while True:
        operation, true, false, constant = code[at]
        at += 1
        if operation == seccomp.RETURN:
            return int(constant)
        if operation == seccomp.LOAD:
            (value,) = struct.unpack_from("<I", data, constant)
            continue
        met = {
            seccomp.JUMP_EQUAL: value == constant,
            seccomp.JUMP_AT_LEAST: value >= constant,
            seccomp.JUMP_ANY_BIT: bool(value & constant),
        }[operation]
        at += true if met else false


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of system calls are x86-64's")
class TestFilters:
    EXECVE, EXECVEAT, EMPTY_PATH, MMAP, MADVISE = 59, 322, 0x1000, 9, 28
    LIBC = ctypes.CDLL(None)
    SAMPLES = ((), (wire.EXECUTABLE, 1, 2, 3, EMPTY_PATH), (1, 1, 1, 1, 1, 1), (0x10000,), (15,), (7, 3))

    def test_python_may_execute_nothing(self):
        for own_files in (True, False):
            calls = seccomp.Filter(own_files, self.LIBC)
            for number in (self.EXECVE, self.EXECVEAT):
                for sample in self.SAMPLES:
                    assert verdict(calls, number, *sample) == seccomp.DENIED

    def test_memory_is_shared_through_files_alone_and_never_put_out_of_sight(self):
        for calls in (seccomp.Filter(True, self.LIBC), seccomp.Filter(False, self.LIBC, wire.EXECUTABLE)):
            shared = [verdict(calls, self.MMAP, 0, 4096, 3, flags, 5, 0) for flags in (0x21, 0x23, 0x4021)]
            other = [verdict(calls, self.MMAP, 0, 4096, 3, flags, 5, 0) for flags in (0x01, 0x02, 0x22, 0x20022)]
            assert (set(shared), set(other)) == ({seccomp.DENIED}, {seccomp.ALLOW})
            assert verdict(calls, self.MADVISE, 0, 4096, 21) == seccomp.DENIED  # MADV_PAGEOUT
            assert verdict(calls, self.MADVISE, 0, 4096, 4) == seccomp.ALLOW  # MADV_DONTNEED

    def test_a_compiled_program_may_execute_one_descriptor_and_else_what_python_may(self):
        python, native = seccomp.Filter(True, self.LIBC), seccomp.Filter(False, self.LIBC, wire.EXECUTABLE)
        more = {
            (number, sample)
            for number in range(600)
            for sample in self.SAMPLES
            if verdict(native, number, *sample) == seccomp.ALLOW != verdict(python, number, *sample)
        }

        assert more == {(self.EXECVEAT, (wire.EXECUTABLE, 1, 2, 3, self.EMPTY_PATH))}
        assert verdict(native, self.EXECVEAT, wire.EXECUTABLE, 0, 0, 0, 0) == seccomp.DENIED
        assert verdict(native, self.EXECVEAT, wire.EXECUTABLE, 0, 0, 0, self.EMPTY_PATH | 0x100) == seccomp.DENIED
        assert verdict(native, self.EXECVE) == verdict(native, 90) == seccomp.DENIED  # and no chmod

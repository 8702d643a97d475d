"""The languages of programs: how a program's text becomes what a cell can run, and how a cell runs it.

A third language is one more class here and its line in RUNTIMES. A compiled one needs a compiler that makes one static
executable of a text (`compiling.py`); any other needs a mode of its own in the guest.
"""

import functools
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from tts.errors import ConfigError, InfraError, unknown
from tts.sandbox import compiling
from tts.sandbox.cell import Cell
from tts.sandbox.compiling import CompileFailed
from tts.sandbox.confinement import Confinement, Level
from tts.sandbox.guest import wire
from tts.sandbox.outcome import Limits, Outcome, Status
from tts.types import Run, Stdin

Stopped = Callable[[], bool]


class Program(Protocol):
    """A program, compiled once for all of its tests."""

    def run(self, cell: Cell, test: Run, limits: Limits, keep: bool) -> Outcome:
        """As `Cell.run`."""

    def close(self) -> None:
        """Let go of it."""


class Runtime(Protocol):
    """A language. `version` is what verdicts depend on; `calls` says whether functions of its programs can be called,
    `keeps` whether a process may run several tests, and `tags` name the language in Markdown, where its programs are
    found by that alone.
    """

    @property
    def name(self) -> str:
        """As it is asked for and reported."""

    @property
    def version(self) -> str:
        """Its name and its compiler's or interpreter's version and options."""

    @property
    def calls(self) -> bool:
        """See above."""

    @property
    def keeps(self) -> bool:
        """See above."""

    @property
    def tags(self) -> Collection[str]:
        """See above."""

    def compile(self, code: str, confinement: Confinement, stopped: Stopped) -> Program:
        """Raises CompileFailed if the program is at fault, InfraError if `stopped` says so meanwhile."""


@dataclass(slots=True)
class Text:
    """A program that is run as it is."""

    code: str
    begun: bool = False

    def run(self, cell: Cell, test: Run, limits: Limits, keep: bool) -> Outcome:
        """As `Cell.run`; from the second test on, where each has a new process, as `Cell.run_forked`."""
        forked = self.begun and not keep
        outcome = cell.run_forked(self.code, test, limits) if forked else cell.run(self.code, test, limits, keep)
        self.begun = True
        return outcome

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Executable:
    """A compiled program, by its descriptor."""

    fd: int

    def run(self, cell: Cell, test: Run, limits: Limits, keep: bool) -> Outcome:
        """As `Cell.execute`: `keep` changes nothing."""
        outcome = cell.execute(self.fd, test, limits)
        if outcome.status is Status.RUNTIME_ERROR and "std::bad_alloc" in outcome.stderr:
            return replace(outcome, status=Status.MEMORY)  # if it lies, it only mislabels its failure
        return outcome

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class Uncompiled:
    """A program that does not compile, which fails every test."""

    why: str

    def run(self, cell: Cell, test: Run, limits: Limits, keep: bool) -> Outcome:
        """Runs nothing."""
        return Outcome(Status.RUNTIME_ERROR, None, 0.0, self.why)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Python:
    """The interpreter that runs tts: a cell's zygote has it loaded, and executes the text in a child."""

    name = "python"
    calls = keeps = True
    tags = ()

    @property
    def version(self) -> str:
        """CPython's."""
        return f"python {platform.python_version()}"

    def compile(self, code: str, confinement: Confinement, stopped: Stopped) -> Program:
        """Nothing is done before a test."""
        return Text(code)


PYTHON = Python()

CPP_OPTIONS = ("-O2", "-DONLINE_JUDGE", "-static", "-pthread", "-w", "-fmax-errors=5")
CPP_STANDARDS = ("-std=gnu++17", "-std=gnu++20")  # the first with which a text compiles: some do with one of them alone
CPP_MISSING = (
    "C++ programs need a compiler: install g++ (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++)."
)
CPP_STATIC = (
    "It must lie under /usr and link statically, as a dynamic loader would have to be executed as well (Fedora: dnf"
    " install glibc-static libstdc++-static)."
)
# Prints one word if it runs and can execute nothing else; /bin/true would print nothing.
CPP_PROBE = f"""
#include <iostream>
#include <sys/syscall.h>
#include <unistd.h>
int main() {{
    char *arguments[] = {{0}};
    syscall(SYS_execve, "/bin/true", arguments, arguments);
    syscall(SYS_execveat, {wire.EXECUTABLE}, "/bin/true", arguments, arguments, 0x1000);
    std::cout << "confined";
}}
"""


@dataclass(frozen=True, slots=True)
class Cpp:
    """C++, through the system's compiler. A program is one static executable, since with a dynamic one the right to
    execute its loader would come along, and with that anything else.
    """

    compiler: str
    version: str

    name = "cpp"
    calls = keeps = False
    tags = ("cpp", "c++", "cc")

    def compile(self, code: str, confinement: Confinement, stopped: Stopped) -> Program:
        """Runs the compiler, a second time if the first standard's words are not the program's. A failure says why it
        does not compile under the first.
        """
        end = [*CPP_OPTIONS, "-x", "c++", "-o", compiling.PROGRAM, "-"]
        old, new = ([self.compiler, standard, *end] for standard in CPP_STANDARDS)
        try:
            return Executable(compiling.build(old, code, confinement, stopped))
        except CompileFailed as error:
            with suppress(CompileFailed):
                return Executable(compiling.build(new, code, confinement, stopped))
            raise error


@functools.cache
def _find_cpp(confinement: Confinement) -> Cpp:
    """Raises ConfigError where C++ cannot be run."""
    if confinement.level is not Level.A:
        why = f" {confinement.why}" if confinement.why else ""
        raise ConfigError(
            f"C++ programs are run at level A only, since their compiler needs its namespaces, not at level"
            f" {confinement.level}.{why} See tts sandbox-check."
        )
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise ConfigError(CPP_MISSING)
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, env={}).stdout
    found = Cpp(compiler, " ".join(["cpp", *said.splitlines()[:1], *CPP_STANDARDS, *CPP_OPTIONS]))
    problem = _problem(found, confinement)
    if problem:
        raise ConfigError(f"C++ programs cannot be run with {compiler}: {problem} {CPP_STATIC}")
    return found


def _problem(runtime: Runtime, confinement: Confinement) -> str:
    """Why a language's probe does not do what it should here; empty if it does."""
    try:
        program = runtime.compile(CPP_PROBE, confinement, lambda: False)
    except (CompileFailed, InfraError) as error:
        return f"{error}."
    try:
        with Cell(confinement) as cell:
            outcome = program.run(cell, Stdin("", ""), Limits(), keep=False)
    finally:
        program.close()
    if outcome.status is not Status.OK:
        return f"a program ends with {outcome.status}. {outcome.detail}"
    return "" if outcome.output == "confined" else "a program can execute others."


RUNTIMES: dict[str, Callable[[Confinement], Runtime]] = {"python": lambda confinement: PYTHON, "cpp": _find_cpp}


def find_runtime(language: str, confinement: Confinement) -> Runtime:
    """A language by its name. Raises ConfigError, with the remedy, for one that there is not, or not here."""
    if language not in RUNTIMES:
        raise ConfigError(unknown(language, "the languages of programs", RUNTIMES))
    return RUNTIMES[language](confinement)

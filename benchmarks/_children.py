"""Benchmarks measure engines in processes of their own: memory is given back whole, a crash loses one figure, and what
engines print stays out of the table.

A script starts itself with `--child JOB`; parent and child speak JSON, a line for each request and each answer.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 30.0  # for a child to end by itself
LOG_LINES = 20
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a benchmark that is stopped ends its children


class Failed(Exception):
    """A child gave no answer; the text is the end of what it printed."""


class Child:
    """`script --child JOB` and whatever processes it starts. A context manager: leaving ends all of them."""

    def __init__(self, script: str, job: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> None:
        self._log = tempfile.NamedTemporaryFile(prefix="tts-benchmark-", suffix=".log")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, script, "--child", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
            env=os.environ | (environment or {}),
            start_new_session=True,
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the child; its own processes descend from it."""
        return self._process.pid

    def ask(self, timeout_seconds: float, **request: Any) -> Any:
        """The answer to a request. Raises Failed if the child ends or stays silent."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
        except OSError as error:
            raise Failed(self._end()) from error
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout_seconds):
                raise Failed(f"no answer in {timeout_seconds:.0f} s; the end of its log:\n{self._end()}")
        line = self._process.stdout.readline()
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE_SECONDS)  # its last words come after its last answer
            raise Failed(self._end())
        return json.loads(line)

    def _end(self) -> str:
        with open(self._log.name, encoding="utf-8", errors="replace") as log:
            lines = [line.rstrip() for line in log if line.strip()]
        return "\n".join(lines[-LOG_LINES:])

    def close(self) -> None:
        """Let it end, then make sure."""
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._process.stdin.close()
            self._process.wait(PATIENCE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # an engine's processes outlive a child that crashed
        self._process.wait()
        self._process.stdout.close()
        self._log.close()


def cpu_seconds(process: int) -> float:
    """Seconds of processors that a process and those that descend from it have used."""
    try:
        words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        children = " ".join((task / "children").read_text() for task in Path(f"/proc/{process}/task").iterdir())
    except OSError:
        return 0.0  # it has ended
    used = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return used + sum(cpu_seconds(int(child)) for child in children.split())


@contextmanager
def sampling(look: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call `look` again and again, in a thread of its own, until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(seconds):
            look()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def serve(handle: Callable[[dict[str, Any]], Any]) -> None:
    """The child's side: answer requests until there are no more. What is printed goes to the log."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        answers.write(json.dumps(handle(json.loads(line))) + "\n")
        answers.flush()

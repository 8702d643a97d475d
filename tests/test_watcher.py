"""A process that ends others once its own parent is gone: whom it ends, whom it spares, what becomes of the log."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

# Starts a watcher, then a child that writes to the log, which starts another in a session of its own; says so.
PARENT = """
import subprocess, sys, time
from pathlib import Path
from tts.watcher import Watcher

log = Path(sys.argv[1])
watcher = Watcher(log)
child = "import subprocess, time; subprocess.Popen(['sleep', '600'], start_new_session=True); time.sleep(600)"
with log.open("ab") as file:
    subprocess.Popen([sys.executable, "-c", child], stdout=file, stderr=file)
print("begun", flush=True)
for order in sys.stdin:
    getattr(watcher, order.strip())()
    print("done", flush=True)
time.sleep(600)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
def parent(log: Path) -> Iterator[psutil.Popen]:
    """The script above, its child and grandchild."""
    line = [sys.executable, "-c", PARENT, str(log)]
    with psutil.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        while not sleeping(process):
            time.sleep(0.01)
        begun = process.children(recursive=True)
        yield process
        process.kill()
        for one in begun:
            with suppress(psutil.NoSuchProcess):  # which knows a number that was given anew
                one.kill()


def sleeping(process: psutil.Process) -> list[psutil.Process]:
    return [one for one in process.children(recursive=True) if one.name() == "sleep"]


def order(process: psutil.Popen, name: str) -> None:
    """Have the script call its watcher, and wait until it has."""
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"


def gone(path: Path, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not path.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_all_that_a_killed_process_began_is_ended_and_the_log_removed(parent, log, number):
    begun = parent.children(recursive=True)
    assert len(begun) == 3  # the watcher is one of them
    parent.send_signal(number)

    assert not psutil.wait_procs(begun, 10)[1]
    assert gone(log)


def test_a_log_that_tells_of_a_failure_is_left(parent, log):
    begun = parent.children(recursive=True)
    order(parent, "keep_log")
    parent.kill()

    assert not psutil.wait_procs(begun, 10)[1]
    assert log.exists()


def test_at_an_orderly_end_the_process_itself_is_spared_whatever_it_writes_to(log):
    program = (
        "import sys; from pathlib import Path; from tts.watcher import Watcher;"
        "Watcher(Path(sys.argv[1])).end(); print('alive', file=sys.stderr)"
    )
    with log.open("wb") as file:
        done = subprocess.run([sys.executable, "-c", program, log], stdout=file, stderr=subprocess.PIPE, check=False)

    assert (done.returncode, done.stderr) == (0, b"alive\n")
    assert not log.exists()


def test_what_was_begun_is_ended_when_end_returns(parent, log):
    begun = parent.children(recursive=True)
    order(parent, "end")

    assert not log.exists()
    assert not [one for one in begun if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert parent.is_running()


def test_one_that_is_dismissed_ends_nothing_and_removes_the_log(parent, log):
    begun = [one for one in parent.children(recursive=True) if "watcher.py" not in " ".join(one.cmdline())]
    order(parent, "dismiss")
    order(parent, "keep_log")  # too late, and no error

    assert not log.exists()
    assert len(begun) == 2 and all(one.is_running() for one in begun)


def test_readers_of_the_log_and_trackers_of_shared_memory_are_spared(parent, log):
    tracker = "import os, sys; os.execv(sys.executable, ['multiprocessing.resource_tracker', '-c', 'input()'])"
    with (
        subprocess.Popen(["tail", "-f", log], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader,
        log.open("ab") as file,
        subprocess.Popen([sys.executable, "-c", tracker], stdin=subprocess.PIPE, stdout=file) as tracking,
    ):
        while b"resource_tracker" not in Path(f"/proc/{tracking.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        parent.kill()
        assert gone(log)
        try:
            assert (reader.poll(), tracking.poll()) == (None, None)
        finally:
            reader.kill()
            tracking.kill()


def test_a_log_that_somebody_deleted_tells_as_well(parent, log):
    begun = parent.children(recursive=True)
    os.unlink(log)
    parent.kill()

    assert not psutil.wait_procs(begun, 10)[1]


def test_a_watcher_that_was_killed_is_no_error(parent, log):
    for child in parent.children():
        if "watcher.py" in " ".join(child.cmdline()):
            child.kill()
    order(parent, "keep_log")
    order(parent, "end")

    assert log.exists()

"""Many programs in several cells: what dies is replaced, what is closed is gone, and no verdict is lost or changed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tts.errors import InfraError
from tts.sandbox import Cell, CellDied, Job, Limits, Outcome, Status, default_workers, run_programs
from tts.types import Stdin, Test

LIMITS = Limits(cpu_seconds=2.0, memory_mib=256, output_mib=1)
TEST = Stdin("", "")


def keep(test: Test, outcome: Outcome) -> tuple[Outcome, bool]:
    return outcome, outcome.status is Status.OK


def zygotes() -> list[int]:
    """The cells that this process started; it may have other children, which other tests left, living or dead."""
    found: list[int] = []
    for path in Path("/proc/self/task").glob("*/children"):
        found += map(int, path.read_text().split())
    return [pid for pid in found if "zygote.py" in Path(f"/proc/{pid}/cmdline").read_text()]


def test_results_do_not_depend_on_order_or_workers(confinement):
    jobs = [Job(n, f"print({n})", [TEST] * 2) for n in range(12)] + [Job(99, "1 / 0", [TEST] * 2)]

    def outputs(jobs: list[Job[int]], workers: int) -> dict[int, list[str | None]]:
        results = run_programs(jobs, keep, LIMITS, workers, confinement=confinement)
        return {key: [outcome.output for outcome in result] for key, result in results}

    assert outputs(jobs, 1) == outputs(jobs[::-1], 3) == {n: [f"{n}\n"] * 2 for n in range(12)} | {99: [None]}


def test_jobs_are_read_a_little_ahead_only(confinement):
    read = []

    def source():
        for n in range(100):
            read.append(n)
            yield Job(n, "print(1)", [TEST])

    results = run_programs(source(), keep, LIMITS, 1, confinement=confinement)
    next(results)
    results.close()

    assert len(read) <= 3


@pytest.mark.parametrize("after", [0, 2])
def test_closing_leaves_no_process_and_no_folder(tmp_path, monkeypatch, after, confinement):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    tmp_path.chmod(0o711)
    jobs = [Job(n, "print(1)", [TEST]) for n in range(after)] + [
        Job(n, "import os, time\ntime.sleep(60)", [TEST]) for n in range(10, 14)
    ]
    results = run_programs(jobs, keep, LIMITS, 2, confinement=confinement)
    before = zygotes()
    for _ in range(after):
        next(results)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(results)
    timer.join()

    assert zygotes() == before
    assert not list(tmp_path.iterdir())


@contextmanager
def assassin(interval: float, victims: int) -> Iterator[None]:
    """Kills the first so many of this process's cells again and again."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(interval):
            for pid in zygotes()[:victims]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_killed_cells_change_no_outcome(confinement):
    jobs = [Job(n, f"t = 0\nfor i in range(300000): t += i\nprint({n})", [TEST] * 3) for n in range(20)]
    begun = time.monotonic()
    list(run_programs(jobs[:4], keep, LIMITS, 2, confinement=confinement))
    undisturbed = (time.monotonic() - begun) / 2  # seconds for one after the other, a cell's start included

    with assassin(max(0.25, undisturbed / 2), victims=1):
        results = dict(run_programs(jobs, keep, LIMITS, 2, confinement=confinement))

    decided = {key: result for key, result in results.items() if not isinstance(result, InfraError)}
    assert len(results) == 20
    assert len(decided) >= 18  # three kills in a row leave a program undecided
    assert all([outcome.output for outcome in result] == [f"{key}\n"] * 3 for key, result in decided.items())


def test_a_cell_that_always_dies_is_an_infra_error_and_the_others_go_on(confinement):
    jobs = [Job("slow", "import time\ntime.sleep(3)", [TEST]), Job("quick", "print(1)", [TEST])]

    with assassin(1.0, victims=2):
        results = dict(run_programs(jobs, keep, LIMITS, 1, confinement=confinement))

    assert isinstance(results["slow"], InfraError)
    assert "6 attempts" in str(results["slow"])
    assert [outcome.output for outcome in results["quick"]] == ["1\n"]


def running(process: psutil.Process) -> list[psutil.Process]:
    """The candidates among what a process started: each is the child of a zygote, and as that named."""
    found = []
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            parent = child.parent()
            if parent and child.name() == parent.name() and "zygote.py" in " ".join(parent.cmdline()):
                found += [] if child.name() == "bwrap" else [child]
    return found


def test_the_last_attempt_is_made_alone(confinement):
    jobs = [Job(n, f"import time\ntime.sleep(0.6)\nprint({n})", [TEST]) for n in range(2)]
    results: dict[int, object] = {}
    work = threading.Thread(
        target=lambda: results.update(run_programs(jobs, keep, LIMITS, 2, confinement=confinement)),
    )
    work.start()
    together = 0
    while work.is_alive():
        if len(running(psutil.Process())) > 1:
            together += 1
            for pid in zygotes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)

    assert together >= 2  # five, if both run at once every time; fewer where others keep the machine busy
    assert {n: [outcome.output for outcome in result] for n, result in results.items()} == {0: ["0\n"], 1: ["1\n"]}


def test_a_program_that_kills_itself_is_judged(confinement):
    ((_, result),) = run_programs(
        [Job(0, "import os\nos.kill(os.getpid(), 9)", [TEST])], keep, LIMITS, 1, confinement=confinement
    )

    assert [outcome.status for outcome in result] == [Status.RUNTIME_ERROR]
    assert "SIGKILL" in result[0].detail


def test_a_bug_in_the_judge_is_raised(confinement):
    def broken(test: Test, outcome: Outcome) -> tuple[None, bool]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run_programs([Job(0, "print(1)", [TEST])], broken, LIMITS, 1, confinement=confinement))


def test_a_dead_cell_says_so_and_buries_its_dead(tmp_path, monkeypatch, confinement):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import os, time\ntime.sleep(30)"
    with Cell(confinement) as cell:
        timer = threading.Timer(0.3, os.kill, (cell.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(CellDied):
            cell.run(code, TEST, LIMITS)
    time.sleep(0.05)

    assert not list(tmp_path.iterdir())
    for cwd in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            assert str(tmp_path) not in os.readlink(cwd)


HOST = """
import sys
from tts.sandbox import Confinement, Job, Level, Limits, run_programs
from tts.types import Stdin
jobs = [Job(n, "import time\\ntime.sleep(60)", [Stdin("", "")]) for n in range(2)]
confinement = Confinement(Level(sys.argv[1]), sys.argv[2])
list(run_programs(jobs, lambda test, outcome: (outcome, True), Limits(), 2, confinement=confinement))
"""


@pytest.mark.parametrize("seconds", [0.0, 1.0])  # while its cells start, and when their programs sleep
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_host_leaves_no_process_and_no_folder(tmp_path, number, seconds, confinement):
    tmp_path.chmod(0o711)
    command = [sys.executable, "-c", HOST, confinement.level, confinement.bwrap]
    host = psutil.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)})
    last: list[psutil.Process] = []
    try:

        def cells() -> int:
            with suppress(psutil.NoSuchProcess):
                return sum("zygote.py" in " ".join(child.cmdline()) for child in host.children())
            return 0

        assert soon(lambda: cells() == 2)
        time.sleep(seconds)
        last[:] = host.children(recursive=True)
    finally:
        host.send_signal(number)
        host.wait()

    assert soon(lambda: not any(map(lives, last)))  # a second where nothing else runs
    assert soon(lambda: not list(tmp_path.iterdir()))


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; one that waits for its new parent to take note does not."""
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def soon(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


FEW_FILES = """
import resource
from tts.sandbox import Job, Limits, run_programs
from tts.types import Stdin
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 120))
jobs = [Job(n, "print(1)", [Stdin("", "")]) for n in range(40)]
results = list(run_programs(jobs, lambda test, outcome: (outcome, True), Limits(memory_mib=64), 200))
print([result[0].output for key, result in results] == ["1\\n"] * 40)
"""


def test_more_workers_than_open_files_allow_are_fewer(confinement):
    done = subprocess.run([sys.executable, "-c", FEW_FILES], capture_output=True, text=True, check=False)

    assert done.stdout == "True\n", done.stdout + done.stderr


SPIN = "import time\ndef f():\n    t = time.thread_time() + 1.2\n    while time.thread_time() < t: pass\n"


ELSEWHERE = [
    "import threading\nt = threading.Thread(target=f)\nt.start()\nt.join()",
    "import threading\nfor _ in range(8):\n    t = threading.Thread(target=g)\n    t.start()\n    t.join()",
]


def test_a_busy_machine_times_out_no_program_that_computes_elsewhere(confinement):
    spin = SPIN + SPIN.replace("f()", "g()").replace("1.2", "0.15")
    count = 8 * len(os.sched_getaffinity(0))  # together for longer than one may wait
    jobs = [Job(n, f"{spin}{ELSEWHERE[n % 2]}\nprint(1)", [TEST]) for n in range(count)]

    results = dict(run_programs(jobs, keep, LIMITS, count))

    assert {n: outcome.detail for n, (outcome,) in results.items() if outcome.output != "1\n"} == {}


def test_workers_fit_the_memory(confinement):
    assert default_workers(Limits(memory_mib=1 << 30)) == 1
    assert 1 <= default_workers(Limits(memory_mib=1)) <= len(os.sched_getaffinity(0))

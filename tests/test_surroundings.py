"""`tts grade` in bad surroundings: it works, or it fails with one clear line, and nothing that was finished is lost.

Each test is a real run of the real command. Where this machine does not let a surrounding be made, the test is skipped.
"""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from support import Disk, Done, Small, command, own_cache, rows_of, write_rows

ROOT = Path(__file__).parents[1]
ENDS = {"print(2 * n)": "passed", "print(2)": "wrong_answer", "print(n + 1)": "wrong_answer", "1 / 0": "runtime_error"}
EXPECTED = list(ENDS.values()) * 2
WAIT = "import time\nwhile time.process_time() < {}: pass\n"
SECONDS = ("seconds", "wall_seconds", "peak_mib")
WARNING = "Warning: "


def problem(name: str, tests: Sequence[tuple[str, str]]) -> dict[str, str]:
    cases = [{"input": given, "output": wanted, "testtype": "stdin"} for given, wanted in tests]
    hidden = json.dumps(cases[1:])
    return {
        "question_id": name,
        "question_content": "?",
        "public_test_cases": json.dumps(cases[:1]),
        "private_test_cases": hidden,
    }


def candidates(name: str, count: int, seconds: float = 0.0) -> list[dict[str, Any]]:
    """So many different programs, of which EXPECTED says what they come to."""
    ends, head = list(ENDS) * count, WAIT.format(seconds) + "n = int(input())"
    return [{"question_id": name, "index": i, "code": f"{head}\n{ends[i]}  # {i}"} for i in range(count)]


def write_small(folder: Path, seconds: float = 0.0) -> Path:
    """Write one problem and a program for each of EXPECTED."""
    folder.chmod(0o755)
    write_rows(folder / "p.jsonl", [problem("double", [(f"{n}\n", f"{2 * n}\n") for n in range(3)])])
    write_rows(folder / "c.jsonl", candidates("double", len(EXPECTED), seconds))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one problem and a program for each of EXPECTED."""
    return write_small(tmp_path)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the rows are where nothing is amiss."""
    folder = write_small(tmp_path_factory.mktemp("undisturbed"))
    assert_graded(folder, grade(folder, "--no-cache"))
    return rows_without_times(folder / "out.jsonl")


def grade(
    folder: Path,
    *options: object,
    around: str = 'exec "$@"',
    files: tuple[object, object, object] = ("p.jsonl", "c.jsonl", "out.jsonl"),
    without: Sequence[str] = (),
    namespaces: bool = False,
    **environment: str,
) -> Done:
    """`tts grade`, started by a shell that makes its surroundings; in a mount namespace of its own if that is asked."""
    problems, rows, out = files
    line = ["sh", "-c", around, "sh", *command("grade", problems, rows, "--out", out, *options)]
    if namespaces:
        line = ["unshare", "-m", "--propagation", "private", *line]
    known = {name: value for name, value in own_cache(folder).items() if name not in without}
    done = subprocess.run(line, cwd=folder, env=known | environment, capture_output=True, text=True, timeout=300)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"these surroundings cannot be made here: {done.stderr.strip()}")
    return Done(done.returncode, done.stdout, done.stderr)


def rows_without_times(path: Path) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in SECONDS} for row in rows_of(path)]


def verdicts(path: Path) -> list[str]:
    return [row["verdict"] for row in rows_of(path)]


def assert_graded(folder: Path, done: Done, warning: str = "", out: str | Path = "out.jsonl") -> None:
    """All went well, with at most this one warning."""
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    warned = [line for line in done.err.splitlines() if line.startswith(WARNING)]
    assert len(warned) == bool(warning), done.err
    assert warning in "".join(warned)
    assert verdicts(folder / out) == EXPECTED


def assert_failed(done: Done, *parts: str, code: int = 2) -> None:
    """It ended with one line that says these things, after the lines of its progress."""
    assert done.code == code, done.err
    (line,) = [line for line in done.err.splitlines() if not line.startswith(("grade: ", WARNING))]
    assert line.startswith(("Error: ", "Failure: "))
    for part in parts:
        assert part in line


# -- what a process is started with ------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["-n 256", "-n 40", "-s 1024"])
def test_few_open_files_and_a_small_stack_are_enough(folder, limit):
    done = grade(folder, "--no-cache", "--workers", 4, around=f'ulimit {limit}; exec "$@"')

    assert_graded(folder, done)


def test_too_few_open_files_are_named(folder):
    done = grade(folder, "--no-cache", around='ulimit -n 12; exec "$@"')

    assert_failed(done, "self-test could not be run", "Too many open files", "raise the limit", code=1)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_are_closed_or_full_cost_nothing(folder, closed):
    assert_graded(folder, grade(folder, "--no-cache", around=f'exec "$@" {closed}'))


def test_a_reader_that_has_gone_costs_nothing(folder):
    assert grade(folder, "--no-cache", around='{ "$@" 2>&1; echo $? >status; } | true').err == ""
    assert (folder / "status").read_text() == "0\n"
    assert verdicts(folder / "out.jsonl") == EXPECTED


def test_an_error_that_nobody_reads_is_an_error(folder):
    assert grade(folder, "--no-cache", around='exec "$@" 2>/dev/full', files=("nowhere", "c.jsonl", "o")).code == 2


@pytest.mark.parametrize(
    ("more", "spelt"), [({}, "třetina"), ({"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "t\\u0159etina")]
)
def test_a_plain_locale_grades_and_names_what_it_cannot_spell(folder, more, spelt):
    plain = {"LANG": "C", "LC_ALL": "C"} | more
    write_rows(folder / "pé.jsonl", [row | {"question_id": "dvojnásobek"} for row in rows_of(folder / "p.jsonl")])
    files = ("pé.jsonl", "cé.jsonl", "out.jsonl")
    write_rows(folder / "cé.jsonl", [{"question_id": "třetina", "index": 0, "code": "1"}])
    assert_failed(grade(folder, "--no-cache", files=files, **plain), spelt)
    write_rows(folder / "cé.jsonl", candidates("dvojnásobek", len(EXPECTED)))

    assert_graded(folder, grade(folder, "--no-cache", files=files, **plain))
    assert {row["question_id"] for row in rows_of(folder / "out.jsonl")} == {"dvojnásobek"}


def test_an_empty_environment_is_enough(folder):
    assert_graded(folder, grade(folder, "--no-cache", "--level", "B", around='exec env -i "$@"'))


def test_a_deleted_working_folder_is_named(folder):
    (folder / "gone").mkdir()
    around = 'cd gone && rmdir ../gone && exec "$@"'
    files = tuple(folder / name for name in ("p.jsonl", "c.jsonl", "out.jsonl"))
    assert_graded(folder, grade(folder, "--no-cache", around=around, files=files))

    for relative in ((*files[:2], "out.jsonl"), ("p.jsonl", *files[1:])):
        (folder / "gone").mkdir()
        done = grade(folder, "--no-cache", around=around, files=relative)
        assert_failed(done, "cannot be", "No such file or directory (the working folder has been deleted)")


# -- what the machine is like ------------------------------------------------------------------------------------------


def test_a_machine_without_proc_is_told_so(folder):
    done = grade(folder, "--no-cache", around='umount -l /proc && exec "$@"', namespaces=True)

    assert_failed(done, "/proc is not mounted", "mount -t proc proc /proc")
    assert not (folder / "out.jsonl").exists()


def test_a_home_that_is_read_only_is_one_warning(folder, disk):
    disk.mount("size=1m")
    disk.mount("ro")
    done = grade(folder, without=["XDG_CACHE_HOME"], HOME=str(disk.folder))

    assert_graded(folder, done, "cannot be used ([Errno 30] Read-only file system")


def fill(disk: Disk) -> None:
    """No byte more fits."""
    with suppress(OSError), (disk.folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("level", ["A", "B"])
def test_a_full_temporary_folder_is_passed_over(folder, disk, level):
    if level == "A" and not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    disk.mount("size=64k")
    fill(disk)

    assert_graded(folder, grade(folder, "--no-cache", "--level", level, TMPDIR=str(disk.folder)))


def test_a_machine_without_any_temporary_folder_is_told_so(folder, disk):
    disk.mount("size=64k")
    fill(disk)
    closed = " && ".join(
        f"mount --bind {place} {place} && mount -o remount,bind,ro {place}"
        for place in ("/tmp", "/var/tmp", "/usr/tmp", folder)
        if Path(place).is_dir()
    )
    files = ("p.jsonl", "c.jsonl", disk.folder / "out.jsonl")
    around = f'{closed} && exec "$@"'
    done = grade(folder, "--no-cache", around=around, files=files, namespaces=True, TMPDIR=str(disk.folder))

    assert_failed(done, "needs a temporary folder: No usable temporary directory found", "set TMPDIR")


BWRAPS = {
    "that fails": ("#!/bin/sh\necho setting up uid map: Permission denied >&2\nexit 1\n", "Permission denied"),
    "that may make no namespaces": (
        "#!/bin/sh\n[ $1 = --version ] && echo bubblewrap 0.9.0 && exit\necho bwrap: not permitted >&2\nexit 1\n",
        "Its last words: bwrap: not permitted",
    ),
    "that prints garbage": ("#!/bin/sh\nwhile echo garbage; do :; done\n", "it said 'garbage"),
    "that says nothing": ("#!/bin/sh\n", "it said ''"),
    "that is no program": ("\x7fELF\0", "cannot be started (Exec format error)"),
    "without its interpreter": ("#!/nowhere/sh\n", "cannot be started (No such file or directory)"),
}


def broken(folder: Path, text: str) -> str:
    """A PATH on which a `bwrap` of this text comes first."""
    (folder / "bin").mkdir()
    (folder / "bin" / "bwrap").write_text(text)
    (folder / "bin" / "bwrap").chmod(0o755)
    return f"{folder / 'bin'}:{os.environ['PATH']}"


@pytest.mark.parametrize("name", BWRAPS)
def test_a_bwrap(folder, name):
    text, says = BWRAPS[name]
    done = grade(folder, "--no-cache", PATH=broken(folder, text))

    assert_graded(folder, done, "programs are confined at level B only. Level A does not hold")
    assert f"{folder / 'bin' / 'bwrap'}" in done.err
    assert says in done.err
    assert {row["level"] for row in rows_of(folder / "out.jsonl")} == {"B"}


def test_a_bwrap_that_may_not_be_run_is_none(folder):
    broken(folder, "")
    (folder / "bin" / "bwrap").chmod(0o644)
    done = grade(folder, "--no-cache", around=f'PATH={folder / "bin"} exec "$@"')

    assert_graded(folder, done, "bwrap is not installed")


@pytest.mark.long
def test_a_bwrap_that_hangs_is_left_behind_and_left_with_nothing_running(folder):
    begun = time.monotonic()
    done = grade(folder, "--no-cache", PATH=broken(folder, "#!/bin/sh\nsleep 98765\n"))

    assert_graded(folder, done, "it said ''")
    assert time.monotonic() - begun < 60  # ten seconds of patience
    assert not [process for process in psutil.process_iter() if "98765" in command_of(process)]


def test_a_grading_that_is_stopped_before_it_begins_says_so(folder):
    env = own_cache(folder) | {"PATH": broken(folder, f"#!/bin/sh\necho >{folder}/asked\nsleep 87654\n")}
    line = command("grade", "p.jsonl", "c.jsonl", "--out", "out.jsonl")
    with subprocess.Popen(line, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as process:
        while not (folder / "asked").exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(1.0)  # by then it waits for an answer
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (143, "\nStopped. Nothing was graded, and out.jsonl was not written.\n")
    assert not [process for process in psutil.process_iter() if "87654" in command_of(process)]


def command_of(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline()
    return []


# -- being stopped -----------------------------------------------------------------------------------------------------


def kept(path: Path) -> int:
    """How many verdicts are in a cache."""
    if path.exists():
        with closing(sqlite3.connect(path, timeout=10)) as connection, suppress(sqlite3.OperationalError):
            return int(connection.execute("SELECT count(*) FROM verdicts").fetchone()[0])
    return 0


@pytest.mark.parametrize(
    ("level", "signals", "codes"),
    [
        ("auto", [signal.SIGINT], [130]),
        ("auto", [signal.SIGTERM], [143]),
        ("auto", [signal.SIGHUP], [129]),
        ("B", [signal.SIGTERM], [143]),
        ("B", [signal.SIGTERM, signal.SIGINT, signal.SIGINT], [130, 143, -2]),  # the last may come when all is done
    ],
)
def test_a_grading_that_is_stopped_says_how_to_go_on_and_does(folder, undisturbed, level, signals, codes):
    write_small(folder, seconds=0.15)
    (folder / "tmp").mkdir(mode=0o755)
    options = ("--workers", 1, "--cache", "cache", "--level", level)
    line = command("grade", "p.jsonl", "c.jsonl", "--out", "out.jsonl", *options)
    env = own_cache(folder) | {"TMPDIR": str(folder / "tmp")}
    with psutil.Popen(line, cwd=folder, env=env, stderr=subprocess.PIPE, text=True) as process:
        while kept(folder / "cache") < 2:
            assert process.poll() is None
            time.sleep(0.005)
        cells = process.children(recursive=True)
        for number in signals:
            process.send_signal(number)
        _, said = process.communicate(timeout=60)

    found = kept(folder / "cache")
    assert process.returncode in codes
    assert "Traceback" not in said
    assert said.splitlines()[-1] == (
        "Stopped. out.jsonl was not written; verdicts found so far are kept, and the same command goes on from there."
    )
    assert 2 <= found < len(EXPECTED)
    assert cells and not psutil.wait_procs(cells, 10)[1]
    assert not list((folder / "tmp").iterdir())
    assert not list(folder.glob("*out.jsonl*"))
    done = grade(folder, *options)
    assert f"{found} of {len(EXPECTED)} programs were graded before" in done.err
    assert_graded(folder, done)
    rows = rows_without_times(folder / "out.jsonl")
    assert [row | {"level": undisturbed[0]["level"]} for row in rows] == undisturbed


SLOW = """
import time
from dataclasses import dataclass
from pathlib import Path
from tts.types import Score

@dataclass(frozen=True)
class Slow:
    def score(self, pairs):
        for problem, candidate in pairs:
            time.sleep(0.2)
            yield Score(problem.id, candidate.index, 1.0)
            Path("begun").touch()
"""
STOPPABLE = {
    "run": (["config.yaml", "--folder", "run"], "What was finished is stored. To continue: tts run config.yaml"),
    "score": (
        ["pairs.jsonl", "--scorer", "slow:Slow"],
        "What is known is kept beside the output; the same command goes on from there.",
    ),
}


def begin_slowly(small: Small, name: str, *around: str) -> subprocess.Popen[str]:
    """A command that scores with the above, which takes seconds; returns once it is at it."""
    (small.folder / "slow.py").write_text(SLOW)
    small.write(scorers=["slow:Slow"])
    write_rows(small.folder / "pairs.jsonl", [{"id": str(n), "question": "q", "code": "pass"} for n in range(50)])
    line = [*around, *command(name, *STOPPABLE[name][0])]
    process = subprocess.Popen(line, cwd=small.folder, env=own_cache(small.folder), stderr=subprocess.PIPE, text=True)
    while not (small.folder / "begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


NEVER = """
import time
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True)
class Never:
    def problems(self):
        Path("begun").touch()
        time.sleep(60)

    def tests(self, name):
        return []

    def generate(self, wanted):
        self.problems()
        yield

    score = generate
"""


def interrupted(folder, line):
    """What a command says that gets Ctrl-C once a plug-in of NEVER has begun."""
    with subprocess.Popen(line, cwd=folder, env=own_cache(folder), stderr=subprocess.PIPE, text=True) as process:
        while not (folder / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=50)
    assert process.returncode == 130, said
    return said


@pytest.mark.parametrize("stage", ["benchmark", "generator"])
def test_a_run_that_is_stopped_before_anything_is_finished_says_so(small, stage):
    (small.folder / "never.py").write_text(NEVER)
    small.write(**{stage: {"name": "never:Never"} | ({"n": 1} if stage == "generator" else {})})
    said = interrupted(small.folder, command("run", "config.yaml", "--folder", "run"))
    again = "tts run config.yaml --folder run"
    assert said.splitlines()[-1] == f"Stopped. Nothing was finished yet. To begin anew: {again}"


def test_scoring_that_is_stopped_before_the_first_score_says_so(small):
    (small.folder / "never.py").write_text(NEVER)
    write_rows(small.folder / "pairs.jsonl", [{"id": "a", "question": "q", "code": "pass"}])
    said = interrupted(small.folder, command("score", "pairs.jsonl", "--scorer", "never:Never"))
    assert said.splitlines()[-1] == "Stopped. Nothing was finished yet; the same command begins anew."
    assert not list(small.folder.glob("scores.jsonl*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", STOPPABLE)
def test_a_command_that_is_stopped_says_how_to_go_on(small, name, number):
    with begin_slowly(small, name) as process:
        process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 128 + number, said
    assert said.splitlines()[-1].startswith(f"Stopped. {STOPPABLE[name][1]}")
    assert "Traceback" not in said


def test_a_signal_that_the_caller_has_a_command_ignore_stays_ignored(small):
    ignoring = ("sh", "-c", 'trap "" HUP INT; exec "$@"', "sh")  # nohup, and a script's `&`
    with begin_slowly(small, "run", *ignoring) as process:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)

    assert process.returncode == 0, said


# -- files -------------------------------------------------------------------------------------------------------------


def test_no_room_for_the_results_keeps_the_verdicts(folder, disk):
    disk.mount("size=64k")
    fill(disk)
    out = disk.folder / "out.jsonl"
    files = ("p.jsonl", "c.jsonl", out)
    done = grade(folder, files=files)
    assert_failed(done, f"{out} cannot be written: No space left on device. Free some space", "The verdicts are kept")
    assert not list(disk.folder.glob("*out*"))

    (disk.folder / "filler").unlink()
    again = grade(folder, files=files)
    assert f"{len(EXPECTED)} of {len(EXPECTED)} programs were graded before" in again.err
    assert_graded(folder, again, out=out)


def test_no_room_for_the_cache_is_one_warning(folder, disk):
    disk.mount("size=64k")
    fill(disk)

    assert_graded(folder, grade(folder, "--cache", disk.folder / "cache"), "cannot be used (")


def test_a_place_that_is_read_only_is_found_before_anything_is_run(folder, disk):
    disk.mount("size=1m")
    disk.mount("ro")
    done = grade(folder, files=("p.jsonl", "c.jsonl", disk.folder / "out.jsonl"))

    assert_failed(done, "cannot be written: Read-only file system", "give another file")
    assert "grade: " not in done.err


def test_a_cache_that_is_read_only_is_one_warning(folder, disk):
    disk.mount("size=1m")
    cache = disk.folder / "cache"
    assert_graded(folder, grade(folder, "--cache", cache))
    disk.mount("ro")

    assert_graded(folder, grade(folder, "--cache", cache), f"{cache} cannot be used (")


def test_links_are_followed(folder):
    for name in ("p.jsonl", "c.jsonl", "out.jsonl"):
        (folder / f"to-{name}").symlink_to(name)
    files = ("to-p.jsonl", "to-c.jsonl", "to-out.jsonl")
    assert_graded(folder, grade(folder, "--no-cache", files=files))
    assert (folder / "to-out.jsonl").is_symlink()

    (folder / "c.jsonl").unlink()
    assert_failed(grade(folder, "--no-cache", files=files), "to-c.jsonl cannot be read: No such file or directory")


# -- odd amounts -------------------------------------------------------------------------------------------------------


def test_no_candidates_are_no_rows(folder):
    (folder / "c.jsonl").write_text("")
    done = grade(folder, "--no-cache")

    assert done.code == 0
    warning = r".* holds no candidate: .* will be empty\.\n"
    assert re.fullmatch(warning + r"grade: 0 of 0\nno rows; level [AB], isolation test: .*out\.jsonl\n", done.err)
    assert (folder / "out.jsonl").read_bytes() == b""


def test_no_problems_are_an_error(folder):
    (folder / "p.jsonl").write_text("\n")

    assert_failed(grade(folder, "--no-cache"), "p.jsonl: no problem is in there. Give a row for each")


def test_a_problem_may_have_any_number_of_candidates(folder):
    counts = {"none": 0, "one": 1, "three": 3, "eight": 8}
    tests = [(f"{n}\n", f"{2 * n}\n") for n in range(3)]
    write_rows(folder / "p.jsonl", [problem(name, tests) for name in counts])
    write_rows(folder / "c.jsonl", [row for name, count in counts.items() for row in candidates(name, count)])
    done = grade(folder, "--no-cache")

    assert done.code == 0, done.err
    found = {name: [row["verdict"] for row in rows_of(folder / "out.jsonl") if row["question_id"] == name]
             for name in counts}  # fmt: skip
    assert found == {name: EXPECTED[:count] for name, count in counts.items()}


def memory(process: psutil.Process) -> int:
    """Proportional bytes of a process and all that descend from it."""
    total = 0
    with suppress(psutil.Error):
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                total += one.memory_full_info().pss
    return total


def test_a_test_of_fifty_megabytes_takes_a_few_hundred(folder):
    words = 50 * 2**20 // 8
    write_rows(folder / "p.jsonl", [problem("words", [("1234567 " * words + "\n", f"{words}\n")])])
    codes = [f"import sys\nprint(sum(line.count(' ') for line in sys.stdin) + {n % 2})  # {n}" for n in range(4)]
    write_rows(folder / "c.jsonl", [{"question_id": "words", "index": n, "code": code} for n, code in enumerate(codes)])
    line = command("grade", "p.jsonl", "c.jsonl", "--out", "out.jsonl", "--workers", 2)
    peak = 0
    with psutil.Popen(line, cwd=folder, env=own_cache(folder), stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, memory(process))
            time.sleep(0.1)

    assert verdicts(folder / "out.jsonl") == ["passed", "wrong_answer"] * 2
    assert 100 < peak >> 20 < 700  # MiB; about 380, of which each of two programs has the test once


# -- other interpreters ------------------------------------------------------------------------------------------------


def interpreters(version: str) -> Iterator[str]:
    """Where this machine may have a Python of a version."""
    if found := shutil.which(f"python{version}"):
        yield found
    yield from map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))


def works(python: str, program: str) -> bool:
    done = subprocess.run([python, "-c", program], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture(params=["3.12", "3.13"])
def other_python(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Another Python with the dependencies of grading and nothing else."""
    found = next((python for python in interpreters(request.param) if works(python, "import venv, ensurepip")), None)
    if found is None:
        pytest.skip(f"there is no Python {request.param} here")
    place = tmp_path / "venv"
    subprocess.run([found, "-m", "venv", place], check=True)
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    install = [place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", *needed]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"its dependencies cannot be installed: {done.stderr.splitlines()[-1]}")
    return str(place / "bin" / "python")


@pytest.mark.long
def test_another_python_without_torch_grades_alike(folder, undisturbed, other_python):
    assert not works(other_python, "import torch")
    levels = ["B", "A"] if shutil.which("bwrap") else ["B"]
    around = f'shift; exec {other_python} "$@"'
    for level in levels:
        assert_graded(folder, grade(folder, "--level", level, around=around, PYTHONPATH=str(ROOT)))
        rows = rows_without_times(folder / "out.jsonl")
        assert [row | {"level": undisturbed[0]["level"]} for row in rows] == undisturbed


# -- `tts run` ---------------------------------------------------------------------------------------------------------


def test_a_run_with_nothing_left_to_grade_needs_no_sandbox(small, cli):
    without_proc = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'umount -l /proc && exec "$@"', "sh"]

    def run(*overrides: str) -> Done:
        line = [*without_proc, *command("run", "config.yaml", *overrides, "--folder", "run")]
        done = subprocess.run(line, cwd=small.folder, env=own_cache(small.folder), capture_output=True, text=True)
        if "unshare:" in done.stderr or "umount:" in done.stderr:
            pytest.skip(f"these surroundings cannot be made here: {done.stderr.strip()}")
        return Done(done.returncode, done.stdout, done.stderr)

    assert cli("run", "config.yaml", "benchmark.limit=2", "--folder", "run").code == 0
    settled = run("benchmark.limit=2", "selectors=[argmax]")

    assert settled.code == 0, settled.err
    assert "grade: 8 of 8" in settled.err
    assert "argmax" in settled.out
    for more in (["benchmark.limit=3"], ["benchmark.limit=2", "grading.timeout=5"]):
        assert_failed(Done(2, "", run(*more).error), "/proc is not mounted")

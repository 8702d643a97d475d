"""`tts run` with a real vLLM engine beside a reward model: what signals and a killed engine leave, and what follows."""

import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import tiny
from support import IDS, command, environment, tts

pytest.importorskip("vllm", reason="vLLM is not installed; README.md has the line")
pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Path, Path]:
    shape = {"head_dim": 32, "hidden_size": 64, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("models")
    return tiny.causal(folder / "generator", "Llama", **shape), tiny.reward(folder / "reward", **shape)


@pytest.fixture
def run(small, models):
    """Writes a config with so many candidates, of which each takes a second or two at most."""
    generator, reward = models

    def configured(n: int, **memory) -> Path:
        small.write(
            generator={
                "name": "vllm",
                "model": str(generator),
                "dtype": "float32",
                "n": n,
                "temperature": 1.0,
                "max_tokens": 250,
                "max_model_len": 2048,
                "max_num_seqs": 8,
                "enforce_eager": True,
            },
            scorers=[
                "likelihood",
                {"name": "codescaler", "model": str(reward), "dtype": "float32", "token_budget": 4096},
            ],
            prompt={"extraction": "cascade"},
            memory={"prompt_tokens": 512, **memory},
        )
        return small.folder

    return configured


def stored(folder: Path, table: str = "candidates") -> list[tuple[str, int]]:
    connection = sqlite3.connect(folder / "run" / "run.sqlite")
    try:
        return connection.execute(f"SELECT problem_id, idx FROM {table}").fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def is_engine(process: psutil.Process) -> bool:
    """Whether it is vLLM's, and has not ended."""
    with suppress(psutil.Error):
        return "EngineCore" in " ".join(process.cmdline())
    return False


def begin(folder: Path, count: int, around: Sequence[str] = ()) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a run and wait for its first candidates: the process, and all that it has started."""
    arguments = [*around, *command("run", "config.yaml", "--folder", "run")]
    process = subprocess.Popen(
        arguments, cwd=folder, env=environment(), text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not (folder / "run" / "run.sqlite").exists() or len(stored(folder)) < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize("mode", ["share", pytest.param("sequential", marks=pytest.mark.long)])
def test_a_run_draws_and_scores_everything_once_and_says_how(run, mode):
    folder = run(4, mode=mode)
    done = tts(folder, "run", "config.yaml", "--folder", "run")
    assert done.code == 0, done.err
    assert Counter(stored(folder)) == Counter((name, index) for name in IDS for index in range(4))
    assert len(stored(folder, "scores")) == 2 * 12
    record = sqlite3.connect(folder / "run" / "run.sqlite").execute("SELECT value FROM meta WHERE key = 'sessions'")
    assert "engine's was" in record.fetchone()[0]


@pytest.mark.long
def test_a_killed_engine_ends_the_run_with_its_log_and_the_same_command_goes_on(run):
    folder = run(300)
    process, children = begin(folder, 5)
    for child in children:
        if is_engine(child):
            child.send_signal(signal.SIGKILL)
    _, err = process.communicate(timeout=100)
    held = stored(folder)
    assert process.returncode == 1
    assert "Failure: vLLM's engine died. What was finished is stored; run the same command again to continue." in err
    assert "Traceback" not in err
    assert 2 < len(err[err.index("The end of its log") :].splitlines()) <= 1 + 12
    assert 5 <= len(held) < 900
    again = tts(run(len(held) // 3 + 4), "run", "config.yaml", "--folder", "run")
    assert again.code == 0, again.err
    after = Counter(stored(folder))
    assert max(after.values()) == 1 and set(held) <= set(after)


def test_ctrl_c_leaves_no_process_and_loses_nothing(run):
    folder = run(300)
    process, children = begin(folder, 5)
    assert children
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Stopped. What was finished is stored. To continue: tts run config.yaml --folder run" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.long
def test_a_run_that_is_killed_leaves_no_process_and_goes_on(run):
    folder = run(300)
    process, children = begin(folder, 5)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    assert len(stored(folder)) >= 5


@pytest.mark.long
def test_a_job_in_the_background_outlives_ctrl_c_and_ends_in_order_when_asked_to(run):
    folder = run(300)
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a script starts what it starts with `&`
    process, children = begin(folder, 5, ignoring)
    os.killpg(process.pid, signal.SIGINT)
    count = len(stored(folder))
    deadline = time.monotonic() + 60
    while len(stored(folder)) < count + 20:  # an engine that heard it would have ended by then
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)  # as `timeout` does, so that the engine hears it, too
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "Stopped. What was finished is stored. To continue: tts run config.yaml --folder run" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


def of_session(number: int) -> list[psutil.Process]:
    """The processes of a session that have not ended."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def spawned(name: str, session: int) -> bool:
    """Whether a session has a process of that title."""
    for process in of_session(session):
        with suppress(psutil.Error):
            if name in " ".join(process.cmdline()):
                return True
    return False


@pytest.mark.long
@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("spawn_main", signal.SIGKILL, -9),  # vLLM's first process, before it gives itself a title
        ("spawn_main", signal.SIGINT, 130),
        ("EngineCore", signal.SIGTERM, 143),
        ("Worker", signal.SIGKILL, -9),
    ],
)
def test_a_run_that_is_ended_while_its_engine_starts_leaves_nothing(run, moment, number, code):
    folder = run(4)
    arguments = command("run", "config.yaml", "--folder", "run")
    temporary = tempfile.mkdtemp()  # of a short path, since vLLM's sockets are in there
    env = environment() | {"TMPDIR": temporary}
    process = subprocess.Popen(
        arguments, cwd=folder, env=env, text=True, stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not spawned(moment, process.pid):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    begun = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "in vLLM; its log is" in err  # what it was at while nothing moved
    assert ("Stopped. Nothing was finished yet. To begin anew: tts run config.yaml" in err) == (code > 0)
    assert "Traceback" not in err
    while of_session(process.pid) or list(Path(temporary).glob("tts-vllm-*")):
        assert time.monotonic() < begun + 20
        time.sleep(0.1)
    assert (folder / "run").exists() == (code < 0)  # of a run that stored nothing in an orderly end


def test_ctrl_c_before_the_engine_has_a_process_ends_at_once(run):
    folder = run(4)
    arguments = command("run", "config.yaml", "--folder", "run")
    process = subprocess.Popen(arguments, cwd=folder, env=environment(), text=True, stderr=subprocess.PIPE)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("Loading"):
        assert process.poll() is None
    begun = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert time.monotonic() - begun < 15  # importing vLLM and starting its processes takes much longer


def test_more_memory_than_there_is_is_refused_with_ways_out(run):
    done = tts(run(4, total_gib=0.5, device="cpu"), "run", "config.yaml", "--folder", "run")
    assert done.code == 2
    assert "The models do not fit" in done.err and "Ways out:" in done.err

"""A run on Ray is the same run: whatever number of actors, whoever dies, and only what really kills is given up.

One small cluster is shared by the tests that need no other; it counts 8 CPUs and 4 GPUs that are not there.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import psutil
import pytest
import yaml
from standins import PATIENCE_SECONDS, until
from support import command, environment, programs, tts
from timed import Refusing, Timed, TimedScore

import tts as tts_package
from tts import config as configs
from tts import export, pipeline
from tts.cluster import AHEAD, RayCluster, RayEngine, _check_versions
from tts.config import ClusterConfig
from tts.engine import Drawn, Engine, Rated
from tts.environment import versions
from tts.errors import ConfigError, InfraError, ModelError
from tts.grade import GradeJob, Grader
from tts.hosting import Ready
from tts.plugins import build
from tts.ray_grading import RayGrader
from tts.ray_places import Need, need_of, reserve
from tts.ray_session import Node, Session, _refused, connect
from tts.sandbox import Limits
from tts.store import open_for_reading, open_for_writing
from tts.types import Problem

ray = pytest.importorskip("ray", reason="needs Ray: pip install -e '.[ray]'")
internal_kv = pytest.importorskip("ray.experimental.internal_kv")
MEASURED = ("seconds", "wall_seconds", "peak_mib")  # of a graded program: another time, another figure
CONFIG = {
    "benchmark": {"name": "mini", "limit": 4},
    "generator": {"name": "timed:Timed", "n": 6, "seconds": 0.002},
    "scorers": ["timed:TimedScore", "length"],
    "selectors": ["argmax"],
    "report": {"resamples": 100, "draws": 100},
}


@pytest.fixture(scope="module")
def session():
    ray.init(
        num_cpus=8,
        num_gpus=4,
        object_store_memory=100 << 20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )
    yield connect(None, 1)
    ray.shutdown()


def config_of(folder: Path, *overrides: str, **changes) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG | changes))
    return path


def bring_up(folder: Path, name: str, *overrides: str, **changes):
    """Bring a run up to the config, on the shared cluster if it says so; what was left undecided."""
    config = configs.load(config_of(folder, **changes), overrides)
    with open_for_writing(folder / name) as store:
        if config.cluster is None:
            return pipeline.run(config, store)
        with RayCluster(config.cluster) as where:
            return pipeline.run(config, store, where=where)


def exported(run: Path) -> list[str]:
    """The lines of a run's export without what measures its grading."""
    with open_for_reading(run) as store:
        export.export(store, run / "rows.jsonl", "rows")
    rows = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    return [json.dumps({name: value for name, value in row.items() if name not in MEASURED}) for row in rows]


def on(session, make, actors=2, gpus=0, in_flight=None, labels=("score",), ahead=AHEAD):
    places = reserve(session, Need(actors, 0.5, gpus), 20)
    return RayEngine(session, places, make, labels, in_flight, ahead=ahead)


def timed(generator: Timed, scorer: TimedScore | None = None) -> Engine:
    return Engine(generator, {} if scorer is None else {"score": scorer})


def asked(problems: int, n: int) -> list[tuple[Problem, int]]:
    return [(Problem(f"p{i}", f"Solve {i}.", ()), index) for i in range(problems) for index in range(n)]


def everything(engine):
    found = []
    while engine.busy:
        found += engine.poll(60)
    return found


def drawn(events):
    return Counter(event.candidate.key for event in events if isinstance(event, Drawn))


def rated(events):
    return Counter(event.score.key for event in events if isinstance(event, Rated))


def keys(work):
    return Counter((problem.id, index) for problem, index in work)


# The same rows.


def test_any_number_of_actors_gives_the_bytes_that_one_process_gives(session, tmp_path):
    bring_up(tmp_path, "here")
    expected = exported(tmp_path / "here")
    assert len(expected) == 24
    for actors in (1, 2, 4):
        assert bring_up(tmp_path, f"on{actors}", f"cluster.actors={actors}") == []
        assert exported(tmp_path / f"on{actors}") == expected


@pytest.mark.long
def test_a_run_may_go_on_with_another_number_of_actors_or_none(session, tmp_path):
    bring_up(tmp_path, "whole")
    bring_up(tmp_path, "parts", "generator.n=2", "cluster.actors=2", scorers=["length"])
    bring_up(tmp_path, "parts", "generator.n=4", "cluster.actors=1")
    bring_up(tmp_path, "parts")
    assert exported(tmp_path / "parts") == exported(tmp_path / "whole")


def test_models_that_take_turns_do_so_in_actors_too(session):
    work = asked(3, 5)
    with on(session, partial(in_turns, Timed(), TimedScore()), in_flight=3) as engine:
        engine.submit(work)
        found = everything(engine)
    assert drawn(found) == rated(found) == keys(work)


def in_turns(generator, scorer):
    return Engine(generator, {"score": scorer}, "sequential")


def test_an_engine_of_actors_generates_and_scores_as_an_engine_does(session):
    work = asked(3, 4)
    with on(session, partial(timed, Timed(seed=5), TimedScore())) as engine:
        candidates = {candidate.key: candidate for candidate in engine.generate(work)}
        pairs = [(problem, candidates[problem.id, index]) for problem, index in work]
        scores = {score.key: score for score in engine.score(pairs)}
    with timed(Timed(seed=5), TimedScore()) as here:
        assert candidates == {candidate.key: candidate for candidate in here.generate(work)}
        assert scores == {score.key: score for score in here.score(pairs)}
    assert set(engine.seconds) == {"generate", "score"}


def test_what_is_cancelled_does_not_come_and_the_rest_does(session):
    work = asked(4, 8)
    dropped = {("p1", index) for index in range(8)} | {("p3", 7)}
    with on(session, partial(timed, Timed(seconds=0.01), TimedScore()), in_flight=4) as engine:
        engine.submit(work)
        before = engine.poll(60)
        engine.cancel(dropped)
        after = everything(engine)
    assert not drawn(after).keys() & dropped
    assert drawn(before + after).keys() >= keys(work).keys() - dropped


def one_at_a_time(generator):
    """An engine that draws nothing while a result waits to be reported."""
    return Engine(generator, {}, backlog=1)


@pytest.mark.parametrize(("ahead", "most"), [(4, 12), (-1, 100)])
def test_ray_holds_an_actor_back_that_is_too_far_ahead_of_the_driver(session, tmp_path, ahead, most):
    """All of it is given at once, and each candidate is a report of its own; -1 is no holding back."""
    log, work = tmp_path / "log", asked(4, 25)
    make = partial(one_at_a_time, Timed(width=1, most=1, log=str(log)))
    with on(session, make, actors=1, in_flight=100, labels=(), ahead=ahead) as engine:
        engine.submit(work)
        found = engine.poll(PATIENCE_SECONDS)
        assert found
        patience = PATIENCE_SECONDS if ahead < 0 else 2  # in which 100 candidates of no time could be drawn
        until(lambda: len(log.read_text().splitlines()) >= most, patience)
        written = len(log.read_text().splitlines())
        assert written == 100 if ahead < 0 else written < most
        found += everything(engine)
    assert drawn(found) == keys(work)


def test_what_others_finished_before_one_raised_is_not_lost(session, tmp_path):
    refusing = Refusing(log=str(tmp_path / "log"))  # once the fine one is in the log
    with on(session, partial(timed, refusing), in_flight=1, labels=()) as engine:
        warm = asked(1, 100_000)
        engine.submit(warm)
        assert until(lambda: len(engine.poll(1)) >= 0 and engine.standing == 2)  # the first gets the first order
        engine.cancel([(problem.id, index) for problem, index in warm])
        everything(engine)
        engine.submit([(Problem("fine", "", ()), 0), (Problem("refused", "", ()), 0)])
        time.sleep(1.5)  # until both have something to say, which on a slow machine only one may have
        found = until_it_refuses(engine)
        assert engine.busy
        assert until_it_refuses(engine) == []
        assert drawn(found + engine.close()) == {("fine", 0): 1}


def until_it_refuses(engine):
    """What came before."""
    found = []

    def to_the_end():
        while True:
            found.extend(engine.poll(PATIENCE_SECONDS))

    with pytest.raises(ModelError, match="it refuses"):
        to_the_end()
    return found


# Whoever dies.


def test_an_actor_that_is_killed_is_replaced_and_its_work_done_again(session, tmp_path):
    work, log, held = asked(5, 8), tmp_path / "log", tmp_path / "held"
    held.touch()  # so that whoever has drawn something has not drawn everything
    with on(session, partial(timed, Timed(log=str(log), held=str(held)), TimedScore())) as engine:
        engine.submit(work)
        found = engine.poll(PATIENCE_SECONDS)
        for pid in {line.split()[0] for line in log.read_text().splitlines()}:
            os.kill(int(pid), signal.SIGKILL)
        held.unlink()
        found += everything(engine)
    assert drawn(found) == rated(found) == keys(work)
    assert any("died with" in note for note in engine.notes)


def test_what_kills_its_actor_three_times_is_recorded_with_the_log_and_the_run_goes_on(session, tmp_path):
    deadly = {"name": "timed:Timed", "n": 4, "deadly": [["io-add-two", 2]]}
    benchmark = {"name": "mini", "ids": ["sum-of-two", "io-add-two"]}
    undecided = bring_up(tmp_path, "run", "cluster.actors=2", generator=deadly, benchmark=benchmark)
    assert [(item.problem_id, item.index) for item in undecided] == [("io-add-two", 2)]
    first, *log, last = undecided[0].why.splitlines()
    assert first.startswith("candidate 2 was held by 3 engines that died, the last time alone. The last one's log, ")
    assert log == ["killed by ('io-add-two', 2)"]
    assert re.fullmatch(r"Engine \d \(process \d+ on \S+\) died with 1 candidate: [^:]*\w\.", last) and len(last) < 300
    assert str(pipeline.unsettled(undecided)).startswith("1 candidate could not be drawn or scored, because ")
    with open_for_reading(tmp_path / "run") as store:
        assert len(store.candidate_keys()) == 7
        assert store.meta("undecided") == ["io-add-two"]
        assert any("killed by" in note for note in store.meta("sessions")[-1]["notes"])
    assert bring_up(tmp_path, "run", generator={**deadly, "deadly": []}, benchmark=benchmark) == []


def test_actors_of_which_nothing_comes_are_an_error_and_not_tried_for_ever(session):
    work = asked(8, 8)
    everyone = tuple((problem.id, index) for problem, index in work)
    with on(session, partial(timed, Timed(deadly=everyone)), actors=1, in_flight=8, labels=()) as engine:
        engine.submit(work)
        with pytest.raises(InfraError, match=r"4 engines died and nothing came of any(.|\n)*killed by"):
            everything(engine)


def no_model(_):
    raise ModelError("there is no such model")


def test_a_user_s_mistake_in_an_actor_is_told_as_it_is(session):
    with on(session, partial(no_model, None)) as engine:
        engine.submit(asked(1, 1))
        with pytest.raises(ModelError, match=r"^there is no such model$"):
            everything(engine)


# Where things are.


def test_each_engine_has_its_gpus_for_itself(session, tmp_path):
    log = tmp_path / "log"
    with on(session, partial(timed, Timed(seconds=0.02, log=str(log))), gpus=2, labels=()) as engine:
        deadline, seen = time.monotonic() + 60, set()
        while len(seen) < 2 and time.monotonic() < deadline:  # one may do it all before the other is up
            engine.submit(asked(4, 8))
            everything(engine)
            seen = {tuple(line.split()[:2]) for line in log.read_text().splitlines()}
    assert sorted(gpus for _, gpus in seen) == ["0,1", "2,3"] or len({g for _, gs in seen for g in gs.split(",")}) == 4
    assert len(seen) == 2


def test_more_gpus_than_there_are_is_an_error_that_says_what_there_is(session):
    with pytest.raises(
        ConfigError, match=r"3 engines of 2 GPUs and 1 CPUs.*has 4 GPUs and 8 CPUs on 1 node, room for 2"
    ):
        reserve(session, Need(3, 1, 2), 0.5)
    for place in reserve(session, Need(2, 1, 2), 20):
        place.free()


@pytest.mark.parametrize(
    ("given", "devices", "expected"),
    [
        ({}, 1, Need(12, 1.0, 1)),  # as many as the GPUs allow
        ({}, 4, Need(3, 1.0, 4)),  # each on one node: 8 = 4 + 4, and 4
        ({}, 8, Need(1, 1.0, 8)),
        ({"actors": 2, "gpus": 0}, 4, Need(2, 16.0, 0)),
        ({}, 0, Need(2, 16.0, 0)),  # one a node
        ({"actors": 5}, 0, Need(5, 8.0, 0)),  # 2 + 4
        ({"actors": 3, "engine_cpus": 0.25}, 1, Need(3, 0.25, 1)),
    ],
)
def test_what_is_left_out_follows_from_the_models_and_the_nodes(given, devices, expected):
    nodes = [Node("a", "", {"CPU": 16, "GPU": 8}), Node("b", "", {"CPU": 32, "GPU": 4})]
    assert need_of(ClusterConfig(**given), devices, nodes) == expected


def test_engines_share_what_few_cpus_there_are():
    need = need_of(ClusterConfig(actors=4), 1, [Node("a", "", {"CPU": 2})])
    assert need == Need(4, 0.5, 0)


# Grading.


def test_tasks_grade_and_observe_as_a_grader_here_does(session):
    benchmark = build("benchmark", {"name": "mini", "ids": ["sum-of-two", "io-add-two", "largest-number"]})
    grader = Grader(Limits(cpu_seconds=5), workers=2)
    jobs = [
        GradeJob(problem.id, code, benchmark.tests(problem.id), len(problem.public_tests))
        for problem in benchmark.problems()
        for code in [*programs(problem.id)[:3], None]
    ]
    elsewhere = RayGrader(grader, session, cpus=0.5)

    def facts(grades):
        return {(g.problem_id, g.program, g.verdict, g.passed, g.detail, g.stderr, g.diff) for g in grades}

    assert facts(elsewhere.grade(jobs)) == facts(grader.grade(jobs))
    assert set(elsewhere.behaviours(jobs)) == set(grader.behaviours(jobs))
    assert elsewhere.version == grader.version
    before = exported_functions()
    assert facts(elsewhere.grade(jobs)) == facts(grader.grade(jobs))
    assert exported_functions() == before  # which the head node keeps


def exported_functions():
    """How many functions Ray has been given to keep."""
    return len(internal_kv._internal_kv_list("RemoteFunction:", namespace="fun"))


def test_no_node_with_the_cpus_of_a_grader_is_an_error(session):
    jobs = [GradeJob("sum-of-two", "x = 1", build("benchmark", {"name": "mini"}).tests("sum-of-two"))]
    with pytest.raises(ConfigError, match=r"grader_cpus is 9, and the cluster has 4 GPUs and 8 CPUs"):
        list(RayGrader(Grader(Limits(cpu_seconds=5)), session, cpus=9).grade(jobs))


# What can be wrong.


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"numpy": "1.0.1"}, r"has numpy 1\.0\.1; this process has numpy [\d.]+\. "),
        ({"tts-source": "abc"}, r"has tts-source abc; this process has tts-source [0-9a-f]{12}\. "),
        ({"numpy": None, "vllm-gpu": "1"}, r"has no numpy, vllm-gpu 1; this process has numpy [\d.]+, no vllm-gpu\. "),
    ],
)
def test_other_versions_on_a_node_are_an_error_that_names_them(there, told):
    found = {name: version for name, version in (versions() | there).items() if version is not None}
    with pytest.raises(ConfigError, match=f"^Node gpu7 {told}"):
        _check_versions(Ready("n", "gpu7", 1, "", found, 4, False))


def test_another_build_of_the_same_versions_will_do():
    _check_versions(Ready("n", "gpu7", 1, "", {name: f"{v}+cu128" for name, v in versions().items()}, 4, False))


def test_two_clones_of_one_version_are_told_apart_by_what_they_hold(tmp_path):
    """In processes of their own, each with its own copy of the package first on its path."""
    line = [sys.executable, "-c", "from tts.environment import versions; print(versions()['tts-source'])"]
    found = []
    for name in ("same", "other"):
        shutil.copytree(Path(tts_package.__file__).parent, tmp_path / name / "tts")
        if name == "other":
            (tmp_path / name / "tts" / "seeds.py").open("a").write("# another commit\n")
        env = environment() | {"PYTHONPATH": str(tmp_path / name)}
        done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
        found.append(done.stdout.strip())
    assert found[0] == versions()["tts-source"] != found[1]


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", "", "http://head:6379"])
def test_an_address_that_is_none_is_refused(address, tmp_path):
    with pytest.raises(ConfigError, match=r"cluster\.address must be host:port"):
        configs.load(config_of(tmp_path, cluster={"address": address}))


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_a_port_that_is_none_is_refused_before_anything_is_tried(port, tmp_path):
    with pytest.raises(ConfigError, match=rf"port in cluster\.address must be from 1 to 65535, got {port}"):
        configs.load(config_of(tmp_path, cluster={"address": f"head:{port}"}))
    assert configs.load(config_of(tmp_path, cluster={"address": "[::1]:65535"}))


def test_auto_where_no_ray_runs_is_told_in_words_of_ours():
    """Whether one runs, Ray finds out among all processes of the machine, which a test does not have for itself."""
    error = _refused("auto", "Could not find any running Ray instance. Please specify ... by setting `--address` flag")
    assert "cluster.address is 'auto'" in str(error)
    assert "--address" not in str(error)


def test_a_shard_beyond_the_parts_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"shard\.part is 3, and parts go from 0 to 2"):
        configs.load(config_of(tmp_path), ["shard.part=3", "shard.parts=3"])


def run_on(folder: Path, *overrides: str, path: Path | None = None, **variables: str) -> subprocess.CompletedProcess:
    line = command("run", config_of(folder), *overrides, "--folder", folder / "run")
    env = environment() | variables
    env["PYTHONPATH"] = os.pathsep.join([str(path)] * (path is not None) + [env["PYTHONPATH"], *sys.path])
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_an_address_that_nobody_answers_is_an_error_that_says_what_to_check(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    done = run_on(tmp_path, f"cluster.address={address}", "cluster.wait_seconds=1")
    assert done.returncode == 2
    assert f"No Ray cluster answers at cluster.address '{address}'" in done.stderr
    assert "ray start --head" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_where_something_else_listens_is_the_same_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        done = run_on(tmp_path, f"cluster.address={address}", "cluster.wait_seconds=3")
    assert done.returncode == 2
    assert "what listens there does not answer as Ray does" in done.stderr


def test_no_ray_is_an_error_with_the_line_that_installs_it(tmp_path):
    missing = tmp_path / "without"
    (missing / "ray").mkdir(parents=True)
    (missing / "ray" / "__init__.py").write_text("raise ImportError('No module named ray')\n")
    done = run_on(tmp_path, "cluster.actors=2", path=missing)
    assert done.returncode == 2
    assert "pip install -e '.[ray]'" in done.stderr
    assert "Traceback" not in done.stderr


# As a command, with a cluster of its own.


def ours(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, as long as it lives."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def test_the_command_runs_on_actors_and_leaves_no_process_when_it_is_stopped(tmp_path):
    slow = {"name": "timed:Timed", "n": 40, "seconds": 0.1}
    line = command("run", config_of(tmp_path, generator=slow), "cluster.actors=2", "--folder", tmp_path / "run")
    env = environment() | {"PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], *sys.path])}
    with psutil.Popen(line, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as run:
        database = tmp_path / "run" / "run.sqlite"
        while count(database) < 5:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.2)
        started = ours(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        told = run.stderr.read()
    assert run.returncode == 128 + signal.SIGINT, told
    assert "To continue" in told and "Traceback" not in told
    _, alive = psutil.wait_procs(started, timeout=90)
    assert not alive
    assert len(started) > 4
    done = tts(tmp_path, "run", "config.yaml", "generator.seconds=0", "--folder", "run")
    assert done.code == 0, done.err
    assert count(database) == 160


def test_a_cluster_of_our_own_says_that_it_starts_and_leaves_no_folder(tmp_path):
    with tempfile.TemporaryDirectory() as short:  # sockets are in it, whose paths may not be long
        done = run_on(tmp_path, "cluster.actors=1", RAY_TMPDIR=short)
        left = list(Path(short).rglob("session_*/*"))
    assert done.returncode == 0, done.stderr
    starting = [
        "Ray is starting.",
        "Starting 1 engine, each of which loads its models.",
        "is ready.",
        "generate: 24 of 24",
    ]
    places = [done.stderr.index(said) for said in starting]
    assert places == sorted(places)
    assert left == []


def test_what_the_logs_may_be_wanted_for_keeps_them(tmp_path):
    started = Session(ours=False, started=True, folder=str(tmp_path / "session"))
    (tmp_path / "session" / "logs").mkdir(parents=True)
    started.close(keep_logs=True)
    assert (tmp_path / "session" / "logs").is_dir()
    started.close(keep_logs=False)
    assert not (tmp_path / "session").exists()


def count(database: Path) -> int:
    import sqlite3

    if not database.is_file():
        return 0
    with sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10) as there:
        try:
            return there.execute("SELECT count(*) FROM candidates").fetchone()[0]
        except sqlite3.OperationalError:  # it is just being made
            return 0


def test_a_cluster_of_our_own_has_room_for_what_it_has_or_says_so_at_once(session):
    started = Session(ours=False, started=True)
    begun = time.monotonic()
    with pytest.raises(ConfigError, match="room for 1"):
        reserve(started, Need(2, 5, 0), 600)
    assert time.monotonic() - begun < 60

"""Long: a cluster of several nodes on this machine, whose actors and nodes are killed at random; a driver that ends;
a cluster of another version.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from support import command, environment
from test_cluster import bring_up, config_of, count, exported, ours

from tts.store import open_for_reading

ray = pytest.importorskip("ray", reason="needs Ray: pip install -e '.[ray]'")
pytestmark = pytest.mark.long
KILLS, RAYLETS = 10, 2


@contextmanager
def nodes(workers: int) -> Iterator[object]:
    """A head without CPUs, where the driver is, and nodes of 2 CPUs each, in processes of their own."""
    from ray.cluster_utils import Cluster

    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": 80 << 20,
            "include_dashboard": False,
            # A node that is dead refuses at once; one that is starved answers late.
            "_system_config": {
                "health_check_period_ms": 1000,
                "health_check_failure_threshold": 5,
                "health_check_timeout_ms": 60_000,
            },
        },
    )
    try:
        for _ in range(workers):
            cluster.add_node(num_cpus=2, object_store_memory=80 << 20)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


class Killer(threading.Thread):
    """Kills ten times, whenever a random number of candidates more is stored: an actor, or a node's raylet."""

    def __init__(self, cluster, database: Path, log: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.cluster, self.database, self.log = cluster, database, log
        self.rng = random.Random(seed)
        kinds = ["actor"] * (KILLS - RAYLETS) + ["raylet"] * RAYLETS
        self.kinds = self.rng.sample(kinds, KILLS)
        self.killed: list[str] = []
        self.over = threading.Event()  # the run is: nothing more is stored

    def run(self) -> None:
        """One after the other."""
        due = 0
        for kind in self.kinds:
            due += self.rng.randint(10, 30)
            while count(self.database) < due:
                if self.over.wait(0.05):
                    return
            getattr(self, kind)()
            self.killed.append(kind)

    def actor(self) -> None:
        """One that has drawn something, and lives."""
        while True:
            pids = sorted({int(line.split()[0]) for line in self.log.read_text().splitlines()})
            alive = [pid for pid in pids if lives(pid)]
            with suppress(IndexError, ProcessLookupError):
                os.kill(self.rng.choice(alive), signal.SIGKILL)
                return
            if self.over.wait(0.1):
                return

    def raylet(self) -> None:
        """With all that its node has."""
        node = self.rng.choice(sorted(self.cluster.worker_nodes, key=lambda one: one.unique_id))
        raylet = node.all_processes["raylet"][0].process
        os.kill(raylet.pid, signal.SIGKILL)
        self.cluster.worker_nodes.discard(node)
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def lives(pid: int) -> bool:
    """Whether there is such a process, which has not been killed already."""
    try:
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("seed", [1, 2])
def test_actors_and_raylets_killed_at_random_cost_nothing_and_double_nothing(tmp_path: Path, seed: int) -> None:
    log = tmp_path / "log"
    log.touch()
    slow = {"name": "timed:Timed", "n": 60, "seconds": 0.05, "log": str(log)}
    benchmark = {"name": "mini", "limit": 8}
    bring_up(tmp_path, "here", generator={**slow, "seconds": 0.0, "log": ""}, benchmark=benchmark)
    with nodes(2 + RAYLETS) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        killer = Killer(cluster, tmp_path / "run" / "run.sqlite", log, seed)
        killer.start()
        overrides = ("cluster.actors=3", "cluster.engine_cpus=1", "cluster.grader_cpus=0.5")
        undecided = bring_up(tmp_path, "run", *overrides, generator=slow, benchmark=benchmark)
        killer.over.set()
        killer.join(timeout=60)
    assert len(killer.killed) == KILLS
    assert undecided == []
    with open_for_reading(tmp_path / "run") as store:
        notes = store.meta("sessions")[-1]["notes"]
    assert sum("died with" in note for note in notes) >= KILLS - RAYLETS
    assert exported(tmp_path / "run") == exported(tmp_path / "here")


def start(folder: Path, *overrides: str, **changes: object) -> psutil.Popen:
    line = command("run", config_of(folder, **changes), *overrides, "--folder", folder / "run")
    env = environment() | {"PYTHONPATH": os.pathsep.join([environment()["PYTHONPATH"], *sys.path])}
    return psutil.Popen(line, cwd=folder, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("group", [False, True])
def test_whatever_ends_the_driver_leaves_no_process(tmp_path: Path, number: signal.Signals, group: bool) -> None:
    slow = {"name": "timed:Timed", "n": 40, "seconds": 0.1}
    with start(tmp_path, "cluster.actors=2", generator=slow) as run:
        while count(tmp_path / "run" / "run.sqlite") < 5:
            assert run.poll() is None, run.stderr.read()
            time.sleep(0.2)
        started = ours(run.pid)
        (os.killpg if group else os.kill)(run.pid, number)
        run.wait(timeout=90)
        _, alive = psutil.wait_procs(started, timeout=90)
    assert not alive
    assert len(started) > 4
    assert run.returncode == (-number if number == signal.SIGKILL else 128 + number)


def test_a_cluster_of_another_version_is_refused_with_both(tmp_path: Path) -> None:
    from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY
    from ray.experimental import internal_kv

    with nodes(0) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        there = json.loads(internal_kv._internal_kv_get(CLUSTER_METADATA_KEY, namespace="cluster"))
        changed = json.dumps(there | {"ray_version": "2.1.0"}).encode()
        internal_kv._internal_kv_put(CLUSTER_METADATA_KEY, changed, overwrite=True, namespace="cluster")
        with start(tmp_path, f"cluster.address={cluster.address}") as run:
            told = run.stderr.read()
    assert run.returncode == 2
    assert "has other versions than this process" in told and "Ray: 2.1.0" in told and f"Ray: {ray.__version__}" in told
    assert "Traceback" not in told


def test_a_node_with_another_version_of_a_package_is_named(tmp_path: Path) -> None:
    with nodes(0) as cluster:
        other = tmp_path / "other" / "numpy-1.0.1.dist-info"
        other.mkdir(parents=True)
        (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 1.0.1\n")
        path = os.pathsep.join([str(other.parent), os.environ["PYTHONPATH"]])
        cluster.add_node(num_cpus=2, object_store_memory=80 << 20, env_vars={"PYTHONPATH": path})
        with start(tmp_path, f"cluster.address={cluster.address}", "cluster.actors=1") as run:
            told = run.stderr.read()
    assert run.returncode == 2
    assert "has numpy 1.0.1; this process has numpy " in told

"""Connecting to Ray and asking what a cluster has: one is started here, joined by its address, or used as it is.

All that can be wrong with it is a user's error that says what to do. Nothing is placed or run here.
"""

import contextlib
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tts.errors import ConfigError, InfraError, counted

OBJECT_STORE_BYTES = 200 << 20  # of a cluster that is started here: for tests, of which Ray spills the rest
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
RETRY_SECONDS = 0.5
LONGEST_REASON = 300  # characters
PROBE = """
import json, logging, sys, ray
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
except (RuntimeError, ConnectionError, ValueError) as error:
    print(json.dumps(str(error)))
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a cluster: Ray's name for it, its address, and the resources that it has."""

    id: str
    address: str
    resources: Mapping[str, float]

    def room(self, cpus: float, gpus: float) -> int:
        """How many engines of that need it holds, were it empty."""
        needs = {"CPU": cpus, "GPU": gpus}
        counts = [int(self.resources.get(name, 0) / need + 1e-6) for name, need in needs.items() if need]
        return min(counts, default=0)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection to Ray; `ours` where it is to be closed, `started` where the cluster ends with it, whose logs
    are in `folder`.
    """

    ours: bool
    started: bool
    folder: str = ""

    def nodes(self) -> list[Node]:
        """The machines that are there now."""
        import ray

        return [Node(one["NodeID"], one["NodeManagerAddress"], one["Resources"]) for one in ray.nodes() if one["Alive"]]

    def stands(self, node: str) -> bool:
        """Whether a node is still there."""
        return any(one.id == node for one in self.nodes())

    def close(self, keep_logs: bool) -> None:
        """Disconnect; what was started here ends, and its folder goes too unless its logs may be wanted."""
        import ray

        if self.ours:
            with _order_kept():
                ray.shutdown()
        if self.folder and not keep_logs:
            shutil.rmtree(self.folder, ignore_errors=True)


def connect(address: str | None, wait_seconds: float) -> Session:
    """A connection: to what this process is connected to already, else to a cluster that is started here (None), to
    the one of this machine ("auto"), or to the one at host:port. Raises ConfigError for what a user can mend, and
    InfraError where Ray does not start.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            f"Ray is not installed ({error}), and `cluster` asks for it. Install it on every node, in the clone: pip "
            "install -e '.[ray]'. Or leave `cluster` out."
        ) from error
    if ray.is_initialized():
        return Session(ours=False, started=False)
    options: dict[str, Any] = {"address": address or "local", "log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        _check(address, wait_seconds)
    folder = _init(options)
    return Session(ours=True, started=address is None, folder=folder if address is None else "")


def _init(options: dict[str, Any]) -> str:
    """Ray's folder for this cluster."""
    import ray

    with _order_kept():
        try:
            return str(ray.init(**options).address_info["session_dir"])
        except Exception as error:
            raise InfraError(
                f"Ray does not start: {error} Its logs are in /tmp/ray/session_latest/logs. On a machine that is busy, "
                "run the same command again."
            ) from error


@contextlib.contextmanager
def _order_kept() -> Iterator[None]:
    """Keeps signals for afterwards and this process's handlers in their place: Ray sets one of its own. What it starts
    does not hear the terminal's signals, since that blocks what this thread blocks: the run alone answers, and ends it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # not in the main thread, where Ray has set none either
            signal.signal(signal.SIGTERM, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _check(address: str, wait_seconds: float) -> None:
    """Raises ConfigError unless a cluster of this version of Ray answers: Ray itself would wait for minutes, and hear
    no Ctrl-C, where nobody does.
    """
    deadline = time.monotonic() + wait_seconds
    if address != "auto":
        _knock(address, deadline)
    command = [sys.executable, "-c", PROBE, address]
    try:
        left = max(RETRY_SECONDS, deadline - time.monotonic())
        done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False)
    except subprocess.TimeoutExpired as error:
        raise _unanswered(address, wait_seconds, "what listens there does not answer as Ray does") from error
    if done.returncode != 0:
        raise _unanswered(address, wait_seconds, done.stderr.strip().rpartition("\n")[2])
    if done.stdout.strip():
        raise _refused(address, json.loads(done.stdout.strip().rpartition("\n")[2]))


def _knock(address: str, deadline: float) -> None:
    host, _, port = address.rpartition(":")
    begun = time.monotonic()
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=max(0.1, deadline - time.monotonic())).close()
        except OSError as error:
            if time.monotonic() + RETRY_SECONDS > deadline:
                raise _unanswered(address, deadline - begun, str(error)) from error
            time.sleep(RETRY_SECONDS)  # its head may be starting
        else:
            return


def _unanswered(address: str, seconds: float, why: str) -> ConfigError:
    return ConfigError(
        f"No Ray cluster answers at cluster.address {address!r} within {seconds:.0f} seconds ({why}). Check that "
        "`ray start --head` runs there (`ray status` on that machine), that the port is its GCS's (6379 by default, "
        "not 8265 or 10001), and that no firewall is between; or raise cluster.wait_seconds."
    )


def _refused(address: str, why: str) -> ConfigError:
    reason = " ".join(why.split())
    if "Version mismatch" in why:
        return ConfigError(
            f"The cluster at {address!r} has other versions than this process. {reason}. Install the same Ray and the "
            "same Python on every node and here."
        )
    if address == "auto" and "Could not find any running Ray" in why:
        return ConfigError(
            "No Ray cluster runs on this machine, and cluster.address is 'auto'. Start one with `ray start --head`, "
            "give host:port of another machine's, or leave cluster.address out to have one started here."
        )
    return ConfigError(
        f"The cluster at {address!r} cannot be joined: {reason} Start one with `ray start --head`, or leave "
        "cluster.address out to have one started here."
    )


def reason(error: Exception) -> str:
    """What Ray says of a death, in a line without a full stop: not its own names and numbers of who died, nor all else
    that it might have died of.
    """
    said = " ".join(line for line in str(error).splitlines() if not line.startswith("\t"))
    said = said.rpartition("Worker exit detail:")[2].partition("Some common causes include")[0]
    return textwrap.shorten(said, LONGEST_REASON, placeholder=" ...").rstrip(".")


def inventory(nodes: list[Node]) -> str:
    """What a cluster has, for messages."""
    totals = {name: sum(node.resources.get(name, 0) for node in nodes) for name in ("GPU", "CPU")}
    return f"{totals['GPU']:g} GPUs and {totals['CPU']:g} CPUs on {counted(len(nodes), 'node')}"

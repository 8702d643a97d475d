"""Where engines go: how much of a cluster each takes, and a placement group of Ray's for each.

All GPUs of an engine are on one node, since its processes share memory. What an engine does is `hosting.py`'s.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tts.config import ClusterConfig
from tts.engine import Engine
from tts.errors import ConfigError, counted
from tts.hosting import Host
from tts.ray_session import Node, Session, inventory

FINEST = 1000  # Ray counts in ten-thousandths of a CPU
BOX = "box"  # the thread of an actor that takes messages while another runs the engine


@dataclass(frozen=True, slots=True)
class Need:
    """So many engines, each of so many CPUs and GPUs."""

    engines: int
    cpus: float
    gpus: int

    @property
    def bundle(self) -> dict[str, float]:
        """What one takes, in Ray's terms."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})

    def __str__(self) -> str:
        gpus = f"{counted(self.gpus, 'GPU')} and " * bool(self.gpus)
        return f"{counted(self.engines, 'engine')} of {gpus}{self.cpus:g} CPUs"


def need_of(options: ClusterConfig, devices: int, nodes: Sequence[Node]) -> Need:
    """What a config asks for of these nodes. `devices` is how many GPUs the models take where there are any.

    Left out, there are as many engines as the GPUs allow, or without GPUs one a node, which share its CPUs.
    """
    gpus = options.gpus if options.gpus is not None else devices * any("GPU" in node.resources for node in nodes)
    room = sum(node.room(0, gpus) for node in nodes) if gpus else len(nodes)
    engines = options.actors or max(1, room)
    cpus = options.engine_cpus or (1.0 if gpus else _share(engines, nodes))
    return Need(engines, cpus, gpus)


def _share(engines: int, nodes: Sequence[Node]) -> float:
    """The most CPUs that each of so many engines can have, whole ones where there are enough."""
    most = max((int(node.resources.get("CPU", 0)) for node in nodes), default=0)
    for cpus in range(most, 0, -1):
        if sum(node.room(cpus, 0) for node in nodes) >= engines:
            return float(cpus)
    fewest = next(
        (k for k in range(2, FINEST) if sum(node.room(1 / k, 0) for node in nodes) >= engines),
        FINEST,
    )
    return int(FINEST / fewest) / FINEST


def where() -> str:
    """Ray's name for the node of this actor or task."""
    import ray

    node: str = ray.get_runtime_context().get_node_id()
    return node


@dataclass(frozen=True, slots=True)
class Place:
    """Room for one engine, which stays reserved while the engine is replaced; Ray moves it when its node dies."""

    need: Need
    group: Any

    def start(self, make: Callable[[], Engine]) -> Any:
        """A new actor there that hosts an engine, which takes its messages in a thread of its own."""
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        there = PlacementGroupSchedulingStrategy(self.group, placement_group_bundle_index=0)
        host = ray.remote(num_cpus=self.need.cpus, num_gpus=self.need.gpus, concurrency_groups={BOX: 1})(Host)
        return host.options(scheduling_strategy=there, max_restarts=0).remote(make, where)

    def free(self) -> None:
        """Give the room back."""
        from ray.util import remove_placement_group

        remove_placement_group(self.group)


def reserve(session: Session, need: Need, wait_seconds: float) -> list[Place]:
    """Room for all engines. Raises ConfigError, saying what the cluster has, if there is not enough in time; in a
    cluster that was started here, where none can be added, at once.
    """
    from ray.util import placement_group

    if session.started and sum(node.room(need.cpus, need.gpus) for node in session.nodes()) < need.engines:
        raise _no_room(session, need, 0)
    places = [Place(need, placement_group([need.bundle], strategy="STRICT_PACK")) for _ in range(need.engines)]
    deadline = time.monotonic() + wait_seconds
    with contextlib.ExitStack() as undo:
        for place in places:
            undo.callback(place.free)
        ready = [place.group.wait(max(0.0, deadline - time.monotonic())) for place in places]
        if not all(ready):
            raise _no_room(session, need, sum(ready))
        undo.pop_all()
    return places


def most_on_a_node(places: Sequence[Place]) -> int:
    """How many of these engines the fullest node has."""
    from ray.util import placement_group_table

    tables = (placement_group_table(place.group)["bundles_to_node_id"] for place in places)
    return max(Counter(node for table in tables for node in table.values()).values())


def _no_room(session: Session, need: Need, found: int) -> ConfigError:
    nodes = session.nodes()
    room = sum(node.room(need.cpus, need.gpus) for node in nodes)
    in_use = not session.started and found < room
    busy = f" Within cluster.wait_seconds {found} found a place: the rest is in use by others." if in_use else ""
    fewer = f"Set cluster.actors={room}, lower" if room else "Lower"
    more = "" if session.started else ", or add nodes; those that join within cluster.wait_seconds are waited for"
    return ConfigError(
        f"{need} are asked for, and the cluster has {inventory(nodes)}, room for {room}.{busy} "
        f"{fewer} cluster.gpus or cluster.engine_cpus{more}."
    )

"""docs/kuberay.yaml is a RayJob that KubeRay takes, and what it starts is a command of ours.

The schema is our own, of those fields of KubeRay's RayJob, RayCluster and of Kubernetes' pods that the file may use, as
the operator's API types (ray.io/v1) have them; a field that is not in it is refused.
"""

import copy
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tts import config as configs

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs" / "kuberay.yaml"
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXT = {"type": "string", "minLength": 1}
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$"}
WORDS = {"type": "object", "additionalProperties": {"type": "string"}}


def mapping(required: tuple[str, ...], **fields: Any) -> dict[str, Any]:
    """An object of these fields and no others."""
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


def several(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": 1}


RESOURCES = {"type": "object", "additionalProperties": QUANTITY}
CONTAINER = mapping(
    ("name", "image"),
    name=NAME,
    image=TEXT,
    resources=mapping((), requests=RESOURCES, limits=RESOURCES),
    volumeMounts=several(mapping(("name", "mountPath"), name=NAME, mountPath={"type": "string", "pattern": "^/"})),
    env=several(mapping(("name", "value"), name=TEXT, value={"type": "string"})),
)
VOLUME = mapping(
    ("name",),
    name=NAME,
    persistentVolumeClaim=mapping(("claimName",), claimName=NAME),
    configMap=mapping(("name",), name=NAME),
    emptyDir=mapping((), medium={"enum": ["", "Memory"]}, sizeLimit=QUANTITY),
)
TEMPLATE = mapping(("spec",), spec=mapping(("containers",), containers=several(CONTAINER), volumes=several(VOLUME)))
CLUSTER = mapping(
    ("headGroupSpec",),
    rayVersion=TEXT,
    enableInTreeAutoscaling={"type": "boolean"},
    headGroupSpec=mapping(("rayStartParams", "template"), rayStartParams=WORDS, template=TEMPLATE),
    workerGroupSpecs=several(
        mapping(
            ("groupName", "minReplicas", "maxReplicas", "rayStartParams", "template"),
            groupName=NAME,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=WORDS,
            template=TEMPLATE,
        )
    ),
)
SCHEMA = mapping(
    ("apiVersion", "kind", "metadata", "spec"),
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=mapping(("name",), name=NAME, namespace=NAME, labels=WORDS),
    spec=mapping(
        ("entrypoint", "rayClusterSpec"),
        entrypoint=TEXT,
        runtimeEnvYAML=TEXT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        activeDeadlineSeconds=COUNT,
        backoffLimit=COUNT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        rayClusterSpec=CLUSTER,
    ),
)


@pytest.fixture
def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_the_example_has_the_schema_of_a_ray_job(job: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(job, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entrypiont"), "tts run"),
        (("kind",), "RayCluster"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "replicas"), "4"),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "template", "spec", "containers"), []),
    ],
)
def test_a_file_that_kuberay_would_refuse_has_not(job: dict[str, Any], path: tuple[Any, ...], value: object) -> None:
    wrong = copy.deepcopy(job)
    at = wrong
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_replicas_lie_between_their_bounds_and_every_mount_has_a_volume(job: dict[str, Any]) -> None:
    for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for pod in pods(job):
        spec = pod["template"]["spec"]
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        mounts = {mount["name"] for one in spec["containers"] for mount in one.get("volumeMounts", [])}
        assert mounts == volumes


def test_ray_is_told_of_the_gpus_that_a_pod_has(job: dict[str, Any]) -> None:
    for pod in pods(job):
        (container,) = pod["template"]["spec"]["containers"]
        limits = container["resources"]["limits"]
        assert pod["rayStartParams"].get("num-gpus") == limits.get("nvidia.com/gpu")


def test_the_command_is_ours_and_its_actors_have_the_gpus(job: dict[str, Any]) -> None:
    program, command, path, *overrides, option, _ = shlex.split(job["spec"]["entrypoint"])
    assert (program, command, option) == ("tts", "run", "--folder")
    config = configs.load(ROOT / "configs" / Path(path).name, overrides)
    groups = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert config.cluster is not None and config.cluster.actors == sum(
        group["replicas"] * int(group["rayStartParams"].get("num-gpus", 0)) for group in groups
    )


def test_its_version_of_ray_is_the_one_that_is_installed(job: dict[str, Any]) -> None:
    version = job["spec"]["rayClusterSpec"]["rayVersion"]
    assert f"\nray=={version}\n" in (ROOT / "constraints.txt").read_text()

"""From a config to a memory plan: finds the models' config.json, asks how much memory there is, reads the plug-ins'
options by name.

The arithmetic is `memory.py`'s. Loads no model and needs no GPU, so that a plan can be made on a machine that could not
run it.
"""

import dataclasses
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tts import adapters, plugins
from tts.adapters import Adapter
from tts.config import Config, MemoryConfig
from tts.environment import gpu_memory, host_memory
from tts.errors import ConfigError, ModelError, counted, unknown
from tts.footprint import GIB, Backend, Device, EnginePlan, Generator, Kind, Lora, Model, Scorer, check_devices
from tts.generate.vllm import lora_rank, lora_weights
from tts.hub import NotFetched, fetch
from tts.memory import MemoryPlan, Mode, Options, gib, plan
from tts.models import EMBEDDED, cpu_has_bfloat16, locate, read_config, tensor_shapes
from tts.plugins import Spec
from tts.shapes import (
    DTYPE_BYTES,
    KV_DTYPE_BYTES,
    ONLINE,
    VALUE_HEAD,
    ModelShape,
    Quantization,
    code_scalers,
    embedded,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

LOG = logging.getLogger("tts")
P = TypeVar("P")  # a plug-in: a dataclass of its options
GENERATORS: Mapping[str, Backend] = {"vllm": "vllm", "transformers": "transformers"}
SCORERS = ("codescaler",)
BOUNDS = ("token_budget", "batch_size", "cache_gib")
UNKNOWN = {  # to the plan
    "block_size",
    "cpu_offload_gb",
    "data_parallel_size",
    "hf_overrides",
    "kv_offloading_size",
    "mm_processor_kwargs",
    "num_gpu_blocks_override",
    "pipeline_parallel_size",
    "speculative_config",
}
LEAST_SEQUENCES, MOST_SEQUENCES = 8, 256  # at once in vLLM where max_num_seqs is left out


@dataclass(frozen=True, slots=True)
class Models:
    """Which plug-ins share a device: the generator's spec, if it draws, and the scorers' by label, each with where its
    options stand, for messages. Those that hold no model are passed over.
    """

    generator: Spec | None = None
    scorers: Mapping[str, tuple[Spec, str]] = field(default_factory=dict)
    memory: MemoryConfig = field(default_factory=MemoryConfig)

    def __post_init__(self) -> None:
        held = {label: named for label, named in self.scorers.items() if named[0].name in SCORERS}
        object.__setattr__(self, "scorers", held)
        if self.generator is not None and self.generator.name not in GENERATORS:
            object.__setattr__(self, "generator", None)

    def on(self, kind: Kind) -> dict[str, tuple[Spec, str]]:
        """The scorers but for those that are put on the other kind of device, which have that for themselves."""
        return {label: named for label, named in self.scorers.items() if _device_of(named[0]) in (kind, None)}

    @classmethod
    def of(cls, config: Config, draws: bool = True, rates: Collection[str] | None = None) -> "Models":
        """All of a config's, or those that will be used: the generator if it `draws`, the scorers among `rates`."""
        scorers = {
            item.label: (item.spec, f"scorers.{i}")
            for i, item in enumerate(config.scorers)
            if rates is None or item.label in rates
        }
        return cls(config.generator.spec if draws else None, scorers, config.memory)


def plan_for(config: Config) -> MemoryPlan:
    """The plan of a config. Raises PlanError with ways out if its models do not fit, ConfigError, or ModelError."""
    return _plan(Models.of(config), here=False)


def _plan(models: Models, here: bool) -> MemoryPlan:
    """With the device's given sizes or those that are detected. `here`: it is this machine's."""
    device, given = find_device(models, here), models.memory
    generator = None if models.generator is None else _generator(models.generator, given, device.kind)
    lender = None if models.generator is None or generator is None else (models.generator, generator.model)
    scorers = tuple(_scorer(spec, path, device.kind, lender) for spec, path in models.on(device.kind).values())
    return plan(generator, scorers, device, Options(given.mode, given.margin))


def planned(models: Models, generator: Any, scorers: Mapping[str, Any]) -> tuple[Mode, Any, dict[str, Any]]:
    """(mode, generator, scorers): the plug-ins with what the plan decides for those that `models` names. Raises as
    `plan_for`.
    """
    if models.generator is None and not models.scorers:
        return "share", generator, dict(scorers)
    found = _plan(models, here=True)
    engines = zip(models.on(found.device.kind), found.scorers, strict=True)
    made = {label: apply(engine, scorers[label], found.mode) for label, engine in engines}
    drawer = generator if found.generator is None else apply(found.generator, generator, found.mode)
    return found.mode, drawer, {**scorers, **made}


def parameters(models: Models) -> dict[str, Any]:
    """How many parameters the models have that are planned: {"generator": count, "scorers": {label: count}}, from their
    config.json. Raises ModelError where that is not to be had.
    """
    found: dict[str, Any] = {"scorers": {label: _size("scorer", spec) for label, (spec, _) in models.scorers.items()}}
    return found if models.generator is None else found | {"generator": _size("generator", models.generator)}


def _size(family: str, spec: Spec) -> int:
    return find_shape(plugins.build(family, spec, family).model).parameters


def planned_alone(scorer: Spec, plugin: Any) -> Any:
    """A scorer that has this machine's device for itself, with what the plan decides; only vLLM needs one, since it
    would else take nearly all the memory that there is. Raises as `plan_for`.
    """
    if scorer.options.get("backend") != "vllm":
        return plugin
    return planned(Models(scorers={"alone": (scorer, "scorer")}), None, {"alone": plugin})[2]["alone"]


def apply(engine: EnginePlan, plugin: P, mode: Mode) -> P:
    """The plug-in with the options that the plan decides, where the user left them out.

    Those that bound memory and have a default are set to the plan's, which is never more. By name, so that any plug-in
    with such an option gets it.
    """
    decided: dict[str, Any] = {"token_budget": engine.token_budget}
    if engine.backend == "vllm":
        decided |= {
            "enable_sleep_mode": mode == "swap" or None,
            "kv_cache_memory_bytes": engine.kv_bytes,
            "gpu_memory_utilization": engine.utilization,
            "max_model_len": engine.max_model_len,
            "max_num_seqs": engine.concurrency,
            "max_num_batched_tokens": engine.batched_tokens,
        }
    else:
        decided |= {"batch_size": engine.concurrency, "cache_gib": engine.kv_bytes / GIB}
    given = {option.name: getattr(plugin, option.name) for option in plugins.options(type(plugin))}
    changes = {name: decided[name] for name in decided.keys() & given if name in BOUNDS or given[name] is None}
    made: P = dataclasses.replace(plugin, **changes)  # type: ignore[type-var]
    return made


# Engines elsewhere.


def devices(models: Models) -> int:
    """How many GPUs these models take together, where there are any: 0 for those that are put on a CPU, or hold
    nothing.
    """
    specs = [spec for spec in (models.generator, *(spec for spec, _ in models.scorers.values())) if spec is not None]
    kinds = [_kind_of(models.memory.device), *map(_device_of, specs)]
    if next((kind for kind in kinds if kind is not None), "cuda") == "cpu":
        return 0
    return max((int(spec.options.get("tensor_parallel_size") or 1) for spec in specs), default=0)


def inside(config: Config, share: int) -> Config:
    """A config for one of `share` engines on this machine: without a GPU each plans with its part of the memory, and
    vLLM's processes stay on the machine, where it would else ask the cluster for more of it.
    """
    memory, generator = config.memory, config.generator
    if share > 1 and memory.total_gib is None and memory.free_gib is None:
        total, free = (size / GIB for size in host_memory())
        sizes = {"total_gib": total / share, "free_gib": min(free, total / share)}
        memory = memory.model_copy(update=sizes)
    if generator.spec.name == "vllm":
        own = {"distributed_executor_backend": "mp", **(generator.spec.options.get("engine_args") or {})}
        spec = Spec(generator.spec.name, {**generator.spec.options, "engine_args": own})
        generator = generator.model_copy(update={"spec": spec})
    return config.model_copy(update={"memory": memory, "generator": generator})


# The device.


def find_device(models: Models, here: bool = False) -> Device:
    """The device that is named or that is there.

    Sizes given by hand mean a GPU, unless `memory.device` or a model's `device` says cpu, or the device is to be used
    `here`, where none is. Raises ConfigError if a GPU is asked for, none is there and no size is given.
    """
    given = models.memory
    found = gpu_memory()
    kind = _kind(models, found is not None, here)
    host = int(given.host_free_gib * GIB) if given.host_free_gib is not None else host_memory()[1]
    if kind == "cpu":
        found = host_memory()
    if found is None and given.total_gib is None and given.free_gib is None:
        raise ConfigError("No GPU is found here. Say how large it is: --total-gib 80, or set memory.device: cpu.")
    total, free = found or (0, 0)
    if given.total_gib is not None:
        total = free = int(given.total_gib * GIB)
    if given.free_gib is not None:
        free = int(given.free_gib * GIB)
        total = max(total, free)
    return Device(kind, total, free, host)


def _kind(models: Models, has_gpu: bool, here: bool) -> Kind:
    specs = [models.generator] if models.generator else [spec for spec, _ in models.scorers.values()]
    for asked in (_kind_of(models.memory.device), *map(_device_of, specs)):
        if asked is not None:
            return asked
    sized = models.memory.total_gib is not None or models.memory.free_gib is not None
    return "cuda" if has_gpu or (sized and not here) else "cpu"


def _device_of(spec: Spec) -> Kind | None:
    """Where a model's options put it; None where they leave that open."""
    return _kind_of(str(spec.options.get("device", "auto")))


def _kind_of(device: str) -> Kind | None:
    kind = device.split(":")[0]
    return "cuda" if kind == "cuda" else "cpu" if kind == "cpu" else None


# The models.


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A plug-in's options with their defaults, read by name."""

    options: Mapping[str, Any]
    path: str

    @classmethod
    def of(cls, family: str, spec: Spec, path: str) -> "_Chosen":
        """Checked by the plug-in. Of vLLM's own arguments, those that the plan reads count where the plug-in has no
        option for them; one that takes memory which the plan cannot know is told.
        """
        plugin = plugins.build(family, spec, path)
        options = {option.name: getattr(plugin, option.name) for option in plugins.options(type(plugin))}
        more: Mapping[str, Any] = options.get("engine_args") or {}
        for name in sorted(UNKNOWN & more.keys()):
            LOG.warning("The memory plan does not count %s.engine_args.%s; leave room with memory.margin", path, name)
        return cls({**more, **options}, path)

    def count(self, name: str) -> int | None:
        """A whole number from 1 on, or None where it is left out."""
        value = self.options.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{self.path}.{name} must be a whole number from 1 on, got {value!r}.")
        return value

    def word(self, name: str, allowed: Mapping[str, Any]) -> str:
        """One of the allowed words, or "auto"."""
        value = str(self.options.get(name) or "auto")
        if value != "auto" and value not in allowed:
            raise ConfigError(unknown(value, f"{self.path}.{name}", ["auto", *allowed]))
        return value


def _generator(spec: Spec, given: MemoryConfig, kind: Kind) -> Generator:
    chosen = _Chosen.of("generator", spec, "generator")
    model = _model(chosen, GENERATORS[spec.name], kind)
    if model.shape.classifier:
        raise ModelError(
            f"generator.model {model.name!r} is a classifier, which generates nothing. Give a language model."
        )
    most = chosen.count("batch_size") or chosen.count("max_num_seqs")
    least = 1 if model.backend == "transformers" else most or LEAST_SEQUENCES
    cache = chosen.options.get("cache_gib")
    _check_context(model, chosen.count("max_model_len"), chosen.options["max_tokens"])
    return Generator(
        model=model,
        max_tokens=chosen.options["max_tokens"],
        prompt_tokens=given.prompt_tokens,
        least=least,
        most=most or MOST_SEQUENCES,
        max_model_len=chosen.count("max_model_len"),
        batched_tokens=chosen.count("max_num_batched_tokens"),
        cache_bytes=chosen.count("kv_cache_memory_bytes") if cache is None else int(cache * GIB),
    )


def _check_context(model: Model, longest: int | None, max_tokens: int) -> None:
    """Raises ConfigError for sequences beyond the model's context, which an engine would refuse once it has started."""
    context = model.shape.context
    of = f"the context of {model.name!r}, {counted(context, 'token')} (max_position_embeddings in its config.json)"
    if longest is not None and longest > context:
        raise ConfigError(f"generator.max_model_len is {longest:,}, more than {of}. Lower it, or leave it out.")
    if max_tokens >= context:
        raise ConfigError(
            f"generator.max_tokens is {max_tokens:,}, and prompt and answer have to fit into {of}. Lower it."
        )


def _scorer(spec: Spec, path: str, kind: Kind, lender: tuple[Spec, Model] | None) -> Scorer:
    chosen = _Chosen.of("scorer", spec, path)
    backend: Backend = "vllm" if chosen.options.get("backend") == "vllm" else "transformers"
    adapter = adapters.find(str(chosen.options.get("model")))
    model = _model(chosen, backend, kind)
    if not model.shape.classifier:
        if adapter is None and not has_value_head(model.name):
            raise ModelError(
                f"{path}.model {model.name!r} is a language model, not a reward model with a score head. One with a "
                "value head is to be given as a folder with its weights."
            )
        model = dataclasses.replace(model, shape=dataclasses.replace(model.shape, labels=1))
    if model.shape.labels != 1:
        raise ModelError(
            f"{path}.model {model.name!r} has {model.shape.labels} labels; a reward model has 1. Give another "
            "checkpoint."
        )
    return Scorer(
        model,
        chosen.options["token_budget"],
        chosen.count("max_length"),
        path,
        chosen.count("kv_cache_memory_bytes"),
        0 if adapter is None else adapters.count(adapter) * DTYPE_BYTES[model.dtype],
        adapter is not None and lender is not None and _lends(*lender, adapter, spec, model, kind),
    )


def _lends(drawer: Spec, held: Model, adapter: Adapter, scorer: Spec, model: Model, kind: Kind) -> bool:
    """Whether the generator, while it stays loaded, gives an adapter its weights: of the same model in the same dtype
    and place, as its `lend` will ask.
    """
    places = {str(spec.options.get("device", "auto")).replace("auto", kind) for spec in (drawer, scorer)}
    if held.backend != "transformers" or held.dtype != model.dtype or len(places) > 1:
        return False
    names = {adapter.base, held.name}
    return len(names) == 1 or (EMBEDDED not in names and len({locate(name) for name in names}) == 1)


def _model(chosen: _Chosen, backend: Backend, kind: Kind) -> Model:
    name = chosen.options.get("model")
    if not isinstance(name, str):
        raise ConfigError(f"{chosen.path}.model must be a folder or a hub name, got {name!r}.")
    shape = find_shape(name)
    dtype = _dtype(chosen.word("dtype", DTYPE_BYTES), shape, backend, kind)
    kv_dtype = chosen.word("kv_cache_dtype", KV_DTYPE_BYTES)
    model = Model(
        name=name,
        shape=shape,
        backend=backend,
        dtype=dtype,
        kv_dtype=dtype if kv_dtype == "auto" else kv_dtype,
        quantization=_quantization(chosen, shape),
        devices=chosen.count("tensor_parallel_size") or 1,
        graphs=not chosen.options.get("enforce_eager"),
        sleeps=chosen.options.get("enable_sleep_mode") is not False,
        lora=_lora(chosen),
    )
    check_devices(model, chosen.path)
    return model


def _lora(chosen: _Chosen) -> Lora | None:
    """Room for the adapter that is given, if one is. Raises ModelError for a folder without one."""
    folder = chosen.options.get("lora")
    if not folder:
        return None
    rank, weights = lora_rank(folder), lora_weights(folder)
    rank = chosen.count("max_lora_rank") or rank
    return Lora(rank, chosen.count("max_loras") or 1, weights.stat().st_size)


def find_shape(model: str) -> ModelShape:
    """A model's shape from its config.json, or CodeScaler's published one. Raises ModelError if neither is at hand."""
    if model == EMBEDDED:
        return embedded()  # without unpacking it
    found = read_config(model)
    if found is None:
        try:
            fetch(model, "config.json")
        except NotFetched as reason:
            if model in code_scalers():
                return code_scalers()[model]
            raise ModelError(
                f"The config.json of {model!r} is not in the local cache of the hub and cannot be downloaded: "
                f"{reason}. Check the name, the network and your access (`hf auth login`), or give a folder that "
                "holds that file."
            ) from reason
        found = read_config(model)
    assert found is not None  # it has just been fetched
    return ModelShape.from_config(*found)


def has_value_head(model: str) -> bool:
    """Whether the weights in a folder have TRL's value head, as their index or their file's header says."""
    index, weights = (Path(model).expanduser() / f"model.safetensors{end}" for end in (".index.json", ""))
    try:
        if index.is_file():
            return VALUE_HEAD in json.loads(index.read_bytes())["weight_map"]
        return weights.is_file() and VALUE_HEAD in tensor_shapes(weights)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The weights in {model} are damaged ({error!r}). Download the model again.") from error


def _dtype(asked: str, shape: ModelShape, backend: Backend, kind: Kind) -> str:
    """What "auto" becomes: in vLLM the checkpoint's, float32 lowered; else bfloat16 where the device computes in it."""
    if asked != "auto":
        return asked
    if backend == "vllm":
        return "bfloat16" if shape.dtype == "float32" else shape.dtype
    return "bfloat16" if kind == "cuda" or cpu_has_bfloat16() else "float32"


def _quantization(chosen: _Chosen, shape: ModelShape) -> Quantization | None:
    """The checkpoint's own, or one that is applied when it is loaded. Raises ConfigError for one that it has not."""
    asked, own = chosen.options.get("quantization"), shape.quantization
    if own is not None and asked is not None and not str(asked).startswith(own.method):  # gptq_marlin runs gptq
        raise ConfigError(
            f"{chosen.path}.quantization is {asked!r}, and the checkpoint is quantised by {own.method}. Leave it out."
        )
    if own is not None or asked is None:
        return own
    if asked not in ONLINE:
        raise ConfigError(
            f"{chosen.path}.quantization {asked!r} needs a checkpoint that is quantised so, and this one is not; "
            f"without one there are: {', '.join(sorted(ONLINE))}."
        )
    return ONLINE[asked]


# What is shown.


def as_json(found: MemoryPlan) -> dict[str, Any]:
    """The plan's numbers, sizes in bytes."""
    sums = ("peak_bytes", "left_bytes", "host_bytes")
    engines = [
        dataclasses.asdict(engine) | {"total_bytes": engine.total_bytes, "asleep_bytes": engine.asleep_bytes}
        for engine in found.engines
    ]
    return dataclasses.asdict(found) | {"engines": engines} | {name: getattr(found, name) for name in sums}


def table(found: MemoryPlan) -> "RenderableType":
    """The plan for people, sizes in GiB."""
    from rich.console import Group
    from rich.table import Table

    rows = Table("GiB", *(f"{engine.role}\n{Path(engine.model).name}" for engine in found.engines))
    for name in ("weights", "kv", "activation", "runtime", "total"):
        sizes = (getattr(engine, f"{name}_bytes") for engine in found.engines)
        rows.add_row(NAMES.get(name, name), *(f"{size / GIB:.2f}" for size in sizes), end_section=name == "runtime")
    rows.add_section()
    for name, value in SETTINGS.items():
        rows.add_row(name, *(value(engine) for engine in found.engines))
    return Group(rows, *_summary(found))


NAMES = {"kv": "keys and values", "activation": "activations"}
SETTINGS: Mapping[str, Callable[[EnginePlan], str]] = {
    "engine": lambda engine: f"{engine.backend}, {engine.dtype}",
    "longest sequence": lambda engine: f"{engine.max_model_len} tokens",
    "at once": lambda engine: (
        f"{engine.concurrency} sequences" if engine.role == "generator" else f"{engine.token_budget} tokens"
    ),
    "KV per token": lambda engine: f"{engine.kv_bytes_per_token / 1024:g} KiB",
    "utilization": lambda engine: f"{engine.utilization:.4f}" if engine.backend == "vllm" else "",
}


def _summary(found: MemoryPlan) -> list[str]:
    device = found.device
    own = f", {gib(found.own_bytes)} of it tts itself" if found.own_bytes else ""
    where = "GPU" if device.kind == "cuda" else "CPU"
    lines = [
        f"{where}: {gib(device.free_bytes)} free of {gib(device.total_bytes)}, margin {gib(found.margin_bytes)}",
        f"Mode: {found.mode}. At most {gib(found.peak_bytes)} at once{own}; {gib(found.left_bytes)} are left.",
    ]
    lines += [note for engine in found.engines for note in engine.notes]
    if found.host_bytes:
        lines.append(f"Asleep: {gib(found.host_bytes)} of host memory; {gib(device.host_free_bytes)} are free.")
    return lines

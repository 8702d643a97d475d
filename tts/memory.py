"""Which engines share one device, and how: a `MemoryPlan`, fixed before anything loads.

Pure: no device is asked, no file read, no model loaded; what one engine needs is `footprint.py`'s. A plan that does not
fit is an error with ways out, each of which has been tried by planning again.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tts.errors import PlanError, counted
from tts.footprint import (
    GIB,
    OWN_BYTES,
    Device,
    EnginePlan,
    Generator,
    Model,
    Scorer,
    generator_kv_bytes,
    generator_plan,
    pair_kv_bytes,
    scorer_plan,
    splits,
)
from tts.shapes import FP8, ONLINE, code_scalers

Mode = Literal["share", "swap", "sequential"]
MODES: tuple[Mode, ...] = ("share", "swap", "sequential")


@dataclass(frozen=True, slots=True)
class Options:
    """`margin` is the share of the device's total memory that stays free for what the plan cannot know."""

    mode: Literal["auto", "share", "swap", "sequential"] = "auto"
    margin: float = 0.05


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Who gets what, fixed before anything loads. `peak_bytes` is the most that is taken at one time: by the engines
    and, on a CPU, by tts itself (`own_bytes`).
    """

    mode: Mode
    device: Device
    engines: tuple[EnginePlan, ...]
    margin_bytes: int

    @property
    def peak_bytes(self) -> int:
        """share: all engines awake; swap: one awake and the rest asleep, at worst; sequential: the largest alone."""
        totals = [engine.total_bytes for engine in self.engines]
        if self.mode == "share":
            return sum(totals) + self.own_bytes
        if self.mode == "sequential":
            return max(totals, default=0) + self.own_bytes
        asleep = sum(engine.asleep_bytes for engine in self.engines)
        return max((e.total_bytes - e.asleep_bytes + asleep for e in self.engines), default=0) + self.own_bytes

    @property
    def own_bytes(self) -> int:
        """What tts takes where engines are, with nothing loaded; nothing without engines."""
        return OWN_BYTES[self.device.kind] if self.engines else 0

    @property
    def host_bytes(self) -> int:
        """Host memory that sleeping engines need; each keeps its buffers once it has slept."""
        return sum(engine.host_bytes for engine in self.engines) if self.mode == "swap" else 0

    @property
    def left_bytes(self) -> int:
        """What nobody uses, the margin not counted; negative if the plan does not fit."""
        return self.device.free_bytes - self.margin_bytes - self.peak_bytes

    @property
    def fits(self) -> bool:
        """Whether device and host have enough."""
        return self.left_bytes >= 0 and self.host_bytes <= self.device.host_free_bytes

    @property
    def generator(self) -> EnginePlan | None:
        """The generator's share, if it has a model."""
        return next((engine for engine in self.engines if engine.role == "generator"), None)

    @property
    def scorers(self) -> tuple[EnginePlan, ...]:
        """The reward models' shares, in their order."""
        return tuple(engine for engine in self.engines if engine.role == "scorer")


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a plan is made from."""

    generator: Generator | None
    scorers: tuple[Scorer, ...]
    device: Device
    options: Options = Options()

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that may be chosen, best first. A CPU has no swap, since vLLM does not sleep there, nor have
        engines that were told never to.
        """
        possible = tuple(mode for mode in MODES if mode != "swap" or (self.device.kind == "cuda" and not self.awake))
        return possible if self.options.mode == "auto" else tuple(m for m in possible if m == self.options.mode)

    @property
    def awake(self) -> str:
        """Where the first engine stands that was told never to sleep; empty if there is none."""
        paths = [("generator", self.generator.model)] if self.generator else []
        paths += [(scorer.path, scorer.model) for scorer in self.scorers]
        return next((path for path, model in paths if not model.sleeps), "")


def plan(
    generator: Generator | None, scorers: Sequence[Scorer], device: Device, options: Options | None = None
) -> MemoryPlan:
    """The first mode that fits, with as many sequences at once as fit. Raises PlanError with ways out if none does."""
    request = Request(generator, tuple(scorers), device, options or Options())
    if not request.modes:
        raise PlanError(
            f"memory.mode: swap needs {_missing(request)}, or set memory.mode to share, sequential or auto."
        )
    found = find(request)
    if found is None:
        raise PlanError(_too_tight(request))
    return found


def _missing(request: Request) -> str:
    """Why the models cannot take turns by sleeping, and what to do."""
    if request.device.kind == "cpu":
        return "a GPU; engines do not sleep on a CPU. Take one"
    return f"engines that can sleep, and {request.awake}.enable_sleep_mode is false. Leave that out"


def find(request: Request) -> MemoryPlan | None:
    """Like `plan`, but None if nothing fits."""
    for mode in request.modes:
        found = _widest(request, mode)
        if found is not None:
            return found
    return None


def _widest(request: Request, mode: Mode) -> MemoryPlan | None:
    """The plan of a mode with the most sequences at once, None if not even the least fit."""
    generator = request.generator
    if any(_too_small(scorer, request.device) for scorer in request.scorers):
        return None
    if generator is None:
        made = _build(request, mode, 0)
        return made if made.fits else None
    most = generator.ceiling(request.device.kind)
    count = _largest(lambda count: _build(request, mode, count).fits, generator.least, most, 1)
    return None if count is None else _build(request, mode, count)


def _too_small(scorer: Scorer, device: Device) -> bool:
    """Whether the keys and values that were given have no room for the longest pair."""
    return scorer.cache_bytes is not None and scorer.cache_bytes < pair_kv_bytes(scorer, device.kind)


def _build(request: Request, mode: Mode, concurrency: int) -> MemoryPlan:
    """The plan for so many sequences at once, whether it fits or not."""
    device = request.device
    borrow = mode == "share" and request.generator is not None  # else the generator's weights come and go
    scorers = (dataclasses.replace(scorer, lent=scorer.lent and borrow) for scorer in request.scorers)
    engines = [scorer_plan(scorer, device) for scorer in scorers]
    if request.generator is not None:
        engines.insert(0, generator_plan(request.generator, device, concurrency))
    return MemoryPlan(mode, device, tuple(engines), int(request.options.margin * device.total_bytes))


def _largest(fits: Callable[[int], bool], low: int, high: int, step: int) -> int | None:
    """The largest of low, low + step, ... up to high that fits, given that less never needs more; None if not even low
    does.
    """
    if low > high or not fits(low):
        return None
    known, above = 0, (high - low) // step + 1
    while above - known > 1:
        middle = (known + above) // 2
        known, above = (middle, above) if fits(low + middle * step) else (known, middle)
    return low + known * step


# Ways out.


@dataclass(frozen=True, slots=True)
class WayOut:
    """One change after which the plan fits: in words, and the changed request."""

    text: str
    request: Request


def ways_out(request: Request) -> Iterator[WayOut]:
    """Every single change that makes a plan fit, the mildest first. Each has been tried."""
    yield from _other_modes(request)
    if request.generator is not None:
        yield from _generator_ways(request, request.generator)
    for position, scorer in enumerate(request.scorers):
        yield from _scorer_ways(request, position, scorer)
    yield from (way for way in _more_memory(request) if find(way.request) is not None)


def _other_modes(request: Request) -> Iterator[WayOut]:
    for mode in MODES:
        changed = dataclasses.replace(request, options=dataclasses.replace(request.options, mode=mode))
        other = find(changed) if mode not in request.modes else None
        if other is not None:
            host = f" with {gib(other.host_bytes)} of host memory" if other.host_bytes else ""
            yield WayOut(f"memory.mode={mode} fits{host}", changed)


def _generator_ways(request: Request, generator: Generator) -> Iterator[WayOut]:
    def changed(**changes: Any) -> Request:
        return dataclasses.replace(request, generator=dataclasses.replace(generator, **changes))

    def less(name: str, field: str, top: int, step: int, low: int) -> Iterator[WayOut]:
        value = _largest(lambda value: find(changed(**{field: value})) is not None, low, top - 1, step)
        if value is not None:
            yield WayOut(f"generator.{name}={value} fits", changed(**{field: value}))

    if generator.model.backend == "vllm":
        shortest = max(1024, -(-(generator.max_tokens + 1) // 256) * 256)  # with room for a prompt
        yield from less("max_model_len", "max_model_len", generator.longest, 256, shortest)
        count = _largest(lambda n: find(changed(least=n, most=n)) is not None, 1, generator.least - 1, 1)
        if count is not None:
            yield WayOut(f"generator.max_num_seqs={count} fits", changed(least=count, most=count))
        if generator.cache_bytes is not None:
            enough = generator_kv_bytes(generator, request.device.kind, generator.least)
            yield from _other_cache("generator", enough, changed)
        if request.device.kind == "cuda":
            yield from _lighter(generator.model, changed)
    yield from less("max_tokens", "max_tokens", generator.max_tokens, 128, 128)


def _other_cache(path: str, enough: int, changed: Callable[..., Request]) -> Iterator[WayOut]:
    """Another size of vLLM's keys and values than was given: the least that does."""
    tried = changed(cache_bytes=enough)
    if find(tried) is not None:
        yield WayOut(f"{path}.kv_cache_memory_bytes={enough} fits", tried)


def _lighter(model: Model, changed: Callable[..., Request]) -> Iterator[WayOut]:
    """Smaller numbers in keys and values or in the matrices, and more devices."""
    options: list[tuple[str, dict[str, Any]]] = []
    if model.kv_dtype not in FP8:
        options.append(("kv_cache_dtype=fp8", {"kv_dtype": "fp8"}))
    if model.quantization is None:
        options.append(("quantization=fp8", {"quantization": ONLINE["fp8"]}))
    more = [n for n in (2, 4, 8) if n > model.devices and splits(model.shape, n)]
    options += [(f"tensor_parallel_size={n}", {"devices": n}) for n in more]
    for text, changes in options:
        tried = changed(model=dataclasses.replace(model, **changes))
        if find(tried) is not None:
            yield WayOut(f"generator.{text} fits", tried)
            if "devices" in changes:
                return


def _scorer_ways(request: Request, position: int, scorer: Scorer) -> Iterator[WayOut]:
    def changed(**changes: Any) -> Request:
        scorers = list(request.scorers)
        scorers[position] = dataclasses.replace(scorer, **changes)
        return dataclasses.replace(request, scorers=tuple(scorers))

    def less(field: str, top: int) -> Iterator[WayOut]:
        value = _largest(lambda value: find(changed(**{field: value})) is not None, 1024, top - 1, 512)
        if value is not None:
            yield WayOut(f"{scorer.path}.{field}={value} fits", changed(**{field: value}))

    yield from less("token_budget", scorer.token_budget)
    yield from less("max_length", scorer.longest)
    if scorer.cache_bytes is not None:
        yield from _other_cache(scorer.path, pair_kv_bytes(scorer, request.device.kind), changed)
    for name, shape in code_scalers().items():
        model = dataclasses.replace(scorer.model, name=name, shape=shape)
        smaller = changed(model=model, adapter_bytes=0, lent=False)
        if shape.parameters < scorer.model.shape.parameters and find(smaller) is not None:
            yield WayOut(f"{scorer.path}.model={name} instead of {scorer.model.name} fits", smaller)
            return


def _more_memory(request: Request) -> Iterator[WayOut]:
    """The least memory with which the request fits: free on this device, or in a larger one, or of the host."""
    smallest = [_smallest(request, mode) for mode in request.modes]
    device = request.device
    for made in smallest:
        if made.left_bytes >= 0 and not made.fits:
            enough = dataclasses.replace(device, host_free_bytes=_tenth_up(made.host_bytes))
            there = f"{gib(device.host_free_bytes)} are free"
            text = f"{made.mode} needs {gib(enough.host_free_bytes)} of host memory, {there}"
            yield WayOut(text, dataclasses.replace(request, device=enough))
    possible = [made for made in smallest if made.host_bytes <= device.host_free_bytes]
    if possible:
        yield _larger_device(request, min(possible, key=lambda made: made.peak_bytes))


def _larger_device(request: Request, made: MemoryPlan) -> WayOut:
    device, margin = request.device, request.options.margin
    free = _tenth_up(made.peak_bytes + made.margin_bytes)
    if free <= device.total_bytes:
        enough = dataclasses.replace(device, free_bytes=free)
        return WayOut(f"{gib(free)} free memory fits ({made.mode})", dataclasses.replace(request, device=enough))
    total = _tenth_up(int(made.peak_bytes / (1 - margin)) + 1)
    enough = dataclasses.replace(device, total_bytes=total, free_bytes=total)
    text = f"a device of {gib(total)}, all free, fits ({made.mode})"
    return WayOut(text, dataclasses.replace(request, device=enough))


def _smallest(request: Request, mode: Mode) -> MemoryPlan:
    """The plan with the fewest sequences at once, whether it fits or not."""
    return _build(request, mode, request.generator.least if request.generator else 0)


def _tenth_up(size: int) -> int:
    """Up to the next tenth of a GiB."""
    return -(-size * 10 // GIB) * GIB // 10 + 1


def gib(size: float) -> str:
    """A size for people: 14.2 GiB, or 51 MiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"


def _too_tight(request: Request) -> str:
    """What is wrong, and what would fit."""
    wrong = " ".join(_small_caches(request)) or _small_memory(request)
    ways = "; ".join(way.text for way in ways_out(request)) or "no single change does"
    return f"{wrong} Ways out: {ways}."


def _small_caches(request: Request) -> Iterator[str]:
    """A sentence for each given size of keys and values that is too small, whatever memory there is."""
    kind, generator = request.device.kind, request.generator
    if generator is not None and generator.cache_bytes is not None and generator.ceiling(kind) < generator.least:
        one, wanted = (counted(generator_kv_bytes(generator, kind, n), "byte") for n in (1, generator.least))
        default = " (the least where max_num_seqs is left out)" if generator.least < generator.most else ""
        yield (
            f"generator.kv_cache_memory_bytes is {counted(generator.cache_bytes, 'byte')}, room for "
            f"{counted(generator.ceiling(kind), 'sequence')} at once. One of max_model_len, "
            f"{counted(generator.longest, 'token')}, needs {one}; {generator.least} at once{default} need {wanted}."
        )
    for scorer in request.scorers:
        if _too_small(scorer, request.device):
            yield (
                f"{scorer.path}.kv_cache_memory_bytes is {counted(scorer.cache_bytes or 0, 'byte')}; the longest pair, "
                f"{counted(scorer.longest, 'token')}, needs {counted(pair_kv_bytes(scorer, kind), 'byte')}."
            )


def _small_memory(request: Request) -> str:
    """What each mode needs, and what there is."""
    device = request.device
    needs = []
    for mode in request.modes:
        made = _smallest(request, mode)
        host = (
            f" and {gib(made.host_bytes)} of host memory ({gib(device.host_free_bytes)} free)"
            if made.host_bytes
            else ""
        )
        needs.append(f"{mode} needs {gib(made.peak_bytes)}{host}")
    margin = int(request.options.margin * device.total_bytes)
    return (
        f"The models do not fit: {', '.join(needs)}, and {gib(max(0, device.free_bytes - margin))} are there to plan "
        f"with ({gib(device.free_bytes)} free of {gib(device.total_bytes)}, less the margin of {gib(margin)})."
    )

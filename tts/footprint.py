"""What one engine needs of one device, worked out before anything loads: an `EnginePlan`.

Pure arithmetic. Weights and keys and values are exact (`shapes.py`); the rest is estimated, each number below with its
reason. All sizes are bytes; with tensor parallelism they are those of one device. Estimates, from the sources of vLLM
0.32 and transformers 5.19:

- activations: the widest moment of one layer, in elements per token. transformers keeps gate, up and their product
  beside four hidden states; or queries four times while they are rotated, keys twice, and three hidden states: measured
  on a CPU, exact (a test looks). vLLM's fused layers keep less; the same kind of count is used. A CPU without bfloat16
  of its own holds a product in float32, too, while it is computed; all are planned as if they did.
- sampling: a row of logits in the model's dtype and its copies in float32 and int64 while it is sorted for top-p.
- the runtime: on a CPU, measured by benchmarks/memory.py. On a GPU, not measured: context, kernels, workspaces, and
  CUDA graphs per layer. What the kernels of LoRA take is left to the margin.
"""

import dataclasses
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tts.errors import ModelError, counted
from tts.shapes import DTYPE_BYTES, KV_DTYPE_BYTES, ModelShape, Quantization

MIB, GIB = 2**20, 2**30
Backend = Literal["vllm", "transformers"]
Kind = Literal["cuda", "cpu"]

BLOCK_TOKENS = {"cuda": 16, "cpu": 128}  # vLLM's default block; a backend may take larger ones and rounds down
BATCHED_TOKENS = {"cuda": 8192, "cpu": 4096}  # prefilled in one step of vLLM; handed to it, not left to its default
STEPS_IN_FLIGHT = 2  # vLLM schedules the next step while one runs; a sliding window keeps the tokens of both
VOCABULARY_MULTIPLE = 64  # vLLM pads the vocabulary to this
LOGIT_COPIES = {"vllm": 28, "transformers": 16}  # bytes per logit beside the logit itself; top-p sorts in vLLM
OWN_BYTES = {"cuda": 0, "cpu": 350 * MIB}  # tts itself with torch and transformers imported, whatever it runs
# On a CPU: vLLM imported here and, with the rest that it needs, in the processes of its engine core and its worker.
VLLM_EMPTY_BYTES = 1000 * MIB
RUNTIME_BYTES = {
    ("cuda", "vllm"): 1280 * MIB,
    ("cuda", "transformers"): 768 * MIB,
    ("cpu", "vllm"): VLLM_EMPTY_BYTES + 180 * MIB,
    ("cpu", "transformers"): 48 * MIB,
}
# Per entry of the vocabulary, measured. vLLM has a tokenizer beside tts's, one in its engine core, and their caches.
TOKENIZER_BYTES = {"vllm": 3584, "transformers": 1024}
# A row with more tokens than these after the prefix runs without it: attention would need a mask of as many rows, and
# the prefix is little beside it.
LONGEST_OWN = 2048
TOKEN_IDS = 16  # a token's number and its position; beside them lies the rotary table, two numbers per head's size
GRAPH_BYTES_PER_LAYER = 24 * MIB
ALLOCATOR_SLACK = {"cuda": 0.1, "cpu": 0.0}  # share of the activations that a caching allocator holds but cannot use
PINNED_SEGMENT = 20 * MIB  # torch packs weights below 10 MiB into segments of this size


@dataclass(frozen=True, slots=True)
class Lora:
    """Room for LoRA adapters as vLLM keeps it: `slots` adapters of up to `rank` (max_loras, max_lora_rank), and the
    `stored_bytes` of the one that is given, which stays in host memory.
    """

    rank: int
    slots: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """A model as an engine loads it. `devices` is the tensor parallel size, `graphs` whether CUDA graphs are used,
    `sleeps` whether it may be put to sleep.
    """

    name: str
    shape: ModelShape
    backend: Backend
    dtype: str
    kv_dtype: str
    quantization: Quantization | None = None
    devices: int = 1
    graphs: bool = True
    sleeps: bool = True
    lora: Lora | None = None


@dataclass(frozen=True, slots=True)
class Generator:
    """What is asked of the generator.

    A sequence is planned to take `prompt_tokens + max_tokens`, at most `max_model_len`, though candidates of a problem
    share their prompt's blocks in vLLM: the plan does not count on it, so nothing is ever preempted. `least` and `most`
    bound the sequences run at once; the plan takes as many as fit. `cache_bytes` bounds keys and values; vLLM takes all
    of it.
    """

    model: Model
    max_tokens: int
    prompt_tokens: int
    least: int
    most: int
    max_model_len: int | None = None
    batched_tokens: int | None = None
    cache_bytes: int | None = None

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that the engine must be able to hold."""
        return min(self.max_model_len or self.model.shape.context, self.model.shape.context)

    @property
    def sequence_tokens(self) -> int:
        """Tokens that each sequence is planned to take."""
        return min(self.longest, self.prompt_tokens + self.max_tokens)

    def ceiling(self, kind: Kind) -> int:
        """The most sequences that `most` and `cache_bytes` allow. vLLM starts with none if one of `longest` has no
        room; transformers runs one at a time whatever was given.
        """
        if self.cache_bytes is None:
            return self.most
        counts = range(1, self.most + 1)
        fitting = bisect_right(counts, self.cache_bytes, key=lambda count: generator_kv_bytes(self, kind, count))
        return fitting if self.model.backend == "vllm" else max(1, fitting)


@dataclass(frozen=True, slots=True)
class Scorer:
    """What is asked of one reward model: `token_budget` tokens run at once, pairs of up to `max_length` tokens.

    `path` is its place in the config, for messages; `cache_bytes` vLLM's keys and values, where they were given. If it
    is an adapter, with `adapter_bytes` beside those of its base, which is `model`: whether a generator that stays
    loaded has `lent` it the base's weights.
    """

    model: Model
    token_budget: int
    max_length: int | None = None
    path: str = "scorers.0"
    cache_bytes: int | None = None
    adapter_bytes: int = 0
    lent: bool = False

    @property
    def longest(self) -> int:
        """Tokens of the longest pair that is scored."""
        return min(self.max_length or self.model.shape.context, self.model.shape.context)


@dataclass(frozen=True, slots=True)
class Device:
    """The device to plan for. On a CPU, `free_bytes` is the memory available and there is no other host memory."""

    kind: Kind
    total_bytes: int
    free_bytes: int
    host_free_bytes: int = 0


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One engine's share.

    `utilization` is what vLLM's start-up check compares with free memory; `kv_bytes` alone decides its cache.
    `concurrency`: a generator's sequences at once. `token_budget`: a scorer's tokens at once. `batched_tokens`: vLLM's
    max_num_batched_tokens. `asleep_bytes` stay on the device and `host_bytes` go to the host when the engine sleeps.
    `loading_bytes`, on a CPU, are taken while vLLM loads: the file is mapped beside the weights. The kernel takes a
    file's pages back where memory is short, so a plan fits without them. `lent_bytes` of weights are the generator's
    and not counted again. `notes`: what a reader of the plan should know, in sentences.
    """

    role: Literal["generator", "scorer"]
    model: str
    backend: Backend
    dtype: str
    weights_bytes: int
    kv_bytes: int
    activation_bytes: int
    runtime_bytes: int
    utilization: float
    max_model_len: int
    kv_bytes_per_token: int
    concurrency: int | None
    token_budget: int | None
    batched_tokens: int | None
    host_bytes: int
    loading_bytes: int
    lent_bytes: int = 0
    notes: tuple[str, ...] = ()

    @property
    def total_bytes(self) -> int:
        """All of it while the engine is awake."""
        return self.weights_bytes + self.kv_bytes + self.activation_bytes + self.runtime_bytes

    @property
    def asleep_bytes(self) -> int:
        """What is left on the device while weights are on the host and keys and values are dropped."""
        return self.runtime_bytes


def _engine(
    model: Model,
    device: Device,
    role: Literal["generator", "scorer"],
    kv_bytes: int,
    activation_bytes: int,
    longest: int,
    adapter: int = 0,
    lent: int = 0,
) -> EnginePlan:
    """An engine's share with its sizes filled in; `adapter` bytes come to the model's weights, `lent` ones go."""
    activation_bytes += int(ALLOCATOR_SLACK[device.kind] * activation_bytes)
    weights, runtime = weights_bytes(model) + adapter - lent, runtime_bytes(model, device.kind)
    total = weights + kv_bytes + activation_bytes + runtime
    return EnginePlan(
        role=role,
        model=model.name,
        backend=model.backend,
        dtype=model.dtype,
        weights_bytes=weights,
        kv_bytes=kv_bytes,
        activation_bytes=activation_bytes,
        runtime_bytes=runtime,
        utilization=total * 10_000 // device.total_bytes / 10_000,  # rounded down: asking for less passes the check
        max_model_len=longest,
        kv_bytes_per_token=model.shape.layers * _layer_kv_bytes(model),
        concurrency=None,
        token_budget=None,
        batched_tokens=None,
        host_bytes=host_bytes(model) + adapter - lent if device.kind == "cuda" else 0,
        loading_bytes=_loading_bytes(model, device.kind),
        lent_bytes=lent,
    )


def generator_plan(generator: Generator, device: Device, concurrency: int) -> EnginePlan:
    """The generator's share for so many sequences at once."""
    model, shape = generator.model, generator.model.shape
    if model.backend == "vllm":
        batched = _batched(generator, device.kind, concurrency)
        kv = generator.cache_bytes or generator_kv_bytes(generator, device.kind, concurrency)
        activation = batched * _token_bytes(model, device.kind)
    else:
        batched = None
        kv = generator_kv_bytes(generator, device.kind, concurrency)
        prompt = min(generator.prompt_tokens, generator.longest)
        activation = prompt * _token_bytes(model, device.kind) + shape.kv_bytes(prompt, model.kv_dtype)
    logit = DTYPE_BYTES[model.dtype] + LOGIT_COPIES[model.backend]
    activation += concurrency * shape.vocabulary * logit
    made = _engine(model, device, "generator", kv, activation, generator.longest)
    notes = (*_clipped(generator), *_about_lora(model))
    return dataclasses.replace(made, concurrency=concurrency, batched_tokens=batched, notes=notes)


def _clipped(generator: Generator) -> Iterator[str]:
    """A note where the prompts and answers that are planned for are longer than a sequence may be."""
    if generator.prompt_tokens + generator.max_tokens > generator.longest:
        yield (
            f"A sequence is planned with {counted(generator.longest, 'token')}, the longest there may be: "
            f"memory.prompt_tokens, {generator.prompt_tokens:,}, and generator.max_tokens, {generator.max_tokens:,}, "
            f"are more. A prompt of more than {generator.longest - generator.max_tokens:,} is refused."
        )


def _about_lora(model: Model) -> Iterator[str]:
    """A note on what of the weights is not exact."""
    if model.lora is not None:
        slots = counted(model.lora.slots, "LoRA adapter")
        size = sum(_lora_bytes(model)) / MIB
        yield f"The weights include {size:.1f} MiB for {slots} of rank {model.lora.rank}, which is an upper bound."


def generator_kv_bytes(generator: Generator, kind: Kind, concurrency: int) -> int:
    """Keys and values of so many sequences; in vLLM at least those of one of `longest`, without which it does not
    start.
    """
    model, tokens = generator.model, generator.sequence_tokens
    if model.backend == "transformers":
        return concurrency * model.shape.kv_bytes(tokens, model.kv_dtype)
    batched = _batched(generator, kind, concurrency)
    return vllm_kv_bytes(model, kind, concurrency, tokens, generator.longest, batched)


def _batched(generator: Generator, kind: Kind, concurrency: int) -> int:
    """Tokens that vLLM prefills in one step."""
    return min(generator.batched_tokens or BATCHED_TOKENS[kind], concurrency * generator.longest)


def pair_kv_bytes(scorer: Scorer, kind: Kind) -> int:
    """Keys and values of the longest pair, without which vLLM does not start."""
    return _pool_bytes(scorer.model, kind, scorer.longest)


def scorer_plan(scorer: Scorer, device: Device) -> EnginePlan:
    """A reward model's share. `kv_bytes` of vLLM's pool: the longest pair, what runs, and as much again for prefixes
    that wait to be used again.
    """
    model, budget = scorer.model, scorer.token_budget
    if model.backend == "vllm":
        kv = scorer.cache_bytes or _pool_bytes(model, device.kind, scorer.longest + 2 * budget)
        activation = budget * _token_bytes(model, device.kind)
    else:
        budget = max(budget, scorer.longest)  # a single pair is run even if it is longer than the budget
        takes = _padded_bytes if any(model.shape.windows) else _packed_bytes
        kv, activation = takes(model, budget, scorer.longest, device.kind)
    adapter, lent = _adapter_bytes(scorer)
    made = _engine(model, device, "scorer", kv, activation, scorer.longest, adapter, lent)
    batched = scorer.token_budget if model.backend == "vllm" else None
    notes = tuple(_about_lent(made))
    return dataclasses.replace(made, token_budget=scorer.token_budget, batched_tokens=batched, notes=notes)


def _adapter_bytes(scorer: Scorer) -> tuple[int, int]:
    """What an adapter adds to its base's weights, and what of these is not its own. Its head is in the first."""
    if not scorer.adapter_bytes:
        return 0, 0
    shape = scorer.model.shape
    head = shape.head * DTYPE_BYTES[scorer.model.dtype] if shape.classifier else 0
    return scorer.adapter_bytes - head, weights_bytes(scorer.model) - head if scorer.lent else 0


def _about_lent(made: EnginePlan) -> Iterator[str]:
    """A note on what is held once."""
    if made.lent_bytes:
        yield (
            f"{made.model} is an adapter on the generator's weights: {made.lent_bytes / MIB:.1f} MiB of them are held "
            f"once, and it adds {made.weights_bytes / MIB:.1f} MiB."
        )


def _packed_bytes(model: Model, budget: int, longest: int, kind: Kind) -> tuple[int, int]:
    """(keys and values, activations) of packs as score/_packed.py runs them.

    Kept from pack to pack: the prefix of one family that is split. Each family has a bias (own, prefix + own) of its
    longest row; of all but the first, these tokens are in the pack. Where it runs, attention copies what several rows
    read and, on CUDA, keys and values for all heads.
    """
    shape = model.shape
    bias = min(longest, LONGEST_OWN) * (longest + budget) * DTYPE_BYTES[model.dtype]
    gathered = (7 if kind == "cuda" else 5) * shape.query + 4 * shape.key + 2 * shape.hidden
    kept = longest * shape.kv_bytes_per_token(model.kv_dtype)
    return kept, budget * _token_bytes(model, kind, gathered) + bias


def _padded_bytes(model: Model, budget: int, longest: int, kind: Kind) -> tuple[int, int]:
    """(keys and values, activations) of a model run in its own way: those of all tokens, and a mask (rows, 1, width,
    width) as bool and in the model's dtype; a single row needs none, so it is at most half the budget wide.
    """
    mask = budget * min(longest, budget // 2) * (1 + DTYPE_BYTES[model.dtype])
    return budget * model.shape.kv_bytes_per_token(model.kv_dtype), budget * _token_bytes(model, kind) + mask


def _token_bytes(model: Model, kind: Kind, attention: int = 0) -> int:
    """Activations of one token at the widest moment of a layer; attention may have `attention` elements."""
    shape, hidden = model.shape, model.shape.hidden
    intermediate, query, key = (-(-size // model.devices) for size in (shape.intermediate, shape.query, shape.key))
    if model.backend == "vllm":
        widest = max(3 * intermediate + 3 * hidden, 3 * query + 4 * key + 3 * hidden)
        return widest * DTYPE_BYTES[model.dtype]
    widened = kind == "cpu" and model.dtype != "float32"  # what up and output projection give, in float32
    feeding = (4 if widened else 3) * intermediate + 4 * hidden
    attending = max(4 * query + 2 * key + 3 * hidden, attention) + (2 * hidden if widened else 0)
    return (max(feeding, attending) + 2 * shape.head_dim) * DTYPE_BYTES[model.dtype] + TOKEN_IDS


def weights_bytes(model: Model) -> int:
    """Bytes of a model's weights on one device. Matrices and the vocabulary are split among devices, norms are not.

    vLLM pads the vocabulary to a multiple of 64 and keeps a classifier's head in float32.
    """
    shape, width = model.shape, DTYPE_BYTES[model.dtype]
    vocabulary, head_width = shape.vocabulary, width
    if model.backend == "vllm":
        multiple = VOCABULARY_MULTIPLE * model.devices
        vocabulary = -(-vocabulary // multiple) * multiple
        head_width = 4
    tables = 1 if shape.tied or shape.classifier else 2
    split = shape.matrices_bytes(model.dtype, model.quantization) + tables * vocabulary * shape.hidden * width
    head = shape.head * head_width if shape.classifier else 0
    lora = sum(_lora_bytes(model))
    return -(-split // model.devices) + head + shape.small * width + lora


def _lora_bytes(model: Model) -> Iterator[int]:
    """Bytes at most of the buffers for LoRA, of each layer and of both tables.

    vLLM gives every linear layer of the model, whatever the adapter's target modules, a buffer of (slots, rank, inputs)
    and one of (slots, outputs, rank) in the model's dtype (create_lora_weights in vllm/lora/layers of 0.32), and does
    as much for the embedding and the output head of some models. Counted for all of them, and as if no device split
    them, so it is an upper bound; of SmolLM2 on one device it is exact, measured.
    """
    if model.lora is None:
        return
    shape, each = model.shape, model.lora.slots * model.lora.rank * DTYPE_BYTES[model.dtype]
    layer = sum(linear.rows + linear.columns for linear in shape.linears())
    vocabulary = -(-shape.vocabulary // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    yield from [layer * each] * shape.layers
    yield from [(vocabulary + shape.hidden) * each] * 2


def runtime_bytes(model: Model, kind: Kind) -> int:
    """What an engine takes beside weights, keys and values and activations; on a CPU with its tokenizers.

    vLLM's matrix kernels for CPUs pack a copy of the embedding, and of the output head.
    """
    base, shape = RUNTIME_BYTES[kind, model.backend], model.shape
    if kind == "cpu":
        tables = 0 if model.backend == "transformers" else 1 if shape.classifier else 2
        packed = tables * shape.embedding * DTYPE_BYTES[model.dtype] // model.devices
        adapter = model.lora.stored_bytes if model.lora else 0
        return base + shape.vocabulary * TOKENIZER_BYTES[model.backend] + packed + adapter
    graphs = model.backend == "vllm" and model.graphs
    return base + (GRAPH_BYTES_PER_LAYER * shape.layers if graphs else 0)


def _loading_bytes(model: Model, kind: Kind) -> int:
    """Weights and their mapped file, before anything is packed. transformers computes on the mapped file itself."""
    if kind == "cuda" or model.backend == "transformers":
        return 0
    tokenizers = model.shape.vocabulary * TOKENIZER_BYTES[model.backend]
    return 2 * weights_bytes(model) + tokenizers + VLLM_EMPTY_BYTES


def host_bytes(model: Model) -> int:
    """Host memory of a sleeping engine, all devices together.

    vLLM copies each segment of weights into pinned memory, whose size torch rounds up to a power of two; a transformers
    model is moved as it is.
    """
    if model.backend == "transformers":
        return weights_bytes(model)
    segments = list(_segments(model))
    large = [size for size in segments if size >= 10 * MIB]
    packed = sum(size for size in segments if size < 10 * MIB)
    chunks = -(-packed // PINNED_SEGMENT)
    pinned = sum(_power_of_two(-(-size // (2 * MIB)) * 2 * MIB) for size in large)
    return model.devices * (pinned + chunks * _power_of_two(PINNED_SEGMENT))


def _segments(model: Model) -> Iterator[int]:
    """Bytes of each tensor that vLLM allocates on one device: it fuses query, key and value, and gate and up."""
    shape, width = model.shape, DTYPE_BYTES[model.dtype]
    q, k, v, out, gate, up, down = (
        linear.rows * linear.columns * width if model.quantization is None else model.quantization.matrix_bytes(linear)
        for linear in shape.linears()
    )
    for _ in range(shape.layers):
        yield from (-(-size // model.devices) for size in (q + k + v, out, gate + up, down))
    for _ in range(1 if shape.tied or shape.classifier else 2):
        yield -(-shape.embedding * width // model.devices)
    yield shape.small * width
    yield from _lora_bytes(model)


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


# vLLM's blocks.


def _layer_kv_bytes(model: Model) -> int:
    """One token's key and value in one layer on one device; more devices than heads hold copies."""
    heads = max(1, model.shape.kv_heads // model.devices)
    return 2 * heads * model.shape.head_dim * KV_DTYPE_BYTES[model.kv_dtype]


def vllm_kv_bytes(model: Model, kind: Kind, sequences: int, tokens: int, longest: int, batched_tokens: int) -> int:
    """Bytes of vLLM's block pool for so many sequences of `tokens`, and at least one of `longest` (its start-up check).

    Layers of the same kind form groups of equal size, one pool serves all groups, and one block of it stays empty
    (vllm/v1/core/kv_cache_utils.py).
    """
    block = BLOCK_TOKENS[kind]
    size, windows = _groups(model.shape.windows)

    def blocks(length: int) -> int:
        return sum(_blocks(length, window, block, batched_tokens) for window in windows)

    count = max(sequences * blocks(tokens), blocks(longest)) + 1
    return count * size * block * _layer_kv_bytes(model)


def _pool_bytes(model: Model, kind: Kind, tokens: int) -> int:
    """Bytes of a block pool that holds so many tokens of any sequences, no window counted on."""
    block = BLOCK_TOKENS[kind]
    size, windows = _groups(model.shape.windows)
    return (-(-tokens // block) * len(windows) + 1) * size * block * _layer_kv_bytes(model)


def _groups(windows: Sequence[int | None]) -> tuple[int, list[int | None]]:
    """(layers per group, the window of each group)."""
    kinds = sorted({*windows}, key=lambda window: window or 0)
    counts = [sum(window == kind for window in windows) for kind in kinds]
    size = max(counts) if max(counts) < 1.5 * min(counts) else min(counts)
    return size, [kind for kind, count in zip(kinds, counts, strict=True) for _ in range(-(-count // size))]


def _blocks(tokens: int, window: int | None, block: int, batched_tokens: int) -> int:
    """Blocks of one sequence in one group. A sliding group frees what has left the window after a step is done, and may
    begin inside a block.
    """
    if window is None:
        return -(-tokens // block)
    return -(-min(window - 1 + STEPS_IN_FLIGHT * batched_tokens, tokens) // block) + 1


def splits(shape: ModelShape, devices: int) -> bool:
    """Whether tensor parallelism over so many devices divides the heads, or copies key-value heads evenly."""
    return shape.heads % devices == 0 and (shape.kv_heads % devices == 0 or devices % shape.kv_heads == 0)


def check_devices(model: Model, path: str) -> None:
    """Raises ModelError for a tensor parallel size that does not divide the heads."""
    if not splits(model.shape, model.devices):
        fine = ", ".join(str(n) for n in range(1, model.shape.heads + 1) if splits(model.shape, n))
        raise ModelError(
            f"{path}.tensor_parallel_size must divide the {model.shape.heads} heads of {model.name!r}: one of {fine}; "
            f"got {model.devices}."
        )

"""A model's shape, read from its config.json: how many bytes its weights and its cached keys and values take.

Pure arithmetic on a parsed config; loads and imports nothing. Covers decoder models made of attention and a gated MLP
(Llama, SmolLM2, Mistral, Qwen2, Qwen3, Gemma 1 to 3) as language models and as sequence classifiers. Mixtures of
experts and vision towers are not covered: they are refused, not guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tts.errors import ModelError, shown, unknown

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
FP8 = ("fp8", "fp8_e4m3", "fp8_e5m2")
KV_DTYPE_BYTES = {**DTYPE_BYTES, **dict.fromkeys(FP8, 1)}
SCALE_BYTES = 2  # per group of a group-wise scheme; gptq, awq and compressed-tensors store them in 16 bits
CHANNEL_SCALE_BYTES = 4  # per output channel of an 8-bit scheme without groups, and per block of a block-wise one


@dataclass(frozen=True, slots=True)
class _Family:
    """What a model type has beyond the common layer, and what its config means when a field is left out.

    `qkv_bias` and `flag_bias`: biases that are always there, and whether `attention_bias` adds them to all four
    projections; `norms` of the hidden size per layer; `qk_norm`: norms over the head's size; `head_dim` None: hidden
    size over heads; `window`: which layers slide (see `_windows`).
    """

    qkv_bias: bool = False
    flag_bias: bool = False
    norms: int = 2
    qk_norm: bool = False
    head_dim: int | None = None
    tied: bool = False
    window: str = "none"


MOST_LAYERS = 10_000
MOST = 10**12  # of any other size: what is larger is a slip, and beyond a float's range nothing can be computed
MOST_BITS = 32  # of a quantised weight
LAYER_TYPES = ("full_attention", "sliding_attention")  # what these families' layers are
VALUE_HEAD = "v_head.summary.weight"  # of a language model with a value head, as TRL and AceCodeRM save it
FAMILIES = {
    "llama": _Family(flag_bias=True),
    "mistral": _Family(window="all"),
    "qwen2": _Family(qkv_bias=True, window="late"),
    "qwen3": _Family(flag_bias=True, qk_norm=True, head_dim=128, window="late"),
    "gemma": _Family(flag_bias=True, head_dim=256, tied=True),
    "gemma2": _Family(flag_bias=True, norms=4, head_dim=256, tied=True, window="2"),
    "gemma3_text": _Family(flag_bias=True, norms=4, qk_norm=True, head_dim=256, tied=True, window="6 or given"),
}


@dataclass(frozen=True, slots=True)
class Linear:
    """One matrix (rows = outputs, columns = inputs) of every layer, and whether it has a bias of its rows."""

    rows: int
    columns: int
    bias: bool = False


@dataclass(frozen=True, slots=True)
class Quantization:
    """How the layers' matrices are stored; embeddings, heads, norms and biases keep the model's dtype.

    Bytes of a matrix = rows * columns * bits / 8 plus scales: with groups of `group` inputs, a 16-bit scale and a zero
    point of `bits` per group and output (gptq: also a 32-bit index per input); without groups, a 32-bit scale per
    output. `block` (fp8 checkpoints): a 32-bit scale per block. bitsandbytes: a 32-bit scale per group. An estimate:
    kernels may pad or repack.
    """

    method: str
    bits: int
    group: int = 0
    block: int = 0

    def matrix_bytes(self, linear: Linear) -> int:
        """Bytes of one matrix without its bias."""
        size = linear.rows * linear.columns
        stored = -(-size * self.bits // 8)
        if self.block:
            blocks = -(-linear.rows // self.block) * -(-linear.columns // self.block)
            return stored + blocks * CHANNEL_SCALE_BYTES
        if not self.group:
            return stored + linear.rows * CHANNEL_SCALE_BYTES
        groups = linear.rows * -(-linear.columns // self.group)
        if self.method == "bitsandbytes":
            return stored + groups * CHANNEL_SCALE_BYTES
        index = 4 * linear.columns if self.method == "gptq" else 0
        return stored + groups * SCALE_BYTES + -(-groups * self.bits // 8) + index


STRETCHED = ("yarn", "linear", "dynamic")  # rope scalings whose factor multiplies the context
# Schemes that are applied while an unquantised checkpoint is loaded. bitsandbytes: NF4, a 32-bit scale per 64 values.
ONLINE = {
    "fp8": Quantization("fp8", 8),
    "bitsandbytes": Quantization("bitsandbytes", 4, group=64),
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The sizes that decide a model's memory.

    `labels` 0 is a language model, else a classifier's outputs; `windows` has, per layer, how many tokens it attends
    to, None for all; `dtype` is the checkpoint's own.
    """

    family: str
    labels: int
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    tied: bool
    qkv_bias: bool
    out_bias: bool
    mlp_bias: bool
    norms: int
    qk_norm: bool
    windows: tuple[int | None, ...]
    dtype: str
    quantization: Quantization | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: str) -> "ModelShape":
        """From a parsed config.json. Raises ModelError naming the field and `where` it was looked for."""
        return _Reader(config, where).shape()

    @property
    def classifier(self) -> bool:
        """Whether it gives scores rather than words."""
        return self.labels > 0

    @property
    def query(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of all key heads, which is that of all value heads."""
        return self.kv_heads * self.head_dim

    def linears(self) -> tuple[Linear, ...]:
        """The matrices of one layer: query, key, value, out, gate, up, down."""
        return (
            Linear(self.query, self.hidden, self.qkv_bias),
            Linear(self.key, self.hidden, self.qkv_bias),
            Linear(self.key, self.hidden, self.qkv_bias),
            Linear(self.hidden, self.query, self.out_bias),
            Linear(self.intermediate, self.hidden, self.mlp_bias),
            Linear(self.intermediate, self.hidden, self.mlp_bias),
            Linear(self.hidden, self.intermediate, self.mlp_bias),
        )

    @property
    def embedding(self) -> int:
        """Parameters of the input embedding."""
        return self.vocabulary * self.hidden

    @property
    def head(self) -> int:
        """Parameters of the output head of its own; 0 if the head is the input embedding."""
        if self.classifier:
            return self.labels * self.hidden
        return 0 if self.tied else self.embedding

    @property
    def small(self) -> int:
        """Parameters that no scheme quantises and no device splits: norms and biases."""
        biases = sum(linear.rows for linear in self.linears() if linear.bias)
        per_layer = self.norms * self.hidden + (2 * self.head_dim if self.qk_norm else 0) + biases
        return self.layers * per_layer + self.hidden

    @property
    def parameters(self) -> int:
        """All parameters, tied ones once."""
        matrices = sum(linear.rows * linear.columns for linear in self.linears())
        return self.layers * matrices + self.embedding + self.head + self.small

    def matrices_bytes(self, dtype: str, quantization: Quantization | None = None) -> int:
        """Bytes of all layers' matrices: exact without quantisation, else by the rule of `Quantization`."""
        if quantization is None:
            return self.layers * sum(linear.rows * linear.columns for linear in self.linears()) * DTYPE_BYTES[dtype]
        return self.layers * sum(map(quantization.matrix_bytes, self.linears()))

    def weights_bytes(self, dtype: str | None = None, quantization: Quantization | None = None) -> int:
        """Bytes of all weights in `dtype` (by default the checkpoint's), tied ones once."""
        dtype = dtype or self.dtype
        rest = (self.embedding + self.head + self.small) * DTYPE_BYTES[dtype]
        return self.matrices_bytes(dtype, quantization or self.quantization) + rest

    def kv_bytes_per_token(self, kv_dtype: str | None = None) -> int:
        """Bytes that one token's keys and values take in all layers, before any window is full."""
        return self.layers * self.layer_kv_bytes(kv_dtype)

    def layer_kv_bytes(self, kv_dtype: str | None = None) -> int:
        """Bytes that one token's key and value take in one layer."""
        return 2 * self.key * KV_DTYPE_BYTES[kv_dtype or self.dtype]

    def kv_bytes(self, tokens: int, kv_dtype: str | None = None) -> int:
        """Bytes of one sequence's keys and values; a sliding layer keeps the window's last tokens but one, as
        transformers' `DynamicCache` does (the newest token attends to itself and to those).
        """
        kept = sum(tokens if window is None else min(tokens, window - 1) for window in self.windows)
        return kept * self.layer_kv_bytes(kv_dtype)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a config.json's fields, each with its path for the message."""

    config: Mapping[str, Any]
    where: str

    def shape(self) -> ModelShape:
        """The shape, checked."""
        name = self._name()
        family = FAMILIES[name]
        heads, hidden = self._int("num_attention_heads"), self._int("hidden_size")
        flag = family.flag_bias and self._flag("attention_bias", False)
        return ModelShape(
            family=name,
            labels=self._labels(),
            vocabulary=self._int("vocab_size"),
            hidden=hidden,
            intermediate=self._int("intermediate_size"),
            layers=self._int("num_hidden_layers"),
            heads=heads,
            kv_heads=self._kv_heads(name, heads),
            head_dim=self._optional("head_dim") or family.head_dim or self._shared(hidden, heads),
            context=self._context(),
            tied=self._flag("tie_word_embeddings", family.tied),
            qkv_bias=family.qkv_bias or flag,
            out_bias=flag,
            mlp_bias=name == "llama" and self._flag("mlp_bias", False),
            norms=family.norms,
            qk_norm=family.qk_norm,
            windows=self._windows(family.window),
            dtype=self._dtype(),
            quantization=self._quantization(),
        )

    def _name(self) -> str:
        name = self._field("model_type")
        if not isinstance(name, str) or name not in FAMILIES:
            raise ModelError(
                f"{unknown(str(name), f'the model types that can be planned, from {self.where}', FAMILIES)}"
            )
        return str(name)

    def _field(self, name: str) -> Any:
        if self.config.get(name) is None:
            raise ModelError(
                f"{self.where} has no {name!r}, without which its memory cannot be computed. Add the field."
            )
        return self.config[name]

    def _int(self, name: str) -> int:
        return _whole(self._field(name), name, self.where)

    def _optional(self, name: str) -> int | None:
        return None if self.config.get(name) is None else self._int(name)

    def _shared(self, hidden: int, heads: int) -> int:
        """The heads' size where the config does not say it."""
        if hidden % heads:
            raise ModelError(
                f"'num_attention_heads' in {self.where} must divide 'hidden_size', {hidden}, got {heads}. Download the "
                "file again, or add 'head_dim'."
            )
        return hidden // heads

    def _context(self) -> int:
        """The longest sequence; YaRN and linear scaling of positions make it a multiple, as vLLM 0.32 has it."""
        context = self._int("max_position_embeddings")
        scaling = self.config.get("rope_scaling") or self.config.get("rope_parameters") or {}
        kind = str(scaling.get("rope_type") or scaling.get("type")) if isinstance(scaling, Mapping) else ""
        if kind not in STRETCHED:
            return context
        factor = scaling.get("factor")
        if not isinstance(factor, int | float) or isinstance(factor, bool) or not 1 <= factor <= MOST:
            raise ModelError(
                f"'factor' of the rope scaling in {self.where} must be a number from 1 on, got {factor!r}."
            )
        original = scaling.get("original_max_position_embeddings") if kind == "yarn" else None
        base = context if original is None else _whole(original, "original_max_position_embeddings", self.where)
        return int(base * factor)

    def _labels(self) -> int:
        names = self._field("architectures")
        if not isinstance(names, list):
            raise ModelError(
                f"'architectures' in {self.where} must be a list with one name, as [\"Qwen2ForCausalLM\"], got "
                f"{names!r}. Write it so."
            )
        name = str(names[0]) if names else ""
        if name.endswith("ForCausalLM"):
            return 0
        if name.endswith("ForCausalRM"):
            return 1  # AceCodeRM's word for a language model with a value head
        if not name.endswith("ForSequenceClassification"):
            raise ModelError(
                f"'architectures' in {self.where} must name a ...ForCausalLM or a ...ForSequenceClassification, "
                f"got {names!r}. Give a language model or a reward model."
            )
        named = self.config.get("id2label")
        if named is not None and not isinstance(named, Mapping):
            raise ModelError(f"'id2label' in {self.where} must be an object, got {named!r}.")
        return len(named) if named else self._optional("num_labels") or 2  # 2 is transformers' own default

    def _kv_heads(self, name: str, heads: int) -> int:
        """transformers takes a missing or null count for "as many as heads" in Llama, a null one in the others."""
        if name == "llama" or "num_key_value_heads" in self.config:
            found = self._optional("num_key_value_heads") or heads
        else:
            found = self._int("num_key_value_heads")
        if heads % found:
            raise ModelError(
                f"'num_key_value_heads' in {self.where} must divide 'num_attention_heads', {heads}, got {found}."
            )
        return found

    def _flag(self, name: str, default: bool) -> bool:
        value = self.config.get(name)
        if value is not None and not isinstance(value, bool):
            raise ModelError(f"{name!r} in {self.where} must be true or false, got {value!r}.")
        return default if value is None else value

    def _windows(self, rule: str) -> tuple[int | None, ...]:
        """Per layer, the window or None. `rule`: which layers slide where the config has no `layer_types`: none, all,
        those from max_window_layers on (late), or all but every n-th (a number, for some families "or given").
        """
        layers = self._int("num_hidden_layers")
        if layers > MOST_LAYERS:
            raise ModelError(f"'num_hidden_layers' in {self.where} must be at most {MOST_LAYERS}, got {layers}.")
        given = self.config.get("layer_types")
        if given is not None and not isinstance(given, list):
            raise ModelError(f"'layer_types' in {self.where} must be a list, got {given!r}.")
        if given is not None and len(given) != layers:
            raise ModelError(f"'layer_types' in {self.where} must have {layers} entries, got {len(given)}.")
        self._check_types(given or [])
        sliding = self._sliding(rule, layers) if given is None else [kind == "sliding_attention" for kind in given]
        if not any(sliding):
            return (None,) * layers
        window = self._int("sliding_window")
        return tuple(window if slides else None for slides in sliding)

    def _check_types(self, given: Sequence[Any]) -> None:
        for kind in given:
            if kind not in LAYER_TYPES:
                raise ModelError(
                    f"'layer_types' in {self.where} must hold {' or '.join(map(repr, LAYER_TYPES))}, got {kind!r}. "
                    "Other layers cannot be planned: give another model."
                )

    def _sliding(self, rule: str, layers: int) -> list[bool]:
        config = self.config
        if rule == "all":
            return [config.get("sliding_window") is not None] * layers
        if rule == "late":
            if not config.get("use_sliding_window"):
                return [False] * layers
            first = config.get("max_window_layers")
            from_first = isinstance(first, int) and not isinstance(first, bool) and first == 0
            first = 0 if from_first else self._int("max_window_layers")
            return [i >= first for i in range(layers)]
        if rule == "none":
            return [False] * layers
        every, _, given = rule.partition(" or ")
        pattern = (self._optional("sliding_window_pattern") if given else None) or int(every)
        return [(i + 1) % pattern > 0 for i in range(layers)]

    def _dtype(self) -> str:
        name = str(self.config.get("dtype") or self.config.get("torch_dtype") or "float32").removeprefix("torch.")
        if name not in DTYPE_BYTES:
            raise ModelError(f"{unknown(name, f'the dtypes of weights, from {self.where}', DTYPE_BYTES)}")
        return name

    def _quantization(self) -> Quantization | None:
        given = self.config.get("quantization_config")
        return None if given is None else stored_quantization(given, self.where)


def code_scalers() -> dict[str, ModelShape]:
    """CodeScaler's published shapes, smallest first: Qwen3 with one label. For planning without their config.json."""
    sizes = {
        "LARK-Lab/CodeScaler-1.7B": (2048, 6144, 28, 16),
        "LARK-Lab/CodeScaler-4B": (2560, 9728, 36, 32),
        "LARK-Lab/CodeScaler-8B": (4096, 12288, 36, 32),
    }
    fields = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    common = {
        "architectures": ["Qwen3ForSequenceClassification"],
        "model_type": "qwen3",
        "id2label": {"0": "LABEL_0"},
        "vocab_size": 151936,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "dtype": "bfloat16",
    }
    return {
        name: ModelShape.from_config(common | dict(zip(fields, size, strict=True)), name)
        for name, size in sizes.items()
    }


def embedded() -> ModelShape:
    """The shape of the embedded model, SmolLM2-135M-Instruct."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    }
    return ModelShape.from_config(config, "embedded")


def stored_quantization(given: Mapping[str, Any], where: str) -> Quantization:
    """How a checkpoint is quantised, from its `quantization_config`. Raises ModelError for an unknown method and for a
    field of another kind.
    """
    fields = _object(given, "quantization_config", where)
    method = str(fields.get("quant_method"))
    if method in ("gptq", "awq"):
        bits = _first(fields, ("bits", "w_bit"), where, most=MOST_BITS) or 4
        group = _first(fields, ("group_size", "q_group_size"), where, whole_row=True)
        return Quantization(method, bits, 128 if group is None else group)
    if method == "compressed-tensors":
        return _compressed(fields, where)
    if method == "fp8":
        return Quantization(method, 8, block=_block(fields.get("weight_block_size"), where))
    if method == "bitsandbytes":
        return Quantization(method, 8) if fields.get("load_in_8bit") else ONLINE["bitsandbytes"]
    methods = ["gptq", "awq", "compressed-tensors", "fp8", "bitsandbytes"]
    raise ModelError(unknown(method, f"the quantisation methods that can be planned, from {where}", methods))


def _compressed(given: Mapping[str, Any], where: str) -> Quantization:
    path = "quantization_config.config_groups"
    groups = _object(given.get("config_groups") or {}, path, where)
    group = _object(next(iter(groups.values()), {}), f"{path}.*", where)
    weights = _object(group.get("weights") or {}, f"{path}.*.weights", where)
    bits = _first(weights, ("num_bits",), where, most=MOST_BITS)
    if bits is None:
        raise ModelError(f"{where} has no '{path}.*.weights.num_bits'. Add the field.")
    return Quantization("compressed-tensors", bits, _first(weights, ("group_size",), where, whole_row=True) or 0)


def _block(given: Any, where: str) -> int:
    """The inputs and outputs that share a scale; 0 where the config has none."""
    if given is None:
        return 0
    if not isinstance(given, list) or len(given) != 2:
        raise ModelError(
            f"'weight_block_size' in {where} must be a list of two whole numbers, got {given!r}. "
            "Download the file again."
        )
    rows, _ = (_whole(size, "weight_block_size", where) for size in given)
    return rows


def _object(value: Any, name: str, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ModelError(f"{name!r} in {where} must be an object, got {value!r}. Download the file again.")
    return value


def _first(
    given: Mapping[str, Any], names: Sequence[str], where: str, most: int = MOST, whole_row: bool = False
) -> int | None:
    """The first field that is there. `whole_row`: a group may be -1, a whole row of inputs, which comes as 0."""
    for name in names:
        value = given.get(name)
        if whole_row and value == -1:
            return 0
        if value is not None:
            return _whole(value, name, where, most)
    return None


def _whole(value: Any, name: str, where: str, most: int = MOST) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ModelError(
            f"{name!r} in {where} must be a whole number from 1 to {most}, got {shown(value)}. Download the file again."
        )
    return value

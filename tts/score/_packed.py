"""One forward pass over a pack: every token once, no padding, each row attending to its family's prefix and to itself.

The tokens of a pack are laid end to end in one row of the batch, each with its own position, so that all layers but
attention see (1, tokens) and nothing else; attention runs in the rectangles of `_layout.py`. Works for causal decoders
whose layers attend to everything and whose positions are rotary or learned; `packed` refuses the others.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.modeling_layers import GenericForSequenceClassification

from tts.score._layout import KeysValues, Layout, Rectangle, lay_out
from tts.score._prefix import Pack, Part, Row, packs
from tts.score._reward import ValueHeadModel

ATTENTION = "tts_packed"
# What attention may be asked for beyond scaling, by name; a model that asks for one of these is run in its own way.
FOREIGN = ("sliding_window", "softcap", "s_aux", "position_bias")
STEADY_ROPE = {"default", "linear", "yarn", "llama3"}  # the others look at the longest position of the batch


class Unshareable(Exception):
    """A model's attention wants something that rectangles do not give."""


class Packed:
    """A reward model run by packs. While a family is split, its prefix is held from one pack to the next.

    `scratch` bounds the keys that one rectangle gathers, in tokens; a single row may need more.
    """

    def __init__(self, model: Any, scratch: int) -> None:
        AttentionInterface.register(ATTENTION, _attend)
        self.backbone, self.head, self.scratch = _backbone(model), model.score, scratch
        self.backbone.set_attn_implementation(ATTENTION)
        self.held: dict[int, KeysValues] = {}

    def plan(self, groups: Iterable[Sequence[Row]], budget: int) -> Iterator[Pack]:
        """What to run, in its order: a pack may need what the one before it left."""
        return packs(groups, budget)

    def logits(self, pack: Pack) -> list[float]:
        """One raw logit for each of the pack's rows."""
        laid = lay_out(pack, self.held, self.scratch, self.backbone.device, self.backbone.dtype)
        with torch.inference_mode():
            out = self.backbone(input_ids=laid.ids, position_ids=laid.positions, use_cache=False, layout=laid)
            scores = self.head(out.last_hidden_state[0, laid.last])
        last_part = pack.parts[-1]
        if not (last_part.continues and last_part.shared):
            self.held = {}
        values: list[float] = scores[:, 0].tolist()
        return values

    def forget(self) -> None:
        """Drop the held prefix, after a pack failed."""
        self.held = {}


def packed(model: Any, scratch: int) -> Packed | None:
    """The model run by packs, or None if its class, its config or its attention does not allow that."""
    if not _shareable(model):
        return None
    backbone = _backbone(model)
    before = backbone.config._attn_implementation
    made = Packed(model, scratch)
    try:
        made.logits(Pack((Part(0, (Row((0, 0), ()),), opens=True, continues=False),)))  # attention tells what it wants
    except Unshareable:
        backbone.set_attn_implementation(before)
        return None
    return made


def _shareable(model: Any) -> bool:
    """Whether class and config are those of a causal decoder with full attention in every layer."""
    config = model.config.get_text_config()
    windowed = getattr(config, "sliding_window", None) is not None
    kinds = set(getattr(config, "layer_types", None) or ["sliding" if windowed else "full_attention"])
    rope = getattr(config, "rope_parameters", None) or {}
    return (
        isinstance(model, GenericForSequenceClassification | ValueHeadModel)
        and bool(getattr(_backbone(model), "_supports_attention_backend", False))
        and getattr(config, "is_causal", True)
        and kinds == {"full_attention"}
        and rope.get("rope_type", "default") in STEADY_ROPE
    )


def _backbone(model: Any) -> Any:
    return getattr(model, model.base_model_prefix)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: Layout | None = None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over a pack; query, key and value are (1, heads, tokens, head_dim), the result (1, tokens, heads,
    head_dim).
    """
    wanted = [name for name in FOREIGN if kwargs.get(name) is not None]
    if wanted or layout is None:  # None: the model does not hand its arguments down to attention
        raise Unshareable(f"attention with {', '.join(wanted) or 'no layout'}")
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    held_keys, held_values = layout.take_held(module.layer_idx, k, v)
    out = q.new_empty(len(q), q.shape[1], v.shape[2])
    for one in layout.rectangles:
        keys, values = _with_prefix(one, k, held_keys), _with_prefix(one, v, held_values)
        one.write(_attend_rectangle(one.read(q), keys, values, one.bias, scaling), out)
    return out[None], None


def _with_prefix(one: Rectangle, states: torch.Tensor, held: torch.Tensor | None) -> torch.Tensor:
    """The rows' keys or values after their prefix's: (count, prefix + width, heads, head_dim)."""
    own = one.read(states)
    before = held if one.prefix is None else states[one.prefix]
    assert before is not None
    return torch.cat([before.expand(len(own), *before.shape), own], dim=1) if len(before) else own


def _attend_rectangle(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """(count, width, heads, head_dim)."""
    groups = queries.shape[2] // keys.shape[2]
    # With a mask, the fast kernels of CUDA do not take grouped heads.
    grouped = groups > 1 and (bias is None or queries.device.type == "cpu")
    if groups > 1 and not grouped:
        keys, values = (states.repeat_interleave(groups, dim=2) for states in (keys, values))
    found = torch.nn.functional.scaled_dot_product_attention(
        queries.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=bias,
        is_causal=bias is None,
        scale=scaling,
        enable_gqa=grouped,
    )
    return found.transpose(1, 2)

"""Continuous batching for one transformers model: sequences sit in slots of one key-value cache, each at its own
length.

A finished sequence leaves its slot to the next one, so no row is paid for after its end; the candidates of a problem
share the forward pass of their prompt. Works for decoder models whose layers attend to everything (no sliding window
shorter than the sequence, no linear attention). Knows nothing of problems, prompts as text, or sampling rules.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "tts_grouped_sdpa"


def _grouped_attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, **kwargs: Any
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention that, for one query per sequence, never copies shared key-value heads.

    With grouped heads, query (B, H, 1, D) is viewed as (B, H_kv, H / H_kv, D): the same numbers, and the heads of a
    group become the queries of one head.
    """
    heads, shared = query.shape[1], key.shape[1]
    if query.shape[2] != 1 or heads == shared:
        result: tuple[torch.Tensor, None] = sdpa_attention_forward(module, query, key, value, mask, **kwargs)
        return result
    grouped = query.reshape(query.shape[0], shared, heads // shared, query.shape[3])
    out = torch.nn.functional.scaled_dot_product_attention(
        grouped, key, value, attn_mask=mask, scale=kwargs.get("scaling")
    )
    return out.reshape(query.shape[0], 1, heads, value.shape[3]), None


def register_attention() -> str:
    """Make the attention above known to transformers, and return its name for `attn_implementation`."""
    AttentionInterface.register(ATTENTION, _grouped_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    return ATTENTION


class _SlotLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, (slots, heads, capacity, head_dim), written at each slot's own position."""

    is_sliding = False

    def __init__(self, slots: "Slots") -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.slots = slots

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        shape = (self.slots.count, key_states.shape[1], self.slots.capacity)
        self.keys = key_states.new_zeros((*shape, key_states.shape[3]))
        self.values = value_states.new_zeros((*shape, value_states.shape[3]))
        self.is_initialized = True

    def put(self, slot: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Copy one prompt's keys and values, (1, heads, length, head_dim), into some slots."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        assert self.keys is not None and self.values is not None
        self.keys[slot, :, : keys.shape[2]] = keys
        self.values[slot, :, : values.shape[2]] = values

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert self.keys is not None and self.values is not None
        rows = torch.arange(len(key_states), device=key_states.device)
        self.keys[rows, :, self.slots.positions] = key_states[:, :, 0]
        self.values[rows, :, self.slots.positions] = value_states[:, :, 0]
        return self.keys[: len(rows), :, : self.slots.width], self.values[: len(rows), :, : self.slots.width]

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Copy whole slots over others."""
        assert self.keys is not None and self.values is not None
        self.keys[targets] = self.keys[sources]
        self.values[targets] = self.values[sources]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.slots.width, 0

    def get_seq_length(self) -> int:
        return self.slots.width

    def get_max_length(self) -> int:
        return self.slots.capacity


class Slots:
    """The sequences being decoded. Active ones are kept in the first slots, `active` of them.

    `lengths` (count,) holds the tokens cached per slot; `positions` and `width` describe the step in progress.
    """

    def __init__(self, model: Any, count: int, capacity: int) -> None:
        self.model, self.count, self.capacity = model, count, capacity
        self.active = 0
        self.lengths = torch.zeros(count, dtype=torch.long, device=model.device)
        self.positions = self.lengths[:0]
        self.width = 0
        self.layers = [_SlotLayer(self) for _ in range(model.config.get_text_config().num_hidden_layers)]
        self.cache = Cache(layers=list(self.layers))

    def free(self) -> None:
        """Give the memory back now: layers and slots know each other, and would wait for the garbage collector."""
        for layer in self.layers:
            layer.keys = layer.values = None
            layer.is_initialized = False

    @torch.inference_mode()
    def prefill(self, prompt: Sequence[int]) -> tuple[DynamicCache, torch.Tensor]:
        """Run one prompt: its cache and the logits (vocabulary,) after its last token."""
        ids = torch.tensor([list(prompt)], device=self.model.device)
        cache = DynamicCache(config=self.model.config)
        out = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cache, out.logits[0, -1]

    @torch.inference_mode()
    def admit(self, prompt: DynamicCache, copies: int) -> None:
        """Give the next `copies` slots to sequences that begin with this prompt."""
        slots = torch.arange(self.active, self.active + copies, device=self.lengths.device)
        for layer, filled in zip(self.layers, prompt.layers, strict=True):
            layer.put(slots, filled.keys, filled.values)  # type: ignore[union-attr,arg-type]
        self.lengths[slots] = prompt.get_seq_length()
        self.active += copies

    @torch.inference_mode()
    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Append one token (active,) to each active sequence: the logits (active, vocabulary) that follow."""
        self.positions = self.lengths[: self.active]
        self.width = int(self.positions.max()) + 1
        reach = torch.arange(self.width, device=tokens.device)
        mask = (reach[None, :] <= self.positions[:, None])[:, None, None, :]
        out = self.model(
            input_ids=tokens[:, None],
            position_ids=self.positions[:, None],
            attention_mask=mask,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.lengths[: self.active] += 1
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    @torch.inference_mode()
    def release(self, finished: Sequence[int]) -> list[int]:
        """Drop these active slots; the last active ones move into the holes. Returns the old slot of each kept one."""
        kept = self.active - len(finished)
        gone = set(finished)
        holes = [slot for slot in sorted(gone) if slot < kept]
        movers = [slot for slot in range(kept, self.active) if slot not in gone]
        if holes:
            sources, targets = (torch.tensor(x, device=self.lengths.device) for x in (movers, holes))
            for layer in self.layers:
                layer.move(sources, targets)
            self.lengths[targets] = self.lengths[sources]
        self.active = kept
        order = list(range(kept))
        for hole, mover in zip(holes, movers, strict=True):
            order[hole] = mover
        return order

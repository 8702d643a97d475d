"""Top-p for vLLM's CPU build, whose own sorts the whole vocabulary for each token (measured in benchmarks/README.md).

vLLM loads the class, by its name, into the engine's processes. As a processor that leaves the likeliest token likeliest
it runs where vLLM's own top-p would: after the temperature, before the draw (vllm/v1/sample/sampler.py).
"""

from typing import TYPE_CHECKING

import torch
from vllm.v1.sample.logits_processor import LogitsProcessor
from vllm.v1.sample.logits_processor.builtin import process_dict_updates

from tts.generate._sampling import SHORTLIST, nucleus
from tts.generate.vllm import TOP_P

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import VllmConfig
    from vllm.v1.sample.logits_processor import BatchUpdate


class TopP(LogitsProcessor):
    """Truncates the rows of those requests whose `extra_args` have a TOP_P."""

    def __init__(self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool) -> None:
        self._top_p: dict[int, float] = {}  # by row

    def is_argmax_invariant(self) -> bool:
        """A nucleus has the likeliest token."""
        return True

    def update_state(self, batch_update: "BatchUpdate | None") -> None:
        """Rows come, go and move."""
        process_dict_updates(self._top_p, batch_update, _top_p_of)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """`logits` (B, V), a row for each request of the batch."""
        rows = sorted(self._top_p)
        top_p = torch.tensor([self._top_p[row] for row in rows])
        if len(rows) == len(logits):
            return truncated(logits, top_p)
        if rows:
            logits[rows] = truncated(logits[rows], top_p)
        return logits


def _top_p_of(params: "SamplingParams", *_: object) -> float | None:
    return (params.extra_args or {}).get(TOP_P)


def truncated(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """`logits` (B, V) with -inf for all but each row's nucleus: the fewest tokens, from the likeliest on, whose
    probabilities sum to `top_p` (B,). Sorts the rows alone whose nucleus is beyond the shortlist.
    """
    vocabulary = logits.shape[-1]
    found, wide = _among(min(SHORTLIST, vocabulary), logits, top_p)
    if len(wide):
        found[wide], _ = _among(vocabulary, logits[wide], top_p[wide])
    return found


def _among(count: int, logits: torch.Tensor, top_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What `truncated` gives where the nucleus is within the `count` likeliest, and the rows in which it may not be."""
    best, index = logits.topk(count, dim=-1)
    probabilities = (best - logits.logsumexp(-1, keepdim=True)).exp()
    kept = nucleus(probabilities, top_p[:, None]) > 0
    found = torch.full_like(logits, -torch.inf).scatter_(-1, index, best.masked_fill(~kept, -torch.inf))
    return found, kept[:, -1].nonzero()[:, 0]

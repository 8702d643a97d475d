"""One token per sequence from logits: temperature, top-k, top-p, and the inverse of the cumulative distribution.

Each draw uses one uniform number that belongs to its (problem, index, step), so a sample does not depend on what else
is in the batch, low-order bits of the logits aside.
"""

import torch

SHORTLIST = 256  # most nuclei are far smaller; sorting a whole vocabulary would cost more than the model's own step
COLDEST = 1e-6  # temperatures below are 0: they draw the same, and logits divided by some are beyond all floats
CPU_ROWS = 4  # drawn at once on a CPU: their logits then stay in its cache from one pass over them to the next


@torch.inference_mode()
def sample(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens (B,) and their log probabilities (B,) under the unmodified model, in nats.

    `logits` (B, V); `uniform` (B,) in [0, 1); `temperature` 0 takes the most likely token; `top_k` 0 and `top_p` 1 are
    off.
    """
    rows = CPU_ROWS if logits.device.type == "cpu" else max(1, len(logits))
    parts = zip(torch.split(logits, rows), torch.split(uniform, rows), strict=True)
    tokens, logprobs = zip(*(_sampled(*part, temperature, top_p, top_k) for part in parts), strict=True)
    return torch.cat(tokens), torch.cat(logprobs)


def _sampled(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    logits = logits.float()
    if temperature < COLDEST:
        tokens = logits.argmax(-1)
    elif top_p >= 1 and top_k == 0:
        tokens = _invert(torch.softmax(logits / temperature, -1), uniform)
    else:
        tokens = _shortlisted(logits / temperature, uniform, top_p, top_k)
    chosen = logits.gather(-1, tokens[:, None])[:, 0]
    return tokens, chosen - logits.logsumexp(-1)


def _shortlisted(logits: torch.Tensor, uniform: torch.Tensor, top_p: float, top_k: int) -> torch.Tensor:
    """Sample among the likeliest; the rows whose nucleus is larger than the shortlist are sorted whole."""
    total = logits.logsumexp(-1, keepdim=True)
    size = min(top_k or SHORTLIST, logits.shape[-1])
    best, index = logits.topk(size, dim=-1)
    probabilities = best.softmax(-1) if top_k else (best - total).exp()
    tokens = index.gather(-1, _invert(nucleus(probabilities, top_p), uniform)[:, None])[:, 0]
    if top_k == 0 and size < logits.shape[-1]:
        wide = (probabilities.sum(-1) < top_p).nonzero()[:, 0]
        if len(wide):
            everything, order = logits[wide].sort(dim=-1, descending=True)
            kept = nucleus((everything - total[wide]).exp(), top_p)
            tokens[wide] = order.gather(-1, _invert(kept, uniform[wide])[:, None])[:, 0]
    return tokens


def nucleus(probabilities: torch.Tensor, top_p: float | torch.Tensor) -> torch.Tensor:
    """Descending probabilities (B, K) with all after the one at which their sum reaches `top_p` set to 0."""
    before = probabilities.cumsum(-1) - probabilities
    return probabilities.masked_fill(before >= top_p, 0.0)


def _invert(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Positions (B,) where the cumulative sum of weights (B, K) passes uniform * its total; weights need not sum to
    1.
    """
    cumulative = weights.double().cumsum(-1)
    target = uniform.double()[:, None] * cumulative[:, -1:]
    positions = torch.searchsorted(cumulative, target, right=True)[:, 0]
    # Rounding can push the target onto the total: then the last position that has any weight is meant.
    last = (weights > 0).long().mul(torch.arange(weights.shape[-1], device=weights.device)).amax(-1)
    return torch.minimum(positions, last)

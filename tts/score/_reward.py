"""Loading a reward model and running it in its own way: one label's logit for each token sequence.

Two kinds of checkpoint: a sequence classifier (`score.weight`), and a language model with a value head as TRL and
AceCodeRM write it (`v_head.summary.*`), whose backbone and head are put together here. Code from a checkpoint is never
run.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import safetensors
import torch
from transformers.utils.hub import cached_file

from tts.adapters import Adapter, applied
from tts.errors import ModelError
from tts.models import architecture, check_labels, device_and_dtype, load_model, locate
from tts.score._prefix import Block, Row, blocks
from tts.shapes import VALUE_HEAD


class Float32Head(torch.nn.Linear):
    """A linear head that computes in float32 whatever its weights are in, under autocast too: a bfloat16 near 12 has
    steps of 0.06, which would tie candidates.
    """

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits in float32."""
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast(hidden.device.type, enabled=False):
            return torch.nn.functional.linear(hidden.float(), self.weight.float(), bias)


def head_in_float32(model: Any) -> None:
    """Have a model's linear head `score` compute in float32; its weights stay what they are, under their names."""
    head = getattr(model, "score", None)
    if isinstance(head, torch.nn.Linear):
        model.score = Float32Head(head.in_features, head.out_features, bias=head.bias is not None, device="meta")
        model.score.weight, model.score.bias = head.weight, head.bias


class ValueHeadModel(torch.nn.Module):
    """A decoder and a linear head on the last token's hidden state, shaped like a sequence classifier."""

    base_model_prefix = "model"

    def __init__(self, model: Any, score: torch.nn.Linear) -> None:
        super().__init__()
        self.model, self.score, self.config = model, score, model.config
        head_in_float32(self)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.score.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.score.weight.dtype

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **kwargs: Any) -> SimpleNamespace:
        """`logits` (rows, 1) of right-padded rows."""
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask, **kwargs).last_hidden_state
        last = attention_mask.sum(-1) - 1
        return SimpleNamespace(logits=self.score(hidden[torch.arange(len(hidden), device=hidden.device), last]))


def load_reward(name: str, tokenizer: Any, device: str, dtype: str) -> Any:
    """A model with one label on its device. Raises ModelError, saying what was found, for what is no reward model."""
    auto = "AutoModelForSequenceClassification"
    model, report = load_model("codescaler", name, auto, device, dtype, ignore_mismatched_sizes=True)
    if VALUE_HEAD in report["unexpected_keys"]:
        model = ValueHeadModel(
            getattr(model, model.base_model_prefix), _value_head(locate(name), model.dtype).to(model.device)
        )
    else:
        _check(model, report, name)
        head_in_float32(model)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id  # tells which token of a row is the last
    return model.eval()


def load_adapted(
    adapter: Adapter, lend: Callable[[str, Any, Any], Any], tokenizer: Any, device: str, dtype: str
) -> Any:
    """An adapter on its base, which `lend` gives where a generator holds the same weights, and which is loaded where it
    gives None.
    """
    held = lend(adapter.base, *device_and_dtype(device, dtype))
    if held is None:
        held, _ = load_model("codescaler", adapter.base, "AutoModelForCausalLM", device, dtype)
    backbone, head = applied(adapter, held)
    backbone.config.pad_token_id = tokenizer.pad_token_id
    return ValueHeadModel(backbone, head).eval()


def _check(model: Any, report: Mapping[str, Any], name: str) -> None:
    kind = architecture(model.config)
    if report["missing_keys"]:
        raise ModelError(
            f"{name!r} is a {kind} without weights for {_some(report['missing_keys'])}: no sequence classifier but "
            "probably the language model that one is trained from. Give a reward model's checkpoint."
        )
    if report["mismatched_keys"]:
        wrong = [entry[0] for entry in report["mismatched_keys"]]
        raise ModelError(
            f"{name!r} is a {kind} whose config.json does not fit its weights: {_some(wrong)} have other shapes. "
            "Download the checkpoint again."
        )
    check_labels(name, model.config)


def _some(names: Iterable[str]) -> str:
    first, *more = sorted(names)
    return f"{first} and {len(more)} more" if more else first


def _value_head(source: str, dtype: Any) -> torch.nn.Linear:
    """The linear layer of TRL's ValueHead, its dropout left out."""
    found = {}
    for key in (VALUE_HEAD, VALUE_HEAD.replace("weight", "bias")):
        file = _file_with(source, key)
        if file is not None:
            with safetensors.safe_open(file, framework="pt") as weights:
                if key in weights.keys():  # noqa: SIM118  (it is no mapping)
                    found[key.rpartition(".")[2]] = weights.get_tensor(key).to(dtype)
    labels, width = found["weight"].shape
    head = torch.nn.Linear(width, labels, bias="bias" in found, dtype=dtype)
    head.load_state_dict(found)
    return head


def _file_with(source: str, key: str) -> str | None:
    """The safetensors file of a checkpoint, local or already downloaded, in which a tensor would be."""
    try:
        index = Path(str(cached_file(source, "model.safetensors.index.json")))
    except OSError:
        return str(cached_file(source, "model.safetensors"))
    name = json.loads(index.read_text(encoding="utf-8"))["weight_map"].get(key)
    return None if name is None else str(cached_file(source, name))


class Padded:
    """A reward model run in its own way, for those that cannot share prefixes: right-padded rows of similar length."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def plan(self, groups: Iterable[Sequence[Row]], budget: int) -> Iterator[Block]:
        """What to run."""
        return blocks(groups, budget)

    def logits(self, block: Block) -> list[float]:
        """One raw logit for each row."""
        device, width = self.model.device, len(block.rows[0].tokens)
        pad = self.model.config.get_text_config().pad_token_id
        ids = torch.tensor([[*row.tokens, *[pad] * (width - len(row.tokens))] for row in block.rows], device=device)
        lengths = torch.tensor([len(row.tokens) for row in block.rows], device=device)
        mask = (torch.arange(width, device=device) < lengths[:, None]).long()
        with torch.inference_mode():
            out = self.model(input_ids=ids, attention_mask=mask)
        values: list[float] = out.logits[:, 0].float().tolist()
        return values

    def forget(self) -> None:
        """Nothing is kept from one block to the next."""

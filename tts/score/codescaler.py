"""CodeScaler (arXiv 2602.17684) and other sequence-classification reward models, through transformers.

Input, after the model card and its recipe: a chat of user = problem and assistant = bare code through the reward
model's own template, no generation prompt, no special tokens added, right padding; the score is the raw logit. A pair
that does not fit is marked and never cut, since a cut program is silently mis-scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tts.errors import ConfigError, ModelError
from tts.models import content, load, require
from tts.plugins import FREE
from tts.types import Candidate, Problem, Score


@dataclass(frozen=True)
class CodeScaler:
    """Options: `model` is a folder or a hub name; `max_length` tokens of a pair, by default the model's context;
    `token_budget` tokens, padding included, run at once.
    """

    model: str = "LARK-Lab/CodeScaler-1.7B"
    backend: Literal["auto", "transformers"] = field(default="auto", metadata=FREE)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = field(default="auto", metadata=FREE)
    max_length: int | None = None
    token_budget: int = field(default=8192, metadata=FREE)

    def __post_init__(self) -> None:
        if self.token_budget < 1:
            raise ConfigError(f"codescaler's token_budget must be at least 1, got {self.token_budget}.")
        if self.max_length is not None and self.max_length < 1:
            raise ConfigError(f"codescaler's max_length must be at least 1, got {self.max_length}.")

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Raw logits as batches finish; None for a candidate without code and for a pair that is too long."""
        fitting: list[tuple[Candidate, list[int]]] = []
        for problem, candidate in pairs:
            tokens = None if candidate.code is None else self.tokens(problem.statement, candidate.code)
            if tokens is None:
                yield Score(*candidate.key, None, "no code")
            elif len(tokens) > self.limit:
                yield Score(*candidate.key, None, f"overlong: {len(tokens)} tokens, max_length is {self.limit}")
            else:
                fitting.append((candidate, tokens))
        for batch in batches(fitting, self.token_budget):
            logits = self._logits([tokens for _, tokens in batch])
            for (candidate, _), value in zip(batch, logits, strict=True):
                yield Score(*candidate.key, value)

    @property
    def content(self) -> str:
        """What the weights are, for fingerprints."""
        return content(self.model)

    def tokens(self, statement: str, code: str) -> list[int]:
        """The pair as the model reads it, not truncated."""
        tokenizer = self.loaded[1]
        chat = [{"role": "user", "content": statement}, {"role": "assistant", "content": code}]
        text = tokenizer.apply_chat_template(chat, tokenize=False)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    @property
    def limit(self) -> int:
        """The longest pair that is scored, in tokens."""
        context: int = self.loaded[0].config.get_text_config().max_position_embeddings
        return context if self.max_length is None else min(self.max_length, context)

    def _logits(self, rows: Sequence[Sequence[int]]) -> list[float]:
        torch, _ = require("codescaler")
        model, tokenizer = self.loaded
        width = max(map(len, rows))
        ids = torch.tensor([[*row, *[tokenizer.pad_token_id] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        with torch.inference_mode():
            out = model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
        values: list[float] = out.logits[:, 0].float().tolist()
        return values

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """(model, tokenizer), loaded when first used. Raises ModelError for a checkpoint that is no reward model."""
        model, tokenizer, missing = load(
            "codescaler", self.model, "AutoModelForSequenceClassification", self.device, self.dtype
        )
        _check(model, tokenizer, missing, self.model)
        model.config.pad_token_id = tokenizer.pad_token_id  # tells the model which token of a row is the last
        return model, tokenizer


def batches(
    pairs: Sequence[tuple[Candidate, list[int]]], token_budget: int
) -> Iterator[list[tuple[Candidate, list[int]]]]:
    """Pairs sorted by length, longest first, in batches whose padded size fits the budget (a single pair always
    does).
    """
    batch: list[tuple[Candidate, list[int]]] = []
    for pair in sorted(pairs, key=lambda pair: (-len(pair[1]), pair[0].key)):
        if batch and (len(batch) + 1) * len(batch[0][1]) > token_budget:
            yield batch
            batch = []
        batch.append(pair)
    if batch:
        yield batch


def _check(model: Any, tokenizer: Any, missing: Sequence[str], name: str) -> None:
    if missing:
        raise ModelError(
            f"{name!r} has no weights for {', '.join(missing)}: it is no sequence classifier but probably the "
            "language model that one is trained from. Give a reward model's checkpoint."
        )
    if model.config.num_labels != 1:
        raise ModelError(
            f"{name!r} has {model.config.num_labels} labels; a reward model has 1. Give another checkpoint."
        )
    if tokenizer.pad_token_id is None:
        raise ModelError(f"The tokenizer of {name!r} has no pad token. Set pad_token in its tokenizer_config.json.")


plugin = CodeScaler

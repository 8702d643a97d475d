"""CodeScaler (arXiv 2602.17684) and other reward models of one label: the raw logit of question and bare code.

The candidates of a problem share the rendered question: its tokens run once, and only the rest of each candidate runs
on top of them. A pair that does not fit is marked and never cut. Tokens are made in `_pairs.py`, shared in
`_prefix.py`, run in `_packed.py` within a token budget that `_runner.py` keeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from tts.errors import ConfigError, ModelError
from tts.models import content, load_tokenizer
from tts.plugins import FREE
from tts.score._pairs import chat, overlong, tokenise
from tts.score._prefix import Key, Row, unique
from tts.score._runner import Model, Runner
from tts.types import Candidate, Problem, Score

WINDOW = 1024  # pairs whose tokens are held at once
Pairs = Sequence[tuple[Problem, Candidate]]


@dataclass(frozen=True)
class CodeScaler:
    """Options: `model` is a folder or a hub name; `max_length` tokens of a pair, by default the model's context;
    `token_budget` tokens run at once, which bounds the memory.
    """

    model: str = "LARK-Lab/CodeScaler-1.7B"
    backend: Literal["auto", "transformers", "vllm"] = field(default="auto", metadata=FREE)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = field(default="auto", metadata=FREE)
    max_length: int | None = None
    token_budget: int = field(default=8192, metadata=FREE)

    def __post_init__(self) -> None:
        if self.token_budget < 1:
            raise ConfigError(f"codescaler's token_budget must be at least 1, got {self.token_budget}.")
        if self.max_length is not None and self.max_length < 1:
            raise ConfigError(f"codescaler's max_length must be at least 1, got {self.max_length}.")

    def score(self, pairs: Pairs) -> Iterator[Score]:
        """Raw logits as batches finish; None for a candidate without code and for a pair that is too long."""
        groups: dict[str, list[Candidate]] = {}
        for problem, candidate in pairs:
            if candidate.code is None:
                yield Score(*candidate.key, None, "no code")
            else:
                groups.setdefault(problem.statement, []).append(candidate)
        for window in _windows(groups):
            yield from self._score(window)

    def _score(self, groups: dict[str, list[Candidate]]) -> Iterator[Score]:
        rows: list[list[Row]] = []
        for statement, candidates in groups.items():
            fitting: list[tuple[Key, list[int]]] = []
            tokens = tokenise(self.tokenizer, [chat(statement, candidate.code or "") for candidate in candidates])
            for candidate, ids in zip(candidates, tokens, strict=True):
                if len(ids) > self.limit:
                    yield overlong(candidate, len(ids), self.limit)
                else:
                    fitting.append((candidate.key, ids))
            rows.append(unique(fitting))
        for row, value in self.runner.run(rows):
            yield from (Score(*owner, value) for owner in row.owners)

    @property
    def content(self) -> str:
        """What the weights are, for fingerprints."""
        return content(self.model)

    def tokens(self, statement: str, code: str) -> list[int]:
        """The pair as the model reads it, not truncated."""
        return tokenise(self.tokenizer, [chat(statement, code)])[0]

    @property
    def limit(self) -> int:
        """The longest pair that is scored, in tokens."""
        context: int = self.loaded.config.get_text_config().max_position_embeddings
        return context if self.max_length is None else min(self.max_length, context)

    @property
    def card(self) -> str:
        """Whose card has an example to test this scorer with."""
        return self.model

    @property
    def computed_in(self) -> str:
        """The dtype that "auto" became."""
        return str(self.loaded.dtype).removeprefix("torch.")

    @cached_property
    def tokenizer(self) -> Any:
        """Loaded when first used. Raises ModelError if it has no chat template."""
        return load_tokenizer("codescaler", self.model)

    @cached_property
    def loaded(self) -> Any:
        """The reward model, loaded when first used. Raises ModelError for a checkpoint that is none."""
        tokenizer = self.tokenizer
        from tts.score._reward import load_reward

        if self.backend == "vllm":
            raise ModelError("codescaler has no vllm backend yet. Set backend: transformers.")
        return load_reward(self.model, tokenizer, self.device, self.dtype)

    @cached_property
    def runner(self) -> Runner:
        """What runs the model; its `notes` say what happened on the way."""
        return Runner(self.runnable(), self.token_budget)

    def runnable(self) -> Model:
        """The loaded model in the fastest way that it allows."""
        model = self.loaded
        from tts.score._packed import packed
        from tts.score._reward import Padded

        return packed(model, self.token_budget) or Padded(model)


def _windows(groups: dict[str, list[Candidate]]) -> Iterator[dict[str, list[Candidate]]]:
    """Whole groups, as many as hold WINDOW candidates together, so that not all tokens of a long run are held."""
    window: dict[str, list[Candidate]] = {}
    for statement, candidates in groups.items():
        window[statement] = candidates
        if sum(map(len, window.values())) >= WINDOW:
            yield window
            window = {}
    if window:
        yield window


plugin = CodeScaler

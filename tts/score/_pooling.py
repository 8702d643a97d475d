"""codescaler's vllm backend: each pair a request of vLLM's pooling runner, which keeps the keys and values of a
question from one of its pairs to the next.

The score is the raw logit: vLLM's own activation is switched off. Knows rows of tokens; how pairs become those is
`_pairs.py`'s.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tts.errors import ModelError, OutOfMemory
from tts.models import architecture, check_labels, locate, require
from tts.score._prefix import Rated, Row
from tts.vllm_engine import VllmEngine

IN_FLIGHT = 512  # requests handed to vLLM at once
LEAST_TOKENS = 256  # at once; an engine that has no memory for these has none for a pair


class Pooling:
    """Runs rows. `cached_tokens` counts those that vLLM did not run again."""

    def __init__(self, model: str, args: Mapping[str, Any], notes: list[str]) -> None:
        _check(model)
        self.args = {"model": locate(model), "runner": "pooling", "enable_prefix_caching": True, **args}
        self.notes = notes
        self.engine: VllmEngine[int] = VllmEngine(self.args)
        self.cached_tokens = 0

    @property
    def longest(self) -> int:
        """Tokens of the longest row that it runs."""
        found: int = self.engine.config.model_config.max_model_len
        return found

    @property
    def dtype(self) -> str:
        """What the model computes in."""
        return str(self.engine.config.model_config.dtype).removeprefix("torch.")

    def run(self, groups: Iterable[Sequence[Row]]) -> Iterator[Rated]:
        """Each row once with its logit, as they finish; rows of a group follow each other, so that they find its
        prefix. An engine that dies of memory is started again with half the tokens at once.
        """
        left = {row: None for group in groups for row in group}  # in their order
        while left:
            try:
                for rated in self._run(list(left)):
                    del left[rated.row]
                    yield rated
            except OutOfMemory as error:
                self._shrink(error)

    def _shrink(self, error: OutOfMemory) -> None:
        before = self.args["max_num_batched_tokens"]
        if before < 2 * LEAST_TOKENS:
            raise error
        self.engine.close()
        self.engine.log.unlink(missing_ok=True)  # what it died of is known and mended
        self.args["max_num_batched_tokens"] = before // 2
        self.notes.append(f"out of memory in vLLM; token_budget {before} -> {before // 2}, engine started again")
        self.engine = VllmEngine(self.args)

    def _run(self, rows: Sequence[Row]) -> Iterator[Rated]:
        from vllm import PoolingParams

        params = PoolingParams(task="classify", use_activation=False)
        waiting = deque(range(len(rows)))
        try:
            while waiting or self.engine.unfinished:
                while waiting and self.engine.unfinished < IN_FLIGHT:
                    number = waiting.popleft()
                    self.engine.add(number, rows[number].tokens, params)
                for number, output in self.engine.step():
                    cached = output.num_cached_tokens or 0
                    self.cached_tokens += cached
                    value = output.outputs.data.float().item()
                    yield Rated(rows[number], value, len(rows[number].tokens) - cached, None)
        finally:
            self.engine.abort(range(len(rows)))


def _check(model: str) -> None:
    """Raises ModelError for a checkpoint that vLLM would not run as one label's logit."""
    _, transformers = require("codescaler")
    config = transformers.AutoConfig.from_pretrained(locate(model))
    kind = architecture(config)
    if not kind.endswith("ForSequenceClassification"):
        raise ModelError(
            f"{model!r} is a {kind}; the vllm backend runs sequence classifiers only. Set the scorer's backend: "
            "transformers if it is a reward model, or give a reward model's checkpoint."
        )
    check_labels(model, config)

"""A scorer as a reward for reinforcement learning: validity first, then a positive reward that keeps the scores' order.

After CodeScaler (arXiv 2602.17684): a completion without a program that parses gets 0, any other the softplus of its
score, so that the worst program is still worth more than none. `RewardFunction` is one of trl's `reward_funcs`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tts import prompts
from tts.errors import ConfigError, InfraError, shown, unknown
from tts.plugins import build
from tts.protocols import Scorer
from tts.types import Candidate, Problem

Chat = Sequence[dict[str, Any]]
SMALLEST = math.ulp(0.0)


def shaped(score: float, valid: bool) -> float:
    """0.0 for an invalid program, else log(1 + exp(score)), which is above 0 and grows with the score. Below about
    -745, where that is less than any float above 0, it is the smallest one.
    """
    return max(float(np.logaddexp(0.0, score)), SMALLEST) if valid else 0.0


class RewardFunction:
    """For `reward_funcs` of trl's GRPOTrainer: a scorer, or a config's words for one, as a reward of completions.

    The problem that is scored is the prompt's last user message, or `column` of the data set where the prompt says more
    than the problem. A completion is one text or a chat; the program in it is found by the rule `extraction`.
    """

    def __init__(self, scorer: object, column: str | None = None, extraction: str = "cascade") -> None:
        if extraction not in prompts.EXTRACTORS:
            raise ConfigError(unknown(extraction, "extraction", prompts.EXTRACTORS))
        self.scorer: Scorer = scorer if isinstance(scorer, Scorer) else build("scorer", scorer)
        self.column, self.extraction = column, extraction
        self.__name__ = f"tts_{type(self.scorer).__name__.lower()}"  # what trl logs it by

    def __call__(
        self, prompts: Sequence[str | Chat], completions: Sequence[str | Chat], **columns: Any
    ) -> list[float | None]:
        """A reward for each completion, in their order; None where a valid program got no score (it is too long, say).

        Raises ConfigError for a column that is not there or not of texts, InfraError if the scorer leaves a program
        out.
        """
        statements = self._statements(prompts, columns)
        pairs = [self._pair(i, *pair) for i, pair in enumerate(zip(statements, completions, strict=True))]
        valid = [pair for pair in pairs if pair[1].valid]
        found = {score.index: score.value for score in self.scorer.score(valid)} if valid else {}
        missing = [candidate.index for _, candidate in valid if candidate.index not in found]
        if missing:
            raise InfraError(f"The scorer gave {len(found)} scores for {len(valid)} programs.")
        return [_reward(found.get(candidate.index), candidate.valid) for _, candidate in pairs]

    def _statements(self, given: Sequence[str | Chat], columns: dict[str, Any]) -> Sequence[str]:
        if self.column is None:
            return [_last(one, "user") for one in given]
        if self.column not in columns:
            raise ConfigError(unknown(self.column, "the columns of the data set", columns))
        for row, value in enumerate(columns[self.column]):
            if not isinstance(value, str):
                raise ConfigError(
                    f"The column {self.column!r} must hold the problem as text, got {shown(value)} in row {row} of a "
                    "batch. Give the column of the problems' statements."
                )
        statements: Sequence[str] = columns[self.column]
        return statements

    def _pair(self, index: int, statement: str, completion: str | Chat) -> tuple[Problem, Candidate]:
        """Problems are told apart by their statements, so that those of one prompt are scored together."""
        text = _last(completion, "assistant")
        found = prompts.extract(text, self.extraction)
        problem = Problem(id=statement, statement=statement, messages=())
        return problem, Candidate(statement, index, text, found.code, found.rule, truncated=found.truncated)


def _last(text: str | Chat, role: str) -> str:
    """A text itself, or the last message of a role in a chat."""
    if isinstance(text, str):
        return text
    return next((_text(message.get("content")) for message in reversed(text) if message["role"] == role), "")


def _text(content: object) -> str:
    """A message's content, which may be a list of parts, of which those of text count, or none at all."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if part.get("type") == "text")
    return "" if content is None else str(content)


def _reward(score: float | None, valid: bool) -> float | None:
    return None if valid and score is None else shaped(score or 0.0, valid)

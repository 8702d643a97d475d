"""Rows -> logits within a token budget that shrinks when memory runs out, losing and repeating nothing."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from tts.errors import ModelError, out_of_memory
from tts.models import release_memory
from tts.score._prefix import Rated, Row


class Batch(Protocol):
    """What one forward pass runs."""

    @property
    def rows(self) -> Sequence[Row]:
        """The rows that it scores."""

    @property
    def tokens(self) -> int:
        """How many tokens it runs."""

    @property
    def shares(self) -> list[float]:
        """Each row's part of those tokens."""


class Model(Protocol):
    """A reward model that plans its batches and runs one."""

    def plan(self, groups: Iterable[Sequence[Row]], budget: int) -> Iterator[Any]:
        """Batches of all rows, at most `budget` tokens each unless there is but one row."""

    def logits(self, batch: Any) -> list[float]:
        """One logit for each of the batch's rows."""

    def forget(self) -> None:
        """Drop what was kept for the next batch."""


class Runner:
    """Runs a model. `token_budget` is what is left of the one given; each time it shrinks is told to `notes`."""

    def __init__(self, model: Model, token_budget: int, notes: list[str] | None = None) -> None:
        self.model, self.token_budget = model, token_budget
        self.notes = [] if notes is None else notes

    def run(self, groups: Iterable[Sequence[Row]]) -> Iterator[Rated]:
        """Each row once, in batches as they finish. Raises ModelError if a single row does not fit the memory."""
        pending = list(groups)
        self.model.forget()  # an earlier call may have been left in the middle
        while pending:
            done: set[Row] = set()
            for batch in self.model.plan(pending, self.token_budget):
                values = self._try(batch)
                if values is None:
                    break
                for row, value, tokens in zip(batch.rows, values, batch.shares, strict=True):
                    yield Rated(row, value, tokens, tokens / batch.tokens)
                done.update(batch.rows)
            pending = [left for rows in pending if (left := [row for row in rows if row not in done])]

    def _try(self, batch: Batch) -> list[float] | None:
        """The batch's logits, or None if memory ran out and the budget is now smaller."""
        try:
            return self.model.logits(batch)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(repr(error)):
                raise
        self._shrink(batch)  # after the handler, whose traceback holds the tensors of the failed pass
        return None

    def _shrink(self, batch: Batch) -> None:
        self.model.forget()
        release_memory()
        if len(batch.rows) == 1:
            raise ModelError(
                f"Memory ran out while scoring a single pair of {len(batch.rows[0].tokens)} tokens. Set the scorer's "
                "max_length below that, take a smaller reward model, or leave it more memory."
            )
        before = self.token_budget
        self.token_budget = max(1, min(before, batch.tokens) // 2)
        self.notes.append(
            f"out of memory while {batch.tokens} tokens ran; token_budget {before} -> {self.token_budget}"
        )

"""Plug-ins of the tests that fail on purpose, selectable by name: `faulty:SmallMemory`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from tts.score._prefix import Row
from tts.score._runner import Model
from tts.score.codescaler import CodeScaler

FAILURES = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "torch": RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError(),
    "bug": RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
}


@dataclass
class Small:
    """A model on a device that holds `room` tokens at once; `ran` has the size of each batch that was tried."""

    model: Model
    room: int
    failure: Exception
    ran: list[int] = field(default_factory=list)

    def plan(self, groups: Iterable[Sequence[Row]], budget: int) -> Iterator[Any]:
        """As the model."""
        return self.model.plan(groups, budget)

    def logits(self, batch: Any) -> list[float]:
        """As the model while the batch fits."""
        self.ran.append(batch.tokens)
        if batch.tokens > self.room:
            raise self.failure
        return self.model.logits(batch)

    def forget(self) -> None:
        """As the model."""
        self.model.forget()


@dataclass(frozen=True)
class SmallMemory(CodeScaler):
    """codescaler on a device that runs out of memory above `room` tokens at once, in the words of `failure`."""

    room: int = 1000
    failure: Literal["cuda", "torch", "python", "bug"] = "cuda"

    def runnable(self) -> Model:
        """The real model behind the fault."""
        return Small(super().runnable(), self.room, FAILURES[self.failure])

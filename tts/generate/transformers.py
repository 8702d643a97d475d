"""Any causal language model on CPU or CUDA through Hugging Face transformers, many problems in one batch.

Each (problem, index) draws from random numbers of its own, so raising n or resuming never repeats or shifts samples.
The text of a sample is the same only where batch shapes are: low-order bits of the logits depend on them, and a draw
that falls on an edge can then go the other way. For throughput on a GPU use `vllm`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Literal

from tts.errors import ModelError, PromptError, check_count, check_option
from tts.generate._language import SAMPLING, Drawing, InSteps, check_sampling, prompt_tokens
from tts.models import (
    EMBEDDED,
    check_device,
    content,
    device_and_dtype,
    load_model,
    load_tokenizer,
    locate,
    release_memory,
)
from tts.plugins import FREE
from tts.types import Candidate, Key, Problem

if TYPE_CHECKING:
    import torch
    from transformers.cache_utils import DynamicCache


Dtype = Literal["auto", "float32", "bfloat16", "float16"]
MOST_GIB = 2**20


@dataclass(frozen=True)
class Transformers(InSteps):
    """Options: `model` is a folder, a hub name or "embedded"; `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 are
    off; `max_tokens` per candidate; `stop` strings end a candidate and are cut off its text (its tokens and log
    probability count them); `batch_size` sequences are decoded at once, fewer where their cache would take more than
    `cache_gib`. `slot_tokens` is the longest sequence, prompt and answer: set, what comes later always finds a place in
    the batch that runs (for a server); left out, a batch is as long as its first sequences need.
    """

    model: str = EMBEDDED
    dtype: Dtype = "auto"
    device: str = field(default="auto", metadata=FREE)
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int = field(default=64, metadata=FREE)
    cache_gib: float = field(default=4.0, metadata=FREE)
    slot_tokens: int | None = field(default=None, metadata=FREE)

    def __post_init__(self) -> None:
        check_sampling(self)
        check_device("generator.device", self.device)
        check_count("generator.batch_size", self.batch_size)
        check_count("generator.slot_tokens", self.slot_tokens)
        largest = self.cache_gib
        check_option(0 < largest <= MOST_GIB, "generator.cache_gib", f"above 0 and at most {MOST_GIB}", largest)

    @property
    def honours(self) -> frozenset[str]:
        """What of a problem's own `sampling` counts."""
        return frozenset(SAMPLING)

    def start(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Load the model."""
        _ = self.loaded

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Ask for candidates; long prompts go first. Raises PromptError for one beyond the context."""
        self.running.waiting += self._jobs(wanted)

    def lend(self, model: str, device: Any, dtype: Any) -> Any:
        """The language model for one that has the same weights, which only reads them; None if they are others."""
        if locate(model) != locate(self.model) or (device, dtype) != device_and_dtype(self.device, self.dtype):
            return None
        return self.loaded[0]

    def sleep(self) -> None:
        """Give the device's memory back, weights to the host; nothing must be running."""
        vars(self).pop("running", None)
        self.loaded[0].to("cpu")
        release_memory()

    def wake(self) -> None:
        """The reverse."""
        self.loaded[0].to(device_and_dtype(self.device, self.dtype)[0])

    def close(self) -> None:
        """Give the model's memory back."""
        for name in ("loaded", "running"):
            vars(self).pop(name, None)
        release_memory()

    @cached_property
    def running(self) -> "_Work":
        """What is asked for and not finished."""
        return _Work(self)

    def _jobs(self, wanted: Sequence[tuple[Problem, int]]) -> list["_Job"]:
        prompts = {problem.id: self.prompt_tokens(problem) for problem, _ in wanted}
        jobs = [_Job(p.id, index, prompts[p.id], Drawing.of(self, p)) for p, index in wanted]
        self._check_lengths(jobs)
        return sorted(jobs, key=lambda job: (-len(job.prompt), job.problem_id, job.index))

    def _check_lengths(self, jobs: Sequence["_Job"]) -> None:
        """Raises PromptError for a job beyond the context, ModelError for layers that would not see all of one."""
        config = self.loaded[0].config.get_text_config()
        longest = min(config.max_position_embeddings, self.slot_tokens or config.max_position_embeddings)
        limit = "generator.slot_tokens" if longest == self.slot_tokens else "the model's context"
        _check_layers(config, max(job.length for job in jobs), self.model)
        for job in jobs:
            if job.length > longest:
                prompt, most = len(job.prompt), job.drawing.max_tokens
                message = (
                    f"The prompt of {job.problem_id!r} has {prompt} tokens; with max_tokens {most} that is more than "
                    f"{limit} of {longest}. Lower generator.max_tokens or leave the problem out."
                )
                raise PromptError(message, prompt, most, longest)

    def prompt_tokens(self, problem: Problem) -> list[int]:
        """The problem's messages through the model's chat template, ready for an answer."""
        return prompt_tokens(self.loaded[1], problem)

    @property
    def content(self) -> str:
        """What the weights are, for fingerprints."""
        return content(self.model)

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """(model, tokenizer), loaded when first used. Raises ModelError."""
        what = "The transformers generator"
        tokenizer = load_tokenizer(what, self.model)
        model, _ = load_model(what, self.model, "AutoModelForCausalLM", self.device, self.dtype)
        from tts.generate._decode import register_attention

        model.set_attn_implementation(register_attention())
        return model, tokenizer


def _check_layers(config: Any, longest: int, model: str) -> None:
    """Refuse layers that would not see the whole of a sequence of `longest` tokens. Raises ModelError."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    if not hasattr(config, "layer_types") and window is not None and window < longest:
        kinds = {f"sliding_attention over {window} tokens"}
    if kinds != {"full_attention"}:
        raise ModelError(
            f"{model!r} has layers of kind {', '.join(sorted(kinds))}; this generator decodes full_attention only, "
            f"here up to {longest} tokens. Choose another model, or lower generator.max_tokens if the window is enough."
        )


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    given = model.generation_config.eos_token_id
    ends = given if isinstance(given, list) else [given]
    return frozenset(token for token in [*ends, tokenizer.eos_token_id] if token is not None)


@dataclass(slots=True)
class _Job:
    """One candidate on its way: `uniform` (max_tokens,) are its own random numbers, drawn when it is admitted."""

    problem_id: str
    index: int
    prompt: list[int]
    drawing: Drawing
    uniform: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    logprob_sum: float = 0.0

    @property
    def key(self) -> tuple[str, int]:
        """(problem id, index)."""
        return self.problem_id, self.index

    @property
    def length(self) -> int:
        """Tokens of its prompt and the longest answer."""
        return len(self.prompt) + self.drawing.max_tokens

    @property
    def stop_tail(self) -> int:
        """How many last tokens a stop string lies within, since each holds at least one byte: decoding all each time
        would cost quadratic time.
        """
        return max((len(stop.encode()) for stop in self.drawing.stop), default=0) + 4


class _Work:
    """What waits and the batch that runs; one that has room for longer sequences follows it where that is needed."""

    def __init__(self, generator: Transformers) -> None:
        self.generator = generator
        self.waiting: list[_Job] = []
        self.batch: _Batch | None = None

    def step(self) -> list[Candidate]:
        if self.batch is not None and not self.batch.unfinished and not self.generator.slot_tokens:
            self.batch.slots.free()
            self.batch = None  # the next one is as long as what comes
        if self.waiting:
            self._admit()
        return [] if self.batch is None else self.batch.step()

    def _admit(self) -> None:
        if self.batch is None:
            self.batch = _Batch(self.generator, self.waiting)
            self.waiting = []
        else:
            self.batch.add([job for job in self.waiting if self.batch.fits(job)])
            self.waiting = [job for job in self.waiting if not self.batch.fits(job)]

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        waiting = {job.key: 0 for job in self.waiting if job.key in keys}
        self.waiting = [job for job in self.waiting if job.key not in keys]
        return waiting if self.batch is None else waiting | self.batch.abort(keys)

    @property
    def unfinished(self) -> int:
        return len(self.waiting) + (0 if self.batch is None else self.batch.unfinished)


class _Batch:
    """Runs jobs through the slots: admit, step, retire."""

    def __init__(self, generator: Transformers, jobs: list[_Job]) -> None:
        import torch

        from tts.generate._decode import Slots
        from tts.generate._sampling import sample

        self.torch, self.sample = torch, sample
        self.options = generator
        self.model, self.tokenizer = generator.loaded
        self.ends = _end_tokens(self.model, self.tokenizer)
        self.queue: list[list[_Job]] = []
        self.active: list[_Job] = []
        self.prompt: tuple[str, DynamicCache, torch.Tensor] | None = None
        fixed = generator.slot_tokens
        self.capacity = fixed or max(job.length for job in jobs)
        count = self._count(generator.batch_size if fixed else len(jobs), self.capacity)
        self.slots: Slots = Slots(self.model, count, self.capacity)
        self.add(jobs)

    def add(self, jobs: list[_Job]) -> None:
        """More, behind those that wait."""
        groups = [list(group) for _, group in groupby(jobs, key=lambda job: job.problem_id)]
        self.queue = groups[::-1] + self.queue

    def fits(self, job: _Job) -> bool:
        """Whether the slots are long enough for a job."""
        return job.length <= self.capacity

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        """Drop jobs, and free the slots of those that run; the tokens that each had."""
        jobs = [*self.active, *chain.from_iterable(self.queue)]
        self.queue = [left for group in self.queue if (left := [job for job in group if job.key not in keys])]
        self._release([slot for slot, job in enumerate(self.active) if job.key in keys])
        return {job.key: len(job.tokens) for job in jobs if job.key in keys}

    @property
    def unfinished(self) -> int:
        """How many jobs wait or run."""
        return len(self.active) + sum(map(len, self.queue))

    def _count(self, jobs: int, capacity: int) -> int:
        """As many slots as jobs, batch_size and the cache's memory allow."""
        config = self.model.config.get_text_config()
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        token_bytes = 2 * config.num_hidden_layers * heads * head * self.model.dtype.itemsize
        fitting = int(self.options.cache_gib * 2**30 // (token_bytes * capacity))
        return max(1, min(jobs, self.options.batch_size, fitting))

    def step(self) -> list[Candidate]:
        """Fill free slots and draw a token for each; the candidates that ended."""
        found = list(self._admit())
        return found + (list(self._step()) if self.active else [])

    def _admit(self) -> Iterator[Candidate]:
        """Fill free slots when a quarter of them are free, since each admission interrupts the others for a prompt."""
        free = self.slots.count - self.slots.active
        while self.queue and free and (free * 4 >= self.slots.count or not self.active):
            group = self.queue.pop()
            now, later = group[:free], group[free:]
            if later:
                self.queue.append(later)
            for job in now:
                job.uniform = self._uniform(job)
            cache, logits = self._prefilled(now[0])
            self.slots.admit(cache, len(now))
            self.active += now
            first = len(self.active) - len(now)
            yield from self._extend(first, logits.expand(len(now), -1))
            free = self.slots.count - self.slots.active

    def _prefilled(self, job: _Job) -> "tuple[DynamicCache, torch.Tensor]":
        """A prompt's cache and logits; the last prompt's are kept for those of its candidates that still wait."""
        if self.prompt is None or self.prompt[0] != job.problem_id:
            self.prompt = job.problem_id, *self.slots.prefill(job.prompt)
        return self.prompt[1:]

    def _uniform(self, job: _Job) -> list[float]:
        own = self.torch.Generator().manual_seed(job.drawing.seed_of(job.index))
        drawn: list[float] = self.torch.rand(job.drawing.max_tokens, generator=own, dtype=self.torch.float64).tolist()
        return drawn

    def _step(self) -> Iterator[Candidate]:
        last = self.torch.tensor([job.tokens[-1] for job in self.active], device=self.model.device)
        yield from self._extend(0, self.slots.step(last))

    def _extend(self, first: int, logits: "torch.Tensor") -> Iterator[Candidate]:
        """Draw a token for each active job from `first` on, and retire those that end with it."""
        jobs = self.active[first:]
        finished = {}
        for slot, (job, (token, logprob)) in enumerate(zip(jobs, self._drawn(jobs, logits), strict=True), first):
            job.tokens.append(token)
            job.logprob_sum += logprob
            ended = self._ended(job)
            if ended is not None:
                finished[slot] = self._candidate(job, *ended)
        self._release(sorted(finished))
        yield from finished.values()

    def _drawn(self, jobs: list[_Job], logits: "torch.Tensor") -> list[tuple[int, float]]:
        """(token, its log probability) for each job; those that are drawn alike are drawn together."""
        alike: dict[tuple[float, float, int], list[int]] = defaultdict(list)
        for row, job in enumerate(jobs):
            alike[job.drawing.temperature, job.drawing.top_p, job.drawing.top_k].append(row)
        found: dict[int, tuple[int, float]] = {}
        for how, rows in alike.items():
            uniform = self.torch.tensor([jobs[i].uniform[len(jobs[i].tokens)] for i in rows], dtype=self.torch.float64)
            some = logits if len(alike) == 1 else logits[rows]
            tokens, logprobs = self.sample(some, uniform.to(logits.device), *how)
            found |= dict(zip(rows, zip(tokens.tolist(), logprobs.tolist(), strict=True), strict=True))
        return [found[row] for row in range(len(jobs))]

    def _release(self, slots: list[int]) -> None:
        if slots:
            self.active = [self.active[slot] for slot in self.slots.release(slots)]

    def _ended(self, job: _Job) -> tuple[str, str] | None:
        """(text, finish) if the job's last token ended it."""
        if job.tokens[-1] in self.ends:
            return self._text(job.tokens[:-1]), "stop"
        stops = job.drawing.stop
        if stops and any(stop in self._text(job.tokens[-job.stop_tail :]) for stop in stops):
            text = self._text(job.tokens)
            cuts = [text.find(stop) for stop in stops if stop in text]
            return text[: min(cuts, default=len(text))], "stop"
        if len(job.tokens) == job.drawing.max_tokens:
            return self._text(job.tokens), "length"
        return None

    def _text(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def _candidate(self, job: _Job, text: str, finish: str) -> Candidate:
        return Candidate(
            problem_id=job.problem_id,
            index=job.index,
            text=text,
            prompt_tokens=len(job.prompt),
            tokens=len(job.tokens),
            logprob=job.logprob_sum / len(job.tokens),
            finish=finish,
        )


plugin = Transformers

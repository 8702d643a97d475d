"""Any language model through vLLM's offline engine, stepped, so that each candidate comes when it is finished.

Candidates of a problem are requests of their own with one prompt, whose keys and values vLLM shares between them. On
CUDA each draws with a seed of its own, so raising n or resuming never repeats or shifts samples; on vLLM's CPU build,
which has no such seeds, the engine's seed is made from the run's seed and from which candidates were asked for.
"""

import json
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tts.errors import ModelError, PromptError, check_count, check_option
from tts.generate._language import SAMPLING, Drawing, InSteps, check_sampling, check_template, prompt_tokens
from tts.models import EMBEDDED, content, load_tokenizer, locate
from tts.plugins import FREE
from tts.seeds import seed_of
from tts.types import Candidate, Key, Problem
from tts.vllm_engine import VllmEngine, check_extra, given, on_cpu

COUNTS = (
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "kv_cache_memory_bytes",
    "tensor_parallel_size",
)
IN_FLIGHT = 4  # requests handed to vLLM, per sequence that it runs at once: what waits longer costs less memory here


@dataclass(frozen=True)
class Vllm(InSteps):
    """Options: `model` is a folder, a hub name or "embedded"; `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 are
    off; `stop` strings end a candidate and are cut off its text; `lora` is an adapter's folder; `chat_template_kwargs`
    go to the model's template (enable_thinking). Engine arguments that decide memory have their own names and, left
    out, come from the memory plan; any other goes into `engine_args` by vLLM's name.
    """

    model: str = EMBEDDED
    dtype: str = "auto"
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 0
    chat_template_kwargs: dict[str, Any] = field(default_factory=dict)
    lora: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
    max_model_len: int | None = field(default=None, metadata=FREE)
    max_num_seqs: int | None = field(default=None, metadata=FREE)
    max_num_batched_tokens: int | None = field(default=None, metadata=FREE)
    tensor_parallel_size: int = field(default=1, metadata=FREE)
    enforce_eager: bool = field(default=False, metadata=FREE)
    kv_cache_memory_bytes: int | None = field(default=None, metadata=FREE)
    gpu_memory_utilization: float | None = field(default=None, metadata=FREE)
    enable_sleep_mode: bool | None = field(default=None, metadata=FREE)
    engine_args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sampling(self)
        check_template("generator.chat_template_kwargs", self.chat_template_kwargs)
        check_option(
            self.lora is None or Path(self.lora).is_dir(), "generator.lora", "the folder of a LoRA adapter", self.lora
        )
        for name in COUNTS:
            check_count(f"generator.{name}", getattr(self, name))
        share = self.gpu_memory_utilization
        check_option(
            share is None or 0 < share <= 1, "generator.gpu_memory_utilization", "above 0 and at most 1", share
        )
        longest = self.max_model_len
        check_option(
            longest is None or longest > self.max_tokens,
            "generator.max_tokens",
            f"below max_model_len, {longest}",
            self.max_tokens,
        )
        check_extra("generator", self.engine_args, PASSED, OURS)

    @property
    def honours(self) -> frozenset[str]:
        """What of a problem's own `sampling` counts."""
        return frozenset(SAMPLING) - ({"seed"} if on_cpu() else set())

    def start(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Load the model, if it is not loaded; on a CPU the engine's seed is made from `wanted`."""
        if "running" not in vars(self):
            if self.max_model_len is not None:
                self.prompts(wanted, self.max_model_len)  # should not be found too long after minutes of loading
            vars(self)["running"] = _Running(self, wanted)

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Ask for candidates. Raises PromptError for a prompt beyond max_model_len, before any is sampled."""
        self.start(wanted)
        self.running.add(wanted)

    def nudge(self) -> None:
        """From any thread: a step that waits for the model ends, so that what was asked for meanwhile is added."""
        running: _Running | None = vars(self).get("running")
        if running is not None:
            running.engine.nudge()

    def sleep(self) -> None:
        """Give the device's memory back, weights to the host; needs the plan's mode to be swap."""
        self.running.engine.sleep()

    def wake(self) -> None:
        """The reverse."""
        self.running.engine.wake()

    def close(self) -> None:
        """End vLLM's processes."""
        if "running" in vars(self):
            self.running.engine.close()
            del vars(self)["running"]

    @property
    def running(self) -> "_Running":
        """The engine, once it is started."""
        found: _Running = vars(self)["running"]
        return found

    @cached_property
    def notes(self) -> list[str]:
        """What a reader of the run should know."""
        return []

    @property
    def content(self) -> str:
        """What the weights are, for fingerprints."""
        return content(self.model) + (content(self.lora) if self.lora else "")

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        return load_tokenizer("The vllm generator", self.model)

    def prompts(self, wanted: Sequence[tuple[Problem, int]], longest: int) -> dict[str, list[int]]:
        """The prompt of each problem. Raises PromptError for one that, with an answer, is over `longest` tokens."""
        found = {}
        for problem in {problem.id: problem for problem, _ in wanted}.values():
            found[problem.id] = prompt = self.prompt_tokens(problem)
            most = Drawing.of(self, problem).max_tokens
            if len(prompt) + most > longest:
                message = (
                    f"The prompt of {problem.id!r} has {len(prompt)} tokens; with max_tokens {most} that is "
                    f"more than max_model_len, {longest}. Lower generator.max_tokens, raise generator.max_model_len "
                    "if model and memory allow it, or leave the problem out."
                )
                raise PromptError(message, len(prompt), most, longest)
        return found

    def prompt_tokens(self, problem: Problem) -> list[int]:
        """The problem's messages through the model's chat template, ready for an answer."""
        return prompt_tokens(self.tokenizer, problem, **self.chat_template_kwargs)


# Engine arguments that are ours to set, some from options of other names, and those that are options here.
OURS = {"model", "tokenizer", "runner", "enable_lora", "enable_prefix_caching", "logprobs_mode", "seed"}
PASSED = (
    "dtype",
    "quantization",
    "kv_cache_dtype",
    "max_model_len",
    "max_num_seqs",
    "max_num_batched_tokens",
    "tensor_parallel_size",
    "enforce_eager",
    "kv_cache_memory_bytes",
    "gpu_memory_utilization",
    "enable_sleep_mode",
)
TOP_P = "tts_top_p"  # in a request's extra_args
OWN_TOP_P = "tts.generate._vllm_top_p:TopP"  # of vLLM's CPU build
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # of LoRA, that vLLM allows


class _Running:
    """The engine and what waits for it."""

    def __init__(self, options: Vllm, wanted: Sequence[tuple[Problem, int]]) -> None:
        self.options = options
        self.waiting: deque[tuple[Problem, int, list[int]]] = deque()  # with their prompts
        seed = self._engine_seed(wanted)
        self.engine: VllmEngine[Key] = VllmEngine(self._args(seed), OWN_TOP_P)
        self.own_top_p = OWN_TOP_P in self.engine.processors
        self.seeded = not on_cpu()
        if not self.seeded:
            options.notes.append(
                f"vLLM's CPU build has no seed per candidate; its engine's was {seed}, made from the run's seed and "
                f"the {len(wanted)} candidates asked for first"
            )
        self.cached_tokens = 0  # of prompts, that vLLM did not run again
        self.lora = _lora_request(options.lora)
        self.in_flight = IN_FLIGHT * self.engine.config.scheduler_config.max_num_seqs

    def _args(self, seed: int) -> dict[str, Any]:
        o = self.options
        lora = {"enable_lora": True, "max_lora_rank": lora_rank(o.lora)} if o.lora else {}
        return {
            "model": locate(o.model),
            "enable_prefix_caching": True,
            "logprobs_mode": "raw_logprobs",
            "seed": seed,
            **lora,
            **given(o, PASSED),
            **o.engine_args,
        }

    def _engine_seed(self, wanted: Sequence[tuple[Problem, int]]) -> int:
        """Another for other candidates, so that a run that is continued does not draw the same again."""
        keys = sorted((problem.id, index) for problem, index in wanted)
        return seed_of(self.options.seed, *keys) % 2**32

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        prompts = self.options.prompts(wanted, self.engine.config.model_config.max_model_len)
        self.waiting += [(problem, index, prompts[problem.id]) for problem, index in wanted]

    def step(self) -> list[Candidate]:
        while self.waiting and self.engine.unfinished < self.in_flight:
            problem, index, prompt = self.waiting.popleft()
            self.engine.add((problem.id, index), prompt, self._sampling(problem, index), self.lora)
        return [self._candidate(key, output) for key, output in self.engine.step()]

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        waiting = {(problem.id, index) for problem, index, _ in self.waiting} & set(keys)
        self.waiting = deque(one for one in self.waiting if (one[0].id, one[1]) not in keys)
        return dict.fromkeys(waiting, 0) | self.engine.abort(keys)

    @property
    def unfinished(self) -> int:
        return len(self.waiting) + self.engine.unfinished

    def _sampling(self, problem: Problem, index: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        o = Drawing.of(self.options, problem)
        # Not beside a top-k, which has to cut before, and which vLLM applies after all processors.
        own_top_p = self.own_top_p and o.top_p < 1 and o.top_k == 0 and o.temperature > 0
        return SamplingParams(
            temperature=o.temperature,
            top_p=1.0 if own_top_p else o.top_p,
            extra_args={TOP_P: o.top_p} if own_top_p else None,
            top_k=o.top_k,
            max_tokens=o.max_tokens,
            stop=list(o.stop),
            logprobs=0,  # of the drawn token alone
            seed=o.seed_of(index) if self.seeded else None,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _candidate(self, key: Key, output: Any) -> Candidate:
        (one,) = output.outputs
        self.cached_tokens += output.num_cached_tokens or 0
        return Candidate(
            *key,
            text=one.text,
            prompt_tokens=len(output.prompt_token_ids),
            tokens=len(one.token_ids),
            logprob=one.cumulative_logprob / len(one.token_ids) if one.token_ids else None,
            finish=one.finish_reason,
        )


def _lora_request(folder: str | None) -> Any:
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, folder) if folder else None


def lora_rank(folder: str) -> int:
    """The least rank that vLLM can be set to and that holds the adapter's. Raises ModelError where there is none."""
    path = Path(folder) / "adapter_config.json"
    try:
        rank = int(json.loads(path.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(f"{path} is no LoRA adapter's config ({error!r}). Give the folder that peft saved.") from error
    if not 1 <= rank <= RANKS[-1]:
        raise ModelError(f"The rank 'r' in {path} is {rank}; vLLM takes 1 to {RANKS[-1]}. Give another adapter.")
    return next(size for size in RANKS if size >= rank)


def lora_weights(folder: str) -> Path:
    """The file of an adapter's weights, by the names that vLLM looks for. Raises ModelError if there is none."""
    files = [Path(folder) / f"adapter_model.{end}" for end in ("safetensors", "bin", "pt")]
    for file in files:
        if file.is_file():
            return file
    raise ModelError(f"{folder} has no LoRA adapter's weights, {files[0].name}. Give the folder that peft saved.")


plugin = Vllm

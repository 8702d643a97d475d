"""CodeScaler (arXiv 2602.17684) and other reward models of one label: the raw logit of question and bare code.

The candidates of a problem share the rendered question: its tokens run once, and only the rest of each candidate runs
on top of them. A pair that does not fit is marked and never cut. Tokens are made in `_pairs.py`, shared in
`_prefix.py`, run in `_packed.py` within a token budget that `_runner.py` keeps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tts.adapters import Adapter, content_folder, find
from tts.errors import ModelError, check_count, check_option
from tts.models import check_device, content, device_and_dtype, load_tokenizer, release_memory
from tts.plugins import FREE
from tts.score._pairs import chat, check_pad, longest, overlong, rendered, tokenise
from tts.score._prefix import Rated, Row, unique
from tts.score._runner import Model, Runner
from tts.types import Candidate, Key, Problem, Score
from tts.vllm_engine import check_extra, given

if TYPE_CHECKING:
    from tts.score._pooling import Pooling

# vLLM's engine arguments that are options here, and those that are ours to set.
OWN = ("dtype", "kv_cache_memory_bytes", "gpu_memory_utilization", "enable_sleep_mode")
OURS = {"model", "tokenizer", "runner", "enable_prefix_caching", "max_model_len", "max_num_batched_tokens"}
WINDOW = 1024  # pairs whose tokens are held at once
Pairs = Sequence[tuple[Problem, Candidate]]


@dataclass(frozen=True)
class CodeScaler:
    """Options: `model` is a folder, of a model or of an adapter that `tts train` wrote, a hub name, or "embedded", the
    adapter on the embedded language model; an adapter runs in transformers, on the weights of a generator with the same
    base where both stay loaded. `backend` auto is transformers; `max_length` tokens of a pair, by
    default the model's context; `token_budget` tokens run at once, which bounds the memory. For the backend vllm, the
    memory plan sets what is left out, and `engine_args` takes any of vLLM's engine arguments by name.
    """

    model: str = "LARK-Lab/CodeScaler-1.7B"
    backend: Literal["auto", "transformers", "vllm"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = field(default="auto", metadata=FREE)
    max_length: int | None = None
    token_budget: int = field(default=8192, metadata=FREE)
    kv_cache_memory_bytes: int | None = field(default=None, metadata=FREE)
    gpu_memory_utilization: float | None = field(default=None, metadata=FREE)
    enable_sleep_mode: bool | None = field(default=None, metadata=FREE)
    engine_args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_device("codescaler's device", self.device)
        for name in ("token_budget", "max_length", "kv_cache_memory_bytes"):
            check_count(f"codescaler's {name}", getattr(self, name))
        share = self.gpu_memory_utilization
        allowed = "above 0 and at most 1"
        check_option(share is None or 0 < share <= 1, "codescaler's gpu_memory_utilization", allowed, share)
        check_extra("codescaler", self.engine_args, OWN, OURS)
        for name in () if self.backend == "vllm" else (*OWN[1:], "engine_args"):
            check_option(not getattr(self, name), f"codescaler's {name}", "left out but with backend vllm", "a value")

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
        runner = self.pooling if self.backend == "vllm" else self.runner
        for rated in runner.run(rows):
            yield from _scores(rated)

    @property
    def content(self) -> str:
        """What the weights are, for fingerprints."""
        return content(content_folder(self.model))

    def tokens(self, statement: str, code: str) -> list[int]:
        """The pair as the model reads it, not truncated."""
        return tokenise(self.tokenizer, [chat(statement, code)])[0]

    def rendered(self, statement: str, code: str) -> str:
        """The pair as the model reads it, as text."""
        return rendered(self.tokenizer, statement, code)

    @property
    def limit(self) -> int:
        """The longest pair that is scored, in tokens."""
        vllm = self.backend == "vllm"
        context = self.pooling.longest if vllm else self.loaded.config.get_text_config().max_position_embeddings
        return longest(context, self.max_length)

    @property
    def card(self) -> str:
        """Whose card has an example to test this scorer with."""
        return content_folder(self.model)

    @property
    def computed_in(self) -> str:
        """The dtype that "auto" became."""
        dtype = self.pooling.dtype if self.backend == "vllm" else self.loaded.dtype
        return str(dtype).removeprefix("torch.")

    @cached_property
    def notes(self) -> list[str]:
        """What happened on the way: memory that ran out."""
        return []

    @cached_property
    def tokenizer(self) -> Any:
        """Loaded when first used. Raises ModelError if it has no chat template or no pad token."""
        name = self.model if self.adapter is None else self.adapter.tokenizer
        found = load_tokenizer("codescaler", name)
        check_pad(found, name)
        return found

    @cached_property
    def loaded(self) -> Any:
        """The reward model, loaded when first used. Raises ModelError for a checkpoint that is none."""
        tokenizer = self.tokenizer
        from tts.score._reward import load_adapted, load_reward

        if self.adapter is None:
            return load_reward(self.model, tokenizer, self.device, self.dtype)
        lend = getattr(vars(self).get("lender"), "lend", lambda *_: None)
        return load_adapted(self.adapter, lend, tokenizer, self.device, self.dtype)

    @cached_property
    def adapter(self) -> Adapter | None:
        """What `model` is, if it is an adapter. Raises ModelError for one that is not there, and in vLLM."""
        found = find(self.model)
        if found is not None and self.backend == "vllm":
            raise ModelError(
                f"{self.model!r} is an adapter, which the scorer's backend vllm does not run: leave the backend out, "
                "or give the merged model, which `tts train` writes beside the adapter."
            )
        return found

    def borrow(self, generator: object) -> None:
        """Both stay loaded: an adapter on the generator's model may use its weights."""
        vars(self)["lender"] = generator

    @cached_property
    def runner(self) -> Runner:
        """What runs the model in the backend transformers; its `notes` say what happened on the way."""
        return Runner(self.runnable(), self.token_budget, self.notes)

    def runnable(self) -> Model:
        """The loaded model in the fastest way that it allows."""
        model = self.loaded
        from tts.score._packed import packed
        from tts.score._reward import Padded

        return packed(model, self.token_budget) or Padded(model)

    @cached_property
    def pooling(self) -> "Pooling":
        """What runs the model in the backend vllm."""
        _ = self.tokenizer  # what is wrong with it should not be found after minutes of loading
        from tts.score._pooling import Pooling

        return Pooling(self.model, self._engine_args(), self.notes)

    def _engine_args(self) -> dict[str, Any]:
        length = {} if self.max_length is None else {"max_model_len": self.max_length}
        return given(self, OWN) | length | {"max_num_batched_tokens": self.token_budget} | self.engine_args

    def check(self) -> None:
        """Raises ModelError for a tokenizer that cannot render a pair, before anything is loaded or sampled."""
        _ = self.tokenizer

    def start(self) -> None:
        """Load the model, if it is not loaded."""
        _ = self.pooling if self.backend == "vllm" else self.runner

    def sleep(self) -> None:
        """Give the device's memory back, weights to the host."""
        if "pooling" in vars(self):
            self.pooling.engine.sleep()
        if "loaded" in vars(self):
            self.loaded.to("cpu")
            release_memory()

    def wake(self) -> None:
        """The reverse."""
        if "pooling" in vars(self):
            self.pooling.engine.wake()
        if "loaded" in vars(self):
            self.loaded.to(device_and_dtype(self.device, self.dtype)[0])

    def close(self) -> None:
        """Give all memory back."""
        if "pooling" in vars(self):
            self.pooling.engine.close()
        for name in ("pooling", "runner", "loaded", "lender"):
            vars(self).pop(name, None)
        release_memory()


def _scores(rated: Rated) -> Iterator[Score]:
    """The score of each candidate that the row is; they share what it took."""
    owners = rated.row.owners
    tokens = rated.tokens / len(owners)
    passes = None if rated.passes is None else rated.passes / len(owners)
    yield from (Score(*owner, rated.value, tokens=tokens, passes=passes) for owner in owners)


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

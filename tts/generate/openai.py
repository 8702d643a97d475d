"""Any server with OpenAI's routes, many requests at once: vLLM, llama.cpp, a vendor's, or `tts serve` itself.

A request that fails for good loses its own candidates only; the others come. Seeds belong to (problem, index) as
everywhere; a server that refuses seeds or log probabilities by name is asked without them, and the run's notes say so.
"""

import queue
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from tts.access import is_url, key_in_file, keys_in_environment
from tts.errors import ConfigError, InfraError, TtsError, UpstreamError, check_count, check_option, counted
from tts.generate._choices import asks_of
from tts.generate._language import SAMPLING, InSteps, check_sampling
from tts.plugins import FREE
from tts.types import Candidate, Key, Problem

if TYPE_CHECKING:
    from tts.generate._upstream import Upstream

BREATH_SECONDS = 0.01  # that a step waits for an answer, before it lets more work in
LONGEST_TIMEOUT = 86_400  # seconds


@dataclass(frozen=True)
class OpenAI(InSteps):
    """Options: `model` is the served model's name, `base_url` what comes before /chat/completions; sampling as in
    `vllm` (`top_k` is sent if it is not 0). `per_request` candidates are asked for by one request's n; `seeds` and
    `logprobs` whether to ask for them; `limit_name` what the server calls max_tokens; `extra` goes into every body.
    `concurrency` requests at once, `timeout` seconds for each from end to end, `retries` with `pause` seconds before
    the first and twice as many, less a random share, before each next; `key_file` or the environment variable
    `key_env` holds the API key.
    """

    model: str
    base_url: str = field(default="http://localhost:8000/v1", metadata=FREE)
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 0
    per_request: int = 1
    seeds: bool = True
    logprobs: bool = True
    limit_name: Literal["max_tokens", "max_completion_tokens"] = field(default="max_tokens", metadata=FREE)
    extra: dict[str, Any] = field(default_factory=dict)
    concurrency: int = field(default=16, metadata=FREE)
    timeout: float = field(default=600.0, metadata=FREE)
    retries: int = field(default=6, metadata=FREE)
    pause: float = field(default=0.5, metadata=FREE)
    key_file: str = field(default="", metadata=FREE)
    key_env: str = field(default="", metadata=FREE)

    def __post_init__(self) -> None:
        check_sampling(self)
        check_option(is_url(self.base_url), "generator.base_url", "http://host:port/v1, in ASCII", self.base_url)
        check_count("generator.per_request", self.per_request)
        check_count("generator.concurrency", self.concurrency)
        allowed = f"above 0 and at most {LONGEST_TIMEOUT} seconds (a day)"
        check_option(0 < self.timeout <= LONGEST_TIMEOUT, "generator.timeout", allowed, self.timeout)
        check_option(0 <= self.retries <= 1000, "generator.retries", "from 0 to 1000", self.retries)
        check_option(0 <= self.pause <= 3600, "generator.pause", "from 0 to 3600 seconds", self.pause)
        check_option(not (self.key_file and self.key_env), "generator.key_env", "left out beside key_file", "both")

    @property
    def honours(self) -> frozenset[str]:
        """What of a problem's own `sampling` counts."""
        return frozenset(SAMPLING) - (set() if self.seeds else {"seed"})

    def start(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """See that the server answers and has the model. Raises UpstreamError or ConfigError."""
        self.running.upstream.reach(self.model)

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        """Ask for candidates. Once all that came is there, `step` raises UpstreamError for those that did not."""
        self.running.add(wanted)

    def lost(self) -> dict[Key, TtsError]:
        """Those that were given up since the last call, and why."""
        return self.running.take_lost() if "running" in vars(self) else {}

    def close(self) -> None:
        """Break off all requests."""
        if "running" in vars(self):
            self.running.upstream.close()
            del vars(self)["running"]

    @property
    def notes(self) -> list[str]:
        """What a reader of the run should know."""
        return self.running.upstream.notes if "running" in vars(self) else []

    @cached_property
    def running(self) -> "_Running":
        """What is asked for. Raises ConfigError where there is no key, or no httpx."""
        return _Running(self)

    @property
    def key(self) -> str:
        """The API key, or nothing. Raises ConfigError for a file or variable that holds none."""
        if self.key_file:
            return key_in_file("generator.key_file", self.key_file)
        return keys_in_environment("generator.key_env", self.key_env)[0] if self.key_env else ""


class _Running:
    """What is asked for and not yet given back; the requests run on a thread of their own."""

    def __init__(self, options: OpenAI) -> None:
        self.options = options
        self.upstream = _upstream(options)
        self._open: set[Key] = set()
        self._lost: dict[Key, TtsError] = {}

    def add(self, wanted: Sequence[tuple[Problem, int]]) -> None:
        self._open |= {(problem.id, index) for problem, index in wanted}
        self.upstream.put(asks_of(self.options, wanted))

    def step(self) -> list[Candidate]:
        """What was answered, after a short wait. Raises UpstreamError when all else has come and something is lost that
        nobody asked about.
        """
        if self._lost and not self._open:
            raise self._summed_up()
        found = []
        for key, answer in self._answers():
            if key not in self._open:
                continue  # nobody wants it any more
            self._open.discard(key)
            if isinstance(answer, Candidate):
                found.append(answer)
            else:
                self._lost[key] = answer
        return found

    def _answers(self) -> Iterator[tuple[Key, Candidate | TtsError]]:
        """What has come, waiting a moment for the first."""
        wait: float | None = BREATH_SECONDS if self._open else None
        while True:
            try:
                yield self.upstream.answers.get(timeout=wait) if wait else self.upstream.answers.get_nowait()
            except queue.Empty:
                break
            wait = None
        if self.upstream.bug is not None:
            raise InfraError(f"The openai generator's requests ended in a bug of tts: {self.upstream.bug!r}.")

    def _summed_up(self) -> UpstreamError:
        lost = self.take_lost()
        key, first = min(lost.items(), key=lambda item: item[0])
        return UpstreamError(
            f"{counted(len(lost), 'candidate')} did not come, {key} first: {first} What came is stored; run the same "
            "command again to try the rest.",
            getattr(first, "status", None),
        )

    def abort(self, keys: Collection[Key]) -> dict[Key, int]:
        """Requests that hold no other candidates are broken off, which a server sees at once. It does not say what it
        had sampled by then.
        """
        gone = self._open & set(keys)
        self._open -= gone
        self._lost = {key: why for key, why in self._lost.items() if key not in keys}
        if gone:
            self.upstream.drop(gone)
        return {}

    def take_lost(self) -> dict[Key, TtsError]:
        found, self._lost = self._lost, {}
        return found

    @property
    def unfinished(self) -> int:
        """How many are waited for, or lost and not told of."""
        return len(self._open) + len(self._lost)


def _upstream(options: OpenAI) -> "Upstream":
    try:
        from tts.generate._upstream import Upstream
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The openai generator needs {error.name}: pip install -c constraints.txt -e '.[openai]'"
        ) from error
    return Upstream(options)


plugin = OpenAI

"""What the generators that run a language model share: the limits of their sampling options, how one problem is
sampled, prompts as tokens, and `generate` in terms of steps.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tts.errors import ChatError, check_count, check_option
from tts.protocols import Stepped
from tts.seeds import seed_of
from tts.types import Candidate, Key, Problem, Sampling

SAMPLING = tuple(field.name for field in dataclasses.fields(Sampling))

# What the call of a chat template is given here, and what would change the kind of thing that it returns.
OURS = {
    "add_generation_prompt",
    "continue_final_message",
    "conversation",
    "max_length",
    "padding",
    "return_assistant_tokens_mask",
    "return_dict",
    "return_tensors",
    "tokenize",
    "tokenizer_kwargs",
    "truncation",
}


class Options(Protocol):
    """The options that every one of them has."""

    @property
    def temperature(self) -> float:
        """Of the softmax; 0 is greedy."""

    @property
    def top_p(self) -> float:
        """Probability that the tokens to draw from have together; 1 is off."""

    @property
    def top_k(self) -> int:
        """How many tokens to draw from; 0 is off."""

    @property
    def max_tokens(self) -> int:
        """Tokens of a candidate at most."""

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end a candidate."""

    @property
    def seed(self) -> int:
        """Decides every draw."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How the candidates of one problem are drawn: the generator's options, or what the problem has instead. `name` is
    the problem's id, or "" where it brings a seed of its own: then that and the index alone decide a draw.
    """

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop: tuple[str, ...]
    seed: int
    name: str

    @classmethod
    def of(cls, options: Options, problem: Problem) -> "Drawing":
        """For one problem of a generator."""
        own = {name: getattr(options, name) for name in SAMPLING}
        mine = dataclasses.asdict(problem.sampling) if problem.sampling else {}
        given = {name: value for name, value in mine.items() if value is not None}
        return cls(**own | given, name="" if "seed" in given else problem.id)

    def seed_of(self, index: int) -> int:
        """Of one candidate."""
        return seed_of(self.seed, self.name, index)


def check_sampling(options: Options) -> None:
    """Raises ConfigError for an option outside its limits."""
    check_option(options.temperature >= 0, "generator.temperature", "at least 0", options.temperature)
    check_option(0 < options.top_p <= 1, "generator.top_p", "above 0 and at most 1", options.top_p)
    check_option(options.top_k >= 0, "generator.top_k", "at least 0", options.top_k)
    check_count("generator.max_tokens", options.max_tokens)
    check_option("" not in options.stop, "generator.stop", "a list of non-empty strings", options.stop)


def check_template(path: str, given: Collection[str]) -> None:
    """Raises ConfigError for an argument of the chat template's call that is tts's own."""
    for name in given:
        check_option(name not in OURS, f"{path}.{name}", "left out, since tts sets it; the template's own", "a value")


def prompt_tokens(tokenizer: Any, problem: Problem, **template: Any) -> list[int]:
    """The problem's messages through the model's chat template, ready for an answer; `template` goes to it. Without
    messages, its statement as the tokenizer begins a text. Raises ChatError for messages that the template refuses.
    """
    if not problem.messages:
        plain: list[int] = tokenizer(problem.statement)["input_ids"]
        return plain
    chat = [{"role": m.role, "content": m.content} for m in problem.messages]
    try:
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **template)
    except Exception as error:
        # A template is a program of the model's, which may raise anything, by its own word for one.
        said = " ".join(str(error).split()) or type(error).__name__
        message = f"The model's chat template refuses the messages of {problem.id!r}: {said.rstrip('.')}."
        raise ChatError(f"{message} Change prompt.system, or leave the problem out.", said) from error
    tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return tokens


class Work(Protocol):
    """What a generator has under way."""

    def step(self) -> list[Candidate]:
        """As Stepped."""

    def abort(self, keys: Collection[Key]) -> Mapping[Key, int]:
        """As Stepped."""

    @property
    def unfinished(self) -> int:
        """As Stepped."""


class InSteps:
    """What a generator does in steps, by the object `running` that holds its work: made when something is first asked
    for, gone when it is closed. `add` is its own.
    """

    def generate(self, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
        """Candidates as they finish. Raises what `add` and `step` do."""
        assert isinstance(self, Stepped)
        return stepped(self, wanted)

    @property
    def _work(self) -> Work | None:
        return vars(self).get("running")

    def step(self) -> list[Candidate]:
        """Let what runs go on; the candidates that finished."""
        return [] if self._work is None else self._work.step()

    def abort(self, keys: Collection[Key]) -> Mapping[Key, int]:
        """Drop candidates that are waiting or running; the tokens of each, as far as they are known."""
        return {} if self._work is None else self._work.abort(keys)

    @property
    def unfinished(self) -> int:
        """How many candidates are waiting or running."""
        return 0 if self._work is None else self._work.unfinished


def stepped(generator: Stepped, wanted: Sequence[tuple[Problem, int]]) -> Iterator[Candidate]:
    """Candidates as they finish; those that a caller does not wait for are dropped."""
    if not wanted:
        return
    generator.add(wanted)
    try:
        while generator.unfinished:
            yield from generator.step()
    finally:
        generator.abort({(problem.id, index) for problem, index in wanted})

"""What is sent to OpenAI's routes for candidates, and what an answer says of them. Pure: sends nothing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from tts.errors import UpstreamError
from tts.generate._language import Drawing
from tts.types import Candidate, Key, Problem, token_count

if TYPE_CHECKING:
    from tts.generate.openai import OpenAI

HUGE = 1e30  # beyond any log probability
SEEDS = 2**31  # that any server takes: some keep them in 32 bits
OPTIONAL = ("seed", "logprobs")  # parameters to do without where a server refuses them


@dataclass(frozen=True, slots=True)
class Ask:
    """The candidates that one request is for."""

    problem: Problem
    indices: tuple[int, ...]
    per_request: int

    @property
    def keys(self) -> tuple[Key, ...]:
        """(problem id, index) of each."""
        return tuple((self.problem.id, index) for index in self.indices)

    @property
    def route(self) -> str:
        """A chat, or a text to be continued as it stands."""
        return "chat/completions" if self.problem.messages else "completions"

    def rest(self, given: int) -> "list[Ask]":
        """What is to be asked for again where the server gave fewer than it was asked for: each by itself."""
        return [Ask(self.problem, (index,), 1) for index in self.indices[given:]]

    def body(self, options: "OpenAI", without: Sequence[str]) -> dict[str, Any]:
        """The request's JSON, without some of the OPTIONAL parameters."""
        how = Drawing.of(options, self.problem)
        chat = [{"role": m.role, "content": m.content} for m in self.problem.messages]
        text: dict[str, Any] = {"messages": chat} if chat else {"prompt": self.problem.statement}
        wanted: dict[str, Any] = {
            "seed": how.seed_of(self.indices[0]) % SEEDS if options.seeds else None,
            "logprobs": (True if chat else 0) if options.logprobs else None,
        }
        more = {
            "stop": list(how.stop) or None,
            "top_k": how.top_k or None,
            "n": len(self.indices) if len(self.indices) > 1 else None,
            **{name: value for name, value in wanted.items() if name not in without},
        }
        return {
            "model": options.model,
            **text,
            "temperature": how.temperature,
            "top_p": how.top_p,
            options.limit_name: how.max_tokens,
            **{name: value for name, value in more.items() if value is not None},
            **options.extra,
        }

    def candidates(self, answer: Any, url: str) -> list[Candidate]:
        """Those that the answer holds, in the order asked for. Raises UpstreamError for what is no answer."""
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
            raise nonsense(url, answer)
        usage = answer.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        drawn = [_logprobs(choice.get("logprobs")) for choice in choices]
        tokens = _shared([len(one) or None for one in drawn], token_count(counts.get("completion_tokens")))
        prompt = token_count(counts.get("prompt_tokens"))
        found = zip(self.keys, choices, drawn, tokens, strict=False)
        return [self._candidate(key, choice, url, logs, count, prompt) for key, choice, logs, count in found]

    def _candidate(
        self, key: Key, choice: Mapping[str, Any], url: str, drawn: list[float], tokens: int | None, prompt: int | None
    ) -> Candidate:
        message = choice.get("message") if self.problem.messages else {"content": choice.get("text")}
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(text, str | None):
            raise nonsense(url, choice)
        return Candidate(
            *key,
            text=text or "",  # a refusal, or a call of a tool
            prompt_tokens=prompt,
            tokens=tokens,
            logprob=math.fsum(drawn) / len(drawn) if drawn else None,
            finish=str(choice.get("finish_reason") or "stop"),
        )


def asks_of(options: "OpenAI", wanted: Sequence[tuple[Problem, int]]) -> Iterator[Ask]:
    """The requests for some candidates: up to `per_request` of one problem in each, or one where sampling is greedy,
    which vLLM's server refuses to do n times.
    """
    for _, pairs in groupby(wanted, key=lambda pair: pair[0].id):
        mine = list(pairs)
        size = options.per_request if Drawing.of(options, mine[0][0]).temperature > 0 else 1
        for start in range(0, len(mine), size):
            yield Ask(mine[start][0], tuple(index for _, index in mine[start : start + size]), size)


def _shared(known: Sequence[int | None], total: int | None) -> list[int | None]:
    """Tokens of each choice: what is known of it, else an even share of what the server counted beyond that, so that
    their sum is right. None where it counted nothing.
    """
    unknown, rest = known.count(None), (total or 0) - sum(count or 0 for count in known)
    if total is None or rest < 0 or not unknown:
        return list(known)
    shares = iter([rest // unknown + (i < rest % unknown) for i in range(unknown)])
    return [next(shares) if count is None else count for count in known]


def refused_option(body: Mapping[str, Any], parameter: str, message: str) -> str | None:
    """Which OPTIONAL parameter of a request a server refuses, if that is what its refusal is about: the one that it
    names, or that its words name where it names none.
    """
    about = parameter or message.lower()
    return next(
        (name for name in OPTIONAL if name in body and (name == about or (not parameter and name in about))), None
    )


def _logprobs(found: Any) -> list[float]:
    """Of each token in nats; [] where there are none, or any is no number."""
    if not isinstance(found, dict):
        return []
    content = found.get("content")
    values = [t.get("logprob") for t in content if isinstance(t, dict)] if isinstance(content, list) else None
    values = found.get("token_logprobs") if values is None else values
    if not isinstance(values, list) or not all(_is_finite(value) for value in values):
        return []
    return [float(value) for value in values]


def _is_finite(value: Any) -> bool:
    """Also together with as many others as there may be, which no integer beyond all floats is."""
    return type(value) in (int, float) and abs(value) < HUGE


def nonsense(url: str, answer: object) -> UpstreamError:
    """What to say of an answer that is none."""
    return UpstreamError(
        f"The server at {url} answered what is no completion: {str(answer)[:200]!r}. Check that generator.base_url is "
        "that of an OpenAI-compatible server."
    )

"""An outcome as OpenAI's JSON, whole or in chunks, with the extension object `tts`."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tts.serving.order import Order
from tts.serving.service import Outcome
from tts.types import Candidate, Score

CHUNK_CHARACTERS = 200
DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": sampling\n\n"
ID = "X-Request-Id"
FINISHES = ("length", "content_filter")  # and "stop", whatever else a server calls it


def usage(outcome: Outcome) -> dict[str, int]:
    """Tokens of the prompt, once, and of everything that was sampled."""
    prompt, sampled = outcome.order.tokens
    return {"prompt_tokens": prompt, "completion_tokens": sampled, "total_tokens": prompt + sampled}


def extension(outcome: Outcome, with_texts: bool) -> dict[str, Any]:
    """What best-of-n has to say beyond an ordinary model's answer."""
    order, choice, wish = outcome.order, outcome.choice, outcome.order.wish
    ranks = {candidate.index: rank for rank, candidate in enumerate(chosen(outcome))}
    drawn = order.pool()
    return {
        "run": wish.problem.id,
        "n": wish.n,
        "sampled": len(order.candidates),
        "cancelled": order.coming,
        "spared": wish.n - len(order.asked),
        "lost": len(order.lost),
        "scorer": wish.scorer,
        "select": wish.select,
        "winner": None if choice.best is None else choice.best.index,
        "score": choice.score,
        "margin": choice.margin,
        "why": choice.why,
        "abstained": choice.best is None,
        "stopped_early": order.stopped or None,
        "degraded": [said for _, said in order.degraded],
        "tokens": {
            "winner": choice.best.tokens if choice.best else None,
            "sampled": usage(outcome)["completion_tokens"],
            "cancelled": order.cancelled_tokens,
        },
        "seconds": {stage: round(seconds, 4) for stage, seconds in outcome.seconds.items()},
        "candidates": [
            {**described(c, s, with_texts), "rank": ranks.get(c.index)}
            for c, s in zip(drawn.candidates, drawn.scores, strict=True)
        ],
    }


def described(candidate: Candidate, score: Score | None, with_text: bool) -> dict[str, Any]:
    """One candidate; without a score yet, `score` is None and `why` empty."""
    found: dict[str, Any] = {
        "index": candidate.index,
        "score": None if score is None else score.value,
        "why": "" if score is None else score.why,
        "valid": candidate.valid,
        "tokens": candidate.tokens,
        "logprob": candidate.logprob,
        "finish_reason": candidate.finish,
    }
    return found | ({"text": candidate.text} if with_text else {})


def headers(outcome: Outcome) -> dict[str, str]:
    """The run's id and its timings in seconds, for those who look at headers."""
    milliseconds = f"{1000 * outcome.seconds['total']:.0f}"
    return {ID: outcome.order.wish.problem.id, "Openai-Processing-Ms": milliseconds, **timings(outcome.seconds)}


def timings(seconds: Mapping[str, float]) -> dict[str, str]:
    """A header for each stage."""
    return {f"X-Tts-{stage.title()}-Seconds": f"{taken:.4f}" for stage, taken in seconds.items()}


class Writer:
    """The JSON of one request's answer. `chat`: the route's, else that of a continued text; `with_usage`: a stream's
    last chunk has the usage, which is null in the others.
    """

    def __init__(self, order_id: str, model: str, chat: bool, with_usage: bool = False) -> None:
        self._id, self._model, self._chat, self._with_usage = order_id, model, chat, with_usage
        self._created = int(time.time())

    def _frame(self, chunk: bool) -> dict[str, Any]:
        kind = f"chat.completion{'.chunk' if chunk else ''}" if self._chat else "text_completion"
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}

    def whole(self, outcome: Outcome, with_texts: bool) -> dict[str, Any]:
        """A response's body."""
        found = [self._choice(rank, c) for rank, c in enumerate(chosen(outcome))] or [self._abstention(outcome)]
        more = {"usage": usage(outcome), "tts": extension(outcome, with_texts)}
        return {**self._frame(chunk=False), "choices": found, **more}

    def _choice(self, rank: int, candidate: Candidate) -> dict[str, Any]:
        text = {"role": "assistant", "content": candidate.text, "refusal": None}
        content = {"message": text} if self._chat else {"text": candidate.text}
        return {"index": rank, **content, "logprobs": None, "finish_reason": _finish(candidate)}

    def _abstention(self, outcome: Outcome) -> dict[str, Any]:
        """No candidate is good enough, and the answer says so as OpenAI says that a model will not."""
        refusal = {"role": "assistant", "content": None, "refusal": abstention(outcome)}
        content = {"message": refusal} if self._chat else {"text": ""}
        return {"index": 0, **content, "logprobs": None, "finish_reason": "stop" if self._chat else "content_filter"}

    # In chunks.

    def candidate(self, order: Order, item: Candidate | Score) -> bytes:
        """A candidate as it comes, or again with its score: a chunk without choices, as the one of the usage is."""
        candidate = order.candidates[item.index]
        told = described(candidate, order.scores.get(item.index), with_text=isinstance(item, Candidate))
        return self._event([], {"tts": {"candidate": told}})

    def chunks(self, outcome: Outcome, with_texts: bool) -> Iterator[bytes]:
        """The answer: for each choice its pieces and its end; the last end has `tts`."""
        texts = [(c.text, _finish(c)) for c in chosen(outcome)]
        last = max(0, len(texts) - 1)
        told = {"tts": extension(outcome, with_texts)}
        used = usage(outcome)  # of the same moment, however slow the reader is
        for rank, (text, finish) in enumerate(texts):
            yield from self._pieces(rank, text)
            yield self._event([self._delta(rank, {}, finish)], told if rank == last else {})
        if not texts:
            said = {"role": "assistant", "refusal": abstention(outcome)}
            yield self._event([self._delta(0, said if self._chat else {"content": ""}, None)], {})
            yield self._event([self._delta(0, {}, "stop" if self._chat else "content_filter")], told)
        if self._with_usage:
            yield self._event([], {"usage": used})
        yield DONE

    def _pieces(self, rank: int, text: str) -> Iterator[bytes]:
        if self._chat:
            yield self._event([self._delta(rank, {"role": "assistant", "content": ""}, None)], {})
        for start in range(0, len(text), CHUNK_CHARACTERS):
            yield self._event([self._delta(rank, {"content": text[start : start + CHUNK_CHARACTERS]}, None)], {})

    def _delta(self, rank: int, delta: Mapping[str, Any], finish: str | None) -> dict[str, Any]:
        content = {"delta": delta} if self._chat else {"text": delta.get("content", "")}
        return {"index": rank, **content, "logprobs": None, "finish_reason": finish}

    def _event(self, choices: list[dict[str, Any]], more: Mapping[str, Any]) -> bytes:
        usage_so_far = {"usage": None} if self._with_usage else {}
        return event({**self._frame(chunk=True), "choices": choices, **usage_so_far, **more})


def _finish(candidate: Candidate) -> str:
    """Why it ended, in a word that OpenAI's clients know."""
    return candidate.finish if candidate.finish in FINISHES else "stop"


def event(body: Mapping[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + dumped(body) + b"\n\n"


def dumped(body: Any) -> bytes:
    """JSON in ASCII, so that a text of whatever characters can be sent."""
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode("ascii")


def chosen(outcome: Outcome) -> list[Candidate]:
    """The candidates given back, the best first."""
    return [outcome.choice.pool.candidates[position] for position in outcome.choice.ranking]


def abstention(outcome: Outcome) -> str:
    """Why nothing was chosen, for the client's user."""
    return f"No candidate was chosen of {len(outcome.choice.pool)}: {outcome.choice.why}."

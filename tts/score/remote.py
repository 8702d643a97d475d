"""A reward model behind HTTP: any server with vLLM's /classify or /pooling route, many requests at once.

The raw logit is asked for (`use_activation` off). With `tokenizer`, pairs are rendered here as `codescaler` renders
them and sent as tokens; without it the server renders the chat with its own template, one pair a request. A pair that
the server says is too long for it has no score; nothing is cut.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Literal

from tts.access import is_url, key_in_file
from tts.errors import UserError, check_option, counted
from tts.models import load_tokenizer
from tts.plugins import FREE
from tts.score._http import Refused, Server, nonsense
from tts.score._pairs import Chat, chat, overlong, rendered, tokenise
from tts.score._parallel import Parallel
from tts.types import Candidate, Problem, Score

Pairs = Sequence[tuple[Problem, Candidate]]
Asked = tuple[Candidate, Chat | list[int]]  # a candidate and what is sent for it
LONGEST_TIMEOUT = 86_400  # seconds
# vLLM's words for a prompt beyond --max-model-len, of several versions.
TOO_LONG = re.compile(
    r"maximum (context|input|model) length|longer than the maximum|too long|exceed\w* .*max_model_len", re.IGNORECASE
)


@dataclass(frozen=True)
class Remote:
    """Options: `model` is the served model's name, `url` the server's without a route; `tokenizer` a folder or hub name
    whose template renders the pairs here, `max_length` their longest in tokens (needs `tokenizer`); `batch_size` pairs
    a request, `concurrency` requests at once, `timeout` seconds for one from end to end, `retries` with `pause` seconds
    before the first and twice as many before each next; `key_file` holds the server's API key.
    """

    model: str
    url: str = field(default="http://localhost:8000", metadata=FREE)
    route: Literal["classify", "pooling"] = field(default="classify", metadata=FREE)
    tokenizer: str = ""
    max_length: int | None = None
    batch_size: int = field(default=16, metadata=FREE)
    concurrency: int = field(default=8, metadata=FREE)
    timeout: float = field(default=120.0, metadata=FREE)
    retries: int = field(default=5, metadata=FREE)
    pause: float = field(default=0.5, metadata=FREE)
    key_file: str = field(default="", metadata=FREE)

    def __post_init__(self) -> None:
        check_option(is_url(self.url), "remote's url", "http://host:port, in ASCII", self.url)
        check_option(self.batch_size >= 1, "remote's batch_size", "at least 1", self.batch_size)
        check_option(self.concurrency >= 1, "remote's concurrency", "at least 1", self.concurrency)
        check_option(
            0 < self.timeout <= LONGEST_TIMEOUT,
            "remote's timeout",
            f"above 0 and at most {LONGEST_TIMEOUT} seconds (a day)",
            self.timeout,
        )
        check_option(self.retries >= 0, "remote's retries", "at least 0", self.retries)
        check_option(self.pause >= 0, "remote's pause", "at least 0 seconds", self.pause)
        check_option(
            self.max_length is None or self.max_length >= 1, "remote's max_length", "at least 1", self.max_length
        )
        check_option(
            self.max_length is None or self.tokenizer != "", "remote's max_length", "left out without tokenizer", "both"
        )

    @property
    def card(self) -> str:
        """Whose card has an example to test this scorer with; empty if the reward model's files are not here."""
        return self.tokenizer

    def rendered(self, statement: str, code: str) -> str:
        """The pair as it is sent, as text; empty where the server renders it."""
        return rendered(self._tokenizer, statement, code) if self.tokenizer else ""

    def check(self) -> None:
        """Raises UserError unless the server answers and what it is to be told can be read here."""
        self._server.reach()
        if self.tokenizer:
            _ = self._tokenizer

    def score(self, pairs: Pairs) -> Iterator[Score]:
        """Raw logits as requests are answered; None for a candidate without code and for a pair that is too long.
        Raises UserError, after yielding what was answered, when the server is down or answers something else.
        """
        size = self.batch_size if self.tokenizer else 1  # a request holds one chat, or many token lists
        asking: Parallel[list[Asked], list[Score]] = Parallel(self._ask, self.concurrency)
        batch: list[Asked] = []
        for problem, candidate in pairs:
            prepared = self._prepare(problem, candidate)
            if isinstance(prepared, Score):
                yield prepared
                continue
            batch.append((candidate, prepared))
            if len(batch) == size:
                yield from chain.from_iterable(asking.put(batch))
                batch = []
        if batch:
            yield from chain.from_iterable(asking.put(batch))
        yield from chain.from_iterable(asking.rest())

    def _prepare(self, problem: Problem, candidate: Candidate) -> Score | Chat | list[int]:
        """What is sent for a pair, or its null score."""
        if candidate.code is None:
            return Score(*candidate.key, None, "no code")
        conversation = chat(problem.statement, candidate.code)
        if not self.tokenizer:
            return conversation
        (tokens,) = tokenise(self._tokenizer, [conversation])
        if self.max_length is not None and len(tokens) > self.max_length:
            return overlong(candidate, len(tokens), self.max_length)
        return tokens

    def _ask(self, batch: Sequence[Asked]) -> list[Score]:
        """One request; where the server refuses a batch as too long, one for each of its pairs."""
        try:
            answer = self._server.post(self.route, self._body([content for _, content in batch]))
        except Refused as refusal:
            if refusal.status not in (400, 422) or not TOO_LONG.search(refusal.message):
                said = refusal.message.rstrip(".")
                raise UserError(
                    f"The server at {self.url} refused to score ({refusal.status}): {said}. Check the scorer's model, "
                    "route and key_file, then run the same command again."
                ) from refusal
            if len(batch) == 1:
                return [Score(*batch[0][0].key, None, f"overlong: {refusal.message}")]
            return [score for one in batch for score in self._ask([one])]
        values = logits(answer, self.url, len(batch))
        return [Score(*candidate.key, value) for (candidate, _), value in zip(batch, values, strict=True)]

    def _body(self, contents: Sequence[Chat | list[int]]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "use_activation": False, "add_special_tokens": False}
        if self.route == "pooling":
            body["task"] = "classify"
        return body | ({"input": contents} if self.tokenizer else {"messages": contents[0]})

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer("remote", self.tokenizer)

    @cached_property
    def _server(self) -> Server:
        headers = {}
        if self.key_file:
            headers["Authorization"] = "Bearer " + key_in_file("remote's key_file", self.key_file)
        return Server(self.url, self.timeout, self.retries, self.pause, headers)


def logits(answer: Any, url: str, count: int) -> list[float]:
    """The `count` logits of an answer of vLLM's /classify (`probs`) or /pooling (`data`), in the order of the request.
    Raises UserError for anything else, two labels among it.
    """
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise nonsense(url, answer)
    found = {row["index"]: row.get("probs", row.get("data")) for row in rows if type(row.get("index")) is int}
    if set(found) != set(range(count)) or len(rows) != count:
        raise nonsense(url, _miscounted(rows, count))
    return [_only(found[i], url) for i in range(count)]


def _miscounted(rows: Sequence[dict[str, Any]], count: int) -> str:
    """What is wrong with the number or the indices of an answer's rows."""
    if len(rows) != count:
        return f"{counted(len(rows), 'row')} for {counted(count, 'pair')}"
    wrong = str([row.get("index") for row in rows])[:80]
    return f"the rows' index must be each number from 0 to {count - 1} once, got {wrong}"


def _only(values: Any, url: str) -> float:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise nonsense(url, values)
    if len(values) != 1:
        raise UserError(
            f"The server at {url} gives {len(values)} labels for a pair; a reward model has 1. Serve another model."
        )
    if not abs(values[0]) < sys.float_info.max:  # an infinity, no number, or an integer beyond all floats
        raise nonsense(url, values)
    return float(values[0])


plugin = Remote

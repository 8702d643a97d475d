"""The JSON of requests, as OpenAI has it, and the extension object `tts`. What is not here is refused by its name.

Parameters that change nothing at their neutral value (`logprobs: false`, `presence_penalty: 0`) are taken at that value
only. `user` is taken and logged with the request. Nothing is known here of models, scorers or limits of a server.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo

from tts.errors import unknown
from tts.serving.refusals import Names
from tts.types import Message

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "logit_bias": (None, {}),
    "response_format": (None, {"type": "text"}),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "parallel_tool_calls": (None, True, False),
    "store": (None, False),
    "metadata": (None, {}),
    "service_tier": (None, "auto", "default"),
    "modalities": (None, ["text"]),
    "echo": (None, False),
    "suffix": (None, ""),
}
# Of an assistant's message, as clients send back what they were given.
NOTHING: dict[str, tuple[Any, ...]] = {
    "annotations": (None, []),
    "audio": (None,),
    "function_call": (None,),
    "tool_calls": (None, []),
}


class Objection(ValueError):
    """A value that is refused by the name of its parameter, which is relative to where this is raised."""

    code = "invalid_value"

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(why)
        self.parameter = parameter


class Unsupported(Objection):
    """A parameter that this server does not have, or not at that value."""

    code = "unsupported_parameter"


def _kept(value: Any, fields: Mapping[str, Any], neutral: Mapping[str, tuple[Any, ...]], where: str) -> Any:
    """Without what asks for nothing, which null does wherever it may. Raises Unsupported for what is no field."""
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if key in fields and (item is not None or fields[key].is_required()):
            kept[key] = item
        elif item is None or any(_same(item, one) for one in neutral.get(key, ())):
            continue
        elif key in neutral:
            raise Unsupported(key, "this server does not support it")
        else:
            raise Unsupported(key, unknown(key, where, fields))
    return kept


def _same(item: Any, one: Any) -> bool:
    """As JSON has it, where 0 is not false."""
    return item is one or (item == one and isinstance(item, bool) == isinstance(one, bool))


def _unicode(text: str) -> str:
    """Raises ValueError for a lone surrogate, which is no text and no tokenizer takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("input should be valid Unicode, without lone surrogates") from None
    return text


Text = Annotated[str, AfterValidator(_unicode)]
Whole = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Number = Annotated[float, Field(strict=True)]


class _Part(pydantic.BaseModel):
    """A part of a message's content that is text."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: Text


class _Refused(pydantic.BaseModel):
    """A part of an assistant's message that says that it will not."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["refusal"]
    refusal: Text


def _flat(value: Any, info: ValidationInfo) -> Any:
    """Content in parts, as one text."""
    if not isinstance(value, list):
        return value
    own = info.data.get("role") == "assistant"
    return "".join(_text(part, f"{index}.type", own) for index, part in enumerate(value))


def _text(part: Any, name: str, own: bool) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    if own and kind == "refusal":
        return _Refused.model_validate(part).refusal
    if isinstance(kind, str) and kind != "text":
        raise Objection(name, f"{kind[:40]!r} is not supported: this server takes text alone.")
    return _Part.model_validate(part).text


Parts = str | list[_Part | _Refused] | None


class ChatMessage(pydantic.BaseModel):
    """One message; `developer` is another word for system. An assistant's may be one that this server gave, also one
    without an answer, which has its reason as `refusal`.
    """

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text | None, BeforeValidator(_flat, json_schema_input_type=Parts)] = None
    refusal: Text | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        own = isinstance(value, dict) and value.get("role") == "assistant"
        return _kept(value, cls.model_fields, NOTHING if own else {}, "a message")

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.refusal is not None and self.role != "assistant":
            raise Objection("refusal", "only an assistant's message has one. Leave it out.")
        if self.content is None and self.refusal is None:
            raise Objection("content", "a message needs it, as text or in parts.")
        return self

    @property
    def text(self) -> str:
        """What it says, or why it says nothing."""
        return self.content or self.refusal or ""

    @property
    def plain(self) -> Message:
        """As generators take it."""
        return Message("system" if self.role == "developer" else self.role, self.text)


class PublicTest(pydantic.BaseModel):
    """What a program reads and what it should print."""

    model_config = ConfigDict(extra="forbid")

    input: Text
    output: Text


class Extension(pydantic.BaseModel):
    """`tts`: how many candidates, which scorer and selector (by label) choose, the least score of an answer, whether
    all candidates come with it, and public tests to run them on, where the server's config has a part that runs any.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    n: Whole | None = None
    select: str | None = None
    scorer: str | None = None
    threshold: Number | None = None
    return_candidates: bool = Field(default=False, strict=True)
    public_tests: list[PublicTest] = []

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return _kept(value, cls.model_fields, {}, "tts")


class StreamOptions(pydantic.BaseModel):
    """Whether the last chunk has the token counts."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = Field(default=False, strict=True)
    include_obfuscation: Literal[False] = False

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return _kept(value, cls.model_fields, {}, "stream_options")


def _stops(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class _Request(pydantic.BaseModel):
    """What both routes take."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    n: Whole | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31, strict=True)] | None = None
    max_tokens: Whole | None = None
    stop: Annotated[
        list[Annotated[Text, Field(min_length=1)]],
        Field(max_length=16),
        BeforeValidator(_stops, json_schema_input_type=str | list[str] | None),
    ] = []
    seed: Annotated[int, Field(strict=True)] | None = None
    stream: Annotated[bool, Field(strict=True)] | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    tts: Extension = Extension()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        return _kept(value, cls.model_fields, NEUTRAL, "the parameters of this route")

    @pydantic.model_validator(mode="after")
    def _agrees(self) -> Self:
        """Nothing of it is ignored. Raises Objection for what says two things, or has no meaning beside the rest."""
        if self.stream_options is not None and not self.stream:
            raise Objection("stream_options", "only a stream has them. Leave them out, or set stream to true.")
        for one, value, other, beside in self._synonyms:
            if value is not None and beside is not None and value != beside:
                raise Objection(one, f"it is {value}, and {other}, which says the same, is {beside}. Give one of them.")
        return self

    @property
    def _synonyms(self) -> tuple[tuple[str, int | None, str, int | None], ...]:
        """Two names for one thing, each with what the request says."""
        return ()

    @property
    def names(self) -> Names:
        """What this request calls its parts."""
        return Names()

    @property
    def streams(self) -> bool:
        """Whether the answer comes in chunks."""
        return bool(self.stream)

    @property
    def with_usage(self) -> bool:
        """Whether a stream's last chunk has the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def longest(self) -> int | None:
        """Tokens of an answer at most."""
        return self.max_tokens

    @property
    def sampled(self) -> int | None:
        """How many candidates are asked for."""
        return self.tts.n


class ChatRequest(_Request):
    """`POST /v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: Whole | None = None

    @property
    def longest(self) -> int | None:
        """Tokens of an answer at most, by its old name or its new one."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    @property
    def _synonyms(self) -> tuple[tuple[str, int | None, str, int | None], ...]:
        return (("max_tokens", self.max_tokens, "max_completion_tokens", self.max_completion_tokens),)

    @property
    def names(self) -> Names:
        """By the name that it uses for its most tokens."""
        new = self.max_tokens is None and self.max_completion_tokens is not None
        return Names(longest="max_completion_tokens" if new else "max_tokens")

    @property
    def asked(self) -> tuple[str, tuple[Message, ...]]:
        """(what is asked, for scorers: the last user's words; the whole chat)."""
        asked = [m.text for m in self.messages if m.role == "user"]
        return asked[-1] if asked else self.messages[-1].text, tuple(m.plain for m in self.messages)


def _one_prompt(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    if isinstance(value, list):
        raise Unsupported("", "this server takes one prompt a request, as text")
    return value


class CompletionRequest(_Request):
    """`POST /v1/completions`: a text that is continued as it stands. `best_of` is OpenAI's word for `tts.n`."""

    prompt: Annotated[Text, BeforeValidator(_one_prompt)] = Field(min_length=1)
    best_of: Whole | None = None

    @property
    def sampled(self) -> int | None:
        """How many candidates are asked for, by either name."""
        return self.tts.n if self.best_of is None else self.best_of

    @property
    def _synonyms(self) -> tuple[tuple[str, int | None, str, int | None], ...]:
        return (("best_of", self.best_of, "tts.n", self.tts.n),)

    @property
    def names(self) -> Names:
        """By the name that it uses for its count of candidates."""
        return Names(prompt="prompt", sampled="tts.n" if self.best_of is None else "best_of")

    @property
    def asked(self) -> tuple[str, tuple[Message, ...]]:
        """(the text, no chat)."""
        return self.prompt, ()

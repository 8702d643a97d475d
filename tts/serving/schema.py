"""The JSON of requests, as OpenAI has it, and the extension object `tts`. What is not here is refused by its name.

Parameters that change nothing at their neutral value (`logprobs: false`, `presence_penalty: 0`) are taken at that value
only. `user` is taken and logged with the request. Nothing is known here of models, scorers or limits of a server.
"""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from tts.errors import unknown
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


class Unsupported(ValueError):
    """A parameter that is refused by its name."""

    def __init__(self, parameter: str, why: str) -> None:
        super().__init__(f"{parameter}: {why}")
        self.parameter = parameter


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
    """A part of a message's content; text is the only kind."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text"]
    text: Text


def _flat(value: Any) -> Any:
    """Content in parts, as one text."""
    if not isinstance(value, list):
        return value
    return "".join(_Part.model_validate(part).text for part in value)


class ChatMessage(pydantic.BaseModel):
    """One message; `developer` is another word for system."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[Text, BeforeValidator(_flat, json_schema_input_type=str | list[_Part])]
    name: str | None = None

    @property
    def plain(self) -> Message:
        """As generators take it."""
        return Message("system" if self.role == "developer" else self.role, self.content)


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
    public_tests: list[PublicTest] = Field(default=[], max_length=100)


class StreamOptions(pydantic.BaseModel):
    """Whether the last chunk has the token counts."""

    model_config = ConfigDict(extra="forbid")

    include_usage: bool = Field(default=False, strict=True)
    include_obfuscation: Literal[False] = False


def _stops(value: Any) -> Any:
    return [] if value is None else [value] if isinstance(value, str) else value


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
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] | None = None
    stream: Annotated[bool, Field(strict=True)] | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    tts: Annotated[Extension, BeforeValidator(lambda value: {} if value is None else value)] = Extension()

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        """Take out what asks for nothing. Raises ValueError for a parameter that this server has not."""
        if not isinstance(value, dict):
            return value
        kept = {key: item for key, item in value.items() if key in cls.model_fields}
        for key, item in value.items():
            if key in kept or any(item is neutral or item == neutral for neutral in NEUTRAL.get(key, ())):
                continue
            if key in NEUTRAL:
                raise Unsupported(key, "this server does not support it")
            raise Unsupported(key, unknown(key, "the parameters of this route", cls.model_fields))
        return kept

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
    def asked(self) -> tuple[str, tuple[Message, ...]]:
        """(what is asked, for scorers: the last user's words; the whole chat)."""
        asked = [m.content for m in self.messages if m.role == "user"]
        return asked[-1] if asked else self.messages[-1].content, tuple(m.plain for m in self.messages)


def _one_prompt(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        return value[0]
    if isinstance(value, list):
        raise Unsupported("prompt", "this server takes one prompt a request, as text")
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
    def asked(self) -> tuple[str, tuple[Message, ...]]:
        """(the text, no chat)."""
        return self.prompt, ()

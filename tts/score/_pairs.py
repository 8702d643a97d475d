"""A (problem, candidate) as a reward model reads it: the chat user = problem, assistant = bare code, as tokens.

After CodeScaler's model card and recipe: the model's own template, no generation prompt, no special tokens added. What
does not fit is marked and never cut, since a cut program is silently mis-scored.
"""

from collections.abc import Sequence
from typing import Any

from tts.errors import ModelError
from tts.models import load_failure, locate, require
from tts.types import Candidate, Score

Chat = list[dict[str, str]]


def chat(statement: str, code: str) -> Chat:
    """The two messages. A lone surrogate, which no tokenizer takes, becomes a replacement character."""
    user, assistant = (text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for text in (statement, code))
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def tokenise(tokenizer: Any, chats: Sequence[Chat]) -> list[list[int]]:
    """Each chat as the model reads it, not truncated."""
    if not chats:
        return []
    texts = tokenizer.apply_chat_template(chats, tokenize=False)
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a model. Raises ModelError if there is none or it has no chat template."""
    _, transformers = require("A reward model's tokenizer")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(locate(model))
    except (OSError, ValueError, KeyError) as error:
        raise load_failure(model, error) from error
    if tokenizer.chat_template is None:
        raise ModelError(
            f"The tokenizer of {model!r} has no chat template, so a pair cannot be rendered as it was trained. Put its "
            "chat_template.jinja beside its tokenizer_config.json, or give another checkpoint."
        )
    return tokenizer


def overlong(candidate: Candidate, length: int, limit: int) -> Score:
    """A null score that says how long the pair is, in tokens."""
    return Score(*candidate.key, None, f"overlong: {length} tokens, max_length is {limit}")

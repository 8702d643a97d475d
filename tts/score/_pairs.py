"""A (problem, candidate) as a reward model reads it: the chat user = problem, assistant = bare code, as tokens.

After CodeScaler's model card and recipe: the model's own template, no generation prompt, no special tokens added. What
does not fit is marked and never cut, since a cut program is silently mis-scored.
"""

from collections.abc import Sequence
from typing import Any

from tts.errors import ModelError
from tts.types import Candidate, Score

Chat = list[dict[str, str]]


def chat(statement: str, code: str) -> Chat:
    """The two messages. A lone surrogate, which no tokenizer takes, becomes a replacement character."""
    user, assistant = (text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") for text in (statement, code))
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def rendered(tokenizer: Any, statement: str, code: str) -> str:
    """The pair in the model's own template, as text."""
    text: str = tokenizer.apply_chat_template(chat(statement, code), tokenize=False)
    return text


def tokenise(tokenizer: Any, chats: Sequence[Chat]) -> list[list[int]]:
    """Each chat as the model reads it, not truncated."""
    if not chats:
        return []
    texts = tokenizer.apply_chat_template(chats, tokenize=False)
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return ids


def longest(context: int, max_length: int | None) -> int:
    """The longest pair that is scored or trained on, in tokens: none is cut."""
    return context if max_length is None else min(max_length, context)


def check_pad(tokenizer: Any, model: str) -> None:
    """Raises ModelError for a tokenizer without a pad token, by which the last token of a padded row is found."""
    if tokenizer.pad_token_id is None:
        raise ModelError(f"The tokenizer of {model!r} has no pad token. Set pad_token in its tokenizer_config.json.")


def overlong(candidate: Candidate, length: int, limit: int) -> Score:
    """A null score that says how long the pair is, in tokens."""
    return Score(*candidate.key, None, f"overlong: {length} tokens, max_length is {limit}")

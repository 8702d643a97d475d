"""Models of real shapes with random weights, and problems and programs of drawn lengths: speed and memory need no more,
and no network.

The tokenizer reads a byte as a token, so that a text has as many tokens as characters; the rest of its vocabulary is
filled with words that no text is read as, so that whatever a random model says can be shown.
"""

import json
import random
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from tts.types import Candidate, Message, Problem

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
ENDS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LETTERS = string.ascii_lowercase + "     \n"

_QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "max_position_embeddings": 32768,
    "num_hidden_layers": 28,
}
_QWEN3 = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "model_type": "qwen3",
    "max_position_embeddings": 40960,
    "head_dim": 128,
    "id2label": {"0": "LABEL_0"},
    "label2id": {"LABEL_0": 0},
    "num_hidden_layers": 28,
}
_BOTH = {"hidden_act": "silu", "rms_norm_eps": 1e-6, "rope_theta": 1e6, "initializer_range": 0.02, "dtype": "bfloat16"}


def _shape(kind: dict[str, Any], hidden: int, intermediate: int, heads: int, kv_heads: int, **more: Any) -> Any:
    sizes = {"hidden_size": hidden, "intermediate_size": intermediate, "num_attention_heads": heads}
    return _BOTH | ENDS | kind | sizes | {"num_key_value_heads": kv_heads, "vocab_size": 151936} | more


_TINY = {"vocab_size": 1024, "num_hidden_layers": 2}
# Qwen2.5-Coder-1.5B and -7B, CodeScaler-1.7B and -8B, and two that any machine runs.
SHAPES: dict[str, dict[str, Any]] = {
    "generator-1.5b": _shape(_QWEN2, 1536, 8960, 12, 2, tie_word_embeddings=True),
    "generator-7b": _shape(_QWEN2, 3584, 18944, 28, 4, tie_word_embeddings=False, vocab_size=152064),
    "scorer-1.7b": _shape(_QWEN3, 2048, 6144, 16, 8, tie_word_embeddings=True),
    "scorer-8b": _shape(_QWEN3, 4096, 12288, 32, 8, tie_word_embeddings=False, num_hidden_layers=36),
    "generator-tiny": _shape(_QWEN2, 128, 256, 2, 1, tie_word_embeddings=True, **_TINY),
    "scorer-tiny": _shape(_QWEN3, 128, 256, 2, 1, tie_word_embeddings=True, **_TINY, head_dim=64),
}


def make(folder: Path, name: str, weights: Literal["none", "zeros", "random"]) -> str:
    """A model's folder, made once; its path.

    "zeros" takes no room on a disk that knows sparse files, and is no use for speed: a GPU multiplies zeros quicker.
    """
    made = folder / f"{name}-{weights}"
    if not (made / "config.json").is_file():
        made.mkdir(parents=True)
        _save_tokenizer(made, SHAPES[name]["vocab_size"])
        if weights != "none":
            _save_weights(made, SHAPES[name], weights)
        (made / "config.json").write_text(json.dumps(SHAPES[name]))
    return str(made)


def _save_tokenizer(folder: Path, size: int) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words += [f"word{i}" for i in range(len(words), size)]
    tokenizer = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    fast.add_special_tokens({"additional_special_tokens": SPECIAL})
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def _save_weights(folder: Path, shape: dict[str, Any], kind: str) -> None:
    """model.safetensors in bfloat16, written tensor by tensor: 8 bytes with the header's length, the header, the data.
    Raises OSError where the disk is too small.
    """
    tensors = list(_tensors(shape))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, sizes in tensors:
        begin, end = end, end + 2 * _count(sizes)
        header[name] = {"dtype": "BF16", "shape": sizes, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if kind == "zeros":
            file.truncate(8 + len(text) + end)
        else:
            for name, sizes in tensors:
                file.write(_random(name, sizes))


def _tensors(shape: dict[str, Any]) -> Iterator[tuple[str, list[int]]]:
    """Name and sizes of each tensor of the checkpoint, from a model that takes no memory."""
    import torch
    import transformers

    options = {name: value for name, value in shape.items() if name != "architectures"}
    config = transformers.AutoConfig.for_model(**options)
    with torch.device("meta"):
        model = getattr(transformers, shape["architectures"][0])(config)
    for name, tensor in model.named_parameters():  # tied ones once
        yield name, list(tensor.shape)


def _random(name: str, sizes: Sequence[int]) -> bytes:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if name.endswith("norm.weight"):
        values = torch.ones(*sizes, device=device)
    else:
        values = torch.randn(*sizes, device=device) * 0.02
    data: bytes = values.bfloat16().cpu().view(torch.uint8).numpy().tobytes()
    return data


def _count(sizes: Sequence[int]) -> int:
    count = 1
    for size in sizes:
        count *= size
    return count


def problem(seed: object, tokens: int) -> Problem:
    """One whose statement has so many tokens, like no other's."""
    statement = _text(random.Random(f"problem {seed}"), tokens)
    return Problem(f"p{seed}", statement, (Message("user", statement),))


def candidate(of: Problem, index: int, tokens: int) -> Candidate:
    """A program of so many tokens."""
    code = _text(random.Random(f"{of.id} {index}"), tokens)
    return Candidate(of.id, index, code, code, "given", tokens=tokens)


def program_tokens(key: tuple[str, int], low: int = 60, high: int = 1400) -> int:
    """A length as programs have them: log-normal, 270 tokens in the middle."""
    return int(min(high, max(low, random.Random(f"length {key}").lognormvariate(5.6, 0.6))))


def _text(rng: random.Random, tokens: int) -> str:
    return "x" + "".join(rng.choices(LETTERS, k=max(0, tokens - 2))) + "x" * (tokens > 1)

"""Tiny random models with a real tokenizer and chat template, saved as ordinary Hugging Face folders for the tests; and
real small ones, where they are at hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """On tiny tensors threads mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def save_tokenizer(folder: Path, template: str | None = TEMPLATE, pad: str | None = "<|endoftext|>") -> int:
    """A byte-level tokenizer of 256 bytes and three special tokens; returns its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token=pad)
    fast.add_special_tokens({"additional_special_tokens": SPECIAL})
    if template is not None:
        fast.chat_template = template
    fast.save_pretrained(folder)
    return len(vocabulary)


def _config(kind: str, vocabulary: int, **more: Any) -> Any:
    import transformers

    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "max_position_embeddings": 4096,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    return getattr(transformers, f"{kind}Config")(**(shape | more))


def causal(folder: Path, kind: str = "Qwen3", seed: int = 0, **more: Any) -> Path:
    """A random causal language model in float32; weights are large enough that its choices are clear."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config = _config(kind, save_tokenizer(folder), initializer_range=0.3, **more)
    getattr(transformers, f"{kind}ForCausalLM")(config).save_pretrained(folder)
    return folder


def endless(folder: Path) -> Path:
    """Takes the end out of a random causal model's reach: its logit is 0 always, where the largest of 256 others is far
    above at a low temperature. So a candidate runs to its token limit on every machine.
    """
    import json

    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"][json.loads((folder / "config.json").read_text())["eos_token_id"]] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def lora(folder: Path, base: Path, merged: Path, rank: int = 4, alpha: int = 8) -> Path:
    """A random LoRA adapter for a causal model's query projections, as peft saves it, and in `merged` the model with
    the adapter in its weights.
    """
    import json
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    torch.manual_seed(1)
    shutil.copytree(base, merged)
    weights, adapter = load_file(base / "model.safetensors"), {}
    for name in [name for name in weights if name.endswith("q_proj.weight")]:
        rows, columns = weights[name].shape
        first, second = torch.randn(rank, columns) * 0.3, torch.randn(rows, rank) * 0.3
        key = f"base_model.model.{name.removesuffix('.weight')}"
        adapter |= {f"{key}.lora_A.weight": first, f"{key}.lora_B.weight": second}
        weights[name] = weights[name] + alpha / rank * second @ first
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    save_file(adapter, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "target_modules": ["q_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config | {"task_type": "CAUSAL_LM", "use_dora": False}))
    return folder


def reward(folder: Path, labels: int = 1, seed: int = 0, kind: str = "Qwen3", **more: Any) -> Path:
    """A random sequence classifier in float32."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config = _config(kind, save_tokenizer(folder), num_labels=labels, initializer_range=0.1, **more)
    getattr(transformers, f"{kind}ForSequenceClassification")(config).save_pretrained(folder)
    return folder


def real(name: str) -> Path:
    """The folder of a real small model; skips the test where nobody has made it."""
    import pytest

    from tts.models import cache_folder

    folder = cache_folder() / name
    if not (folder / "model.safetensors").is_file():
        pytest.skip(f"needs {folder}; `../shared/models/fetch.py {name}` makes it")
    return folder


def reward_on(backbone: Path, folder: Path) -> Path:
    """A real language model in bfloat16 as a sequence classifier with a random head."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(backbone, dtype=torch.bfloat16, num_labels=1)
    torch.nn.init.normal_(model.score.weight, std=0.02)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(backbone).save_pretrained(folder)
    return folder


def value_head(folder: Path, kind: str = "Qwen2", bias: float = 3.0) -> Path:
    """A random language model with TRL's value head, as AceCodeRM is saved."""
    import torch
    from safetensors.torch import load_file, save_file

    causal(folder, kind)
    weights = load_file(folder / "model.safetensors")
    weights["v_head.summary.weight"] = torch.randn(1, 48)
    weights["v_head.summary.bias"] = torch.tensor([bias])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder

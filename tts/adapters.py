"""A reward model that is a small adapter on a language model: generator and scorer hold one set of base weights.

The adapter, LoRA matrices and a head of one label, is in peft's format, as `tts train` writes it. It is applied to a
copy of the base's modules whose parameters are the base's own, so that the language model goes on as it was, also while
both run. Here is also where the adapter on the embedded model is found. Loads no base itself.
"""

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tts.errors import ModelError, explained
from tts.models import EMBEDDED, tensor_shapes

SHIPPED = Path(__file__).parent / "embedded_scorer"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TOKENIZER = "tokenizer_config.json"
PREFIX, HEAD = "base_model.model.", "score.weight"
PLAIN = {  # what is computed here
    "use_dora": False,
    "use_rslora": False,
    "bias": "none",
    "lora_bias": False,
    "fan_in_fan_out": False,
}
PATTERNS = ("rank_pattern", "alpha_pattern")


@dataclass(frozen=True, slots=True)
class Adapter:
    """A folder with an adapter: `base` is the model that it was trained on, its updates are scaled by `scale`."""

    folder: Path
    base: str
    scale: float

    @property
    def tokenizer(self) -> str:
        """The model whose tokenizer is the adapter's: its own folder, if one was saved there, else the base."""
        return str(self.folder) if (self.folder / TOKENIZER).is_file() else self.base


def find(model: str, shipped: Path = SHIPPED) -> Adapter | None:
    """The adapter that a model's name stands for: a folder that holds one, or "embedded", the one that tts ships; None
    for any other model. Raises ModelError for one that is not there or that cannot be applied.
    """
    if model == EMBEDDED:
        if not (shipped / CONFIG).is_file():
            raise ModelError(
                "This tts ships no reward model on the embedded language model. Train one "
                "(`python benchmarks/train_embedded.py --help`) and give its folder as the scorer's model, or take "
                "another scorer, such as likelihood."
            )
        return _read(shipped)
    try:
        folder = Path(model.replace("\0", "?")).expanduser()
    except RuntimeError:  # ~ before the name of nobody
        return None
    return _read(folder) if (folder / CONFIG).is_file() else None


def _read(folder: Path) -> Adapter:
    with explained(ModelError, f"{folder / CONFIG} cannot be read", "Give a whole adapter."):
        text = (folder / CONFIG).read_text(encoding="utf-8")
    try:
        found = json.loads(text)
        base, scale = str(found["base_model_name_or_path"]), float(found["lora_alpha"]) / int(found["r"])
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ModelError(f"{folder / CONFIG} is no LoRA adapter's ({error!r}). Give a whole adapter.") from error
    _check_plain(folder, found)
    return Adapter(folder, base, scale)


def _check_plain(folder: Path, found: Mapping[str, Any]) -> None:
    odd = [name for name, value in PLAIN.items() if found.get(name, value) != value]
    odd += [name for name in PATTERNS if found.get(name)]
    if odd:
        raise ModelError(
            f"The adapter in {folder} has {odd[0]}: {found[odd[0]]!r}, which is not applied here. Give the merged "
            "model."
        )


def count(adapter: Adapter) -> int:
    """How many numbers an adapter and its head hold. Raises ModelError for a damaged file."""
    return sum(math.prod(shape) for shape in tensor_shapes(adapter.folder / WEIGHTS).values())


def content_folder(model: str) -> str:
    """Where the weights are that make a model what it is: the shipped adapter's folder for "embedded"."""
    return str(SHIPPED) if model == EMBEDDED else model


def applied(adapter: Adapter, language_model: Any) -> tuple[Any, Any]:
    """(the language model's backbone with the adapter, its head of one label, a linear layer). The backbone's modules
    are copies, its parameters the language model's own. Raises ModelError for an adapter of another model, and for one
    with weights that are not applied here.
    """
    backbone = getattr(language_model, language_model.base_model_prefix)
    shared = {id(tensor): tensor for tensor in chain(backbone.parameters(), backbone.buffers())}
    copied = copy.deepcopy(backbone, shared)
    weights = _weights(adapter)
    head = _head(adapter, weights, backbone.device, backbone.dtype)
    prefix = f"{language_model.base_model_prefix}."
    modules = dict(copied.named_modules())
    for name in _layers(adapter, weights):
        first, second = (weights.get(f"{name}.lora_{part}.weight") for part in "AB")
        module = modules.get(name.removeprefix(prefix))
        if module is None or first is None or second is None or not _fits(module, first, second):
            raise ModelError(
                f"The adapter in {adapter.folder} does not fit {adapter.base!r}: its layer {name} is not there, or of "
                "another shape. Give the model that it was trained on."
            )
        _add(module, first.to(backbone.device, backbone.dtype), second.to(backbone.device, backbone.dtype), adapter)
    return copied, head


def _layers(adapter: Adapter, weights: Mapping[str, Any]) -> list[str]:
    """The names of the layers that are updated. Raises ModelError for weights that are no update's and not the head."""
    names = {key: key.removesuffix(".lora_A.weight").removesuffix(".lora_B.weight") for key in weights if key != HEAD}
    odd = sorted(key for key, name in names.items() if key == name)
    if odd:
        raise ModelError(
            f"The adapter in {adapter.folder} holds {odd[0]}, which is not applied here. Give the merged model."
        )
    return sorted(set(names.values()))


def _weights(adapter: Adapter) -> dict[str, Any]:
    """The adapter's tensors by the names that the base's own have."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(adapter.folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{adapter.folder / WEIGHTS} cannot be read: {error}. Give a whole adapter.") from error
    return {name.removeprefix(PREFIX): tensor for name, tensor in found.items()}


def _head(adapter: Adapter, weights: Mapping[str, Any], device: Any, dtype: Any) -> Any:
    import torch

    weight = weights.get(HEAD)
    if weight is None or weight.shape[0] != 1:
        raise ModelError(
            f"The adapter in {adapter.folder} has no head of one label ({HEAD}): it is no reward model's. Give one "
            "that `tts train` wrote."
        )
    head = torch.nn.Linear(weight.shape[1], 1, bias=False, device=device, dtype=dtype)
    head.weight = torch.nn.Parameter(weight.to(device, dtype), requires_grad=False)
    return head


def _fits(module: Any, first: Any, second: Any) -> bool:
    weight = getattr(module, "weight", None)
    return weight is not None and tuple(weight.shape) == (second.shape[0], first.shape[1])


def _add(module: Any, first: Any, second: Any, adapter: Adapter) -> None:
    """The update, as a hook on the layer's result: buffers, so that they go where the module goes."""
    module.register_buffer("adapter_first", first, persistent=False)
    module.register_buffer("adapter_second", second, persistent=False)
    module.register_forward_hook(partial(_update, adapter.scale))


def _update(scale: float, module: Any, given: tuple[Any, ...], output: Any) -> Any:
    return output + scale * (given[0] @ module.adapter_first.T @ module.adapter_second.T)

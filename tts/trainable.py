"""The model that `tts train` trains: its tokenizer and chat template, a head of one label, an adapter. What cannot be
trained, or would not be what is scored with afterwards, is refused here.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from tts import adapters
from tts.errors import ConfigError, ModelError, counted
from tts.models import EMBEDDED, architecture, check_labels, device_and_dtype, load_tokenizer, loading, locate
from tts.score._pairs import chat, check_pad, tokenise
from tts.training import LoraConfig, TrainConfig

LOG = logging.getLogger("tts")
MODEL = "model"  # of a training's folder, beside its adapter: the whole model


def check_whole(model: str) -> None:
    """Raises ModelError for an adapter, which is no model by itself."""
    found = None if model == EMBEDDED else adapters.find(model)
    if found is not None:
        merged = found.folder.parent / MODEL  # where `tts train` leaves it
        remedy = str(merged) if (merged / "config.json").is_file() else f"it merged with {found.base!r}"
        raise ModelError(f"{model!r} is an adapter, and a whole model is needed to train further. Give {remedy}.")


def tokenizer_of(model: str) -> Any:
    """Raises ModelError for one without a chat template, or with one by which pairs cannot be told apart, or by whose
    pad token the end of a pair is not found.
    """
    found = load_tokenizer("tts train", model)
    if found.pad_token_id is None:
        found.pad_token = found.eos_token
    check_pad(found, model)
    last = _example(found, model)
    if last[-1] == found.pad_token_id:
        raise ModelError(
            f"The chat template of {model!r} ends in its pad token {found.pad_token!r}, so that the end of a padded "
            "pair cannot be told. Set another pad_token in its tokenizer_config.json."
        )
    return found


def _example(tokenizer: Any, model: str) -> list[int]:
    """A pair's tokens. Raises ModelError for a template that cannot be rendered or that ignores the program."""
    import jinja2

    remedy = "Mend its chat_template, or give another model."
    try:
        one, other = tokenise(tokenizer, [chat("question", code) for code in ("print(1)", "print(2)")])
    except jinja2.TemplateError as error:
        raise ModelError(
            f"The chat template of {model!r} cannot render a user's message and an answer: {error}. {remedy}"
        ) from error
    if one == other:
        raise ModelError(
            f"The chat template of {model!r} renders two different programs alike, so that nothing can be learnt of "
            f"them. {remedy}"
        )
    return one


def check_tokens(model: Any, name: str, tokenizer: Any, given: Iterable[Sequence[int]]) -> None:
    """Raises ModelError for a token that the model has no embedding of, which padding may bring in, too."""
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max(tokenizer.pad_token_id, *map(max, given))
    if highest >= rows:
        raise ModelError(
            f"The tokenizer of {name!r} gives the token {tokenizer.convert_ids_to_tokens(highest)!r} the number "
            f"{highest}, and the model has {rows}. Resize its embeddings (resize_token_embeddings), or take another "
            "pad_token in its tokenizer_config.json if it is that."
        )


def load(config: TrainConfig, tokenizer: Any) -> Any:
    """The model with a head of one label, which computes in float32 as at scoring. Its weights are float32 where all of
    them are trained, since steps are too small for bfloat16; under an adapter they are as they compute.
    """
    import torch
    from transformers import AutoModelForSequenceClassification
    from trl.trainer.utils import disable_dropout_in_model

    from tts.score._reward import head_in_float32

    place, computed = device_and_dtype(config.device, config.dtype)
    _check_head(config.model)
    torch.manual_seed(config.seed)
    with loading(f"{config.model} to train"):
        try:
            model = AutoModelForSequenceClassification.from_pretrained(
                locate(config.model), num_labels=1, dtype=torch.float32 if config.lora is None else computed
            )
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"{config.model!r} cannot be trained as a reward model: {reason}") from error
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    head_in_float32(model)
    disable_dropout_in_model(model)  # the base's own; trl would disable the adapter's as well
    return model.to(place) if config.lora is None else _with_lora(model.to(place), config)


def _check_head(model: str) -> None:
    """Raises ModelError for a classifier of several labels; what a language model says of labels means nothing."""
    from transformers import AutoConfig

    try:
        found = AutoConfig.from_pretrained(locate(model))
    except (OSError, ValueError, KeyError):  # as told when its weights are loaded
        return
    if "ForSequenceClassification" in architecture(found):
        check_labels(model, found)


def _with_lora(model: Any, config: TrainConfig) -> Any:
    """The model with an adapter and a head that are trained, both in float32."""
    from peft import LoraConfig, get_peft_model

    assert config.lora is not None
    targets = _targets(model, config.lora)
    options = LoraConfig(
        task_type="SEQ_CLS",
        r=config.lora.rank,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets,
        modules_to_save=["score"],
    )
    try:
        found = get_peft_model(model, options)
    except ValueError as error:
        raise ConfigError(
            f"lora.targets {list(config.lora.targets)!r}: {str(error).strip().splitlines()[0]}"
        ) from error
    found.base_model.model.score.float()
    if odd := unapplied(found):
        LOG.warning(
            "The folder will have a merged model and no adapter: tts applies none to %s. Set lora.targets to linear "
            "layers for one.",
            odd,
        )
    return found


def _targets(model: Any, lora: LoraConfig) -> list[str] | str:
    """The linear layers that get an adapter, as peft takes them. Raises ConfigError if there are fewer blocks, or no
    such layer in them.
    """
    import torch
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer, with its weights the other way around

    if lora.last_layers is None:
        return list(lora.targets) or "all-linear"
    blocks = model.config.get_text_config().num_hidden_layers
    if lora.last_layers > blocks:
        raise ConfigError(f"lora.last_layers must be at most {blocks}, the model's blocks, got {lora.last_layers}.")
    last = {str(i) for i in range(blocks - lora.last_layers, blocks)}
    there = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and _block(name) in last
    ]
    ends = [f".{target}" for target in lora.targets] or [""]
    found = [name for name in there if f".{name}".endswith(tuple(ends))]
    if not found:
        raise ConfigError(
            f"lora.targets {list(lora.targets)!r}: no linear layer of the last {counted(lora.last_layers, 'block')} "
            f"ends in one of these. There are: {', '.join(sorted({name.rpartition('.')[2] for name in there}))}."
        )
    return found


def _block(name: str) -> str | None:
    """The number of the block that a module is in, the first in its name: experts have numbers, too."""
    return next((part for part in name.split(".") if part.isdecimal()), None)


def unapplied(model: Any) -> str | None:
    """A layer whose update `tts.adapters` does not apply, as it does to linear layers; None if there is none."""
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer) and not isinstance(module.get_base_layer(), torch.nn.Linear):
            return f"{name.removeprefix(adapters.PREFIX)} ({type(module.get_base_layer()).__name__})"
    return None

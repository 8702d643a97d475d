"""A name -> an object. The folder is the registry, the file's name is the plug-in's name, its dataclass fields are the
options; so validation, `tts list` and the error messages come free, and adding a plug-in touches one file. A name that
ends in + is of a file that ends in _plus.

Outside code is named `your.module:Class`. Does not decide which plug-ins a run uses: that is the config's.
"""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pydantic

from tts.errors import ConfigError, unknown

FAMILIES = {
    "benchmark": "problems",
    "generator": "generate",
    "scorer": "score",
    "selector": "select",
    "policy": "stop",
}
PLURALS = {"policy": "policies"}  # of the families whose plural is not regular
METHODS = {
    "benchmark": ("problems", "tests"),
    "generator": ("generate",),
    "scorer": ("score",),
    "selector": ("select",),
    "policy": ("decide",),
}

_PLUS = re.compile("_plus$")

# Values of what has no default, for messages.
EXAMPLES = MappingProxyType(
    {
        "benchmark": "mini",
        "generator": "{name: transformers, n: 8}",
        "scorers": "[likelihood]",
        "path": "rows.jsonl",
        "model": "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "pairs": "pairs.jsonl",
    }
)

# Marks an option that does not change what is sampled (a filter, a batch size): a run may be continued with another.
FREE: Mapping[str, bool] = {"fingerprint": False}


@dataclass(frozen=True, slots=True)
class Spec:
    """A plug-in as a config names it: its name and its options, unchecked until `check` or `build`."""

    name: str
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, family: str, value: object) -> "Spec":
        """From `argmax`, `{name: argmax, ...}` or a mapping's copy. Raises ConfigError for anything else."""
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            return cls(value, {})
        if isinstance(value, Mapping) and isinstance(value.get("name"), str):
            return cls(value["name"], {str(k): v for k, v in value.items() if k != "name"})
        raise ConfigError(f"A {family} is a name or a mapping with a name and options, got {value!r}.")


def purpose(plugin: type[Any]) -> str:
    """The first sentence of a plug-in's module, for `tts list`."""
    text = inspect.getdoc(importlib.import_module(plugin.__module__)) or inspect.getdoc(plugin) or ""
    return " ".join(text.split("\n\n")[0].split())


def meaning(plugin: type[Any]) -> str:
    """What a plug-in's class says of its options, with their units, for `tts list`."""
    return " ".join((plugin.__doc__ or "").split("\n\n")[0].split())


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a plug-in, as `tts list` prints it."""

    name: str
    type: str
    default: str


def names(family: str) -> list[str]:
    """Every shipped plug-in of a family, found by listing its folder; nothing is imported."""
    package = importlib.import_module(f"tts.{FAMILIES[family]}")
    files = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(_PLUS.sub("+", name) for name in files if not name.startswith("_"))


def find(family: str, name: str) -> type[Any]:
    """The class behind a name. Raises ConfigError with the nearest name if there is none."""
    if ":" in name:
        return _outside(family, name)
    if name not in names(family):
        raise ConfigError(unknown(name, f"tts/{FAMILIES[family]}", names(family)))
    plugin: type[Any] = importlib.import_module(f"tts.{FAMILIES[family]}.{name.replace('+', '_plus')}").plugin
    return plugin


def _outside(family: str, name: str) -> type[Any]:
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigError(f"The {family} {name!r} is no name. Outside code is named your.module:Class.")
    try:
        plugin: type[Any] = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(
            f"The {family} {name!r} cannot be imported: {error}. Install it or set PYTHONPATH."
        ) from error
    if not (isinstance(plugin, type) and dataclasses.is_dataclass(plugin)):
        raise ConfigError(f"The {family} {name!r} is not a dataclass, so its options are unknown. Decorate it.")
    missing = [method for method in METHODS[family] if not callable(getattr(plugin, method, None))]
    if missing:
        raise ConfigError(f"The {family} {name!r} has no method {missing[0]!r}. Write it, or see tts/protocols.py.")
    return plugin


def _fields(plugin: type[Any]) -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(plugin) if field.init]


def options(plugin: type[Any]) -> list[Option]:
    """The options of a plug-in with their types and defaults, in their order."""
    hints = typing.get_type_hints(plugin)
    return [Option(f.name, _type_name(hints[f.name]), _default(f)) for f in _fields(plugin)]


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint).replace("typing.", "")


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else "required"


def check(family: str, spec: Spec, where: str = "") -> dict[str, Any]:
    """The options of `spec`, converted to their types. Raises ConfigError with the option's path and the nearest
    name.
    """
    plugin = find(family, spec.name)
    where = where or f"{family} {spec.name!r}"
    fields = _fields(plugin)
    for key in spec.options:
        if key not in {f.name for f in fields}:
            raise ConfigError(unknown(key, f"the options of {where}", [f.name for f in fields]))
    hints = typing.get_type_hints(plugin)
    model = pydantic.create_model(  # type: ignore[call-overload]
        plugin.__name__,
        __config__=pydantic.ConfigDict(
            extra="forbid",
            arbitrary_types_allowed=True,
            protected_namespaces=(),
            coerce_numbers_to_str=True,  # an id such as 2760 is a number to YAML
        ),
        **{f.name: (hints[f.name], _pydantic_default(f)) for f in fields},
    )
    try:
        checked = model.model_validate(dict(spec.options))
    except pydantic.ValidationError as error:
        raise ConfigError(f"In {where}: {explain(error)}") from error
    found = {name: getattr(checked, name) for name in checked.model_fields_set}
    for name, value in found.items():
        if isinstance(spec.options[name], bool) and not isinstance(value, bool):  # YAML's yes, which Python takes for 1
            raise ConfigError(f"In {where}: {name}: input should be a number, got {spec.options[name]!r}.")
    return found


def _pydantic_default(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return pydantic.Field(default_factory=field.default_factory)
    return ...


def explain(error: pydantic.ValidationError) -> str:
    """Pydantic's complaints as one sentence each: path, what was got, what is allowed."""
    parts = []
    for item in error.errors():
        path = ".".join(str(p) for p in item["loc"]) or "the whole"
        got = _example(path.rpartition(".")[2]) if item["type"] == "missing" else f", got {item['input']!r}"
        why = item["msg"].replace("valid tuple", "valid list")  # YAML's word
        parts.append(f"{path}: {why[:1].lower()}{why[1:]}{got}.")
    return " ".join(parts)


def _example(name: str) -> str:
    return f", for example {name}={EXAMPLES[name]}" if name in EXAMPLES else ""


def build(family: str, value: object, where: str = "", **context: Any) -> Any:
    """The plug-in object for a config value.

    `context` (for example `seed`) fills fields of that name which the config leaves unset. The class's own
    `__post_init__` checks ranges and raises ConfigError.
    """
    spec = Spec.parse(family, value)
    chosen = check(family, spec, where)
    plugin = find(family, spec.name)
    wanted = {f.name for f in _fields(plugin)}
    return plugin(**{k: v for k, v in context.items() if k in wanted} | chosen)


def values(plugin: Any) -> dict[str, Any]:
    """Every option of a plug-in object as it was built, defaults included."""
    return {f.name: getattr(plugin, f.name) for f in _fields(type(plugin))}


def identity(plugin: Any) -> dict[str, Any]:
    """The options that decide what a plug-in object produces, for fingerprints; those marked FREE are left out.

    A plug-in that reads files says in `content` what is in them.
    """
    kept = [f for f in _fields(type(plugin)) if f.metadata.get("fingerprint", True)]
    found = {f.name: getattr(plugin, f.name) for f in kept}
    content = getattr(plugin, "content", "")
    return found | {"content": content} if content else found


def fingerprint(name: str, plugin: Any) -> str:
    """One line that names a plug-in object and the options that decide its results: the key of what it produced."""
    options = {key: str(value) for key, value in identity(plugin).items()}
    return json.dumps({"name": name, **options}, sort_keys=True)

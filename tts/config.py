"""One YAML file = one runnable experiment: read strictly, overridden from the command line, then frozen.

Unknown keys and bad values are errors with their path and the nearest valid name. Options of plug-ins are checked by
the plug-ins' own fields. Nothing is resolved here: "auto" stays "auto".
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import pydantic
import yaml
from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from tts import plugins
from tts.errors import ConfigError, check_option, explained, unknown
from tts.plugins import Spec
from tts.prompts import EXTRACTORS
from tts.sandbox import AskedLevel, Isolation, Limits
from tts.types import ORACLE, RANDOM

VERSION = 1
OWN_ROWS = "jsonl"  # the benchmark that may be anything, so that its name says nothing
OVERRIDE = "generator.n=16"  # an example
Model = TypeVar("Model", bound=pydantic.BaseModel)
ADDRESS = re.compile(r"(?!ray://)[^\s:/]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5}")
MOST_PORT = 2**16 - 1


class _Strict(pydantic.BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Labelled(_Strict):
    """A scorer or a selector of a run: a plug-in and the name it goes by in tables, by default the plug-in's. A
    selector may be tied to one `scorer`, by its label; else it is shown with each.
    """

    label: str
    spec: Spec
    scorer: str | None = None


class GeneratorConfig(_Strict):
    """The generator and how many candidates per problem are wanted (None: as many as a replayed file holds)."""

    n: int | None = Field(default=None, ge=1, le=1_000_000, strict=True)
    spec: Spec


class StoppingConfig(_Strict):
    """The policy that decides how many of `generator.n` candidates each problem gets, and how many of a problem may be
    sampled ahead of it: candidates that it may turn out not to need.
    """

    ahead: int = Field(default=4, ge=0, le=1_000_000, strict=True)
    spec: Spec


class PromptConfig(_Strict):
    """How a problem is put to the model and code is taken from its answer."""

    system: str | None = None
    extraction: str = "cascade"


class GradingConfig(_Strict):
    """Limits of each test's execution; `timeout` None means what the benchmark's own grader allows, 6 where it says
    nothing; `workers` None means one per core that may be used. `isolation`: a process for each test, or for each
    program; `level`: how programs are confined, by default as well as this machine can (docs/grading.md).
    """

    timeout: float | None = Field(default=None, gt=0, le=86_400, description="CPU seconds per test")
    memory_mib: int = Field(default=2048, ge=32, le=2**24, strict=True)
    output_mib: int = Field(default=16, ge=1, le=2**20, strict=True)
    workers: int | None = Field(default=None, ge=1, strict=True)
    isolation: Isolation = "test"
    level: AskedLevel = "auto"

    @property
    def limits(self) -> Limits:
        """What each test may use."""
        return Limits.given(self.timeout, self.memory_mib, self.output_mib)


class MemoryConfig(_Strict):
    """How the device is shared (see memory.py). Sizes left out are detected; `margin` is the share of the total that
    stays free; prompts are planned to have `prompt_tokens`.
    """

    mode: Literal["auto", "share", "swap", "sequential"] = "auto"
    margin: float = Field(default=0.05, ge=0, lt=1)
    device: Literal["auto", "cuda", "cpu"] = "auto"
    total_gib: float | None = Field(default=None, gt=0, le=2**20)
    free_gib: float | None = Field(default=None, gt=0, le=2**20)
    host_free_gib: float | None = Field(default=None, ge=0, le=2**20)
    prompt_tokens: int = Field(default=2048, ge=1, strict=True)

    @model_validator(mode="after")
    def _free_is_part_of_total(self) -> "MemoryConfig":
        if self.total_gib is not None and self.free_gib is not None and self.free_gib > self.total_gib:
            raise ConfigError(f"memory.free_gib is {self.free_gib}, more than memory.total_gib, {self.total_gib}.")
        return self


class BehavioursConfig(_Strict):
    """What programs are run on, beside the public tests, for selectors that compare what they do: so many inputs
    mutated from the public ones, and `tests` that a model wrote, the path of a JSONL file (observing.py).
    """

    extra_inputs: int = Field(default=0, ge=0, le=1000, strict=True)
    tests: str | None = None


class ClusterConfig(_Strict):
    """A run on Ray: so many `actors`, each an engine of `gpus` and `engine_cpus` that has at most `in_flight`
    candidates to draw, and programs graded by `grader_cpus` each; left out, these follow from models and cluster.
    `address` None starts a cluster on this machine, "auto" joins the one that runs there, host:port one elsewhere;
    `wait_seconds` is for it to answer and for nodes to join.
    """

    name: Literal["ray"] = "ray"
    address: str | None = None
    actors: int | None = Field(default=None, ge=1, le=100_000, strict=True)
    gpus: int | None = Field(default=None, ge=0, le=1024, strict=True)
    engine_cpus: float | None = Field(default=None, ge=0.001, le=1024)
    grader_cpus: float = Field(default=1.0, ge=0.001, le=1024)
    in_flight: int | None = Field(default=None, ge=1, le=1_000_000, strict=True)
    wait_seconds: float = Field(default=60.0, gt=0, le=86_400)

    @model_validator(mode="after")
    def _address_can_be_joined(self) -> "ClusterConfig":
        given = self.address
        if given is None or given == "auto":
            return self
        if ADDRESS.fullmatch(given):
            port = int(given.rpartition(":")[2])
            check_option(1 <= port <= MOST_PORT, "The port in cluster.address", f"from 1 to {MOST_PORT}", port)
            return self
        remedy = "Ray's client, ray://, cannot stream: run tts on a node of the cluster, or by `ray job submit`. "
        raise ConfigError(
            f"cluster.address must be host:port of a cluster's head, or auto, got {given!r}. "
            f"{remedy * given.startswith('ray://')}Its port is 6379 unless `ray start --port` gave another."
        )


class ShardConfig(_Strict):
    """A part of the run's problems: number `part`, from 0 on, of `parts`, which share them out one by one. `tts merge`
    joins the parts.
    """

    part: int = Field(ge=0, strict=True)
    parts: int = Field(ge=1, le=1_000_000, strict=True)

    @model_validator(mode="after")
    def _part_of_parts(self) -> "ShardConfig":
        if self.part >= self.parts:
            raise ConfigError(f"shard.part is {self.part}, and parts go from 0 to {self.parts - 1}.")
        return self


class ReportConfig(_Strict):
    """How sure the report's numbers are: bootstrap resamples, subsets drawn per point, and the intervals' level."""

    resamples: int = Field(default=2000, ge=100)
    draws: int = Field(default=20_000, ge=100, description="subsets per sampled point, shared among problems")
    level: float = Field(default=0.95, gt=0.5, lt=1)


def _labelled(family: str) -> Any:
    def parse(value: object) -> object:
        if isinstance(value, Labelled):
            return value
        spec = Spec.parse(family, value)
        own = {"label", "scorer"} if family == "selector" else {"label"}
        given = {k: v for k, v in spec.options.items() if k not in own}
        scorer = spec.options["scorer"] if "scorer" in own & spec.options.keys() else None
        return Labelled(label=str(spec.options.get("label", spec.name)), spec=Spec(spec.name, given), scorer=scorer)

    return BeforeValidator(parse)


def _generator(value: object) -> object:
    if isinstance(value, GeneratorConfig):
        return value
    spec = Spec.parse("generator", value)
    given = {k: v for k, v in spec.options.items() if k != "n"}
    return {"n": spec.options.get("n"), "spec": Spec(spec.name, given)}


def _stopping(value: object) -> object:
    if value is None or isinstance(value, StoppingConfig):
        return value
    spec = Spec.parse("policy", value)
    given = {k: v for k, v in spec.options.items() if k != "ahead"}
    ahead = {"ahead": spec.options["ahead"]} if "ahead" in spec.options else {}
    return {**ahead, "spec": Spec(spec.name, given)}


class Config(_Strict):
    """A whole experiment. Frozen; `dump` gives the YAML that reproduces it."""

    version: Literal[1] = 1
    benchmark: Annotated[Spec, BeforeValidator(lambda value: Spec.parse("benchmark", value))]
    generator: Annotated[GeneratorConfig, BeforeValidator(_generator)]
    scorers: tuple[Annotated[Labelled, _labelled("scorer")], ...] = ()
    selectors: tuple[Annotated[Labelled, _labelled("selector")], ...] = ()
    stopping: Annotated[StoppingConfig | None, BeforeValidator(_stopping)] = None
    ks: tuple[Annotated[int, Field(ge=1, strict=True)], ...] = ()
    seed: int = Field(default=0, strict=True, ge=0, lt=2**63)
    prompt: PromptConfig = PromptConfig()
    grading: GradingConfig = GradingConfig()
    behaviours: BehavioursConfig = BehavioursConfig()
    memory: MemoryConfig = MemoryConfig()
    cluster: ClusterConfig | None = None
    shard: ShardConfig | None = None
    report: ReportConfig = ReportConfig()

    @model_validator(mode="after")
    def _labels_differ(self) -> "Config":
        for family, items in (("scorers", self.scorers), ("selectors", self.selectors)):
            labels = [item.label for item in items]
            twice = sorted({label for label in labels if labels.count(label) > 1})
            if twice:
                raise ConfigError(f"{family} has {twice[0]!r} twice. Give one of them a `label:` of its own.")
        for item in (*self.scorers, *self.selectors):
            if not item.label or not item.label.isprintable():
                raise ConfigError(f"The label {item.label!r} must be printable text. Give another.")
        further = [item.label for item in self.scorers[1:]]
        further_of = {s.label: [] if s.scorer else further for s in self.selectors}
        curves = [name for label, more in further_of.items() for name in (label, *(f"{label}:{one}" for one in more))]
        if len(set(curves)) < len(curves):
            raise ConfigError(
                "Two curves would have one name (a selector's label, a colon, a scorer's). Change a label."
            )
        for item in self.selectors:
            if item.label == ORACLE or (item.label == RANDOM and item.spec.name != RANDOM):
                raise ConfigError(f"The label {item.label!r} belongs to a curve of every report. Give another.")
        return self

    @model_validator(mode="after")
    def _scorers_of_selectors_exist(self) -> "Config":
        labels = [item.label for item in self.scorers]
        for item in self.selectors:
            if item.scorer is not None and item.scorer not in labels:
                raise ConfigError(
                    unknown(item.scorer, f"the scorers, to which selector {item.label!r} is tied", labels)
                )
            if item.scorer is not None and getattr(plugins.find("selector", item.spec.name), "ignores_scores", False):
                raise ConfigError(f"The selector {item.label!r} looks at no score. Leave its `scorer` out.")
        return self

    @model_validator(mode="after")
    def _ks_fit(self) -> "Config":
        if self.generator.n is not None and self.ks and max(self.ks) > self.generator.n:
            raise ConfigError(
                f"ks has {max(self.ks)}, but generator.n is {self.generator.n}: k of n candidates are kept. Raise "
                "generator.n or leave the larger ks out."
            )
        return self

    @model_validator(mode="after")
    def _policy_has_scores(self) -> "Config":
        if self.stopping is not None and not self.scorers:
            policy = plugins.build("policy", self.stopping.spec, "stopping")
            if "scores" in getattr(policy, "needs", ()):
                raise ConfigError(
                    f"stopping is {self.stopping.spec.name!r}, which looks at scores, and there is no scorer. Add one, "
                    "for example scorers=[likelihood], or take a policy that votes: beta."
                )
        return self

    def dump(self) -> str:
        """YAML that `load` reads back to an equal object."""
        return yaml.safe_dump(_plain(self), sort_keys=False)

    @property
    def benchmark_label(self) -> str:
        """What the benchmark is called where it is shown: of rows of one's own, as their file is."""
        path = self.benchmark.options.get("path") if self.benchmark.name == OWN_ROWS else None
        return Path(str(path)).name.split(".")[0] or self.benchmark.name if path else self.benchmark.name

    def context(self) -> dict[str, Any]:
        """What plug-ins take from the run unless they say otherwise: its seed and its grading limits."""
        return {"seed": self.seed, **self.grading.model_dump(exclude_none=True)}

    def resolved(self) -> "Config":
        """The same experiment with every default of every plug-in written out."""
        return self.model_copy(
            update={
                "benchmark": self._filled("benchmark", self.benchmark),
                "generator": self.generator.model_copy(update={"spec": self._filled("generator", self.generator.spec)}),
                "scorers": tuple(s.model_copy(update={"spec": self._filled("scorer", s.spec)}) for s in self.scorers),
                "selectors": tuple(
                    s.model_copy(update={"spec": self._filled("selector", s.spec)}) for s in self.selectors
                ),
                "stopping": self.stopping
                and self.stopping.model_copy(update={"spec": self._filled("policy", self.stopping.spec)}),
            }
        )

    def _filled(self, family: str, spec: Spec) -> Spec:
        plugin = plugins.build(family, spec, **self.context())
        return Spec(spec.name, {name: _as_yaml(value) for name, value in plugins.values(plugin).items()})


def _as_yaml(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _as_yaml(item) for key, item in value.items()}
    return [_as_yaml(item) for item in value] if isinstance(value, tuple | list) else value


def _plain(config: Config) -> dict[str, Any]:
    def spec(item: Spec, **more: Any) -> dict[str, Any]:
        return {"name": item.name, **more, **item.options}

    plain = config.model_dump(mode="python", exclude={"benchmark", "generator", "scorers", "selectors", "stopping"})
    plain["ks"] = list(config.ks)
    plain["benchmark"] = spec(config.benchmark)
    plain["generator"] = spec(config.generator.spec, n=config.generator.n)
    plain["scorers"] = [spec(s.spec, label=s.label) for s in config.scorers]
    tied = {s.label: {"scorer": s.scorer} if s.scorer else {} for s in config.selectors}
    plain["selectors"] = [spec(s.spec, label=s.label, **tied[s.label]) for s in config.selectors]
    if config.stopping is not None:
        plain["stopping"] = spec(config.stopping.spec, ahead=config.stopping.ahead)
    return plain


class ScorersConfig(_Strict):
    """A file of scorers alone, for `tts audit`: what a run's config has under the same names."""

    version: Literal[1] = 1
    scorers: tuple[Annotated[Labelled, _labelled("scorer")], ...]


class ServeSettings(_Strict):
    """How `tts serve` answers. A request may ask for up to `max_n` candidates and bring up to `max_public_tests`; with
    fewer than `min_candidates` it fails. `fallback` is the selector to choose with where the scorer fails or takes over
    `scorer_timeout` seconds after the last candidate. `concurrency` requests are sampled at once, `queue` more may
    wait, each for `deadline` seconds in all. Streams that have nothing to say yet say so every `keep_alive` seconds;
    `drain` seconds are given to what runs when the server is to end. API keys are in `keys_file`, one a line, or in the
    environment variable `keys_env`.
    """

    model: str = Field(default="", description="the name that clients ask for; by default the generator's model")
    max_n: int = Field(default=64, ge=1, le=4096, strict=True)
    max_tokens: int | None = Field(default=None, ge=1, strict=True, description="that a request may ask for")
    min_candidates: int = Field(default=1, ge=1, strict=True)
    fallback: Annotated[Labelled | None, _labelled("selector")] = None
    scorer_timeout: float = Field(default=60.0, gt=0, le=86_400)
    deadline: float = Field(default=600.0, gt=0, le=86_400)
    concurrency: int = Field(default=64, ge=1, le=65_536, strict=True)
    queue: int = Field(default=256, ge=0, le=1_048_576, strict=True)
    max_body_kib: int = Field(default=1024, ge=1, le=2**20, strict=True)
    max_prompt_characters: int = Field(default=400_000, ge=1, strict=True)
    max_public_tests: int = Field(default=20, ge=1, strict=True)
    keep_alive: float = Field(default=5.0, gt=0, le=3600)
    drain: float = Field(default=30.0, ge=0, le=86_400)
    keys_file: str = ""
    keys_env: str = ""

    @model_validator(mode="after")
    def _one_place_for_keys(self) -> "ServeSettings":
        if self.keys_file and self.keys_env:
            raise ConfigError("serve.keys_file and serve.keys_env are both set. Leave one out.")
        if self.min_candidates > self.max_n:
            raise ConfigError(f"serve.min_candidates is {self.min_candidates}, more than serve.max_n, {self.max_n}.")
        return self


class ServeConfig(_Strict):
    """A file for `tts serve`: a run's, without what only a run needs (`RUN_ONLY`), and `serve`. Of the scorers and
    selectors a request may name one; the first of each is the server's own choice.
    """

    version: Literal[1] = 1
    generator: Annotated[GeneratorConfig, BeforeValidator(_generator)]
    scorers: tuple[Annotated[Labelled, _labelled("scorer")], ...] = ()
    selectors: tuple[Annotated[Labelled, _labelled("selector")], ...] = ()
    stopping: Annotated[StoppingConfig | None, BeforeValidator(_stopping)] = None
    seed: int = Field(default=0, strict=True, ge=0, lt=2**63)
    prompt: PromptConfig = PromptConfig()
    grading: GradingConfig = GradingConfig()
    memory: MemoryConfig = MemoryConfig()
    serve: ServeSettings = ServeSettings()

    @model_validator(mode="after")
    def _complete(self) -> "ServeConfig":
        for family, items in (("scorers", self.scorers), ("selectors", self.selectors)):
            labels = [item.label for item in items]
            if not labels:
                raise ConfigError(f"{family} is missing: name at least one, see `tts list`.")
            if len(set(labels)) < len(labels):
                raise ConfigError(f"{family} has two of one label. Give one of them a `label:` of its own.")
        tied = next((item.label for item in self.selectors if item.scorer), None)
        if tied is not None:
            raise ConfigError(
                f"selector {tied!r} is tied to a scorer, as in a run's report. Here a request names its scorer, or has "
                "the first: leave `scorer` out."
            )
        if self.generator.n is None or self.generator.n > self.serve.max_n:
            raise ConfigError(
                f"generator.n is {self.generator.n}: say how many candidates a request gets by default, from 1 to "
                f"serve.max_n, {self.serve.max_n}."
            )
        return self

    def context(self) -> dict[str, Any]:
        """As a run's."""
        return {"seed": self.seed, **self.grading.model_dump()}


RUN_ONLY = ("benchmark", "ks", "report")  # what a run's config has and a server does without


class _OnceLoader(yaml.SafeLoader):
    """YAML's safe loader, but a key given twice in one mapping is an error rather than the last one winning, and a day
    stays the text that it is.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping; raises for a repeated key."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                break  # the safe loader's own complaint follows
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_OnceLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parse_yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, _OnceLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())  # YAML's own has several lines
        raise ConfigError(f"{where} is not readable YAML: {reason}. Mend it.") from error


def load(path: Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a YAML file with `key.sub=value` overrides applied, every plug-in's options checked.

    Raises ConfigError for a missing or unreadable file, an unknown key, a bad value or another version.
    """
    return parse(_read(path), overrides, str(path))


def _read(path: Path) -> Any:
    what, remedy = f"The config {path} cannot be read", "Give the path of a YAML file."
    with explained(ConfigError, what, remedy):
        data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what}: byte {error.start} is no UTF-8. {remedy}") from error
    return _parse_yaml(text, str(path))


def load_serve(path: Path, overrides: Sequence[str] = ()) -> ServeConfig:
    """A config for `tts serve`; a run's will do, of which RUN_ONLY keys are not read. Raises ConfigError as `load`."""
    where, raw = str(path), _read(path)
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be a mapping with generator, scorers, selectors and serve; got {raw!r}.")
    kept = {key: value for key, value in raw.items() if key not in RUN_ONLY}
    config = _validated(ServeConfig, _override(kept, overrides), where)
    selectors = _check_parts(config)
    if config.serve.fallback is not None:
        selectors["serve.fallback"] = _check_plugin("selector", config.serve.fallback.spec, "serve.fallback", "label")
    for label, selector in selectors.items():
        needs, scorers = getattr(selector, "needs", ()), getattr(selector, "scorers", ())
        if "written_tests" in needs or scorers:
            raise ConfigError(
                f"The selector {label!r} looks at several scorers, or at tests that a model wrote; a server has one "
                "scorer a request and no such tests. Choose another."
            )
    return config


def read_as(model: type[Model], path: Path, overrides: Sequence[str] = (), example: str = OVERRIDE) -> Model:
    """A YAML file as another model than a run's, of fields that know no plug-ins; `example` is of an override. Raises
    ConfigError as `load`.
    """
    where, raw = str(path), _read(path)
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be a mapping with {', '.join(model.model_fields)}; got {raw!r}.")
    tree = _override(dict(raw), overrides, example)
    _check_version(tree, where)
    return _of(model, tree, where)


def load_scorers(path: Path) -> tuple[Labelled, ...]:
    """The scorers of a run's config, or of a file that has nothing but `scorers`. Raises ConfigError as `load`."""
    raw = _read(path)
    if isinstance(raw, Mapping) and raw.keys() & {"benchmark", "generator"}:
        found = load(path).scorers
    else:
        found = _scorers_alone(raw, str(path))
    if not found:
        raise ConfigError(f"{path} names no scorer. Give it some, for example `scorers: [length]`; see `tts list`.")
    return found


def _scorers_alone(raw: object, where: str) -> tuple[Labelled, ...]:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be a mapping with scorers, or a run's config; got {raw!r}.")
    config = _validated(ScorersConfig, dict(raw), where)
    labels = [item.label for item in config.scorers]
    if len(set(labels)) < len(labels):
        raise ConfigError(f"{where} has two scorers of one label. Give one of them a `label:` of its own.")
    for i, item in enumerate(config.scorers):
        _check_plugin("scorer", item.spec, f"scorers.{i}", "label")
    return config.scorers


def _with_scorers(tree: dict[str, Any], where: str) -> dict[str, Any]:
    """One scorer is `scorer: NAME`."""
    if "scorer" not in tree or "scorers" in tree:
        return tree
    one = tree.pop("scorer")
    if isinstance(one, list):
        raise ConfigError(f"{where} has `scorer: {one}`. One scorer is `scorer: NAME`, several are `scorers: [...]`.")
    return {**tree, "scorers": [one]}


def parse(raw: object, overrides: Sequence[str] = (), where: str = "The config") -> Config:
    """Like `load`, from what YAML made of the text."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where} must be a mapping with benchmark, generator, scorers, selectors; got {raw!r}.")
    config = _validated(Config, _override(dict(raw), overrides), where)
    check_plugins(config)
    return config


def _validated(model: type[Model], tree: dict[str, Any], where: str) -> Model:
    """A file as the model that it is for. Raises ConfigError for another version, an unknown key or a bad value."""
    _check_version(tree, where)
    return _of(model, _with_scorers(tree, where), where)


def _of(model: type[Model], tree: Mapping[str, Any], where: str) -> Model:
    _check_keys(tree, model, where)
    try:
        return model.model_validate(tree)
    except pydantic.ValidationError as error:
        raise ConfigError(f"In {where}: {plugins.explain(error)}") from error


def _check_version(tree: Mapping[str, Any], where: str) -> None:
    version = tree.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise ConfigError(
            f"{where} has version {tree['version']!r}; this tts reads version {VERSION}. "
            "Install the tts that wrote it, or rewrite it after configs/demo.yaml."
        )


def _check_keys(tree: Mapping[str, Any], model: type[pydantic.BaseModel], where: str, path: str = "") -> None:
    for key, value in tree.items():
        if key not in model.model_fields:
            raise ConfigError(unknown(f"{path}{key}", where, [f"{path}{name}" for name in model.model_fields]))
        field = model.model_fields[key]
        inner = None if field.metadata else _model_of(field.annotation)  # what parses itself has keys of its own
        if inner is not None and not (value is None and type(None) in get_args(field.annotation)):
            if not isinstance(value, Mapping):
                raise ConfigError(f"In {where}: {path}{key} must be a mapping, got {value!r}.")
            _check_keys(value, inner, where, f"{path}{key}.")


def _model_of(annotation: Any) -> type[pydantic.BaseModel] | None:
    """The model of a field that is one, or None."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, pydantic.BaseModel)), None)


def _override(tree: dict[str, Any], overrides: Sequence[str], example: str = OVERRIDE) -> dict[str, Any]:
    for item in overrides:
        key, equals, text = item.partition("=")
        if not equals or not key:
            raise ConfigError(f"An override is key.sub=value, got {item!r}. For example: {example}")
        _place(tree, key.split("."), _parse_yaml(text, f"The override {item!r}"), item)
    return tree


def memory_config(raw: Mapping[str, Any]) -> MemoryConfig:
    """A config's `memory` on its own. Raises ConfigError."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"memory must be a mapping, as {{'mode': 'swap'}}, got {raw!r}.")
    return _of(MemoryConfig, raw, "memory")


def value(text: str, where: str) -> Any:
    """A value given on the command line, read as YAML. Raises ConfigError."""
    return _parse_yaml(text, where)


def options(items: Sequence[str], usual: str) -> dict[str, Any]:
    """Options given as key=value, their values read as YAML; `usual` is the one that a bare path may be meant for.
    Raises ConfigError.
    """
    for item in items:
        if not item.partition("=")[1]:
            meant = f"Did you mean {usual}={item}?" if {*"./"} & {*item} else "`tts list` has the options there are."
            raise ConfigError(f"An option is key=value, got {item!r}. {meant}")
    return _override({}, items)


def _place(tree: Any, path: Sequence[str], value: object, item: str) -> None:
    """Put `value` at `path`; a plug-in given by its bare name becomes a mapping so that an option can be added."""
    head, rest = path[0], path[1:]
    key: Any = head
    if isinstance(tree, list):
        if not head.isdecimal() or int(head) >= len(tree):
            raise ConfigError(f"In {item!r}: {head!r} is not a position in a list of {len(tree)}; they count from 0.")
        key = int(head)
    elif not isinstance(tree, dict):
        raise ConfigError(f"In {item!r}: nothing can be set below {tree!r}.")
    if not rest:
        tree[key] = value
        return
    inner = tree[key] if isinstance(tree, list) else tree.get(key, {})
    inner = {"name": inner} if isinstance(inner, str) else inner
    tree[key] = dict(inner) if isinstance(inner, dict) else list(inner) if isinstance(inner, list) else inner
    _place(tree[key], rest, value, item)


def check_plugins(config: Config) -> None:
    """Build every plug-in once, so that a bad option is found before any work. Plug-ins load nothing when built."""
    _check_plugin("benchmark", config.benchmark, "benchmark")
    for label, selector in _check_parts(config).items():
        _check_wishes(selector, label, config)


def _check_parts(config: Config | ServeConfig) -> dict[str, Any]:
    """What a run and a server have both; the selectors by their labels."""
    if config.prompt.extraction not in EXTRACTORS:
        raise ConfigError(unknown(config.prompt.extraction, "prompt.extraction", EXTRACTORS))
    _check_plugin("generator", config.generator.spec, "generator", "n")
    if config.stopping is not None:
        _check_plugin("policy", config.stopping.spec, "stopping", "ahead")
    for i, item in enumerate(config.scorers):
        _check_plugin("scorer", item.spec, f"scorers.{i}", "label")
    return {
        item.label: _check_plugin("selector", item.spec, f"selectors.{i}", "label")
        for i, item in enumerate(config.selectors)
    }


def _check_wishes(selector: Any, label: str, config: Config) -> None:
    """What a selector looks at must be there."""
    if "written_tests" in getattr(selector, "needs", ()) and config.behaviours.tests is None:
        raise ConfigError(
            f"The selector {label!r} asks for tests that a model wrote. Name their file, behaviours.tests=PATH, or "
            "give it the public ones."
        )
    known = [item.label for item in config.scorers]
    for name in getattr(selector, "scorers", ()):
        if name not in known:
            raise ConfigError(unknown(name, "the run's scorers", known))


def _check_plugin(family: str, spec: Spec, path: str, *ours: str) -> Any:
    """Build one plug-in; `ours` are the keys beside its options that the config itself reads."""
    known = ["name", *ours, *(option.name for option in plugins.options(plugins.find(family, spec.name)))]
    for key in spec.options:
        if key not in known:
            allowed = [f"{path}.{name}" for name in known]
            raise ConfigError(unknown(f"{path}.{key}", f"the options of {family} {spec.name!r}", allowed))
    return plugins.build(family, spec, path)

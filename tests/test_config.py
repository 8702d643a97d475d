"""One YAML file = one experiment: read strictly, overridden from the command line, dumped to the same again."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tts import config, training
from tts.config import Config
from tts.errors import ConfigError, UserError
from tts.plugins import Spec

BASE = """
benchmark: mini
generator: {name: replay, path: samples.jsonl}
"""
DEMO = Path(__file__).parent.parent / "configs" / "demo.yaml"


def written(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def load(tmp_path):
    """Loads a config's text with overrides, from a real file."""
    return lambda text, *overrides: config.load(written(tmp_path, text), overrides)


@pytest.fixture
def refused(load):
    """The message with which a config's text is refused."""

    def message(text, *overrides):
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides)
        assert isinstance(caught.value, UserError)
        return str(caught.value)

    return message


def test_a_small_config_has_defaults(load):
    found = load(BASE)

    assert found.benchmark == Spec("mini", {})
    assert found.generator.spec == Spec("replay", {"path": "samples.jsonl"})
    assert (found.generator.n, found.seed, found.scorers, found.selectors, found.ks) == (None, 0, (), (), ())
    assert (found.grading.timeout, found.grading.output_mib, found.prompt.extraction) == (None, 16, "cascade")


def test_a_config_is_frozen(load):
    with pytest.raises(ValueError, match="frozen"):
        load(BASE).seed = 3


@pytest.mark.parametrize("path", sorted(DEMO.parent.glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_is_valid(path):
    if path.name.startswith("train"):
        assert training.load(path).pairs
    else:
        assert (config.load_serve if path.name.startswith("serve") else config.load)(path).selectors


def test_the_demo_lists_the_five_selectors():
    demo = config.load(DEMO)

    assert [s.label for s in demo.selectors] == ["random", "argmax", "majority", "weighted_vote", "threshold"]
    assert demo.generator.n >= 8


# Unknown keys: the path, the nearest valid name, and all there are.


@pytest.mark.parametrize(
    ("text", "got", "nearest"),
    [
        (BASE + "sede: 3", "sede", "seed"),
        (BASE + "selector: random", "selector", "selectors"),
        (BASE + "scorer: length\nscorers: [length]", "scorer", "scorers"),
        (BASE + "grading: {timout: 3}", "grading.timout", "grading.timeout"),
        (BASE + "prompt: {sytem: x}", "prompt.sytem", "prompt.system"),
        (BASE + "report: {resample: 200}", "report.resample", "report.resamples"),
        ("benchmark: {name: mini, limt: 3}\ngenerator: {name: replay, path: x}", "benchmark.limt", "benchmark.limit"),
        ("benchmark: mini\ngenerator: {name: replay, pth: x}", "generator.pth", "generator.path"),
        (BASE + "scorers: [likelihood, {name: length, prefr: long}]", "scorers.1.prefr", "scorers.1.prefer"),
        (BASE + "scorers: [{name: length, lable: long}]", "scorers.0.lable", "scorers.0.label"),
        (BASE + "selectors: [{name: threshold, vlue: 1}]", "selectors.0.vlue", "selectors.0.value"),
    ],
)
def test_an_unknown_key_is_refused_with_its_path_and_the_nearest(refused, text, got, nearest):
    message = refused(text)

    assert f"No {got!r} in " in message
    assert f"Did you mean {nearest!r}?" in message
    assert "There are: " in message


@pytest.mark.parametrize(
    ("text", "got", "nearest"),
    [
        ("benchmark: minni\ngenerator: {name: replay, path: x}", "minni", "mini"),
        ("benchmark: mini\ngenerator: transformer", "transformer", "transformers"),
        (BASE + "scorers: [lenght]", "lenght", "length"),
        (BASE + "selectors: [argmx]", "argmx", "argmax"),
        (BASE + "selectors: [{name: threshold, then: majorty}]", "majorty", "majority"),
        (BASE + "prompt: {extraction: cascad}", "cascad", "cascade"),
    ],
)
def test_an_unknown_plugin_is_refused_with_the_nearest(refused, text, got, nearest):
    message = refused(text)

    assert repr(got) in message
    assert f"Did you mean {nearest!r}?" in message


# Bad values: the path, what was got, what is allowed.


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "benchmark: mini\ngenerator: {name: replay, path: x, n: 0}",
            ["generator.n", "greater than or equal to 1", "0"],
        ),
        ("benchmark: mini\ngenerator: {name: replay, path: x, n: -3}", ["generator.n", "-3"]),
        ("benchmark: mini\ngenerator: {name: replay, path: x, n: yes}", ["generator.n", "integer", "True"]),
        ("benchmark: mini\ngenerator: {name: replay, path: x, n: 2.5}", ["generator.n", "integer", "2.5"]),
        ("benchmark: mini\ngenerator: {name: replay, path: x, n: many}", ["generator.n", "integer", "'many'"]),
        ("benchmark: mini\ngenerator: {name: replay, path: [x]}", ["generator", "path", "string", "['x']"]),
        ("benchmark: mini\ngenerator: replay", ["generator", "path", "required"]),
        ("benchmark: mini\ngenerator: 5", ["generator", "a name or a mapping", "5"]),
        ("benchmark: mini", ["generator", "required"]),
        ("generator: {name: replay, path: x}", ["benchmark", "required"]),
        (
            "benchmark: {name: mini, limit: 0}\ngenerator: {name: replay, path: x}",
            ["benchmark.limit", "at least 1", "0"],
        ),
        ("benchmark: {name: mini, limit: yes}\ngenerator: {name: replay, path: x}", ["benchmark", "limit", "number"]),
        (
            "benchmark: {name: mini, difficulty: easy}\ngenerator: {name: replay, path: x}",
            ["difficulty", "list", "'easy'"],
        ),
        (
            "benchmark: {name: mini, start_date: May}\ngenerator: {name: replay, path: x}",
            ["start_date", "2024-08-01", "May"],
        ),
        (BASE + "scorers: length", ["scorers", "list", "'length'"]),
        (BASE + "scorers: [5]", ["scorer", "a name or a mapping", "5"]),
        (BASE + "scorers: [{name: length, prefer: wide}]", ["scorers.0", "prefer", "'short' or 'long'", "'wide'"]),
        (BASE + "scorers: [{name: public_tests, workers: 0}]", ["workers", "at least 1", "0"]),
        (BASE + "selectors: [{name: weighted_vote, temperature: 0}]", ["temperature", "above 0", "0"]),
        (BASE + "selectors: [{name: threshold, mode: quantile, value: 2}]", ["quantile", "0 to 1", "2"]),
        (BASE + "selectors: [{name: threshold, value: .nan}]", ["value", "number", "nan"]),
        (BASE + "ks: [1, 0]", ["ks.1", "greater than or equal to 1", "0"]),
        (BASE + "ks: 4", ["ks", "list", "4"]),
        (BASE + "seed: yes", ["seed", "integer", "True"]),
        (BASE + "seed: -1", ["seed", "greater than or equal to 0", "-1"]),
        (
            BASE + "scorers: [length, likelihood]\nselectors: [argmax, {name: random, label: 'argmax:likelihood'}]",
            ["Two curves would have one name"],
        ),
        (BASE + "selectors: [{name: argmax, label: oracle}]", ["'oracle'", "every report"]),
        (BASE + "grading: 3", ["grading", "mapping", "3"]),
        (BASE + "grading:", ["grading", "mapping", "None"]),
        (BASE + "grading: {timeout: 0}", ["grading.timeout", "greater than 0", "0"]),
        (BASE + "grading: {timeout: .inf}", ["grading.timeout", "86400", "inf"]),
        (BASE + "grading: {timeout: .nan}", ["grading.timeout", "nan"]),
        (BASE + "grading: {memory_mib: 1}", ["grading.memory_mib", "32", "1"]),
        (BASE + "grading: {workers: 0}", ["grading.workers", "1", "0"]),
        (BASE + "report: {level: 1}", ["report.level", "less than 1", "1"]),
        (BASE + "prompt: {system: [a]}", ["prompt.system", "string", "['a']"]),
    ],
)
def test_a_bad_value_is_refused_with_its_path_what_was_got_and_what_is_allowed(refused, text, words):
    message = refused(text)

    assert [word for word in words if word not in message] == []


def test_a_label_given_twice_is_refused_with_the_remedy(refused, load):
    message = refused(BASE + "selectors: [random, {name: random, seed: 3}]")

    assert "selectors has 'random' twice" in message
    assert "label:" in message
    found = load(BASE + "selectors: [random, {name: random, seed: 3, label: again}]")
    assert [item.label for item in found.selectors] == ["random", "again"]
    assert found.selectors[1].spec == Spec("random", {"seed": 3})


# The file itself.


def test_a_config_of_another_version_says_which_is_read(refused):
    message = refused(BASE + "version: 2")

    assert "has version 2" in message
    assert "reads version 1" in message
    assert "Install" in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "seed: 1\nseed: 2", "line 5"),
        ("benchmark: mini\ngenerator:\n  name: replay\n  path: x\n  path: y", "line 5"),
        (BASE + "scorers: [{name: length, name: likelihood}]", "line 4"),
    ],
)
def test_a_key_given_twice_is_refused_at_every_level(refused, text, line):
    message = refused(text)

    assert "given twice" in message
    assert line in message


@pytest.mark.parametrize("text", ["", "- a\n- b", "mini", "3"])
def test_what_is_no_mapping_is_refused_with_what_it_should_hold(refused, text):
    message = refused(text)

    assert "must be a mapping" in message
    assert "benchmark, generator" in message


@pytest.mark.parametrize(
    "text",
    ["a: [1", "a: b: c", "\tx: 1", "{[1]: 2}", "!!python/object:os.system {}", "[" * 3000, "seed: " + "9" * 5000],
)
def test_what_is_no_yaml_is_refused_with_the_files_name(refused, text):
    message = refused(text)

    assert "run.yaml" in message
    assert "not readable YAML" in message


def test_an_absent_file_is_refused_with_the_remedy(tmp_path):
    for load in (config.load, config.load_serve, config.load_scorers):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path / "absent.yaml")
        why = "No such file or directory. Give the path of a YAML file."
        assert str(caught.value) == f"The config {tmp_path / 'absent.yaml'} cannot be read: {why}"


def test_what_has_no_default_is_asked_for_with_an_example(refused):
    assert "generator: field required, for example generator={name: " in refused("benchmark: mini")
    assert "path: field required, for example path=rows.jsonl." in refused("benchmark: mbpp\ngenerator: transformers")


def test_a_folder_and_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x81")

    for path in (tmp_path, tmp_path / "bytes.yaml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            config.load(path)


def test_an_unquoted_day_is_the_text_that_it_looks_like(load):
    text = "benchmark: {name: livecodebench, path: x.jsonl, start_date: 2024-08-01}\ngenerator: {name: replay, path: x}"

    assert load(text).benchmark.options["start_date"] == "2024-08-01"
    assert load(text, "benchmark.end_date=2025-01-31").benchmark.options["end_date"] == "2025-01-31"


def test_yamls_merge_key_works(load):
    text = (
        "benchmark: mini\ngenerator: {name: replay, path: x}\nscorers:\n  - &a {name: length}\n  - {<<: *a, label: b}"
    )

    assert [item.spec.name for item in load(text).scorers] == ["length", "length"]


def test_scorer_is_short_for_a_list_of_one(load):
    found = load(BASE + "scorer: {name: length, prefer: long}")

    assert found == load(BASE + "scorers: [{name: length, prefer: long}]")
    assert load(BASE + "scorer: length", "scorer.prefer=long") == found


# Overrides.


def test_an_override_reaches_into_a_mapping(load):
    assert load(BASE, "generator.n=4").generator.n == 4
    assert load(BASE, "grading.timeout=2").grading.timeout == 2.0
    assert load(BASE, "seed=7").seed == 7


def test_an_override_reaches_into_a_list_and_a_bare_name_becomes_a_mapping(load):
    found = load(BASE + "scorers: [length, likelihood]", "scorers.0.prefer=long", "scorers.1.reduce=sum")

    assert found.scorers[0].spec == Spec("length", {"prefer": "long"})
    assert found.scorers[1].spec == Spec("likelihood", {"reduce": "sum"})


def test_an_override_of_a_bare_names_option(load):
    assert load(BASE, "benchmark.limit=3").benchmark == Spec("mini", {"limit": 3})


def test_an_override_may_be_a_list_or_a_mapping(load):
    found = load(BASE, "selectors=[random, {name: weighted_vote, temperature: 0.5}]", "ks=[1, 4]")

    assert [item.label for item in found.selectors] == ["random", "weighted_vote"]
    assert found.ks == (1, 4)


def test_the_last_of_two_overrides_wins(load):
    assert load(BASE, "seed=1", "seed=2").seed == 2


def test_an_empty_value_unsets(load):
    assert load(BASE, "generator.n=4", "generator.n=").generator.n is None


def test_a_value_may_hold_an_equals_sign(load):
    assert load(BASE, "prompt.system=a=b").prompt.system == "a=b"


@pytest.mark.parametrize("override", ["generator.n", "=4", "", "random"])
def test_a_malformed_override_is_refused_with_an_example(refused, override):
    message = refused(BASE, override)

    assert f"key.sub=value, got {override!r}" in message
    assert "generator.n=16" in message


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("scorers.5.prefer=long", ["'5' is not a position", "list of 1", "from 0"]),
        ("scorers.-1.prefer=long", ["'-1' is not a position"]),
        ("scorers.².prefer=long", ["'²' is not a position"]),
        ("scorers.first.prefer=long", ["'first' is not a position"]),
        ("scorers.0.prefr=long", ["scorers.0.prefr", "scorers.0.prefer"]),
        ("generatr.n=3", ["generatr", "Did you mean 'generator'"]),
        ("generator.n=[1", ["The override", "not readable YAML"]),
        ("seed.x=3", ["seed", "{'x': 3}"]),
        ("ks.0.x=1", ["ks.0.x=1", "nothing can be set below 1"]),
        ("grading.timout=3", ["grading.timout", "grading.timeout"]),
    ],
)
def test_an_override_that_fits_nowhere_is_refused(refused, override, words):
    message = refused(BASE + "scorers: [length]\nks: [1]", override)

    assert [word for word in words if word not in message] == []


def test_overrides_leave_what_they_were_given_alone():
    raw = {"benchmark": "mini", "generator": {"name": "replay", "path": "x"}, "scorers": [{"name": "length"}]}
    before = yaml.safe_dump(raw)

    config.parse(raw, ["scorers.0.prefer=long", "generator.n=3", "benchmark.limit=2"])

    assert yaml.safe_dump(raw) == before


def test_bare_options_are_read_as_yaml():
    assert config.options(["a=1", "b=[x, y]", "c.d=true", "e=2024-01-01"], "path") == {
        "a": 1,
        "b": ["x", "y"],
        "c": {"d": True},
        "e": "2024-01-01",
    }


# Dump and load.

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
SELECTORS = st.sampled_from(
    [
        "random",
        "majority",
        {"name": "argmax", "label": "best"},
        {"name": "weighted_vote", "temperature": 0.25},
        {"name": "threshold", "mode": "quantile", "value": 0.5, "then": {"name": "random", "seed": 3}},
    ]
)
CONFIGS = st.fixed_dictionaries(
    {
        "benchmark": st.one_of(
            st.just("mini"),
            st.fixed_dictionaries({"name": st.just("jsonl"), "path": TEXTS, "start_date": st.just("2024-08-01")}),
        ),
        "generator": st.fixed_dictionaries(
            {"name": st.just("replay"), "path": TEXTS, "n": st.none() | st.integers(100, 1000)}
        ),
        "scorers": st.lists(st.sampled_from(["length", "likelihood", "public_tests"]), unique=True),
        "selectors": st.lists(SELECTORS, unique_by=str),
        "seed": st.integers(0, 2**63 - 1),
        "ks": st.lists(st.integers(1, 100)),
        "prompt": st.fixed_dictionaries({"system": st.none() | TEXTS}),
        "grading": st.fixed_dictionaries(
            {"timeout": st.floats(0.001, 86_400), "workers": st.none() | st.integers(1, 64)}
        ),
        "report": st.fixed_dictionaries({"level": st.floats(0.5, 1, exclude_min=True, exclude_max=True)}),
    }
)


@given(CONFIGS)
def test_a_dumped_config_loads_to_an_equal_one(raw):
    first = config.parse(raw)

    again = config.parse(yaml.safe_load(first.dump()))

    assert again == first
    assert again.dump() == first.dump()


def test_a_dumped_file_loads_to_an_equal_config(tmp_path):
    demo = config.load(DEMO, ["generator.n=5", "benchmark.start_date=2026-01-01"])

    assert config.load(written(tmp_path, demo.dump())) == demo


def test_a_config_can_be_made_from_its_own_parts():
    demo = config.load(DEMO)

    assert Config(benchmark=demo.benchmark, generator=demo.generator, selectors=demo.selectors[:1]).seed == 0


SCORED = """
benchmark: mini
generator: {name: replay, path: samples.jsonl}
scorers: [likelihood, length]
"""


def test_a_selector_may_be_tied_to_a_scorer(load):
    found = load(SCORED + "selectors: [argmax, {name: argmax, scorer: length, label: shortest}]\n")
    assert [item.scorer for item in found.selectors] == [None, "length"]
    assert config.parse(yaml.safe_load(found.dump())) == found


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("{name: argmax, scorer: lenght}", "No 'lenght' in the scorers, to which selector 'argmax' is tied. Did you"),
        ("{name: majority, scorer: length}", "The selector 'majority' looks at no score."),
        ("{name: argmax, scorer: 3}", "scorer"),
    ],
)
def test_a_selector_cannot_be_tied_to_what_is_no_scorer_of_its(refused, selector, said):
    assert said in refused(SCORED + f"selectors: [{selector}]\n")


def test_a_server_s_selector_is_tied_to_no_scorer(tmp_path):
    text = "generator: {name: transformers, n: 2}\nscorers: [length]\nselectors: [{name: argmax, scorer: length}]\n"
    with pytest.raises(ConfigError, match=r"'argmax' is tied to a scorer.*leave `scorer` out"):
        config.load_serve(written(tmp_path, text))


@pytest.mark.parametrize(
    ("benchmark", "label"),
    [
        ("mini", "mini"),
        ("{name: jsonl, path: rows/leetcode.jsonl.gz}", "leetcode"),
        ("{name: jsonl, path: owner/set/mine.jsonl}", "mine"),
        ("{name: humaneval, path: x.jsonl}", "humaneval"),
    ],
)
def test_rows_of_one_s_own_are_called_as_their_file_is(load, benchmark, label):
    text = f"benchmark: {benchmark}\ngenerator: {{name: replay, path: x}}\n"
    assert load(text).benchmark_label == label

"""A name -> an object: names, nearest names, outside code, and options checked against their fields."""

import subprocess
import sys

import pytest

from tts import plugins
from tts.errors import ConfigError, UserError
from tts.plugins import FREE, METHODS, Option, Spec
from tts.score.length import Length

OUTSIDE = '''"""Scores nothing. Second sentence.

More.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Mine:
    """Options: several."""

    scale: float
    steps: int = 3
    words: tuple[str, ...] = ()
    mode: Literal["a", "b"] = "a"
    fast: bool = False
    table: dict[str, int] = field(default_factory=dict)
    free: int = field(default=1, metadata={"fingerprint": False})
    seed: int = 0
    derived: int = field(default=0, init=False)

    def score(self, pairs):
        """Nothing."""
        return iter(())


class Plain:
    def score(self, pairs): ...


@dataclass
class Silent:
    score: int = 0


def function(): ...
'''


@pytest.fixture
def outside(tmp_path, request):
    """A real module on sys.path, named after its test so that no two tests share it."""
    name = f"outside_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(OUTSIDE)
    sys.path.insert(0, str(tmp_path))
    yield name
    sys.path.remove(str(tmp_path))
    sys.modules.pop(name, None)


def refusal(call, *arguments, **keywords) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*arguments, **keywords)
    assert isinstance(caught.value, UserError)
    return str(caught.value)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("benchmark", {"mini", "livecodebench", "jsonl", "humaneval", "mbpp"}),
        ("generator", {"transformers", "replay"}),
        ("scorer", {"codescaler", "likelihood", "length", "public_tests"}),
        ("selector", {"random", "argmax", "majority", "weighted_vote", "threshold"}),
    ],
)
def test_the_folder_is_the_registry(family, expected):
    found = plugins.names(family)

    assert expected <= set(found)
    assert found == sorted(found)
    assert not [name for name in found if name.startswith("_")]


def test_a_name_is_found():
    assert plugins.find("scorer", "length") is Length


def test_a_plus_in_a_name_is_plus_in_the_files():
    assert not [name for family in plugins.FAMILIES for name in plugins.names(family) if "plus" in name]
    assert "No 'humaneval_plus'" in refusal(plugins.find, "benchmark", "humaneval_plus")


def test_an_unknown_name_gets_the_nearest_and_all():
    assert refusal(plugins.find, "selector", "argmx") == (
        f"No 'argmx' in tts/select. Did you mean 'argmax'? There are: {', '.join(plugins.names('selector'))}."
    )


def test_a_name_like_no_other_gets_all():
    message = refusal(plugins.find, "scorer", "zzz")

    assert "Did you mean" not in message
    assert "length" in message


@pytest.mark.parametrize("name", ["_keys", "__init__", "../score/length", "length.py", ""])
def test_what_is_no_plugin_is_not_found(name):
    assert f"No {name!r} in tts/score" in refusal(plugins.find, "scorer", name)


@pytest.mark.parametrize("value", ["length", {"name": "length"}, Spec("length", {})])
def test_a_plugin_is_named_by_a_word_or_a_mapping(value):
    assert Spec.parse("scorer", value) == Spec("length", {})


def test_a_mapping_holds_options():
    assert Spec.parse("scorer", {"prefer": "long", "name": "length"}) == Spec("length", {"prefer": "long"})


@pytest.mark.parametrize("value", [5, None, ["length"], {"prefer": "long"}, {"name": 3}])
def test_anything_else_is_refused_with_what_was_got(value):
    message = refusal(Spec.parse, "scorer", value)

    assert "A scorer is a name or a mapping" in message
    assert repr(value) in message


def test_outside_code_is_built_with_its_options(outside):
    found = plugins.build("scorer", {"name": f"{outside}:Mine", "scale": 2, "words": ["x", "y"], "fast": True})

    assert (found.scale, found.steps, found.words, found.fast) == (2.0, 3, ("x", "y"), True)


def test_outside_code_runs_from_the_command_line(tmp_path):
    (tmp_path / "elsewhere.py").write_text(OUTSIDE)
    (tmp_path / "pairs.jsonl").write_text('{"id": 1, "question": "q", "code": "x"}\n')
    command = [sys.executable, "-m", "tts.cli", "score", "pairs.jsonl", "--scorer", "elsewhere:Mine", "scale=hot"]

    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)

    assert done.returncode == 2
    assert "scale" in done.stderr
    assert "hot" in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_code_that_is_not_there_names_the_remedy():
    message = refusal(plugins.find, "scorer", "no_such_module_anywhere:Thing")

    assert "no_such_module_anywhere" in message
    assert "PYTHONPATH" in message


def test_an_attribute_that_is_not_there_is_named(outside):
    assert "Absent" in refusal(plugins.find, "scorer", f"{outside}:Absent")


@pytest.mark.parametrize("name", [":x", "a:", "..a:x", "a b:x", "a:b:c", "a.:x", ":"])
def test_a_malformed_outside_name_says_the_form(name):
    assert "your.module:Class" in refusal(plugins.find, "scorer", name)


@pytest.mark.parametrize("name", ["Plain", "function"])
def test_outside_code_must_be_a_dataclass(outside, name):
    assert "not a dataclass" in refusal(plugins.find, "scorer", f"{outside}:{name}")


def test_outside_code_must_have_its_familys_methods(outside):
    message = refusal(plugins.find, "selector", f"{outside}:Mine")

    assert "no method 'select'" in message
    assert "protocols" in message
    assert "no method 'score'" in refusal(plugins.find, "scorer", f"{outside}:Silent")


def test_every_family_has_methods():
    assert set(METHODS) == set(plugins.FAMILIES)


def test_an_unknown_option_gets_its_nearest():
    message = refusal(plugins.build, "scorer", {"name": "length", "prefr": "long"}, "scorer 'mine'")

    assert message == "No 'prefr' in the options of scorer 'mine'. Did you mean 'prefer'? There are: prefer."


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": "hot"}, ["scale", "valid number", "'hot'"]),
        ({"scale": 1, "steps": 1.5}, ["steps", "integer", "1.5"]),
        ({"scale": 1, "steps": True}, ["steps", "number", "True"]),
        ({"scale": True}, ["scale", "number", "True"]),
        ({"scale": 1, "mode": "c"}, ["mode", "'a' or 'b'", "'c'"]),
        ({"scale": 1, "words": "abc"}, ["words", "list", "'abc'"]),
        ({"scale": 1, "words": ["a", None]}, ["words.1", "string", "None"]),
        ({"scale": 1, "table": {"a": "x"}}, ["table.a", "integer", "'x'"]),
        ({"scale": 1, "fast": "perhaps"}, ["fast", "boolean", "'perhaps'"]),
        ({}, ["scale", "required"]),
        ({"scale": 1, "derived": 2}, ["No 'derived'", "There are: "]),
    ],
)
def test_a_bad_option_is_refused_with_its_path_and_what_was_got(outside, options, words):
    message = refusal(plugins.build, "scorer", {"name": f"{outside}:Mine", **options}, "scorers.0")

    assert "scorers.0" in message
    assert [word for word in words if word not in message] == []


def test_every_bad_option_is_named_at_once(outside):
    message = refusal(plugins.build, "scorer", {"name": f"{outside}:Mine", "scale": "x", "steps": "y"})

    assert "scale" in message
    assert "steps" in message


def test_a_number_stands_for_a_text_where_a_text_is_wanted(outside):
    assert plugins.build("scorer", {"name": f"{outside}:Mine", "scale": 1, "words": [2760, "b"]}).words == ("2760", "b")


def test_ranges_are_the_plugins_own_check():
    message = refusal(plugins.build, "selector", {"name": "weighted_vote", "temperature": 0})

    assert "temperature must be above 0, got 0" in message


def test_context_fills_what_the_config_leaves_unset(outside):
    spec = {"name": f"{outside}:Mine", "scale": 1}

    assert plugins.build("scorer", spec, seed=7).seed == 7
    assert plugins.build("scorer", {**spec, "seed": 3}, seed=7).seed == 3
    assert plugins.build("scorer", "length", seed=7) == Length()


def test_options_are_listed_with_types_and_defaults(outside):
    found = plugins.options(plugins.find("scorer", f"{outside}:Mine"))

    assert found[:4] == [
        Option("scale", "float", "required"),
        Option("steps", "int", "3"),
        Option("words", "tuple[str, ...]", "()"),
        Option("mode", "Literal['a', 'b']", "'a'"),
    ]
    assert Option("table", "dict[str, int]", "{}") in found
    assert "derived" not in [option.name for option in found]


def test_the_purpose_is_the_modules_first_paragraph(outside):
    assert plugins.purpose(plugins.find("scorer", f"{outside}:Mine")) == "Scores nothing. Second sentence."


def test_free_options_are_in_no_fingerprint(outside):
    name = f"{outside}:Mine"
    one, other = (plugins.build("scorer", {"name": name, "scale": 1, "free": free}) for free in (1, 2))

    assert FREE == {"fingerprint": False}
    assert plugins.fingerprint(name, one) == plugins.fingerprint(name, other)
    assert plugins.fingerprint(name, one) != plugins.fingerprint(
        name, plugins.build("scorer", {"name": name, "scale": 2})
    )


@pytest.mark.parametrize("family", plugins.FAMILIES)
def test_the_command_line_lists_every_plugin_and_option(family):
    listed = subprocess.run([sys.executable, "-m", "tts.cli", "list"], capture_output=True, text=True, check=True)

    for name in plugins.names(family):
        found = plugins.find(family, name)
        assert f"  {name}: {plugins.purpose(found)}" in listed.stdout
        for option in plugins.options(found):
            assert f"{option.name}: {option.type} = {option.default}" in listed.stdout

"""The documents say what is there: each command, plug-in and config in the README exists, and the reverse."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from served import config, serving

from tts import config as configs
from tts import plugins, training
from tts.serving.schema import Extension

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def fenced(tag: str) -> list[str]:
    return re.findall(rf"```{tag}\n(.*?)```", README, re.DOTALL)


def commands() -> set[str]:
    helped = subprocess.run([sys.executable, "-m", "tts.cli", "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^  ([a-z][a-z-]*)  ", helped.stdout, re.MULTILINE))


def test_every_command_is_in_the_readme_and_the_reverse() -> None:
    shown = set(re.findall(r"^tts ([a-z-]+)", README, re.MULTILINE))
    assert shown == commands()


@pytest.mark.parametrize("family", plugins.FAMILIES)
def test_every_plug_in_is_in_the_tree_of_readme_and_architecture(family: str) -> None:
    for text in (README, ARCHITECTURE):
        line = next(line for line in text.splitlines() if line.strip().startswith(f"{plugins.FAMILIES[family]}/"))
        assert set(plugins.names(family)) <= set(re.findall(r"[a-z_]+\+?", line.split("/", 1)[1]))


def test_every_make_target_and_config_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for path in re.findall(r"configs/[\w.-]+\.yaml", README):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_loads(path: Path) -> None:
    if path.name.startswith("train"):
        training.load(path)
    elif path.name.startswith("serve"):
        configs.load_serve(path)
    else:
        configs.load(path)


def test_the_readme_s_yaml_is_a_valid_config() -> None:
    (text,) = fenced("yaml")
    configs.parse(yaml.load(text, configs._OnceLoader))


def test_the_readme_s_rows_are_valid_problems(tmp_path: Path) -> None:
    (text,) = fenced("json")
    path = tmp_path / "problems.jsonl"
    path.write_text(text)
    benchmark = plugins.build("benchmark", {"name": "jsonl", "path": str(path)})
    assert [len(benchmark.tests(problem.id)) for problem in benchmark.problems()] == [2, 1]
    assert all(json.loads(line) for line in text.splitlines())


def test_the_readme_s_client_runs_against_a_server() -> None:
    (code,) = (code for code in fenced("python") if "openai" in code)
    with serving(config(model="embedded")) as served:
        code = code.replace("http://127.0.0.1:8000", served.url)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("7.0 1.0")  # the stand-in scores eight candidates by their indices


def test_every_option_of_serve_is_in_its_page() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    for name in configs.ServeSettings.model_fields:
        assert f"`{name}`" in text, name
    for name in Extension.model_fields:
        assert f"`{name}`" in text, name


def test_every_option_of_a_training_is_in_its_page() -> None:
    text = (ROOT / "docs" / "training.md").read_text()
    for name in [*training.TrainConfig.model_fields.keys() - {"version", "lora"}, "lora.rank"]:
        assert f"`{name}`" in text, name


def test_the_readme_s_python_runs_with_the_embedded_model() -> None:
    (code,) = (code for code in fenced("python") if "BestOfN" in code)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith(" 4")


def test_every_file_of_the_package_is_in_the_architecture() -> None:
    for path in (ROOT / "tts").glob("*.py"):
        if not path.name.startswith("_"):
            assert path.name in ARCHITECTURE, path.name


def test_the_contributing_example_is_a_working_selector(tmp_path: Path) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    program = "from tts import plugins; print(plugins.build('selector', 'mine:Shortest'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "Shortest" in done.stdout


def test_no_document_or_file_names_a_registry_s_host() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    hosts = [f"{name}.org" for name in ("pypi", "pythonhosted", "npmjs", "debian")]
    for name in listed:
        data = (ROOT / name).read_bytes()
        assert not any(host.encode() in data for host in hosts), name

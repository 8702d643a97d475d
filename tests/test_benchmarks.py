"""Each benchmark says how it is used, and the one for GPUs runs all of its parts on any machine."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tts import config as configs

FOLDER = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("[a-z]*.py"))


def run(*arguments: object, timeout_seconds: float) -> str:
    line = [sys.executable, *map(str, arguments)]
    done = subprocess.run(line, cwd=FOLDER, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "script", ["overlap.py", "vllm_generation.py", "gpu.py", "ray_scaling.py", "train_embedded.py"]
)
def test_a_benchmark_s_help_has_an_example_and_loads_no_model(script: str) -> None:
    assert f"python benchmarks/{script}" in run(script, "--help", timeout_seconds=60)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_is_described(script: str) -> None:
    assert f"`{script}`" in (FOLDER / "README.md").read_text()


def test_the_table_of_scaling_is_what_was_measured() -> None:
    text = (FOLDER.parent / "docs" / "scaling.md").read_text()
    rows = run("ray_scaling.py", "--table", timeout_seconds=60)
    assert f"|---|---|---|---|---|---|\n{rows}<!-- end -->" in text
    saved = json.loads((FOLDER / "results" / "ray_scaling.json").read_text())
    assert f"{saved['full_speed']['candidates_per_second']:,.0f} candidates a second" in text


def test_stand_ins_overlap(tmp_path: Path) -> None:
    run("overlap.py", "--shares", 1, "--seconds", 1, "--rounds", 1, "--name", tmp_path / "overlap", timeout_seconds=60)
    (row,) = json.loads((tmp_path / "overlap.json").read_text())["results"]
    assert row["together_seconds"] < 0.8 * (row["generate_seconds"] + row["score_seconds"])


@pytest.mark.parametrize("path", sorted((FOLDER / "pools").glob("*.yaml")), ids=lambda path: path.name)
def test_a_pool_s_config_loads(path: Path) -> None:
    given = yaml.safe_load(path.read_text())
    scorers = {"scorers": given["scorers"]}
    config = configs.parse(
        given if "benchmark" in given else {"benchmark": "mini", "generator": "transformers"} | scorers
    )
    assert [item.label for item in config.scorers][:2] == ["likelihood", "length"]


@pytest.mark.long
def test_the_embedded_scorer_s_recipe_runs_from_pools_to_card(tmp_path: Path) -> None:
    pytest.importorskip("trl")
    arguments = ("train_embedded.py", "--tiny", "--work", tmp_path / "work", "--name", tmp_path / "found")
    said = run(*arguments, timeout_seconds=1200)
    saved = json.loads((tmp_path / "found.json").read_text())
    assert [pool["problems"] for pool in saved["pools"]] == [6]
    assert saved["pairs"]["train"]["pairs"] >= 6 and saved["pairs"]["held-out"]["pairs"] >= 1
    assert saved["training"]["used"] == {side: saved["pairs"][side] for side in ("train", "held-out")}  # all are short
    assert saved["training"]["bytes"] < 25e6
    assert (saved["training"]["longest_trained"], saved["training"]["longest_scored"]) == (384, 8192)
    strategies = {row["strategy"] for row in saved["results"]}
    assert strategies == {"trained", "likelihood", "length", "random", "oracle"}
    card = (tmp_path / "work" / "README.md").read_text()
    assert "| train-tiny | 6 |" in card and "AUC" in card
    again = run(*arguments, timeout_seconds=600)  # all of it is there
    assert again.splitlines()[-1] == said.splitlines()[-1]


def test_an_adapter_above_the_size_that_is_shipped_is_refused(tmp_path: Path) -> None:
    for name in ("adapter_config.json", "config.json"):
        (tmp_path / name).write_text("{}")
    ship = "import train_embedded as t; from pathlib import Path; t.ship(Path({!r}), 'card', Path({!r}))"
    line = [sys.executable, "-c", ship.format(str(tmp_path), str(tmp_path / "shipped"))]
    for size, code in ((25 * 10**6 - 8, 0), (25 * 10**6 - 7, 1)):
        with (tmp_path / "adapter_model.safetensors").open("wb") as file:
            file.truncate(size)
        done = subprocess.run(line, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
    assert "takes 25,000,001 bytes, and at most 25,000,000 are shipped. Lower the rank" in done.stderr
    assert (tmp_path / "shipped" / "adapter_model.safetensors").stat().st_size == 25 * 10**6 - 8


@pytest.mark.long
def test_our_grader_and_livecodebench_s_agree_on_mini(tmp_path: Path) -> None:
    arguments = ["--only", "mini, right", "--work", tmp_path, "--name", tmp_path / "parity"]
    line = [sys.executable, "grader_parity.py", *map(str, arguments)]
    done = subprocess.run(line, cwd=FOLDER, capture_output=True, text=True, timeout=1800, check=False)
    if "cannot be installed" in done.stderr or "bubblewrap is needed" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    (part,) = json.loads((tmp_path / "parity.json").read_text())["parts"]
    assert part["agree"] == part["programs"] >= 350
    assert 60 <= part["passed_ours"] < part["programs"]


@pytest.mark.long
def test_the_gpu_benchmark_runs_every_part_with_tiny_models(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    run("gpu.py", "--tiny", "--name", tmp_path / "gpu", timeout_seconds=1200)
    saved = json.loads((tmp_path / "gpu.json").read_text())
    assert set(saved["parts"]) == {"peak", "generation", "scoring", "plan", "sleep", "overlap"}
    failed = [row for rows in saved["parts"].values() for row in rows if "failed" in row]
    assert not failed
    assert {row.get("skipped", "") for row in saved["parts"]["sleep"]} == {"vLLM has no sleep mode on a CPU"} or (
        "sleep_seconds" in saved["parts"]["sleep"][0]
    )
    assert {"goal": "times that memory ran out: at most 0", "figure": 0, "met": True} in saved["goals"]

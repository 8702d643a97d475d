"""What several test files share: a small benchmark with samples, the command line as a process, and a tiny disk."""

import functools
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from tts import config as configs
from tts import pipeline
from tts.models import cache_folder
from tts.store import open_for_writing

settings.register_profile("tts", deadline=None)  # a busy machine is no failure
settings.load_profile("tts")

TESTS = Path(__file__).parent
MINI = TESTS.parent / "tts" / "problems" / "data" / "mini"
IDS = ("sum-of-two", "io-add-two", "largest-number")
SELECTORS = ("random", "argmax", "majority", "weighted_vote", "threshold")


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error after the progress bars on standard error."""
        return self.err[self.err.index("Error:") :] if "Error:" in self.err else ""


@dataclass(frozen=True)
class Small:
    """A folder with problems.jsonl, samples.jsonl (n = 4, the first of each problem is right) and config.yaml."""

    folder: Path
    config: dict[str, Any]

    def write(self, **changes: Any) -> None:
        """Write config.yaml anew with some keys replaced."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config | changes))


def environment() -> dict[str, str]:
    """A user's environment in which the tests' own plug-ins can be imported, and the tts that they lie beside."""
    return os.environ | {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "COLUMNS": "120"}


def command(*arguments: object) -> list[str]:
    """The command line of `tts`."""
    return [sys.executable, "-m", "tts.cli", *map(str, arguments)]


def own_cache(folder: Path) -> dict[str, str]:
    """The environment with a cache of verdicts beside a folder, and the models of the user's own cache."""
    cache = folder.with_name(f"{folder.name}-cache") / "tts"
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / "models").is_symlink():
        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache / "models").symlink_to(cache_folder())
    return environment() | {"XDG_CACHE_HOME": str(cache.parent)}


def tts(folder: Path, *arguments: object, given: str = "", ulimit: str = "-c 0") -> Done:
    """Run `tts` in a folder until it ends, under a limit of the shell's, such as "-n 12" for its open files."""
    line = ["sh", "-c", f'ulimit {ulimit}; exec "$@"', "sh", *command(*arguments)]
    env = own_cache(folder)
    done = subprocess.run(line, cwd=folder, env=env, input=given, capture_output=True, text=True, timeout=300)
    return Done(done.returncode, done.stdout, done.stderr)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """A JSONL file's objects."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_rows(path: Path, rows: Sequence[Any]) -> Path:
    """Write a JSONL file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mini_rows(names: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the mini benchmark, in the order of the names."""
    found = {row["question_id"]: row for file in MINI.glob("*.jsonl") for row in rows_of(file)}
    return [found[name] for name in names]


def programs(name: str) -> list[str]:
    """A mini problem's right program, then its wrong ones."""
    module = runpy.run_path(str(TESTS / "mini_solutions" / f"{name.replace('-', '_')}.py"))
    return [module["REFERENCE"], *module["WRONG"].values()]


def make_small(folder: Path) -> Small:
    """Write the small benchmark into a folder."""
    write_rows(folder / "problems.jsonl", mini_rows(IDS))
    samples = [
        {
            "question_id": name,
            "index": index,
            "text": f"Here it is:\n```python\n{code}```",
            "logprob": -0.1 * index,
            "tokens": 10 + index,
        }
        for name in IDS
        for index, code in enumerate(programs(name)[:4])
    ]
    write_rows(folder / "samples.jsonl", samples)
    config = {
        "benchmark": {"name": "jsonl", "path": str(folder / "problems.jsonl")},
        "generator": {"name": "replay", "path": str(folder / "samples.jsonl")},
        "scorers": ["likelihood", "length"],
        "selectors": list(SELECTORS),
        "report": {"resamples": 200, "draws": 1000},
    }
    small = Small(folder, config)
    small.write()
    return small


def bring_up(small: Small, *overrides: str, folder: str = "run") -> None:
    """Bring a run up to the config, here in this process."""
    config = configs.load(small.folder / "config.yaml", overrides)
    with open_for_writing(small.folder / folder) as store:
        assert pipeline.run(config, store) == []


@pytest.fixture
def small(tmp_path: Path) -> Small:
    """The small benchmark in a folder of its own."""
    return make_small(tmp_path)


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Done]:
    """Runs `tts` in the test's folder."""
    return functools.partial(tts, tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small benchmark and its finished run in `run`. To be read, not changed."""
    folder = tmp_path_factory.mktemp("finished")
    make_small(folder)
    done = tts(folder, "run", "config.yaml", "--folder", "run")
    assert done.code == 0, done.err
    return folder


class Disk:
    """A real file system of a size that can change. Skips where none may be mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def mount(self, options: str) -> None:
        """Mount it, or mount it anew: "size=256k", "ro"."""
        again = "remount," if os.path.ismount(self.folder) else ""
        command = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that is not mounted yet."""
    made = Disk(tmp_path / "disk")
    yield made
    if os.path.ismount(made.folder):
        subprocess.run(["umount", str(made.folder)], check=True)

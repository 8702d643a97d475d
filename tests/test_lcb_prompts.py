"""The prompts equal those that LiveCodeBench's own code makes, byte for byte: the package `nvidia-livecodebench`, which
carries it, is installed for this test alone, in an environment of its own.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import MINI, rows_of, write_rows

from tts.problems.jsonl import Jsonl
from tts.problems.livecodebench import LiveCodeBench
from tts.problems.mini import Mini

PACKAGE = "nvidia-livecodebench==26.3"

# Libraries of hundreds of megabytes that its modules of prompts import and do not call for this style of chat.
UNCALLED = {
    "datasets.py": "Dataset = load_dataset = None\n",
    "anthropic.py": "HUMAN_PROMPT = AI_PROMPT = None\n",
}

# Their chat of system and user message for each row on standard input.
THEIRS = """
import json, sys
from livecodebench.benchmarks.code_generation import CodeGenerationProblem
from livecodebench.lm_styles import LMStyle
from livecodebench.prompts import format_prompt_generation
rows = json.load(sys.stdin)
json.dump([format_prompt_generation(CodeGenerationProblem(**row), LMStyle.OpenAIChat) for row in rows], sys.stdout)
"""


def row(number: int, statement: str, starter: str = "") -> dict[str, Any]:
    """A row with all of LiveCodeBench's columns."""
    return {
        "question_title": f"Title {number}",
        "question_content": statement,
        "platform": "leetcode" if starter else "atcoder",
        "question_id": f"q{number}",
        "contest_id": "abc1",
        "contest_date": "2024-01-15T00:00:00",
        "starter_code": starter,
        "difficulty": "easy",
        "public_test_cases": "[]",
        "private_test_cases": "[]",
        "metadata": "{}",
    }


ROWS = [
    row(1, "Print a + b."),
    row(2, "Swap.", "class Solution:\n    def swap(self, nums: List[int]) -> List[int]:\n        "),
    row(3, "  Spaces around, é, 日本語, \u2028 and {braces} % \\n as they are.\n\n\n"),
    row(4, "```python\nfenced = 1\n```\n### Format: not this", "def f():\r\n\treturn '```'\n\n"),
    row(5, "Starter code of one space.", " "),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the package and stand-ins for what it imports in vain."""
    folder = tmp_path_factory.mktemp("lcb")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
    done = subprocess.run([*pip, PACKAGE], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"{PACKAGE} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    (site,) = folder.glob("lib/python*/site-packages")
    for name, text in UNCALLED.items():
        (site / name).write_text(text)
    return folder / "bin" / "python"


def theirs(python: Path, rows: list[dict[str, Any]]) -> list[list[tuple[str, str]]]:
    done = subprocess.run(
        [python, "-c", THEIRS], input=json.dumps(rows), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [[(message["role"], message["content"]) for message in chat] for chat in json.loads(done.stdout)]


def ours(benchmark: LiveCodeBench | Jsonl | Mini) -> list[list[tuple[str, str]]]:
    return [[(message.role, message.content) for message in problem.messages] for problem in benchmark.problems()]


@pytest.mark.long
def test_prompts_equal_those_of_livecodebench_s_own_code(python: Path, tmp_path: Path) -> None:
    path = str(write_rows(tmp_path / "rows.jsonl", ROWS))

    assert ours(LiveCodeBench(path=path)) == ours(Jsonl(path=path)) == theirs(python, ROWS)


@pytest.mark.long
def test_prompts_of_mini_equal_those_of_livecodebench_s_own_code(python: Path) -> None:
    found = [one for file in sorted(MINI.glob("*.jsonl")) for one in rows_of(file)]
    rows = [row(number, one["question_content"], one["starter_code"]) for number, one in enumerate(found)]

    assert len(rows) >= 60 and {bool(one["starter_code"]) for one in rows} == {True, False}
    assert ours(Mini()) == theirs(python, rows)

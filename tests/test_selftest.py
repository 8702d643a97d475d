"""The golden self-test: reading a card's example without running it, and comparing a real scorer with it."""

import shutil
from pathlib import Path

import pytest
import tiny

from tts.errors import ConfigError
from tts.score.codescaler import CodeScaler
from tts.score.length import Length
from tts.selftest import OWN, TOLERANCE, Line, Outcome, read_card, run

SHARED = Path(__file__).parent.parent.parent / "shared" / "CodeScaler-1.7B-model-card.txt"

CARD = '''---
license: apache-2.0
---
# A reward model

It scores programs. From a shell: `import this`.

```bash
pip install transformers
```

## Usage

```python
import os

os.environ["PWNED"] = "1"
raise SystemExit("a card is never executed")

question = """\\
Double a number. For example:
```
Input: 2
Output: 4
```
"""

program_bad = """\\
def double(x):
    return x + 2
"""
program_good = "def double(x):\\n    return 2 * x\\n"
comment = "not a program"

convs = [make(question, program) for program in [program_good, program_bad]]
print("RM Scores:", scores)
# RM Scores: [{good}, {bad}]
```

More text, and `another = "block"`.
'''


def card(good: float, bad: float) -> str:
    return CARD.replace("{good}", str(good)).replace("{bad}", str(bad))


def test_a_card_s_example_is_read_and_not_run() -> None:
    example = read_card(card(3.5, -1))
    assert example is not None
    assert example.question == "Double a number. For example:\n```\nInput: 2\nOutput: 4\n```\n"
    assert dict(example.programs) == {
        "program_good": "def double(x):\n    return 2 * x\n",
        "program_bad": "def double(x):\n    return x + 2\n",
    }
    assert list(example.programs) == ["program_good", "program_bad"]  # in the order of the scores
    assert example.scores == (3.5, -1.0)


@pytest.mark.parametrize(
    "change",
    [
        ("# RM Scores:", "# rm score = tensor("),
        ("```python", "~~~"),
        ("```python\n", ""),
        ("\n\n## Usage", ""),
        ("import os\n", "# first\nimport os\n"),
    ],
)
def test_a_card_may_be_written_differently(change: tuple[str, str]) -> None:
    assert read_card(card(1.25, 0.5).replace(*change)) == read_card(card(1.25, 0.5))


def test_line_ends_of_another_system_change_nothing() -> None:
    assert read_card(card(1.25, 0.5).replace("\n", "\r\n")) == read_card(card(1.25, 0.5))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# A model without an example\n",
        "# RM Scores: [1.0, 2.0]\n",
        card(1, 2).replace("[1, 2]", "[1]"),
        card(1, 2).replace("[1, 2]", "[one, two]"),
        card(1, 2).replace("question =", "task ="),
        card(1, 2).replace("    return x + 2", "return x + 2 ("),
        card(1, 2).replace('program_good = "def', 'program_good = f"def'),
        "(" * 100_000 + "\n# RM Scores: [1.0]\n",
        "question = 'q'\nprogram = " + "-" * 100_000 + "1\n# RM Scores: [1.0]\n",
        "question = 'q'\n# RM Scores: [1.0, 2.0]\n" * 1000,
        "# RM Score" * 100_000 + "[",
        "#" + " RM Score" * 100_000,
        card(1, 2).replace("[1, 2]", "[{{}}, 2]"),
        card(1, 2).replace("[1, 2]", "[1" + "0" * 400 + ", 2]"),
        card(1, 2).replace("[1, 2]", "[nan, 2]"),
    ],
)
def test_a_card_without_a_usable_example_has_none(text: str) -> None:
    example = read_card(text)
    assert example is None or "(" in example.programs["program_bad"]  # text inside a string is the card's affair


@pytest.mark.skipif(not SHARED.is_file(), reason="needs ../shared/CodeScaler-1.7B-model-card.txt")
def test_the_real_card_s_text_is_read() -> None:
    example = read_card(SHARED.read_text())
    assert example is not None
    assert example.scores == pytest.approx((12.5139, -0.4655), abs=1e-4)
    assert list(example.programs) == ["program_correct", "program_wrong"]
    assert example.question.startswith("Given an integer array nums")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.reward(tmp_path_factory.mktemp("reward"))


def with_card(model: Path, folder: Path, text: str) -> Path:
    shutil.copytree(model, folder, dirs_exist_ok=True)
    (folder / "README.md").write_text(text)
    return folder


@pytest.fixture
def published(model: Path, tmp_path: Path) -> tuple[float, ...]:
    """What the tiny model gives the example's programs in float32."""
    outcome = run(CodeScaler(model=str(with_card(model, tmp_path / "first", card(0, 0))), dtype="float32"))
    return tuple(line.scored for line in outcome.lines)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_scorer_that_gives_the_published_scores_passes(
    model: Path, tmp_path: Path, published: tuple[float, float], dtype: str
) -> None:
    folder = with_card(model, tmp_path / "model", card(*published))
    outcome = run(CodeScaler(model=str(folder), dtype=dtype))  # type: ignore[arg-type]
    assert outcome.passed
    assert outcome.tolerance == TOLERANCE[dtype]
    assert str(folder) in outcome.source


def test_another_score_or_another_order_fails(model: Path, tmp_path: Path, published: tuple[float, float]) -> None:
    good, bad = published
    for scores in ((good + 0.05, bad), (bad, good)):
        folder = with_card(model, tmp_path / "model", card(*scores))
        assert not run(CodeScaler(model=str(folder), dtype="float32")).passed


def test_without_an_example_only_the_order_of_our_own_pair_is_checked(model: Path, tmp_path: Path) -> None:
    for folder in (model, with_card(model, tmp_path / "model", "# Nothing to see\n")):
        outcome = run(CodeScaler(model=str(folder), dtype="float32"))
        assert outcome.tolerance is None
        assert "our own pair" in outcome.source and "no example" in outcome.source
        assert [line.name for line in outcome.lines] == list(OWN.programs)
        assert outcome.passed == (outcome.lines[0].scored > outcome.lines[1].scored)


def test_an_example_that_cannot_be_read_is_not_called_none(model: Path, tmp_path: Path) -> None:
    folder = with_card(model, tmp_path / "model", card(1.0, 2.0).replace("question =", "asked ="))
    outcome = run(CodeScaler(model=str(folder), dtype="float32"))
    assert outcome.tolerance is None
    assert "an example that cannot be read" in outcome.source


def test_a_scorer_without_a_model_has_no_card() -> None:
    with pytest.raises(ConfigError, match="Length is no reward model"):
        run(Length())


def test_the_command_says_what_it_compared_and_exits_2_when_it_fails(
    model: Path, tmp_path: Path, published: tuple[float, float], cli
) -> None:
    folder = with_card(model, tmp_path / "model", card(*published))
    fine = cli("score", "--self-test", f"model={folder}", "dtype=float32")
    assert fine.code == 0, fine.err
    assert "Passed" in fine.out
    assert f"{published[0]:.4f}" in fine.out
    with_card(model, folder, card(published[0] + 1, published[1]))
    failed = cli("score", "--self-test", "--scorer", "codescaler", f"model={folder}", "dtype=float32")
    assert failed.code == 2
    assert "Failed" in failed.out
    assert "does not give the scores of CodeScaler's card" in failed.error


def test_published_scores_within_the_tolerance_of_each_other_prove_no_order() -> None:
    near = (Line("a", 1.0, 1.03), Line("b", 1.05, 1.01))
    assert Outcome("card", 0.3, near).passed
    assert not Outcome("card", 0.01, near).passed
    assert not Outcome("card", 0.3, (Line("a", 1.0, 1.4), Line("b", 1.05, 1.0))).passed


def test_the_self_test_takes_no_file_of_pairs(cli) -> None:
    done = cli("score", "--self-test", "pairs.jsonl", "model=x")
    assert done.code == 2
    assert "--self-test scores its card's example and takes no file of pairs, got pairs.jsonl" in done.error


def test_without_pairs_the_command_says_what_is_missing(cli) -> None:
    done = cli("score", "model=x")
    assert done.code == 2
    assert "No file of pairs" in done.error

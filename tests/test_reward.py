"""Rewards: their shape, what they are given for, and a tiny model trained a few steps with one by trl's GRPOTrainer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tts.errors import ConfigError
from tts.reward import RewardFunction, shaped
from tts.score.codescaler import CodeScaler
from tts.types import Candidate, Problem, Score

finite = st.floats(-700, 700)


@given(finite, finite)
def test_shaping_keeps_the_order_and_puts_invalid_last(one: float, other: float) -> None:
    assert shaped(one, False) == 0 <= shaped(one, True)
    assert shaped(one, True) == pytest.approx(max(one, 0) + math.log1p(math.exp(-abs(one))))
    if one - other > 1e-6 and other > -30:
        assert shaped(one, True) > shaped(other, True) > 0


@dataclass(frozen=True)
class Lengths:
    """The statement's length over the program's; none for a program that says so."""

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """Last first."""
        for problem, candidate in reversed(pairs):
            code = candidate.code or ""
            yield Score(*candidate.key, None if "None" in code else len(problem.statement) / len(code))


def fenced(code: str) -> str:
    return f"Here:\n```python\n{code}\n```\n"


def test_rewards_are_of_the_programs_in_the_completions_and_in_their_order() -> None:
    reward = RewardFunction(Lengths())
    completions = [fenced("x = 1"), "Sorry.", fenced("x = None"), fenced("x = 12345"), fenced("x = (")]
    found = reward(["p" * 6, "p" * 6, "p" * 6, "q" * 20, "q"], completions, trainer_state=None)
    assert found == [pytest.approx(shaped(6 / 6, True)), 0.0, None, pytest.approx(shaped(20 / 10, True)), 0.0]


def test_chats_are_read_by_their_last_messages_and_a_column_goes_before() -> None:
    prompt = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "p" * 6}]
    completion = [{"role": "assistant", "content": fenced("x = 1")}]
    assert RewardFunction(Lengths())([prompt], [completion]) == [pytest.approx(shaped(1, True))]
    found = RewardFunction(Lengths(), column="question")([prompt], [completion], question=["q" * 12])
    assert found == [pytest.approx(shaped(2, True))]


def test_a_scorer_may_be_named_and_what_is_unknown_is_told() -> None:
    assert RewardFunction({"name": "length"}).scorer.__class__.__name__ == "Length"
    with pytest.raises(ConfigError, match=r"No 'questoin' in the columns of the data set. Did you mean 'question'"):
        RewardFunction(Lengths(), column="questoin")(["p"], ["c"], question=["q"])
    with pytest.raises(ConfigError, match="No 'magic' in extraction"):
        RewardFunction(Lengths(), extraction="magic")


LETTERS = "abc=\n"  # of which a random model writes a program now and then


class Listening(RewardFunction):
    """Remembers what it was asked and what it gave."""

    def __init__(self, scorer: object) -> None:
        super().__init__(scorer)
        self.heard: list[tuple[str, float | None]] = []

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """As given."""
        found = super().__call__(prompts, completions, **columns)
        self.heard += zip([one[-1]["content"] for one in completions], found, strict=True)
        return found


def only(letters: str, tokenizer: Any) -> dict[str, Any]:
    """What keeps a model to these letters and, for the first of them, to the first three."""
    allowed = [*(tokenizer.convert_tokens_to_ids(tokenizer.tokenize(letter)[0]) for letter in letters), 2]
    others = sorted(set(range(len(tokenizer))) - set(allowed))
    return {"suppress_tokens": others, "begin_suppress_tokens": allowed[3:]}


def test_grpo_trains_a_tiny_model_with_a_reward_model(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    policy = tiny.causal(tmp_path / "policy")
    folder = str(tiny.reward(tmp_path / "reward"))
    limit = len(CodeScaler(model=folder).tokens("say 0", "a=bb\n"))
    reward = Listening(CodeScaler(model=folder, dtype="float32", max_length=limit))
    rows = [{"prompt": [{"role": "user", "content": f"say {i}"}]} for i in range(4)]
    options = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=16,
        num_generations=16,
        max_completion_length=5,
        temperature=8.0,
        generation_kwargs=only(LETTERS, AutoTokenizer.from_pretrained(policy)),
        max_steps=3,
        learning_rate=1e-2,
        bf16=False,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(str(policy), reward_funcs=reward, args=options, train_dataset=Dataset.from_list(rows))
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    logged = [row["rewards/tts_codescaler/mean"] for row in trainer.state.log_history if "reward" in row]
    assert (len(reward.heard), len(logged)) == (48, 3)
    for step, mean in enumerate(logged):
        values = [value for _, value in reward.heard[16 * step : 16 * step + 16] if value is not None]
        assert mean == pytest.approx(sum(values) / len(values), rel=1e-4)  # to trl, None is not 0
    assert all(set(text) <= set(LETTERS) for text, _ in reward.heard)  # what the policy wrote, and nothing else
    assert any(value == 0 for _, value in reward.heard)
    scored = [len(text.strip()) for text, value in reward.heard if value]
    overlong = [len(text.strip()) for text, value in reward.heard if value is None]
    assert scored and overlong and max(scored) < min(overlong)
    moved = [name for name, value in trainer.model.named_parameters() if not value.equal(before[name])]
    assert len(moved) > len(before) / 2


def test_the_worst_program_is_worth_more_than_none_however_low_its_score() -> None:
    for score in (-746.0, -1e308, -math.inf):
        assert 0 == shaped(score, False) < shaped(score, True) <= shaped(-745.0, True)


def test_a_message_may_be_of_parts_or_empty() -> None:
    half = {"type": "text", "text": "ppp"}
    prompt = [{"role": "user", "content": [half, {"type": "image"}, half]}]
    completion = [{"role": "assistant", "content": [{"type": "text", "text": fenced("x = 1")}]}]
    assert RewardFunction(Lengths())([prompt], [completion]) == [pytest.approx(shaped(1, True))]
    calls = {"role": "assistant", "tool_calls": []}
    assert RewardFunction(Lengths())([prompt] * 2, [[calls], [calls | {"content": None}]]) == [0.0, 0.0]


@pytest.mark.parametrize("value", [None, 3, ["a"]])
def test_a_column_that_is_not_of_texts_is_told(value: object) -> None:
    reward = RewardFunction(Lengths(), column="question")
    with pytest.raises(ConfigError, match=r"column 'question' must hold the problem as text, got .* in row 1"):
        reward(["p", "p"], ["c", "c"], question=["q", value])

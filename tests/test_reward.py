"""Rewards: their shape, what they are given for, and a tiny model trained a few steps with one by trl's GRPOTrainer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

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


def test_grpo_trains_a_tiny_model_with_a_reward_model(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    policy = tiny.causal(tmp_path / "policy")
    scorer = CodeScaler(model=str(tiny.reward(tmp_path / "reward")), dtype="float32")
    heard: list[list[float | None]] = []

    class Listening(RewardFunction):
        """Remembers what it gave; a bare word is a program to it, since a random model writes no fences."""

        def __call__(self, prompts: list[object], completions: list[object], **columns: object) -> list[float | None]:
            programs = [f"x = {len(str(completion))}" if i % 2 else "" for i, completion in enumerate(completions)]
            heard.append(super().__call__(prompts, programs, **columns))
            return heard[-1]

    rows = [{"prompt": [{"role": "user", "content": f"say {i}"}]} for i in range(4)]
    options = GRPOConfig(
        output_dir=str(tmp_path / "out"),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        max_steps=3,
        learning_rate=1e-2,
        bf16=False,
        use_cpu=True,
        report_to="none",
        logging_steps=1,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = GRPOTrainer(
        str(policy), reward_funcs=Listening(scorer), args=options, train_dataset=Dataset.from_list(rows)
    )
    before = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    logged = [row["rewards/tts_codescaler/mean"] for row in trainer.state.log_history if "reward" in row]
    assert len(heard) == len(logged) == 3
    for rewards, mean in zip(heard, logged, strict=True):
        assert rewards[0] == rewards[2] == 0.0 < min(rewards[1] or 0, rewards[3] or 0)
        assert mean == pytest.approx(sum(value or 0 for value in rewards) / 4, rel=1e-4)
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

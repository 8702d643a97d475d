"""The reward-model scorer against the snippet of CodeScaler's model card, and what it refuses."""

import random
from pathlib import Path

import pytest
import tiny
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tts.errors import ModelError
from tts.score.codescaler import CodeScaler, batches
from tts.types import Candidate, Problem, Score


def pairs(count: int, longest: int) -> list[tuple[Problem, Candidate]]:
    """Questions and programs of many lengths, in no order."""
    rng = random.Random(0)
    found = []
    for i in range(count):
        question = "Return the sum. " * rng.randint(1, longest // 64)
        code = "x = [1, 2]\n" * rng.randint(1, longest // 16)
        found.append((Problem(f"p{i}", question, ()), Candidate(f"p{i}", 0, code, code)))
    return found


def card(folder: Path, items: list[tuple[Problem, Candidate]], max_length: int) -> list[float]:
    """What the card does: one padded batch of rendered chats, cut at max_length."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    chats = [[{"role": "user", "content": p.statement}, {"role": "assistant", "content": c.code}] for p, c in items]
    texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
    tokens = tokenizer(texts, truncation=True, padding=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        out = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
    scores: list[float] = out.logits.squeeze(-1).tolist()
    return scores


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.reward(tmp_path_factory.mktemp("reward"))


def scored(scorer: CodeScaler, items: list[tuple[Problem, Candidate]]) -> list[Score]:
    found = {score.key: score for score in scorer.score(items)}
    return [found[candidate.key] for _, candidate in items]


@pytest.mark.parametrize("token_budget", [1, 3000, 8192, 10**6])
def test_scores_equal_the_card_s_snippet_and_overlong_pairs_are_null(folder: Path, token_budget: int) -> None:
    items = pairs(100, 1500)
    scorer = CodeScaler(model=str(folder), dtype="float32", max_length=1024, token_budget=token_budget)
    lengths = [len(scorer.tokens(p.statement, c.code or "")) for p, c in items]
    fitting = [i for i, length in enumerate(lengths) if length <= 1024]
    assert len(fitting) >= 64
    assert len(fitting) < len(items)
    reference = card(folder, items, 1024)
    found = scored(scorer, items)
    for i in range(len(items)):
        if i in fitting:
            assert found[i].value == pytest.approx(reference[i], abs=1e-4)
        else:
            assert found[i].value is None
            assert found[i].why.startswith("overlong")


def test_scores_differ_between_programs(folder: Path) -> None:
    values = [score.value for score in scored(CodeScaler(model=str(folder), dtype="float32"), pairs(20, 300))]
    assert len(set(values)) > 15


def test_max_length_defaults_to_the_model_s_context(folder: Path) -> None:
    assert CodeScaler(model=str(folder)).limit == 4096


def test_a_candidate_without_code_has_no_score(folder: Path) -> None:
    problem = Problem("p", "q", ())
    assert scored(CodeScaler(model=str(folder)), [(problem, Candidate("p", 0, "text"))]) == [
        Score("p", 0, None, "no code")
    ]


def test_batches_hold_every_pair_once_within_the_budget() -> None:
    rng = random.Random(1)
    items = [(Candidate("p", i, ""), [0] * rng.randint(1, 500)) for i in range(200)]
    found = list(batches(items, 1000))
    assert sorted(c.index for batch in found for c, _ in batch) == list(range(200))
    assert all(len(batch) * max(len(t) for _, t in batch) <= 1000 or len(batch) == 1 for batch in found)


def test_two_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="2 labels"):
        _ = CodeScaler(model=str(tiny.reward(tmp_path, labels=2))).loaded


def test_a_language_model_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="score"):
        _ = CodeScaler(model=str(tiny.causal(tmp_path))).loaded


def test_a_tokenizer_without_pad_token_or_template_is_refused(tmp_path: Path) -> None:
    tiny.reward(tmp_path)
    tiny.save_tokenizer(tmp_path, pad=None)
    with pytest.raises(ModelError, match="pad token"):
        _ = CodeScaler(model=str(tmp_path)).loaded
    tiny.save_tokenizer(tmp_path, template=None)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="chat template"):
        _ = CodeScaler(model=str(tmp_path)).loaded


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No model folder"):
        _ = CodeScaler(model=str(tmp_path / "nowhere")).loaded

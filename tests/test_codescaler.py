"""The reward-model scorer against the snippet of CodeScaler's model card, when memory runs out, and what it refuses."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faulty
import pytest
import tiny
import torch
from support import bring_up
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from tts import plugins
from tts.errors import ModelError
from tts.score._packed import Packed
from tts.score._reward import Padded
from tts.score._runner import Runner
from tts.score.codescaler import CodeScaler
from tts.store import open_for_reading
from tts.types import Candidate, Problem, Score

Pairs = list[tuple[Problem, Candidate]]
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.15}


def pairs(counts: list[int], longest: int, seed: int = 0) -> Pairs:
    """A problem for each count, with so many candidates of many lengths, in no order."""
    rng = random.Random(seed)
    found = []
    for i, count in enumerate(counts):
        problem = Problem(f"p{i}", f"Task {i}. " + "Return the sum. " * rng.randint(1, longest // 32), ())
        for index in range(count):
            code = f"x = [{index}]\n" + "y = x + [1]\n" * rng.randint(0, longest // 12)
            found.append((problem, Candidate(problem.id, index, code, code)))
    rng.shuffle(found)
    return found


MANY = [1] * 12 + [2] * 10 + [16] * 12


def card(folder: Path, items: Pairs, max_length: int, dtype: str = "float32") -> list[float]:
    """What the card does: padded batches of rendered chats, cut at max_length."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    scores: list[float] = []
    for start in range(0, len(items), 16):
        chats = [
            [{"role": "user", "content": p.statement}, {"role": "assistant", "content": c.code}]
            for p, c in items[start : start + 16]
        ]
        texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
        tokens = tokenizer(texts, truncation=True, padding=True, max_length=max_length, return_tensors="pt")
        with torch.no_grad():
            out = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
        scores += out.logits.squeeze(-1).tolist()
    return scores


def scored(scorer: CodeScaler, items: Pairs) -> list[Score]:
    """The scores in the order of the pairs, each once."""
    found = list(scorer.score(items))
    assert len(found) == len(items)
    by_key = {score.key: score for score in found}
    return [by_key[candidate.key] for _, candidate in items]


def values(scorer: CodeScaler, items: Pairs) -> list[float | None]:
    return [score.value for score in scored(scorer, items)]


def assert_parity(scorer: CodeScaler, items: Pairs, reference: list[float]) -> list[float]:
    """Equal to the card's snippet where a pair fits, null where not; the differences of those that fit."""
    differences = []
    for (problem, candidate), score, expected in zip(items, scored(scorer, items), reference, strict=True):
        length = len(scorer.tokens(problem.statement, candidate.code or ""))
        if length <= scorer.limit:
            assert score.value == pytest.approx(expected, abs=TOLERANCE[scorer.dtype])
            differences.append(abs((score.value or 0.0) - expected))
        else:
            assert score.value is None
            assert score.why.startswith(f"overlong: {length} tokens")
    return differences


_one_thread = tiny.one_thread  # for all of this file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.reward(tmp_path_factory.mktemp("reward"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_scores_equal_the_card_s_snippet_and_overlong_pairs_are_null(folder: Path, dtype: str) -> None:
    items = pairs(MANY, 600)
    reference = card(folder, items, 780, dtype)
    for token_budget in (1, 700, 8192):
        scorer = CodeScaler(model=str(folder), dtype=dtype, max_length=780, token_budget=token_budget)  # type: ignore[arg-type]
        assert 200 <= len(assert_parity(scorer, items, reference)) < len(items)


@pytest.mark.parametrize(
    ("kind", "more", "way"),
    [
        ("Qwen2", {}, Packed),
        ("Llama", {}, Packed),
        ("Mistral", {"sliding_window": None}, Packed),
        ("Gemma", {}, Packed),
        ("Mistral", {"sliding_window": 64}, Padded),
        ("Gemma2", {}, Padded),
        ("Gemma2", {"layer_types": ["full_attention"] * 2}, Padded),  # it caps attention
        ("GPT2", {"n_embd": 48, "n_head": 4, "n_layer": 2, "n_positions": 4096}, Padded),
    ],
)
def test_every_architecture_equals_the_card_s_snippet_in_its_own_way(
    tmp_path: Path, kind: str, more: dict[str, Any], way: type
) -> None:
    tiny.reward(tmp_path, kind=kind, **more)
    scorer = CodeScaler(model=str(tmp_path), dtype="float32")
    assert isinstance(scorer.runner.model, way)
    items = pairs([1, 2, 5], 400)
    assert_parity(scorer, items, card(tmp_path, items, scorer.limit))


def test_rectangles_of_many_rows_equal_rows_one_by_one(folder: Path) -> None:
    items = pairs(MANY, 500)
    scorer = CodeScaler(model=str(folder), dtype="float32", token_budget=3000)
    alone = values(scorer, items)
    scorer.runner.model.scratch = 3000  # type: ignore[attr-defined]  # what a GPU uses
    assert values(scorer, items) == pytest.approx(alone, abs=1e-5)


def test_a_score_does_not_depend_on_the_other_pairs_of_the_call(folder: Path) -> None:
    items = pairs([1, 3, 16], 600)
    scorer = CodeScaler(model=str(folder), dtype="float32")
    together = values(scorer, items)
    assert [values(scorer, [item])[0] for item in items] == pytest.approx(together, abs=1e-5)


def test_scores_differ_between_programs_and_equal_programs_are_run_once(folder: Path) -> None:
    items = pairs([16], 300)
    again = [(p, Candidate(p.id, c.index + 100, c.text, c.code)) for p, c in items]
    scorer = CodeScaler(model=str(folder), dtype="float32")
    found = values(scorer, items + again)
    assert len(set(found)) == 16
    assert found[:16] == found[16:]


def test_scores_tell_what_was_run_for_them(folder: Path) -> None:
    problem = Problem("p", "Return the sum of a list. " * 10, ())
    codes = ["x = 1", "x = 2\ny = 3", "x = 1", None]
    items = [(problem, Candidate("p", index, "", code)) for index, code in enumerate(codes)]
    scorer = CodeScaler(str(folder), dtype="float32")
    found = {score.index: score for score in scorer.score(items)}
    lengths = [len(scorer.tokens(problem.statement, code)) for code in codes[:2]]
    shared = next(
        i
        for i, (a, b) in enumerate(zip(*(scorer.tokens(problem.statement, c) for c in codes[:2]), strict=False))
        if a != b
    )

    assert sum(score.tokens for score in found.values() if score.tokens) == pytest.approx(sum(lengths) - shared)
    assert sum(score.passes for score in found.values() if score.passes) == pytest.approx(1.0)
    assert found[0].tokens == found[2].tokens == pytest.approx((lengths[0] - shared / 2) / 2)  # one program, run once
    assert (found[3].tokens, found[3].passes) == (None, None)


def test_a_call_that_is_abandoned_leaves_nothing_behind(folder: Path) -> None:
    items = pairs([16], 600)
    scorer = CodeScaler(model=str(folder), dtype="float32", token_budget=500)
    expected = values(scorer, items)
    next(iter(scorer.score(items)))
    assert values(scorer, items) == pytest.approx(expected, abs=1e-6)


def test_max_length_defaults_to_the_model_s_context(folder: Path) -> None:
    assert CodeScaler(model=str(folder)).limit == 4096


def test_a_candidate_without_code_has_no_score(folder: Path) -> None:
    problem = Problem("p", "q", ())
    assert scored(CodeScaler(model=str(folder)), [(problem, Candidate("p", 0, "text"))]) == [
        Score("p", 0, None, "no code")
    ]


def test_text_that_no_tokenizer_takes_is_scored_all_the_same(folder: Path) -> None:
    problem = Problem("p", "q\ud800", ())
    (score,) = scored(CodeScaler(model=str(folder)), [(problem, Candidate("p", 0, "", "print('\udfff')"))])
    assert score.value is not None


@pytest.mark.parametrize("way", [Packed, Padded])
@pytest.mark.parametrize("make", [tiny.reward, tiny.value_head])
def test_no_two_programs_have_one_score_in_bfloat16(tmp_path: Path, make: Callable[[Path], Path], way: type) -> None:
    scorer = CodeScaler(model=str(make(tmp_path)), dtype="bfloat16")
    if way is Padded:
        vars(scorer)["runner"] = Runner(Padded(scorer.loaded), 8192, [])
    problem = Problem("p", "Print a number.", ())
    items = [(problem, Candidate("p", i, "", f"print({i})")) for i in range(200)]
    assert isinstance(scorer.runner.model, way)
    assert len(set(values(scorer, items))) == 200


# Memory.


def test_that_memory_ran_out_is_in_the_run_s_record(small, tmp_path):
    model = str(tiny.reward(tmp_path / "rm"))
    small.write(scorers=[{"name": "faulty:SmallMemory", "model": model, "room": 700}], selectors=["argmax"])
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        notes = store.meta("sessions")[-1]["notes"]
        assert len(store.scores(store.meta("scorers")["faulty:SmallMemory"])) == len(store.candidate_keys())
    assert notes and all("out of memory" in note and "token_budget" in note for note in notes)


@pytest.mark.parametrize("failure", ["cuda", "torch", "python"])
def test_when_memory_runs_out_the_budget_shrinks_and_nothing_is_lost_or_scored_twice(
    folder: Path, failure: str
) -> None:
    items = pairs(MANY, 500)
    expected = values(CodeScaler(model=str(folder), dtype="float32"), items)
    scorer = plugins.build(
        "scorer", {"name": "faulty:SmallMemory", "model": str(folder), "dtype": "float32", "failure": failure}
    )
    assert values(scorer, items) == pytest.approx(expected, abs=1e-5)
    assert scorer.runner.token_budget <= 1000 < scorer.token_budget
    assert all("out of memory" in note and "token_budget" in note for note in scorer.runner.notes)
    tried = scorer.runner.model.ran
    assert sum(size > 1000 for size in tried) == len(scorer.runner.notes) > 0
    assert values(scorer, items[:20]) == pytest.approx(expected[:20], abs=1e-5)  # and it stays small
    assert max(tried[-3:]) <= 1000


def test_a_pair_that_never_fits_is_a_user_s_error(folder: Path) -> None:
    scorer = faulty.SmallMemory(model=str(folder), room=50)
    with pytest.raises(ModelError, match=r"a single pair of .* tokens.*max_length"):
        scored(scorer, pairs([2], 500))


def test_another_error_of_the_model_is_not_taken_for_memory(folder: Path) -> None:
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        scored(faulty.SmallMemory(model=str(folder), failure="bug"), pairs([16], 500))


LIMITED = """
import json, resource, sys
from test_codescaler import pairs
from tts.score.codescaler import CodeScaler
import torch
from support import bring_up
torch.set_num_threads(1)
scorer = CodeScaler(model=sys.argv[1], dtype="float32", token_budget=10**6)
list(scorer.score(pairs([2], 100)))
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 64 * 2**20, resource.RLIM_INFINITY))
found = list(scorer.score(pairs([16] * 12, 1200)))
print(json.dumps([len(found), len({s.key for s in found}), sum(s.value is None for s in found), scorer.runner.notes]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_that_really_runs_out_is_survived(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-c", LIMITED, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    count, distinct, missing, notes = json.loads(done.stdout.splitlines()[-1])
    assert (count, distinct, missing) == (192, 192, 0)
    assert notes


# Checkpoints.


def test_a_value_head_on_a_language_model_is_a_reward_model(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    tiny.value_head(tmp_path)
    items = pairs([1, 6], 300)
    scorer = CodeScaler(model=str(tmp_path), dtype="float32")
    found = values(scorer, items)
    assert isinstance(scorer.runner.model, Packed)
    assert Padded(scorer.loaded).model is scorer.loaded
    weights = load_file(tmp_path / "model.safetensors")
    backbone = AutoModel.from_pretrained(tmp_path, dtype=torch.float32).eval()
    for (problem, candidate), value in zip(items, found, strict=True):
        ids = torch.tensor([scorer.tokens(problem.statement, candidate.code or "")])
        with torch.no_grad():
            hidden = backbone(input_ids=ids).last_hidden_state[0, -1]
        expected = hidden @ weights["v_head.summary.weight"][0] + weights["v_head.summary.bias"][0]
        assert value == pytest.approx(expected.item(), abs=1e-3)


def test_two_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Qwen3ForSequenceClassification with 2 labels"):
        _ = CodeScaler(model=str(tiny.reward(tmp_path, labels=2))).loaded


def test_a_language_model_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Qwen3ForCausalLM without weights for score.weight"):
        _ = CodeScaler(model=str(tiny.causal(tmp_path))).loaded


def change_config(folder: Path, **changes: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def test_a_config_that_does_not_fit_its_weights_is_refused(tmp_path: Path) -> None:
    change_config(tiny.reward(tmp_path), hidden_size=32)
    with pytest.raises(ModelError, match=r"does not fit its weights: model\..* and \d+ more"):
        _ = CodeScaler(model=str(tmp_path)).loaded


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    change_config(tiny.reward(tmp_path), model_type="nonesuch")
    with pytest.raises(ModelError, match="nonesuch"):
        _ = CodeScaler(model=str(tmp_path)).loaded


def test_a_damaged_file_of_weights_is_refused(tmp_path: Path) -> None:
    file = tiny.reward(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        _ = CodeScaler(model=str(tmp_path)).loaded


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


# A real backbone.


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_real_backbone_equals_the_card_s_snippet(tmp_path: Path, dtype: str) -> None:
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # _one_thread is for tiny tensors
    tiny.reward_on(tiny.real("qwen2.5-coder-0.5b"), tmp_path)
    scorer = CodeScaler(model=str(tmp_path), dtype=dtype, max_length=290)  # type: ignore[arg-type]
    items = pairs(MANY, 400)
    differences = assert_parity(scorer, items, card(tmp_path, items, scorer.limit, dtype))
    print(f"{dtype}: {len(differences)} pairs, largest difference {max(differences):.6f}")
    assert 200 <= len(differences) < len(items)

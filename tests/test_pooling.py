"""codescaler's vllm backend on vLLM's real CPU build, against its transformers backend."""

import shutil
from pathlib import Path

import psutil
import pytest
import tiny
from test_selftest import card

from tts import selftest
from tts.errors import ModelError
from tts.score.codescaler import CodeScaler
from tts.types import Candidate, Problem

MIB = 2**20
pytest.importorskip("vllm", reason="vLLM is not installed; README.md has the line")
pytestmark = pytest.mark.engine


def scorer(folder: Path, backend: str, **more) -> CodeScaler:
    engine = {"kv_cache_memory_bytes": 64 * MIB, "gpu_memory_utilization": 0.01, "engine_args": {"enforce_eager": True}}
    own = engine if backend == "vllm" else {}
    return CodeScaler(model=str(folder), backend=backend, max_length=1024, token_budget=2048, **own, **more)


def pairs(problems: int, n: int) -> list[tuple[Problem, Candidate]]:
    """Questions longer than a block of vLLM's (128 tokens on a CPU) and programs of different lengths."""
    found = []
    for i in range(problems):
        problem = Problem(f"p{i}", f"Question {i}: " + "add the numbers and print " * (8 + i % 3), ())
        for index in range(n):
            code = f"x = {i * index}\n" * (1 + (i + 3 * index) % 9) + f"print(x + {index})"
            found.append((problem, Candidate(problem.id, index, code, code, "given")))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    shape = {"head_dim": 32, "hidden_size": 64, "num_attention_heads": 2}
    return tiny.reward(tmp_path_factory.mktemp("reward"), **shape)


@pytest.fixture(scope="module")
def pooled(folder):
    """One engine for the tests that need nothing else of it."""
    found = scorer(folder, "vllm", dtype="float32")
    found.start()
    yield found
    found.close()


def values(scorer: CodeScaler, given) -> dict[tuple[str, int], float | None]:
    return {score.key: score.value for score in scorer.score(given)}


def assert_alike(mine, theirs, largest: float, clear_share: float = 0.5) -> float:
    """Differences are below `largest`, and candidates of a problem that the reference tells apart by more than twice
    the largest that there was are ranked alike, which are at least `clear_share` of all. Returns that.
    """
    assert mine.keys() == theirs.keys() and len(mine) > 200
    worst = max(abs(mine[key] - theirs[key]) for key in theirs)
    assert worst < largest
    rivals = [(a, b) for a in theirs for b in theirs if a[0] == b[0] and a < b]
    clear = [(a, b) for a, b in rivals if abs(theirs[a] - theirs[b]) > 2 * worst]
    assert all((mine[a] > mine[b]) == (theirs[a] > theirs[b]) for a, b in clear)
    assert len(clear) > clear_share * len(rivals)
    return worst


def test_scores_are_those_of_the_transformers_backend_and_rank_alike(folder, pooled):
    given = pairs(13, 16)
    mine, theirs = values(pooled, given), values(scorer(folder, "transformers", dtype="float32"), given)
    assert_alike(mine, theirs, 1e-3)


@pytest.mark.long
def test_scores_in_bfloat16_too(folder):
    given, pooled = pairs(13, 16), scorer(folder, "vllm", dtype="bfloat16")
    try:
        mine = values(pooled, given)
    finally:
        pooled.close()
    assert_alike(mine, values(scorer(folder, "transformers", dtype="bfloat16"), given), 0.15)


@pytest.mark.long
def test_a_real_backbone_in_bfloat16_too(tmp_path):
    pooled = scorer(tiny.reward_on(tiny.real("qwen2.5-coder-0.5b"), tmp_path), "vllm", dtype="bfloat16")
    given = pairs(13, 16)
    try:
        mine = values(pooled, given)
    finally:
        pooled.close()
    reference = values(scorer(tmp_path, "transformers", dtype="bfloat16"), given)
    worst = assert_alike(mine, reference, 0.15, clear_share=0.3)  # a random head tells little apart
    print(f"{len(mine)} pairs, largest difference {worst:.4f}")


def test_the_self_test_compares_its_scores_with_the_card_s(pooled, folder, tmp_path):
    published = [line.scored for line in selftest.run(copied(folder, tmp_path, card(0, 0))).lines]
    (folder / "README.md").write_text(card(*published))
    outcome = selftest.run(pooled)
    assert outcome.passed and outcome.tolerance == selftest.TOLERANCE["float32"]
    (folder / "README.md").write_text(card(published[0] + 1, published[1]))
    assert not selftest.run(pooled).passed


def copied(folder: Path, to: Path, text: str) -> CodeScaler:
    """The same model in the backend transformers, with a card."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    (to / "README.md").write_text(text)
    return scorer(to, "transformers", dtype="float32")


@pytest.mark.long
def test_an_engine_that_dies_of_memory_goes_on_with_half_the_tokens_and_scores_each_pair_once(tmp_path):
    wide = tiny.reward(tmp_path, head_dim=32, hidden_size=64, num_attention_heads=2, intermediate_size=16384)
    given, tight = pairs(8, 8), scorer(wide, "vllm", dtype="float32")
    before = set(psutil.Process().children(recursive=True))
    try:
        values(tight, given[:2])  # its threads are there now, and what else it needs for little
        log = tight.pooling.engine.log
        for process in set(psutil.Process().children(recursive=True)) - before:
            process.rlimit(psutil.RLIMIT_AS, (process.memory_info().vms + 32 * MIB,) * 2)
        found = list(tight.score(given))
    finally:
        tight.close()
    assert not log.exists()
    assert tight.notes == ["out of memory in vLLM; token_budget 2048 -> 1024, engine started again"]
    assert sorted(score.key for score in found) == sorted(candidate.key for _, candidate in given)
    expected = values(scorer(wide, "transformers", dtype="float32"), given)
    assert all(score.value == pytest.approx(expected[score.key], abs=1e-3) for score in found)


def test_the_question_of_a_problem_is_not_run_again_for_each_candidate(pooled):
    given = pairs(2, 16)
    before = pooled.pooling.cached_tokens
    values(pooled, given)
    # Every candidate after the first of its problem finds at least the question's first block.
    assert pooled.pooling.cached_tokens - before >= 2 * 15 * 128


def test_a_pair_that_is_too_long_is_marked_and_not_cut(pooled):
    problem = Problem("p", "Add.", ())
    found = list(
        pooled.score([(problem, Candidate("p", 0, "", "x = 1\n" * 400)), (problem, Candidate("p", 1, "", "x"))])
    )
    by_index = {score.index: score for score in found}
    assert by_index[0].value is None and "overlong" in by_index[0].why and "1024" in by_index[0].why
    assert by_index[1].value is not None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: tiny.reward(folder, labels=2), "2 labels; a reward model has 1"),
        (lambda folder: tiny.causal(folder), "the vllm backend runs sequence classifiers only"),
        (lambda folder: tiny.value_head(folder), "Set the scorer's backend: transformers"),
    ],
    ids=["two labels", "language model", "value head"],
)
def test_a_checkpoint_that_vllm_would_not_run_as_a_reward_model_is_refused(tmp_path, make, message):
    with pytest.raises(ModelError, match=message):
        scorer(make(tmp_path), "vllm").start()

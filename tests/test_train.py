"""`tts train` with tiny models: it learns, goes on where it was killed, gives a checkpoint that codescaler loads, and
says what is wrong.
"""

import contextlib
import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import preferences
import pytest
import tiny
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from safetensors.torch import load_file, save_file
from support import Disk, Done, command, own_cache
from transformers import AutoModelForSequenceClassification, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from tts import ranking, train, trainable, training
from tts.errors import ConfigError, DataError, ModelError, StoreError, UserError
from tts.models import device_and_dtype, locate
from tts.pairs import HELD_OUT, TRAIN, UNSPLIT, Pair
from tts.pipeline import Silent
from tts.ranking import Bootstrap
from tts.score.codescaler import CodeScaler
from tts.training import Epoch, TrainConfig
from tts.training_picture import write_picture


@pytest.fixture(autouse=True)
def _one_thread_in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


LORA = {"rank": 4, "alpha": 8}
VLLM = {"backend": "vllm", "max_length": 1024, "token_budget": 2048, "engine_args": {"enforce_eager": True}}
VLLM |= {"kv_cache_memory_bytes": 64 * 2**20, "gpu_memory_utilization": 0.01}


_one_thread = tiny.one_thread  # for all of this file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.causal(tmp_path_factory.mktemp("base"), "Llama")


def config(base: Path, pairs: Path, **changes: Any) -> TrainConfig:
    """Of 16 pairs to train on, four steps an epoch."""
    plain = {"lora": LORA, "epochs": 3, "batch": 4, "micro_batch": 2, "learning_rate": 5e-3, "dtype": "float32"}
    return TrainConfig(**{"model": str(base), "pairs": str(pairs), "save_steps": 3, **plain, **changes})


def test_a_checkpoint_that_a_kill_cut_is_none(tmp_path: Path) -> None:
    assert train.last_checkpoint(tmp_path) is None
    for steps, state in ((8, "{}"), (12, "{}"), (16, None), (100, ""), (104, '{"epoch": 1')):
        (folder := tmp_path / "checkpoints" / f"checkpoint-{steps}").mkdir(parents=True)
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    found = train.last_checkpoint(tmp_path)
    assert found is not None and found.name == "checkpoint-12"


class Stopped(Exception):
    """What a training was stopped by."""


class Stopping(Silent):
    """Ends a training after so many of its steps."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, stage: str) -> None:
        """One step is done."""
        self.left -= 1
        if not self.left:
            self.stop()

    def stop(self) -> None:
        """What happens then."""
        raise Stopped


def run(chosen: TrainConfig, folder: Path) -> train.Trained:
    return train.train(chosen, folder, Silent())


def scores(model: Path, given: list[Pair], **options: Any) -> dict[tuple[str, int], float]:
    scorer = CodeScaler(model=str(model), dtype="float32", **options)
    try:
        return {one.key: one.value or math.nan for one in scorer.score(preferences.candidates(given))}
    finally:
        scorer.close()


def accuracy(found: dict[tuple[str, int], float]) -> float:
    return float(np.mean([found[name, 0] > found[name, 1] for name in {key[0] for key in found}]))


# It learns, and what it saves is what it looked at.


@pytest.fixture(scope="module", params=[LORA, None], ids=["lora", "full"])
def trained(request: pytest.FixtureRequest, base: Path, tmp_path_factory: pytest.TempPathFactory) -> train.Trained:
    folder = tmp_path_factory.mktemp("trained")
    return run(config(base, preferences.write(folder), lora=request.param), folder / "out")


def test_a_tiny_model_learns_what_tells_the_pairs_apart(trained: train.Trained) -> None:
    first, best = trained.epochs[0], trained.best
    assert (first.step, first.train_loss) == (0, None)
    assert [one.step for one in trained.epochs] == [0, 4, 8, 12]
    assert first.loss == pytest.approx(math.log(2), abs=0.4)
    assert best.accuracy.value == 1 and best.loss < 0.1 < first.loss
    assert (trained.pairs, trained.held_out, trained.overlong) == (16, 8, 0)


def assert_saved_as_looked(done: train.Trained) -> None:
    """The model that was saved scores the held-out pairs as the look that was kept did."""
    held = [pair for pair in preferences.pairs() if pair.split == HELD_OUT]
    found = scores(done.model, held)
    assert accuracy(found) == done.best.accuracy.value
    margins = [found[pair.problem_id, 0] - found[pair.problem_id, 1] for pair in held]
    assert np.mean(margins) == pytest.approx(done.best.mean_margin, rel=1e-3)


def test_the_checkpoint_scores_as_the_held_out_pairs_were_scored_in_training(trained: train.Trained) -> None:
    assert_saved_as_looked(trained)


def test_it_is_an_ordinary_sequence_classifier_and_nothing_else_is_left(trained: train.Trained) -> None:
    folder = trained.model.parent
    model = AutoModelForSequenceClassification.from_pretrained(trained.model)
    assert (type(model).__name__, model.config.num_labels) == ("LlamaForSequenceClassification", 1)
    assert AutoTokenizer.from_pretrained(trained.model).chat_template == tiny.TEMPLATE
    assert {file.stat().st_mode for file in trained.model.iterdir()} == {(trained.model / "config.json").stat().st_mode}
    with pytest.raises(ModelError, match=f"has no config.json. Give {folder / 'model'}, which has"):
        locate(str(folder))
    kept = {path.name for path in folder.iterdir()}
    assert kept == {"config.yaml", "inputs.yaml", "epochs.jsonl", "model", "lock"} | (
        {"adapter"} if trained.adapter else set()
    )


def test_a_finished_training_is_not_done_again(trained: train.Trained, base: Path) -> None:
    folder = trained.model.parent
    before = (trained.model / "model.safetensors").stat().st_mtime_ns
    lora = yaml.safe_load((folder / "config.yaml").read_text())["lora"]
    again = run(config(base, folder.parent / "pairs.jsonl", lora=lora), folder)
    assert (again.epochs, again.model) == (trained.epochs, trained.model)
    assert (trained.model / "model.safetensors").stat().st_mtime_ns == before


def test_another_training_does_not_go_on_in_its_folder(trained: train.Trained, base: Path) -> None:
    folder = trained.model.parent
    lora = yaml.safe_load((folder / "config.yaml").read_text())["lora"]
    other = config(base, folder.parent / "pairs.jsonl", lora=lora, learning_rate=0.1)
    with pytest.raises(ConfigError, match=r"training with learning_rate: 0.005, and now it is 0.1.*--folder"):
        run(other, folder)


def test_other_pairs_under_the_same_name_are_another_training(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path), epochs=1)
    run(chosen, tmp_path / "out")
    preferences.write(tmp_path, preferences.pairs(23))
    with pytest.raises(ConfigError, match=r"training with content of pairs: '\w+', and now it is '\w+'.*--folder"):
        run(chosen, tmp_path / "out")


def test_another_base_under_the_same_name_is_another_training(tmp_path: Path) -> None:
    chosen = config(tiny.causal(tmp_path / "base", "Llama"), preferences.write(tmp_path), epochs=1)
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(2))
    tiny.causal(tmp_path / "base", "Llama", seed=5)
    with pytest.raises(ConfigError, match="holds a training with content of model"):
        run(chosen, tmp_path / "out")


def test_what_a_kill_at_the_end_left_goes(trained: train.Trained, base: Path) -> None:
    folder = trained.model.parent
    for name in ("checkpoints", "best"):
        (folder / name / "deep").mkdir(parents=True)
    lora = yaml.safe_load((folder / "config.yaml").read_text())["lora"]
    run(config(base, folder.parent / "pairs.jsonl", lora=lora), folder)
    assert not (folder / "checkpoints").exists() and not (folder / "best").exists()


def test_dropout_of_the_adapter_is_there_in_training(base: Path, tmp_path: Path) -> None:
    pairs = preferences.write(tmp_path)
    plain, dropped = (
        run(config(base, pairs, epochs=1, lora={**LORA, "dropout": share}), tmp_path / str(share)).epochs
        for share in (0.0, 0.9)
    )
    assert plain[0].loss == dropped[0].loss
    assert plain[1].train_loss != dropped[1].train_loss


def test_no_look_has_the_dropout_of_training(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path), lora={**LORA, "dropout": 0.9})
    found = run(chosen, tmp_path / "out")
    assert found.best.step > 0  # before the first step an adapter adds 0, dropped or not
    assert_saved_as_looked(found)


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_checkpoints_of_gradients_run_the_blocks_twice_and_come_to_the_same(
    base: Path, tmp_path: Path, lora: dict[str, int] | None
) -> None:
    pairs, losses, runs = preferences.write(tmp_path), [], []
    for on in (False, True):
        with counting("LlamaDecoderLayer") as ran:
            done = run(config(base, pairs, lora=lora, gradient_checkpointing=on, epochs=2), tmp_path / str(on))
        losses.append([one.loss for one in done.epochs] + [one.train_loss for one in done.epochs[1:]])
        runs.append(len(ran))
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert runs[1] - runs[0] == 2 * 2 * 8  # two blocks, two epochs of eight parts of a batch


@contextlib.contextmanager
def counting(name: str) -> Iterator[list[str]]:
    """A list that grows with each run of a module of a class of this name."""
    found: list[str] = []

    def heard(module: torch.nn.Module, *_: object) -> None:
        if type(module).__name__ == name:
            found.append(name)

    handle = torch.nn.modules.module.register_module_forward_pre_hook(heard)
    try:
        yield found
    finally:
        handle.remove()


def test_centred_scores_of_a_pair_add_up_to_less(base: Path, tmp_path: Path) -> None:
    pairs, squares = preferences.write(tmp_path), []
    for center in (0.0, 0.1):
        done = run(config(base, pairs, center=center), tmp_path / str(center))
        assert done.best.step > 0
        found = scores(done.model, preferences.pairs())
        squares.append(np.mean([(found[name, 0] + found[name, 1]) ** 2 for name, _ in found]))
    assert squares[1] < squares[0] / 2


@pytest.mark.parametrize("place", ["cpu", "meta"])
def test_a_step_has_as_many_pairs_whatever_devices_there_are(place: str, tmp_path: Path) -> None:
    from trl import RewardConfig

    arguments = RewardConfig(output_dir=str(tmp_path), per_device_train_batch_size=4, use_cpu=True)
    arguments._n_gpu = 4  # as transformers finds where there are four
    assert arguments.train_batch_size == 16
    train._on_one_device(arguments, torch.device(place))
    assert (arguments.train_batch_size, arguments.device) == (4, torch.device(place))


def test_a_reward_model_is_trained_further(trained: train.Trained, tmp_path: Path) -> None:
    turned = [Pair(p.problem_id, p.statement, p.rejected, p.chosen, split=p.split) for p in preferences.pairs()]
    found = run(config(trained.model, preferences.write(tmp_path, turned), epochs=4), tmp_path / "out")
    assert found.epochs[0].accuracy.value == 0  # it begins with what it had learnt
    assert found.best.accuracy.value == 1


@pytest.mark.skipif(str(device_and_dtype("cpu", "auto")[1]) != "torch.bfloat16", reason="slow without its instructions")
@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_it_learns_in_bfloat16_too(base: Path, tmp_path: Path, lora: dict[str, int] | None) -> None:
    found = run(config(base, preferences.write(tmp_path), lora=lora, dtype="bfloat16"), tmp_path / "out")
    assert found.best.accuracy.value == 1
    dtypes = {value.dtype for value in AutoModelForSequenceClassification.from_pretrained(found.model).parameters()}
    assert dtypes == {torch.bfloat16}


@pytest.mark.parametrize("lora", [LORA, None], ids=["lora", "full"])
def test_no_two_programs_have_one_score_in_bfloat16(base: Path, tmp_path: Path, lora: dict[str, int] | None) -> None:
    """As they would where the head's logits were rounded, near 12 to steps of 0.06."""
    chosen = config(base, preferences.write(tmp_path), lora=lora, dtype="bfloat16")
    tokenizer = trainable.tokenizer_of(str(base))
    data = train._tokens(preferences.pairs(140, 120), tokenizer, 1024)
    found = train._Course(chosen, tmp_path, trainable.load(chosen, tokenizer), tokenizer, data, Silent())._scores()
    assert len(found) == len(set(found.values())) == 240


@pytest.mark.engine
@pytest.mark.long
def test_the_checkpoint_loads_in_vllm_too(tmp_path: Path) -> None:
    pytest.importorskip("vllm")
    heads = {"hidden_size": 64, "num_attention_heads": 2, "head_dim": 32}  # of a size that vLLM has on a CPU
    base = tiny.causal(tmp_path / "base", "Llama", **heads)
    found = run(config(base, preferences.write(tmp_path)), tmp_path / "out")
    held = [pair for pair in preferences.pairs() if pair.split == HELD_OUT]
    mine, theirs = scores(found.model, held), scores(found.model, held, **VLLM)
    assert mine.keys() == theirs.keys()
    assert all(theirs[key] == pytest.approx(mine[key], abs=1e-3) for key in mine)


@pytest.mark.parametrize(
    ("targets", "last", "told"),
    [
        ((), 1, r"applies none to transformer\.h\.1\.attn\.c_attn \(Conv1D\)"),
        (("wte",), None, r"applies none to transformer\.wte \(Embedding\)"),
    ],
)
def test_an_adapter_that_tts_does_not_apply_is_merged_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, targets: tuple[str, ...], last: int | None, told: str
) -> None:
    base, lora = gpt2(tmp_path / "base"), {**LORA, "targets": targets, "last_layers": last}
    found = run(config(base, preferences.write(tmp_path), epochs=2, lora=lora), tmp_path / "out")
    assert found.adapter is None and not (tmp_path / "out" / "adapter").exists()
    assert re.search(told, caplog.text)
    held = [pair for pair in preferences.pairs() if pair.split == HELD_OUT]
    values = scores(found.model, held)
    margins = [values[pair.problem_id, 0] - values[pair.problem_id, 1] for pair in held]
    assert np.mean(margins) == pytest.approx(found.best.mean_margin, rel=1e-3, abs=1e-5)


def gpt2(folder: Path) -> Path:
    """Of layers that are no torch.nn.Linear."""
    torch.manual_seed(0)
    shape: dict[str, Any] = {"n_embd": 48, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.3}
    special: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 2}
    GPT2LMHeadModel(GPT2Config(vocab_size=tiny.save_tokenizer(folder), **shape, **special)).save_pretrained(folder)
    return folder


# Early stopping.


def look(pairs: list[Pair], found: dict[tuple[str, str], float]) -> Epoch:
    return training.looked(pairs, found, Bootstrap(100), epoch=1.0, step=1, seconds=0.5, train_loss=None)


def hopeless_pairs() -> list[Pair]:
    """Pairs of which nothing can be learnt."""
    return [
        Pair(f"p{i}", preferences.statement(i), *programs, split=HELD_OUT if i % 3 == 0 else TRAIN)
        for i, programs in enumerate((("b", "a"), ("a", "b")) * 12)
    ]


def test_it_stops_when_patience_is_over_and_keeps_the_best(base: Path, tmp_path: Path) -> None:
    hopeless = hopeless_pairs()
    found = run(config(base, preferences.write(tmp_path, hopeless), epochs=50, patience=2), tmp_path / "out")
    best = found.epochs.index(found.best)
    assert len(found.epochs) == best + 3 < 50
    assert accuracy(scores(found.model, [p for p in hopeless if p.split == HELD_OUT])) == found.best.accuracy.value


@given(
    st.lists(st.tuples(st.sampled_from([0.4, 0.5, 0.6]), st.sampled_from([0.1, 0.2])), min_size=1), st.integers(1, 3)
)
def test_patience_counts_from_the_best(found: list[tuple[float, float]], patience: int) -> None:
    pairs = [Pair("a", "a", "b", "c")]
    plain = training.looked(
        pairs, {("a", "b"): 1.0, ("a", "c"): 0.0}, Bootstrap(100), epoch=0.0, step=0, seconds=0.0, train_loss=None
    )

    epochs = [
        dataclasses.replace(plain, step=i, loss=loss, accuracy=dataclasses.replace(plain.accuracy, value=value))
        for i, (value, loss) in enumerate(found)
    ]
    best = training.best_of(epochs)
    assert all((best.accuracy.value, -best.loss) >= (one.accuracy.value, -one.loss) for one in epochs)
    assert training.over(epochs, patience) == (len(epochs) - 1 - best.step >= patience)


# Killed and continued.


def training_in(folder: Path, chosen: TrainConfig) -> list[str]:
    """The command line of a training, its config written."""
    (folder / "config.yaml").write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    return command("train", "config.yaml", "--folder", "out")


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_what_was_ended_goes_on_and_comes_to_the_same(base: Path, tmp_path: Path, how: signal.Signals) -> None:
    chosen = config(base, preferences.write(tmp_path), epochs=8, patience=8, save_steps=2, learning_rate=1e-4)
    line = training_in(tmp_path, chosen)
    process = subprocess.Popen(
        line, cwd=tmp_path, env=own_cache(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while not list((tmp_path / "out").glob("checkpoints/checkpoint-[4-9]")) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(process.pid, how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-how if how == signal.SIGKILL else 128 + how)
    assert how == signal.SIGKILL or "goes on from the last checkpoint" in said
    assert not (tmp_path / "out" / "model").exists()
    torn = tmp_path / "out" / "checkpoints" / "checkpoint-9999"
    torn.mkdir()  # as a kill may leave it
    found = run(chosen, tmp_path / "out")
    whole = run(chosen, tmp_path / "whole")
    assert [one.step for one in found.epochs] == [one.step for one in whole.epochs] == list(range(0, 33, 4))
    for mine, theirs in zip(found.epochs, whole.epochs, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-4)
    held = [pair for pair in preferences.pairs() if pair.split == HELD_OUT]
    mine_, theirs_ = scores(found.model, held), scores(whole.model, held)
    assert all(mine_[key] == pytest.approx(theirs_[key], abs=1e-3) for key in mine_)


@pytest.mark.parametrize("tear", [Path.unlink, lambda file: file.write_text("{")], ids=["missing", "cut"])
@pytest.mark.parametrize("before", [0, 3], ids=["from the start", "from the one before"])
def test_a_checkpoint_that_a_kill_cut_at_an_epoch_s_end_is_made_anew(
    base: Path, tmp_path: Path, tear: Callable[[Path], object], before: int
) -> None:
    chosen = config(base, preferences.write(tmp_path), save_steps=before or 50)
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(5))
    last = tmp_path / "out" / "checkpoints" / "checkpoint-4"
    tear(last / "trainer_state.json")
    (torn := last.with_name("checkpoint-40")).mkdir()
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(5 - before))
    assert train.last_checkpoint(tmp_path / "out") == last and not torn.exists()
    assert [one.step for one in run(chosen, tmp_path / "out").epochs] == [0, 4, 8, 12]


def test_it_goes_on_with_smaller_parts_of_a_batch_and_comes_to_the_same(base: Path, tmp_path: Path) -> None:
    pairs = preferences.write(tmp_path)
    chosen = config(base, pairs, micro_batch=4, learning_rate=1e-4)
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(7))  # one step after a checkpoint, amid an epoch
    found = run(config(base, pairs, micro_batch=1, learning_rate=1e-4), tmp_path / "out")
    whole = run(chosen, tmp_path / "whole")
    assert [one.step for one in found.epochs] == [0, 4, 8, 12]
    for mine, theirs in zip(found.epochs, whole.epochs, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, abs=1e-4)
    assert run(config(base, pairs, device="cpu", learning_rate=1e-4), tmp_path / "whole").epochs == whole.epochs


class Unwritable(Stopping):
    """After so many steps, the file of looks cannot be written any more, so that the next look is lost."""

    def __init__(self, step: int, file: Path) -> None:
        super().__init__(step)
        self.file, self.held = file, b""

    def stop(self) -> None:
        """A folder in its place."""
        self.held = self.file.read_bytes()
        self.file.unlink()
        self.file.mkdir()

    def mend(self) -> None:
        """The file as it was."""
        self.file.rmdir()
        self.file.write_bytes(self.held)


def test_patience_that_ends_with_a_look_that_was_lost_ends_it_then(base: Path, tmp_path: Path) -> None:
    """Stopped between the checkpoint of an epoch's end and the look there."""
    pairs = preferences.write(tmp_path, hopeless_pairs())
    chosen = config(base, pairs, epochs=50, patience=2, save_steps=4)
    whole = run(chosen, tmp_path / "whole")
    assert whole.epochs[-1].step < 200
    stopping = Unwritable(whole.epochs[-1].step, tmp_path / "out" / "epochs.jsonl")
    with pytest.raises(UserError, match="cannot be written"):
        train.train(chosen, tmp_path / "out", stopping)
    stopping.mend()
    found = run(chosen, tmp_path / "out")
    assert [one.step for one in found.epochs] == [one.step for one in whole.epochs]


@pytest.mark.parametrize("step", [3, 4], ids=["amid an epoch", "at its end"])
@pytest.mark.parametrize("lose", [Path.unlink, lambda file: file.write_text("")], ids=["deleted", "emptied"])
def test_where_the_looks_are_lost_it_looks_anew_and_goes_on(
    base: Path, tmp_path: Path, step: int, lose: Callable[[Path], object]
) -> None:
    chosen = config(base, preferences.write(tmp_path), save_steps=step)
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(step + 1))
    lose(tmp_path / "out" / "epochs.jsonl")
    found = run(chosen, tmp_path / "out")
    assert [one.step for one in found.epochs] == sorted({step, 4, 8, 12})
    assert found.best.accuracy.value == 1


def test_a_finished_training_without_its_looks_is_told(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path), epochs=1)
    found = run(chosen, tmp_path / "out")
    (tmp_path / "out" / "epochs.jsonl").unlink()
    with pytest.raises(DataError, match=r"epochs.jsonl is gone or empty.*out/model.*another --folder"):
        run(chosen, tmp_path / "out")
    assert found.model.is_dir()


def test_weights_are_those_of_the_look_that_is_the_best_after_a_kill_undid_another(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path))
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(6))
    shutil.rmtree(tmp_path / "out" / "checkpoints")  # the look after step 4 is undone, which was the best
    file = tmp_path / "out" / "epochs.jsonl"
    first, second = (json.loads(line) for line in file.read_text().splitlines())
    assert second["loss"] < first["loss"]
    first["accuracy"]["value"], first["loss"] = 1.0, 0.0  # another machine's numbers: nothing will be better
    file.write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    found = run(chosen, tmp_path / "out")
    assert found.best.step == 0 and len(found.epochs) == 3
    held = [pair for pair in preferences.pairs() if pair.split == HELD_OUT]
    values = scores(found.model, held)
    margins = [values[pair.problem_id, 0] - values[pair.problem_id, 1] for pair in held]
    assert np.mean(margins) == pytest.approx(first["mean_margin"], rel=1e-3)


def test_weights_that_are_gone_are_told(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path))
    with pytest.raises(Stopped):
        train.train(chosen, tmp_path / "out", Stopping(12))
    for file in (tmp_path / "out" / "best").iterdir():
        file.write_bytes((base / "model.safetensors").read_bytes())
    keep = (tmp_path / "out" / "epochs.jsonl").read_text().splitlines()
    best = json.loads(keep[0])
    best["accuracy"]["value"], best["loss"] = 1.0, 0.0
    (tmp_path / "out" / "epochs.jsonl").write_text("\n".join([json.dumps(best), *keep[1:]]) + "\n")
    with pytest.raises(DataError, match=r"step-0.safetensors does not hold the weights that were the best"):
        run(chosen, tmp_path / "out")


def test_a_folder_in_which_another_process_trains_is_refused(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path), epochs=1)

    class Second(Stopping):
        """Begins the same training amid the first."""

        def stop(self) -> None:
            with pytest.raises(StoreError, match=r"out is in use by another tts\. Wait for it to end, or give another"):
                run(chosen, tmp_path / "out")

    found = train.train(chosen, tmp_path / "out", Second(2))
    assert [one.step for one in found.epochs] == [0, 4]
    assert run(chosen, tmp_path / "out").epochs == found.epochs


@pytest.mark.parametrize("text", ["", "- 1\n", "{", "a: \udcff"], ids=["empty", "a list", "cut", "no text"])
def test_a_folder_s_config_that_is_none_is_told(base: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text(text, errors="surrogateescape")
    with pytest.raises(DataError, match=r"out/config.yaml is not what `tts train` wrote there, a mapping; got"):
        run(config(base, preferences.write(tmp_path)), tmp_path / "out")


def test_a_folder_of_a_run_and_a_file_are_refused(base: Path, tmp_path: Path) -> None:
    chosen = config(base, preferences.write(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.sqlite").touch()
    with pytest.raises(ConfigError, match=r"run holds a run \(run.sqlite\), and a training needs a folder of its own"):
        run(chosen, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"pairs.jsonl is a file, and a training needs a folder. Give another"):
        run(chosen, tmp_path / "pairs.jsonl")


# Numbers that are none.


def test_a_base_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    base = tiny.causal(tmp_path / "base", "Llama")
    weights = load_file(base / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"][0, 0] = math.nan
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"gives no numbers: after 0 steps the score of a held-out program is"):
        run(config(base, preferences.write(tmp_path)), tmp_path / "out")


def test_a_training_that_diverges_ends_and_keeps_what_was_best_before(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = config(base, preferences.write(tmp_path), center=1e38, epochs=6, patience=6)
    found = run(chosen, tmp_path / "out")
    assert "has diverged: at step" in caplog.text and found.epochs[-1].step < 24
    assert not any(math.isnan(one.loss) for one in found.epochs)
    held = [pair for pair in preferences.pairs() if pair.split == HELD_OUT]
    assert all(map(math.isfinite, scores(found.model, held).values()))


def test_a_training_of_one_step_takes_it(base: Path, tmp_path: Path) -> None:
    """And is not all warmup, at whose first step nothing is learnt."""
    found = run(config(base, preferences.write(tmp_path), epochs=1, batch=16), tmp_path / "out")
    assert [one.step for one in found.epochs] == [0, 1]
    assert found.epochs[1].loss != found.epochs[0].loss


def test_a_training_that_learnt_nothing_is_told(base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = run(config(base, preferences.write(tmp_path), epochs=1, learning_rate=1e-30), tmp_path / "out")
    assert found.best.step == 0
    assert "No look after the first step was better than the one before it" in caplog.text


# The same tokens as at scoring.


def test_a_pair_is_read_as_it_is_scored_and_none_is_cut(base: Path) -> None:
    given_ = [*preferences.pairs(), Pair("long", "long " * 40, "a", "b"), Pair("other", "x", "a", "b " * 200)]
    tokenizer = trainable.tokenizer_of(str(base))
    data = train._tokens(given_, tokenizer, 120)
    scorer = CodeScaler(model=str(base))
    assert {pair.problem_id for pair in data.sides[TRAIN]} == {f"p{i}" for i in range(16)}
    for (statement, code), ids in data.tokens.items():
        assert ids == scorer.tokens(statement, code)
    rows = data.dataset(0.0)
    assert rows["chosen_ids"][0] == scorer.tokens(given_[0].statement, given_[0].chosen)
    assert data.dataset(0.5)["margin"][:2] == [0.5, 0.5]


# What is refused.


@pytest.mark.parametrize(("held_out", "told"), [(3, True), (12, False)])
def test_too_few_problems_to_tell_by_are_told(
    base: Path, caplog: pytest.LogCaptureFixture, held_out: int, told: bool
) -> None:
    train._tokens(preferences.pairs(held_out=held_out), trainable.tokenizer_of(str(base)), 120)
    assert ("3 problems held out: the accuracy after each epoch says little" in caplog.text) == told


def test_no_pair_that_fits_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"side 'train': 16 pairs there, and none with two programs of up to 5 tokens"):
        run(config(base, preferences.write(tmp_path), max_length=5), tmp_path / "out")


def test_an_empty_file_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pair to train on"):
        run(config(base, preferences.write(tmp_path, [])), tmp_path / "out")


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    tiny.causal(tmp_path)
    tiny.save_tokenizer(tmp_path, template=None)
    (tmp_path / "chat_template.jinja").unlink(missing_ok=True)
    with pytest.raises(ModelError, match="no chat template"):
        run(config(tmp_path, preferences.write(tmp_path)), tmp_path / "out")


def test_a_template_that_ends_in_the_pad_token_is_refused(tmp_path: Path) -> None:
    tiny.causal(tmp_path)
    tiny.save_tokenizer(tmp_path, template=tiny.TEMPLATE.replace("<|im_end|>\n", "<|im_end|>"), pad="<|im_end|>")
    with pytest.raises(ModelError, match=r"ends in its pad token '<\|im_end\|>'"):
        run(config(tmp_path, preferences.write(tmp_path)), tmp_path / "out")


@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{{ raise_exception('system needed') }}", "cannot render a user's message and an answer: system needed"),
        ("{% for m in messages %}", "cannot render a user's message and an answer: "),
        ("{{ '' }}", "renders two different programs alike"),
        ("{{ messages[0]['content'] }}", "renders two different programs alike"),
    ],
)
def test_a_template_that_renders_no_pair_is_refused(tmp_path: Path, template: str, error: str) -> None:
    tiny.causal(tmp_path)
    tiny.save_tokenizer(tmp_path, template=template)
    with pytest.raises(ModelError, match=rf"{error}.*Mend its chat_template, or give another model"):
        run(config(tmp_path, preferences.write(tmp_path)), tmp_path / "out")


def test_a_token_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    tiny.causal(tmp_path, "Llama")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"token '\[PAD\]' the number 259, and the model has 259. Resize"):
        run(config(tmp_path, preferences.write(tmp_path)), tmp_path / "out")


def test_a_classifier_of_several_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Qwen3ForSequenceClassification with 2 labels; a reward model has 1"):
        run(config(tiny.reward(tmp_path, labels=2), preferences.write(tmp_path)), tmp_path / "out")


def test_what_is_to_be_done_about_a_side_without_pairs(base: Path, tmp_path: Path) -> None:
    alike = [Pair("a", "add one", "b", f"a{i}", split=UNSPLIT) for i in range(4)]
    with pytest.raises(DataError, match=r"1 problem, all alike, so that none.*found\. Add pairs of other problems\.$"):
        run(config(base, preferences.write(tmp_path, alike)), tmp_path / "out")
    trained_on = [dataclasses.replace(pair, split=TRAIN) for pair in preferences.pairs()]
    with pytest.raises(DataError, match=r"No pair is on the side 'held-out': the files put all on the other. Draw"):
        run(config(base, preferences.write(tmp_path, trained_on)), tmp_path / "out")
    short = tiny.causal(tmp_path / "short", "Llama", max_position_embeddings=40)
    with pytest.raises(DataError, match=r"up to 40 tokens. '.*short' reads no more: give another model, or make"):
        run(config(short, preferences.write(tmp_path)), tmp_path / "other")


def test_an_adapter_is_no_base(base: Path, tmp_path: Path) -> None:
    found = run(config(base, preferences.write(tmp_path), epochs=1), tmp_path / "out")
    assert found.adapter is not None
    with pytest.raises(ModelError, match=r"adapter' is an adapter, and a whole model is needed.*Give .*out/model\."):
        run(config(found.adapter, preferences.write(tmp_path)), tmp_path / "again")


def test_too_small_a_disk_is_refused_before_training(base: Path, tmp_path: Path, disk: Disk) -> None:
    disk.mount("size=600k")
    with pytest.raises(UserError, match=r"has \d MiB free, and checkpoints and model will take up to \d MiB\. Free"):
        run(config(base, preferences.write(tmp_path), lora=None), disk.folder / "out")
    assert not list((disk.folder / "out").glob("checkpoints"))


def test_checkpoints_that_are_there_are_not_asked_for_again(base: Path, tmp_path: Path, disk: Disk) -> None:
    chosen, folder = config(base, preferences.write(tmp_path), lora=None, save_steps=2), disk.folder / "out"
    disk.mount("size=32m")
    with pytest.raises(Stopped):
        train.train(chosen, folder, Stopping(5))
    tokenizer = trainable.tokenizer_of(str(base))
    data = train._tokens(preferences.pairs(), tokenizer, 1024)
    course = train._Course(chosen, folder, trainable.load(chosen, tokenizer), tokenizer, data, Silent())
    used, held = (shutil.disk_usage(disk.folder).used, train._held_bytes(folder))
    needed = course._needed_bytes()
    assert needed > held > 100_000
    disk.mount(f"size={used + needed - held // 2}")
    assert shutil.disk_usage(disk.folder).free < needed
    assert run(chosen, folder).epochs[-1].step == 12


def test_layers_that_the_model_has_not_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lora.targets \['nonesuch'\]"):
        run(config(base, preferences.write(tmp_path), lora={**LORA, "targets": ["nonesuch"]}), tmp_path / "out")
    ends = r"lora.targets \['proj'\]: no linear layer of the last 1 block ends in one.*There are: down_proj, gate_proj"
    part = {**LORA, "targets": ["proj"], "last_layers": 1}
    with pytest.raises(ConfigError, match=ends):
        run(config(base, preferences.write(tmp_path), lora=part), tmp_path / "third")
    with pytest.raises(ConfigError, match=r"lora.last_layers must be at most \d+, the model's blocks, got 99"):
        run(config(base, preferences.write(tmp_path), lora={**LORA, "last_layers": 99}), tmp_path / "other")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"batch": 4, "micro_batch": 3}, "micro_batch must be a divisor of batch, 4, got 3"),
        ({"pairs": []}, "pairs must be one file of pairs or several"),
        ({"lora": {"rank": 0}}, "lora.rank"),
        ({"epoch": 3}, "No 'epoch' in config.yaml. Did you mean 'epochs'?"),
        ({"lora": {"alpha": math.inf}}, "lora.alpha: input should be a finite number, got inf"),
        ({"center": math.nan}, "center: input should be a finite number, got nan"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda"),
        ({"pairs": "nowhere.jsonl"}, "nowhere.jsonl cannot be read"),
        ({"model": "nowhere/at/all"}, "No model folder 'nowhere/at/all'"),
    ],
)
def test_bad_values_are_told(cli: Callable[..., Done], tmp_path: Path, changes: dict[str, Any], error: str) -> None:
    preferences.write(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"pairs": "pairs.jsonl"} | changes))
    done = cli("train", "config.yaml")
    assert done.code == 2
    assert error in done.error


def test_without_trl_the_install_line_is_given(tmp_path: Path) -> None:
    """In a Python that has all of the environment but trl and peft."""
    preferences.write(tmp_path)
    (tmp_path / "config.yaml").write_text("pairs: pairs.jsonl\n")
    (tmp_path / "packages").mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if entry.name.partition("-")[0] not in ("trl", "peft"):
            (tmp_path / "packages" / entry.name).symlink_to(entry)
    environment = own_cache(tmp_path)
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path / "packages")
    line = [sys.executable, "-S", "-m", "tts.cli", "train", "config.yaml"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    install = "pip install -c constraints.txt -e '.[train]'"
    assert f"tts train needs trl, peft. Run, in tts's folder: {install}" in done.stderr


# The command.


def test_the_command_trains_prints_and_draws(cli: Callable[..., Done], base: Path, tmp_path: Path) -> None:
    training_in(tmp_path, config(base, preferences.write(tmp_path)))
    done = cli("train", "config.yaml", "epochs=2", "--folder", "out")
    assert done.code == 0, done.err
    assert "Epoch 1.00, step 4: held-out accuracy" in done.err and "train: 8 of 8" in done.err
    assert re.search(r"16 pairs trained on, of which length alone tells \d+\.\d%; 8 held out, 0 too long\.", done.out)
    assert "kept" in done.out
    assert (tmp_path / "out" / "training.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "training.svg").read_text().count("<path") > 20
    rows = [json.loads(line) for line in (tmp_path / "out" / "epochs.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 4, 8]


# The statistics.


def brute(pairs: list[Pair], found: dict[tuple[str, str], float]) -> tuple[float, float]:
    """Accuracy, averaged within problems first, and loss."""
    by_problem: dict[str, list[float]] = {}
    losses = []
    for pair in pairs:
        a, b = found[pair.statement, pair.chosen], found[pair.statement, pair.rejected]
        by_problem.setdefault(pair.statement, []).append(1.0 if a > b else 0.5 if a == b else 0.0)
        losses.append(-math.log(1 / (1 + math.exp(b - a))))
    return float(np.mean([np.mean(mine) for mine in by_problem.values()])), float(np.mean(losses))


@given(
    st.lists(
        st.tuples(st.sampled_from("pqr"), st.integers(0, 3), st.integers(4, 7)), min_size=1, max_size=12, unique=True
    ),
    st.lists(st.sampled_from([-2.0, -0.5, 0.0, 1.0]), min_size=24, max_size=24),
)
def test_accuracy_and_loss_are_those_of_counting(items: list[tuple[str, int, int]], values: list[float]) -> None:
    pairs = [Pair(name, name, str(a), str(b)) for name, a, b in items]
    found = {(name, str(code)): values["pqr".index(name) * 8 + code] for name in "pqr" for code in range(8)}
    mine = look(pairs, found)
    expected, loss = brute(pairs, found)
    assert mine.accuracy.value == pytest.approx(expected)
    assert mine.loss == pytest.approx(loss)
    assert mine.accuracy.problems == len({name for name, _, _ in items})


def test_the_margins_of_a_look_are_calibrated_over_its_programs_each_once() -> None:
    values = {"a": 1.5, "b": -0.5, "c": 0.0, "d": 0.75, "e": -2.0}
    pairs = [Pair(name, name, right, wrong) for name in "pq" for right in "ab" for wrong in "cde"]
    pairs = [pair for pair in pairs if (pair.problem_id, pair.rejected) != ("q", "e")]
    found = {(name, code): value + (name == "q") * ord(code) / 99 for name in "pq" for code, value in values.items()}
    mine = look(pairs, found)
    codes = {"p": "abcde", "q": "abcd"}
    of = [(np.array([found[q, c] for c in codes[q]]), np.array([float(c in "ab") for c in codes[q]])) for q in "pq"]
    expected = ranking.calibrate(of, Bootstrap(100))
    assert (mine.scale, mine.margins) == (expected.scale, expected.bins)
    assert math.isfinite(mine.scale.value) and len(mine.margins) > 1


def test_the_picture_draws_what_each_look_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = preferences.pairs(6, 0)
    pairs = [
        *plain,
        *(dataclasses.replace(p, rejected=f"{p.rejected}\n#", source="wrong_constant") for p in plain[::2]),
    ]
    drawn: list[Any] = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: drawn.append(figure))
    looks = []
    for step, above in ((0, -0.1), (4, 0.5), (8, 0.2)):
        scores = {
            (p.statement, c): above * i * (c == p.chosen) for i, p in enumerate(pairs) for c in (p.chosen, p.rejected)
        }
        how = {"epoch": step / 4, "step": step, "train_loss": 1 / step if step else None}
        looks.append(dataclasses.replace(look(pairs, scores), **how))
    write_picture(looks, tmp_path / "training.png")
    losses, accuracy, margins = (dict(zip(*labelled(axes), strict=True)) for axes in drawn[0].axes)
    assert losses["train"] == [(4, 0.25), (8, 0.125)]
    assert losses["held out"] == [(one.step, one.loss) for one in looks]
    assert accuracy["all pairs"] == [(one.step, 100 * one.accuracy.value) for one in looks]
    assert accuracy["without mutants"] == [(one.step, 100 * one.sampled.value) for one in looks if one.sampled]
    assert set(margins) == {"fitted", "found"}


def labelled(axes: Any) -> tuple[list[str], list[list[tuple[float, float]]]]:
    """The curves of a picture that have a name, and their points."""
    lines = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    return [line.get_label() for line in lines], [
        list(zip(line.get_xdata(), line.get_ydata(), strict=True)) for line in lines
    ]


def printed(what: Any) -> str:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def test_the_accuracy_without_mutants_is_that_of_the_other_pairs_alone(tmp_path: Path) -> None:
    plain = preferences.pairs(6, 0)
    found = {
        (p.statement, c): float((c == p.chosen) ^ (i % 3 == 0))
        for i, p in enumerate(plain)
        for c in (p.chosen, p.rejected)
    }
    changed = [dataclasses.replace(p, rejected=f"{p.rejected}\n#", source="wrong_constant") for p in plain[::2]]
    found |= {(p.statement, p.rejected): -1.0 for p in changed}
    both, alone = look([*plain, *changed], found), look(plain, found)
    assert both.sampled == alone.accuracy != both.accuracy
    assert alone.sampled is None and look(changed, found).sampled is None
    training.keep(tmp_path / "epochs.jsonl", [both])
    assert repr(training.kept(tmp_path / "epochs.jsonl")) == repr([both])
    assert "mutants" not in printed(training.table([alone]))
    assert all(part in printed(training.table([both])) for part in training.percent(both.sampled).split(" ", 1))
    assert "…" not in printed(training.table([dataclasses.replace(both, epoch=10.5, step=1234, seconds=6e4)]))


def test_what_is_kept_is_read_even_without_a_value(tmp_path: Path) -> None:
    pairs = preferences.pairs(6, 0)
    found = {(p.statement, c): float(c == p.chosen) for p in pairs for c in (p.chosen, p.rejected)}
    mine = look(pairs, found)
    assert mine.scale.value == math.inf and math.isnan(mine.scale.low)
    training.keep(tmp_path / "epochs.jsonl", [mine])
    (again,) = training.kept(tmp_path / "epochs.jsonl")
    assert repr(again) == repr(mine)
    assert isinstance(again, Epoch)


def test_a_look_without_numbers_is_read_as_one(tmp_path: Path) -> None:
    """As tts wrote them before it refused them."""
    pairs = preferences.pairs(6, 0)
    mine = look(pairs, {(p.statement, c): 0.0 for p in pairs for c in (p.chosen, p.rejected)})
    training.keep(tmp_path / "epochs.jsonl", [dataclasses.replace(mine, loss=math.nan, mean_margin=math.nan)])
    (again,) = training.kept(tmp_path / "epochs.jsonl")
    assert math.isnan(again.loss) and math.isnan(again.mean_margin)
    write_picture([again], tmp_path / "training.png")
    training.table([again])

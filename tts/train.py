"""`tts train`: preference pairs -> a reward model, by trl's RewardTrainer (Bradley-Terry), full or LoRA through peft.

A pair's tokens are made by the code that makes them at scoring (`score/_pairs.py`), and one that is too long is left
out, as it would not be scored. A folder is one training: checkpoints, the look at the held-out pairs after each epoch,
the best weights so far, and at the end `model/`, which `codescaler` loads in both backends. The same command goes on
where it was stopped.
"""

import contextlib
import importlib.util
import itertools
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tts import pair_rows
from tts.errors import ConfigError, DataError, ModelError, UserError, counted, explained, shown
from tts.jsonl import user_path
from tts.ledger import key_of
from tts.memory import gib
from tts.models import content, device_and_dtype, locate
from tts.pairs import HELD_OUT, TRAIN, UNSPLIT, Pair, length_accuracy, sided
from tts.pipeline import Progress
from tts.ranking import Bootstrap
from tts.score._pairs import chat, longest, tokenise
from tts.store import FILE as RUN
from tts.store import locked
from tts.trainable import MODEL, check_tokens, check_whole, load, tokenizer_of, unapplied
from tts.training import Epoch, TrainConfig, best_of, keep, kept, looked, over, percent
from tts.writing import replacing

if TYPE_CHECKING:
    from datasets import Dataset

LOG = logging.getLogger("tts")
FEW = 10  # problems held out: with fewer the interval is as wide as the scale
INSTALL = "pip install -c constraints.txt -e '.[train]'"
NEEDED = ("trl", "peft", "datasets", "accelerate", "transformers", "torch")
CONFIG, INPUTS, EPOCHS, CHECKPOINTS, BEST, PART, ADAPTER = (
    *("config.yaml", "inputs.yaml", "epochs.jsonl", "checkpoints", "best", ".model.part", "adapter"),
)
FREE = {"device", "micro_batch"}  # of a config: may change on the way, as machines and their memory do
KEPT_CHECKPOINTS = 2
FLOAT32 = 4
SPARE = 1.2  # of the disk that is computed to be needed: tokenizers, optimizers' small print, the file system's own
Program = tuple[str, str]  # statement and code


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training: its looks at the held-out pairs, the best of them, where the model is, how many pairs were
    trained on and held out, how many were too long for `limit` tokens, and how often length alone tells the chosen
    program of those that were trained on, whose balance is off by what was too long.
    """

    epochs: tuple[Epoch, ...]
    model: Path
    adapter: Path | None
    pairs: int
    held_out: int
    overlong: int
    limit: int
    length_accuracy: float

    @property
    def best(self) -> Epoch:
        """The epoch whose weights were kept."""
        return best_of(self.epochs)


def train(config: TrainConfig, folder: Path, progress: Progress) -> Trained:
    """Train, or go on training, in a folder. Raises ConfigError for a folder of another training or a library that is
    not installed, DataError for pairs that cannot be used or looks that are lost, ModelError for a model that cannot be
    trained, StoreError for a folder in which another process trains, UserError for a disk that is too small.
    """
    _check_installed()
    _check_folder(folder)
    check_whole(config.model)
    pairs = _pairs(config)
    tokenizer = tokenizer_of(config.model)
    with locked(folder):
        return _trained(config, folder, pairs, tokenizer, progress)


def _trained(config: TrainConfig, folder: Path, pairs: Sequence[Pair], tokenizer: Any, progress: Progress) -> Trained:
    """In a folder that is this process's."""
    _claim(config, pairs, folder)
    model = load(config, tokenizer)
    context = model.config.get_text_config().max_position_embeddings
    limit = longest(context, config.max_length)
    remedy = "Raise max_length" if limit < context else f"{config.model!r} reads no more: give another model"
    data = _tokens(pairs, tokenizer, limit, remedy)
    check_tokens(model, config.model, tokenizer, data.tokens.values())
    course = _Course(config, folder, model, tokenizer, data, progress)
    if not (folder / MODEL / "config.json").is_file():
        course.run()
    for leftover in (CHECKPOINTS, BEST):  # of this call, or of one that was killed once the model was there
        shutil.rmtree(folder / leftover, ignore_errors=True)
    adapter = folder / ADAPTER
    return Trained(
        epochs=_looks(folder),
        model=folder / MODEL,
        adapter=adapter if adapter.is_dir() else None,
        pairs=len(data.sides[TRAIN]),
        held_out=len(data.sides[HELD_OUT]),
        overlong=len(pairs) - sum(map(len, data.sides.values())),
        limit=data.limit,
        length_accuracy=length_accuracy(data.sides[TRAIN]),
    )


def _looks(folder: Path) -> tuple[Epoch, ...]:
    """Those of a training that is finished. Raises DataError where they are lost."""
    found = tuple(kept(folder / EPOCHS))
    if not found:
        raise DataError(
            f"{folder / EPOCHS} is gone or empty, so what the training found is not known. The model is whole: "
            f"{folder / MODEL}. For the numbers, train in another --folder."
        )
    return found


def _check_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"tts train needs {', '.join(missing)}. Run, in tts's folder: {INSTALL}")


def _check_folder(folder: Path) -> None:
    """Raises ConfigError for what can hold no training."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--folder {folder} is a file, and a training needs a folder. Give another --folder.")
    if (folder / RUN).is_file():
        raise ConfigError(
            f"{folder} holds a run ({RUN}), and a training needs a folder of its own. Give another --folder."
        )


def _claim(config: TrainConfig, pairs: Sequence[Pair], folder: Path) -> None:
    """Make the folder this training's. Raises ConfigError, naming what differs, for one of another training, of other
    pairs or of another base under the same names.
    """
    mine = {CONFIG: config.model_dump(mode="json"), INPUTS: _contents(config, pairs)}
    with explained(UserError, f"{folder} cannot be written", "Free some space, or give another --folder."):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / CONFIG).is_file():
            for file, values in reversed(mine.items()):  # the config last: with it the folder is taken
                with replacing(folder / file) as beside:
                    beside.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
            return
        held = {name: value for file in mine for name, value in _values(folder / file).items()}
    for name, now in (item for values in mine.values() for item in values.items()):
        if name not in FREE and held.get(name) != now:
            raise ConfigError(
                f"{folder} holds a training with {name}: {held.get(name)!r}, and now it is {now!r}. Give another "
                "--folder, or what this one began with."
            )


def _contents(config: TrainConfig, pairs: Sequence[Pair]) -> dict[str, str]:
    """What the names in a config stand for, as digests."""
    return {
        "content of pairs": key_of([key_of(*astuple(pair)) for pair in pairs]),
        "content of model": content(locate(config.model)),
    }


def _values(file: Path) -> dict[str, Any]:
    """Raises DataError for a file of something else."""
    if not file.is_file():
        return {}
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        found = " ".join(str(error).split())
    if not isinstance(found, dict):
        raise DataError(
            f"{file} is not what `tts train` wrote there, a mapping; got {shown(found)}. Give another --folder."
        )
    return found


# Pairs and their tokens.


@dataclass(frozen=True, slots=True)
class _Data:
    """The pairs of each side that are short enough, and every program's tokens."""

    sides: Mapping[str, list[Pair]]
    tokens: Mapping[Program, list[int]]
    limit: int

    def dataset(self, margin: float) -> "Dataset":
        """What RewardTrainer takes: tokens already made, and the margin that is asked for."""
        from datasets import Dataset

        mine = self.sides[TRAIN]
        columns: dict[str, list[Any]] = {
            "chosen_ids": [self.tokens[pair.statement, pair.chosen] for pair in mine],
            "rejected_ids": [self.tokens[pair.statement, pair.rejected] for pair in mine],
        }
        return Dataset.from_dict(columns | ({"margin": [margin] * len(mine)} if margin else {}))

    @property
    def held_out(self) -> list[Program]:
        """The programs of the held-out pairs, each once, longest first."""
        mine = self.sides[HELD_OUT]
        found = {(pair.statement, code) for pair in mine for code in (pair.chosen, pair.rejected)}
        return sorted(found, key=lambda program: (-len(self.tokens[program]), program))


def _pairs(config: TrainConfig) -> list[Pair]:
    given = [pair for file in config.pairs for pair in pair_rows.read(user_path(file))]
    if not given:
        raise DataError(f"{', '.join(config.pairs)}: there is no pair to train on. Make some with `tts pairs`.")
    try:
        return sided(given, config.held_out, config.seed)
    except DataError as error:
        if any(pair.split != UNSPLIT for pair in given):
            raise
        problems = counted(len({pair.statement for pair in given}), "problem")
        raise DataError(
            f"{', '.join(config.pairs)}: {problems}, all alike, so that none can be held out without leaking, and by "
            "those the best weights are found. Add pairs of other problems."
        ) from error


def tokens_of(pairs: Sequence[Pair], tokenizer: Any) -> dict[Program, list[int]]:
    """Every program's tokens, as a scorer reads it."""
    programs = list(dict.fromkeys((pair.statement, code) for pair in pairs for code in (pair.chosen, pair.rejected)))
    return dict(zip(programs, tokenise(tokenizer, [chat(*program) for program in programs]), strict=True))


def short_enough(pairs: Sequence[Pair], tokens: Mapping[Program, Sequence[int]], limit: int) -> list[Pair]:
    """Those of which neither program has more tokens: what is trained on and looked at."""
    return [
        pair
        for pair in pairs
        if max(len(tokens[pair.statement, code]) for code in (pair.chosen, pair.rejected)) <= limit
    ]


def _tokens(pairs: Sequence[Pair], tokenizer: Any, limit: int, remedy: str = "Raise max_length") -> _Data:
    """Raises DataError if a side has no pair that is short enough; `remedy` is what to do about the limit."""
    tokens = tokens_of(pairs, tokenizer)
    fits = short_enough(pairs, tokens, limit)
    sides = {side: [pair for pair in fits if pair.split == side] for side in (TRAIN, HELD_OUT)}
    for side, mine in sides.items():
        if not mine:
            raise _no_pair(side, sum(pair.split == side for pair in pairs), limit, remedy)
    known = len({pair.statement for pair in sides[HELD_OUT]})
    if known < FEW:
        LOG.warning(
            "%s held out: the accuracy after each epoch says little, and which epoch is kept is chance. Take pairs of "
            "more problems, or raise --held-out of `tts pairs`.",
            counted(known, "problem"),
        )
    if len(fits) < len(pairs):
        LOG.warning("%s left out: a program of more than %d tokens.", counted(len(pairs) - len(fits), "pair"), limit)
    return _Data(sides, tokens, limit)


def _no_pair(side: str, given: int, limit: int, remedy: str) -> DataError:
    again = "`tts pairs FILE... --held-out 0.1`"
    if not given:
        return DataError(
            f"No pair is on the side {side!r}: the files put all on the other. Draw the sides anew: {again}."
        )
    return DataError(
        f"No pair is left on the side {side!r}: {counted(given, 'pair')} there, and none with two programs of up to "
        f"{limit} tokens. {remedy}, or make more pairs and draw the sides anew: {again}."
    )


# The training.


class _Over(Exception):
    """The look that a kill prevented says that no step is to be taken."""


class _Course:
    """One training on its way in its folder."""

    def __init__(
        self, config: TrainConfig, folder: Path, model: Any, tokenizer: Any, data: _Data, progress: Progress
    ) -> None:
        self.config, self.folder, self.model, self.tokenizer, self.data = config, folder, model, tokenizer, data
        self.progress = progress
        self.epochs = kept(folder / EPOCHS)
        self.lora = config.lora is not None
        self.dtype = device_and_dtype(config.device, config.dtype)[1]
        self.begun, self.seconds = time.monotonic(), 0.0
        self.diverged = False

    @property
    def bfloat16(self) -> bool:
        """Whether it is computed in bfloat16."""
        return str(self.dtype) == "torch.bfloat16"

    def run(self) -> None:
        """Train from the last checkpoint on, and save what came out best."""
        with self._writing():
            for torn in itertools.filterfalse(_whole, _checkpoints(self.folder)):
                shutil.rmtree(torn)
            _check_disk(self.folder, self._needed_bytes() - _held_bytes(self.folder))
            trainer = self._trainer()
            last = last_checkpoint(self.folder)
            if last is None or not over(self.epochs, self.config.patience):
                with contextlib.suppress(_Over):
                    trainer.train(resume_from_checkpoint=None if last is None else str(last))
            self._finish()

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        remedy = "Free some space; the same command goes on from the last checkpoint."
        return explained(UserError, f"{self.folder} cannot be written", remedy)

    def _needed_bytes(self) -> int:
        """Checkpoints hold what is trained and two moments of it; up to three looks' weights, and the model at the
        end.
        """
        trained = sum(p.numel() for p in self.model.parameters() if p.requires_grad) * FLOAT32
        whole = sum(p.numel() * p.element_size() for p in self.model.parameters())
        return int(SPARE * ((KEPT_CHECKPOINTS + 1) * 3 * trained + 3 * trained + whole))

    def _trainer(self) -> Any:
        from transformers import PrinterCallback, TrainerCallback
        from trl import RewardTrainer

        course = self

        class Looks(TrainerCallback):
            """Looks at the held-out pairs before the first step and after each epoch."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                course.begin(state)

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                course.progress.advance("train")

            def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                course.look(state)
                control.should_training_stop |= course.ended
                control.should_save |= not course.diverged and not _whole(
                    Path(args.output_dir, f"checkpoint-{state.global_step}")
                )

        trainer = RewardTrainer(
            model=self.model,
            args=self._arguments(),
            train_dataset=self.data.dataset(self.config.margin),
            processing_class=self.tokenizer,
            callbacks=[Looks()],
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _arguments(self) -> Any:
        from trl import RewardConfig

        c = self.config
        place, _ = device_and_dtype(c.device, c.dtype)
        found = RewardConfig(
            output_dir=str(self.folder / CHECKPOINTS),
            num_train_epochs=c.epochs,
            per_device_train_batch_size=c.micro_batch,
            gradient_accumulation_steps=c.batch // c.micro_batch,
            learning_rate=c.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=int(c.warmup * c.epochs * self._steps_per_epoch),
            weight_decay=c.weight_decay,
            center_rewards_coefficient=c.center or None,
            gradient_checkpointing=c.gradient_checkpointing,
            disable_dropout=False,
            max_length=None,  # what is too long is left out already
            pad_to_multiple_of=None,
            bf16=self.bfloat16,
            use_cpu=place.type == "cpu",
            seed=c.seed,
            save_strategy="steps",
            save_steps=c.save_steps,
            save_total_limit=KEPT_CHECKPOINTS,
            eval_strategy="no",
            logging_steps=1,
            logging_strategy="steps",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=place.type != "cpu",
        )
        _on_one_device(found, place)
        return found

    # Looks at the held-out pairs.

    def begin(self, state: Any) -> None:
        """Forget looks at what a kill undid, and take the one that it prevented, or one if there is none. Raises _Over
        if that ends it.
        """
        self.progress.stage("train", state.max_steps, state.global_step)
        self.epochs = [one for one in self.epochs if one.step <= state.global_step]
        self.begun, self.seconds = time.monotonic(), self.epochs[-1].seconds if self.epochs else 0.0
        ended = state.global_step % self._steps_per_epoch == 0
        if not self.epochs or (ended and self.epochs[-1].step < state.global_step):
            self.look(state)
        if self.ended:
            raise _Over

    @property
    def ended(self) -> bool:
        """Whether no further step is to be taken."""
        return self.diverged or over(self.epochs, self.config.patience)

    @property
    def _steps_per_epoch(self) -> int:
        return math.ceil(len(self.data.sides[TRAIN]) / self.config.batch)

    def look(self, state: Any) -> None:
        """Score the held-out pairs, and keep the weights if they are the best so far. A look that finds no numbers is
        none: it ends the training. Raises ModelError if there is none before it.
        """
        scores = self._scores()
        if not all(map(math.isfinite, scores.values())):
            self._diverge(state)
            return
        since = self.epochs[-1].step if self.epochs else 0
        losses = [row["loss"] for row in state.log_history if "loss" in row and row["step"] > since]
        found = looked(
            self.data.sides[HELD_OUT],
            scores,
            Bootstrap(),
            epoch=float(state.epoch or 0.0),
            step=state.global_step,
            seconds=self.seconds + time.monotonic() - self.begun,
            train_loss=sum(losses) / len(losses) if losses else None,
        )
        self.epochs.append(found)
        LOG.info(
            "Epoch %.2f, step %d: held-out accuracy %s%s, loss %.4f",
            *(found.epoch, found.step, percent(found.accuracy)),
            f" ({percent(found.sampled)} without mutants)" if found.sampled else "",
            found.loss,
        )
        if best_of(self.epochs) is found:
            self._save_weights(found)
        keep(self.folder / EPOCHS, self.epochs)
        self._drop_weights()

    def _diverge(self, state: Any) -> None:
        if not self.epochs:
            raise ModelError(
                f"{self.config.model!r} gives no numbers: after {counted(state.global_step, 'step')} the score of a "
                "held-out program is infinite or NaN. Its weights are damaged, or too large for "
                f"{'bfloat16' if self.bfloat16 else 'float32'}: give another model, or another dtype."
            )
        self.diverged = True
        LOG.warning(
            "The training has diverged: at step %d a held-out program's score is infinite or NaN. It ends here, and "
            "the best weights before are kept, those of step %d. Lower learning_rate, center or lora.alpha.",
            *(state.global_step, best_of(self.epochs).step),
        )

    def _scores(self) -> dict[Program, float]:
        """The held-out programs' logits, padded, a few at a time."""
        import torch

        was = self.model.training
        found: dict[Program, float] = {}
        self.model.eval()
        device = next(self.model.parameters()).device
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            for programs in _batches(self.data.held_out, 2 * self.config.micro_batch):
                rows = [self.data.tokens[program] for program in programs]
                padded = self.tokenizer.pad({"input_ids": rows}, padding_side="right", return_tensors="pt").to(device)
                logits = self.model(**padded, use_cache=False).logits[:, 0].float().tolist()
                found.update(zip(programs, logits, strict=True))
        self.model.train(was)
        return found

    # What comes out.

    def _trained_weights(self) -> dict[str, Any]:
        """What is trained, by name, copied."""
        return {name: p.detach().cpu().clone() for name, p in self.model.named_parameters() if p.requires_grad}

    def _weights_of(self, look: Epoch) -> Path:
        return self.folder / BEST / f"step-{look.step}.safetensors"

    def _save_weights(self, look: Epoch) -> None:
        from safetensors.torch import save_file

        with replacing(self._weights_of(look)) as beside:
            save_file(self._trained_weights(), beside)

    def _drop_weights(self) -> None:
        """All but the best look's and those that would be the best if a kill undid the last look."""
        needed = {self._weights_of(best_of(some)) for some in (self.epochs, self.epochs[:-1]) if some}
        for file in set((self.folder / BEST).iterdir()) - needed:
            file.unlink()

    def _restore(self) -> None:
        """The best look's weights into the model. Raises DataError where they are not there or not the model's."""
        from safetensors.torch import load_file

        file = self._weights_of(best_of(self.epochs))
        weights = load_file(file) if file.is_file() else {}
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        if weights.keys() != trained:
            raise DataError(f"{file} does not hold the weights that were the best. Train anew in another --folder.")
        self.model.load_state_dict(weights, strict=False)

    def _finish(self) -> None:
        """Save the best weights as a model of its own, and the adapter alone."""
        if best_of(self.epochs).step == 0 and len(self.epochs) > 1:
            LOG.warning(
                "No look after the first step was better than the one before it: the model that is kept has learnt "
                "nothing. Give more pairs or epochs, or another learning_rate."
            )
        self._restore()
        beside = self.folder / PART
        shutil.rmtree(beside, ignore_errors=True)
        if self.lora:
            if unapplied(self.model) is None:
                self._save_adapter()
            self.model = self.model.merge_and_unload()
        self.model.config.num_labels = 1
        self.model.to(self.dtype).save_pretrained(beside)
        self.tokenizer.save_pretrained(beside)
        _for_all_who_may(beside)
        beside.rename(self.folder / MODEL)

    def _save_adapter(self) -> None:
        """As peft does, in bfloat16, with the base by the name that it was given and the tokenizer as it trained."""
        import torch
        from safetensors.torch import load_file, save_file

        place = self.folder / ADAPTER
        self.model.peft_config["default"].base_model_name_or_path = self.config.model
        self.model.save_pretrained(place, save_embedding_layers=False)
        file = place / "adapter_model.safetensors"
        save_file({name: value.to(torch.bfloat16) for name, value in load_file(file).items()}, file)
        base = self.model.get_base_model()
        base.config.architectures = [type(base).__name__]
        base.config.save_pretrained(place)
        self.tokenizer.save_pretrained(place)
        (place / "README.md").unlink(missing_ok=True)  # peft's empty card
        _for_all_who_may(place)


def _for_all_who_may(place: Path) -> None:
    """Let weights be read by those who may read the config: safetensors writes them for their owner alone, and a server
    has a user of its own.
    """
    for file in place.glob("*.safetensors"):
        shutil.copymode(place / "config.json", file)


def _batches(programs: Sequence[Program], size: int) -> Iterator[Sequence[Program]]:
    for start in range(0, len(programs), size):
        yield programs[start : start + size]


def _on_one_device(arguments: Any, place: Any) -> None:
    """A step is of `batch` pairs on the device that was asked for: by itself transformers starts at cuda:0 and splits a
    batch of n times as many among n GPUs.
    """
    import torch

    arguments._n_gpu = min(1, arguments.n_gpu)
    if place.type == "cuda":
        place = torch.device("cuda", torch.cuda.current_device() if place.index is None else place.index)
        torch.cuda.set_device(place)
    vars(arguments)["_setup_devices"] = place  # where transformers keeps the device that it found


def _held_bytes(folder: Path) -> int:
    """What a training that goes on has written of what it will need."""
    places = (folder / name for name in (CHECKPOINTS, BEST, PART, ADAPTER))
    return sum(file.stat().st_size for place in places for file in place.rglob("*") if file.is_file())


def _check_disk(folder: Path, needed: int) -> None:
    """Raises UserError where checkpoints and model would not fit."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder} has {gib(free)} free, and checkpoints and model will take up to {gib(needed)}. Free some space, "
            "give another --folder, or train an adapter (lora) of lower rank."
        )


def last_checkpoint(folder: Path) -> Path | None:
    """A training's last whole checkpoint: a kill may have cut the last of all."""
    return max(filter(_whole, _checkpoints(folder)), key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _checkpoints(folder: Path) -> list[Path]:
    return list((folder / CHECKPOINTS).glob("checkpoint-*"))


def _whole(checkpoint: Path) -> bool:
    """Whether its state, which is written last, is there and not cut."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return True

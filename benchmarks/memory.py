#!/usr/bin/env python3
"""The memory plan against what really happens, on the CPU: pairs of small generators and scorers, shared or in turns.

Each pair runs in a fresh process, through tts's own engine and with the options that the plan decides, while the
process tree's proportional set size (PSS) is sampled. The load fills the keys and values (prompts of the planned
length, none alike) and the scorer's token budget (families that must be split). Compared are: weights and bytes of keys
and values per token, which must be exact, and the peak, with the plan's sum plus what empty processes of the same kind
with the same imports take at that moment. `tts plan` has a figure of its own for these.

Scorers are real backbones, or random ones, with a random head; they are made in a temporary folder (about 2 GB).

    python benchmarks/memory.py                        # all pairs
    python benchmarks/memory.py --pairs 0 3 --modes share
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _children import sampling
from _results import save

from tts import config as configs
from tts import planning, plugins
from tts.footprint import VLLM_EMPTY_BYTES
from tts.memory import MemoryPlan
from tts.models import EMBEDDED, cache_folder, locate
from tts.types import Candidate, Message, Problem

MIB = 2**20
INTERVAL_SECONDS = 0.1
TOLERANCE = 0.10
CODER = str(cache_folder() / "qwen2.5-coder-0.5b")
MODES = ("share", "sequential")
PROMPT_TOKENS, MAX_TOKENS, LONGEST_PAIR, TOKEN_BUDGET = 900, 40, 1024, 2048

# (generator's backend, model, sequences at once; scorer's backend, model)
PAIRS = [
    ("transformers", "smollm2-lm", 8, "transformers", "smollm2"),
    ("transformers", "coder-lm", 8, "transformers", "wide"),
    ("transformers", "wide-lm", 8, "transformers", "coder"),
    ("vllm", "smollm2-lm", 8, "transformers", "wide"),
    ("vllm", "coder-lm", 8, "transformers", "smollm2"),
    ("vllm", "wide-lm", 8, "transformers", "coder"),
    ("transformers", "smollm2-lm", 8, "vllm", "coder"),
    ("vllm", "smollm2-lm", 8, "vllm", "smollm2"),
]
WIDE = {
    "hidden_size": 1536,
    "intermediate_size": 4096,
    "num_hidden_layers": 6,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 4096,
}


# The models.


def make_models(folder: Path) -> None:
    """Random heads on real backbones, and a wide random model of each kind."""
    import torch
    import transformers

    classifier = transformers.AutoModelForSequenceClassification
    for name, source in (("smollm2", locate(EMBEDDED)), ("coder", CODER)):
        shutil.copytree(source, folder / f"{name}-lm")  # no other process maps this file, which would halve its PSS
        model = classifier.from_pretrained(source, num_labels=1, dtype=torch.bfloat16)
        _save(model, transformers.AutoTokenizer.from_pretrained(source), folder / name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(locate(EMBEDDED))
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = transformers.Qwen3Config(vocab_size=len(tokenizer), num_labels=1, dtype="bfloat16", **WIDE, **ends)
    _save(transformers.Qwen3ForSequenceClassification(config).bfloat16(), tokenizer, folder / "wide")
    _save(transformers.Qwen3ForCausalLM(config).bfloat16(), tokenizer, folder / "wide-lm")


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def config_of(pair: tuple[str, str, int, str, str], mode: str, models: Path) -> dict[str, Any]:
    """The pair as an experiment."""
    backend, model, sequences, scoring, reward = pair
    at_once = {"max_num_seqs": sequences, "max_model_len": 1024, "max_num_batched_tokens": 1024}
    generator = {
        "name": backend,
        "model": str(models / model),
        "dtype": "bfloat16",
        "max_tokens": MAX_TOKENS,
        **(at_once if backend == "vllm" else {"batch_size": sequences}),
    }
    scorer = {
        "name": "codescaler",
        "backend": scoring,
        "model": str(models / reward),
        "dtype": "bfloat16",
        "max_length": LONGEST_PAIR,
        "token_budget": TOKEN_BUDGET,
    }
    memory = {"mode": mode, "device": "cpu", "prompt_tokens": PROMPT_TOKENS}
    return {"benchmark": "mini", "generator": generator, "scorers": [scorer], "memory": memory}


# The measured process.


def run(raw: dict[str, Any]) -> dict[str, Any]:
    """Draw and score until both engines' memory has been filled; in share mode, also what was loaded."""
    from tts.engine import Engine

    config = configs.parse(raw)
    found = planning.plan_for(config)
    assert found.generator is not None
    generator = planning.apply(found.generator, plugins.build("generator", config.generator.spec), found.mode)
    scorer = planning.apply(found.scorers[0], plugins.build("scorer", config.scorers[0].spec), found.mode)
    wanted = [(prompt(generator, i), 0) for i in range((found.generator.concurrency or 1) + 2)]
    pairs = [pair for i in range(2) for pair in family(scorer, f"f{i}", 8)]
    facts: dict[str, Any] = {}
    with Engine(generator, {"codescaler": scorer}, found.mode) as engine:
        engine.submit(wanted, {"codescaler": pairs})
        done = 0
        whole: set[int] = set()
        while engine.busy:
            done += len(engine.poll())
            for part in (generator, scorer):
                read_weights(part, whole)
        if found.mode == "share":
            facts = {"generator": loaded(generator), "scorer": loaded(scorer)}
    assert done == 2 * len(wanted) + len(pairs)
    return facts


def prompt(generator: Any, number: int) -> Problem:
    """A problem whose prompt has the planned length and begins like no other's."""

    def made(words: int) -> Problem:
        text = filler(number, words)
        return Problem(f"p{number}", text, (Message("user", text),))

    return made(_most(lambda words: len(generator.prompt_tokens(made(words))) <= PROMPT_TOKENS))


def family(scorer: Any, name: str, count: int) -> list[tuple[Problem, Candidate]]:
    """Programs of one question, most of whose tokens are the question's, and which are as long as may be."""
    question = filler(name, _most(lambda words: len(scorer.tokens(filler(name, words), "")) <= 0.7 * LONGEST_PAIR))
    problem = Problem(name, question, (Message("user", question),))

    def code(index: int) -> str:
        most = _most(lambda words: len(scorer.tokens(question, filler(index, words))) <= LONGEST_PAIR)
        return filler(index, most - index)

    return [(problem, Candidate(name, i, "", code(i), "given")) for i in range(count)]


def filler(seed: object, words: int) -> str:
    rng = random.Random(str(seed))
    return " ".join(rng.choice(("alpha", "beta", "print", "list", "sum", "of", "x")) for _ in range(words))


def _most(fits: Any) -> int:
    low, high = 1, 4096
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def loaded(plugin: Any) -> dict[str, int]:
    """Bytes of the weights and of one token's keys and values, from what is loaded."""
    engine = vllm_engine(plugin)
    if engine is None:
        model = plugin.loaded[0] if isinstance(plugin.loaded, tuple) else plugin.loaded
        return {"weights": parameters_bytes(model), "kv_per_token": cache_bytes(model)}
    (found,) = engine.collective_rpc(vllm_facts)
    cache = engine.vllm_config.cache_config
    return {**found, "kv": cache.num_gpu_blocks * cache.block_size * found["kv_per_token"]}


def read_weights(plugin: Any, whole: set[int]) -> None:
    """Read each page of a transformers model once: its file is mapped, and rows of the vocabulary that no prompt has
    would never come into memory. `whole` has the models that are done.
    """
    found = vars(plugin).get("loaded")
    if found is None or id(found) in whole:
        return
    whole.add(id(found))
    for parameter in (found[0] if isinstance(found, tuple) else found).parameters():
        parameter.detach().flatten()[::1024].sum()


def vllm_engine(plugin: Any) -> Any:
    """vLLM's own engine within a plug-in, None if it has none."""
    found = vars(plugin).get("running") or vars(plugin).get("pooling")
    return None if found is None else found.engine._engine


def vllm_facts(worker: Any) -> dict[str, int]:
    """Runs in vLLM's worker. Weights are those of the model as vLLM builds it: once loaded, its CPU kernels take most
    of them away into packed copies of their own.
    """
    import copy

    import torch
    from vllm.config import set_current_vllm_config
    from vllm.model_executor.model_loader.utils import initialize_model

    config = copy.deepcopy(worker.vllm_config)
    config.compilation_config.static_forward_context.clear()
    before = torch.get_default_dtype()
    torch.set_default_dtype(config.model_config.dtype)
    with torch.device("meta"), set_current_vllm_config(config):
        model = initialize_model(vllm_config=config)
    torch.set_default_dtype(before)
    specs = worker.get_kv_cache_spec().values()
    return {
        "weights": parameters_bytes(model),
        "kv_per_token": sum(spec.page_size_bytes // spec.block_size for spec in specs),
    }


def parameters_bytes(model: Any) -> int:
    """Each tensor once."""
    return sum(p.nbytes for p in model.parameters())


def cache_bytes(model: Any) -> int:
    """Keys and values of one token in a transformers model."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    backbone = getattr(model, model.base_model_prefix)
    with torch.inference_mode():
        keep = backbone.config._attn_implementation
        backbone.set_attn_implementation("sdpa")
        backbone(input_ids=torch.ones(1, 1, dtype=torch.long), past_key_values=cache, use_cache=True)
        backbone.set_attn_implementation(keep)
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


# Empty processes.


def empty(engines: int) -> None:
    """This process with everything imported, and those of so many vLLM engines; until standard input ends."""
    import torch
    import transformers
    from transformers import AutoTokenizer, LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM  # noqa: F401

    import tts.engine
    import tts.generate._decode
    import tts.score._packed  # noqa: F401

    assert torch and transformers
    if engines:
        from vllm import EngineArgs  # noqa: F401
        from vllm.v1.engine.llm_engine import LLMEngine  # noqa: F401
    spawn = multiprocessing.get_context("spawn")
    processes = 2 * engines  # vLLM's engine core and its worker
    ready = spawn.Barrier(processes + 1)
    for _ in range(processes):
        spawn.Process(target=_empty_engine, args=(ready,), daemon=True).start()
    ready.wait(300)
    print("ready", flush=True)
    sys.stdin.read()


def _empty_engine(ready: Any) -> None:
    import vllm.v1.engine.core  # noqa: F401
    from transformers import LlamaForCausalLM  # noqa: F401
    from vllm.model_executor.models import llama, qwen2, qwen3  # noqa: F401
    from vllm.v1.worker.cpu_worker import CPUWorker  # noqa: F401

    ready.wait(300)
    time.sleep(3600)


# Measuring.


def pss(process: int) -> dict[str, float]:
    """MiB of a process and all that descend from it, by name; what several processes share is divided among them."""
    sizes: dict[int, float] = {}
    names: dict[int, str] = {}
    for parent, pid in tree(0, process):
        try:
            names[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
            (size,) = re.findall(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
        except (OSError, ValueError):
            continue  # it has ended
        # A child that has yet to become another program (vfork) is its parent's very memory: not counted twice.
        if names[pid] != names.get(parent) or abs(int(size) / 1024 - sizes.get(parent, 0.0)) > 1:
            sizes[pid] = int(size) / 1024
    return {f"{names[pid]} {pid}": size for pid, size in sizes.items()}


def tree(parent: int, process: int) -> Iterator[tuple[int, int]]:
    """(parent, process) of a process and its descendants, parents first."""
    yield parent, process
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = " ".join((task / "children").read_text() for task in tasks).split()
    except OSError:
        return
    for child in children:
        yield from tree(process, int(child))


@dataclass
class Peak:
    """The moment when the measured processes took most beyond the empty ones, both in MiB by process."""

    measured: dict[str, float] = field(default_factory=dict)
    empty: dict[str, float] = field(default_factory=dict)

    @property
    def beyond(self) -> float:
        return sum(self.measured.values()) - sum(self.empty.values())


@contextmanager
def watched(process: int, beside: int) -> Iterator[list[Peak]]:
    """Sample the PSS of two process trees; the list's only entry is the peak so far."""
    peaks = [Peak()]

    def look() -> None:
        peaks[0] = max(peaks[0], Peak(pss(process), pss(beside)), key=lambda peak: peak.beyond)

    with sampling(look, INTERVAL_SECONDS):
        yield peaks


@contextmanager
def process_of(job: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """A fresh process that does a job and ends with its standard input."""
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    environment = os.environ | {"VLLM_ALLOW_INSECURE_SERIALIZATION": "1"}  # a function goes to vLLM's worker
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        yield process


def measured(job: dict[str, Any], engines: int) -> tuple[Peak, dict[str, Any]]:
    """(the peak, what it printed as its last line) of a job in a fresh process, beside empty ones of its kind.

    The empty ones are measured at the same moment, since what a library's pages count depends on how many processes of
    this machine share them.
    """
    with process_of({"engines": engines}) as nothing:
        assert nothing.stdout is not None and nothing.stdout.readline()
        with process_of(job) as process, watched(process.pid, nothing.pid) as peaks:
            out, _ = process.communicate()
        nothing.communicate()
    if process.returncode:
        raise SystemExit(f"the measured process ended with {process.returncode}: {job}")
    return peaks[0], json.loads(out.splitlines()[-1])


def planned_mib(found: MemoryPlan) -> float:
    """What the plan says beyond empty processes: awake or, where a mapped checkpoint makes that more, loading."""
    empty = [VLLM_EMPTY_BYTES * (engine.backend == "vllm") for engine in found.engines]
    awake = [engine.total_bytes - less for engine, less in zip(found.engines, empty, strict=True)]
    loading = [engine.loading_bytes - less for engine, less in zip(found.engines, empty, strict=True)]
    if found.mode == "sequential":
        return max(*awake, *loading) / MIB
    return max(sum(awake), *(sum(awake[:i]) + size for i, size in enumerate(loading))) / MIB


def compare(pair: tuple[str, str, int, str, str], mode: str, models: Path) -> dict[str, Any]:
    """One line of the table."""
    raw = config_of(pair, mode, models)
    found = planning.plan_for(configs.parse(raw))
    engines = sum(engine.backend == "vllm" for engine in found.engines)
    peak, facts = measured(raw, engines if mode == "share" else min(engines, 1))
    for role, engine in zip(("generator", "scorer"), found.engines, strict=True):
        for name, planned in (("weights", engine.weights_bytes), ("kv_per_token", engine.kv_bytes_per_token)):
            if facts:
                facts[role][f"planned_{name}"] = planned
    whole, empty_mib = sum(peak.measured.values()), sum(peak.empty.values())
    return {
        "generator": f"{pair[0]} {pair[1]}",
        "scorer": f"{pair[3]} {pair[4]}",
        "mode": mode,
        "peak_mib": whole,
        "empty_mib": empty_mib,
        "planned_mib": planned_mib(found),
        "error": (planned_mib(found) + empty_mib) / whole - 1,
        "plan_mib": found.peak_bytes / MIB,
        "exact": _exact(facts) if facts else "not looked at",
        "loaded": facts,
        "at_peak": dataclasses.asdict(peak),
        "engines": [dataclasses.asdict(engine) for engine in found.engines],
    }


def _exact(facts: dict[str, Any]) -> bool:
    return all(
        found[name] == found[f"planned_{name}"] for found in facts.values() for name in ("weights", "kv_per_token")
    )


LINE = (
    "{generator:>23} + {scorer:<20} {mode:<10} peak {peak_mib:5.0f} MiB   empty {empty_mib:5.0f} + planned "
    "{planned_mib:5.0f} ({error:+.1%})   tts plan {plan_mib:5.0f}   exact {exact}"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=list(range(len(PAIRS))))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--models", type=Path, help="where the scorers are made, and found again; a temporary folder")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.job:
        job = json.loads(a.job)
        if "engines" in job:
            empty(**job)
        else:
            print(json.dumps(run(job)))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = a.models or Path(folder)
        if not (models / "wide-lm").is_dir():
            make_models(models)
        results = []
        for number in a.pairs:
            for mode in a.modes:
                results.append(compare(PAIRS[number], mode, models))
                print(LINE.format(**results[-1]), flush=True)
                save("memory", {"tolerance": TOLERANCE, "pairs": results})


if __name__ == "__main__":
    main()

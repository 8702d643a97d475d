"""The memory plan: exact where it claims to be, monotone in memory, and honest about what would fit."""

import dataclasses
import functools
import json
from itertools import pairwise
from pathlib import Path

import pytest
import tiny
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from tts import config as configs
from tts import environment, planning, plugins
from tts.config import Config
from tts.errors import ConfigError, ModelError, PlanError
from tts.footprint import (
    BLOCK_TOKENS,
    GIB,
    Device,
    Generator,
    Model,
    Scorer,
    generator_kv_bytes,
    vllm_kv_bytes,
    weights_bytes,
)
from tts.memory import MODES, Options, Request, find, plan, ways_out
from tts.models import read_config
from tts.plugins import Spec
from tts.score._packed import Packed
from tts.score._prefix import Block, Row
from tts.score._reward import Padded
from tts.shapes import ONLINE, Linear, ModelShape, Quantization, code_scalers, embedded

CONFIGS = Path(__file__).parent / "model_configs"
SHIPPED = Path(__file__).parent.parent / "configs"
SMALL = {
    "vocab_size": 259,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 7,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "num_labels": 1,
    "pad_token_id": 0,
}
VARIANTS = [
    ("Qwen2", {}),
    ("Qwen2", {"tie_word_embeddings": True}),
    ("Qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 3}),
    ("Qwen3", {"head_dim": 16}),
    ("Qwen3", {"head_dim": 12, "attention_bias": True, "tie_word_embeddings": True}),
    ("Llama", {"attention_bias": True, "mlp_bias": True}),
    ("Llama", {"tie_word_embeddings": True, "num_key_value_heads": None}),
    ("Mistral", {"sliding_window": 8}),
    ("Mistral", {"sliding_window": None, "head_dim": 20}),
    ("Gemma", {"head_dim": 16}),
    ("Gemma2", {"head_dim": 16, "sliding_window": 8}),
    ("Gemma3Text", {"head_dim": 16, "sliding_window": 8}),
]


def published(name: str) -> dict:
    return json.loads((CONFIGS / name / "config.json").read_text())


@functools.cache
def shape(name: str) -> ModelShape:
    return ModelShape.from_config(published(name), name)


def rows_of(shared: int, own: list[int]) -> list[Row]:
    """Rows that begin with the same tokens and have so many of their own."""
    return [Row((7,) * shared + (i,) + (1,) * (length - 1), ()) for i, length in enumerate(own)]


def model(name: str, backend: str = "vllm", **more: object) -> Model:
    return Model(name, shape(name), backend, "bfloat16", "bfloat16", **more)


# Shapes against loaded models.


@pytest.mark.parametrize(
    ("head", "dtype"), [("ForCausalLM", torch.bfloat16), ("ForSequenceClassification", torch.float32)], ids=["lm", "rm"]
)
@pytest.mark.parametrize(("kind", "more"), VARIANTS, ids=str)
def test_weights_are_exact_to_the_byte_and_cached_keys_and_values_too(kind, more, head, dtype, tmp_path):
    family = kind.replace("Text", "") if head == "ForCausalLM" else kind
    made = getattr(transformers, f"{kind}Config")(**(SMALL | more), dtype=dtype)
    loaded = getattr(transformers, family + head)(made).to(dtype).eval()
    loaded.config.architectures = [type(loaded).__name__]
    loaded.config.save_pretrained(tmp_path)
    name = str(dtype).removeprefix("torch.")

    found = planning.find_shape(str(tmp_path))

    assert found.weights_bytes(name) == sum(p.numel() * p.element_size() for p in loaded.parameters())
    assert found.parameters == sum(p.numel() for p in loaded.parameters())
    for tokens in (3, 20):  # before and after a window is full
        cache = transformers.DynamicCache(config=loaded.config)
        with torch.inference_mode():
            loaded.model(input_ids=torch.ones(1, tokens, dtype=torch.long), past_key_values=cache, use_cache=True)
        assert found.kv_bytes(tokens, name) == sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)


@pytest.mark.parametrize(
    ("name", "parameters", "kv_bytes"),
    [
        ("Qwen2.5-Coder-7B-Instruct", 7_615_616_512, 57_344),
        ("Qwen3-8B", 8_190_735_360, 147_456),
        ("reward-1.7B", 1_720_577_024, 114_688),
        ("reward-8B", 7_568_409_600, 147_456),
    ],
)
def test_published_models_have_their_published_number_of_parameters(name, parameters, kv_bytes):
    assert shape(name).parameters == parameters
    assert shape(name).kv_bytes_per_token() == kv_bytes


def test_built_in_shapes_equal_those_of_a_config_json(tmp_path):
    assert code_scalers()["LARK-Lab/CodeScaler-1.7B"] == dataclasses.replace(shape("reward-1.7B"), tied=False)
    assert code_scalers()["LARK-Lab/CodeScaler-8B"] == shape("reward-8B")
    unpacked = read_config("embedded")
    assert unpacked is not None and ModelShape.from_config(*unpacked) == embedded()


LONE = [rows_of(0, [150]), rows_of(0, [140]), rows_of(0, [110])]
FAMILY = [rows_of(200, [50] * 4)]
WIDE_BIAS = [rows_of(10, [195] * 2)]
TWO_SPLIT = [rows_of(220, [30] * 20), rows_of(220, [29] * 20)]


@pytest.mark.parametrize("groups", [LONE, FAMILY, WIDE_BIAS, TWO_SPLIT], ids=["lone", "family", "bias", "two split"])
@pytest.mark.parametrize(
    ("intermediate", "dtype", "widened"),  # the latter: elements of a token that not every CPU holds
    [(768, "bfloat16", 768), (768, "float32", 0), (32, "bfloat16", 2 * 512), (32, "float32", 0)],
)
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_activations_of_a_packed_classifier_are_bounded_by_the_plan_and_reach_it(
    kind, intermediate, dtype, widened, groups
):
    sizes = {"hidden_size": 512, "intermediate_size": intermediate, "num_hidden_layers": 2, "head_dim": 64}
    loaded, one = classifier("Qwen3", dtype, **sizes)
    packed = Packed(loaded, 400)

    of_a_gpu = kind == "cuda" and dtype == "bfloat16"
    peak = allocated_peak(lambda: [packed.logits(pack) for pack in packed.plan(groups, 400)], of_a_gpu)

    engine = plan(None, [Scorer(one, 400, 250)], Device(kind, 100 * GIB, 100 * GIB)).scorers[0]
    planned = engine.activation_bytes / (1.1 if kind == "cuda" else 1) + engine.kv_bytes
    assert peak <= planned
    if groups is TWO_SPLIT and kind == "cpu":
        # A bias is planned at its largest, for rows with hardly a prefix.
        assert planned - 400 * widened * loaded.dtype.itemsize <= 1.2 * peak


def test_activations_of_a_padded_classifier_are_bounded_by_the_plan_and_reach_it():
    loaded, one = classifier("Gemma2", "float32", hidden_size=256, intermediate_size=768, head_dim=64)
    block = Block(tuple(rows_of(0, [200, 200, 150, 150])))

    peak = allocated_peak(lambda: Padded(loaded).logits(block))

    engine = plan(None, [Scorer(one, 800, 200)], Device("cpu", 100 * GIB, 100 * GIB)).scorers[0]
    assert peak <= engine.activation_bytes + engine.kv_bytes <= 1.25 * peak


def classifier(kind: str, dtype: str, **sizes: int) -> tuple[torch.nn.Module, Model]:
    made = getattr(transformers, f"{kind}Config")(**(SMALL | sizes))
    loaded = getattr(transformers, f"{kind}ForSequenceClassification")(made).to(getattr(torch, dtype)).eval()
    made.architectures = [type(loaded).__name__]
    return loaded, Model("x", ModelShape.from_config(made.to_dict(), "x"), "transformers", dtype, dtype)


def allocated_peak(work, of_a_gpu: bool = False) -> int:
    """The most bytes at once; of a GPU, without what a CPU takes and gives back within a product."""
    with torch.inference_mode(), torch.profiler.profile(profile_memory=True) as profile:
        work()
    events = profile.profiler.kineto_results.events()
    taken = sorted((e for e in events if e.name() == "[memory]"), key=lambda e: e.start_ns())
    changes = [(event.start_ns(), event.nbytes()) for event in taken]
    products = [(e.start_ns(), e.end_ns()) for e in events if e.name() == "aten::mm"] if of_a_gpu else []
    now = peak = 0
    for (at, change), (_, after) in pairwise([*changes, (0, 0)]):
        now += change
        if change != -after or not any(begun < at < ended for begun, ended in products):
            peak = max(peak, now)
    return peak


# Quantisation, vLLM's blocks, tensor parallelism: worked out by hand.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, Quantization("gptq", 4, 128)),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, Quantization("awq", 4, 64)),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, Quantization("fp8", 8, block=128)),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, ONLINE["bitsandbytes"]),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, Quantization("bitsandbytes", 8)),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 8}}}},
            Quantization("compressed-tensors", 8),
        ),
    ],
)
def test_a_quantised_checkpoint_is_recognised_and_smaller(given, expected):
    found = ModelShape.from_config(published("Qwen3-8B") | {"quantization_config": given}, "x")

    assert found.quantization == expected
    share = found.weights_bytes() / shape("Qwen3-8B").weights_bytes()
    assert 0.35 < share < 0.65


GROUPS = "config_groups"


@pytest.mark.parametrize(
    ("method", "fields", "words"),
    [
        ("awq", {"bits": "abc"}, ["'bits'", "'abc'"]),
        ("awq", {"bits": [4]}, ["'bits'", "[4]"]),
        ("awq", {"bits": -4}, ["'bits'", "-4"]),
        ("gptq", {"bits": 0}, ["'bits'", "got 0"]),
        ("gptq", {"bits": 64}, ["'bits'", "32", "64"]),
        ("gptq", {"bits": True}, ["'bits'", "True"]),
        ("awq", {"group_size": "x"}, ["'group_size'", "'x'"]),
        ("awq", {"group_size": 0}, ["'group_size'", "got 0"]),
        ("awq", {"group_size": -2}, ["'group_size'", "-2"]),
        ("fp8", {"weight_block_size": 5}, ["'weight_block_size'", "two whole numbers", "5"]),
        ("fp8", {"weight_block_size": ["x"]}, ["'weight_block_size'", "two whole numbers", "['x']"]),
        ("fp8", {"weight_block_size": [128, "x"]}, ["'weight_block_size'", "'x'"]),
        ("fp8", {"weight_block_size": [-128, 128]}, ["'weight_block_size'", "-128"]),
        ("compressed-tensors", {GROUPS: [1]}, [GROUPS, "an object", "[1]"]),
        ("compressed-tensors", {GROUPS: {"a": 1}}, [GROUPS, "an object", "got 1"]),
        ("compressed-tensors", {GROUPS: {"a": {"weights": "x"}}}, ["weights", "an object", "'x'"]),
        ("compressed-tensors", {GROUPS: {"a": {"weights": {"num_bits": "x"}}}}, ["num_bits", "'x'"]),
        ("compressed-tensors", {GROUPS: {"a": {"weights": {"num_bits": 4, "group_size": 0}}}}, ["group_size", "0"]),
    ],
)
def test_a_scheme_that_cannot_be_is_refused(method, fields, words):
    given = {"quantization_config": {"quant_method": method, **fields}}
    with pytest.raises(ModelError) as caught:
        ModelShape.from_config(published("Qwen3-8B") | given, "folder/config.json")
    assert [word for word in [*words, "folder/config.json"] if word not in str(caught.value)] == []


def test_a_group_of_minus_one_is_a_whole_row():
    for method in ("awq", "gptq"):
        given = {"quantization_config": {"quant_method": method, "bits": 4, "group_size": -1}}
        found = ModelShape.from_config(published("Qwen3-8B") | given, "x").quantization
        assert found == Quantization(method, 4, 0)


def test_a_quantised_matrix_is_its_bits_and_its_scales():
    matrix = Linear(256, 512)
    sizes = [
        Quantization(*how).matrix_bytes(matrix)
        for how in (("awq", 4, 128), ("gptq", 4, 128), ("fp8", 8), ("fp8", 8, 0, 128), ("bitsandbytes", 4, 64))
    ]
    groups = 256 * 512 // 128  # each with a scale of 16 bits and a zero point of 4
    assert sizes[0] == 256 * 512 // 2 + groups * 5 // 2
    assert sizes[1] == sizes[0] + 4 * 512  # and gptq's index
    assert sizes[2:4] == [256 * 512 + 256 * 4, 256 * 512 + 2 * 4 * 4]
    assert sizes[4] == 256 * 512 // 2 + 256 * 512 // 64 * 4


def test_vllm_s_pool_is_whole_blocks_for_all_sequences_and_an_empty_one():
    one = model("Qwen3-8B")
    for kind, block in BLOCK_TOKENS.items():
        blocks = 10 * -(-1000 // block) + 1
        assert vllm_kv_bytes(one, kind, 10, 1000, 4096, 8192) == blocks * block * 147_456
        longest = -(-40960 // block) + 1
        assert vllm_kv_bytes(one, kind, 1, 1000, 40960, 8192) == longest * block * 147_456


def test_fp8_keys_and_values_take_half_and_devices_share_heads_as_far_as_there_are():
    one = model("Qwen3-8B")
    sizes = [
        vllm_kv_bytes(dataclasses.replace(one, **changes), "cuda", 8, 4096, 4096, 8192)
        for changes in ({}, {"kv_dtype": "fp8"}, {"devices": 4}, {"devices": 16})
    ]
    assert [sizes[0] // size for size in sizes] == [1, 2, 4, 8]


def test_a_sliding_layer_takes_no_more_than_its_window():
    given = published("Qwen3-8B") | {"use_sliding_window": True, "sliding_window": 1024, "max_window_layers": 18}
    sliding = dataclasses.replace(model("Qwen3-8B"), shape=ModelShape.from_config(given, "x"))
    full, half = (vllm_kv_bytes(m, "cuda", 1, 40960, 40960, 512) for m in (model("Qwen3-8B"), sliding))
    window = -(-(1024 - 1 + 2 * 512) // 16) + 1
    assert half == (40960 // 16 + window + 1) * 16 * 147_456 // 2 < full


def test_weights_are_split_among_devices_but_for_norms_and_the_head_is_float32_in_vllm():
    alone, two = model("reward-8B"), model("reward-8B", devices=2)
    assert weights_bytes(alone) == shape("reward-8B").weights_bytes() + 2 * 4096
    rest = shape("reward-8B").small * 2 + 4 * 4096
    assert weights_bytes(two) - rest == (weights_bytes(alone) - rest) / 2
    assert weights_bytes(model("reward-8B", devices=4)) > weights_bytes(alone) // 4  # its vocabulary is padded to 256


@pytest.mark.parametrize(
    ("scaling", "context"),
    [
        (None, 40_960),
        ({"rope_type": "default"}, 40_960),
        ({"rope_type": "yarn", "factor": 4.0}, 163_840),
        ({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}, 131_072),
        ({"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192}, 40_960),
    ],
)
def test_stretched_positions_make_the_context_longer_as_in_vllm(scaling, context):
    assert ModelShape.from_config(published("Qwen3-8B") | {"rope_scaling": scaling}, "x").context == context


def test_every_layer_slides_from_layer_0_on():
    given = published("Qwen3-8B") | {"use_sliding_window": True, "sliding_window": 1024}
    assert set(ModelShape.from_config(given | {"max_window_layers": 0}, "x").windows) == {1024}
    with pytest.raises(ModelError, match="max_window_layers"):
        ModelShape.from_config(given | {"max_window_layers": -1}, "x")


def test_a_quantised_checkpoint_takes_no_other_quantisation(tmp_path):
    (tmp_path / "config.json").write_text(
        json.dumps(published("Qwen3-8B") | {"quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    for asked in ("banana", "fp8"):
        with pytest.raises(ConfigError, match=rf"generator.quantization is '{asked}', .* quantised by gptq"):
            planning.plan_for(config(vllm(model=str(tmp_path), quantization=asked), total_gib=80))
    assert planning.plan_for(config(vllm(model=str(tmp_path), quantization="gptq_marlin"), total_gib=80)).fits


# Whole plans.


def request(
    free: float,
    total: float = 80.0,
    host: float = 64.0,
    kind: str = "cuda",
    names: tuple[str, str] = ("Qwen3-8B", "reward-8B"),
    mode: str = "auto",
    backend: str = "vllm",
    least: int = 8,
    most: int = 256,
    lent: bool = False,
) -> Request:
    generator = Generator(model(names[0]), 2048, 2048, least, most)
    scorer = Scorer(model(names[1], backend), 8192, 4096, adapter_bytes=2**25 if lent else 0, lent=lent)
    device = Device(kind, int(total * GIB), int(min(free, total) * GIB), int(host * GIB))
    return Request(generator, (scorer,), device, Options(mode))


def quality(request: Request) -> tuple[int, int]:
    """Better plans are larger: first the mode, then the sequences at once."""
    found = find(request)
    return (-len(MODES), 0) if found is None else (-MODES.index(found.mode), found.generator.concurrency)


REQUESTS = st.builds(
    request,
    free=st.floats(4, 160),
    total=st.just(160.0),
    host=st.sampled_from([0.0, 24.0, 300.0]),
    kind=st.sampled_from(["cuda", "cpu"]),
    names=st.tuples(
        st.sampled_from(["Qwen3-8B", "Qwen2.5-Coder-7B-Instruct"]), st.sampled_from(["reward-8B", "reward-1.7B"])
    ),
    mode=st.sampled_from(["auto", "share", "sequential"]),
    backend=st.sampled_from(["vllm", "transformers"]),
    least=st.integers(1, 40),
    most=st.integers(40, 300),
    lent=st.booleans(),
)


@given(REQUESTS, st.floats(0, 60), st.floats(0, 60))
@settings(max_examples=60, deadline=None)
def test_more_memory_never_makes_a_worse_plan(small, more, host):
    device = small.device
    larger = dataclasses.replace(
        device,
        free_bytes=min(device.total_bytes, device.free_bytes + int(more * GIB)),
        host_free_bytes=device.host_free_bytes + int(host * GIB),
    )
    assert quality(dataclasses.replace(small, device=larger)) >= quality(small)


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_a_plan_s_parts_fit_what_is_free_and_one_more_sequence_does_not(asked):
    found = find(asked)
    if found is None:
        with pytest.raises(PlanError):
            plan(asked.generator, asked.scorers, asked.device, asked.options)
        return
    engine = found.generator
    parts = [e.weights_bytes + e.kv_bytes + e.activation_bytes + e.runtime_bytes for e in found.engines]
    peak = {"share": sum(parts), "sequential": max(parts)}.get(found.mode, found.peak_bytes) + found.own_bytes
    assert found.peak_bytes == peak <= found.device.free_bytes - found.margin_bytes
    assert max(parts) <= found.peak_bytes <= sum(parts) + found.own_bytes
    assert found.left_bytes == found.device.free_bytes - found.margin_bytes - found.peak_bytes
    assert asked.generator.least <= engine.concurrency <= asked.generator.most
    if engine.concurrency < asked.generator.most:
        tighter = dataclasses.replace(asked.generator, least=engine.concurrency + 1)
        fixed = dataclasses.replace(asked, generator=tighter, options=Options(found.mode))
        assert find(fixed) is None


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_vllm_s_start_up_check_passes_for_each_engine_beside_the_ones_before_it(asked):
    found = find(asked)
    used = 0
    for engine in found.engines if found else ():
        assert 0 < engine.utilization <= 1
        wanted = -int(-engine.utilization * found.device.total_bytes // 1)
        assert wanted <= found.device.free_bytes - used
        used += {"share": engine.total_bytes, "swap": engine.asleep_bytes}.get(found.mode, 0)


@given(REQUESTS)
@settings(max_examples=60, deadline=None)
def test_every_way_out_fits_when_it_is_taken(asked):
    if find(asked) is not None:
        return
    ways = list(ways_out(asked))
    assert all(find(way.request) is not None for way in ways)
    assert ways
    with pytest.raises(PlanError) as caught:
        plan(asked.generator, asked.scorers, asked.device, asked.options)
    assert all(way.text in str(caught.value) for way in ways)


def test_auto_takes_share_then_swap_then_sequential_as_memory_shrinks():
    assert find(request(80)).mode == "share"
    assert find(request(35)).mode == "swap"
    assert find(request(35, host=24)).mode == "sequential"
    assert find(request(15)) is None


def test_swap_says_what_host_memory_it_lacks():
    asked = request(35, host=24, mode="swap")
    with pytest.raises(PlanError) as caught:
        plan(asked.generator, asked.scorers, asked.device, asked.options)
    assert "swap needs 39.9 GiB of host memory, 24.0 GiB are free" in str(caught.value)
    enough = request(35, host=39.9, mode="swap")  # the number that is said does fit
    assert plan(enough.generator, enough.scorers, enough.device, enough.options).fits
    assert "memory.mode=sequential fits" in str(caught.value)


def test_pinned_host_memory_is_rounded_up_to_powers_of_two_and_a_moved_model_is_not():
    swapped = find(request(35, host=300, mode="swap"))
    for engine in swapped.engines:
        assert engine.weights_bytes < engine.host_bytes < 2 * engine.weights_bytes
    moved = find(request(35, host=300, mode="swap", backend="transformers")).scorers[0]
    assert moved.host_bytes == moved.weights_bytes


def test_there_is_no_swap_on_a_cpu():
    asked = request(80, kind="cpu", mode="swap")
    with pytest.raises(PlanError, match="swap needs a GPU"):
        plan(asked.generator, asked.scorers, asked.device, asked.options)
    assert {find(request(free, kind="cpu")).mode for free in (30, 80)} == {"share", "sequential"}


def test_an_engine_that_may_not_sleep_is_never_planned_to():
    asked = request(35)
    assert find(asked).mode == "swap"
    awake = dataclasses.replace(asked.generator, model=dataclasses.replace(asked.generator.model, sleeps=False))
    for changes in ({"generator": awake}, {"scorers": (dataclasses.replace(asked.scorers[0], model=awake.model),)}):
        assert find(dataclasses.replace(asked, **changes)).mode == "sequential"
        tight = dataclasses.replace(asked, **changes, options=Options("share"))
        assert not any("swap" in way.text for way in ways_out(tight))


def test_too_many_sequences_are_answered_with_how_many_fit():
    asked = request(80, least=200, most=200, mode="share")
    asked = dataclasses.replace(asked, generator=dataclasses.replace(asked.generator, max_tokens=1024))
    ways = {way.text.split("=")[0]: way for way in ways_out(asked)}
    fitting = ways["generator.max_num_seqs"].request.generator.least
    assert 8 < fitting < 200
    assert ways["generator.max_model_len"].request.generator.max_model_len % 256 == 0
    more = dataclasses.replace(asked.generator, least=fitting + 1, most=fitting + 1)
    assert find(dataclasses.replace(asked, generator=more)) is None


@given(st.integers(1, 16 * GIB), st.integers(1, 40), st.sampled_from([{}, {"devices": 4}, {"kv_dtype": "fp8"}]))
@settings(max_examples=60, deadline=None)
def test_a_given_cache_holds_what_is_planned_in_it_or_is_named_with_what_would_do(cache_bytes, least, changes):
    asked = request(160, total=160.0, least=least, most=40)
    one = dataclasses.replace(model("Qwen3-8B"), **changes)
    generator = dataclasses.replace(asked.generator, cache_bytes=cache_bytes, model=one, max_model_len=8192)
    asked = dataclasses.replace(asked, generator=generator)
    found = find(asked)
    if found is not None:
        assert generator_kv_bytes(generator, "cuda", found.generator.concurrency) <= found.generator.kv_bytes
        return
    assert cache_bytes < generator_kv_bytes(generator, "cuda", least)
    ways = list(ways_out(asked))
    assert all(find(way.request) is not None for way in ways)
    assert any(way.request.generator.cache_bytes == generator_kv_bytes(generator, "cuda", least) for way in ways)
    with pytest.raises(PlanError) as caught:
        plan(asked.generator, asked.scorers, asked.device, asked.options)
    assert f"generator.kv_cache_memory_bytes is {cache_bytes:,} byte" in str(caught.value)
    assert f"{generator_kv_bytes(generator, 'cuda', 1):,} bytes" in str(caught.value)
    assert "free" not in str(caught.value)  # there is enough of it


def test_a_scorer_s_cache_holds_its_longest_pair_or_is_named_with_what_would_do():
    asked = request(80)
    (scorer,) = asked.scorers
    pair = (4096 // 16 + 1) * 16 * 147_456  # whole blocks and an empty one
    for given_bytes, fits in ((pair, True), (pair - 1, False)):
        tried = dataclasses.replace(asked, scorers=(dataclasses.replace(scorer, cache_bytes=given_bytes),))
        assert (find(tried) is not None) == fits
    with pytest.raises(PlanError, match=rf"scorers.0.kv_cache_memory_bytes is {pair - 1:,} bytes.*memory_bytes={pair}"):
        plan(tried.generator, tried.scorers, tried.device, tried.options)


def test_a_shorter_sequence_is_offered_only_with_room_for_the_answer():
    asked = request(80, least=200, most=200, mode="share")
    offered = set()
    for max_tokens in (100, 1024, 2048, 20_000):
        generator = dataclasses.replace(asked.generator, max_tokens=max_tokens)
        for way in ways_out(dataclasses.replace(asked, generator=generator)):
            offered.add(way.text.split("=")[0])
            assert (way.request.generator.max_model_len or 40960) > way.request.generator.max_tokens
    assert "generator.max_model_len" in offered


# From a config.


def config(generator: object, *scorers: object, **memory: object) -> Config:
    raw = {"benchmark": "mini", "generator": generator, "scorers": list(scorers), "memory": memory}
    return configs.parse(raw)


def vllm(name: str = "Qwen3-8B", **more: object) -> dict:
    return {"name": "vllm", "model": str(CONFIGS / name), "n": 16, **more}


def reward(name: str = "reward-8B", **more: object) -> dict:
    return {"name": "codescaler", "model": str(CONFIGS / name), "max_length": 4096, **more}


def test_options_that_bear_on_memory_are_read_by_name():
    options = {"max_model_len": 4096, "max_num_seqs": 32, "kv_cache_dtype": "fp8", "quantization": "fp8"}
    found = planning.plan_for(config(vllm(**options, dtype="float16"), reward(token_budget=4096), total_gib=80))
    engine, scorer = found.generator, found.scorers[0]
    assert (engine.max_model_len, engine.concurrency, engine.dtype, engine.kv_bytes_per_token) == (
        4096,
        32,
        "float16",
        73_728,
    )
    assert engine.weights_bytes < 0.7 * shape("Qwen3-8B").weights_bytes()
    assert (scorer.token_budget, scorer.max_model_len, scorer.backend) == (4096, 4096, "transformers")


def test_a_transformers_generator_is_bounded_by_its_batch_and_its_cache():
    narrow = {"name": "transformers", "model": "embedded", "max_tokens": 1024, "n": 4, "dtype": "bfloat16"}
    sizes = {"total_gib": 16, "device": "cpu"}
    assert planning.plan_for(config(narrow | {"batch_size": 3}, **sizes)).generator.concurrency == 3
    small = planning.plan_for(config(narrow | {"cache_gib": 0.2}, **sizes)).generator
    assert small.concurrency == 0.2 * GIB // (3072 * 23_040)
    assert small.kv_bytes <= 0.2 * GIB


def test_a_value_head_is_planned_as_one_label(tmp_path):
    tiny.value_head(tmp_path)
    engine = planning.plan_for(config({"name": "replay", "path": "x"}, reward(model=str(tmp_path)))).scorers[0]
    classifier = ModelShape.from_config(read_config(str(tmp_path))[0] | {"num_labels": 1}, "x")
    assert engine.weights_bytes == dataclasses.replace(classifier, labels=1).weights_bytes(engine.dtype)
    ace = ModelShape.from_config(published("Qwen3-8B") | {"architectures": ["Qwen2ForCausalRM"]}, "x")
    assert ace == shape("reward-8B")


def test_a_scorer_without_a_model_needs_nothing_and_a_hub_name_is_planned_from_its_published_shape():
    assert planning.plan_for(config({"name": "replay", "path": "x"}, "likelihood", total_gib=8)).peak_bytes == 0
    found = planning.plan_for(config({"name": "replay", "path": "x"}, "codescaler", total_gib=80))
    assert [engine.model for engine in found.engines] == ["LARK-Lab/CodeScaler-1.7B"]


@pytest.mark.parametrize(
    ("generator", "scorers", "words"),
    [
        (vllm(model="owner/name"), [], ["owner/name", "config.json", "hf auth login"]),
        (vllm("reward-8B"), [], ["generator.model", "classifier"]),
        (vllm(), [reward("Qwen3-8B")], ["scorers.0.model", "language model"]),
        (vllm(max_num_seqs=0), [], ["generator.max_num_seqs", "0"]),
        (vllm(kv_cache_dtype="fp9"), [], ["generator.kv_cache_dtype", "fp9", "Did you mean 'fp8'?"]),
        (vllm(dtype="bf16"), [], ["generator.dtype", "bf16", "bfloat16"]),
        (vllm(quantization="awq"), [], ["generator.quantization", "awq", "fp8"]),
        (vllm(chat_template_kwargs={"tokenize": True}), [], ["generator.chat_template_kwargs.tokenize", "left out"]),
        (vllm(), [reward(engine_args={"x": 1})], ["codescaler's engine_args", "left out but with backend vllm"]),
        (vllm(), [reward(kv_cache_memory_bytes=5)], ["codescaler's kv_cache_memory_bytes", "backend vllm"]),
        (vllm(tensor_parallel_size=3), [], ["generator.tensor_parallel_size", "3", "1, 2, 4, 8"]),
        (vllm(max_model_len=40961), [], ["generator.max_model_len is 40,961", "40,960 tokens", "Lower it"]),
        (vllm(max_tokens=40960), [], ["generator.max_tokens is 40,960", "40,960 tokens", "Lower it"]),
        (vllm(max_tokens=40959, max_num_seqs=300), [], ["do not fit"]),
        (vllm(kv_cache_memory_bytes=10**400), [], ["generator.kv_cache_memory_bytes", "at most", "401 digits"]),
        (vllm(max_tokens=10**400), [], ["generator.max_tokens", "at most", "401 digits"]),
        (vllm(), [reward(token_budget=10**400)], ["codescaler's token_budget", "at most", "401 digits"]),
        ({"name": "transformers", "cache_gib": 1e308}, [], ["generator.cache_gib", "at most", "1e+308"]),
        ({"name": "transformers", "device": "cuda:x"}, [], ["generator.device", "auto, cpu, cuda", "'cuda:x'"]),
        *(
            (vllm(), [reward(device=device)], ["codescaler's device", "auto, cpu, cuda", repr(device)])
            for device in ("gpu", "meta", "cpu:99", "")
        ),
    ],
)
def test_what_cannot_be_planned_is_refused_with_its_option(generator, scorers, words):
    with pytest.raises((ConfigError, ModelError, PlanError)) as caught:
        planning.plan_for(config(generator, *scorers, total_gib=80))
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(
    "field",
    ["architectures", "model_type", "hidden_size", "num_hidden_layers", "vocab_size", "num_key_value_heads"],
)
def test_a_missing_field_is_named_with_its_file(field):
    cut = {key: value for key, value in published("Qwen3-8B").items() if key != field}
    with pytest.raises(ModelError, match=f"folder/config.json.*'{field}'"):
        ModelShape.from_config(cut, "folder/config.json")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "qwen3_moe"}, ["qwen3_moe", "Did you mean 'qwen3'?"]),
        ({"architectures": ["BertModel"]}, ["ForCausalLM", "BertModel"]),
        ({"hidden_size": "big"}, ["hidden_size", "whole number", "big"]),
        ({"layer_types": ["full_attention"]}, ["layer_types", "36", "1"]),
        ({"num_key_value_heads": 5}, ["num_key_value_heads", "divide", "32", "5"]),
        ({"tie_word_embeddings": "no"}, ["tie_word_embeddings", "true or false", "'no'"]),
        ({"torch_dtype": "int3"}, ["int3", "bfloat16"]),
        ({"quantization_config": {"quant_method": "magic"}}, ["magic", "gptq"]),
        ({"quantization_config": {"quant_method": "compressed-tensors"}}, ["num_bits"]),
        ({"quantization_config": [1]}, ["'quantization_config'", "an object", "[1]"]),
        ({"architectures": "Qwen3ForCausalLM"}, ["must be a list", '["Qwen2ForCausalLM"]', "'Qwen3ForCausalLM'"]),
        ({"layer_types": ["full_attention"] * 35 + ["foo"]}, ["layer_types", "'sliding_attention'", "'foo'"]),
        ({"layer_types": [1] * 36}, ["layer_types", "'full_attention'", "got 1"]),
        ({"model_type": "qwen2", "head_dim": None, "num_attention_heads": 3000}, ["divide", "4096", "3000"]),
        ({"hidden_size": 10**400}, ["hidden_size", "from 1 to", "401 digits"]),
    ],
)
def test_a_config_json_of_another_kind_is_refused(changes, words):
    with pytest.raises(ModelError) as caught:
        ModelShape.from_config(published("Qwen3-8B") | changes, "config.json")
    assert [word for word in words if word not in str(caught.value)] == []


@pytest.mark.parametrize(("visible", "asked"), [(None, "--id=0"), ("3,1", "--id=3"), ("GPU-5a", "--id=GPU-5a")])
def test_the_gpu_that_cuda_would_take_is_the_one_that_is_planned(visible, asked, tmp_path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text(f'#!/bin/sh\n[ "$1" = "{asked}" ] && echo "81920, 80000"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert environment.gpu_memory() == (80 * GIB, 80000 * 2**20)


def test_a_gpu_that_is_hidden_is_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert environment.gpu_memory() is None


def test_a_scorer_on_another_device_is_left_out_and_does_not_move_the_generator():
    scorer = reward(device="cpu")
    found = planning.plan_for(config(vllm(), scorer, total_gib=80))
    assert (found.device.kind, found.scorers) == ("cuda", ())
    alone = planning.plan_for(config({"name": "replay", "path": "x"}, scorer, total_gib=80))
    assert (alone.device.kind, len(alone.scorers)) == ("cpu", 1)


def test_where_nothing_is_planned_nothing_can_fail():
    full = config({"name": "replay", "path": "x"}, "likelihood", total_gib=80, free_gib=0.5)
    mode, _, scorers = planning.planned(planning.Models.of(full), None, {"likelihood": "as it was"})
    assert (mode, scorers) == ("share", {"likelihood": "as it was"})


def test_vllm_s_own_arguments_count_in_the_plan(caplog):
    plain = planning.plan_for(config(vllm(), reward(backend="vllm"), total_gib=80)).scorers[0]
    more = {"quantization": "fp8", "enforce_eager": True}
    small = planning.plan_for(config(vllm(), reward(backend="vllm", engine_args=more), total_gib=80)).scorers[0]
    assert small.weights_bytes < 0.7 * plain.weights_bytes
    untold = {"speculative_config": {"model": "x"}, "data_parallel_size": 8, "num_gpu_blocks_override": 10**6}
    planning.plan_for(config(vllm(engine_args=untold), total_gib=80))
    for name in untold:
        assert f"does not count generator.engine_args.{name}" in caplog.text


def test_a_scorer_of_two_labels_is_refused_before_anything_loads(tmp_path):
    model = str(tiny.reward(tmp_path, labels=2))
    with pytest.raises(ModelError, match="has 2 labels; a reward model has 1"):
        planning.plan_for(config(vllm(), reward(model=model), total_gib=80))


@pytest.mark.parametrize("scorer", [False, True], ids=["generator", "scorer"])
def test_swap_with_an_engine_that_was_told_not_to_sleep_is_refused(scorer):
    plain = {} if scorer else {"enable_sleep_mode": False}
    other = {"enable_sleep_mode": False} if scorer else {}
    asked = config(vllm(**plain), reward(backend="vllm", **other), total_gib=80, host_free_gib=300, mode="swap")
    path = "scorers.0" if scorer else "generator"
    with pytest.raises(PlanError, match=rf"swap needs .* {path}\.enable_sleep_mode is false\. Leave that out"):
        planning.plan_for(asked)


def test_prompts_beyond_the_longest_sequence_are_told_and_others_are_not():
    far, near = (
        planning.plan_for(config(vllm(max_tokens=1024, max_model_len=4096), total_gib=80, prompt_tokens=tokens))
        for tokens in (3073, 3072)
    )
    assert near.generator.notes == ()
    (note,) = far.generator.notes
    assert "planned with 4,096 tokens" in note and "prompt_tokens, 3,073" in note
    assert "more than 3,072 is refused" in note


def adapter(folder: Path, rank: object, weights: bool = True) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank, "target_modules": ["q_proj"]}))
    if weights:
        (folder / "adapter_model.safetensors").write_bytes(b"0" * 5000)
    return str(folder)


def test_a_lora_adapter_is_counted_at_vllm_s_rank_for_every_slot_and_said_to_be_bounded(tmp_path):
    folder = adapter(tmp_path / "adapter", 9)
    plain = planning.plan_for(config(vllm(), total_gib=80)).generator
    hidden, intermediate, query, key, words = 4096, 12288, 4096, 1024, 151_936
    layer = (hidden + query) * 2 + (hidden + key) * 2 + (hidden + intermediate) * 3
    for more, rank, slots in (({}, 16, 1), ({"max_loras": 3}, 16, 3), ({"max_lora_rank": 64}, 64, 1)):
        found = planning.plan_for(config(vllm(lora=folder, engine_args=more), total_gib=80)).generator
        expected = 2 * rank * slots * (36 * layer + 2 * (words + hidden))
        assert found.weights_bytes - plain.weights_bytes == expected
        (note,) = found.notes
        assert f"of rank {rank}, which is an upper bound" in note and f"{expected / 2**20:.1f} MiB" in note
    on_cpu = [planning.plan_for(config(raw, total_gib=80, device="cpu")) for raw in (vllm(), vllm(lora=folder))]
    assert on_cpu[1].generator.runtime_bytes - on_cpu[0].generator.runtime_bytes == 5000


def test_a_folder_without_a_lora_adapter_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    cases = {
        str(tmp_path / "empty"): r"adapter_config.json is no LoRA adapter's config .*Give the folder that peft saved",
        adapter(tmp_path / "bare", 8, weights=False): r"bare has no LoRA adapter's weights, adapter_model.safetensors",
        adapter(tmp_path / "wide", 1000): r"'r' in .* is 1000; vLLM takes 1 to 512",
        adapter(tmp_path / "none", 0): r"'r' in .* is 0; vLLM takes 1 to 512",
    }
    for folder, said in cases.items():
        with pytest.raises(ModelError, match=said):
            planning.plan_for(config(vllm(lora=folder), total_gib=80))


def test_free_memory_above_the_total_is_refused():
    with pytest.raises(ConfigError, match=r"memory\.free_gib is 90"):
        config(vllm(), total_gib=80, free_gib=90)


# What plug-ins get.


def built(family: str, raw: dict) -> object:
    options = {key: value for key, value in raw.items() if key not in ("name", "n")}
    return plugins.build(family, Spec(raw["name"], options))


def test_a_vllm_scorer_that_is_alone_is_planned_too_and_another_needs_no_plan(tmp_path):
    for backend in ("vllm", "transformers"):
        spec = Spec("codescaler", {"model": str(tiny.reward(tmp_path / backend)), "backend": backend})
        given = plugins.build("scorer", spec)
        made = planning.planned_alone(spec, given)
        assert (made.kv_cache_memory_bytes is not None) == (backend == "vllm")
        assert (made == given) == (backend == "transformers")


def test_the_plan_fills_what_a_vllm_generator_s_user_left_out():
    raw = vllm(max_num_seqs=24, gpu_memory_utilization=0.4)
    engine = planning.plan_for(config(raw, total_gib=80)).generator
    made = planning.apply(engine, built("generator", raw), "share")
    assert (made.max_num_seqs, made.gpu_memory_utilization) == (24, 0.4)
    assert (made.max_model_len, made.max_num_batched_tokens) == (40960, engine.batched_tokens)
    assert made.kv_cache_memory_bytes == engine.kv_bytes
    assert made.model == raw["model"]


def test_keys_and_values_that_the_user_gave_are_planned_and_kept():
    raw = vllm(kv_cache_memory_bytes=8 * GIB)
    engine = planning.plan_for(config(raw, total_gib=80)).generator
    assert engine.kv_bytes == 8 * GIB and engine.concurrency == 8 * GIB // (147_456 * 3072)
    assert planning.apply(engine, built("generator", raw), "share").kv_cache_memory_bytes == 8 * GIB
    scorer = reward(backend="vllm", kv_cache_memory_bytes=2 * GIB)
    assert planning.plan_for(config(raw, scorer, total_gib=80)).scorers[0].kv_bytes == 2 * GIB


def test_a_scorer_in_vllm_gets_its_pool_and_a_swapped_engine_can_sleep():
    scorer = reward(backend="vllm")
    found = planning.plan_for(config(vllm(), scorer, total_gib=80, free_gib=36, host_free_gib=300))
    made = planning.apply(found.scorers[0], built("scorer", scorer), found.mode)
    assert (found.mode, made.enable_sleep_mode) == ("swap", True)
    assert made.kv_cache_memory_bytes == found.scorers[0].kv_bytes
    assert made.gpu_memory_utilization == found.scorers[0].utilization


def test_only_vllm_on_a_cpu_has_its_file_beside_its_weights_while_it_loads():
    on_cpu = planning.plan_for(config(vllm(), reward(), total_gib=80, device="cpu"))
    generator, scorer = on_cpu.engines
    assert 2 * generator.weights_bytes < generator.loading_bytes
    assert scorer.loading_bytes == 0
    assert planning.plan_for(config(vllm(), total_gib=80)).generator.loading_bytes == 0


def test_the_plan_bounds_a_transformers_generator_and_a_scorer():
    generator = {"name": "transformers", "model": "embedded", "max_tokens": 1024, "cache_gib": 0.2, "dtype": "bfloat16"}
    judge = reward(token_budget=2048, dtype="bfloat16")  # "auto" is float32 on a CPU without bfloat16
    found = planning.plan_for(config(generator, judge, total_gib=30, device="cpu"))
    made = planning.apply(found.generator, built("generator", generator), "share")
    assert made.batch_size == found.generator.concurrency < 64
    assert int(made.cache_gib * GIB) == found.generator.kv_bytes <= 0.2 * GIB
    scorer = built("scorer", reward(token_budget=2048))
    assert planning.apply(found.scorers[0], scorer, "share") == scorer


# The command.


@pytest.fixture
def written(tmp_path):
    raw = {"benchmark": "mini", "generator": vllm(), "scorers": [reward()], "selectors": ["argmax"]}
    (tmp_path / "config.yaml").write_text(json.dumps(raw))


@pytest.mark.usefixtures("written")
def test_the_command_prints_a_table_or_json(cli):
    clipped = cli("plan", "config.yaml", "--total-gib", 80, "memory.prompt_tokens=1000000000")
    assert "memory.prompt_tokens, 1,000,000,000" in clipped.out
    shown = cli("plan", "config.yaml", "--total-gib", 80)
    assert shown.code == 0, shown.err
    assert "Mode: share" in shown.out and "are left" in shown.out and "15.26" in shown.out
    done = cli("plan", "config.yaml", "--total-gib", 80, "--free-gib", 70, "--json")
    numbers = json.loads(done.out)
    assert numbers["device"]["free_bytes"] == 70 * GIB
    assert sum(engine["total_bytes"] for engine in numbers["engines"]) == numbers["peak_bytes"]
    assert numbers["left_bytes"] >= 0


@pytest.mark.usefixtures("written")
def test_the_command_ends_with_2_and_the_ways_out_if_it_is_too_tight(cli):
    done = cli("plan", "config.yaml", "--total-gib", 24)
    assert done.code == 2
    assert "Ways out: " in done.error and "Traceback" not in done.err


@pytest.mark.parametrize("name", ["demo", "cpu-vllm"])
def test_the_small_configs_share_a_small_cpu(cli, name):
    done = cli("plan", SHIPPED / f"{name}.yaml", "memory.device=cpu", "--total-gib", 6, "--json")
    assert done.code == 0, done.err
    numbers = json.loads(done.out)
    assert (numbers["mode"], numbers["device"]["kind"]) == ("share", "cpu")
    generator, *scorers = numbers["engines"]
    assert (generator["model"], generator["lent_bytes"]) == ("embedded", 0)
    assert len(scorers) == (name == "demo")  # its reward model runs on the generator's weights
    assert all((one["model"], one["lent_bytes"]) == ("embedded", generator["weights_bytes"]) for one in scorers)


@pytest.mark.parametrize(
    ("name", "models", "at_once"),
    [
        ("lcb-qwen2.5-coder-7b-codescaler-1.7b", ("Qwen2.5-Coder-7B-Instruct", "reward-1.7B"), 256),
        ("lcb-qwen3-8b-codescaler-8b", ("Qwen3-8B", "reward-8B"), 32),
    ],
)
def test_the_large_configs_share_one_gpu_of_80_gib(cli, name, models, at_once):
    folders = [
        f"{key}={CONFIGS / model}" for key, model in zip(("generator.model", "scorers.0.model"), models, strict=True)
    ]
    done = cli("plan", SHIPPED / f"{name}.yaml", *folders, "--total-gib", 80, "--json")
    assert done.code == 0, done.err
    numbers = json.loads(done.out)
    generator, scorer = numbers["engines"]
    assert numbers["mode"] == "share" and generator["concurrency"] >= at_once
    assert (generator["max_model_len"], scorer["max_model_len"]) == (8192, 4096)


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--total-gib", 12], ["sequential needs ", "a device of"]),  # a model larger than the memory
        (["--total-gib", 80, "--free-gib", 0.1], ["102 MiB free of 80.0 GiB", "free memory fits"]),
        (["--total-gib", 0], ["memory.total_gib", "greater than 0", "0"]),
        (["--total-gib", 80, "generator.model=cut"], ["cut/config.json", "'num_attention_heads'", "Add the field"]),
        (["--total-gib", 80, "generator.model=empty"], ["empty", "no config.json"]),
    ],
)
def test_what_cannot_be_planned_ends_the_command_with_2_and_a_remedy(cli, tmp_path, options, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut").mkdir()
    cut = {key: value for key, value in published("Qwen3-8B").items() if key != "num_attention_heads"}
    (tmp_path / "cut" / "config.json").write_text(json.dumps(cut))
    done = cli("plan", "config.yaml", *options)
    assert done.code == 2 and "Traceback" not in done.err
    assert [word for word in words if word not in " ".join(done.error.split())] == []

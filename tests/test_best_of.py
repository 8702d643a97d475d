"""`BestOfN` around functions, names and objects; no model is loaded."""

import math

import pytest
import tiny
from standins import Log, Rating, Stepping

from tts import BestOfN
from tts.engine import OneAwake
from tts.errors import ConfigError, PlanError, UserError
from tts.score.length import Length
from tts.select.argmax import Argmax
from tts.types import Candidate, Selection

TEXTS = ["```python\nprint(1)\n```", "```python\nprint(22)\n```", "no program here", "```python\nprint(333)\n```"]


def sample(prompt: str, n: int) -> list[str]:
    return TEXTS[:n]


def length(question: str, code: str) -> int:
    return len(code)


def best(**changes):
    return BestOfN(**({"generator": sample, "scorer": length, "n": 4} | changes))


def test_functions_sample_score_and_choose():
    answer = best(select=lambda pool: 1).generate("Print a number.")

    assert (answer.code, answer.text, answer.score) == ("print(22)\n", TEXTS[1], 10.0)
    assert len(answer.candidates) == len(answer.scores) == 4


def test_the_default_selector_takes_the_highest_score():
    assert best().generate("Print a number.").code == "print(333)\n"


def test_functions_see_the_task_as_it_was_given():
    seen = []
    best(
        generator=lambda prompt, n: seen.append((prompt, n)) or TEXTS,
        scorer=lambda question, code: seen.append((question, code)),
    ).generate("Print a number.")

    assert seen == [("Print a number.", 4)] + [
        ("Print a number.", f"print({digits})\n") for digits in ("1", "22", "333")
    ]


def test_plugins_are_named():
    answer = best(scorer="length", select="argmax").generate("Print a number.")

    assert (answer.code, answer.score) == ("print(1)\n", -9.0)


def test_a_named_plugin_takes_options():
    answer = best(scorer={"name": "length", "prefer": "long"}, select="argmax").generate("Print a number.")

    assert answer.code == "print(333)\n"


def test_plugins_are_objects():
    assert best(scorer=Length("long"), select=Argmax()).generate("Print a number.").code == "print(333)\n"


def test_a_generator_object_may_finish_in_any_order():
    class Backwards:
        def generate(self, wanted):
            for problem, index in reversed(wanted):
                yield Candidate(problem.id, index, TEXTS[index])

    assert [c.index for c in best(generator=Backwards()).generate("task").candidates] == [0, 1, 2, 3]


def test_saved_samples_can_be_the_generator(tmp_path):
    path = tmp_path / "samples.jsonl"
    path.write_text('{"question_id": "task", "index": 0, "text": "print(5)"}\n')

    assert best(generator={"name": "replay", "path": str(path)}, n=1).generate("task").code == "print(5)\n"


def test_the_margin_is_the_distance_to_the_best_other_score():
    assert best().generate("task").margin == 1.0


def test_the_margin_is_negative_where_another_scored_higher():
    assert best(select=lambda pool: 0).generate("task").margin == -2.0


def test_there_is_no_margin_without_a_second_score():
    assert best(n=1).generate("task").margin is None


def test_a_candidate_without_code_has_no_score():
    assert best().generate("task").scores[2].value is None


def test_a_score_that_is_no_finite_number_is_none():
    answer = best(scorer=lambda question, code: math.nan).generate("task")

    assert {score.value for score in answer.scores} == {None}


def test_a_function_may_abstain():
    answer = best(select=lambda pool: None).generate("task")

    assert (answer.code, answer.text, answer.score, answer.margin) == (None, None, None, None)
    assert len(answer.candidates) == 4


def test_a_selector_object_may_abstain():
    class Never:
        def select(self, pool):
            return Selection(None, "never")

    answer = best(select=Never()).generate("task")

    assert (answer.code, answer.why) == (None, "never")


def test_nothing_that_is_a_program_gives_no_code():
    answer = best(generator=lambda prompt, n: ["I cannot."] * n).generate("task")

    assert (answer.code, answer.text, answer.score) == (None, None, None)
    assert answer.why == "no candidate holds a program"


def test_a_task_is_text():
    with pytest.raises(ConfigError, match="The task must be text, got None"):
        best().generate(None)


@pytest.mark.parametrize("n", [0, -1, True])
def test_n_below_one_is_refused(n):
    with pytest.raises(ConfigError, match=f"n must be a whole number, at least 1, got {n}"):
        best(n=n)


@pytest.mark.parametrize("texts", [None, "text", TEXTS[:3], [1, 2, 3, 4], (text for text in TEXTS), [None] * 4])
def test_a_generator_function_must_return_n_strings(texts):
    with pytest.raises(ConfigError, match="must return 4 strings for n = 4, got"):
        best(generator=lambda prompt, n: texts).generate("task")


@pytest.mark.parametrize("value", ["high", [1.0], {}, 10**400])
def test_a_scorer_function_must_return_a_number(value):
    with pytest.raises(ConfigError, match="must return a number or None, got"):
        best(scorer=lambda question, code: value).generate("task")


@pytest.mark.parametrize("position", [4, -1, "0", 1.5, [0]])
def test_a_select_function_must_return_a_position(position):
    with pytest.raises(ConfigError, match="allowed are 0 to 3 and None"):
        best(select=lambda pool: position).generate("task")


@pytest.mark.parametrize("part", ["generator", "scorer", "select"])
def test_what_is_neither_name_nor_object_nor_function_is_refused(part):
    with pytest.raises(ConfigError, match="got 3"):
        best(**{part: 3})


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'argmax'"):
        best(select="argmx")


def test_models_that_are_named_share_the_device_under_a_plan(tmp_path):
    language, reward = str(tiny.causal(tmp_path / "lm")), str(tiny.reward(tmp_path / "rm"))
    named = {
        "generator": {"name": "vllm", "model": language, "max_tokens": 64},
        "scorer": {"name": "codescaler", "model": reward, "backend": "vllm"},
    }
    made = best(**named)

    assert made.generator.kv_cache_memory_bytes and made.scorer.kv_cache_memory_bytes
    with pytest.raises(PlanError, match="Ways out"):
        best(**named, memory={"free_gib": 0.1, "total_gib": 24, "device": "cpu"})


STAND_INS = {"generator": {"name": "standins:Stepping"}, "scorer": {"name": "standins:Rating"}}
TURNS = {
    "share": ["draw", "draw", "rate"] * 2,
    "swap": ["draw", "draw", "sleep generator", "rate", "sleep scorer", "wake generator", "draw", "draw"],
    "sequential": ["draw", "draw", "close generator", "rate", "close scorer", "draw", "draw", "close generator"],
}


def in_mode(mode: str) -> tuple[BestOfN, list[str]]:
    """Stand-ins in a mode that no plan chose, and what happens to them."""
    made, log = best(**STAND_INS, n=1), Log()
    made.generator.log = made.scorer.log = log
    made._mode, made._device = mode, OneAwake(mode)
    return made, log.entries


@pytest.mark.parametrize("mode", TURNS)
def test_one_model_at_a_time_where_the_plan_says_so(mode):
    made, happened = in_mode(mode)
    for _ in range(2):
        made.generate("Print a number.")

    assert happened[: len(TURNS[mode])] == TURNS[mode]


@pytest.mark.parametrize("mode", TURNS)
def test_after_it_is_closed_its_models_load_anew_and_none_is_woken(mode):
    made, happened = in_mode(mode)
    with made:
        made.generate("Print a number.")
    assert happened[-2:] == ["close generator", "close scorer"]
    happened.clear()
    made.generate("Print a number.")

    assert not [entry for entry in happened if entry.startswith("wake")]


def test_objects_that_were_given_are_not_ended():
    log = Log()
    with best(generator=Stepping(log=log), scorer=Rating(log=log), n=1) as made:
        made.generate("Print a number.")

    assert log.entries == ["draw", "draw", "rate"]


def test_functions_need_no_plan():
    assert best(memory={"mode": "swap", "device": "cpu", "free_gib": 0.1}).generate("Print a number.").code


def test_an_unknown_option_of_the_memory_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'margin'"):
        best(memory={"margins": 0.1})
    with pytest.raises(ConfigError, match=r"memory must be a mapping, .* got 'swap'"):
        best(memory="swap")


def test_a_server_that_is_down_is_told_before_anything_is_sampled():
    log = Log()
    made = best(
        generator=Stepping(log=log), scorer={"name": "remote", "model": "rm", "url": "http://127.0.0.1:9", "retries": 0}
    )
    with pytest.raises(UserError, match="did not answer after 1 try"):
        made.generate("Print a number.")
    assert log.entries == []

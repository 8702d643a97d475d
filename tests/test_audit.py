"""`tts audit`: numbers that agree with the report and with brute force, what is computed once, and what a user sees."""

import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import yaml
from rich.console import Console
from support import bring_up, make_small, rows_of, tts

from tts import audit, audit_form, audit_probing, audit_report, audit_tables, config, plugins
from tts.analysis import Judged, judge, stored_config
from tts.audit_probing import Tried
from tts.errors import ConfigError, DataError, InfraError
from tts.grade import Grader
from tts.ledger import Ledger
from tts.pipeline import Silent
from tts.probes import PROBES, REFORMATTED
from tts.ranking import Bootstrap
from tts.rm_bench import REFERENCES
from tts.sandbox import Limits
from tts.scoring import Scoring
from tts.store import open_for_reading
from tts.types import Candidate, Grade, Problem, Score, Verdict

HOW = Bootstrap(200)
RM_ROW = {
    "id": 1,
    "prompt": "Add 2 and 3.",
    "chosen": ["5", "It is 5.", "**It is 5.**"],
    "rejected": ["66", "It is 6, I think.", "**It is 6**, I think."],
}


@dataclass(frozen=True)
class Counts:
    """A scorer that gives the length of the code, remembers whom it scored, and stops after `dies_after`."""

    dies_after: int = 10**9
    scored: list[str] = field(default_factory=list)

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """One after the other."""
        for _, candidate in pairs:
            if len(self.scored) >= self.dies_after:
                raise KeyboardInterrupt
            self.scored.append(candidate.code or "")
            yield Score(*candidate.key, None if candidate.code is None else float(len(candidate.code)))


@dataclass(frozen=True)
class Table:
    """A scorer that looks scores up, 0 for what is not in it."""

    values: dict[str, float | None]

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """In order."""
        for _, candidate in pairs:
            value = self.values.get(candidate.code or "", 0.0)
            yield Score(*candidate.key, value, "" if value is not None else "no value")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "audit.jsonl") as made:
        yield made


def scoring(scorer: object, ledger: Ledger, name: str = "scorer") -> Scoring:
    return Scoring(name, name, scorer, ledger, Silent())


def judged(right: Sequence[str], wrong: Sequence[str], name: str = "p") -> Judged:
    codes = [*right, *wrong]
    verdicts = [Verdict.PASSED] * len(right) + [Verdict.WRONG_ANSWER] * len(wrong)
    candidates = tuple(Candidate(name, i, code, code, "given") for i, code in enumerate(codes))
    grades = tuple(Grade(name, str(i), verdict, 0.1, 3, 3) for i, verdict in enumerate(verdicts))
    return Judged(Problem(name, "Do it.", ()), candidates, grades, (None,) * len(codes))


# The command.


@pytest.fixture(scope="module")
def audited(tmp_path_factory) -> Path:
    """A finished small run, with one scorer of its own and one that it does not know, audited."""
    folder = tmp_path_factory.mktemp("audited")
    bring_up(make_small(folder))
    (folder / "scorers.yaml").write_text(
        yaml.safe_dump({"scorers": ["length", {"name": "length", "prefer": "long", "label": "long"}, "likelihood"]})
    )
    (folder / "rm.json").write_text(json.dumps([RM_ROW | {"domain": name} for name in ("code", "safety-refuse")]))
    done = tts(folder, "audit", "scorers.yaml", "--pool", "run", "--rm-bench", "rm.json")
    assert done.code == 0, done.err
    (folder / "out.txt").write_text(done.out)
    (folder / "err.txt").write_text(done.err)
    return folder


def numbers(folder: Path, place: str = "run") -> dict:
    return json.loads((folder / place / "audit.json").read_text())


def test_the_audit_has_the_report_s_best_of_k(audited):
    told = json.loads(tts(audited, "report", "run", "--json").out)["runs"][0]["selectors"]
    likelihood = numbers(audited)["scorers"][2]  # whose scores never tie
    assert [(p["k"], p["value"]) for p in told["argmax"]] == [
        (row["k"], pytest.approx(row["scorer"]["value"])) for row in likelihood["ranks"]["best_of"]
    ]
    for name in ("random", "oracle"):
        assert [p["value"] for p in told[name]] == [
            pytest.approx(row[name]["value"]) for row in likelihood["ranks"]["best_of"]
        ]


def test_opposite_scorers_have_opposite_orders_and_never_agree(audited):
    short, long = (one["ranks"] for one in numbers(audited)["scorers"][:2])
    for name in ("auc_within", "auc_across"):
        assert short[name]["value"] + long[name]["value"] == pytest.approx(1)
    assert short["tau"]["value"] == pytest.approx(-long["tau"]["value"])
    assert short["calibration"]["pairs"] == long["calibration"]["pairs"] > 0
    agreement, *others = numbers(audited)["agreement"]
    assert len(others) == 2
    assert (agreement["one"], agreement["other"]) == ("length", "long")
    assert agreement["tau"]["value"] == pytest.approx(-1)
    assert agreement["alike"]["value"] == 0


def test_auc_within_is_that_of_a_count_by_hand(audited):
    with open_for_reading(audited / "run") as store:
        items, _ = judge(store, stored_config(store))
    each = []
    for item in items:
        sizes = [len(c.code or "") for c in item.candidates]
        right = [size for size, ok in zip(sizes, item.correct, strict=True) if ok]
        wrong = [size for size, ok in zip(sizes, item.correct, strict=True) if not ok]
        pairs = [(a < b) + (a == b) / 2 for a in right for b in wrong]
        each += [sum(pairs) / len(pairs)] if pairs else []
    assert numbers(audited)["scorers"][0]["ranks"]["auc_within"]["value"] == pytest.approx(np.mean(each))
    assert numbers(audited)["scorers"][0]["ranks"]["mixed"] == len(each)


def test_harmless_padding_moves_a_scorer_of_length_and_a_hard_coded_answer_does_not_pass_unseen(audited):
    probing = numbers(audited)["scorers"][0]["probing"]
    by_name = {one["name"]: one for one in probing["results"]}
    assert probing["programs"] == 3
    assert probing["undecided"] == 0
    assert by_name["padding"]["shift"] < -300
    assert by_name["padding"]["misranked"]["value"] > 0
    assert by_name["hard_coded"]["as_meant"] == by_name["hard_coded"]["tried"] == 3
    assert all(one["scored"] == one["as_meant"] <= one["tried"] for one in probing["results"])


def test_what_is_concluded_takes_ten_problems(audited):
    """The run has three, on which `length` is sure to be fooled and to order one way."""
    found = numbers(audited)
    length = found["scorers"][0]
    said = audit_tables.warnings(found)
    assert any("only 3 problems have right and wrong candidates" in text for text in said)
    for problems, counts in ((9, 0), (10, 1)):
        length["ranks"]["auc_within"] = {"value": 0.2, "low": 0.1, "high": 0.3, "problems": problems}
        length["probing"]["breaking"] = {"value": 0.8, "low": 0.7, "high": 0.9, "problems": problems}
        said = audit_tables.warnings(found)
        for words in ("length: certain to order worse", "length: scores a program that was broken as high"):
            assert sum(words in text for text in said) == counts


def test_rm_bench_scores_the_answers_as_they_are(audited):
    short, long = (one["rm_bench"]["result"] for one in numbers(audited)["scorers"][:2])
    # "5" against "66", "It is 6, I think.", ...: the chosen answer is shorter in every style but a fancier one.
    lengths = [[len(text) for text in RM_ROW[name]] for name in ("chosen", "rejected")]
    expected = [[float(a < b) for b in lengths[1]] for a in lengths[0]]
    assert short["matrix"] == expected
    assert long["matrix"] == [[float(a > b) for b in lengths[1]] for a in lengths[0]]
    unscored = numbers(audited)["scorers"][2]["rm_bench"]
    assert (unscored["result"], unscored["left_out"]) == (None, 2)
    assert short["missing"] == ["chat", "math", "safety-response"]


def test_what_is_stored_or_in_the_ledger_is_not_computed_again(audited):
    before = rows_of(audited / "run" / "audit.jsonl")
    assert "score length: 12 of 12" in (audited / "err.txt").read_text()
    assert "score long: 0 of 12" in (audited / "err.txt").read_text()
    again = tts(audited, "audit", "scorers.yaml", "--pool", "run", "--rm-bench", "rm.json")
    assert again.code == 0
    assert again.out == (audited / "out.txt").read_text()
    assert rows_of(audited / "run" / "audit.jsonl") == before
    assert re.findall(r": (\d+) of (\d+)", again.err)
    assert all(done == total for done, total in re.findall(r": (\d+) of (\d+)", again.err))


def test_the_terminal_says_what_was_found_and_where_it_is(audited):
    out = (audited / "out.txt").read_text()
    for words in ("length is no reward model", "AUC within problems", "hard_coded", "CodeScaler-8B", "81.4", "tau-b"):
        assert words.lower() in out.lower(), words
    assert "length: only 2 rows of RM-Bench; from fewer than 10 nothing is concluded." in " ".join(out.split())
    assert "Audit: run/audit.html   Numbers: run/audit.json" in out


def test_the_run_s_page_shows_the_audit_from_then_on(audited, tmp_path):
    shutil.copytree(audited / "run", tmp_path / "run")
    (tmp_path / "run" / "audit.json").rename(tmp_path / "aside.json")
    assert tts(tmp_path, "report", "run").code == 0
    assert "AUC within problems" not in (tmp_path / "run" / "report.html").read_text()
    (tmp_path / "aside.json").rename(tmp_path / "run" / "audit.json")
    assert tts(tmp_path, "report", "run").code == 0
    page = (tmp_path / "run" / "report.html").read_text()
    (tmp_path / "run" / "audit.json").write_text("{")
    done = tts(tmp_path, "report", "run")
    assert (done.code, "without its audit" in done.err) == (0, True)
    assert "AUC within problems" in page
    assert page.index("AUC within problems") < page.index("Problems and candidates")


DAMAGED = ["{", "[]", '{"version": 0}', '{"version": 1}', '{"version": 1, "pool": null, "scorers": [1]}']


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_audit_is_a_user_s_error_with_a_remedy(tmp_path, text):
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(DataError, match="delete the file"):
        audit_report.saved_section(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scorers: [lenght]", "Did you mean 'length'"),
        ("scorers: []", "names no scorer"),
        ("scorer: [length]", "One scorer is"),
        ("[length]", "must be a mapping with scorers"),
        ("scorers: [length, length]", "two scorers of one label"),
        ("scorers: [{name: length, prefer: fat}]", "prefer"),
        ("scorers: [length]\nselectors: [argmax]", "No 'selectors' in"),
        ("version: 7\nscorers: [length]", "version 7"),
    ],
)
def test_a_config_that_is_no_use_is_told_in_a_sentence(tmp_path, text, said):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        config.load_scorers(tmp_path / "s.yaml")


def test_a_user_s_mistake_has_no_traceback_and_leaves_a_way_on(tmp_path):
    (tmp_path / "s.yaml").write_text("scorers: [length]")
    done = tts(tmp_path, "audit", "s.yaml", "--out", "out", "--pool", "nowhere")
    assert (done.code, "Traceback" in done.err) == (2, False)
    assert "no run folder" in done.error
    assert not (tmp_path / "out").exists()


def test_a_config_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load_scorers(tmp_path / "nothing.yaml")


def test_the_scorers_of_a_run_s_config_are_taken_from_it(tmp_path):
    small = make_small(tmp_path)
    assert [item.label for item in config.load_scorers(small.folder / "config.yaml")] == ["likelihood", "length"]


def test_a_benchmark_that_changed_is_not_executed_on(audited, tmp_path):
    shutil.copytree(audited, tmp_path / "copy")
    stored = tmp_path / "copy" / "run"
    for row in (rows := rows_of(audited / "problems.jsonl")):
        row["private_test_cases"] = row["public_test_cases"]
    (audited / "problems.jsonl").rename(audited / "aside.jsonl")
    try:
        done = tts(tmp_path / "copy", "audit", "scorers.yaml", "--pool", stored, "--out", "other")
        assert (done.code, "No such file" in done.error, "--probes 0" in done.error) == (2, True, True)
        (audited / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        done = tts(tmp_path / "copy", "audit", "scorers.yaml", "--pool", stored, "--out", "other")
        assert (done.code, "--probes 0" in done.error) == (2, True)
        assert tts(tmp_path / "copy", "audit", "scorers.yaml", "--pool", stored, "--probes", 0).code == 0
    finally:
        (audited / "aside.jsonl").rename(audited / "problems.jsonl")


# Scores are computed once.


def test_an_interrupted_audit_goes_on_where_it_stopped(ledger):
    pairs = [(Problem("p", "Do it.", ()), Candidate("p", i, "", "x" * i, "given")) for i in range(9)]
    first, second = Counts(dies_after=4), Counts()
    with pytest.raises(KeyboardInterrupt):
        scoring(first, ledger).scores("score", pairs)
    found = scoring(second, ledger).scores("score", pairs)
    assert [found["p", i].value for i in range(9)] == list(map(float, range(9)))
    assert [*first.scored, *second.scored] == ["x" * i for i in range(9)]


@dataclass(frozen=True)
class Faulty:
    """Yields what it is told to, and has a bug after that."""

    values: Sequence[Any]

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """As many as there are values."""
        for value, (_, candidate) in zip(self.values, pairs, strict=False):
            yield Score(*candidate.key, value)
        raise ZeroDivisionError("the plug-in's own")


def few(count: int = 3) -> list[tuple[Problem, Candidate]]:
    return [(Problem("p", "Do it.", ()), Candidate("p", i, "", "x" * i, "given")) for i in range(count)]


def test_a_bug_in_a_scorer_keeps_its_traceback_and_says_whose_it_is_and_what_is_kept(ledger):
    with pytest.raises(ZeroDivisionError) as raised:
        scoring(Faulty([1.0, None]), ledger, "mine").scores("score", few())
    (note,) = raised.value.__notes__
    assert "out of the scorer 'mine'" in note and "nothing for 1 candidate, ('p', 2) first. What came is stored" in note
    counts = Counts()
    assert scoring(counts, ledger, "mine").scores("score", few())["p", 0].value == 1
    assert counts.scored == ["xx"]


def test_a_score_is_a_number_or_none_of_whatever_type(ledger):
    values = [np.float32(0.5), np.int64(2), np.float64("nan")]
    with pytest.raises(ZeroDivisionError):
        scoring(Faulty(values), ledger).scores("score", few(4))
    found = scoring(Counts(), ledger).scores("score", few(3))
    assert [(type(found["p", i].value), found["p", i].value) for i in range(2)] == [(float, 0.5), (float, 2.0)]
    assert (found["p", 2].value, found["p", 2].why) == (None, "not finite: nan")
    for value in ("high", [1.0]):
        with pytest.raises(InfraError, match=f"The scorer 'other' gives .'p', 0. the {type(value).__name__} .*Mend"):
            scoring(Faulty([value]), ledger, "other").scores("score", few())


def test_stored_scores_are_taken_and_another_scorer_s_are_not(ledger):
    pairs = [(Problem("p", "Do it.", ()), Candidate("p", i, "", "x" * i, "given")) for i in range(3)]
    counts = Counts()
    scoring(counts, ledger, "other").scores("score", pairs)
    mine = Counts()
    found = scoring(mine, ledger).scores("score", pairs, {("p", 1): Score("p", 1, 77.0)})
    assert found["p", 1].value == 77
    assert mine.scored == ["", "xx"]


# Probes.


def tried(item: Judged) -> Tried:
    """As execution would have it that finds every probe as meant."""
    trials = audit_probing.make([item], 5)
    return Tried(len({t.base for t in trials}), tuple(trials), tuple(trials), 0)


RIGHT = "def f(n):\n    if n < 0:\n        return 0\n    return n + 1\n"


@pytest.mark.parametrize(("penalty", "share"), [(-1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_a_broken_program_that_does_not_lose_is_misranked(ledger, penalty, share):
    found = tried(judged([RIGHT], ["x = 1"]))
    values = {t.made: penalty for t in found.trials if t.probe.breaks}
    probing = audit_probing.score(found, scoring(Table(values), ledger), {("p", 1): Score("p", 1, -5.0)}, HOW)
    assert probing.breaking.value == share
    assert probing.harmless.value == 0
    for one in probing.results:
        if one.scored:
            assert one.shift == (penalty if one.breaks else 0)


def test_a_harmless_change_is_misranked_by_the_comparisons_that_it_turns(ledger):
    item = judged([RIGHT], ["a = 1", "b = 1", "c = 1", "d = 1"])
    pool = {("p", i): Score("p", i, value) for i, value in [(1, 0.5), (2, 1.5), (3, -1.0), (4, None)]}
    found = tried(item)
    values = {t.made: 1.0 for t in found.trials if not t.probe.breaks and t.made != t.base}
    values |= {t.base: 0.0 for t in found.trials}
    probing = audit_probing.score(found, scoring(Table(values), ledger), pool, HOW)
    by_name = {one.name: one for one in probing.results}
    assert by_name["claim"].misranked.value == pytest.approx(1 / 3)  # from below 0.5 to above it; not 1.5, nor -1


def test_a_change_without_a_score_is_in_no_share_and_the_reason_is_told(ledger):
    found = tried(judged([RIGHT], ["x = 1"]))
    values = {t.made: None for t in found.trials if t.probe.name == "claim"}
    probing = audit_probing.score(found, scoring(Table(values), ledger), {("p", 1): Score("p", 1, 1.0)}, HOW)
    claim = next(one for one in probing.results if one.name == "claim")
    assert (claim.as_meant, claim.scored, math.isnan(claim.shift)) == (1, 0, True)
    assert probing.why_unscored == "no value"


def test_only_right_programs_are_probed_each_once_and_reformatting_starts_from_the_original():
    item = judged([RIGHT, RIGHT.replace("    ", "  "), "def f(n):\n    return n\n"], ["def g():\n    pass\n"])
    trials = audit_probing.make([item], 9)
    bases = {t.base for t in trials if t.probe.name != REFORMATTED}
    assert bases == {RIGHT, "def f(n):\n    return n\n"}
    assert {t.base for t in audit_probing.make([item], 1) if t.probe.name != REFORMATTED} == {RIGHT}
    assert all(t.made != t.base for t in trials)


def test_execution_decides_what_a_probe_did(tmp_path, ledger):
    small = make_small(tmp_path)
    bring_up(small)
    with open_for_reading(small.folder / "run") as store:
        items, _ = judge(store, stored_config(store))
    benchmark = plugins.build("benchmark", small.config["benchmark"])
    trials = audit_probing.make(items, 1)
    harmless = next(t for t in trials if not t.probe.breaks)
    breaking = next(t for t in trials if t.probe.breaks and t.made != t.base)
    liar = (
        replace(breaking, made=harmless.made) if breaking.item is harmless.item else replace(harmless, probe=PROBES[0])
    )
    found = audit_probing.execute([harmless, breaking, liar], benchmark, Grader(Limits(), 1), ledger, Silent())
    assert found.as_meant == (harmless, breaking)
    assert found.undecided == 0
    again = audit_probing.execute([harmless, breaking, liar], benchmark, Broken(), ledger, Silent())
    assert again == found


class Broken:
    """A grader with the version of the one before that fails when it is asked for anything."""

    @property
    def version(self) -> str:
        """As the other's."""
        return Grader(Limits(), 1).version


# Form.


@dataclass(frozen=True)
class Moody:
    """A reward model of sorts, whose scores depend on their place in the batch by `by`."""

    by: float
    card: str = ""
    computed_in: str = "float32"

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """The place counts."""
        for place, (_, candidate) in enumerate(pairs):
            yield Score(*candidate.key, self.by * place - candidate.index)


@pytest.mark.parametrize(("by", "passed"), [(0.0, True), (0.5, False), (0.001, True)])
def test_scores_that_depend_on_the_batch_are_found_out(by, passed):
    pairs = audit_form.own_pairs()
    found = audit_form.form("moody", Moody(by), pairs, True, Silent())
    assert [effect.passed for effect in found.effects] == [passed, passed]
    assert [effect.largest for effect in found.effects] == pytest.approx([by, by])
    assert all(effect.tolerance == 0.02 for effect in found.effects)
    assert found.self_test.passed
    assert set(found.not_applicable) == {"template", "dtype"}


def test_a_scorer_without_a_model_says_so():
    found = audit_form.form("counts", Counts(), audit_form.own_pairs(), True, Silent())
    assert (found.self_test, found.template, found.effects) == (None, "", ())
    assert all("no reward model" in why for why in found.not_applicable.values())
    assert len(found.not_applicable) == 4


def test_the_sample_takes_each_problem_before_a_second_of_any():
    pairs = [(Problem(name, "", ()), Candidate(name, i, "", "x", "given")) for name in "abc" for i in range(20)]
    pairs.insert(0, (Problem("d", "", ()), Candidate("d", 0, "")))
    chosen = [candidate.key for _, candidate in audit_form.sample(pairs)]
    assert chosen[:4] == [("a", 0), ("b", 0), ("c", 0), ("a", 1)]
    assert len(chosen) == audit_form.SAMPLE


def test_a_real_model_is_shown_as_it_reads_and_keeps_its_scores_in_any_batch_and_dtype(tmp_path):
    folder = tiny.reward(tmp_path)
    config_path = tmp_path / "s.yaml"
    config_path.write_text(
        yaml.safe_dump({"scorers": [{"name": "codescaler", "model": str(folder), "dtype": "float32"}]})
    )
    asked = audit.Asked(config.load_scorers(config_path))
    found = audit.audit(asked, tmp_path / "out", Silent())
    (one,) = found.scorers
    assert "<|im_start|>user\nWrite a Python function `largest(numbers)`" in one.form.template
    assert [effect.what for effect in one.form.effects][2:] == ["bfloat16 instead of float32"]
    assert all(effect.largest < 0.02 and effect.pairs == 2 for effect in one.form.effects)
    assert one.form.effects[2].largest > 0
    assert (one.ranks, one.probing, one.rm_bench, found.pool) == (None, None, None, None)
    audit_tables.sections(audit_report.as_json(found))


def test_pairs_that_are_too_long_are_counted_and_their_rows_left_out(tmp_path):
    folder = tiny.reward(tmp_path)
    long = RM_ROW | {"domain": "code", "chosen": ["5", "5", "5 " * 400]}
    (tmp_path / "rm.json").write_text(json.dumps([RM_ROW | {"domain": "code"}, long]))
    spec = {"name": "codescaler", "model": str(folder), "max_length": 300}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"scorers": [spec]}))
    asked = audit.Asked(config.load_scorers(tmp_path / "s.yaml"), rm_bench=tmp_path / "rm.json", dtype=False)
    (one,) = audit.audit(asked, tmp_path / "out", Silent()).scorers
    assert (one.overlong.count, one.overlong.of) == (1, 12)
    assert (one.rm_bench.left_out, one.rm_bench.result.rows, one.rm_bench.why) == (1, 1, "overlong")


class Templateless(Moody):
    """A reward model behind a server that renders pairs itself, and one pair is too long for it."""

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """All the same but the last, where there are many."""
        for place, (_, candidate) in enumerate(pairs):
            yield Score(*candidate.key, *((None, "overlong: 9 tokens") if place == 5 else (-float(candidate.index),)))


@pytest.mark.parametrize(("scorer", "rows"), [(Templateless(0.0), 1), (Counts(), 0)])
def test_pairs_that_are_too_long_are_told_of_every_reward_model_and_of_whatever_has_some(scorer, rows, ledger):
    form = audit_form.form("x", scorer, audit_form.own_pairs(), False, Silent())
    for count, expected in ((0, rows), (1, 1)):
        found = audit.ScorerAudit("x", "X", "x", form, audit.Overlong(count, 6), None, None, None)
        (part, *_) = audit_tables.sections(audit_report.as_json(audit.Audit(audit.VERSION, None, (found,), (), {})))
        cells = [row for table in part.tables for row in table.rows if row[0] == "too long to be scored"]
        assert len(cells) == expected
        assert all(row[1].startswith(f"{count} of 6 pairs") for row in cells)


# What is shown.


def test_a_page_shows_hostile_text_as_text_and_needs_nothing_else(audited):
    found = numbers(audited)
    found["scorers"][0]["label"] = "<script>alert(1)</script>"
    found["scorers"][0]["form"]["template"] = "</pre><img src=http://evil.example/x>\u202e"
    page = audit_report.page(found, "a <b> title")
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;img src=" in page
    assert "\u202e" not in page
    assert not re.search(r"(src|href)=", page.replace("&lt;img src=", ""))


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_of_any_width_has_every_probe_and_reference(audited, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(audit_report.terminal(numbers(audited), width))
    shown = console.export_text()
    assert all(probe.name in shown for probe in PROBES)
    assert width < 130 or all(reference.model in shown for reference in REFERENCES)
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("left_out", [0, 1, 3])
def test_problems_without_verdicts_are_told(audited, left_out):
    found = numbers(audited)
    found["pool"]["left_out"] = left_out
    (told,) = audit_tables.facts(found)
    assert ("without verdicts left out" in told) == bool(left_out)
    assert "(jsonl, 3 problems, 12 candidates)" in told


def test_numbers_that_are_none_are_null_and_shown_as_nothing(tmp_path):
    small = make_small(tmp_path)
    bring_up(small)
    (tmp_path / "s.yaml").write_text("scorers: [test_audit:Same]")
    asked = audit.Asked(config.load_scorers(tmp_path / "s.yaml"), pool=tmp_path / "run", probes=0)
    saved = json.loads(
        json.dumps(audit_report.as_json(audit.audit(asked, tmp_path / "out", Silent())), allow_nan=False)
    )
    calibration = saved["scorers"][0]["ranks"]["calibration"]
    assert calibration["scale"]["value"] is None
    assert calibration["bins"][0]["accuracy"]["value"] == 0.5
    tables = [table for part in audit_tables.sections(saved) for table in part.tables]
    cells = [cell for table in tables for row in table.rows for cell in row]
    assert cells
    assert not [cell for cell in cells if "None" in cell or "nan" in cell]
    best = saved["scorers"][0]["ranks"]["best_of"]
    assert [row["scorer"] for row in best] == [row["random"] for row in best], "ties are averaged, not broken by luck"


@dataclass(frozen=True)
class Same:
    """Everything is worth the same."""

    def score(self, pairs: Sequence[tuple[Problem, Candidate]]) -> Iterator[Score]:
        """1."""
        return (Score(*candidate.key, 1.0) for _, candidate in pairs)


def test_a_saved_audit_of_another_version_is_refused(tmp_path):
    (tmp_path / "audit.json").write_text('{"version": 99}')
    with pytest.raises(DataError, match="version 1"):
        audit_report.load(tmp_path / "audit.json")

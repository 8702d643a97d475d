"""A run's numbers in files: one set of numbers in JSON, CSV, Markdown and LaTeX, and text as text."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from test_cost import costly
from test_page import dated
from test_report import assemble, by_hand, found_of, made_up, sampled, task

from tts import certainty_report, cost, cost_report, formats, sentences
from tts.analysis import RunReport

EVIL = "a|b_c & <i>\\x{}$%#^~ \u202e\x1b[31m"


@pytest.fixture(scope="module")
def run() -> RunReport:
    return replace(made_up(), left_out=(("mini-99", "2 of 8 candidates have no verdict"),))


@pytest.fixture(scope="module")
def evil() -> RunReport:
    """A run whose folder and selectors have what Markdown, LaTeX and terminals would obey."""
    plain = by_hand(f"runs/{EVIL}", (1.0, 0.0))
    return replace(plain, curves=(*plain.curves, replace(plain.curve("argmax"), name=EVIL)))


# -- JSON


def test_json_has_the_promised_keys_and_types(run: RunReport) -> None:
    found = json.loads(json.dumps(formats.as_json(found_of(run)), allow_nan=False))
    assert found.keys() == {"runs"} and len(found["runs"]) == 1
    one = found["runs"][0]
    extra = {"left_out", "gained", "over_random", "paired", "unscored", "breakdown", "errata"}
    extra |= {"estimates", "saved", "certainty", "cost", "stopping"}
    assert one.keys() - extra == {"folder", "benchmark", "problems", "missing_parts", "n", "graded", "selectors"}
    assert (one["folder"], one["benchmark"]) == ("runs/demo", "mini")
    assert (one["problems"], one["n"], one["graded"]) == (20, 8, 160)
    assert {type(one[name]) for name in ("problems", "n", "graded")} == {int}
    for points in one["selectors"].values():
        assert [point["k"] for point in points] == [1, 2, 4, 8]
        for point in points:
            assert point.keys() == {"k", "value", "low", "high", "estimate", "se", "scorer"}
            assert 0 <= point["low"] <= point["value"] <= point["high"] <= 1 and point["se"] >= 0
            assert point["estimate"] in ("exact", "sampled") and (point["estimate"] == "sampled" or point["se"] == 0)


def test_json_names_selectors_by_plugin_and_further_scorers_after_a_colon(run: RunReport) -> None:
    selectors = formats.as_json(found_of(run))["runs"][0]["selectors"]
    assert [*selectors][:: len(selectors) - 1] == ["random", "oracle"]
    assert {"argmax", "argmax:length", "majority", "weighted_vote", "threshold:length"} <= selectors.keys()
    scorers = {name: points[0]["scorer"] for name, points in selectors.items()}
    assert (scorers["argmax"], scorers["argmax:length"]) == ("likelihood", "length")
    assert (scorers["random"], scorers["oracle"], scorers["majority"]) == (None, None, None)


def test_json_has_null_where_there_was_nothing_to_gain() -> None:
    hopeless = assemble("r", [(task("a"), [sampled("a", 0, "x")], [False], [1.0])], ["argmax"], ["likelihood"])
    one = formats.as_json(found_of(hopeless))["runs"][0]
    assert one["gained"]["argmax"] is None
    json.dumps(one, allow_nan=False)


def test_json_of_a_run_worked_out_by_hand() -> None:
    one = formats.as_json(found_of(by_hand("r", (1.0, 0.0))))["runs"][0]
    values = {name: [point["value"] for point in points] for name, points in one["selectors"].items()}
    assert values == {"random": [0.25, 0.25], "argmax": [0.25, 0.5], "oracle": [0.25, 0.5]}
    assert (one["over_random"]["argmax"]["value"], one["gained"]["argmax"]) == (0.25, 1.0)


# -- tables for papers


def test_csv_has_a_row_for_each_run_selector_and_k_with_the_numbers_of_the_json(run: RunReport) -> None:
    runs = [run, made_up("elsewhere/demo", n=4, seed=1)]
    rows = [row for row in csv.DictReader(io.StringIO(formats.csv_rows(found_of(*runs)))) if not row["by"]]
    told = [
        (point["k"], point["value"], point["low"], point["high"], point["se"], point["scorer"] or "")
        for one in formats.as_json(found_of(*runs))["runs"]
        for points in one["selectors"].values()
        for point in points
    ]
    found = [(int(r["k"]), *(float(r[name]) for name in ("value", "low", "high", "se")), r["scorer"]) for r in rows]
    assert found == told
    assert {(r["run"], r["n"]) for r in rows} == {("runs/demo", "8"), ("elsewhere/demo", "4")}


def test_csv_has_what_was_gained_and_spent_and_the_parts() -> None:
    run = costly(dated(made_up()))
    (found,) = found_of(run)
    one = formats.as_json([found])["runs"][0]
    rows = list(csv.DictReader(io.StringIO(formats.csv_rows([found]))))
    for row in (row for row in rows if not row["by"]):
        gain = one["over_random"][row["selector"]]
        told = [row["over_random"], row["over_random_low"], row["over_random_high"]]
        assert told == ([str(gain[key]) for key in ("value", "low", "high")] if row["k"] == "8" else [""] * 3)
        spent = cost.axis(run, found.account, run.curve(row["selector"]), "flops")
        assert spent is not None and float(row["flops"]) == spent[run.ks.index(int(row["k"]))]
    parts = {(r["by"], r["part"], r["selector"]): (int(r["problems"]), float(r["value"])) for r in rows if r["by"]}
    assert parts == {
        (tag, part["value"], name): (part["problems"], points["value"])
        for tag, of in one["breakdown"].items()
        for part in of
        for name, points in part["selectors"].items()
    }
    assert {tag for tag, *_ in parts} == {"difficulty", "platform", "month"}


def test_markdown_and_latex_have_how_sure_it_is_what_it_cost_and_the_parts() -> None:
    (found,) = found_of(costly(dated(made_up())))
    sheet = certainty_report.certainty_sheet(found.report, found.certainty)
    spent = cost_report.account_sheet(found.report, found.account)
    for text in (formats.markdown([found]), formats.latex([found])):
        plain = text.replace("\\", "").replace("$-$", "-").replace("$", "")
        for told in (*sheet.rows[0], *spent.rows[0], *sheet.notes, *spent.notes):
            assert told in plain
        for tag in ("difficulty", "platform", "month"):
            assert f"percent solved by {tag}, k = 8" in plain
        assert "the share of what an oracle gains over random, are at k = 8" in plain


def curves_table(text: str) -> list[str]:
    """The lines of the first table in Markdown."""
    return [line for line in text.split("####")[0].splitlines() if line.startswith("|")]


def test_markdown_has_the_verdict_a_table_of_whole_rows_and_the_notes(run: RunReport) -> None:
    text = formats.markdown(found_of(run))
    table = curves_table(text)
    assert len(table) == 2 + len(run.curves)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(run.ks) + 4}
    for curve in run.curves:
        row = next(line for line in table if line.startswith(f"| {curve.name.replace('_', chr(92) + '_')} "))
        assert f"{100 * curve.points[-1].value:.1f}" in row
    assert text.count("majority at k = 8") == 1 and "- mini: 20 problems, n = 8" in text


def test_hostile_names_mean_nothing_in_markdown(evil: RunReport) -> None:
    text = formats.markdown(found_of(evil))
    table = curves_table(text)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {len(evil.ks) + 4}
    assert not set("\u202e\x1b") & set(text) and not re.search(r"(?<!\\)<", text)


def test_latex_escapes_what_it_would_obey(evil: RunReport) -> None:
    text = formats.latex(found_of(evil))
    row = next(line for line in text.splitlines() if line.startswith("a|b"))
    name, *cells = row.removesuffix(r" \\").split(" & ")
    assert name.replace(r"\&", "") + cells[0] and row.endswith(r" \\")
    assert r"a|b\_c \& <i>\textbackslash{}x\{\}\$\%\#\textasciicircum{}$\sim$" in row
    assert text.count("{") == text.count("}") and not set("\u202e\x1b") & set(text)


def test_latex_has_as_many_cells_in_each_row_as_columns(run: RunReport) -> None:
    tables = formats.latex(found_of(run)).split(r"\end{table}")[:-1]
    sizes = []
    for table in tables:
        (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", table)
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(columns)}
        sizes.append((len(rows), len(columns)))
    assert sizes[0] == (1 + len(run.curves), len(run.ks) + 3) and len(tables) == 3
    assert sentences.level(run).replace("%", r"\%") in tables[0]


def test_latex_has_labels_that_differ_real_minus_signs_and_names_its_package(run: RunReport) -> None:
    text = formats.latex(found_of(run, made_up("elsewhere/demo", seed=1)))
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert labels == [f"tab:{name}-{i}" for name in ("runs-demo", "elsewhere-demo") for i in (1, 2, 3)]
    assert text.startswith("%") and r"\usepackage{booktabs}" in text.splitlines()[0]
    assert "[$-$" in text and not re.search(r"[\[ ]-\d", text)


def test_every_format_ends_in_one_newline(run: RunReport) -> None:
    for write in formats.FORMATS.values():
        text = write(found_of(run))
        assert text.endswith("\n") and not text.endswith("\n\n")

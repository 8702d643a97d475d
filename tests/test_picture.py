"""The picture of the curves: PNG and SVG, several runs in one, and what its caption says."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from test_report import assemble, made_up, sampled, task

from tts import sentences
from tts.analysis import RunReport
from tts.errors import ConfigError
from tts.palette import COLOURS, check_curves, distinct, looks
from tts.picture import MARKERS, write_pictures


@pytest.fixture(scope="module")
def run() -> RunReport:
    return made_up()


def test_the_picture_is_one_of_several_lines(run: RunReport, tmp_path: Path) -> None:
    for name, runs in (("one", [run]), ("two", [run, made_up("runs/$other_run$", n=4, seed=1)])):
        (tmp_path / name).mkdir()
        png, svg = write_pictures(runs, tmp_path / name)
        with Image.open(png) as image:
            assert image.format == "PNG" and image.size == (1480, 880)
            assert len(image.convert("RGB").getcolors(1 << 20) or []) > 200
        drawn = ElementTree.parse(svg).getroot()
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(drawn.iter("{http://www.w3.org/2000/svg}path"))) > 8


def test_an_svg_is_the_same_each_time_and_needs_no_font(run: RunReport, tmp_path: Path) -> None:
    texts = [write_pictures([run], tmp_path)[1].read_text() for _ in range(2)]
    assert texts[0] == texts[1]
    assert "<text" not in texts[0]


def test_a_picture_of_a_single_k_can_be_drawn(tmp_path: Path) -> None:
    single = assemble("r", [(task("a"), [sampled("a", 0, "x")], [False], [1.0])], ["argmax"], ["likelihood"])
    assert all(path.stat().st_size > 10_000 for path in write_pictures([single], tmp_path))


def test_captions_say_n_k_problems_and_interval(run: RunReport) -> None:
    runs = [run, made_up("runs/other", n=4, seed=1)]
    names = ["argmax", "majority"]
    pictures = sentences.picture_caption([run], names), sentences.picture_caption(runs, names)
    for caption in (*pictures, sentences.curves_caption(runs)):
        assert "20 problems, n = 8, k = 1, 2, 4, 8" in caption and "95% intervals" in caption
    assert "(other): 20 problems, n = 4, k = 1, 2, 4" in pictures[1]
    assert all("Not drawn, but in report.html: 5 more selectors." in caption for caption in pictures)
    assert "more selector" not in sentences.picture_caption([run], [curve.name for curve in run.curves])


def named(run: RunReport, ends: dict[str, float]) -> RunReport:
    """The run with selectors that end at these values."""
    first = run.curve("argmax")
    points = {name: (*first.points[:-1], replace(first.points[-1], value=value)) for name, value in ends.items()}
    selectors = [replace(first, name=name, points=mine) for name, mine in points.items()]
    return replace(run, curves=(run.curve("random"), run.curve("oracle"), *selectors))


def test_fifty_six_curves_look_different_and_the_first_eight_in_colour() -> None:
    names = [f"selector {i}" for i in range(56)]
    found = looks(names)
    assert len({(found[name].colour, found[name].marker) for name in names}) == 56
    assert len({found[name].colour for name in names[:8]}) == 8
    assert {found[name].dash for name in names[:8]} == {"solid"} != {found[name].dash for name in names[8:16]}
    assert {found[name].marker for name in names} == MARKERS.keys()
    assert found["random"].marker is None and found["oracle"].marker is None


def test_of_selectors_that_end_alike_the_first_is_drawn_and_the_best_come_first(run: RunReport) -> None:
    ends = {"a": 0.2, "b": 0.5, "c": 0.5, "d": 0.4, "e": 0.2, "f": 0.5 + 1e-12}
    assert distinct([named(run, ends)]) == ["b", "d", "a"]
    other = named(run, ends | {"c": 0.6})
    assert distinct([named(run, ends), other]) == ["c", "b", "d", "a"]


def colours_of(path: Path) -> set[str]:
    return {colour for colour in COLOURS if colour in path.read_text()}


def test_of_many_selectors_the_best_eight_that_differ_are_drawn_or_those_that_are_named(
    run: RunReport, tmp_path: Path
) -> None:
    many = named(run, {f"selector {i}": 0.3 + 0.01 * (i // 2) for i in range(31)})
    _, svg = write_pictures([many], tmp_path)
    assert colours_of(svg) == set(COLOURS)
    _, svg = write_pictures([many], tmp_path, ["selector 30", "selector 3"])
    assert colours_of(svg) == set(COLOURS[:2])
    with pytest.raises(ConfigError, match=r"No 'selector30' in the curves of these runs. Did you mean 'selector 30'"):
        check_curves([many], ["selector30"])

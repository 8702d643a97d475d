"""The picture of the curves: PNG and SVG, several runs in one, and what its caption says."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from test_report import assemble, made_up, sampled, task

from tts import sentences
from tts.analysis import RunReport
from tts.palette import looks
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
    for caption in (sentences.picture_caption([run]), sentences.picture_caption(runs), sentences.curves_caption(runs)):
        assert "20 problems, n = 8, k = 1, 2, 4, 8" in caption and "95% intervals" in caption
    assert "(other): 20 problems, n = 4, k = 1, 2, 4" in sentences.picture_caption(runs)


def test_fifty_six_curves_look_different_and_baselines_like_no_other(run: RunReport) -> None:
    names = [f"selector {i}" for i in range(56)]
    baselines = [run.curve("random"), run.curve("oracle")]
    many = replace(run, curves=(*baselines, *(replace(run.curve("argmax"), name=name) for name in names)))
    found = looks([many])
    assert len({(found[name].colour, found[name].marker) for name in names}) == 56
    assert {found[name].marker for name in names} == MARKERS.keys()
    assert found["random"].marker is None and found["oracle"].marker is None

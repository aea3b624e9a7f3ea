"""The roofline: where the roof is, where the dots are, and what it is written as."""

import re
import xml.etree.ElementTree as ET

import pytest

from etude.measure import Peak, Peaks
from etude.measure.roofline import Dot, Roofline, attainable

PEAKS = Peaks({"processor": "made"}, "2026-11-28T09:00:00+00:00",
              (Peak(1, 50e9, 25e9, 10e9), Peak(2, 100e9, 50e9, 20e9)))
DOTS = [Dot("add", 1 / 12, 1e9, 0.25, "forward, float32, cpu"),
        Dot("matmul", 40.0, 90e9, 0.75, "backward, float32, cpu")]


def test_the_roof_is_a_slope_and_then_flat():
    peak = PEAKS.peaks[1]
    assert attainable(peak, 0.5) == 10e9
    assert attainable(peak, 5.0) == 100e9
    assert attainable(peak, 500.0) == 100e9
    assert attainable(peak, 500.0, "float64") == 50e9


def test_the_text_puts_each_dot_under_its_roof_at_its_place():
    picture, _, legend = str(Roofline(PEAKS, DOTS)).partition("FLOP a byte")
    lines = picture.splitlines()
    (up_a, at_a), = [(i, line.index("a")) for i, line in enumerate(lines) if re.search(
        r"\|.*a", line)]
    (up_b, at_b), = [(i, line.index("b")) for i, line in enumerate(lines) if re.search(
        r"\|.*b", line)]
    assert up_a < up_b, "matmul, which takes longest, is a, and stands higher"
    assert at_a > at_b, "and to the right"
    roof, = [i for i, line in enumerate(lines) if re.search(r"\|.*---", line)]
    assert roof <= up_a
    assert re.search(r"a  matmul +75.0% of the time +90 GFLOP/s  backward", legend)
    assert "1 thread" in legend


def test_the_text_is_plain_and_fits_a_terminal():
    text = str(Roofline(PEAKS, DOTS))
    assert text.isascii()
    assert max(map(len, text.split("  a  matmul")[0].splitlines())) <= 90


def test_a_roofline_without_dots_and_with_one_thread_is_drawn():
    text = str(Roofline(Peaks({}, "", (Peak(1, 50e9, 25e9, 10e9),))))
    assert "1 thread" in text
    assert "threads" not in text


@pytest.fixture
def plots():
    pytest.importorskip("matplotlib", reason="NOT RUN: needs the package matplotlib")


def test_nothing_that_is_written_covers_something_else(plots):
    """On a busy machine, or with two threads of one core, two roofs are nearly as high."""
    near = Peaks({}, "2026-11-28", (Peak(1, 51e9, 25e9, 9e9), Peak(2, 50e9, 26e9, 10e9),
                                    Peak(4, 52e9, 26e9, 11e9)))
    dots = [*DOTS, Dot("rand", 20.0, 2e8, 0.5, "forward, int64, cpu")]
    figure = Roofline(near, dots).figure()
    figure.canvas.draw()
    ax, = figure.axes
    words = [t for t in ax.texts if t.get_text() != "float64"]
    assert len(words) == 3 + 3, "a name for each roof and each dot"
    boxes = [ax.get_legend().get_window_extent(), *[t.get_window_extent() for t in words]]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_a_pointer_on_a_dot_shows_what_it_is(plots):
    picture = ET.fromstring(Roofline(PEAKS, DOTS).svg())
    titles = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["matmul (backward, float32, cpu): 90 GFLOP/s at 40 FLOP a byte, 75.0% of the "
                      "time in ops",
                      "add (forward, float32, cpu): 1 GFLOP/s at 0.0833 FLOP a byte, 25.0% of the "
                      "time in ops"]


def test_names_lie_over_no_other_name(plots):
    crowd = [Dot(f"op_number_{i}", 1.0 + 0.01 * i, 5e9, 0.1, "forward") for i in range(8)]
    figure = Roofline(PEAKS, crowd).figure()
    figure.canvas.draw()
    found = [t.get_window_extent() for t in figure.axes[0].texts
             if t.get_text().startswith("op_number")]
    assert len(found) >= 5
    assert not any(a.overlaps(b) for i, a in enumerate(found) for b in found[:i])


def test_it_is_written_in_three_formats(plots, tmp_path):
    made = Roofline(PEAKS, DOTS)
    for suffix, start in ((".svg", b"<svg"), (".png", b"\x89PNG"), (".html", b"<!doctype html>")):
        made.save(tmp_path / f"r{suffix}")
        assert (tmp_path / f"r{suffix}").read_bytes().startswith(start)
    assert b"float64 GFLOP/s" in (tmp_path / "r.html").read_bytes()


def test_another_format_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"r.bmp: a roofline is written as .svg, .png, .html"):
        Roofline(PEAKS).save(tmp_path / "r.bmp")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_a_notebook_shows_the_text(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert "<pre>GFLOP/s" in Roofline(PEAKS)._repr_html_()

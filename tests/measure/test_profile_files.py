"""What a profile can be written as: a trace, a flame graph, a page, a roofline."""

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pytest

import etude
from etude import data, models, optim
from etude import functional as F
from etude.measure.profile.flame import boxes

pytestmark = pytest.mark.usefixtures("known")


@pytest.fixture
def p():
    etude.manual_seed(0)
    model = models.mlp(8, 6, 3)
    steps = optim.SGD(model.parameters(), lr=0.01)
    x = etude.tensor(np.ones((12, 8), np.float32))
    y = etude.tensor(np.zeros(12, np.int64))
    with etude.profile("a <test>") as found:
        for a, b in data.DataLoader(data.TensorDataset(x, y), batch_size=4):
            loss = F.cross_entropy(model(a), b)
            steps.zero_grad()
            loss.backward()
            steps.step()
    return found


@pytest.fixture
def trace(p, tmp_path):
    p.trace(tmp_path / "t.json")
    return json.loads((tmp_path / "t.json").read_text())


# ------------------------------------------------------------------ the trace


def test_a_trace_has_a_slice_for_every_call_and_wait(p, trace):
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] != 0]
    assert len(slices) == p.sums.calls + 3
    assert sum(e["name"] == "waiting for data" for e in slices) == 3
    assert trace["otherData"] == {"calls": p.sums.calls, "shown": p.sums.calls}
    linear = next(e for e in slices if e["name"] == "linear")
    assert linear["args"]["arrays"] == "float32[4, 8], float32[6, 8], float32[6]"
    assert linear["args"]["line"].startswith(__file__ + ":")
    assert linear["cat"] == "forward"
    assert all(e["ts"] >= 0 and e["dur"] >= 0 for e in slices)


def test_slices_of_one_row_lie_beside_or_inside_each_other(trace):
    slices = sorted([e for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == 1],
                    key=lambda e: (e["ts"], -e["dur"]))
    ends = []
    for e in slices:
        while ends and ends[-1] <= e["ts"] + 0.01:
            ends.pop()
        assert not ends or e["ts"] + e["dur"] <= ends[-1] + 0.01, e
        ends.append(e["ts"] + e["dur"])


def test_phases_have_a_row_of_their_own_in_the_order_of_a_step(trace):
    row = [e["name"] for e in trace["traceEvents"] if e["ph"] == "X" and e["tid"] == 0]
    assert row == ["data", "forward", "backward", "optimiser"] * 3


def test_a_trace_names_its_rows_and_counts_the_memory(trace):
    names = {e["args"]["name"] for e in trace["traceEvents"] if e["ph"] == "M"}
    assert names == {"Etude: a <test>", "phases", "ops"}
    assert any(e["ph"] == "C" and e["args"]["arrays"] > 0 for e in trace["traceEvents"])


# ------------------------------------------------------------------ the flame


def test_the_flame_stands_on_the_program_and_its_tips_are_ops(p):
    root = boxes(p)
    assert root.name.startswith("mean of 3 steps")
    widest = max(root.above.values(), key=lambda box: box.seconds)
    assert re.fullmatch(r"p test_profile_files.py:\d+", widest.name)
    names = set()

    def walk(box):
        names.add((box.name, box.phase))
        for above in box.above.values():
            walk(above)

    walk(root)
    assert ("Linear.forward", "") in names
    assert ("linear", "forward") in names
    assert ("backward", "backward") in names
    assert ("sgd_step", "optimiser") in names
    assert ("waiting for data", "data") in names


def test_a_box_is_as_wide_as_what_stands_on_it_and_its_own(p):
    def walk(box):
        assert box.own >= 0
        assert box.seconds == pytest.approx(box.own + sum(b.seconds for b in box.above.values()))
        for above in box.above.values():
            walk(above)

    root = boxes(p)
    walk(root)
    assert root.seconds == pytest.approx((p.span.wall - p.watching) / 3, rel=0.05)


def test_the_flame_is_a_picture_by_itself(p, tmp_path):
    p.flame(tmp_path / "f.svg")
    picture = ET.parse(tmp_path / "f.svg").getroot()
    titles = [t.text for t in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert any(t.startswith("backward: ") and "of it outside ops" in t for t in titles)
    for rect in picture.iter("{http://www.w3.org/2000/svg}rect"):
        assert float(rect.get("x")) + float(rect.get("width")) <= 1000.01
    assert "http" not in re.sub(r"http://www.w3.org/\S+", "", (tmp_path / "f.svg").read_text())


# ------------------------------------------------------------------ the page


class Check(HTMLParser):
    """Notes what a page loads from elsewhere, and whether its elements are closed in order."""

    EMPTY = ("meta", "br", "img", "link")

    def __init__(self):
        super().__init__()
        self.open, self.loads, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href")
                       and not v.startswith("#")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)


def test_the_page_stands_alone_and_has_everything(p, tmp_path):
    pytest.importorskip("matplotlib", reason="NOT RUN: needs the package matplotlib")
    p.html(tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    check = Check()
    check.feed(re.sub(r"<script>.*?</script>", "", text, flags=re.S))
    assert check.open == []
    assert check.loads == []
    said = " ".join(check.words)
    for word in ("Profile of a <test>", "busy", "achieved", "memory", "data", "Roofline",
                 "Flame graph", "cross_entropy_backward", "loss.backward()"):
        assert word in said
    assert text.count("<svg") == 2


def test_a_notebook_shows_numbers_and_ops(p):
    shown = p._repr_html_()
    assert "cross_entropy" in shown
    assert "of the time was waiting for data" in shown


# ------------------------------------------------------------------ the roofline of a program


def test_every_op_that_computes_is_a_dot(p):
    dots = {(dot.name, dot.about): dot for dot in p.dots()}
    linear = dots["linear", "forward, float32, reference"]
    row, = [r for r in p.rows() if r.op == "linear"]
    assert linear.intensity == pytest.approx(row.flops / row.bytes)
    assert linear.speed == pytest.approx(row.flops / row.seconds)
    assert sum(dot.share for dot in dots.values()) <= 1 + 1e-9
    assert "linear" in str(p.roofline())


def test_a_folder_that_is_not_there_is_an_error_and_nothing_is_written(p, tmp_path):
    for write in (p.html, p.trace, p.flame):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            write(tmp_path / "lost" / "file.x")
    assert list(tmp_path.glob("lost*")) == []

"""etude.draw: the graph behind a tensor, small enough to read, as text and as SVG."""

import shutil
import stat
import xml.etree.ElementTree as ElementTree

import pytest

import etude
from etude import models


def labels(graph, kind="op"):
    return [box.lines for box in graph.boxes if box.kind == kind]


def edges(graph):
    return {(source.lines[0], box.lines[0], label) for box in graph.boxes
            for source, label in box.into}


def test_an_expression_is_drawn_op_by_op_from_its_leaves_to_the_result():
    a = etude.ones(3, requires_grad=True)
    graph = etude.draw((a * 2 + a).exp().sum())
    assert labels(graph) == [["sum"], ["exp"], ["add"], ["mul 2"]]
    assert edges(graph) == {("leaf [3]", "mul 2", "[3]"), ("leaf [3]", "add", "[3]"),
                            ("mul 2", "add", "[3]"), ("add", "exp", "[3]"),
                            ("exp", "sum", "[3]"), ("sum", "result", "[]")}


def test_parameters_are_lines_with_their_names_and_views_lie_on_edges():
    model = models.mlp(64, 32, 10)
    loss = etude.cross_entropy(model(etude.zeros(8, 1, 8, 8)), etude.zeros(8, dtype="int64"))
    graph = etude.draw(loss, model)
    assert labels(graph) == [["cross_entropy"], ["linear", "3.weight [10, 32]", "3.bias [10]"],
                             ["relu"], ["linear", "1.weight [32, 64]", "1.bias [32]"]]
    assert labels(etude.draw(loss))[1][1:] == ["weight [10, 32]", "bias [10]"]
    y = model[1](etude.zeros(8, 64)).reshape(16, 16).transpose(0, 1).sum()
    assert ("linear", "sum", "[16, 16]\npermute\nreshape") in edges(etude.draw(y, model))


@pytest.mark.parametrize("make", [lambda: models.resnet20(1), lambda: models.lenet(16)])
@pytest.mark.parametrize("limit", [2, 5, 24])
def test_a_deep_network_is_drawn_in_few_boxes(make, limit):
    model = make()
    graph = etude.draw(model(etude.zeros(2, 1, 16, 16)).sum(), model, limit=limit)
    assert 2 <= len(graph.boxes) <= limit
    assert labels(graph, "result") == [["result"]]
    names = set(graph.boxes)
    assert all(source in names for b in graph.boxes for source, _ in b.into)
    if labels(graph, "more"):
        assert len(graph.boxes) == limit


def test_blocks_of_a_resnet_become_one_box_each():
    model = models.resnet20(1, blocks=2)
    graph = etude.draw(model(etude.zeros(2, 1, 8, 8)).sum(), model)
    assert not labels(graph, "more")
    block = next(lines for lines in labels(graph) if "3.conv1.weight [16, 16, 3, 3]" in lines)
    assert [line for line in block if "." not in line] == [
        "conv2d", "batch_norm", "relu", "conv2d", "batch_norm"]


def test_a_tensor_that_nothing_computed_is_one_box():
    graph = etude.draw(etude.ones(2))
    assert [b.lines for b in graph.boxes] == [["result"], ["input [2]"]]


def test_after_backward_there_is_nothing_to_draw():
    a = etude.ones(3, requires_grad=True)
    y = a.exp().sum()
    y.backward(retain_graph=True)
    etude.draw(y)
    y.backward()
    with pytest.raises(RuntimeError, match=r"draw: backward has let go of what led to 'sum'. Draw "
                                           r"the graph before backward\(\)"):
        etude.draw(y)


def test_a_limit_below_two_is_an_error():
    with pytest.raises(ValueError, match="limit must be at least 2 boxes, got 1"):
        etude.draw(etude.ones(1), limit=1)


# ------------------------------------------------------------------ text and picture


def test_the_text_is_graphviz_with_quotes_escaped(tmp_path):
    a = etude.ones(2, requires_grad=True)
    graph = etude.draw(a.exp())
    graph.boxes[1].lines = ['a "quote" \\ here']
    text = graph.dot
    assert str(graph) == text
    assert text.startswith("digraph {")
    assert text.endswith("}\n")
    assert '\\"quote\\" \\\\ here' in text
    assert text.count("{") == text.count("}")
    graph.save(tmp_path / "g.dot")
    assert (tmp_path / "g.dot").read_text() == text
    with pytest.raises(ValueError, match=r"saved as .svg, .dot or .gv, got '.*g.png'"):
        graph.save(tmp_path / "g.png")


def test_without_dot_a_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    graph = etude.draw(etude.ones(2))
    with pytest.raises(RuntimeError, match="needs the program dot of graphviz, which is not "
                                           "installed: apt install graphviz"):
        graph.save(tmp_path / "g.svg")
    assert not list(tmp_path.iterdir())
    assert graph._repr_svg_() is None


def test_dot_is_given_the_text_and_its_failure_is_told(monkeypatch, tmp_path):
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\necho svg; cat >&2; exit $DOT_EXIT\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("DOT_EXIT", "0")
    graph = etude.draw(etude.ones(2))
    assert graph.svg() == "svg\n"
    assert graph._repr_svg_() == "svg\n"
    monkeypatch.setenv("DOT_EXIT", "1")
    with pytest.raises(RuntimeError, match=r"dot failed: digraph"):
        graph.svg()


def test_dot_draws_every_label():
    if shutil.which("dot") is None:
        pytest.skip("NOT RUN: needs the program dot of graphviz")
    model = models.mlp(64, 32, 10)
    picture = etude.draw(model(etude.zeros(8, 64)).sum(), model).svg()
    texts = " ".join(ElementTree.fromstring(picture).itertext())
    for word in ("linear", "1.weight [32, 64]", "relu", "sum", "[8, 32]", "result"):
        assert word in texts

"""Layouts: what one line of text beside an op accepts, gives, and says of a call that is wrong."""

import numpy as np
import pytest

from etude import TABLE, ShapeError, Spec
from etude.core.layout import Layout
from etude.core.shapes import float32, int64


def spec(*shape, dtype=float32):
    return Spec(shape, dtype)


def check(text, *specs, sizes=None, domain="float", **attrs):
    arrays = ("x", "y", "z")[: len(specs)]
    return Layout("tried", text, arrays, domain, sizes)(*specs, **attrs)


def test_every_layout_names_the_arrays_and_the_outputs_of_its_op():
    layouts = [op for op in TABLE.values() if isinstance(op.shape, Layout)]
    assert len(layouts) > 100
    for op in layouts:
        assert set(op.shape.arrays) == set(op.arrays), op.name
        assert set(op.shape.attrs) <= set(op.attrs), op.name
        assert len(op.shape.results) == len(op.outputs), op.name
        assert op.fixed == op.shape.fixed


@pytest.mark.parametrize(("text", "specs", "attrs", "want"), [
    ("x: N K, y: K M -> N M", [spec(2, 3), spec(3, 4)], {}, spec(2, 4)),
    ("x: ... K -> ...", [spec(5, 2, 3)], {}, spec(5, 2)),
    ("x: ~B K, y: ~B K -> *B K", [spec(5, 1, 3), spec(4, 3)], {}, spec(5, 4, 3)),
    ("x: N, y: N 2 -> 2 N", [spec(3), spec(3, 2)], {}, spec(2, 3)),
    ("x: C, y: C/groups -> C", [spec(6), spec(3)], {"groups": 2}, spec(6)),
    ("y: C/groups, x: N -> C N", [spec(1), spec(3)], {"groups": 2}, spec(6, 1)),
    ("size = H W, x: N -> N H W", [spec(3)], {"size": (4, 5)}, spec(3, 4, 5)),
    ("size = *D, x: ... *D -> ...", [spec(2, 3, 4)], {"size": (3, 4)}, spec(2)),
    ("x: ... -> ... k int64", [spec(2)], {"k": 7}, spec(2, 7, dtype=int64)),
    ("x: ..., y: a+b+c int64 -> ...", [spec(2), spec(3, dtype=int64)], {}, spec(2)),
    ("... -> ...", [spec(2), spec(2)], {}, spec(2)),
])
def test_what_comes_out(text, specs, attrs, want):
    assert check(text, *specs, **attrs) == want


@pytest.mark.parametrize(("text", "specs", "attrs", "words"), [
    ("x: N C -> N", [spec(3)], {}, r"tried: x must have 2 dimensions \(N, C\), got float32\[3\]"),
    ("x: ... M N -> ...", [spec(3)], {}, r"x must have at least 2 dimensions \(..., M, N\), got "),
    ("x: N K, y: K M -> N M", [spec(2, 3), spec(4, 5)], {},
     r"y must be \(K, M\) with K = 3 from x float32\[2, 3\], got float32\[4, 5\]$"),
    ("x: N K, y: K M -> N M", [spec(2, 3), spec(4, 3)], {}, "; transposed it would fit$"),
    ("x: N K, y: K -> N", [spec(2, 3), spec(2)], {},
     r"y must have shape \[3\]: \(K\) with K = 3 from x float32\[2, 3\], got float32\[2\]"),
    ("x: ..., y: ... -> ...", [spec(2, 3), spec(3)], {}, r"y must have shape \[2, 3\], .* of x "),
    ("x: C, y: C/groups -> C", [spec(6), spec(2)], {"groups": 2},
     r"y must have shape \[3\]: \(C/groups\) with C = 6 from x float32\[6\], groups = 2, got"),
    ("x: C, y: C/groups -> C", [spec(6), spec(2)], {"groups": 4},
     "groups=4 must be a positive integer that divides 6"),
    ("size = H W, x: N -> N H W", [spec(3)], {"size": (4,)}, r"size must have 2 dim.* \(H, W\)"),
    ("size = H, x: H -> H", [spec(3)], {"size": (4,)}, r"\[4\]: \(H\) with H = 4 from size, got "),
    ("x: ... -> ... k", [spec(2)], {"k": -1}, "tried: k: a shape is made of integers >= 0, got"),
    ("x: a+b -> 2", [spec(3)], {}, r"x must have shape \[2\]: \(a\+b\), got float32\[3\]"),
    ("x: ~Z, y: ~Z -> *Z", [spec(2), spec(3)], {}, r"tried: shapes \[2\] and \[3\] do not broad"),
])
def test_what_a_wrong_call_is_told(text, specs, attrs, words):
    with pytest.raises(ShapeError, match=words):
        check(text, *specs, **attrs)


def test_sizes_that_a_function_works_out_are_held_against_those_given():
    def half(op, N, step):
        return {"H": N // step}

    assert check("x: N -> H", spec(7), sizes=half, step=2) == spec(3)
    with pytest.raises(ShapeError, match=r"y must have shape \[3\]: \(H\) with H = 3, got float32"):
        check("x: N, y: H -> H", spec(7), spec(4), sizes=half, step=2)


def test_a_cost_is_a_sum_of_products_of_sizes():
    layout = Layout("tried", "x: ... K, y: N K -> ... N", ("x", "y"), "float", None)
    specs = [spec(5, 2, 3), spec(4, 3)]
    assert layout.count("2 ... K N + ... N", specs, {}) == 2 * 10 * 3 * 4 + 10 * 4


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "var", "logsumexp", "argmax", "all"])
@pytest.mark.parametrize("given", ["a", 1, None])
def test_keepdim_is_true_or_false(name, given):
    x = np.ones((2, 3), bool if name == "all" else np.float32)
    with pytest.raises(TypeError, match=f"{name}: keepdim must be True or False, got {given!r}"):
        TABLE[name](x, keepdim=given)

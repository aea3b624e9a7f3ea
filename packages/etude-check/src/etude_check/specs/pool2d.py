"""Pooling. Reference: etude/ops/pool2d.py.

Images of negative numbers show whether the border counts as 0 in a maximum. Images with few
different values show which of two equal pixels wins. Windows over the border show what a mean
divides by.
"""

import numpy as np
from hypothesis import strategies as st

from etude import TABLE
from etude_check.bounds.models import Accumulate, Exact
from etude_check.cases.plans import COTANGENTS, common, crossed, layouts
from etude_check.cases.spec import Adjoint, Refusal, call, spec


def _window(x, kernel, stride=None, padding=(0, 0), **more):
    return {"x": list(x), "kernel": list(kernel), "stride": stride and list(stride),
            "padding": list(padding), **more}


BASE = [_window((2, 3, 6, 7), (3, 2), (2, 1), (1, 1)),
        _window((2, 2, 7, 5), (2, 3), (1, 2), (0, 1)), _window((1, 2, 6, 6), (2, 2))]
TAIL = [
    _window((1, 1, 4, 4), (2, 2)), _window((1, 2, 7, 7), (3, 3), (2, 2)),
    _window((1, 2, 7, 7), (3, 3), (1, 1), (1, 1)), _window((1, 2, 7, 7), (3, 3), (3, 1)),
    _window((1, 2, 7, 7), (3, 3), (1, 3), (1, 0)), _window((2, 1, 5, 6), (3, 3), (2, 2), (1, 1)),
    _window((1, 1, 3, 3), (1, 1), (2, 2)), _window((1, 1, 4, 5), (2, 2), (3, 3)),
    _window((1, 2, 5, 5), (4, 4), (1, 1), (2, 2)), _window((1, 2, 5, 5), (5, 5)),
    _window((1, 3, 1, 17), (1, 3), (1, 2), (0, 1)), _window((1, 3, 17, 1), (3, 1), (2, 1), (1, 0)),
    _window((1, 2, 9, 8), (2, 4), (2, 4)), _window((1, 2, 5, 5), (2, 2), (2, 2)),  # a rest is left
    _window((3, 5, 8, 8), (2, 2), (2, 2), (1, 1)), _window((1, 2, 7, 7), (2, 3), (2, 3)),
] + [_window((1, 2, 5, n), (3, 3), (1, 1), (1, 1)) for n in (1, 2, 7, 8, 9, 15, 16, 17, 33, 65)
     ] + [_window((1, 2, 6, n), (2, 2)) for n in (2, 3, 7, 8, 16, 17, 33, 66)]
EMPTY = [_window((0, 2, 4, 4), (2, 2)), _window((2, 0, 4, 4), (2, 2), (1, 1), (1, 1))]
TAIL += [_window((1, 2, 15, 14), (7, 7)), _window((1, 2, 8, 8), (8, 8)),
         _window((1, 2, 6, 33), (3, 3), (1, 1), (1, 1))]
LARGE = [_window((8, 16, 65, 67), (3, 3), (2, 2), (1, 1)), _window((4, 32, 64, 64), (2, 2)),
         _window((1, 1, 300, 301), (2, 2))]
VALUES = ("below", "ties", "same", "empty")  # what a maximum is taken of


def _plans(op, exact=True, cotangent=False, values=()):
    def plans(kind):
        own = {"empty": EMPTY, "0d": [_window((1, 1, 1, 1), (1, 1))], "large": LARGE,
               "threads": LARGE}
        if values:
            own["tail"] = crossed([*BASE, *TAIL[2:6], TAIL[8], TAIL[-1]], at=values)
        if exact:
            fours = [p for p in TAIL if np.prod(p["kernel"]) in (1, 2, 4, 8, 16)] + BASE[2:]
            whole = fours if op.startswith("avg") else [*BASE, *TAIL]
            own["exact"] = crossed(whole, values=("exact",))
            if op.startswith("avg"):
                own["adjoint"] = crossed(fours, values=("exact",))
        if cotangent:
            own["cotangent"] = crossed(BASE, cotangent=COTANGENTS)
        if kind == "special":
            names = ("nan", "inf", "zero", "subnormal") + (("huge",) if values else ())
            return crossed([*BASE, TAIL[-1]], special=names)
        return [*(common(kind, TAIL, BASE) or ()), *own.get(kind, ())]
    return plans


def _attrs(kernel, stride, padding):
    return {"kernel_size": tuple(kernel), "stride": stride and tuple(stride),
            "padding": tuple(padding)}


def _image(d, shape, at):
    if at == "below":
        return d.floats(shape, -9, -1)
    if at == "ties":
        return d.among((-1.0, -2.0, 1.0), shape, near=False)
    if at == "same":
        return d.among((-1.5,), shape, near=False)
    if at == "empty":
        return d.among((-np.inf, -np.inf, -2.0), shape, near=False)
    return d.floats(shape)


def _max(d, x, at="", **window):
    return call(_image(d, x, at), **_attrs(**window))


def _pooled(x, kernel, stride, padding):
    return [*x[:2], *((n + 2 * p - k) // s + 1 for n, k, s, p in zip(
        x[2:], kernel, stride or kernel, padding))]


def _max_backward(d, x, **window):
    drawn = np.round(d.rng.uniform(-4, 4, x))  # with ties, and maxima that windows share
    attrs = _attrs(**window)
    attrs["stride"] = attrs["stride"] or attrs["kernel_size"]
    index = TABLE["max_pool2d"].reference(drawn, **attrs)[1]
    return call(d.grad(index.shape), d.given(index), input_size=tuple(x[2:]))


def _avg_backward(d, x, **window):
    return call(d.grad(_pooled(x, **window)), input_size=tuple(x[2:]), **_attrs(**window))


def _area(_arrays, attrs):
    return float(np.prod(attrs["kernel_size"])) + 1


def _overlaps(_arrays, attrs):
    kernel = attrs["kernel_size"]
    return float(np.prod([-(-k // s) for k, s in zip(kernel, attrs["stride"] or kernel)])) + 2


@st.composite
def _random(draw, **more):
    kernel = [draw(st.integers(1, 4)) for _ in "hw"]
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    stride = draw(st.none() | st.lists(st.integers(1, 4), min_size=2, max_size=2))
    size = [max(k - 2 * p, 1) + draw(st.integers(0, 7)) for k, p in zip(kernel, padding)]
    return _window([draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size], kernel, stride,
                   padding, layout=draw(layouts), **{k: draw(v) for k, v in more.items()})


def _refused(op):
    x = np.ones((1, 2, 4, 4))
    return (Refusal("a window larger than the image", lambda: call(x, kernel_size=(5, 2)),
                    "ShapeError", op),
            Refusal("padding of more than half the window", lambda: call(
                x, kernel_size=(2, 2), padding=(2, 0)), "ShapeError", f"{op}.*padding"),
            Refusal("an image without a batch", lambda: call(x[0], kernel_size=(2, 2)),
                    "ShapeError", f"{op}.*x"))


spec("max_pool2d", plans=_plans("max_pool2d", False, values=VALUES), make=_max, model=Exact(),
     random=_random(at=st.sampled_from(["", *VALUES])), refusals=_refused("max_pool2d"),
     policy="Outside is -inf and never wins; NaN counts as largest; of equal pixels the first.")
spec("max_pool2d_backward", plans=_plans("max_pool2d_backward", cotangent=True),
     make=_max_backward, model=Accumulate(), random=_random(),
     refusals=tuple(Refusal(f"an index {where}", lambda i=i: call(
         np.ones((1, 1, 2, 2)), np.array([[[[0, 1], [2, i]]]]), input_size=(3, 3)), "IndexError",
                            "max_pool2d_backward") for where, i in (
         ("behind the image", 9), ("before it", -1))),
     policy="The whole gradient goes to one pixel; windows that share it add up.")
spec("avg_pool2d", plans=_plans("avg_pool2d"), model=Accumulate(terms=_area), random=_random(),
     make=lambda d, x, **window: call(d.floats(x, -1, 3), **_attrs(**window)),
     adjoint=(Adjoint(0, "avg_pool2d_backward", lambda given, c: call(
         c, input_size=given.arrays[0].shape[2:], **given.attrs)),),
     refusals=_refused("avg_pool2d"),
     policy="Zeros outside are counted: the divisor is always KH KW.")
spec("avg_pool2d_backward", plans=_plans("avg_pool2d_backward", cotangent=True),
     make=_avg_backward, model=Accumulate(terms=_overlaps), random=_random(),
     adjoint=(Adjoint(0, "avg_pool2d", lambda given, c: call(
         c, **{k: v for k, v in given.attrs.items() if k != "input_size"})),),
     policy="Divided by KH KW over the border too; pixels that no window reaches get 0.")

# ------------------------------------------------------------------ adaptive


def _bins(x, size, **more):
    return {"x": list(x), "size": list(size), **more}


BINS = [_bins((2, 3, 6, 7), (2, 3)), _bins((1, 2, 5, 8), (3, 5)), _bins((2, 2, 6, 6), (3, 3))]
MORE = [_bins((2, 3, 7, 9), (1, 1)), _bins((1, 1, 3, 5), (4, 2)), _bins((1, 2, 4, 4), (4, 4)),
        _bins((1, 2, 2, 3), (5, 7)), _bins((1, 2, 1, 17), (1, 5)), _bins((1, 2, 17, 1), (5, 1))] + [
    _bins((1, 2, n, n + 1), (3, 2)) for n in (1, 2, 7, 8, 9, 16, 17, 33)] + [
    _bins((1, 3, n, 5), (1, 1)) for n in (1, 7, 8, 9, 33, 65)]
POWERS = [_bins((2, 3, 8, 4), (4, 2)), _bins((1, 2, 8, 8), (2, 8)), _bins((1, 2, 16, 8), (1, 1))]


def _bin_plans(cotangent):
    def plans(kind):
        own = {"empty": [_bins((0, 2, 4, 4), (2, 2)), _bins((2, 0, 4, 4), (1, 1))],
               "0d": [_bins((1, 1, 1, 1), (1, 1))], "exact": crossed(POWERS, values=("exact",)),
               "adjoint": crossed(POWERS, values=("exact",)),
               "large": [_bins((4, 16, 65, 67), (7, 7)), _bins((4, 64, 32, 32), (1, 1))],
               "threads": [_bins((4, 16, 65, 67), (7, 7)), _bins((4, 64, 32, 32), (1, 1))],
               "cotangent": crossed(BINS, cotangent=COTANGENTS) if cotangent else []}
        if kind == "special":  # a NaN outside a bin meets the reference's weight 0
            return crossed(BINS, special=("zero", "subnormal"))
        return [*(common(kind, MORE, BINS) or ()), *own.get(kind, ())]
    return plans


@st.composite
def _random_bins(draw):
    size = [draw(st.integers(1, 9)) for _ in "hw"]
    x = [draw(st.integers(1, most)) for most in (3, 3, 12, 12)]
    return _bins(x, size, layout=draw(layouts))


def _most(many, few):
    """How many terms one result adds up at most, and the roundings of their weights."""
    return float(np.prod([-(-m // f) + 1 for m, f in zip(many, few)])) + 4


def _binned(attr):
    """Not independent: the weight 1 / size is rounded once for a whole bin, and so the errors lean
    to one side.
    """
    return Accumulate(independent=False, terms=lambda arrays, attrs: _most(
        arrays[0].shape[2:], attrs[attr]))


spec("adaptive_avg_pool2d", plans=_bin_plans(False), random=_random_bins(),
     make=lambda d, x, size: call(d.floats(x, -1, 3), output_size=tuple(size)),
     model=_binned("output_size"),
     adjoint=(Adjoint(0, "adaptive_avg_pool2d_backward", lambda given, c: call(
         c, input_size=given.arrays[0].shape[2:])),),
     refusals=(Refusal("an image without pixels", lambda: call(np.ones((1, 1, 0, 3)),
                                                               output_size=(1, 1)), "ShapeError",
                       "adaptive_avg_pool2d"),),
     policy="Bins may overlap by one. What a NaN outside a bin does to it is not fixed.")
spec("adaptive_avg_pool2d_backward", plans=_bin_plans(True), random=_random_bins(),
     make=lambda d, x, size: call(d.grad([*x[:2], *size]), input_size=tuple(x[2:])),
     model=_binned("input_size"),
     adjoint=(Adjoint(0, "adaptive_avg_pool2d", lambda given, c: call(
         c, output_size=given.arrays[0].shape[2:])),),
     policy="Every grad divided by the size of its own bin.")

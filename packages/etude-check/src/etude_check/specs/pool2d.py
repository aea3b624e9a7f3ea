"""Pooling. Reference: etude/ops/pool2d.py.

Images of negative numbers show whether the border counts as 0 in a maximum. Images with few
different values show which of two equal pixels wins. Windows over the border show what a mean
divides by.
"""

import numpy as np
from hypothesis import strategies as st

from etude import TABLE
from etude_check.bounds.models import Accumulate, Exact
from etude_check.cases.case import prepared
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
TAIL += [_window((1, 2, 4, 128), (2, 2)), _window((1, 2, 4, 256), (2, 2)),
         _window((1, 128, 4, 8), (3, 3), (1, 1), (1, 1)),
         _window((128, 2, 4, 4), (2, 2))]
LARGE = [_window((8, 16, 65, 67), (3, 3), (2, 2), (1, 1)), _window((4, 32, 64, 64), (2, 2)),
         _window((1, 1, 300, 301), (2, 2))]
VALUES = ("below", "ties", "same", "empty")  # what a maximum is taken of

#: Windows that stick out behind the padding, along one axis and both; strides longer than windows,
#: which would begin behind the image, and begin inside it after all; sizes that leave no rest.
CEIL = [_window(*w, ceil_mode=True) for w in (
    ((1, 2, 5, 5), (2, 2)), ((2, 1, 7, 6), (2, 2)), ((2, 1, 6, 7), (2, 2)),
    ((1, 2, 7, 8), (3, 3), (2, 2)), ((2, 3, 8, 7), (3, 2), (2, 3), (1, 1)),
    ((1, 2, 6, 6), (2, 2), (3, 3)), ((1, 2, 5, 9), (2, 2), (4, 4)), ((1, 2, 4, 6), (2, 2)),
    ((1, 2, 5, 5), (3, 3), (2, 2), (1, 1)), ((1, 1, 1, 1), (2, 2), (2, 2), (1, 1)),
    ((1, 2, 6, 5), (2, 4), (2, 3), (1, 2)), ((1, 2, 5, 35), (3, 2), (2, 2), (0, 1)),
    ((1, 2, 6, 40), (4, 3), (3, 4), (2, 1)), ((1, 3, 17, 1), (3, 1), (4, 1), (1, 0)),
    ((1, 1, 3, 4), (3, 2), (4, 3)))]
#: Taps that lie apart. Squares keep their shape where the axes are swapped.
DILATED = [_window(*w, dilation=list(d)) for d, w in (
    ((2, 1), ((1, 2, 7, 7), (2, 2), (1, 1))), ((1, 2), ((1, 2, 7, 7), (3, 3), (1, 1), (1, 1))),
    ((2, 3), ((2, 2, 9, 9), (3, 2), (2, 1), (1, 1))), ((3, 3), ((1, 2, 8, 7), (2, 2))),
    ((2, 2), ((1, 2, 6, 40), (3, 3), (1, 1), (2, 2))), ((1, 3), ((1, 3, 5, 33), (2, 4), (2, 2))),
    ((4, 1), ((1, 2, 9, 6), (2, 3), (1, 1), (2, 1))), ((1, 2), ((1, 3, 1, 17), (1, 3))),
    ((2, 3), ((1, 2, 3, 4), (2, 2), (2, 2))), ((2, 2), ((1, 1, 2, 2), (3, 3), (1, 1), (2, 2))))]
DILATED += [{**p, "ceil_mode": True} for p in DILATED] + [
    _window((1, 2, 6, 9), (2, 2), (3, 3), dilation=[3, 2], ceil_mode=True)]
#: Lines longer than the blocks a kernel may cut them into.
WIDE = [_window((1, 2, 4, 530), (2, 3), (1, 1), (1, 1)),
        _window((1, 1, 5, 1100), (3, 3), (2, 2), (1, 1), ceil_mode=True)]
MAXIMA = [*CEIL, *DILATED, *WIDE, _window((1, 1, 4, 530), (2, 3), (1, 1), (1, 1), dilation=[1, 2])]
#: What a mean divides by, with and without windows that stick out.
DIVISORS = [*CEIL, *crossed([p for p in [*BASE, *TAIL[1:6], TAIL[8], TAIL[10], *CEIL]
                             if any(p["padding"]) or p.get("ceil_mode")],
                            count_include_pad=(False,)),
            *crossed([*BASE, TAIL[5], *CEIL[2:6]], divisor_override=(1, 4, 5, -2, 1000003)),
            {**CEIL[8], "count_include_pad": False, "divisor_override": 7},
            *WIDE, *crossed(WIDE, count_include_pad=(False,))]


def _whole(p):
    """Whether every divisor of the plan is a power of 2, so that integers stay exact."""
    by = p.get("divisor_override")
    if by is not None:
        return by in (1, -2, 4)
    return all(k in (1, 2) for k in p["kernel"])


WHOLE = [p for p in DIVISORS if _whole(p)]


def _plans(op, exact=True, cotangent=False, values=()):
    def plans(kind):
        own = {"empty": EMPTY, "0d": [_window((1, 1, 1, 1), (1, 1))], "large": LARGE,
               "threads": LARGE}
        more = DIVISORS if op.startswith("avg") else MAXIMA
        if values:
            own["tail"] = crossed([*BASE, *TAIL[2:6], TAIL[8], TAIL[-1]], at=values) + [
                *more, *crossed([CEIL[4], CEIL[9], *DILATED[:3], DILATED[-1]], at=values)]
        else:
            own["tail"] = more
        if exact:
            fours = [p for p in TAIL if np.prod(p["kernel"]) in (1, 2, 4, 8, 16)] + BASE[2:]
            whole = fours if op.startswith("avg") else [*BASE, *TAIL]
            more = WHOLE if op.startswith("avg") else MAXIMA
            own["exact"] = crossed([*whole, *more], values=("exact",))
            if op.startswith("avg"):
                own["adjoint"] = crossed([*fours, *WHOLE], values=("exact",))
        if cotangent:
            own["cotangent"] = crossed(BASE, cotangent=COTANGENTS)
        if kind == "special":
            names = ("nan", "inf", "zero", "subnormal", "signalling") + (
                ("huge",) if values else ()) + ("far",)
            return crossed([*BASE, TAIL[-1]], special=names) + crossed(
                more[3:5] if op.startswith("avg") else [CEIL[4], *DILATED[1:3]], special=names)
        return [*(common(kind, TAIL, BASE) or ()), *own.get(kind, ())]
    return plans


def _attrs(kernel, stride, padding, dilation=None, **more):
    apart = {} if dilation is None else {"dilation": tuple(dilation)}
    return {"kernel_size": tuple(kernel), "stride": stride and tuple(stride),
            "padding": tuple(padding), **apart, **more}


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


def _pooled(x, **window):
    """The shape of y, as the op's shape rule has it."""
    op = TABLE["avg_pool2d"]
    return op.check((np.empty(x),), prepared(op, _attrs(**window))).shape


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
def _random(draw, dilations=(1,), **more):
    kernel = [draw(st.integers(1, 4)) for _ in "hw"]
    apart = [draw(st.sampled_from(dilations)) for _ in kernel]
    wide = [d * (k - 1) + 1 for k, d in zip(kernel, apart)]
    # Taps that lie apart may have an image between them, which is refused.
    padding = [draw(st.integers(0, k // 2)) if d == 1 else 0 for k, d in zip(kernel, apart)]
    stride = draw(st.none() | st.lists(st.integers(1, 4), min_size=2, max_size=2))
    size = [max(k - 2 * p, 1) + draw(st.integers(0, 7)) for k, p in zip(wide, padding)]
    if apart != [1, 1]:
        more = {**more, "dilation": st.just(apart)}
    return _window([draw(st.integers(1, 3)), draw(st.integers(1, 3)), *size], kernel, stride,
                   padding, layout=draw(layouts), **{k: draw(v) for k, v in more.items()})


def _refused(op):
    x = np.ones((1, 2, 4, 4))
    return (Refusal("a window larger than the image", lambda: call(x, kernel_size=(5, 2)),
                    "ShapeError", op),
            Refusal("padding of more than half the window", lambda: call(
                x, kernel_size=(2, 2), padding=(2, 0)), "ShapeError", f"{op}.*padding"),
            Refusal("an image without a batch", lambda: call(x[0], kernel_size=(2, 2)),
                    "ShapeError", f"{op}.*x"),
            Refusal("a window larger than the image, although sizes are rounded up", lambda: call(
                x, kernel_size=(5, 2), ceil_mode=True), "ShapeError", op))


spec("max_pool2d", plans=_plans("max_pool2d", False, values=VALUES), make=_max, model=Exact(),
     random=_random(at=st.sampled_from(["", *VALUES]), dilations=(1, 1, 2, 3),
                    ceil_mode=st.booleans()),
     refusals=(*_refused("max_pool2d"),
               Refusal("dilation that does not fit", lambda: call(
                   np.ones((1, 1, 4, 4)), kernel_size=(2, 2), dilation=(1, 4)), "ShapeError",
                   "max_pool2d"),
               Refusal("taps on either side of the image", lambda: call(
                   np.ones((1, 1, 1, 5)), kernel_size=(2, 1), stride=(1, 1), padding=(1, 0),
                   dilation=(2, 1)), "ShapeError", "max_pool2d.*padding")))
spec("max_pool2d_backward", plans=_plans("max_pool2d_backward", cotangent=True),
     make=_max_backward, model=Accumulate(), random=_random(),
     refusals=tuple(Refusal(f"an index {where}", lambda i=i: call(
         np.ones((1, 1, 2, 2)), np.array([[[[0, 1], [2, i]]]]), input_size=(3, 3)), "IndexError",
                            "max_pool2d_backward") for where, i in (
         ("behind the image", 9), ("before it", -1))))
_MEANS = _random(ceil_mode=st.booleans(), count_include_pad=st.booleans(),
                 divisor_override=st.sampled_from([None, None, 1, 3, -2]))


def _bad_divisors(op, make):
    return tuple(Refusal(f"a divisor of {n}", lambda n=n: make(n), "ValueError",
                         f"{op}.*divisor_override") for n in (0, 1.5))


spec("avg_pool2d", plans=_plans("avg_pool2d"), model=Accumulate(terms=_area), random=_MEANS,
     make=lambda d, x, **window: call(d.floats(x, -1, 3), **_attrs(**window)),
     adjoint=(Adjoint(0, "avg_pool2d_backward", lambda given, c: call(
         c, input_size=given.arrays[0].shape[2:], **given.attrs)),),
     refusals=(*_refused("avg_pool2d"), *_bad_divisors("avg_pool2d", lambda n: call(
         np.ones((1, 1, 4, 4)), kernel_size=(2, 2), divisor_override=n))))
spec("avg_pool2d_backward", plans=_plans("avg_pool2d_backward", cotangent=True),
     make=_avg_backward, model=Accumulate(terms=_overlaps), random=_MEANS,
     refusals=_bad_divisors("avg_pool2d_backward", lambda n: call(
         np.ones((1, 1, 2, 2)), input_size=(4, 4), kernel_size=(2, 2), divisor_override=n)),
     adjoint=(Adjoint(0, "avg_pool2d", lambda given, c: call(
         c, **{k: v for k, v in given.attrs.items() if k != "input_size"})),))

# ------------------------------------------------------------------ adaptive


def _bins(x, size, **more):
    return {"x": list(x), "size": list(size), **more}


BINS = [_bins((2, 3, 6, 7), (2, 3)), _bins((1, 2, 5, 8), (3, 5)), _bins((2, 2, 6, 6), (3, 3))]
MORE = [_bins((2, 3, 7, 9), (1, 1)), _bins((1, 1, 3, 5), (4, 2)), _bins((1, 2, 4, 4), (4, 4)),
        _bins((1, 2, 2, 3), (5, 7)), _bins((1, 2, 1, 17), (1, 5)), _bins((1, 2, 17, 1), (5, 1))] + [
    _bins((1, 2, n, n + 1), (3, 2)) for n in (1, 2, 7, 8, 9, 16, 17, 33)] + [
    _bins((1, 3, n, 5), (1, 1)) for n in (1, 7, 8, 9, 33, 65)] + [
    _bins((1, 128, 4, 8), (2, 4)), _bins((2, 3, 128, 4), (64, 2)), _bins((2, 3, 4, 128), (2, 128)),
    _bins((128, 1, 4, 4), (1, 1))]
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
            return crossed(BINS, special=("zero", "subnormal", "far"))
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
                       "adaptive_avg_pool2d"),))
spec("adaptive_avg_pool2d_backward", plans=_bin_plans(True), random=_random_bins(),
     make=lambda d, x, size: call(d.grad([*x[:2], *size]), input_size=tuple(x[2:])),
     model=_binned("input_size"),
     adjoint=(Adjoint(0, "adaptive_avg_pool2d", lambda given, c: call(
         c, output_size=given.arrays[0].shape[2:])),))

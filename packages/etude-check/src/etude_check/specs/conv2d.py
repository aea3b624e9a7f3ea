"""conv2d and its two transposes. Reference: etude/ops/conv2d.py.

conv1d and conv_transpose call these ops, so images that are one pixel high, or have pixels that no
window reaches, matter as much as square ones. Stride, padding and dilation differ between the axes,
because a kernel that swaps them is right otherwise.
"""

import numpy as np
from hypothesis import strategies as st

from etude_check.bounds.models import Accumulate
from etude_check.cases.plans import COTANGENTS, common, crossed, layouts
from etude_check.cases.spec import Adjoint, Refusal, call, spec


def _layer(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, **more):
    return {"x": list(x), "w": list(w), "stride": list(stride), "padding": list(padding),
            "dilation": list(dilation), "groups": groups, **more}


BASE = [_layer((2, 3, 6, 7), (4, 3, 3, 2), (2, 1), (1, 0)),
        _layer((2, 4, 5, 8), (6, 2, 2, 3), (1, 2), (0, 2), (2, 1), 2),
        _layer((2, 3, 5, 5), (3, 3, 3, 3), padding=(1, 1))]  # squares: a swap keeps the shape

#: Each attribute alone and with others, along one axis and along both.
GEOMETRY = [
    _layer((1, 1, 3, 3), (1, 1, 2, 2)), _layer((2, 2, 4, 5), (3, 2, 2, 3)),
    _layer((1, 2, 7, 7), (2, 2, 3, 3), (2, 2)), _layer((1, 2, 7, 7), (2, 2, 3, 3), (1, 2)),
    _layer((1, 2, 7, 7), (2, 2, 3, 3), (3, 1)), _layer((1, 2, 5, 5), (2, 2, 3, 3), padding=(2, 2)),
    _layer((1, 2, 5, 5), (2, 2, 3, 3), padding=(0, 1)), _layer((1, 2, 5, 5), (2, 2, 3, 3), padding=(
        1, 0)), _layer((1, 2, 7, 7), (2, 2, 3, 3), dilation=(2, 2)),
    _layer((1, 2, 7, 7), (2, 2, 3, 3), dilation=(1, 3)),
    _layer((1, 2, 7, 7), (2, 2, 2, 3), (1, 1), (1, 2), (3, 1)),
    _layer((1, 1, 5, 6), (2, 1, 2, 3), (2, 3), (1, 2)),  # pixels that no window reaches
    _layer((1, 1, 4, 4), (1, 1, 1, 1), (3, 3)), _layer((2, 3, 8, 9), (4, 3, 3, 3), (3, 4)),
    _layer((1, 1, 2, 2), (1, 1, 3, 3), (1, 2), (1, 1)),  # a kernel larger than the image
    _layer((1, 1, 5, 4), (1, 1, 2, 2), padding=(0, 1), dilation=(2, 3)),
    _layer((1, 4, 3, 3), (6, 2, 2, 2), groups=2), _layer((2, 3, 4, 3), (3, 1, 2, 2), (2, 1), (1, 1),
                                                         (2, 1), 3),
    _layer((2, 5, 6, 6), (5, 1, 3, 3), padding=(1, 1), groups=5),  # depthwise
    _layer((1, 3, 6, 6), (6, 1, 3, 3), groups=3), _layer((1, 6, 4, 4), (4, 3, 1, 1), groups=2),
    _layer((2, 4, 5, 5), (4, 2, 3, 3), (2, 2), (1, 1), (1, 1), 2),
    _layer((2, 3, 1, 17), (4, 3, 1, 5), (1, 2), (0, 2)),  # conv1d
    _layer((2, 3, 1, 16), (4, 3, 1, 3), (1, 1), (0, 2), (1, 2)),
    _layer((2, 3, 17, 1), (4, 3, 5, 1), (2, 1), (2, 0)),
    _layer((3, 4, 6, 6), (5, 4, 1, 1)), _layer((3, 4, 6, 6), (5, 4, 1, 1), (2, 2)),
    _layer((2, 3, 5, 4), (7, 3, 5, 4)), _layer((2, 2, 4, 4), (2, 2, 2, 2), (2, 2)),
    _layer((1, 2, 9, 9), (2, 2, 5, 5), padding=(4, 4)),
]
TAIL = GEOMETRY + [_layer((1, 2, 4, n), (3, 2, 3, 3), padding=(1, 1))
                   for n in (1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 65)] + [
    _layer((2, c, 4, 5), (o, c, 3, 3), padding=(1, 1))
    for c, o in ((1, 8), (8, 1), (7, 9), (9, 7), (16, 17), (17, 16), (3, 33), (33, 3))] + [
    # many channels with everything else, deep and wide windows, batches that no block divides
    _layer((2, 16, 6, 7), (17, 16, 3, 3), (2, 2), (1, 1)),
    _layer((1, 9, 7, 6), (8, 9, 3, 3), (1, 2)),
    _layer((2, 17, 6, 6), (16, 17, 1, 1)), _layer((1, 16, 5, 6), (8, 16, 1, 1), (2, 2)),
    _layer((1, 16, 7, 8), (9, 16, 3, 3), padding=(2, 2), dilation=(2, 2)),
    _layer((1, 9, 6, 7), (16, 9, 3, 3)), _layer((1, 16, 6, 7), (8, 16, 3, 3), padding=(1, 0)),
    _layer((1, 8, 8, 9), (9, 8, 5, 5), padding=(2, 2)),
    _layer((1, 32, 5, 6), (16, 16, 3, 3), padding=(1, 1), groups=2),
    _layer((2, 16, 7, 6), (16, 1, 3, 3), (2, 2), (1, 1), groups=16),
    _layer((1, 9, 8, 8), (18, 1, 5, 5), (1, 1), (2, 2), groups=9),
    _layer((2, 3, 1, 40), (4, 3, 1, 3), (1, 1), (0, 8), (1, 8)),
    _layer((1, 2, 5, 45), (3, 2, 3, 3), (1, 2), (2, 2), (2, 2)),
    _layer((1, 2, 4, 50), (2, 2, 2, 3), (1, 3)),
    _layer((1, 2, 13, 14), (2, 2, 11, 11), (4, 4), (2, 2)),
    _layer((1, 1, 1, 200), (2, 1, 1, 80), (1, 16), (0, 40)),
    _layer((1, 2, 16, 17), (3, 2, 8, 8), (8, 8)),
    _layer((7, 3, 4, 5), (4, 3, 3, 3), padding=(1, 1)),
    _layer((17, 2, 4, 4), (3, 2, 3, 3), padding=(1, 1)),
    _layer((1, 2, 9, 9), (2, 2, 3, 3), (2, 2), (2, 2), (2, 2)),
    _layer((2, 2, 3, 3), (2, 2, 3, 3), padding=(6, 6), dilation=(6, 6)),
    _layer((2, 4, 9, 10), (6, 2, 3, 3), (2, 2), (1, 1), (2, 2), 2),
    # sizes that every block divides: channels, pixels, the batch
    _layer((1, 128, 4, 8), (128, 128, 1, 1)),
    _layer((1, 128, 3, 4), (128, 128, 3, 3), padding=(1, 1)),
    _layer((1, 2, 4, 128), (8, 2, 3, 3), padding=(1, 1)), _layer((128, 2, 4, 4), (4, 2, 2, 2)),
    _layer((1, 128, 4, 4), (128, 1, 3, 3), padding=(1, 1), groups=128),
    _layer((1, 1, 3, 130), (2, 1, 2, 128))]
#: Image, weight and result of one shape.
ALIKE = crossed([_layer((3, 3, 3, 3), (3, 3, 3, 3), padding=(1, 1))],
                together=("window", "turned", "packed"))
EMPTY = [_layer((0, 2, 3, 3), (2, 2, 2, 2)), _layer((0, 4, 3, 5), (2, 2, 2, 2), groups=2),
         _layer((2, 0, 3, 4), (3, 0, 2, 2))]  # without channels the bias remains
LARGE = [_layer((4, 16, 40, 41), (32, 16, 3, 3), padding=(1, 1)),
         _layer((8, 3, 61, 63), (16, 3, 7, 7), (2, 2), (3, 3)),
         _layer((2, 64, 33, 31), (64, 1, 3, 3), padding=(1, 1), groups=64),
         _layer((520, 2, 4, 5), (3, 2, 3, 3), padding=(1, 1))]


def _pixels(x, w, stride, padding, dilation):
    """OH and OW."""
    return [(n + 2 * p - e * (k - 1) - 1) // s + 1
            for n, k, s, p, e in zip(x[2:], w[2:], stride, padding, dilation)]


def _plans(first, cotangent=False):
    """``first``: plans for the forward op alone, which also takes a bias."""
    some = [{"bias": True}, {"bias": False}, {"bias": None}] if first else [{}]

    def with_bias(plans):
        return [{**p, **some[i % len(some)]} for i, p in enumerate(plans)]

    def plans(kind):
        base, tail = with_bias(BASE), with_bias(TAIL)
        if kind == "special":
            return crossed(base, special=("nan", "inf", "zero", "subnormal")) + crossed(
                base[:2], special=("signalling", "inf by 0", "far"))
        if kind == "exact":
            return crossed([*base, *tail], values=("exact",))
        if kind == "cotangent":
            return crossed(base, cotangent=COTANGENTS) if cotangent else []
        if kind == "adjoint":
            return [{**p, "values": "exact", **({"bias": False} if first else {})}
                    for p in BASE + GEOMETRY[10:24]]
        if kind == "repeat":  # a weight worth packing once among them
            return crossed(with_bias([BASE[0], _layer((1, 64, 4, 4), (130, 64, 3, 3))]),
                           round=(0, 1, 2))
        if kind == "layout":
            return [*(common(kind, tail, base) or ()), *with_bias(ALIKE)]
        own = {"empty": EMPTY, "0d": [_layer((1, 1, 1, 1), (1, 1, 1, 1))], "large": LARGE,
               "threads": LARGE[:2]}
        return common(kind, tail, base) or with_bias(own.get(kind, []))

    return plans


def _attrs(stride, padding, dilation, groups):
    return {"stride": tuple(stride), "padding": tuple(padding), "dilation": tuple(dilation),
            "groups": groups}


def _conv2d(d, x, w, bias, **geometry):
    n = w[0]
    x, w = d.floats(x, -1, 2), d.plain(w, -1, 2)
    rest = [d.plain([n])] if bias else [None] if bias is None else []
    return call(x, w, *rest, **_attrs(**geometry))


def _grad(d, x, w, stride, padding, dilation, groups):
    return d.grad([x[0], w[0], *_pixels(x, w, stride, padding, dilation)])


def _conv2d_input(d, x, w, **geometry):
    return call(_grad(d, x, w, **geometry), d.plain(w, -1, 2), input_size=tuple(x[2:]),
                **_attrs(**geometry))


def _conv2d_weight(d, x, w, **geometry):
    return call(_grad(d, x, w, **geometry), d.plain(x, -1, 2), kernel_size=tuple(w[2:]),
                **_attrs(**geometry))


@st.composite
def _random(draw, **more):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    c, o = draw(st.integers(1, 4)), groups * draw(st.integers(1, 3))
    kernel, stride, padding, dilation = (
        [draw(st.integers(low, high)) for _ in "hw"] for low, high in ((1, 3), (1, 3), (0, 2),
                                                                       (1, 2)))
    size = [max(1, e * (k - 1) + 1 - 2 * p) + draw(st.integers(0, 6))
            for k, p, e in zip(kernel, padding, dilation)]
    return _layer([draw(st.integers(1, 3)), c * groups, *size], [o, c, *kernel], stride, padding,
                  dilation, groups, layout=draw(layouts), **{k: draw(v) for k, v in more.items()})


def _without(attrs, *names):
    return {k: v for k, v in attrs.items() if k not in names}


def _refusals():
    x, w, g = np.ones((2, 4, 5, 5)), np.ones((6, 4, 3, 3)), np.ones((2, 6, 3, 3))
    return {
        "conv2d": (
            Refusal("a weight for other channels", lambda: call(x, w[:, :3]), "ShapeError",
                    "conv2d.*weight"),
            Refusal("groups that do not divide", lambda: call(x, np.ones((6, 1, 3, 3)), groups=4),
                    "ShapeError", "conv2d.*groups"),
            Refusal("a kernel larger than the image", lambda: call(x, np.ones((6, 4, 6, 3))),
                    "ShapeError", "conv2d.*kernel"),
            Refusal("dilation that does not fit", lambda: call(x, w, dilation=(3, 1)),
                    "ShapeError", "conv2d"),
            Refusal("an image without a batch", lambda: call(x[0], w), "ShapeError", "conv2d.*x"),
            Refusal("a bias of another length", lambda: call(x, w, np.ones(4)), "ShapeError",
                    "conv2d.*bias")),
        "conv2d_input": (
            Refusal("a grad of another size", lambda: call(g, w, input_size=(6, 5)), "ShapeError",
                    "conv2d_input.*grad"),
            Refusal("a grad of other channels", lambda: call(g[:, :4], w, input_size=(5, 5)),
                    "ShapeError", "conv2d_input")),
        "conv2d_weight": (
            Refusal("a grad of another size", lambda: call(g, x, kernel_size=(2, 3)), "ShapeError",
                    "conv2d_weight.*grad"),
            Refusal("another batch", lambda: call(g[:1], x, kernel_size=(3, 3)), "ShapeError",
                    "conv2d_weight")),
    }


_REFUSALS = _refusals()

spec("conv2d", plans=_plans(True), make=_conv2d, model=Accumulate(),
     random=_random(bias=st.sampled_from([True, False, None])), refusals=_REFUSALS["conv2d"],
     adjoint=(
         Adjoint(0, "conv2d_input", lambda given, c: call(
             c, given.arrays[1], input_size=given.arrays[0].shape[2:], **given.attrs)),
         Adjoint(1, "conv2d_weight", lambda given, c: call(
             c, given.arrays[0], kernel_size=given.arrays[1].shape[2:], **given.attrs))))
spec("conv2d_input", plans=_plans(False, True), make=_conv2d_input, model=Accumulate(),
     random=_random(), refusals=_REFUSALS["conv2d_input"],
     adjoint=(Adjoint(0, "conv2d", lambda given, c: call(
         c, given.arrays[1], **_without(given.attrs, "input_size"))),))
spec("conv2d_weight", plans=_plans(False, True), make=_conv2d_weight, model=Accumulate(),
     random=_random(), refusals=_REFUSALS["conv2d_weight"],
     adjoint=(Adjoint(0, "conv2d", lambda given, c: call(
         given.arrays[1], c, **_without(given.attrs, "kernel_size"))),))

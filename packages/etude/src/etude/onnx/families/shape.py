"""Shapes: views, joins, splits, borders, and the integers that say how large."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.shapes import axis, broadcast, int64
from etude.core.tensor import Tensor
from etude.onnx.graph import Node
from etude.onnx.table import Refused, differs, reads, writes
from etude.onnx.values import axes_of, dtype_numbered, ints, like, number, one_of

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX


reads("Identity")(lambda node, x: x)


@reads("Shape")
def _shape(node: Node, x: Tensor) -> Any:
    start, end = node.get("start", 0), node.get("end")
    return like(x, x.shape[slice(start, end)], int64)


reads("Size")(lambda node, x: like(x, x.numel(), int64))


@reads("Reshape", since=5)
def _reshape(node: Node, x: Tensor, shape: Tensor) -> Any:
    """0 keeps a size unless ``allowzero``; -1 takes what is left."""
    sizes = ints(shape)
    if not node.get("allowzero", 0):
        sizes = [_kept(x, i) if n == 0 else n for i, n in enumerate(sizes)]
    return x.reshape(sizes)


def _kept(x: Tensor, dim: int) -> int:
    if dim >= x.ndim:
        raise Refused(f"the size 0 at axis {dim} would keep a size of {list(x.shape)}, which has "
                      f"no such axis")
    return x.shape[dim]


@reads("Flatten")
def _flatten(node: Node, x: Tensor) -> Any:
    first = node.get("axis", 1)
    d = x.ndim if first == x.ndim else axis("Flatten", first, x.ndim)
    return x.reshape(math.prod(x.shape[:d]), math.prod(x.shape[d:]))


@reads("Transpose")
def _transpose(node: Node, x: Tensor) -> Any:
    return x.permute(node.get("perm", tuple(range(x.ndim))[::-1]))


def _squeezed(node: Node, x: Tensor, given: Any) -> Any:
    ones = [d for d, n in enumerate(x.shape) if n == 1]
    dims = ones if given is None else axes_of(node, x, given)
    for d in dims:
        if x.shape[d] != 1:
            raise ShapeError(f"Squeeze: axis {d} of {list(x.shape)} is not 1")
    return x.reshape([n for d, n in enumerate(x.shape) if d not in dims])


def _unsqueezed(node: Node, x: Tensor, given: Any) -> Any:
    numbers = ints(given) if isinstance(given, Tensor) else given
    ndim = x.ndim + len(numbers)
    dims = sorted(axis("Unsqueeze", d, ndim) for d in numbers)
    if len(set(dims)) != len(dims):
        raise ShapeError(f"Unsqueeze: axes {list(numbers)} name one axis twice")
    sizes = list(x.shape)
    for d in dims:
        sizes.insert(d, 1)
    return x.reshape(sizes)


for _op, _fn in {"Squeeze": _squeezed, "Unsqueeze": _unsqueezed}.items():
    reads(_op, to=12)(lambda node, x, _fn=_fn: _fn(node, x, node.get("axes")))
    reads(_op, since=13)(lambda node, x, axes=None, _fn=_fn: _fn(node, x, axes))


@reads("Concat", since=4)
def _concat(node: Node, *xs: Tensor) -> Any:
    return F.cat(xs, node.get("axis"))


def _cut(node: Node, x: Tensor, sizes: Any) -> Any:
    d, parts = axis("Split", node.get("axis", 0), x.ndim), node.get("num_outputs")
    if sizes is None:  # equal parts, of which the last may be smaller
        count, n = parts or len(node.outputs), x.shape[d]
        size = -(-n // count)
        if n % count and parts is None:
            raise ShapeError(f"Split: {n} is not divided by {count}")
        sizes = [max(min(size, n - at * size), 0) for at in range(count)]
    return F.split(x, sizes, d)


@reads("Split", since=13)
def _split(node: Node, x: Tensor, sizes: Tensor | None = None) -> Any:
    return _cut(node, x, None if sizes is None else ints(sizes))


@reads("Split", since=2, to=12)
def _split_by_attribute(node: Node, x: Tensor) -> Any:
    return _cut(node, x, node.get("split"))


def _sliced(node: Node, x: Tensor, starts: Any, ends: Any, axes: Any, steps: Any) -> Any:
    """Python's slices: what lies outside is left out, and a step may go backwards."""
    dims = range(len(starts)) if axes is None else axes_of(node, x, axes)
    wanted = [slice(None)] * x.ndim
    for d, start, end, step in zip(dims, starts, ends, steps, strict=True):
        if step < 0:
            places = range(x.shape[d])[slice(start, end, step)]
            x = F.index_select(x, d, like(x, list(places), int64))
        else:
            wanted[d] = slice(start, end, step)
    return x[tuple(wanted)] if x.ndim else x


@reads("Slice", since=10)
def _slice(node: Node, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None,
           steps: Tensor | None = None) -> Any:
    begin = ints(starts)
    by = [1] * len(begin) if steps is None else ints(steps)
    return _sliced(node, x, begin, ints(ends), axes, by)


@reads("Slice", to=9)
def _slice_by_attributes(node: Node, x: Tensor) -> Any:
    starts, ends = node.get("starts"), node.get("ends")
    return _sliced(node, x, starts, ends, node.get("axes"), [1] * len(starts))


@reads("Expand", since=8)
def _expand(node: Node, x: Tensor, shape: Tensor) -> Any:
    return x.expand(broadcast("Expand", x.shape, tuple(ints(shape))))


@reads("Tile", since=6)
def _tile(node: Node, x: Tensor, repeats: Tensor) -> Any:
    times = ints(repeats)
    if len(times) != x.ndim or min(times, default=0) < 0:
        raise Refused(f"repeats {times} of a tensor of {x.ndim} dimensions")
    apart = [n for size in x.shape for n in (1, size)]
    wide = [n for pair in zip(times, x.shape, strict=True) for n in pair]
    return x.reshape(apart).expand(wide).reshape([t * n for t, n in zip(times, x.shape,
                                                                        strict=True)])


@reads("ConstantOfShape", since=9)
def _constant_of_shape(node: Node, shape: Tensor) -> Any:
    value = node.get("value")
    one = np.zeros(1, np.float32) if value is None else value.reshape(-1)
    return like(shape, np.full(ints(shape), one[0]), one.dtype)


@reads("Range", since=11)
def _range(node: Node, start: Tensor, limit: Tensor, delta: Tensor) -> Any:
    """start + i delta, as ONNX writes it: not a running sum."""
    node.get("stash_type")  # of float16, which is refused
    first, last, step = number(start), number(limit), number(delta)
    if not step:
        raise Refused("a step of 0, with which the limit is never reached")
    count = max(math.ceil((last - first) / step), 0)
    return like(start, np.arange(count)) * delta.reshape(()) + start.reshape(())


@reads("EyeLike", since=9)
def _eye_like(node: Node, x: Tensor) -> Any:
    kind = node.get("dtype")
    dtype = x.dtype if kind is None else dtype_numbered(kind)
    rows, columns = x.shape
    return like(x, np.eye(rows, columns, node.get("k", 0)), dtype)


# ---- windows of a signal, which follow from their length


def _window(node: Node, size: Tensor, shares: tuple[float, ...]) -> Any:
    """The sum of shares[k] cos(2 pi k i / N), with N one less unless the window is periodic."""
    count = int(number(size))
    turns = count if node.get("periodic", 1) else count - 1
    angle = np.arange(count) * (2 * np.pi / max(turns, 1))
    values = sum(share * np.cos(k * angle) for k, share in enumerate(shares))
    return like(size, values, dtype_numbered(node.get("output_datatype", 1)))


for _op, _shares in {"HannWindow": (0.5, -0.5), "HammingWindow": (25 / 46, -21 / 46),
                     "BlackmanWindow": (0.42, -0.5, 0.08)}.items():
    reads(_op, since=17)(lambda node, size, _shares=_shares: _window(node, size, _shares))


# ---- borders


@reads("Pad", since=11)
def _pad(node: Node, x: Tensor, pads: Tensor, value: Tensor | None = None,
         axes: Tensor | None = None) -> Any:
    dims = tuple(range(x.ndim)) if axes is None else axes_of(node, x, axes)
    return _padded(node, x, ints(pads), dims, number(value, 0))


@reads("Pad", since=2, to=10)
def _pad_by_attributes(node: Node, x: Tensor) -> Any:
    return _padded(node, x, node.get("pads"), tuple(range(x.ndim)), node.get("value", 0.0))


_BORDERS = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _padded(node: Node, x: Tensor, pads: Any, dims: tuple[int, ...], value: Any) -> Any:
    """pads: what goes before each axis, then what goes behind each; a negative number cuts."""
    mode, n = one_of(node, "mode", "constant", *_BORDERS), len(dims)
    around = {d: (pads[i], pads[n + i]) for i, d in enumerate(dims)}
    flat = [around.get(d, (0, 0)) for d in reversed(range(x.ndim))]
    amounts = [m for pair in flat for m in pair]
    if mode != "constant":
        return F.pad(x, amounts, _BORDERS[mode])
    return F.pad(x, amounts, value=value)


differs("Pad", "a negative number cuts off; the axes come first to last, befores then afters",
        "a negative number cuts off; pairs, from the last axis on",
        "handled: the numbers are put in order")
differs("Pad with a border taken from inside", "as wide as one likes in `wrap`, narrower than the "
        "axis in `reflect`", "narrower than the axis", "refused: a border that is wider than what "
        "is inside")


@reads("CenterCropPad", since=18)
def _center_crop_pad(node: Node, x: Tensor, shape: Tensor) -> Any:
    """Cut or filled with 0 to a shape, evenly on both sides; what is odd goes behind."""
    given = node.get("axes")
    dims = range(x.ndim) if given is None else axes_of(node, x, given)
    around = {}
    for d, wanted in zip(dims, ints(shape), strict=True):
        more = wanted - x.shape[d]
        before = more // 2 if more >= 0 else -(-more // 2)
        around[d] = (before, more - before)
    return F.pad(x, [m for d in reversed(range(x.ndim)) for m in around.get(d, (0, 0))])


# ---- blocks of pixels, and sequences


@reads("SpaceToDepth")
def _space_to_depth(node: Node, x: Tensor) -> Any:
    size, mode = node.get("blocksize"), one_of(node, "mode", "DCR", "DCR", "CRD")
    n, c, h, w = x.shape
    tiles = x.reshape(n, c, h // size, size, w // size, size)
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return tiles.permute(order).reshape(n, c * size * size, h // size, w // size)


@reads("DepthToSpace")
def _depth_to_space(node: Node, x: Tensor) -> Any:
    size, mode = node.get("blocksize"), one_of(node, "mode", "DCR", "DCR", "CRD")
    n, c, h, w = x.shape
    if mode == "DCR":
        tiles = x.reshape(n, size, size, c // size**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        tiles = x.reshape(n, c // size**2, size, size, h, w).permute(0, 1, 4, 2, 5, 3)
    return tiles.reshape(n, c // size**2, h * size, w * size)


@reads("ReverseSequence", since=10)
def _reverse_sequence(node: Node, x: Tensor, lengths: Tensor) -> Any:
    """The first so many steps of each sequence backwards; the rest stays."""
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    order = [time, batch, *[d for d in range(x.ndim) if d not in (time, batch)]]
    y, sizes = x.permute(order), ints(lengths)
    steps = np.arange(y.shape[0])[:, None]
    places = np.where(steps < np.array(sizes), np.array(sizes) - 1 - steps, steps)
    flat = y.reshape(y.shape[0] * y.shape[1], *y.shape[2:])
    rows = like(x, places * y.shape[1] + np.arange(y.shape[1]), int64).reshape(-1)
    return F.index_select(flat, 0, rows).reshape(y.shape).permute(
        [order.index(d) for d in range(x.ndim)])


# ------------------------------------------------------------------ To ONNX


@writes("reshape")
def reshape(call: Call, build: Build) -> str:
    return build.reshape(call.inputs[0], call.out[0])


@writes("permute")
def permute(call: Call, build: Build) -> str:
    n = len(call.shapes[0])
    if n < 2:
        return str(call.inputs[0])
    return build.node("Transpose", call.inputs[0], perm=[d % n for d in call.attrs["dims"]])


@writes("expand")
def expand(call: Call, build: Build) -> str:
    return build.node("Expand", call.inputs[0], build.shape(call.out[0]))


@writes("slice")
def slice_(call: Call, build: Build) -> str:
    """Ranges first, in one Slice; then single places, from the last axis; then new axes."""
    x, index = call.inputs[0], call.attrs["index"]
    taken = [entry for entry in index if entry is not None]
    ranges = [(d, entry) for d, entry in enumerate(taken)
              if isinstance(entry, tuple) and entry != (None, None, None)]
    if ranges:
        x = _ranges(x, ranges, build)
    for d, entry in reversed(list(enumerate(taken))):
        if not isinstance(entry, tuple):
            place = build.squeeze(build.shape([entry]), 0)
            x = build.node("Gather", x, place, axis=d)
    kept = [entry for entry in index if entry is None or isinstance(entry, tuple)]
    new = [d for d, entry in enumerate(kept) if entry is None]
    return build.unsqueeze(x, *new) if new else x


def _ranges(x: str, ranges: list[tuple[int, Any]], build: Build) -> str:
    """Slice's bounds are Python's, but for None, which is the end where a step begins or stops."""
    from etude.onnx.build import FIRST, LAST

    starts, ends, steps = [], [], []
    for _, (start, stop, step) in ranges:
        step = 1 if step is None else step
        starts.append(start if start is not None else 0 if step > 0 else LAST)
        ends.append(stop if stop is not None else LAST if step > 0 else FIRST)
        steps.append(step)
    return build.node("Slice", x, build.shape(starts), build.shape(ends),
                      build.ints(*[d for d, _ in ranges]), build.shape(steps))


@writes("split")
def split(call: Call, build: Build) -> list[str]:
    sizes = call.attrs["sizes"]
    return build.several("Split", call.inputs[0], build.shape(sizes), outputs=len(sizes),
                      axis=call.axis(call.attrs["dim"]))


@writes("flip")
def flip(call: Call, build: Build) -> str:
    axes = call.axes(call.attrs["dims"])
    return _ranges(call.inputs[0], [(d, (None, None, -1)) for d in axes], build) if axes else (
        call.inputs[0])


@writes("contiguous")
def contiguous(call: Call, build: Build) -> str:
    return str(call.inputs[0])  # a copy; values have no memory


@writes("cat")
def cat(call: Call, build: Build) -> str:
    return build.node("Concat", *call.inputs, axis=call.axis(call.attrs["dim"]))


@writes("stack")
def stack(call: Call, build: Build) -> str:
    axis = call.attrs["dim"] % len(call.out[0])
    return build.node("Concat", *[build.unsqueeze(x, axis) for x in call.inputs], axis=axis)


@writes("pad")
def pad(call: Call, build: Build) -> str:
    (x,), flat, n = call.inputs, call.attrs["padding"], len(call.shapes[0])
    pairs = [(0, 0)] * (n - len(flat) // 2) + [
        (flat[i], flat[i + 1]) for i in range(len(flat) - 2, -1, -2)]
    if not any(before or after for before, after in pairs):
        return str(x)
    amounts = build.shape([before for before, _ in pairs] + [after for _, after in pairs])
    return build.node("Pad", x, amounts, build.constant(call.attrs["value"], call.dtype))


@writes("full")
def full(call: Call, build: Build) -> str:
    value = build.constant(call.attrs["value"], call.attrs["dtype"])
    return build.node("Expand", value, build.shape(call.out[0]))

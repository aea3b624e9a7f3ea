"""Shapes: views, joins, splits, borders, and the integers that say how large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etude.onnx.table import writes

if TYPE_CHECKING:
    from etude.onnx.build import Build, Call

# ------------------------------------------------------------------ From ONNX












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
        x = _cut(x, ranges, build)
    for d, entry in reversed(list(enumerate(taken))):
        if not isinstance(entry, tuple):
            place = build.squeeze(build.shape([entry]), 0)
            x = build.node("Gather", x, place, axis=d)
    kept = [entry for entry in index if entry is None or isinstance(entry, tuple)]
    new = [d for d, entry in enumerate(kept) if entry is None]
    return build.unsqueeze(x, *new) if new else x


def _cut(x: str, ranges: list[tuple[int, Any]], build: Build) -> str:
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
    return build.node("Split", call.inputs[0], build.shape(sizes), outputs=len(sizes),
                      axis=call.axis(call.attrs["dim"]))


@writes("flip")
def flip(call: Call, build: Build) -> str:
    axes = call.axes(call.attrs["dims"])
    return _cut(call.inputs[0], [(d, (None, None, -1)) for d in axes], build) if axes else (
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

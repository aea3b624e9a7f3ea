"""A C file for layers in a row: ``Sequential``, as ``mlp`` and ``lenet`` are. Template:
classifier.c.

``LAYERS`` has a function for each layer that a C file may have; it writes the call, and follows the
shapes and the bound (``bound.py``). What is not in it is refused by its path and name.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etude import functional as F
from etude import nn
from etude.c_file.bound import Range
from etude.c_file.source import Array, CFileError, Source, comment, quoted
from etude.core.tensor import Tensor
from etude.nn.module import Module


def refuse(path: str, layer: Module,
           why: str = "is not among the layers that a C file may have") -> CFileError:
    known = ", ".join(sorted(kind.__name__ for kind in LAYERS))
    return CFileError(f"the layer {path or 'that is the model'}, {layer!r}, {why}. Known are "
                      f"{known}")


@dataclass
class Walk:
    """The way of one sample through the layers: where it is now, and what it may be."""

    source: Source
    shape: tuple[int, ...]
    range: Range
    at: str = "x"  # the array that holds it
    between: set[str] = field(default_factory=set)  # such arrays, but for x
    largest: int = 1
    lines: list[str] = field(default_factory=list)
    store: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    widest: int = 1  # outputs of a linear layer

    def weight(self, path: str, array: Array) -> str:
        """Store an array; returns the name that it has in C."""
        path = path.lstrip(".")  # of a model that is one layer
        name = "w_" + re.sub(r"[^A-Za-z0-9_]", "_", path)
        if any(f" {name}[" in line for line in self.store):  # "a.b" and "a_b"
            name += f"_{len(self.store)}"
        self.store.append(f"static number {name}[{array.size}];")
        self.loads.append(f"    take({name}, {array.size});")
        self.source.weight(path, array)
        return name

    def into(self, layer: str, arguments: str, shape: tuple[int, ...]) -> None:
        """A layer that reads one array and writes another. ``arguments`` begin after y and x."""
        to = "b" if self.at == "a" else "a"
        self.lines.append(self.source.call(layer, f"{to}, {self.at}, {arguments}"))
        self.at, self.shape = to, shape
        self.between.add(to)
        self.largest = max(self.largest, math.prod(shape))

    def within(self, layer: str, *arguments: object) -> None:
        """A layer that changes numbers in their place."""
        if self.at == "x":  # the input stays as it is
            n = math.prod(self.shape)
            self.lines.append(f"    memcpy(a, x, {n} * sizeof *a);")
            self.at, self.largest = "a", max(self.largest, n)
            self.between.add("a")
        self.lines.append(self.source.call(layer, ", ".join(map(str, (self.at, *arguments)))))

    def visit(self, path: str, layer: Module) -> None:
        step = LAYERS.get(type(layer))
        if step is None:
            raise refuse(path, layer)
        here = len(self.lines)
        step(self, path, layer)
        if step is not _row:
            about = comment(f"{path}: {layer!r}".lstrip(": "))
            self.lines.insert(here, f"    /* {about}, {' x '.join(map(str, self.shape))} */")


def array(t: Any) -> Array:
    return np.asarray(t.detach().numpy())


def zeros_without(bias: Any, n: int) -> Array:
    return np.zeros(n) if bias is None else array(bias)


def _row(walk: Walk, path: str, layer: Any) -> None:
    for name, inner in layer.named_children():
        walk.visit(f"{path}.{name}" if path else name, inner)


def _nothing(walk: Walk, path: str, layer: Any) -> None:
    """Dropout, which in evaluation does nothing, and Identity."""


def _flatten(walk: Walk, path: str, layer: Any) -> None:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise refuse(path, layer, "keeps some of the axes, and in a C file all become one")
    walk.shape = (math.prod(walk.shape),)
    walk.range = walk.range.shaped(lambda a: a.reshape(-1))


def _linear(walk: Walk, path: str, layer: Any) -> None:
    weight = array(layer.weight)
    m, n = weight.shape
    if walk.shape != (n,):
        raise refuse(path, layer, f"reads {n} numbers, and here come {list(walk.shape)}")
    bias = zeros_without(layer.bias, m)
    w, b = walk.weight(f"{path}.weight", weight.T), walk.weight(f"{path}.bias", bias)
    walk.into("linear", f"{w}, {b}, {n}, {m}", (m,))
    walk.widest = max(walk.widest, m)
    walk.range = walk.range.affine(lambda x, w: w @ x, weight.astype(float), bias, n)


def _window(walk: Walk, kernel: Any, stride: Any, padding: Any) -> tuple[str, tuple[int, int]]:
    """The Window of C, and (OH, OW)."""
    channels, *image = walk.shape
    out = [(n + 2 * p - k) // s + 1
           for n, k, s, p in zip(image, kernel, stride, padding, strict=True)]
    sizes = {"C": channels}
    for letters, pair in (("H W", image), ("KH KW", kernel), ("SH SW", stride), ("PH PW", padding),
                          ("OH OW", out)):
        sizes |= dict(zip(letters.split(), pair, strict=True))
    walk.source.used.add("Window")
    fields = ", ".join(f".{k}={v}" for k, v in sizes.items() if v)
    text = textwrap.indent(textwrap.fill(fields, 66), " " * 8).replace("=", " = ")
    return f"(Window){{\n{text}}}", (out[0], out[1])


def _image(walk: Walk, path: str, layer: Any) -> None:
    if len(walk.shape) != 3:
        raise refuse(path, layer, f"reads an image (C, H, W), and here come {list(walk.shape)}")


def _conv2d(walk: Walk, path: str, layer: Any) -> None:
    _image(walk, path, layer)
    plain = layer.groups == 1 and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
    if not plain or layer.padding == "same":
        raise refuse(path, layer, "has groups, dilation, a padding of another kind than zeros, or "
                                  "one that is not a number")
    weight = array(layer.weight)
    outputs, kernel = weight.shape[0], weight.shape[2:]
    padding = (0, 0) if layer.padding == "valid" else layer.padding
    bias = zeros_without(layer.bias, outputs)
    window, out = _window(walk, kernel, layer.stride, padding)
    w, b = walk.weight(f"{path}.weight", weight), walk.weight(f"{path}.bias", bias)
    walk.into("conv2d", f"{w}, {b}, {outputs}, {window}", (outputs, *out))
    walk.range = walk.range.affine(
        lambda x, w: F.conv2d(Tensor(x[None]), Tensor(w), stride=layer.stride,
                              padding=padding).numpy()[0],
        weight.astype(float), bias.astype(float)[:, None, None], math.prod(weight.shape[1:]))


def _max_pool2d(walk: Walk, path: str, layer: Any) -> None:
    _image(walk, path, layer)
    if layer.dilation != (1, 1) or layer.ceil_mode or layer.return_indices:
        raise refuse(path, layer, "has dilation, ceil_mode or return_indices")
    window, out = _window(walk, layer.kernel_size, layer.stride, layer.padding)
    walk.into("max_pool2d", window, (walk.shape[0], *out))
    walk.range = walk.range.shaped(lambda a: layer(Tensor(a[None])).numpy()[0])


def _avg_pool2d(walk: Walk, path: str, layer: Any) -> None:
    _image(walk, path, layer)
    plain = not layer.ceil_mode and layer.divisor_override is None
    if not plain or (layer.padding != (0, 0) and not layer.count_include_pad):
        raise refuse(path, layer, "has ceil_mode, divisor_override, or leaves out its padding")
    window, out = _window(walk, layer.kernel_size, layer.stride, layer.padding)
    walk.into("avg_pool2d", window, (walk.shape[0], *out))
    walk.range = walk.range.shaped(lambda a: layer(Tensor(a[None])).numpy()[0]).rising(
        lambda a: a, 1, 2)


def _adaptive_avg_pool2d(walk: Walk, path: str, layer: Any) -> None:
    _image(walk, path, layer)
    image = walk.shape[1:]
    out = [n or size for n, size in zip(layer.output_size, image, strict=True)]
    if any(size % n for size, n in zip(image, out, strict=True)):
        raise refuse(path, layer, f"cuts an image of {image} into bins of several sizes")
    kernel = tuple(size // n for size, n in zip(image, out, strict=True))
    _avg_pool2d(walk, path, nn.AvgPool2d(kernel))  # type: ignore[arg-type]


def _batch_norm(walk: Walk, path: str, layer: Any) -> None:
    if not layer.track_running_stats or len(walk.shape) not in (1, 3):
        raise refuse(path, layer, "has no running statistics, or follows a sequence")
    channels, per = walk.shape[0], math.prod(walk.shape[1:])
    if layer.num_features != channels:
        raise refuse(path, layer, f"reads {layer.num_features} channels, and here come {channels}")
    mean, var = array(layer.running_mean), array(layer.running_var)
    weight = np.ones(channels) if layer.weight is None else array(layer.weight)
    bias = zeros_without(layer.bias, channels)
    names = [walk.weight(f"{path}.{name}", a) for name, a in (
        ("running_mean", mean), ("running_var", var), ("weight", weight), ("bias", bias))]
    walk.within("batch_norm", *names, channels, per, f"{layer.eps!r}")
    column = (channels, *[1] * (len(walk.shape) - 1))
    scale = (weight / np.sqrt(var.astype(float) + layer.eps)).reshape(column)
    shift = bias.reshape(column) - mean.reshape(column) * scale
    size = np.abs(mean.reshape(column) * scale) + np.abs(bias.reshape(column))  # of what cancels
    found = walk.range.affine(lambda x, w: w * x, scale, shift, 8)
    walk.range = Range(found.low, found.high, found.etude + 8 * found.u * size,
                       found.c + 8 * found.u * size, found.u)


def _by_number(name: str, of: Callable[[Range, Any], Range], *settings: str
               ) -> Callable[[Walk, str, Any], None]:
    """A layer that changes each number by itself."""

    def step(walk: Walk, path: str, layer: Any) -> None:
        given = [float(getattr(layer, setting)) for setting in settings]
        if any(value < 0 for value in given):
            raise refuse(path, layer, "falls where x < 0")
        walk.within(name, math.prod(walk.shape), *map(repr, given))
        walk.range = of(walk.range, layer)

    return step


def _gelu(walk: Walk, path: str, layer: Any) -> None:
    name = "gelu_tanh" if layer.approximate == "tanh" else "gelu"
    _by_number(name, lambda r, _: r.gate(-0.17, 1.13, 24))(walk, path, layer)


def _elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


#: The layers that a C file may have.
LAYERS: dict[type[Module], Callable[[Walk, str, Any], None]] = {
    nn.Sequential: _row, nn.Dropout: _nothing, nn.Identity: _nothing, nn.Flatten: _flatten,
    nn.Linear: _linear, nn.Conv2d: _conv2d, nn.MaxPool2d: _max_pool2d, nn.AvgPool2d: _avg_pool2d,
    nn.AdaptiveAvgPool2d: _adaptive_avg_pool2d, nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm, nn.GELU: _gelu,
    nn.ReLU: _by_number("relu", lambda r, _: r.rising(lambda x: np.maximum(x, 0), 1, 0)),
    nn.Tanh: _by_number("tanh", lambda r, _: r.rising(np.tanh, 1, 8)),
    nn.Sigmoid: _by_number("sigmoid", lambda r, _: r.rising(
        lambda x: 1 / (1 + np.exp(-x)), 0.25, 16)),
    nn.SiLU: _by_number("silu", lambda r, _: r.gate(-0.28, 1.1, 24)),
    nn.LeakyReLU: _by_number("leaky_relu", lambda r, layer: r.rising(
        lambda x: np.where(x > 0, x, x * layer.negative_slope),
        max(1, layer.negative_slope), 2), "negative_slope"),
    nn.ELU: _by_number("elu", lambda r, layer: r.rising(
        lambda x: _elu(x, layer.alpha), max(1, layer.alpha), 16), "alpha"),
}


#: What --help says of pictures, in C, where the model reads one channel.
PICTURE = r""",\n"
                 "or as a grey PGM picture, where white is 1, black 0, and with --invert\n"
                 "the other way round"""


def classifier(model: Module, shape: tuple[int, ...], names: list[str] | None, first: str,
               program: str) -> tuple[str, float]:
    """(the C file, its bound) for a model that reads a sample of ``shape`` and gives logits.
    ``first`` is what the file says about the model, with @BOUND@ in it. CFileError for a model
    that a C file cannot have.
    """
    weights = list(model.parameters())
    if not weights:
        stored = any(isinstance(m, nn.LinearInt8) for m in model.modules())
        raise CFileError(f"the model, a {type(model).__name__}, has "
                         + ("its weights in int8, and a C file has float weights alone" if stored
                            else "no weights; give one that was trained"))
    source = Source(np.dtype(weights[0].dtype))
    walk = Walk(source, shape, Range.of_input(shape, source.dtype))
    with np.errstate(over="ignore"):  # e^-x of a range that no input reaches
        walk.visit("", model)
    if len(walk.shape) != 1:
        raise CFileError(f"the model gives {list(walk.shape)} for a sample, and a C file prints "
                         f"one row of numbers; end it with Flatten")
    outputs = walk.shape[0]
    names = names if names is not None and len(names) == outputs else [
        str(i) for i in range(outputs)]
    inputs = math.prod(shape)
    image = len(shape) == 3 and shape[0] == 1
    grey = image or len(shape) == 1  # a picture of one channel fits
    lines = [f"    static number {name}[LARGEST];" for name in sorted(walk.between)]
    lines += [*walk.lines, f"    memcpy(y, {walk.at}, OUTPUTS * sizeof *y);"]
    if len(shape) == 1:
        misfit, words = "(long long)width * height != INPUTS", f"{inputs} numbers"
    else:
        misfit = f"width != {shape[2]} || height != {shape[1]}" if image else "INPUTS"
        words = " x ".join(map(str, shape[1:] if image else shape)) + " numbers"
    sizes = {"INPUTS": (inputs, words), "OUTPUTS": (outputs, "classes, a logit for each"),
             "LARGEST": (walk.largest, "numbers between two layers, at most"),
             "WIDEST": (walk.widest, "outputs of a linear layer, at most")}
    bound = walk.range.apart()
    text = source.text(first.replace("@BOUND@", f"{bound:.1e}"), program, sizes, "classifier.c", {
        "STORE": "\n".join(walk.store), "LOAD": "\n".join(walk.loads),
        "FORWARD": "\n".join(lines), "SHAPE": words, "MISFIT": misfit,
        "PICTURE": PICTURE if grey else "",
        "NAMES": ", ".join(quoted(name.encode()) for name in names)})
    return text, bound

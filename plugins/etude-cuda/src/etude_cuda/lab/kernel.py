"""Runs one kernel of a file: writes the program around it, and draws what it is not given.

    drive = Drive.of(Path("softmax.cu"), "softmax", grid=(32,), block=(128,), given={"n": "512"})
    drive.program()          # the text of a main() that includes softmax.cu and launches softmax

What a parameter gets by default follows from its type, its name and the launch:

    int n, N, size, rows ...     the number of threads (along x or y for a width or a height; in a
                                 launch of one dimension a block's threads are the columns)
    other whole numbers          1
    float numbers                drawn
    const pointers               drawn: normal, or whole numbers below the length
    other pointers               drawn as well; zeros if the name says output (out, sum, hist) and
                                 there are others

An array has as many elements as the sizes say: n of them, or rows * cols, or a thread's each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from pathlib import Path

from etude.core.errors import did_you_mean
from etude_cuda.lab.build import LabError, no_kernel
from etude_cuda.lab.source import Kernel, Parameter

FILLS = ("normal", "uniform", "range", "zeros", "ones")
THREADS = 1024  # of a block, at most

_SIZE = re.compile(r"(?:n|m|k|len|length|size|count|total|num|numel|elements|width|height|w|h|rows?"
                   r"|cols?|columns?|nx|ny|nz|num_?\w+|n_?\w+|\w+_?(?:size|len|length|count))",
                   re.IGNORECASE)
_NO_SIZE = re.compile(r"(?:block|tile)_?size|stride|offset|pitch|seed|step", re.IGNORECASE)
_ACROSS = re.compile(r"(?:n_?|num_?)?(?:cols?|columns?|width|dim|hidden|features)", re.IGNORECASE)
_DOWN = re.compile(r"(?:height|h|rows?|n_?rows|num_?rows|ny|m)", re.IGNORECASE)
_DEEP = re.compile(r"(?:depth|nz|d)", re.IGNORECASE)
_OUTPUT = re.compile(r"(?:d_?)?(?:out\w*|res|result\w*|dst|dest\w*|sum\w*|hist\w*|bins?|counts?"
                     r"|counter\w*|total|c|y|output\w*)(?:_d|_out)?", re.IGNORECASE)
_WHOLE = re.compile(r"\b(?:int|long|short|unsigned|signed|char|size_t|u?int\d+_t)\b")


@dataclass(frozen=True)
class Value:
    """What one parameter is given: an array of ``count`` elements, or a number (count 0)."""

    parameter: Parameter
    count: int
    fill: str  # normal, uniform, range, or constant
    value: float

    def __str__(self) -> str:
        if not self.count:
            return f"{self.parameter.name} = " + ("drawn" if self.fill != "constant"
                                                  else f"{self.value:g}")
        how = {"constant": f"{self.value:g} everywhere", "range": "0, 1, 2, ..."}
        return (f"{self.parameter.name}: {self.count:,} elements, "
                f"{how.get(self.fill, f'drawn ({self.fill})')}")

    def spec(self) -> str:
        """As drive.h takes it."""
        return (f'{{"{self.parameter.name}", {self.count}u, ::lab::drive::{self.fill}, '
                f"{self.value!r}}}")


@dataclass(frozen=True)
class Drive:
    """One launch of one kernel."""

    file: Path
    kernel: Kernel
    name: str  # with template arguments and namespaces, as C++ calls it
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared: int
    values: tuple[Value, ...]

    @staticmethod
    def of(file: Path, kernels: Sequence[Kernel], name: str, grid: Sequence[int],
           block: Sequence[int], shared: int = 0, given: Mapping[str, str] | None = None) -> Drive:
        """LabError for a kernel that is not there, or an argument that it does not have."""
        kernel = find_kernel(file, kernels, name)
        arguments = name[name.index("<"):] if "<" in name else ""
        whole = "::".join([*kernel.scope, kernel.name]) + arguments
        three = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        if prod(three[1]) > THREADS:
            raise LabError(f"--block {','.join(map(str, block))} is {prod(three[1]):,} threads, "
                           f"and a block has at most {THREADS:,}. More of them go into the grid.")
        values = values_of(kernel, *three, given or {})
        return Drive(file, kernel, whole, *three, shared, tuple(values))

    @property
    def blocks(self) -> int:
        """Blocks of the launch."""
        return prod(self.grid)

    def launch(self) -> str:
        """As one would write it."""
        def dim(sizes: tuple[int, int, int]) -> str:
            used = [*sizes]
            while len(used) > 1 and used[-1] == 1:
                used.pop()
            return str(used[0]) if len(used) == 1 else f"dim3({', '.join(map(str, used))})"

        shared = f", {self.shared}" if self.shared else ""
        return f"{self.name}<<<{dim(self.grid)}, {dim(self.block)}{shared}>>>"

    def program(self) -> str:
        """The text of the program. Its arguments: where the results go, the seed, the grid."""
        specs = ", ".join(v.spec() for v in self.values) or '{"", 0u, ::lab::drive::normal, 0}'
        label = json.dumps(self.name)
        block = ", ".join(map(str, self.block))
        # The program is told at the kernel's line, which is the reader's own.
        main = (
            f"int main(int, char **words) {{ dim3 grid(atoi(words[3]), atoi(words[4]), "
            f"atoi(words[5])), block({block}); return ::lab::drive::run(&{self.name}, lab_specs, "
            f"strtoull(words[2], nullptr, 10), words[1], [&](auto... x) {{ "
            f"::lab::Launch({label}, __FILE__, __LINE__, grid, block, {self.shared})("
            f"[&](auto &...lab_a) LAB_QUIET {{ {self.name}(lab_a...); }}, x...); }}); }}")
        return (f"#define main lab_main_of_the_file\n"
                f"#include {json.dumps(str(self.file.absolute()))}\n"
                f"#undef main\n"
                f'#include "lab/drive.h"\n'
                f"static const ::lab::drive::Spec lab_specs[] = {{{specs}}};\n"
                f"#line {self.kernel.line} {json.dumps(self.kernel.file)}\n"
                f"{main}\n")


def find_kernel(file: Path, kernels: Sequence[Kernel], name: str) -> Kernel:
    """The kernel that a name such as ``k``, ``ns::k`` or ``k<float, 16>`` means."""
    plain = name.partition("<")[0].strip()
    found = [k for k in kernels if k.name == plain.rpartition("::")[2]]
    if not found:
        if not kernels:
            raise LabError(no_kernel(file))
        listed = "\n".join(f"    {k.line} | {k}" for k in kernels)
        hint = did_you_mean(plain, [k.name for k in kernels])
        raise LabError(f"{file} has no kernel called {plain!r}{hint} It has\n{listed}")
    kernel = found[0]
    if kernel.template and "<" not in name:
        raise LabError(f"{kernel.file}:{kernel.line}: {plain} is a template over "
                       f"<{kernel.template}>; say which one is meant, as in --kernel "
                       f"'{plain}<{_example(kernel.template)}>'.")
    return kernel


def _example(template: str) -> str:
    """Arguments that might fit: ``typename T, int N`` gives ``float, 16``."""
    parts = []
    for part in template.split(","):
        kind = "float" if part.strip().startswith(("typename", "class")) else "16"
        parts.append("true" if "bool" in part else kind)
    return ", ".join(parts)


# ------------------------------------------------------------------ what the parameters get


def values_of(kernel: Kernel, grid: tuple[int, ...], block: tuple[int, ...],
              given: Mapping[str, str]) -> list[Value]:
    """A value for each parameter, from what was given, or by default."""
    names = [p.name for p in kernel.parameters]
    for name in given:
        if name not in names:
            raise LabError(f"{kernel.name} has no parameter {name!r}"
                           f"{did_you_mean(name, names)} It is {kernel}.")
    threads = [g * b for g, b in zip(grid, block, strict=True)]
    sizes = [p.name for p in kernel.parameters if _is_size(p)]
    numbers: dict[str, float] = {}
    for p in kernel.parameters:
        if p.name in given and "*" not in p.type:
            numbers[p.name] = _number(p.name, given[p.name], numbers)
            if _WHOLE.search(p.type) and not numbers[p.name].is_integer():
                raise LabError(f"--arg {p.name}={given[p.name]}: {p.type} {p.name} takes a whole "
                               f"number.")
        elif _is_size(p):
            numbers[p.name] = _default_size(p.name, threads, block[0], sizes)
    elements = _elements({n: int(numbers[n]) for n in sizes}, threads, grid[0])
    outputs = [p for p in kernel.parameters if _is_output(p)]
    if len(outputs) == sum("*" in p.type for p in kernel.parameters):
        outputs = []  # all there is: they are read as well
    values = []
    for p in kernel.parameters:
        if "*" in p.type:
            values.append(_array(p, given.get(p.name), elements, numbers, p in outputs))
        elif p.name in numbers:
            values.append(Value(p, 0, "constant", numbers[p.name]))
        elif _WHOLE.search(p.type) or p.type == "bool":
            values.append(Value(p, 0, "constant", 1.0))
        else:
            values.append(Value(p, 0, "normal", 0.0))
    return values


def _is_size(p: Parameter) -> bool:
    return bool("*" not in p.type and _WHOLE.search(p.type) and _SIZE.fullmatch(p.name)
                and not _NO_SIZE.search(p.name))


def _default_size(name: str, threads: Sequence[int], block: int, sizes: Sequence[str]) -> int:
    if threads[1] == threads[2] == 1:  # rows of a matrix are most often blocks
        rows = _DOWN.fullmatch(name) and any(_ACROSS.fullmatch(n) for n in sizes)
        if rows or _ACROSS.fullmatch(name):
            return threads[0] // block if rows else block
        return threads[0]
    if _DEEP.fullmatch(name):
        return threads[2]
    return threads[1] if _DOWN.fullmatch(name) else threads[0]


def _elements(named: Mapping[str, int], threads: Sequence[int], blocks: int) -> int:
    """Of an array whose length nobody gave: n; n * n for a grid of two dimensions; columns for each
    block; of several sizes the largest product of two (or of three, in three dimensions).
    """
    sizes = list(named.values())
    dimensions = 1 + (threads[1] > 1) + (threads[2] > 1)
    if not sizes:
        return prod(threads)
    if len(sizes) == 1:
        row = dimensions == 1 and _ACROSS.fullmatch(next(iter(named)))
        return sizes[0] * blocks if row else sizes[0] ** dimensions
    return max(map(prod, combinations(sizes, min(len(sizes), max(2, dimensions)))))


def _is_output(p: Parameter) -> bool:
    return "*" in p.type and "const" not in p.type and bool(_OUTPUT.fullmatch(p.name))


def _array(p: Parameter, text: str | None, elements: int, numbers: Mapping[str, float],
           output: bool) -> Value:
    if text is None:
        return Value(p, elements, *(("constant", 0.0) if output else ("normal", 0.0)))
    fill, _, size = text.rpartition(":")
    if not fill and (text in FILLS or re.fullmatch(r"-?\d*\.\d+", text)):
        fill, size = text, ""
    count = int(_number(p.name, size, numbers)) if size else elements
    if count < 1:
        raise LabError(f"--arg {p.name}={text}: an array has at least one element.")
    if fill in ("zeros", "ones"):
        return Value(p, count, "constant", float(fill == "ones"))
    if not fill and output:
        return Value(p, count, "constant", 0.0)
    if fill in ("", *FILLS):
        return Value(p, count, fill or "normal", 0.0)
    try:
        return Value(p, count, "constant", float(fill))
    except ValueError:
        raise LabError(f"--arg {p.name}={text}: an array is KIND:SIZE, where KIND is "
                       f"{', '.join(FILLS)} or a number{did_you_mean(fill, FILLS)}") from None


def _number(name: str, text: str, numbers: Mapping[str, float]) -> float:
    """A number, a parameter given before, or a product of these: ``4*n``."""
    total = 1.0
    for factor in text.split("*"):
        word = factor.strip()
        try:
            total *= numbers[word] if word in numbers else (
                int(word, 16) if re.match("[+-]?0x", word, re.IGNORECASE) else float(word))
        except ValueError:
            raise LabError(f"--arg {name}={text}: {word!r} is no number, and no parameter with a "
                           f"number.") from None
    return total


# ------------------------------------------------------------------ results


@dataclass(frozen=True)
class Result:
    """What became of an array."""

    name: str
    count: int
    width: int  # numbers in an element: 4 of a float4
    const: bool
    changed: int
    first: tuple[str, ...]
    min: str
    max: str
    mean: str
    digest: str

    def __str__(self) -> str:
        if self.const or not self.changed:
            note = "never written: it is const" if self.const else "nothing changed"
            return f"{self.name}: {note}"
        dots = ", ..." if self.count * self.width > len(self.first) else ""
        return (f"{self.name}: {self.changed:,} of {self.count * self.width:,} changed; "
                f"min {self.min}, max {self.max}, mean {self.mean}; "
                f"[{', '.join(self.first)}{dots}]  digest {self.digest}")


def results_of(path: Path) -> list[Result]:
    """What the driver wrote; nothing if it did not come so far."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [Result(**(row | {"first": tuple(row["first"])})) for row in rows]

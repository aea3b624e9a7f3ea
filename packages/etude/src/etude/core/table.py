"""The op table: what an op is, and the decorator that enters one.

An op is a pure function on arrays: arrays first, attributes by keyword, an array or a tuple
returned, nothing it was given changed. Its family file in ``ops/`` states five things together:
the reference (NumPy, written to be read), the shape rule, the gradient rule, the cost, and the
conventions (what becomes of NaN, ties and the like).
Everything else -- backends, Tensor methods, op cards, docs pages, tests -- reads them from
``TABLE``. How a call reaches a column is in ``columns.py``; nothing here dispatches.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from etude.core.conventions import Convention, read
from etude.core.errors import DTypeError, ShapeError, did_you_mean
from etude.core.given import plain
from etude.core.layout import Layout
from etude.core.shapes import DOMAINS as DOMAINS  # the table's users look for it here
from etude.core.shapes import STORED, Spec, pair, spec_of

Rule = Callable[..., Any]

#: The layout of a class of ops, where a row states none: it holds for every array.
LAYOUTS = {"map": "... -> ...", "rows": "... -> ...", "equal": "... -> ...",
           "reduce": "... -> *R", "argreduce": "... -> *R int64", "loss": "... -> *L",
           "binary": "~Z -> *Z", "ternary": "~Z -> *Z", "compare": "~Z -> *Z bool"}

#: What the numbers are that a kernel of this class takes, where a row does not say.
KERNELS = {"map": "n = ..., a = 0, b = 0", "map_bool": "n = ...", "equal": "n = ..., a = 0",
           "reduce": "outer n inner = x along dim", "argreduce": "outer n inner = x along dim",
           "rows": "rows cols = x along dim", "rows_backward": "rows cols = grad along dim",
           "loss": "n = ...", "adamw": "n = ...", "triangle": "batch = ..."}

#: Classes whose results may be written over an input: they read an element before they write the
#: one in its place. Of other ops the row says so (``Op.alias``).
IN_PLACE = ("map", "equal", "binary", "ternary", "select")

#: PyTorch's name of a parameter -> the name that formulas have for it, in every op.
NAMES = {"input": "x", "other": "y"}

#: Parameters of PyTorch that no op has: what they may be, and what to do otherwise.
ASIDE = {"inplace": (False, "an op changes nothing it is given; write x = relu(x)"),
         "out": (None, "an op returns memory of its own; write y = f(x), or y.copy_(f(x))"),
         "sparse_grad": (False, "gradients are dense")}

#: Attributes of these types are as columns see them; most are, and pay nothing more.
PLAIN = frozenset({bool, int, float, str, type(None)})

TABLE: dict[str, Op] = {}

#: Called with each op that is entered, by those who keep what they made of the table's ops.
ENTERED: list[Callable[[Op], object]] = []


@dataclass(eq=False)
class Op:
    """One row of the table.

    ``arrays`` and ``attrs`` are read off the reference's signature: parameters before the star
    are arrays (``None`` as default, or ``nullable``, marks an optional one), the others
    attributes.
    """

    name: str
    family: str  # the file it lives in, and the name of its C source, test and spec
    cls: str  # its class: the function type of etude.h that its kernel has, or view, create
    reference: Rule
    shape: Any  # a Layout, or a function of specs and attributes
    arrays: tuple[str, ...]
    optional: frozenset[str]  # arrays that may be None
    required: int  # how many arrays a call must at least give
    variadic: bool  # takes any number of arrays: cat(*xs, dim=0)
    attrs: dict[str, Any]  # name -> default; inspect.Parameter.empty when there is none
    domain: str  # the dtypes it takes: float, number or any
    fixed: dict[str, np.dtype[Any] | None]  # not promoted: array -> its only dtype; None: several
    order: tuple[str, ...]  # PyTorch's order of the parameters
    also: dict[str, str]  # PyTorch's name of a parameter -> its name here
    prepare: Rule | None  # normalises attributes as users write them
    cost: int | str | Rule  # FLOPs: of each element, in sizes of the layout, or by a function
    outputs: tuple[str, ...]  # ("*ys",) means a tuple of any length, all of it shown
    kernel: str  # the numbers its kernel takes, as far as names alone do not tell
    saves: tuple[str, ...]  # what its gradient rule receives: "x", "y", "x.shape", "x.dtype"
    shown: int = 1  # how many outputs become Tensors; only the first has a gradient
    alias: dict[str, str] = field(default_factory=dict)  # output -> input it may be written over
    choices: dict[str, tuple[str, ...]] = field(default_factory=dict)  # attributes that are words
    internal: bool = False  # a backward or an optimiser step: not part of the public functions
    rule: Rule | None = None
    composite_rule: Rule | None = None
    written: ClassVar[int] = 0  # nobody writes what an op computed: see ``Tensor.base``
    _stated: list[str] = field(default_factory=list, repr=False)  # texts of ``conventions``
    _specs: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __call__(self, *arrays: Any, **attrs: Any) -> Any:
        """Run the reference on arrays, after the shape rule. No dispatch, no gradient."""
        attrs = self.taken(attrs)
        self.check(arrays, attrs)
        return as_arrays(self.reference(*arrays, **attrs))

    def taken(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Attributes as users write them, in the form that columns see. Changes ``attrs``."""
        for key, value in attrs.items():
            if type(value) not in PLAIN:
                attrs[key] = plain(self.name, key, value)
        return attrs if self.prepare is None else self.prepare(attrs)

    def gradient(self, rule: Rule) -> Rule:
        """State the gradient: ``rule(F, grad, *saved, needs, **attrs)``, one for each array.

        A function, or this as its decorator. ``needs`` says of each array whether it is asked.
        """
        self.rule = rule
        return rule

    def composite(self, rule: Rule) -> Rule:
        """Decorator: the op's definition in primitives, ``rule(F, *arrays, **attrs)``."""
        self.composite_rule = rule
        return rule

    def convention(self, text: str) -> None:
        """State what the op gives of NaN, infinities, ties, empty axes and the like: a line for
        each, "softmax([nan, 0]) -> [nan, nan]  # why", as ``conventions.py`` reads them.
        """
        self._stated.append(text)
        self.__dict__.pop("conventions", None)

    @cached_property
    def conventions(self) -> tuple[Convention, ...]:
        """What ``convention`` was told. Raises ValueError for a line that cannot be read."""
        return tuple(line for text in self._stated for line in read(self.name, text))

    def check(self, arrays: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """The shape rule: Spec (or a tuple of them) of what this call returns.

        Answers are remembered by shapes, dtypes and attributes. Raises ShapeError, DTypeError,
        AxisError, or TypeError for a call that does not fit the signature.
        """
        key = (*[(a.shape, a.dtype) if hasattr(a, "shape") else type(a) for a in arrays],
               *map(type, attrs.values()), *attrs.items())  # True equals 1, and is no axis
        try:
            return self._specs[key]
        except KeyError:
            pass
        except TypeError:  # an attribute given as a list
            attrs = {k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()}
            key = (*key[: len(arrays)], *map(type, attrs.values()), *attrs.items())
        self._check_signature(arrays, attrs)
        specs = [spec_of(a) for a in arrays]
        for arg, spec in zip(self.arrays, specs, strict=False):
            only = self.fixed.get(arg)
            if only is not None and isinstance(spec, Spec) and spec.dtype != only:
                how = "etude.nn.quantize_weight makes one" if only in STORED else \
                    "Convert it with .to(dtype)"
                raise DTypeError(f"{self.name}: {arg} must be {only.name}, got {spec}. {how}")
        answer = self.shape(*specs, **{**self.attrs, **attrs})
        self._no_bools(attrs)
        if len(self._specs) >= 4096:  # shapes that vary without end must not fill the memory
            self._specs.clear()
        self._specs[key] = answer
        return answer

    def _check_signature(self, arrays: tuple[Any, ...], attrs: dict[str, Any]) -> None:
        most = len(arrays) if self.variadic else len(self.arrays)
        if not self.required <= len(arrays) <= most:
            raise TypeError(f"{self.name} takes arrays ({', '.join(self.arrays)}), "
                            f"got {len(arrays)} of them")
        for arg, a in zip(self.arrays, arrays, strict=False):
            if a is None and arg not in self.optional:
                raise TypeError(f"{self.name}: {arg} is required, got None")
        for key, value in attrs.items():
            if key not in self.attrs:
                takes = ", ".join(self.attrs) or "none"
                if NUMPY.get(key) in self.attrs:
                    raise TypeError(f"{self.name}: {key} is called {NUMPY[key]} here, as in "
                                    f"PyTorch; write {NUMPY[key]}={value!r}")
                raise TypeError(f"{self.name} has no attribute {key!r}; it takes: {takes}")
            if key in self.choices and value not in self.choices[key]:
                words = ", ".join(map(repr, self.choices[key]))
                raise ValueError(f"{self.name}: {key} must be one of {words}, got {value!r}")
            if wanted := _unlike(value, self.attrs[key]) if key not in IN_RULES else "":
                raise TypeError(f"{self.name}: {key} must be {wanted}, got {value!r}")
        for key, default in self.attrs.items():
            if default is inspect.Parameter.empty and key not in attrs:
                raise TypeError(f"{self.name} needs the attribute {key!r}")

    def arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]
                  ) -> tuple[list[Any], dict[str, Any]]:
        """A call in PyTorch's order and by PyTorch's names or these, as arrays and attributes."""
        if len(args) > len(self.order):
            raise TypeError(f"{self.signature} takes {len(self.order)} arguments, got {len(args)}")
        given = dict(zip(self.order, args, strict=False))
        for name, value in kwargs.items():
            if name in ASIDE and name not in self.attrs:
                usual, why = ASIDE[name]
                if value is not usual:
                    raise TypeError(f"{self.name}: {name} is not in Etude: {why}")
                continue
            own = self.also.get(name, name)
            if own in given:
                raise TypeError(f"{self.name}: {name} given twice")
            given[own] = value
        return [given.pop(name, None) for name in self.arrays], given

    def _no_bools(self, attrs: dict[str, Any]) -> None:
        """TypeError for a bool where the default is a number, if the shape rule let it pass; an
        op on bools may be given one as a value, such as that of ``pad``.
        """
        numbers = (int,) if self.domain == "any" else (int, float)
        for key, value in attrs.items():
            if isinstance(value, bool) and type(self.attrs[key]) in numbers:
                raise TypeError(f"{self.name}: {key} must be a number, and a bool is none; "
                                f"got {value!r}")

    def flops(self, *arrays: Any, **attrs: Any) -> int:
        """Floating-point operations of this call; a transcendental counts as one."""
        given = {**self.attrs, **attrs}
        if callable(self.cost):
            return int(self.cost(*arrays, **given))
        if isinstance(self.cost, str):
            return int(self.shape.count(self.cost, [spec_of(a) for a in arrays], given))
        return self.cost and self.cost * max(s.size for s in self._specs_of(arrays, attrs))

    def bytes(self, *arrays: Any, **attrs: Any) -> int:
        """Bytes that must move at least: every input read once, every output written once."""
        return sum(s.nbytes for s in self._specs_of(arrays, attrs))

    def _specs_of(self, arrays: tuple[Any, ...], attrs: dict[str, Any]) -> list[Spec]:
        """Of everything that goes into this call, and comes out of it."""
        answer = self.check(arrays, attrs)
        outputs = [answer] if isinstance(answer, Spec) else list(answer)
        return [s for s in (*map(spec_of, arrays), *outputs) if isinstance(s, Spec)]

    @cached_property
    def many(self) -> bool:
        """Whether it returns a tuple of any length, all of it Tensors with gradients."""
        return self.outputs[0].startswith("*")

    @cached_property
    def saved_from(self) -> list[tuple[str, str, bool, int]]:
        """``saves`` as a tape reads it: name, what of it ("" for all), whether it is an input,
        and its place among the inputs or the results.
        """
        found = []
        for entry in self.saves:
            name, _, field = entry.partition(".")
            is_input = name in self.arrays
            place = (self.arrays if is_input else self.outputs).index(name)
            found.append((name, field, is_input, place))
        return found

    @property
    def signature(self) -> str:
        """The signature in PyTorch's order, ``softmax(x, dim=-1)``; that of the public function,
        unless that is written out by hand (``functional.signature`` knows).
        """
        star = "*" if self.variadic else ""
        words = []
        for name in self.order:
            if name in self.arrays:
                words.append(star + name + ("=None" if name in self.optional else ""))
            elif self.attrs[name] is inspect.Parameter.empty:
                words.append(name)
            else:
                words.append(f"{name}={self.attrs[name]!r}")
        return f"{self.name}({', '.join(words)})"


def op(cls: str, *, shape: str | Rule = "", sizes: Rule | None = None,
       flops: int | str | Rule = 0, domain: str = "float", outputs: str = "y", shown: int = 1,
       saves: str = "", kernel: str = "", alias: dict[str, str] | None = None,
       choices: dict[str, tuple[str, ...]] | None = None, pairs: dict[str, int] | None = None,
       prepare: Rule | None = None, order: str = "", also: str = "", nullable: str = "",
       ieee: bool = False, internal: bool = False) -> Callable[[Rule], Op]:
    """Enter the decorated reference into TABLE. Where several names are given they stand in one
    text, "x weight".

    cls: the class of the op. It is the function type of etude.h that its kernel has ("map",
        "rows", "conv2d"), or "view" for another shape over the same memory, or "create".
    shape: a layout, such as "x: ... K, weight: N K -> ... N" (see ``layout.py``), or a function
        of specs and attributes that returns specs. Left out, it is that of the class.
    sizes: what a layout cannot say: ``sizes(op, ...)`` is given the sizes, arrays and attributes
        that its parameters name, refuses what it must and returns the sizes that no array has.
    flops: the cost in floating-point operations: a number for each element, a product of sizes
        of the layout, "2 ... K N", or a function of arrays and attributes.
    domain: the dtypes it takes: "float", "number" (float or int64) or "any".
    outputs: the names of the results; "*ys" is a tuple of any length.
    shown: how many of them become Tensors. Only the first has a gradient.
    saves: what the gradient rule receives: "x", "y", "x.shape", "x.dtype".
    kernel: the numbers that its kernel in C takes, where they are no sizes of the layout and no
        attributes by name: "SH SW = stride, planes = N C" (see ``backends/native/numbers.py``).
    alias: result -> the array over which a column may write it.
    choices: attribute -> the words it may be.
    pairs: attributes for height and width, one integer or two -> the least that each may be.
    prepare: a function that turns attributes as users write them into those that columns see.
    order: PyTorch's order of the parameters, where it is not arrays first.
    also: PyTorch's names of parameters, "exponent=y", besides "input=x" and, where there are two
        operands, "other=y".
    nullable: arrays that may be None, besides those whose default is None.
    ieee: infinities and NaN are results like others, of which NumPy need not warn.
    internal: a backward op or an optimiser step: not part of the public functions.

    Raises ValueError if an op of that name is there already, unless both are defined in
    ``__main__``: the cell of a notebook that enters an op may run again, and replaces it. Nor
    does it guess the shape of a class that it does not know.
    """
    if not shape and cls not in LAYOUTS:
        raise ValueError(f"@op({cls!r}): this class has no shape of its own"
                         f"{did_you_mean(cls, LAYOUTS)} Those that have are {', '.join(LAYOUTS)}; "
                         f"any other states it: shape=\"... -> ...\"")

    def enter(reference: Rule) -> Op:
        name = reference.__name__
        if ieee:
            reference = np.errstate(divide="ignore", invalid="ignore", over="ignore")(reference)
        if name in TABLE and not (
                TABLE[name].reference.__module__ == reference.__module__ == "__main__"):
            raise ValueError(f"two ops are called {name!r}: {TABLE[name].family}.py has one. Take "
                             f"another name; only an op of your own that a notebook or a script "
                             f"defines is replaced where it is defined again")
        parameters = inspect.signature(reference).parameters.values()
        positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        attrs = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        arrays = tuple(p.name for p in positional)
        rule = shape if callable(shape) else Layout(name, shape or LAYOUTS[cls], arrays, domain,
                                                    sizes)
        TABLE[name] = entry = Op(
            name=name,
            family=reference.__module__.rsplit(".", 1)[-1],
            cls=cls,
            reference=reference,
            shape=rule,
            arrays=arrays,
            optional=frozenset(nullable.split()) | {p.name for p in positional
                                                    if p.default is None},
            required=len([p for p in positional if p.default is not None]),
            variadic=any(p.kind is p.VAR_POSITIONAL for p in positional),
            attrs=attrs,
            domain=domain,
            fixed=getattr(rule, "fixed", {}),
            order=tuple(order.split()) or (*arrays, *attrs),
            also=NAMES | dict(pair.split("=") for pair in also.split()),
            prepare=_paired(name, pairs, prepare) if pairs else prepare,
            cost=flops,
            outputs=tuple(outputs.split()),
            shown=shown,
            kernel=kernel or KERNELS.get(cls, ""),
            saves=tuple(saves.split()),
            alias=alias or {},
            choices=choices or {},
            internal=internal,
        )
        entry.__doc__ = reference.__doc__
        for told in ENTERED:
            told(entry)
        return entry

    return enter


#: NumPy's names of attributes -> PyTorch's, which are Etude's.
NUMPY = {"axis": "dim", "keepdims": "keepdim"}

#: Attributes of which the shape rules speak, with errors of their own.
IN_RULES = ("dim", "groups", "stride", "padding", "dilation", "padding_idx")


def _unlike(value: Any, default: Any) -> str:
    """What an attribute should be, by its default, if ``value`` is of another kind; else "".

    Kernels get numbers: what is none would be one thing in Python and another in C.
    """
    if type(default) is bool:
        return "" if type(value) is bool else "True or False"
    if type(default) is int:
        return "" if isinstance(value, int) else "an integer"
    if type(default) is float:
        return "" if isinstance(value, (int, float)) else "a number"
    if default is None:
        return "" if value is None or isinstance(value, (int, float)) else "a number or None"
    return ""


def _paired(name: str, pairs: dict[str, int], prepare: Rule | None) -> Rule:
    """Attributes for height and width as users write them, in the form that columns see."""

    def paired(attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = attrs if prepare is None else prepare(attrs)
        for arg, least in pairs.items():
            if attrs.get(arg) is not None:
                attrs[arg] = pair(name, arg, attrs[arg], least)
        return attrs

    return paired


def as_arrays(result: Any) -> Any:
    """References may return NumPy scalars; make arrays of them. Device arrays are arrays."""
    if type(result) is np.ndarray or hasattr(result, "buffer"):
        return result
    if isinstance(result, tuple):
        return tuple([as_arrays(r) for r in result])
    return np.asarray(result)


def into(out: Any, result: Any) -> Any:
    """Make arrays of NumPy scalars, and copy into the buffers the caller gave."""
    if out is None:
        return as_arrays(result)
    buffers, results = (out, result) if isinstance(out, tuple) else ((out,), (result,))
    for buffer, r in zip(buffers, results, strict=True):
        if buffer.shape != r.shape or buffer.dtype != r.dtype:
            raise ShapeError(f"out= must be {Spec(r.shape, r.dtype)} like the result, got "
                             f"{Spec(buffer.shape, buffer.dtype)}")
        np.copyto(buffer, r)
    return out

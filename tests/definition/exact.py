"""What every op is, said a second time: exactly, and by other means than NumPy's floats.

The kit judges columns by the reference run in float64. Where the reference is wrong, all are wrong
together, and pass. So each op has a definition here, in fractions or in numbers of 50 digits, and
the reference is held against it in float32 and in float64, over the whole range of inputs, within
the error bounds that hold for columns (``etude_check.bounds``).

    python -m pytest tests/definition         some of it: two minutes, and CI runs it
    python tests/definition                   all of it, op by op; --write puts it in measured.md

``ops/<family>.py`` has the definitions, ``inputs.py`` draws what they are asked, and ``judge.py``
compares. An op whose results are each made from one element of each array needs a few lines:

    @pointwise("softsign")
    def softsign(x):
        return x / (1 + abs(x))

Any other op gives its values at the places it is asked for:

    @definition("flip")
    def flip(arrays, attrs, output, places): ...
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf

from etude import TABLE

mp.dps = 50
DEFINITIONS = {}
#: significant bits, and the exponent of the least subnormal number
FORMATS = {"float32": (24, -149), "float64": (53, -1074)}


@dataclass(frozen=True)
class Definition:
    """values: (arrays, attrs, output, places) -> the exact values of output number ``output`` at
    ``places``, tuples of indices. Each is a Fraction, an mpf, an int or a bool, or a Python float:
    an infinity, a NaN, or a zero whose sign counts. ``attrs`` has all attributes, prepared.
    calls: draw -> calls to ask, beside those of the kit.
    scale: (arrays, attrs, output) -> how many u each element may err, where that is known better
    than the kit's model has it; else None. The model of a composite op asks how much noise in the
    reference's own formula does, and so forgives a formula that is worse than it need be.
    """

    values: Callable[..., Any]
    calls: Callable[..., Any]
    scale: Callable[..., Any] | None = None


def definition(op, *, calls=lambda draw: (), scale=None):
    """Decorator: the definition of an op, as ``Definition`` has it."""
    def enter(values):
        if op in DEFINITIONS or op not in TABLE:
            raise ValueError(f"{op} has two definitions, or is no op")
        DEFINITIONS[op] = Definition(values, calls, scale)
        return values
    return enter


def pointwise(op, *, special=None, attrs=({},), calls=None):
    """Decorator: the definition of an op that makes each result from one element of each array.

    The function is given exact numbers: a Fraction for what is finite (0 for -0 too), an infinity
    as a Python float, and by keyword the attributes that it names, exact too. Where an argument
    is NaN the result is NaN. ``special`` is asked first where an argument is a float that is 0,
    infinite or NaN, and is given Python floats; it returns None to leave the answer to all this.
    ``attrs``: the attributes with which the op is asked at every kind of input. ``calls`` replaces
    those inputs.
    """
    def enter(formula):
        def values(arrays, given, output, places):
            stretched = np.broadcast_arrays(*in_one_dtype(arrays))
            found = [one(formula, special, [a[place].item() for a in stretched], given)
                     for place in places]
            return [y[output] if isinstance(y, tuple) else y for y in found]

        usual = lambda draw: draw.pointwise(len(TABLE[op].arrays), attrs)  # noqa: E731
        definition(op, calls=calls or usual)(values)
        return formula
    return enter


def one(formula, special, given, attrs):
    """The value of a pointwise definition for one set of Python numbers."""
    if special and any(isinstance(a, float) and (a == 0 or not math.isfinite(a)) for a in given):
        value = special(*given, **named(special, attrs))
        if value is not None:
            return value
    if any(a != a for a in given):
        return math.nan
    return formula(*map(number, given), **named(formula, attrs))


def in_one_dtype(arrays):
    """Operands as arrays: a Python number takes the dtype of an array beside it."""
    dtype = next(a.dtype for a in reversed(arrays) if isinstance(a, np.ndarray))
    return [a if isinstance(a, np.ndarray) else np.asarray(a, dtype) for a in arrays]


def named(function, attrs):
    """Those of the attributes that a function asks for by keyword, as exact numbers."""
    code = function.__code__
    asked = code.co_varnames[code.co_argcount:code.co_argcount + code.co_kwonlyargcount]
    return {name: number(attrs[name]) for name in asked}


# ------------------------------------------------------------------ numbers


def number(a):
    """An element of an array, or an attribute, as an exact number: a bool or an int as it is, a
    finite float as a Fraction (-0 as 0), an infinity or a NaN as a Python float.
    """
    a = a.item() if hasattr(a, "item") else a
    if isinstance(a, float) and math.isfinite(a):
        return Fraction(a)
    return a


def numbers(a):
    """The elements of an array as exact numbers, in a flat list."""
    return [number(v) for v in np.asarray(a).ravel().tolist()]


def real(x):
    """An exact number as an mpf, whose arithmetic keeps 50 digits."""
    return mp.convert(x)


def sign_of(x):
    """-1 or 1; that of a zero is its sign bit, where it has one."""
    return math.copysign(1, x) if isinstance(x, float) else -1 if x < 0 else 1


def fraction(x):
    """An mpf or any other finite exact number as a Fraction, without loss."""
    if not isinstance(x, mpf):
        return Fraction(x)
    sign, man, exp, _ = x._mpf_
    return Fraction(-man if sign else man) * Fraction(2) ** exp


def rounded(x, dtype) -> Any:
    """An exact number in the nearest float of ``dtype``, halves to the even one, as IEEE 754 has
    it: infinite beyond the largest, and 0 with the sign of x below half the least.
    """
    if isinstance(x, float) and (x == 0 or not math.isfinite(x)):
        return x
    if isinstance(x, mpf):
        if not mp.isfinite(x):
            return float(x)
        if abs(mp.mag(x)) > 5000 and x != 0:  # too far out for a Fraction
            return math.copysign(math.inf if mp.mag(x) > 0 else 0.0, -1 if x < 0 else 1)
    bits, least = FORMATS[np.dtype(dtype).name]
    exact = fraction(x)
    if exact == 0:
        return 0.0
    size = abs(exact)
    power = size.numerator.bit_length() - size.denominator.bit_length()
    if Fraction(2) ** power > size:
        power -= 1  # now 2^power <= size < 2^(power + 1)
    step = Fraction(2) ** max(power - bits + 1, least)
    nearest = round(size / step) * step  # Python rounds halves to even
    beyond = nearest > Fraction(float(np.finfo(dtype).max))
    return math.copysign(math.inf if beyond else float(nearest), -1 if exact < 0 else 1)


def to_dtype(x, dtype):
    """As ``rounded``, and as an exact number again: for ops that say which number they round."""
    return number(rounded(x, dtype))


def wrapped(x):
    """What int64 keeps of a whole number, which is it modulo 2^64; all else as it is."""
    return (x + 2**63) % 2**64 - 2**63 if isinstance(x, int) else x


# ------------------------------------------------------------------ the files of ops/


@cache
def load():
    """All definitions, by op. The files are loaded by path, because ``copy``, ``random`` and
    ``select`` are modules of Python's.
    """
    for path in sorted((Path(__file__).parent / "ops").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"definition_of_{path.stem}", path)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    return DEFINITIONS

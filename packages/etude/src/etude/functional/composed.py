"""Functions made of other ops: no rows of the table, so no column implements them.

Their gradients are those of the ops they call. Where PyTorch has two or three forms of one
function, ``max(x)``, ``max(x, dim)`` and ``max(x, y)``, all are here. The names are PyTorch's;
``max``, ``min`` and ``sum`` of Python are not used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from etude.core.dispatch import OPS
from etude.core.errors import ShapeError
from etude.core.given import integer, real
from etude.core.shapes import axis
from etude.core.tensor import Tensor, tensor
from etude.functional.arithmetic import var
from etude.functional.calls import Found, as_tensor
from etude.functional.shapes import split

__all__ = ["argsort", "chunk", "einsum", "flatten", "masked_fill", "max", "min", "norm", "outer",
           "sort", "squeeze", "std", "transpose", "unbind", "unsqueeze"]


# ------------------------------------------------------------------ shapes


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """See ``Tensor.flatten``."""
    return as_tensor(input).flatten(start_dim, end_dim)


def squeeze(input: Any, dim: int | Sequence[int] | None = None) -> Any:
    """See ``Tensor.squeeze``."""
    return as_tensor(input).squeeze(dim)


def unsqueeze(input: Any, dim: int) -> Any:
    """See ``Tensor.unsqueeze``."""
    return as_tensor(input).unsqueeze(dim)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """See ``Tensor.transpose``."""
    return as_tensor(input).transpose(dim0, dim1)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along ``dim``, one after another, without that axis; views."""
    x = as_tensor(input)
    d = axis("unbind", dim, x.ndim)
    ahead = ((None, None, None),) * d
    return tuple([OPS["slice"](x, index=(*ahead, i)) for i in range(x.shape[d])])


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """``input`` cut along ``dim`` into at most so many equal pieces, the last maybe shorter; views.
    """
    x = as_tensor(input)
    count = integer("chunk: chunks", chunks, 1)
    n = x.shape[axis("chunk", dim, x.ndim)]
    pieces: tuple[Any, ...] = (split(x, -(-n // count), dim) if n
                               else OPS["split"](x, sizes=(0,) * count, dim=dim))
    return pieces


# ------------------------------------------------------------------ extremes, order


def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """``max(x)``: the largest element. ``max(x, dim)``: (values, indices) along that axis.
    ``max(x, y)``: the larger of each two, with broadcasting.

    The gradient of the first is shared by elements that tie, that of the second goes to the first
    of them alone. NaN if there is one.
    """
    return _extreme("amax", "argmax", "maximum", input, dim, keepdim, other)


def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """``min(x)``: the smallest element. ``min(x, dim)``: (values, indices) along that axis.
    ``min(x, y)``: the smaller of each two, with broadcasting.

    The gradient of the first is shared by elements that tie, that of the second goes to the first
    of them alone. NaN if there is one.
    """
    return _extreme("amin", "argmin", "minimum", input, dim, keepdim, other)


def _extreme(whole: str, place: str, of_two: str, input: Any, dim: Any, keepdim: bool, other: Any
             ) -> Any:
    if isinstance(dim, (Tensor, np.ndarray)):
        other, dim = dim, None
    if other is not None:
        return OPS[of_two](input, other)
    x = as_tensor(input)
    if dim is None:
        return OPS[whole](x)
    index = OPS[place](x, dim=dim, keepdim=True)
    values = OPS["gather"](x, index, dim=dim)
    return Found(values, index) if keepdim else Found(values.squeeze(dim), index.squeeze(dim))


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Found:
    """(values, indices) along ``dim``, smallest first, or largest first where ``descending``.

    NaN counts as largest. Of equal elements the first comes first, ``stable`` or not.
    """
    x = as_tensor(input)
    n = x.shape[axis("sort", dim, x.ndim)]
    return Found(*OPS["topk"](x, k=n, dim=dim, largest=bool(descending)))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices of ``sort``: int64."""
    return sort(input, dim, descending, stable).indices


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``value``, one number, where ``mask`` (bool, broadcast) holds, else input."""
    if math.prod(getattr(value, "shape", ())) != 1:
        raise ShapeError(f"masked_fill: value is one number, got {list(value.shape)}; "
                         f"where(mask, value, input) takes a tensor")
    if hasattr(value, "shape"):
        value = as_tensor(value).reshape(())
    return OPS["where"](mask, value, input)


# ------------------------------------------------------------------ size, products


def std(input: Any, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *,
        correction: float | None = None) -> Any:
    """The square root of ``var``, with the same parameters; its gradient is 0 where it is 0."""
    return _root(var(input, dim, unbiased, keepdim, correction=correction))


def _root(square: Any) -> Any:
    """The square root of what is never negative; its gradient at 0 is 0, and not infinite."""
    zero = square.detach() == 0
    return OPS["where"](zero, 0.0, OPS["sqrt"](OPS["where"](zero, 1.0, square)))


def norm(input: Any, p: float | str | None = "fro", dim: Any = None, keepdim: bool = False,
         dtype: Any = None) -> Any:
    """(sum |x|^p)^(1/p) over ``dim``; p = inf is the largest |x|, -inf the smallest, 0 their number
    that is not 0. "fro" and None are 2. float.
    """
    x = as_tensor(input) if dtype is None else as_tensor(input).to(dtype)
    if p in ("fro", None):
        p = 2.0
    if isinstance(p, str) or math.isnan(real("norm: p", p)):
        raise ValueError(f"norm: p must be a number, inf, -inf or 'fro', got {p!r}")
    p = real("norm: p", p)
    if p == 2:
        return _root(OPS["sum"](OPS["square"](x), dim=dim, keepdim=keepdim))
    size = OPS["abs"](x)
    if math.isinf(p):
        return OPS["amax" if p > 0 else "amin"](size, dim=dim, keepdim=keepdim)
    if p == 0:
        return OPS["sum"](OPS["where"](size != 0, 1.0, OPS["sign"](size)), dim=dim, keepdim=keepdim)
    if p == 1:
        return OPS["sum"](size, dim=dim, keepdim=keepdim)
    total = OPS["sum"](OPS["pow"](size, float(p)), dim=dim, keepdim=keepdim)
    zero = total.detach() == 0
    root = OPS["pow"](OPS["where"](zero, 1.0, total), 1.0 / p)
    return OPS["where"](zero, 0.0, root)


def outer(input: Any, vec2: Any) -> Any:
    """Every product of an element of one vector with one of the other: (N), (M) -> (N, M)."""
    x, y = as_tensor(input), as_tensor(vec2)
    if (x.ndim, y.ndim) != (1, 1):
        raise ShapeError(f"outer: takes two vectors, got {list(x.shape)} and {list(y.shape)}")
    return OPS["mul"](x.unsqueeze(1), y.unsqueeze(0))


# ------------------------------------------------------------------ einsum


def einsum(equation: str, *operands: Any) -> Any:
    """Products of tensors summed over the letters that the result lacks: ``einsum("ij,jk->ik", a,
    b)`` is a matrix product. "..." stands for axes that broadcast; without an arrow the result has
    the letters that come once, in order. float.

    The operands are multiplied two by two, from the left, each pair as one batched matmul.
    Source of the notation: Einstein 1916, section 5; its letters: NumPy's einsum.
    """
    if not isinstance(equation, str):
        raise TypeError(f"einsum: the equation comes first, as a text such as 'ij,jk->ik'; got a "
                        f"{type(equation).__name__}")
    given = operands[0] if len(operands) == 1 and isinstance(operands[0], (list, tuple)) \
        else operands
    tensors = [as_tensor(x) for x in given]
    terms, result = _read(equation, tensors)
    parts = [_plain(x, term) for x, term in zip(tensors, terms, strict=True)]
    x, axes_of_x = parts[0]
    for i, (y, axes_of_y) in enumerate(parts[1:], 1):
        later = {letter for _, term in parts[i + 1 :] for letter in term} | set(result)
        x, axes_of_x = _multiplied(x, axes_of_x, y, axes_of_y, later)
    gone = tuple([d for d, letter in enumerate(axes_of_x) if letter not in result])
    x = OPS["sum"](x, dim=gone) if gone else x
    left = [letter for letter in axes_of_x if letter in result]
    return x.permute([left.index(letter) for letter in result])


def _read(equation: str, tensors: list[Tensor]) -> tuple[list[list[str]], list[str]]:
    """The letters of each operand, and of the result. What "..." stands for is numbered from the
    right, so that the axes meet as in broadcasting.
    """
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    words = left.split(",")
    if len(words) != len(tensors):
        raise ValueError(f"einsum: {equation!r} is for {len(words)} operands, got {len(tensors)}")
    terms, most = [], 0
    for word, x in zip(words, tensors, strict=True):
        free = x.ndim - len(word.replace("...", ""))
        if free < 0 or (free and "..." not in word):
            raise ShapeError(f"einsum: {word!r} of {equation!r} does not name the axes of "
                             f"{list(x.shape)}")
        most = free if free > most else most
        terms.append(_letters(equation, word, free))
    every = [letter for term in terms for letter in term]
    if arrow:
        result = _letters(equation, right, most if "..." in right else 0)
    else:
        once = sorted({x for x in every if every.count(x) == 1 and not x.isdigit()})
        result = [*_letters(equation, "...", most), *once]
    for letter in result:
        if letter not in every or result.count(letter) > 1:
            raise ValueError(f"einsum: the result of {equation!r} must have letters of the "
                             f"operands, each once")
    return terms, result


def _letters(equation: str, word: str, free: int) -> list[str]:
    head, dots, tail = word.partition("...")
    if not (head + tail).isalpha() and head + tail:
        raise ValueError(f"einsum: cannot read {word!r} in {equation!r}; an operand is letters, "
                         f"with ... at most once")
    middle = [str(n) for n in range(free - 1, -1, -1)] if dots else []
    return [*head, *middle, *tail]


def _plain(x: Tensor, term: list[str]) -> tuple[Tensor, list[str]]:
    """An operand whose letters differ: of an "ii" the diagonal is taken."""
    term = list(term)
    for letter in [a for i, a in enumerate(term) if a in term[:i]]:
        first, second = [d for d, a in enumerate(term) if a == letter][:2]
        n = x.shape[first]
        if x.shape[second] != n:
            raise ShapeError(f"einsum: {letter!r} is {n} and {x.shape[second]} in one operand")
        rest = [d for d in range(x.ndim) if d not in (first, second)]
        x = x.permute(*rest, first, second)
        flat = x.reshape(*x.shape[:-2], n * n)
        places = tensor(np.arange(n) * (n + 1)).to(x.device)
        x = OPS["index_select"](flat, places, dim=-1)
        term = [*(term[d] for d in rest), letter]
    return x, term


def _multiplied(x: Tensor, left: list[str], y: Tensor, right: list[str], later: set[str]
                ) -> tuple[Tensor, list[str]]:
    """Two operands as one batched matmul: letters of both that are asked for later are the batch,
    letters of both that are not are summed, the others stay.
    """
    sizes: dict[str, int] = {}
    for letter, n in [*zip(left, x.shape, strict=True), *zip(right, y.shape, strict=True)]:
        if sizes.get(letter, 1) not in (1, n) and n != 1:
            raise ShapeError(f"einsum: {letter!r} is {sizes[letter]} and {n}")
        sizes[letter] = n if sizes.get(letter, 1) == 1 else sizes[letter]
    both = [letter for letter in left if letter in right]
    batch = [letter for letter in both if letter in later]
    summed = [letter for letter in both if letter not in later]
    rows = [letter for letter in left if letter not in both]
    columns = [letter for letter in right if letter not in both]

    def as_matrices(t: Tensor, term: list[str], order: list[str], first: int) -> Any:
        t = t.permute([term.index(letter) for letter in order])
        t = t.expand(*[sizes[letter] for letter in order])
        lengths = [sizes[letter] for letter in order]
        lead, high, wide = lengths[: len(batch)], lengths[len(batch) : first], lengths[first:]
        return t.reshape(*lead, math.prod(high), math.prod(wide))

    a = as_matrices(x, left, [*batch, *rows, *summed], len(batch) + len(rows))
    b = as_matrices(y, right, [*batch, *summed, *columns], len(batch) + len(summed))
    z = OPS["matmul"](a, b)
    found = [*batch, *rows, *columns]
    return z.reshape(*[sizes[letter] for letter in found]), found

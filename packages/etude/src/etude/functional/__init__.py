"""The public functions of Tensors: PyTorch's names, order and defaults.

``etude.functional.softmax(x, dim=-1)`` and ``x.softmax(-1)`` are one function. Most are made from
the table, here, and a new op needs no line. The files of this folder have the others: public forms
that differ from their op, a list for cat or a word for a padding (``shapes arithmetic images losses
layers``), and functions that are no ops but made of some (``composed``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from etude import ops  # noqa: F401 - fills the table, before anything is made from it
from etude.core.creation import full  # noqa: F401 - public here too
from etude.core.dispatch import OPS, general, short
from etude.core.errors import no_such_name
from etude.core.methods import attach, instead
from etude.core.table import ENTERED, TABLE, Op
from etude.core.tensor import Tensor
from etude.functional import arithmetic, composed, images, layers, losses, shapes

#: Ops whose input PyTorch converts first where ``dtype`` is given.
CASTS = ("sum", "mean", "prod", "cumsum", "softmax", "log_softmax")


def _public(op: Op) -> Callable[..., Any]:
    """The function of Tensors for an op, with attributes by position or keyword."""
    leading = 0  # how many arguments by position are arrays, in the op's own order
    for name, array in zip(op.order, op.arrays, strict=False):
        if name != array:
            break
        leading += 1

    def otherwise(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        dtype = kwargs.pop("dtype", None) if op.name in CASTS else None
        arrays, attrs = op.arguments(args, kwargs)
        if dtype is not None:
            arrays[0] = OPS["cast"](arrays[0], dtype=dtype)
        return OPS[op.name](*arrays, **attrs)

    if short(op):
        return _introduced(OPS[op.name], op)  # a short road knows PyTorch's words itself
    return _introduced(general(op, leading, otherwise), op)


def _introduced(fn: Callable[..., Any], op: Op) -> Callable[..., Any]:
    """``fn`` with the name, text and parameters that help() shows."""
    fn.__name__ = fn.__qualname__ = op.name
    fn.__doc__ = op.__doc__
    fn.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=None if name in op.optional else op.attrs.get(name, inspect.Parameter.empty))
        for name in op.order])
    return fn


# ------------------------------------------------------------------ the rest, from the table

_by_hand: dict[str, Callable[..., Any]] = {
    name: getattr(module, name)
    for module in (arithmetic, composed, images, layers, losses, shapes)
    for name in module.__all__}
BY_HAND = _by_hand.keys() & TABLE.keys() | {"full"}  # ops with a public form of their own
COMPOSED = _by_hand.keys() - TABLE.keys()  # of other ops, so no rows of the table

globals().update(_by_hand)
for _op in TABLE.values():
    if _op.name not in BY_HAND and not _op.internal:
        globals()[_op.name] = _public(_op)

__all__ = sorted({op.name for op in TABLE.values() if not op.internal} | BY_HAND | COMPOSED)


def signature(op: Op) -> str:
    """How the public function of ``op`` is called; an internal op is called as it stands."""
    if op.name not in BY_HAND:
        return op.signature
    words = []
    for p in inspect.signature(globals()[op.name]).parameters.values():
        default = getattr(p.default, "name", repr(p.default))  # float32, not dtype('float32')
        words.append(("*" if p.kind is p.VAR_POSITIONAL else "") + p.name
                     + ("" if p.default is p.empty else f"={default}"))
    return f"{op.name}({', '.join(words)})"


def __getattr__(name: str) -> Any:  # an op entered later, by a user's own file or cell
    if name in TABLE and not TABLE[name].internal:
        return _public(TABLE[name])
    if instead(name):
        raise AttributeError(f"etude.functional has no {name!r}{instead(name)}")
    raise no_such_name("etude.functional", name, __all__)


def _methods() -> dict[str, Callable[..., Any]]:
    """The public functions that are methods of Tensor too: those whose first argument is one."""
    found = {}
    for name in __all__:
        op, fn = TABLE.get(name), globals()[name]
        first = next(iter(inspect.signature(fn).parameters))
        of_table = op is not None and name not in BY_HAND and first in op.arrays
        if first in ("input", "tensor", "query") or (of_table and name != "where"):
            found[name] = fn
    return found


attach(_methods())


_later: dict[str, Callable[..., Any]] = {}  # the methods of ops that a user's own file entered


def _enter(op: Op) -> None:
    """An op that a user's own file or cell enters is a method at once; ``__getattr__`` above finds
    the function. A name that Tensor has already is left alone.
    """
    leads = op.arrays[:1] == op.order[:1] != ()
    known = vars(Tensor).get(op.name) in (None, _later.get(op.name))
    if leads and known and not op.internal:
        _later[op.name] = _public(op)
        setattr(Tensor, op.name, _later[op.name])


ENTERED.append(_enter)

"""The convention of most kernels: every array contiguous, and a few numbers.

What such calls do is the same, and only their numbers differ: look up the plan by shapes, strides,
dtypes and attributes; make the outputs; call the thunk. The numbers follow from the op's row
(``numbers.py``) when a plan is made. Until then the op's own shape rule runs, so a kernel never
sees a call that the rule would refuse; an input that is not contiguous is copied first
(``geometry.contiguous``).

The function is written out for the op's own parameters and compiled, as ``dataclasses`` does it:
a general one, looping over arrays and attributes, takes a microsecond more, which is as much as a
small kernel. Its text is registered with linecache, so a debugger steps through it and a traceback
shows its lines.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from typing import Any

import numpy as np

from etude.backends.native.geometry import (
    NEEDED,
    Plans,
    check_apart,
    check_out,
    refuse,
)
from etude.backends.native.kernel import Kernel
from etude.backends.native.numbers import Numbers
from etude.backends.native.steps import is_step
from etude.core.shapes import Spec
from etude.core.table import Op

# Names of its own begin with an underscore; those of an op's parameters do not.
TEMPLATE = """\
def {name}({parameters}, **_unknown):
    # Written by etude/backends/native/dense.py for the op {name}.
    if _unknown:
        _refuse(_op, ({arrays},), {attrs} | _unknown)
    try:
        _key = ({key},)
        _thunk, _fn, _numbers, {specs} = _plans[_key]
    except (KeyError, TypeError):
        return _prepare(_key, ({arrays},), out, {attrs})
    except AttributeError:
        _refuse(_op, ({arrays},), {attrs})
    if out is None:
        {make}
    else:
        {take}
    _status = _thunk(_fn, {pointers}, *_numbers)
    if _status:
        _fail(_status, ({arrays},), {attrs})
    return {outputs}
"""


def bind_dense(kernel: Kernel, otherwise: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """``impl(*arrays, out=None, **attrs)`` for an op of one of these function types.

    ``otherwise(arrays, out, attrs)``, where it is given, answers calls that have to be brought into
    another form first, and returns None for the others. Kernels are named after the dtype of the
    first array that etude.h calls ``real``.
    """
    op, plans, numbers, memory = kernel.op, Plans(), Numbers(kernel), kernel.host.memory
    real = [p.real for p in kernel.parameters if p.kind == "array"].index(True)

    def prepare(key: Any, arrays: tuple[Any, ...], out: Any, attrs: dict[str, Any]) -> Any:
        """The first call of its kind: check it, make arrays contiguous, and keep a plan."""
        if NEEDED in attrs.values():
            refuse(op, arrays, attrs)
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in attrs.items()}
        answer = op.check(arrays, given)
        if otherwise is not None and (result := otherwise(arrays, out, given)) is not None:
            return result
        plain = [a if a is None else memory.dense(np.asarray(a)) for a in arrays]
        if given == attrs and all(a is b for a, b in zip(arrays, plain)):
            specs = (answer,) if isinstance(answer, Spec) else tuple(answer)
            named = [*arrays, *specs][real].dtype
            flat = [part for spec in specs for part in spec]
            plans[key] = (*kernel.pick(named), numbers(arrays, given), *flat)
        return call(*plain, out=out, **given)

    namespace: dict[str, Any] = {
        "_plans": plans, "_prepare": prepare, "_fail": kernel.fail, "_empty": memory.empty,
        "_check_out": check_out, "_check_apart": check_apart, "_ident": kernel.host.ident,
        "_refuse": refuse, "_op": op,
        **{f"_default_{k}": v for k, v in op.attrs.items()},
    }
    call: Callable[..., Any] = _compiled(op.name, _text(op), namespace)
    return call


def _compiled(name: str, text: str, namespace: dict[str, Any]) -> Any:
    """The function ``name`` of a text that debuggers and tracebacks can read."""
    file = f"<etude {name}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    exec(compile(text, file, "exec"), namespace)
    return namespace[name]


def _text(op: Op) -> str:
    """The function in Python, for the arrays, attributes and outputs of the op."""
    last = max([i for i, a in enumerate(op.arrays) if a not in op.optional], default=-1)
    arrays = [f"{a}=None" if i > last else a for i, a in enumerate(op.arrays)]
    attrs = [f"{k}=_default_{k}" for k in op.attrs]
    outs = [f"_{o}" for o in op.outputs]
    step = is_step(op)  # of an optimiser, which keeps p and g apart itself
    key = [f"{a} is None or ({a}.shape, {a}.strides, {a}.dtype)" if a in op.optional
           else f"{a}.__class__, {a}.shape, {a}.strides, {a}.dtype" for a in op.arrays]
    pointers = [f"0 if {a} is None else _ident({a})" if a in op.optional else f"_ident({a})"
                for a in op.arrays]
    tuple_of_outs = ", ".join(outs)
    return TEMPLATE.format(
        name=op.name,
        parameters=", ".join([*arrays, "*", "out=None", *attrs]),
        arrays=", ".join(op.arrays),
        attrs="{" + ", ".join(f"{k!r}: {k}" for k in op.attrs) + "}",
        key=", ".join([*key, *(_in_key(op, k) for k in op.attrs),
                       *(f"{k}.__class__" for k in op.attrs)]),
        specs=", ".join(f"{o}_shape, {o}_dtype" for o in outs),
        make="; ".join(f"{o} = _empty({o}_shape, {o}_dtype)" for o in outs),
        take="; ".join([f"{tuple_of_outs} = out",
                        *[f"_check_out({op.name!r}, {o}, {o}_shape, {o}_dtype)" for o in outs],
                        *([] if step else [f"_check_apart(_op, ({tuple_of_outs},), "
                                           f"({', '.join(op.arrays)},))"])]),
        pointers=", ".join([*pointers, *[f"_ident({o})" for o in outs]]),
        outputs=tuple_of_outs,
    )


def _in_key(op: Op, attribute: str) -> str:
    """An attribute as part of the key of a plan. Of what may be a float the two zeros are told
    apart: they are equal, and clamp(x, min=-0.0) is not clamp(x, min=0.0).
    """
    default = op.attrs[attribute]
    if default is not None and not isinstance(default, float):
        return attribute
    return (f"{attribute} if {attribute} is _default_{attribute} or {attribute}.__class__ is not "
            f"float or {attribute} else repr({attribute})")

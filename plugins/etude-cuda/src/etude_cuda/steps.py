"""An optimiser's step on many parameters in one launch: etude_steps_<op>_<dtype>.

A model has dozens of small parameters, and a launch for each costs more than its arithmetic. So
``c_src/cuda/step.cu`` takes a table of pointers; this file fills it. The op of one parameter, which
the same kernel runs, is where any other column runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.backends.native.kernel import OK, SUFFIX
from etude.core.errors import BackendError, Unsupported
from etude.core.shapes import spec_of
from etude.core.table import TABLE, Op
from etude_cuda.arrays import address, opened

if TYPE_CHECKING:
    from etude_cuda.device import Device

OPS = ("sgd_step", "adamw_step", "adam_step", "rmsprop_step")

ROW = """
typedef struct {
    uintptr_t p, g, first, second, p_out, first_out, second_out;
    int64_t n;
} etude_step_row;
"""


def steps_of(device: Device, library: Path) -> dict[str, Callable[..., list[Any]]]:
    """Op -> ``call(rows, hyper, **attrs)``, for the ops that a library has them of."""
    from cffi import FFI

    ffi = FFI()
    ffi.cdef(ROW)
    for op in OPS:
        more = ", double" if TABLE[op].attrs else ""
        for suffix in ("f32", "f64"):
            ffi.cdef(f"int etude_steps_{op}_{suffix}(uintptr_t, etude_step_row *, int64_t, "
                     f"uintptr_t{more});")
    opened_library = ffi.dlopen(str(library))
    return {op: _steps(device, ffi, opened_library, TABLE[op]) for op in OPS
            if hasattr(opened_library, f"etude_steps_{op}_f32")}


def _steps(device: Device, ffi: Any, library: Any, op: Op) -> Callable[..., list[Any]]:
    checked: set[Any] = set()

    def call(rows: Sequence[tuple[Any, ...]], hyper: Any, **attrs: Any) -> list[Any]:
        """Moves every row, (p, g, *moments) of one dtype, in place. Raises as the op does."""
        suffix = SUFFIX[rows[0][0].dtype]
        function = getattr(library, f"etude_steps_{op.name}_{suffix}", None)
        if function is None:
            raise Unsupported(f"no kernel for {rows[0][0].dtype.name}")
        settings = [float(value) for value in {**op.attrs, **attrs}.values()]
        table = ffi.new("etude_step_row[]", len(rows))
        for place, row in zip(table, rows, strict=True):
            specs = tuple([(a.shape, a.dtype) for a in row])
            if specs not in checked:
                op.check((*map(spec_of, row), spec_of(hyper)), attrs)
                checked.add(specs)
            at = [address(opened(a, device, op.name)) for a in row]
            p, g, first, second = at if len(at) == 4 else (*at, 0)
            place.p = place.p_out = p
            place.g = g
            place.first = place.first_out = first
            place.second = place.second_out = second
            place.n = row[0].size
        status = function(device.context(), table, len(rows),
                          address(opened(hyper, device, op.name)), *settings)
        if status != OK:
            raise BackendError(f"{op.name}: {device.host.error() or f'status {status}'}")
        return []

    return call

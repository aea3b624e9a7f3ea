"""Which calling convention an op follows: by its function type, ``Op.cls``.

Most types are not listed: their kernels take arrays contiguous, and numbers that follow from the
row by name (``dense.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etude.backends.native.attention import bind_attention
from etude.backends.native.axes import (
    bind_gather,
    bind_reduce,
    bind_rows,
    bind_scatter_add,
    bind_together,
)
from etude.backends.native.copies import bind_copy
from etude.backends.native.dense import bind_dense
from etude.backends.native.kernel import Kernel
from etude.backends.native.matrices import bind_matrices
from etude.backends.native.pointwise import bind_binary, bind_select

#: function type -> its convention, where that is another than "every array contiguous"
CONVENTIONS: dict[str, Callable[[Kernel], Callable[..., Any]]] = {
    "binary": bind_binary,
    "compare": bind_binary,
    "select": bind_select,
    "ternary": bind_select,
    "matmul": bind_matrices,
    "reduce": bind_reduce,
    "rows": bind_rows,
    "rows_backward": bind_rows,
    "var": bind_together,
    "prod_backward": bind_together,
    "attention": bind_attention,
    "attention_backward": bind_attention,
    "gather": bind_gather,
    "scatter_add": bind_scatter_add,
    "copy": bind_copy,
}


def bind(kernel: Kernel) -> Callable[..., Any]:
    """The implementation of ``kernel.op`` by these kernels. Raises BackendError if they, the row
    and etude.h do not agree.
    """
    call = CONVENTIONS.get(kernel.op.cls, bind_dense)(kernel)
    call.__qualname__ = kernel.op.name  # Python's own errors about arguments name the op
    return call

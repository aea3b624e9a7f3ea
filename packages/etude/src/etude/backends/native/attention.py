"""The convention of attention: every array contiguous, and a mask as it broadcasts.

Kernels walk a mask by four steps (``numbers.spread``): enough for up to two batch axes, such as
batch and heads, and for most masks over more. One that they cannot walk is copied out in full.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from etude.backends.native.dense import bind_dense
from etude.backends.native.geometry import broadcast_to
from etude.backends.native.kernel import Kernel
from etude.backends.native.numbers import spread
from etude.core.errors import Unsupported

FEW_AXES = 4  # of query: two batch axes, L and D


def bind_attention(kernel: Kernel) -> Callable[..., Any]:
    """Attention and its backward, with a mask that a kernel can walk."""
    run, op, memory = bind_dense(kernel), kernel.op, kernel.host.memory
    query, key, mask = [op.arrays.index(name) for name in ("query", "key", "attn_mask")]

    def call(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        given = arrays[mask] if len(arrays) > mask else None
        if given is None or getattr(arrays[query], "ndim", 0) <= FEW_AXES:
            return run(*arrays, out=out, **attrs)
        op.check(arrays, attrs)
        shape = (*arrays[query].shape[:-1], arrays[key].shape[-2])
        try:
            spread(np.asarray(given), shape)
        except Unsupported:
            whole = memory.copy(broadcast_to(given, shape), None)
            arrays = (*arrays[:mask], whole, *arrays[mask + 1 :])
        return run(*arrays, out=out, **attrs)

    return call

"""A column of your own: a .cu file of kernels of etude.h, for the lab or for a card.

    with etude.use("softmax.cu", "gpu-lab"):    # the rest of the ops from the plugin
        x = etude.randn(8, 100, device="gpu-lab").softmax(-1)

The file includes etude.h and defines host functions that launch its kernels:

    extern "C" int etude_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows,
                                     int64_t cols)
    {
        softmax<<<rows, 128, 0, (cudaStream_t)ctx->stream>>>(x, y, cols);
        return cudaGetLastError() == cudaSuccess ? ETUDE_OK : ETUDE_FAILED;
    }
"""

from __future__ import annotations

import os
from pathlib import Path

from etude.core.columns import Column
from etude.core.errors import BackendError
from etude_cuda.backend import CUDA, LAB, device, missing


def open_source(path: str | os.PathLike[str], on: str = LAB) -> Column:
    """Compile a .cu file for "gpu-lab", or for "cuda" where there is a card, as a column there.

    Raises BackendError for a file that does not compile, uses what the lab refuses, or exports no
    kernel; and for a device that is not there.
    """
    from etude_cuda.lab.build import compile_source

    path = Path(path)
    if path.is_dir():
        raise BackendError(f"{str(path)!r} is a folder, and a .cu file is wanted")
    if not path.is_file():
        raise BackendError(f"there is no file {str(path)!r} (looked in {Path.cwd()})")
    if on not in (LAB, CUDA):
        raise BackendError(f"a .cu file is a column of {LAB!r} or of {CUDA!r}, not of {on!r}")
    if on == CUDA and (lacking := missing()):
        raise BackendError("; ".join(lacking))
    made = device(on)
    return made.column(path.name, compile_source(path, on), "native")

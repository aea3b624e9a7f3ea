#!/usr/bin/env bash
# np.dot takes 0 times NaN for 0, if one of two matrices has a single element.
#
# Versions   numpy 2.4.6 (the wheel, with OpenBLAS).
# Expected   numpy.dot: "If both a and b are 2-D arrays, it is matrix multiplication, but using matmul
#            or a @ b is preferred." So the same numbers; and by IEEE 754 0 times NaN, and 0 times
#            infinity, is NaN.
# Seen       By [[0.0]], np.dot makes [0 0 0] of the column [nan inf 1], and np.matmul, einsum and *
#            make [nan nan 0]. With two columns np.dot makes NaN as well. np.tensordot is made of
#            np.dot, and does what it does: a convolution written with it loses a NaN of its input
#            where the kernel is one number, a 1 x 1 convolution of one channel, and that is 0.
# Matters    A NaN goes away without a word in the smallest model, the one that tests use, and
#            stays in every larger one. So use np.matmul where a NaN must be seen; and check what an
#            op makes of 0 times NaN for every size of it, 1 among them. NumPy multiplies by a matrix
#            of one element as by a number, with BLAS's axpy, which adds nothing where that is 0.
# Source     numpy/_core/src/common/cblasfuncs.c, cblas_matrixproduct; OpenBLAS, interface/axpy.c.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import sys
import numpy as np

column, zero = np.array([[np.nan], [np.inf], [1.0]]), np.array([[0.0]])
ways = {"np.dot": np.dot, "np.tensordot": lambda a, b: np.tensordot(a, b, 1),
        "np.matmul": np.matmul, "einsum": lambda a, b: np.einsum("ij,jk->ik", a, b),
        "*": lambda a, b: a * b}
found = {}
with np.errstate(invalid="ignore"):
    for name, way in ways.items():
        found[name] = [f"{v:g}" for v in way(column, zero).ravel()]
        print(f"{name:14}[nan inf 1] by 0: {' '.join(found[name])}")
    wide = np.dot(np.hstack([column, column]), np.zeros((2, 1)))
found["two columns"] = [f"{v:g}" for v in wide.ravel()]
print(f"np.dot        with two columns: {' '.join(found['two columns'])}")
lost, kept = ["0", "0", "0"], ["nan", "nan", "0"]
expected = {"np.dot": lost, "np.tensordot": lost, "np.matmul": kept, "einsum": kept, "*": kept,
            "two columns": kept}
if found != expected:
    sys.exit(f"CHANGED: {found}, and this finding says {expected}")
print("as found")
PYTHON

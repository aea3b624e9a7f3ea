#!/usr/bin/env bash
# One NaN in a bfloat16 array, and np.sort returns it unsorted; np.unique keeps its duplicates.
#
# Versions   ml_dtypes 0.6.0, numpy 2.4.6.
# Expected   The page of numpy.sort: NaN goes to the end. So it does for float16, float32 and
#            float64. ml_dtypes calls its types extensions of NumPy's, and NumPy takes them in these
#            functions. The page of numpy.mean: float16 is computed at a higher precision.
# Seen       With bfloat16 and float8, sort and unique return an array in no order, without a
#            warning: no value passes the NaN, which stays where it fell. (argsort and partition
#            likewise.) The mean of a thousand ones is 0.256 in bfloat16 and 1 in float16: the
#            running sum stops at 256, where adding one changes nothing. x @ x of the same array is
#            1000.
# Matters    bfloat16 is what weights and activations are kept in. Ranks, quantiles, top-k by
#            argsort, and statistics of a layer come out wrong exactly when a NaN is what one is
#            after, and a mean loss over a batch of more than 256 is too small. So a framework on
#            NumPy must go to float32 before it sorts or reduces, and its tests of such an op need a
#            NaN in the middle and more than 256 elements: ten finite numbers pass.
# Source     The numpy.sort and numpy.mean pages; ml_dtypes issue 346, of nan_to_num, calls the like
#            expected. No page was found that speaks of sort.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    ml_dtypes==0.6.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import sys
import ml_dtypes
import numpy as np


def numbers(array):
    return " ".join(f"{v:g}" for v in array.astype(np.float64))


found = {}
for dtype in (np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn):
    x = np.array([3, 1, np.nan, 2, 1], dtype)
    ones = np.ones(1000, dtype)
    found[dtype.__name__] = row = (numbers(np.sort(x)), numbers(np.unique(x)),
                                   float(ones.mean()), float(ones @ ones))
    print("{:14} sort: {:14} unique: {:14} mean of ones: {:.4g}  ones @ ones: {:g}".format(
        dtype.__name__, *row))
unsorted = "1 3 nan 1 2"
expected = {
    "float16": ("1 1 2 3 nan", "1 2 3 nan", 1.0, 1000.0),
    "bfloat16": (unsorted, unsorted, 0.255859375, 1000.0),
    "float8_e4m3fn": (unsorted, unsorted, 0.015625, 1000.0),
}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON

#!/usr/bin/env bash
# safetensors 0.8.0 saves a transposed NumPy array with its values in the wrong places.
#
# Versions   safetensors 0.8.0 against 0.7.0; numpy 2.4.6.
# Expected   What was saved is what is loaded. The docstring of save asks for tensors that are
#            "contiguous and dense", which an array in Fortran order is; 0.7.0 brings any strided
#            array back right; and the writer of the same package for PyTorch raises ValueError on a
#            tensor that does not lie in C order.
# Seen       0.7.0 is right in each case. 0.8.0 writes the memory as it lies under the shape of the
#            view: values trade places, or values come back that were sliced away. No error, no
#            warning, and a valid file.
# Matters    A layer's weight is often a transposed view. The model loads, runs and is wrong. So
#            whoever writes such files must lay each array out in C order first
#            (np.ascontiguousarray), and must test the round trip with a transposed array that is
#            not square: a test with a fresh array passes.
# Source     Issue 825 of the repository safetensors/safetensors, open when this was written.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/look.py" <<'PYTHON'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load, save

table = np.arange(6.0).reshape(2, 3)
cases = {
    "C order": table.copy(),
    "Fortran order": np.asfortranarray(table),
    "transposed": table.T,
    "every second": np.arange(10.0)[::2],
    "big-endian": table.astype(">f8"),
    "big-endian, transposed": table.astype(">f8").T,
}
wrong = []
for name, array in cases.items():
    back = load(save({"x": array}))["x"]
    same = np.array_equal(back, array)
    wrong += [] if same else [name]
    print(f"{safetensors.__version__}  {name:23} {'same' if same else 'WRONG':6}"
          f"saved {array.ravel().tolist()}  loaded {back.ravel().tolist()}")
expected = [name for name in sys.argv[1].split(";") if name]
if wrong != expected:
    sys.exit(f"CHANGED: safetensors {safetensors.__version__} is wrong for {wrong}, "
             f"this finding says {expected}")
PYTHON

look() { # version, the cases it gets wrong
    python3 -m venv "$work/$1"
    "$work/$1/bin/pip" install -q --no-compile --disable-pip-version-check \
        "safetensors==$1" numpy==2.4.6
    "$work/$1/bin/python" "$work/look.py" "$2"
}
look 0.7.0 ""
look 0.8.0 "Fortran order;transposed;every second;big-endian, transposed"
echo "as found"

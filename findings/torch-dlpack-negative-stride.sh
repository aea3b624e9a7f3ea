#!/usr/bin/env bash
# PyTorch ends the process when it is lent an array that runs backwards.
#
# Versions   torch 2.13.0, numpy 2.4.6. (Where pip's index has only torch's CUDA build, that is a
#            large download; the CPU build does as well.)
# Expected   torch.from_dlpack of an array with a negative stride raises, or copies: PyTorch has no
#            negative strides, DLPack does, and NumPy lends such a view as it is. torch.from_numpy
#            raises a ValueError that says what to do.
# Seen       A C++ exception that nobody catches: "terminate called after throwing an instance of
#            'c10::Error' ... Storage size calculation overflowed", and SIGABRT. No try in Python
#            helps, and what was not saved is lost. Both versions of the capsule do it.
# Matters    Whoever lends memory by DLPack must ask not only what the protocol can say, but what
#            the borrowers survive: a view that runs backwards is better lent as a copy. And a test
#            of interchange that tries such a view belongs into a process of its own.
# Source     Issue 188023 of pytorch/pytorch, by which its later versions raise; 34307 of
#            scikit-learn/scikit-learn, where it came from. The page of __dlpack__ in the array API
#            standard.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import signal
import subprocess
import sys

BEFORE = "import numpy as np, torch; x = np.arange(3.0)[::-1]; "
rows = {
    "torch.from_numpy": "torch.from_numpy(x)",
    "torch.from_dlpack": "torch.from_dlpack(x)",
    "an old capsule": "torch.from_dlpack(x.__dlpack__())",
    "a copy": "print(torch.from_dlpack(x.copy()).tolist())",
}
found = {}
for name, code in rows.items():
    done = subprocess.run([sys.executable, "-c", BEFORE + code], capture_output=True, text=True)
    if done.returncode < 0:
        found[name] = signal.Signals(-done.returncode).name
    else:
        last = (done.stderr or done.stdout).strip().splitlines()[-1]
        found[name] = last.partition(":")[0]
    print(f"{name:20} {found[name]}")
expected = {
    "torch.from_numpy": "ValueError",
    "torch.from_dlpack": "SIGABRT",
    "an old capsule": "SIGABRT",
    "a copy": "[2.0, 1.0, 0.0]",
}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON

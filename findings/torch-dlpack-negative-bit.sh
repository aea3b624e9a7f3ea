#!/usr/bin/env bash
# A PyTorch tensor handed over by DLPack can arrive with every sign flipped.
#
# Versions   torch 2.13.0, numpy 2.4.6. (Where pip's index has only torch's CUDA build, that is a
#            large download; the CPU build does as well.)
# Expected   Through DLPack a consumer gets the values of the tensor, or the producer raises
#            BufferError, as the array API standard asks of one that cannot export. PyTorch keeps
#            conjugation and negation as bits on the tensor and leaves the memory alone. Its
#            __dlpack__ refuses a tensor with the conjugate bit, and Tensor.numpy() refuses one with
#            either bit.
# Seen       __dlpack__ does not look at the negative bit. np.from_dlpack gives what is in memory:
#            every number with the other sign, and no error. torch.from_dlpack does so within
#            PyTorch. Public operations set the bit: the imaginary part of a conjugate has it.
# Matters    A framework takes tensors in by DLPack since it is safer than a pointer, and a consumer
#            cannot see the bit at all: no flag of DLPack says it. So an adapter for PyTorch must
#            call resolve_conj().resolve_neg() before the exchange, tests of interchange must
#            compare values of views, not of fresh tensors, and whoever adds a lazy bit to a tensor
#            type must close each way out of it, not only the one called numpy().
# Source     The pages of torch.Tensor.resolve_neg and of __dlpack__ in the array API standard. No
#            issue of PyTorch about it was found; issue 831 of safetensors/safetensors is its like
#            in a writer of files.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    torch==2.13.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import sys
import numpy as np
import torch


def seen(what):
    try:
        return what().tolist()
    except (BufferError, RuntimeError) as error:
        return type(error).__name__


conjugate = torch.tensor([1 + 2j, 3 - 4j]).conj()
part = conjugate.imag
rows = {
    "the tensor": lambda: part,
    "Tensor.numpy()": lambda: part.numpy(),
    "np.from_dlpack": lambda: np.from_dlpack(part),
    "torch.from_dlpack": lambda: torch.from_dlpack(part),
    "np.from_dlpack, bit resolved": lambda: np.from_dlpack(part.resolve_neg()),
    "np.from_dlpack, conjugate bit": lambda: np.from_dlpack(conjugate),
}
found = {name: seen(what) for name, what in rows.items()}
for name, value in found.items():
    print(f"{name:30} {value}")
expected = {
    "the tensor": [-2.0, 4.0],
    "Tensor.numpy()": "RuntimeError",
    "np.from_dlpack": [2.0, -4.0],
    "torch.from_dlpack": [2.0, -4.0],
    "np.from_dlpack, bit resolved": [-2.0, 4.0],
    "np.from_dlpack, conjugate bit": "BufferError",
}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON

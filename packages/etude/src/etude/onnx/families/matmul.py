"""Products of matrices: MatMul, Gemm, Einsum."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

"""Arithmetic: sums, products, powers, rounding, and functions of one number."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

"""Comparisons, logic and bits, and the choice between two arrays."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

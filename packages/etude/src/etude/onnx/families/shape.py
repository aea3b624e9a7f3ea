"""Shapes: views, joins, splits, borders, and the integers that say how large."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

"""Convolutions, and the backward of one."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

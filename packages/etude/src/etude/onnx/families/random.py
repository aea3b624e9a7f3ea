"""Random numbers and dropout."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

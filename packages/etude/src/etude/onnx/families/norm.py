"""Normalisation: over a batch, a layer, an instance, groups, neighbours."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

"""Elements by position: gather, scatter, one-hot, top k, triangles."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

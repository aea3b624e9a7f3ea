"""Recurrent layers: RNN, LSTM, GRU, step by step."""

from __future__ import annotations

# ------------------------------------------------------------------ From ONNX












# ------------------------------------------------------------------ To ONNX

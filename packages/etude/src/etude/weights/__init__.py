"""Weights that travel: PyTorch's files in and out, and GGUF for llama.cpp.

``source.py`` reads a dict of tensors, a .pt file (``pt.py``, ``pickled.py``) or a .safetensors
file; ``layouts.py`` knows the names that others use; ``fit.py`` puts all in its place, or says in a
table what does not fit. ``save.py`` and ``pt_write.py`` are the way back, ``gguf.py`` the one to
llama.cpp.
"""

from etude.weights.gguf import save_gguf
from etude.weights.gpt2 import gpt2
from etude.weights.load import load_torch
from etude.weights.save import save_torch

__all__ = ["gpt2", "load_torch", "save_gguf", "save_torch"]

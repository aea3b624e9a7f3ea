"""ONNX, in and out: ``etude.onnx.load(path)`` and ``etude.onnx.export(model, example, path)``.

Both go through one table (``table.py``, ``families/``) and refuse by name what is not in it.
``import etude`` does not import the package onnx; these two verbs do, and say what to install.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from etude.onnx.table import Refused
from etude.onnx.write import export

if TYPE_CHECKING:
    from etude.onnx.model import OnnxModel

__all__ = ["Refused", "export", "load"]


def load(path: str | os.PathLike[str]) -> OnnxModel:
    """The model in an ONNX file, as an Etude module: it runs, trains, prints and saves.

    Raises ValueError (``FileError``) for a file that is damaged, unsafe or not ONNX, and
    ``Refused`` for a model with an op, a dtype or a convention that Etude does not have.
    """
    from etude.onnx.model import load as load_model

    return load_model(path)

"""A model that training left behind, as an ONNX file: what `etude export --onnx` does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.shapes import FLOATS
from etude.onnx.write import export, package
from etude.train.catalog import MODELS
from etude.train.trained import TEXT

#: Where nothing else is said: the side of an image, and the length of a text.
SIDE, LENGTH = 32, 64

#: Model -> the shape of a sample, from its arguments.
SHAPES: dict[str, Callable[[dict[str, Any]], tuple[int, ...]]] = {
    "mlp": lambda given: (given["inputs"],),
    "lenet": lambda given: (given["channels"], given["size"], given["size"]),
    "resnet20": lambda given: (given["channels"], SIDE, SIDE),
    "char_rnn": lambda given: (LENGTH,),
    "gpt": lambda given: (given["block_size"],),
}


def write(trained: Any, path: Path, shape: tuple[int, ...] | None) -> str:
    """Write the model of a ``Trained``; the batch may have any size later, ``shape`` is that of
    one sample. Returns a sentence about the file. Raises as ``etude.onnx.export``.
    """
    onnx = package("export")
    if shape is None:
        shape = _shape(trained)
    text = trained.name in TEXT
    floats = next(t.dtype for t in trained.model.state_dict().values() if t.dtype in FLOATS)
    export(trained.model, np.zeros((2, *shape), np.int64 if text else floats), path)
    graph = onnx.load(path, load_external_data=False)
    x, y = [_words(value) for value in (graph.graph.input[0], graph.graph.output[0])]
    return (f"{path}: {trained.name} as ONNX, opset {graph.opset_import[0].version}, from {x} to "
            f"{y}")


def _shape(trained: Any) -> tuple[int, ...]:
    made = SHAPES.get(trained.name)
    if made is None:
        raise ValueError(f"the shape of a sample of {trained.name} is not known; say it, as "
                         f"--shape 3,32,32")
    signature = inspect.signature(MODELS[trained.name]).parameters.values()
    defaults = {p.name: p.default for p in signature if p.default is not p.empty}
    return made(defaults | trained.arguments)


def _words(value: Any) -> str:
    """"input (batch, 64)"."""
    dims = value.type.tensor_type.shape.dim
    return f"{value.name} ({', '.join(d.dim_param or str(d.dim_value) for d in dims)})"

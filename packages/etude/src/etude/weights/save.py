"""``save_torch``: the weights of a model as PyTorch's users have them, in .safetensors or .pt."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.errors import did_you_mean
from etude.data.files import write_atomically
from etude.nn.module import Module
from etude.train.checkpoint import host_array, path_first, write_arrays
from etude.weights.layouts import Layout, Row, layouts
from etude.weights.pt_write import pt_bytes

PathLike = str | os.PathLike[str]
Array = np.ndarray[Any, Any]


def save_torch(path: PathLike, model: Module, names: str | Mapping[str, str] | None = None) -> None:
    """Write the weights of ``model`` so that PyTorch's ``load_state_dict(..., strict=True)`` takes
    them: a .safetensors file, or a .pt file, as the name of the path ends.

    ``names`` is "gpt2", "nanogpt" or "resnet", whose names and layouts the file then has, or a dict
    of {name there: name here}, as in ``load_torch``; without it names are those of ``state_dict``.
    ValueError for another ending, or a layout that is not for this model; OSError as from ``open``;
    ImportError for .safetensors without safetensors. The file is the old or the whole new one.
    """
    path_first("save_torch", path, model)
    ending = Path(path).suffix
    if ending not in (".safetensors", ".pt", ".pth", ".bin"):
        raise ValueError(f"save_torch: {os.fspath(path)!r} ends in {ending!r}, and the ending says "
                         f"how to write: .safetensors, or .pt (also .pth and .bin)"
                         f"{did_you_mean(ending, ['.safetensors', '.pt', '.pth', '.bin'])}")
    arrays = named_there(model, names)
    if ending == ".safetensors":
        write_arrays(path, arrays, {"format": "pt"})  # what Hugging Face's loaders ask for
    else:
        write_atomically(path, pt_bytes(arrays))


def named_there(model: Module, names: str | Mapping[str, str] | None) -> dict[str, Array]:
    """The weights of ``model`` by their names there, each in C order."""
    found = layouts(model, names)
    if not found:
        raise ValueError(f"save_torch: the layout {names!r} has no place for the weights of this "
                         f"{type(model).__name__}")
    layout, rows = found[0]
    return _there(layout, rows, {k: host_array(t) for k, t in model.state_dict().items()})


def _there(layout: Layout, rows: list[Row], ours: Mapping[str, Array]) -> dict[str, Array]:
    arrays = {row.theirs: ours[row.ours].T if row.transposed else ours[row.ours] for row in rows}
    copies = {copy: ours[weight] for copy, weight in layout.copies.items()}
    return {k: np.ascontiguousarray(a).reshape(a.shape) for k, a in (arrays | copies).items()}

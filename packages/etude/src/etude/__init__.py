"""Etude: a deep-learning framework to read, take apart and make fast, one kernel at a time.

The reading path: ``core/table.py`` (what an op is), ``ops/`` (the reference), ``core/columns.py``
(which code runs it), ``core/tensor.py``, ``core/dispatch.py`` and ``core/tape.py``. Then ``nn``,
``optim``, ``data``, ``models``, ``train`` and ``backends``, which are imported when first used:
without the folder ``backends`` the reference still runs.
"""

import os
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from etude import functional, ops
from etude.core.array import DeviceArray
from etude.core.autograd import backward, grad
from etude.core.columns import Column, Event
from etude.core.creation import arange, full, ones, ones_like, zeros, zeros_like
from etude.core.errors import (
    AxisError,
    BackendError,
    CaptureError,
    DeviceError,
    DTypeError,
    FileError,
    ShapeError,
    Unsupported,
    no_such_name,
)
from etude.core.random import Generator, manual_seed
from etude.core.shapes import Spec, float32, float64, int64
from etude.core.shapes import bool_ as bool
from etude.core.state import Tables, current, enable_grad, is_grad_enabled, no_grad, tap
from etude.core.table import TABLE, op
from etude.core.tensor import Tensor, from_dlpack, from_numpy, tensor
from etude.functional import *  # noqa: F403 - every public op, from the table
from etude.inspect.draw import draw
from etude.inspect.gradcheck import gradcheck
from etude.inspect.receipt import Receipt, check_nan, receipt
from etude.inspect.summary import summary

if TYPE_CHECKING:
    from etude import backends, data, models, nn, onnx, optim, train, weights
    from etude.backends import BackendInfo, hookimpl, implements, set_default_backend, use
    from etude.measure.profile import profile
    from etude.replay.captured import capture
    from etude.train.checkpoint import (
        load_checkpoint,
        load_weights,
        save_checkpoint,
        save_weights,
    )
    from etude.weights import load_torch, save_gguf, save_torch

try:
    __version__ = version("etude")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"

#: What plugins of interface 1 call a column: they are imported before they can be told to change.
Backend = Column

#: Imported when first used: packages, and names with the package they are in.
_LAZY = dict.fromkeys(("backends", "data", "models", "nn", "onnx", "optim", "train", "weights"), "")
_LAZY |= dict.fromkeys(("BackendInfo", "hookimpl", "implements", "set_default_backend", "use"),
                       "backends")
_LAZY |= {"capture": "replay.captured", "profile": "measure.profile"}
_LAZY |= dict.fromkeys(("load_checkpoint", "load_weights", "save_checkpoint", "save_weights"),
                       "train.checkpoint")
_LAZY |= dict.fromkeys(("load_torch", "save_gguf", "save_torch"), "weights")

#: Names that people know from PyTorch and NumPy, and that did_you_mean would not find.
_ELSEWHERE = {
    "save": "etude.save_weights(path, model), or etude.save_checkpoint for all of a training",
    "load": "etude.load_weights(path, model), or etude.load_checkpoint for all of a training; "
            "etude.load_torch reads PyTorch's files",
    "Module": "etude.nn.Module", "Parameter": "etude.nn.Parameter",
    "DataLoader": "etude.data.DataLoader", "array": "etude.tensor(...)",
}


def _default_stack(device: str) -> tuple[Column, ...]:
    """What runs on ``device`` when nobody chose. Only another device than "cpu", or the
    environment variable ETUDE_BACKEND, needs the backends for an answer."""
    if device == "cpu" and not os.environ.get("ETUDE_BACKEND"):
        return ()
    from etude.backends.resolve import default_stack

    return default_stack(device)


Tables.default_stack = staticmethod(_default_stack)

__all__ = sorted({n for n in dict(globals()) if not n.startswith("_")} - {
    "Any", "PackageNotFoundError", "TYPE_CHECKING", "Tables", "import_module", "no_such_name", "os",
    "version"}
    | _LAZY.keys() - {"backends"})


def _lab() -> Any:
    """The GPU lab, which another package brings."""
    try:
        return import_module("etude_cuda.lab")
    except ModuleNotFoundError as error:
        if error.name not in ("etude_cuda", "etude_cuda.lab"):
            raise
        raise BackendError("etude.lab runs CUDA kernels without a GPU, and comes with the package "
                           "etude-cuda: pip install etude-cuda") from error


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        home = _LAZY[name]
        found = (getattr(import_module(f"etude.{home}"), name) if home
                 else import_module(f"etude.{name}"))
        globals()[name] = found
        return found
    if name == "lab":
        found = _lab()
        globals()[name] = found
        return found
    if name in TABLE and not TABLE[name].internal:  # entered later, by a user's own file or cell
        return getattr(functional, name)
    if name in _ELSEWHERE:
        raise AttributeError(f"etude has no {name!r}; write {_ELSEWHERE[name]}")
    raise no_such_name("etude", name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

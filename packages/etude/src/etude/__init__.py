"""Etude: a deep-learning framework to read, take apart and make fast, one kernel at a time.

The reading path: ``table.py`` (what an op is), ``ops/`` (the reference), ``backend.py`` (which
code runs it), ``tensor.py`` and ``autograd.py``; then ``nn``, ``optim``, ``data``,
``models`` and ``train``, which are imported when first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from etude import ops
from etude.autograd import backward, enable_grad, grad, is_grad_enabled, no_grad
from etude.backend import Backend, Event, current, tap, use
from etude.creation import (
    arange,
    from_numpy,
    full,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from etude.draw import draw
from etude.errors import (
    AxisError,
    BackendError,
    DeviceError,
    DTypeError,
    ShapeError,
    Unsupported,
)
from etude.gradcheck import gradcheck
from etude.plugins import BackendInfo, hookimpl, implements
from etude.random import Generator, manual_seed
from etude.receipt import Receipt, check_nan, receipt
from etude.shapes import Spec, float32, float64, int64
from etude.shapes import bool_ as bool
from etude.summary import summary
from etude.table import TABLE, op
from etude.tensor import Tensor

from etude import functional  # isort: skip - attaches Tensor's operators, so it comes last
from etude.functional import *  # noqa: F403 - every public op, from the table

if TYPE_CHECKING:
    from etude import data, models, nn, optim, train
    from etude.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights

try:
    __version__ = version("etude")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"

#: Imported when first used: modules, and functions with the module they are in.
_LAZY = {"data": "", "models": "", "nn": "", "optim": "", "train": "",
         "load_checkpoint": "checkpoint", "load_weights": "checkpoint",
         "save_checkpoint": "checkpoint", "save_weights": "checkpoint"}


def first_divergence(fn: Any, first: Any = "reference", second: Any = "cpu", **options: Any) -> Any:
    """Run ``fn()`` on two backends; the first op that leaves its error bound on the second, with
    your line and a reproducer, or None. ``options`` are state, drift and save: see
    ``etude_check.diagnose.first_divergence``. Raises ModuleNotFoundError without etude-check.
    """
    try:
        from etude_check import diagnose
    except ModuleNotFoundError as missing:
        if missing.name != "etude_check":
            raise
        raise ModuleNotFoundError("etude.first_divergence is part of the conformance kit: pip "
                                  "install etude-check", name="etude_check") from None
    return diagnose.first_divergence(fn, first, second, **options)


__all__ = sorted({n for n in dict(globals()) if not n.startswith("_")} - {
    "Any", "TYPE_CHECKING", "import_module", "version"} | _LAZY.keys())


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        home = _LAZY[name]
        return getattr(import_module(f"etude.{home}"), name) if home else import_module(
            f"etude.{name}")
    raise AttributeError(f"module 'etude' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})

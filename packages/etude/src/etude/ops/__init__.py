"""The reference: one file per family of ops, each entering its ops into the table.

``etude.ops.softmax(x, dim=-1)`` runs the reference on NumPy arrays: no Tensor, no gradient, no
accelerator. Every file in this folder is imported, so whoever adds a family edits no list.
"""

import importlib
import pkgutil
from typing import Any

from etude.core.errors import did_you_mean
from etude.core.table import TABLE

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

globals().update(TABLE)
__all__ = sorted(TABLE)


def __getattr__(name: str) -> Any:  # an op entered later, by a user's own file or cell
    if name in TABLE:
        return TABLE[name]
    raise AttributeError(f"etude.ops has no op {name!r}{did_you_mean(name, TABLE)}")

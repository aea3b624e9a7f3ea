"""The reference: one file per family of ops, each entering its ops into the table.

``etude.ops.softmax(x, dim=-1)`` runs the reference on NumPy arrays: no Tensor, no gradient, no
accelerator. Every file in this folder is imported, so whoever adds a family edits no list.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from etude.core.table import TABLE

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

globals().update(TABLE)
__all__ = sorted(TABLE)

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...

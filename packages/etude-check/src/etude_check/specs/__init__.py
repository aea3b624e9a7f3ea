"""The specs: how each op is checked, one file per family of ops, named as in ``etude/ops``.

A file says what it knows in the words of ``cases/`` and ``bounds/``. Nobody lists the files: they
are found by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from etude_check.cases.spec import SPECS, OpSpec


@cache
def specs() -> Mapping[str, OpSpec]:
    """Every spec, by op: the files of this folder are imported on the first call."""
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{module}")
    return SPECS

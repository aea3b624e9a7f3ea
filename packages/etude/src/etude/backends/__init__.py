"""Everything that makes a call run elsewhere than in the reference; the rest works without it.

``use.py`` is what people call. ``resolve.py`` finds the columns that they name, ``plugins.py``
those that are installed, ``implements.py`` those in a file of their own; ``native/`` calls
kernels in C. What a column is, and how a table of them runs a call, is in ``core/columns.py``.
"""

from etude.backends.implements import implements
from etude.backends.plugins import BackendInfo, hookimpl
from etude.backends.use import set_default_backend, use

__all__ = ["BackendInfo", "hookimpl", "implements", "set_default_backend", "use"]

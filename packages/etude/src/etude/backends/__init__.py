"""Everything that makes a call run elsewhere than in the reference; the rest works without it.

``use.py`` is what people call. ``resolve.py`` finds the columns that they name, ``plugins.py``
those that are installed, ``implements.py`` those in a file of their own; ``native/`` calls kernels
in C, and ``open_library`` gives a plugin the ops of a library that it ships. What a column is, and
how a table of them runs a call, is in ``core/columns.py``.
"""

from etude.backends.implements import implements
from etude.backends.native.library import open_library
from etude.backends.plugins import BackendInfo, hookimpl
from etude.backends.use import set_default_backend, use

__all__ = ["BackendInfo", "hookimpl", "implements", "open_library", "set_default_backend", "use"]

"""``etude.functional`` under PyTorch's address: ``import etude.nn.functional as F``.

There is one module with two names, so that a function has one identity, wherever it is imported
from. The last line puts it in this one's place.
"""

import sys
from typing import Any

from etude import functional
from etude.functional import *  # noqa: F403 - what a type checker reads


def __getattr__(name: str) -> Any:
    return getattr(functional, name)


sys.modules[__name__] = functional

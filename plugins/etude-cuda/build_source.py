"""Passes a CUDA file to what g++ and the lab read.

    build_source.py IN.cu OUT.cpp [-I FOLDER]

CMake runs it where neither etude nor this package is installed. A package etude_cuda of this file's
making leads to the modules of the pass, which need nothing else.
"""

import sys
import types
from pathlib import Path

_package = types.ModuleType("etude_cuda")
_package.__path__ = [str(Path(__file__).parent / "src" / "etude_cuda")]
sys.modules["etude_cuda"] = _package

from etude_cuda.lab.files import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())

"""Where the files of this package are: what was compiled, and the sources that travel with it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import etude_cuda


def compiled(name: str) -> Path | None:
    """A file that the build made, such as libetude_gpu_lab.so; None if it made none."""
    for folder in etude_cuda.__path__:  # two of them where the package is installed in place
        path = Path(folder) / name
        if path.is_file():
            return path
    return None


@cache
def sources() -> Path:
    """The folder c_src: of the repository where the package is installed in place, so that an edit
    counts at once; else the copy in the package.
    """
    folders = [Path(folder) for folder in etude_cuda.__path__]
    near = [parent / "c_src" for folder in folders for parent in folder.parents[:4]]
    for candidate in (*near, *[folder / "c_src" for folder in folders]):
        if (candidate / "cuda" / "kernel.cuh").is_file():
            return candidate
    raise FileNotFoundError("the CUDA sources of etude-cuda are not installed with it")


@cache
def built() -> dict[str, Any]:
    """What the build found and made: compilers, architectures, and why a library is not there."""
    path = compiled("built.json")
    return {} if path is None else json.loads(path.read_text(encoding="utf-8"))

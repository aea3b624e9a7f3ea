"""Processes under mpirun, for the files here, and etude_mpi, installed or from this repository."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

sys.path.insert(0, str(HERE))
if importlib.util.find_spec("etude_mpi") is None:
    sys.path.append(str(HERE.parents[1] / "plugins/etude-mpi/src"))


@pytest.fixture
def mpirun(tmp_path, tmp_path_factory):
    """The launcher; skips where there is nothing to launch with."""
    if shutil.which("mpirun") is None:
        pytest.skip("NOT RUN: needs mpirun (Debian: openmpi-bin)")
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("NOT RUN: needs mpi4py")
    from launched import Launcher, installed

    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if not any(p.name == "mpi" for p in importlib.metadata.entry_points(group="etude")):
        paths += installed(tmp_path_factory.mktemp("site"))
    return Launcher(tmp_path, paths)

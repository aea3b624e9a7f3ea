"""Processes under mpirun, for the files here, and etude_mpi, installed or from this repository."""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "plugins/etude-mpi"

sys.path.insert(0, str(Path(__file__).parent))
if importlib.util.find_spec("etude_mpi") is None:
    sys.path.append(str(PLUGIN / "src"))

#: What Open MPI wants of root, and for more ranks than cores.
ALLOWED = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
           "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMP_NUM_THREADS": "1"}
LONGEST = 120  # seconds that a command may take


def installed(folder):
    """etude_mpi as pip would leave it, in ``folder``: what finds plugins looks for this."""
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    info = folder / f"etude_mpi-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\n"
                                   f"Version: {project['version']}\n")
    lines = [f"{name} = {module}" for name, module in project["entry-points"]["etude"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[etude]", *lines, ""]))
    return [str(folder), str(PLUGIN / "src")]


class Launcher:
    """Commands in a folder, on some processes."""

    def __init__(self, folder, paths):
        self.folder = folder
        self.env = {**os.environ, **ALLOWED, "PYTHONPATH": os.pathsep.join(paths)}

    def start(self, n, *arguments, **env):
        """``python ARGUMENTS`` on ``n`` ranks, and a process group of its own."""
        return subprocess.Popen(
            ["mpirun", "-n", str(n), sys.executable, *map(str, arguments)], cwd=self.folder,
            env={**self.env, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True)

    def __call__(self, n, *arguments, status=0, **env):
        """Standard output and standard error of a whole run."""
        return self.ended(self.start(n, *arguments, **env), status)

    def ended(self, process, status=0):
        try:
            out, err = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        assert (process.returncode != 0) == (status != 0), f"{out}\n{err}"
        return out, err

    def train(self, n, *arguments, status=0, **env):
        return self(n, "-m", "etude", "train", *arguments, "--distributed", status=status, **env)

    def alone(self, *arguments):
        """``etude train ARGUMENTS`` in one process, without mpirun."""
        return subprocess.run([sys.executable, "-m", "etude", "train", *map(str, arguments)],
                              cwd=self.folder, env=self.env, text=True, capture_output=True,
                              timeout=LONGEST)


@pytest.fixture
def mpirun(tmp_path, tmp_path_factory):
    """The launcher; skips where there is nothing to launch with."""
    if shutil.which("mpirun") is None:
        pytest.skip("NOT RUN: needs mpirun (Debian: openmpi-bin)")
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("NOT RUN: needs mpi4py")
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if not any(p.name == "mpi" for p in importlib.metadata.entry_points(group="etude")):
        paths += installed(tmp_path_factory.mktemp("site"))
    return Launcher(tmp_path, paths)


def wait_for(found, what):
    """What ``found()`` gives, as soon as it gives something."""
    begin = time.monotonic()
    while not (answer := found()):
        assert time.monotonic() - begin < LONGEST, f"there is no {what}"
        time.sleep(0.1)
    return answer

"""Commands on several processes, and how to find one of these and send it a signal."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

PLUGIN = Path(__file__).parents[2] / "plugins/etude-mpi"

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


def wait_for(found, what):
    """What ``found()`` gives, as soon as it gives something."""
    begin = time.monotonic()
    while not (answer := found()):
        assert time.monotonic() - begin < LONGEST, f"there is no {what}"
        time.sleep(0.1)
    return answer


def ready(folder):
    """Whether some checkpoints are there."""
    return len(list(folder.glob("run/checkpoints/step-*.safetensors"))) > 1


def rank_of(process, rank):
    """The process number of a rank, a child of mpirun."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(child) for child in children if f"OMPI_COMM_WORLD_RANK={rank}\0" in
                Path(f"/proc/{child}/environ").read_text())

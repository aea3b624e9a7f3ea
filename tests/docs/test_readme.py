"""The README, typed as it stands: its programs and its commands."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import following

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.S)
CELLS = [row.split("|")[2] for row in README.splitlines() if row.startswith("| ")]
COMMANDS = [command for cell in CELLS for command in re.findall(r"`(etude [^`]+)`", cell)]


#: For the command that runs one.
CUDA = r"""
#include <cstdio>

__global__ void fill(int *x)
{
    x[threadIdx.x] = threadIdx.x;
}

int main()
{
    int *x, last;
    cudaMalloc(&x, 32 * sizeof(int));
    fill<<<1, 32>>>(x);
    cudaMemcpy(&last, x + 31, sizeof(int), cudaMemcpyDeviceToHost);
    std::printf("the last is %d\n", last);
    cudaFree(x);
}
"""


def test_the_program_learns():
    names = {}
    exec(compile(PROGRAMS[0], "README.md", "exec"), names)
    assert names["loss"].item() < 0.5  # a guess costs ln 10 = 2.3


def test_the_column_is_a_softmax():
    names = {}
    exec(compile(PROGRAMS[1], "README.md", "exec"), names)
    np.testing.assert_allclose(names["my_softmax"](np.zeros((2, 4))), 0.25)


def test_the_commands_of_the_table_run_as_typed(tmp_path):
    for needed in ("click", "safetensors", "optuna", "etude_check", "etude_cuda"):
        pytest.importorskip(needed, reason=f"NOT RUN: needs the package {needed}")
    if not shutil.which("g++"):
        pytest.skip("NOT RUN: needs g++")
    (tmp_path / "prog.cu").write_text(CUDA)
    (tmp_path / "my_softmax.py").write_text(PROGRAMS[1])
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        output = following.run(f"{command}; echo status $?", tmp_path)
        assert "Traceback" not in output, command
        if "my_softmax" in command:
            assert "status 1" in output  # the formula as it stands overflows
            assert "my_softmax.py" in output
        else:
            assert output.endswith("status 0\n"), output
        if "prog.cu" in command:
            assert "the last is 31" in output
            assert "nothing found" in output


def test_no_command_names_the_environment_or_is_of_a_tool_that_is_not_there():
    assert ".venv/bin/etude" not in README
    assert "source .venv/bin/activate" in README
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}\b.*:", (ROOT / "Makefile").read_text(), re.M), target


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_what_stands_behind_a_command_is_a_comment(name):
    commands = re.findall(r"^(?:make|pip|bash|git) .*", (ROOT / name).read_text(), re.M)
    assert len(commands) >= 5
    assert [line for line in commands if re.search(r" {2,}[^# ]", line)] == []

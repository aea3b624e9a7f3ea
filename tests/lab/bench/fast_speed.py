"""What the lab's fast mode costs beside plain C, on one core: python tests/lab/bench/fast_speed.py

The goals are 4 times the time of plain C for a vector add and 12 times for a tiled matmul.
"""

import subprocess
from pathlib import Path

from etude_cuda.lab.build import build_program

if __name__ == "__main__":
    program = build_program([Path(__file__).with_name("speed.cu")], "fast").executable
    subprocess.run([str(program)], check=True, env={"LAB_WORKERS": "1"})

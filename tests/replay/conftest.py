"""The tests of this folder share ``twins.py``, ``watched.py`` and ``passes/programs.py``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "passes")]

"""The tests of this folder share the little tracer ``watched.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

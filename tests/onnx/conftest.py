"""Lets the tests of exchange share ``exported.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

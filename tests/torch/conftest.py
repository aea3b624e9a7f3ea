"""What the comparisons with PyTorch share: one thread, and the lists of ops and layers to compare.

Everything here is collected by ``tox -e torch`` alone: file names are not of the form test_*.py.
"""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "ops", HERE.parent / "nn"):
    sys.path.insert(0, str(folder))

torch.set_num_threads(1)

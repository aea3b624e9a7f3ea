"""Lets the comparisons with PyTorch share their helpers, and the ops and layers of other folders.

``tox -e torch`` alone collects them: file names are not of the form test_*.py. An ordinary run
reads this file too, so nothing here may import torch.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "ops", HERE.parent / "nn"):
    sys.path.insert(0, str(folder))

"""Lets the comparisons with PyTorch share their helpers, the ops and layers of other folders,
and the table of differences in docs.

``tox -e torch`` alone collects them: file names are not of the form test_*.py. An ordinary run
reads this file too, so nothing here may import torch.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parent / "ops", HERE.parent / "nn", HERE.parents[1] / "docs"):
    sys.path.insert(0, str(folder))

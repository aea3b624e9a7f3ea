"""What Etude does otherwise than PyTorch, by decision: the table ``docs/from_pytorch.toml``.

The same table makes the page "Coming from PyTorch". Nothing here needs PyTorch.
"""

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

TABLE = Path(__file__).parents[2] / "docs" / "from_pytorch.toml"
ROWS = tomllib.loads(TABLE.read_text(encoding="ascii"))["difference"]
USED = set()  # indices of the rows that explained something


def why_refused(name, said, named):
    """Why Etude refuses a call by decision, or "" if nobody decided it.

    name: "softmax", or "Tensor.softmax" for the method; said: the error; named: the arguments
    under PyTorch's names, as far as they are known.
    """
    for i, row in enumerate(ROWS):
        if _explains(row, name, said, named):
            USED.add(i)
            return row["why"]
    return ""


def _explains(row, name, said, named):
    bare = name.removeprefix("Tensor.")
    of = row.get("of", "*")
    if not any(fnmatch(n, p) for n in (name, bare) for p in ([of] if isinstance(of, str) else of)):
        return False
    if "parameter" in row:
        return any(p in named for p in row["parameter"])
    if "dtype" in row:
        return said in {f"dtype {d}" for d in row["dtype"]} | row.get("says", set())
    return re.search(row["says"], said) is not None

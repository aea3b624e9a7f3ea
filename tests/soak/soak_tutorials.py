"""The cells of every notebook as one plain Python program each: no Jupyter, no IPython.

Building the documentation executes the same cells, in a kernel. Run: tox -e soak.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_a_notebook_runs_as_a_plain_program(path, tmp_path):
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "docs" / "notebooks.py")
    notebooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebooks)
    cells = notebooks.notebook(path.read_text()).cells
    program = tmp_path / "chapter.py"
    program.write_text("\n\n".join(cell.source for cell in cells if cell.cell_type == "code"))
    run = subprocess.run([sys.executable, str(program)], cwd=tmp_path, text=True, check=False,
                         capture_output=True, env={**os.environ, "MPLBACKEND": "Agg"})
    assert run.returncode == 0, run.stderr
    assert run.stdout

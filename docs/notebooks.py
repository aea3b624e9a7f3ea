"""The tutorials as notebooks: ``make notebooks`` writes notebooks/*.ipynb and opens JupyterLab.

A chapter is one text, docs/tutorials/*.md, and building the documentation executes it. A notebook
is made from it for whoever wants to change the cells. What somebody changed is never written over:
a notebook carries the fingerprint of the cells it was made with, and one with other cells stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "docs" / "tutorials"
NOTEBOOKS = ROOT / "notebooks"
GALLERY = "gallery"  # the folder of those about other frameworks, here and there

SOLUTION = re.compile(r"<details.*?</details>", re.S)
CELL = re.compile(r"```\{code-cell\} ipython3\n(:tags: [^\n]*\n\n)?")
CHAPTER_LINK = re.compile(r"\]\(((?:\.\./)?[\w-]+)\.md(?=[)#])")


# ------------------------------------------------------------------ one chapter


def notebook(text: str, up: str = "../") -> nbformat.NotebookNode:
    """The notebook of a chapter, without outputs, with its own fingerprint. ``up`` is the way from
    the chapter to docs/.
    """
    text = text.split("---\n", 2)[2]  # what stands on top is for Sphinx
    # A solution stays folded, its code with it: to be read, not to run before one has tried.
    text = SOLUTION.sub(lambda found: CELL.sub("```python\n", found[0]), text)
    text = text.replace(f"]({up}", f"]({up}docs/")  # other pages, as seen from notebooks/
    text = CHAPTER_LINK.sub(r"](\1.ipynb", text)
    made = jupytext.reads(text, fmt="md:myst")
    for cell in made.cells:
        if "hide-input" in cell.metadata.get("tags", ()):
            cell.metadata["jupyter"] = {"source_hidden": True}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made.metadata = nbformat.from_dict(
        {"kernelspec": kernel, "etude": {"made_with": fingerprint(made)}})
    return made


def fingerprint(cells_of: nbformat.NotebookNode) -> str:
    """Of the text in the cells alone: running them, which writes outputs, leaves it as it is."""
    cells = [[cell.cell_type, cell.source] for cell in cells_of.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def write(chapter: Path, folder: Path) -> str:
    """Bring the notebook of a chapter up to date; returns what was done, "" for nothing."""
    path = folder / f"{chapter.stem}.ipynb"
    up = "../../" if chapter.parent.name == GALLERY else "../"
    new = notebook(chapter.read_text(encoding="utf-8"), up)
    if path.exists():
        made_with, now = _origin(path)
        if now != made_with:
            if made_with == fingerprint(new):
                return f"{path.name}: kept, with your changes"
            return (f"{path.name}: kept, with your changes. The chapter is another one by now: "
                    "rename yours and run this again, and you have both")
        if now == fingerprint(new):
            return ""
    beside = path.with_suffix(".new")
    nbformat.write(new, beside)
    os.replace(beside, path)
    return f"{path.name}: written"


def _origin(path: Path) -> tuple[str, str]:
    """The fingerprint a notebook was made with, and that of its cells now."""
    try:
        there = nbformat.read(path, as_version=4)
        return there.metadata.etude.made_with, fingerprint(there)
    except (OSError, ValueError, AttributeError):  # damaged, or not from here
        return "none", "unknown"


# ------------------------------------------------------------------ all of them


def write_all(folder: Path) -> list[str]:
    """The notebooks of all chapters; returns a line for each about which there is one to say."""
    (folder / GALLERY).mkdir(parents=True, exist_ok=True)
    said = [write(chapter, folder) for chapter in sorted(CHAPTERS.glob("*.md"))]
    said += [write(chapter, folder / GALLERY)
             for chapter in sorted(CHAPTERS.glob(f"{GALLERY}/*.md"))]
    return [line for line in said if line]


def command(environment: dict[str, str], platform: str = sys.platform) -> list[str]:
    """How JupyterLab is started. Where no browser can open, it prints its address alone."""
    line = [sys.executable, "-m", "jupyterlab", "--log-level=ERROR",
            f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{NOTEBOOKS.name}"]
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if platform == "linux" and not any(environment.get(name) for name in screens):
        line.append("--no-browser")
    if os.geteuid() == 0:  # in a container, as a rule; Jupyter wants to be told
        line.append("--allow-root")
    return line


def opening(command: list[str]) -> str:
    """What JupyterLab, started like this, is about to do."""
    if "--no-browser" in command:
        return (f"Starting JupyterLab for {NOTEBOOKS.name}/. No screen found: open the "
                f"http://localhost... line below in a browser. Ctrl-C twice ends it.")
    return f"Opening {NOTEBOOKS.name}/ in JupyterLab; Ctrl-C twice ends it."


if __name__ == "__main__":
    for said in write_all(NOTEBOOKS):
        print(f"    {said}")
    start = command(dict(os.environ))
    print(f"    {opening(start)}", flush=True)
    os.execv(start[0], start)

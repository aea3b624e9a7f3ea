"""The signposts in the opening text of every file are true: the files, folders and names exist.

A signpost is a file name (``loop.py``, c_src/cpu/softmax.c), a folder with its slash (``ops/``) or
a dotted name (``etude.core.table.TABLE``). A file is looked for beside the text, in its package, in
the folders that packages lie in, in the repository, and where compilers find ``etude.h``. In three
forms a signpost *promises* a name, and then the file must define or import that name:

    ``Name`` (``file.py``)        ``Name`` in ``file.py``        ``file.py`` holds ``Name``

Also "is in" and "are in"; several names are joined by commas and "and"; a C comment writes `Name`
in file.c. Lines indented by four are examples, and what stands in double quotes is a file of the
reader's own: neither is a signpost.
"""

import ast
import importlib
import inspect
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = [p.parent for p in sorted([*ROOT.glob("packages/*/pyproject.toml"),
                                      *ROOT.glob("plugins/*/pyproject.toml")])]

#: Files that an opening text may name though they are not of this repository.
ELSEWHERE = {
    "e_rem_pio2.c": "fdlibm's reduction of an angle",
    "k_sin.c": "fdlibm's sine",
    "k_cos.c": "fdlibm's cosine",
    "repro.py": "written beside a failing call by etude_check",
}

QUIET = re.compile(r'https?://\S+|"[^"]*"')
FILE = r"(?:[\w.-]+/)*[\w.-]*\w\.(?:py|c|h|cu|md|txt)(?![\w/])"
FILES = re.compile(rf"(?<![\w./$-]){FILE}")
FOLDERS = re.compile(r"(?<![\w./$-])(?:[\w-]+/)+(?![\w/*]|\.\w)")
DOTTED = re.compile(r"(?<![\w./-])etude(?:_\w+)?(?:\.[A-Za-z_]\w*)+")
NAME = r"``[A-Za-z_][\w.]*(?:\(\))?``"
NAMES = rf"{NAME}(?:(?:, and |, | and ){NAME})*"
PROMISES = [re.compile(rf"(?P<names>{NAMES}) (?:\(|(?:is |are )?in )(?:``)?(?P<file>{FILE})"),
            re.compile(rf"(?P<file>{FILE})(?:``)? holds (?P<names>{NAMES})")]


def sources(root):
    """Every Python and C file whose opening text is read. Links to other folders are left out."""
    for top in ("packages", "plugins", "c_src"):
        for folder, inner, files in os.walk(root / top):
            inner[:] = sorted(d for d in inner if not d.startswith((".", "_", "build")))
            for name in sorted(files):
                if Path(name).suffix in (".py", ".c", ".h"):
                    yield Path(folder, name)


def opening(path):
    """The module docstring, or the first comment of a C file, on one line, without examples."""
    if path.suffix == ".py":
        text = ast.get_docstring(ast.parse(path.read_text())) or ""
    else:
        found = re.match(r"/\*(.*?)\*/", path.read_text(), re.S)
        text = inspect.cleandoc(found[1]) if found else ""
        text = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", r"``\1``", text)
    lines = [line for line in text.splitlines() if not line.startswith("    ")]
    return QUIET.sub(" ", " ".join(line.strip() for line in lines))


def places(path):
    """The folders that a file name in ``path`` may be relative to, the nearest first."""
    package = next((p for p in PACKAGES if path.is_relative_to(p)), None)
    own = [] if package is None else [package, *(package / "src").glob("*/")]
    lab = ROOT / "c_src/lab"
    headers = [ROOT / "packages/etude/src/etude/include", lab, lab / "runtime", lab / "include",
               lab / "include/lab"]
    return [path.parent, *own, *(p / "src" for p in PACKAGES), ROOT, *headers]


def find(path, name):
    """The file or folder that ``name`` means in the opening text of ``path``, or None."""
    return next((place / name for place in places(path) if (place / name).exists()), None)


def names_in(path):
    """The names that a Python file defines or imports; of a C file all words of its code."""
    if path.suffix != ".py":
        code = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', " ", path.read_text(), flags=re.S)
        return set(re.findall(r"\w+", code))
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def holds(path, name):
    """Whether a file has each part of a name such as ``Op.check``."""
    return set(name.split(".")) <= names_in(path)


def is_there(dotted):
    """Whether a dotted name leads to a module, or to a name in the module that it comes to."""
    first, *rest = dotted.split(".")
    place = next((p / "src" / first for p in PACKAGES if (p / "src" / first).is_dir()), None)
    if place is None:
        return False
    while rest and (place / rest[0]).is_dir():
        place /= rest.pop(0)
    if rest and (place / f"{rest[0]}.py").is_file():
        module = place / f"{rest.pop(0)}.py"
    else:
        module = place / "__init__.py"
    if all(holds(module, part) for part in rest):
        return True
    if first != "etude":  # which imports everywhere; the ops in its namespaces have no text
        return False
    found = importlib.import_module(first)
    for part in dotted.split(".")[1:]:
        found = getattr(found, part, None)
    return found is not None


def signposts(path):
    """(text, whether it is true) for each signpost in the opening of ``path``."""
    text = opening(path)
    for pattern in PROMISES:
        for promise in pattern.finditer(text):
            target = find(path, promise["file"])
            for name in re.findall(r"``([\w.]+)", promise["names"]):
                true = target is not None and holds(target, name)
                yield f"{name} in {promise['file']}", true
    for name in FILES.findall(text):
        if name not in ELSEWHERE:
            yield name, find(path, name) is not None
    text = FILES.sub(" ", text)
    for name in FOLDERS.findall(text):
        found = find(path, name)
        yield name, found is not None and found.is_dir()
    for name in DOTTED.findall(text):
        yield name, is_there(name)


@pytest.mark.parametrize("top", ["c_src", *(str(p.relative_to(ROOT)) for p in PACKAGES)])
def test_signposts_are_true(top):
    read = [path for path in sources(ROOT) if path.is_relative_to(ROOT / top)]
    found = [(path.relative_to(ROOT), text, true) for path in read
             for text, true in signposts(path)]
    assert len(found) > 3
    false = [f"{path}: {text}" for path, text, true in found if not true]
    assert not false, "signposts to nowhere:\n  " + "\n  ".join(false)


def test_enough_is_read():
    """Or the test above could pass because it no longer recognises anything."""
    found = [text for path in sources(ROOT) for text, _ in signposts(path)]
    assert len(found) > 250
    assert sum(" in " in text for text in found) > 12
    mentioned = " ".join(opening(path) for path in sources(ROOT))
    for name in ELSEWHERE:
        assert name in mentioned, f"{name}: no opening text names it any more"


def test_a_false_signpost_is_found(tmp_path):
    beside = tmp_path / "there.py"
    beside.write_text('"""Not a word of Absent."""\n\n\nclass Present:\n    size = 1\n')

    def told(text, name="lost.py"):
        path = tmp_path / name
        path.write_text(f'"""{text}"""\n' if name.endswith(".py") else f"/* {text} */\n")
        return list(signposts(path))

    assert told("See ``there.py``.") == [("there.py", True)]
    assert told("See ``gone.py``.") == [("gone.py", False)]
    assert told("The C is gone.c, the list in gone/.") == [("gone.c", False), ("gone/", False)]
    assert told("As ``etude.core.table.TABLE`` and ``etude.softmax``.") == [
        ("etude.core.table.TABLE", True), ("etude.softmax", True)]
    assert told("As ``etude.core.table.TABEL``.") == [("etude.core.table.TABEL", False)]
    assert told("As ``etude.autograd.Tape``.") == [("etude.autograd.Tape", False)]
    assert told("As ``etude_check.judge_.verdict``.") == [("etude_check.judge_.verdict", False)]

    assert told("``Present`` (``there.py``)")[0] == ("Present in there.py", True)
    assert told("``Present.size`` in ``there.py``")[0] == ("Present.size in there.py", True)
    assert told("``Absent`` (``there.py``)")[0] == ("Absent in there.py", False)
    assert told("``there.py`` holds ``Present`` and\n``Absent``.")[:2] == [
        ("Present in there.py", True), ("Absent in there.py", False)]
    assert told("`Absent` in there.py", "lost.c")[0] == ("Absent in there.py", False)

    assert told("An example:\n\n    use gone.py\n\nand no more.") == []
    assert told("Of a reader: \"mine.py\", https://example.org/gone.py", "lost.h") == []

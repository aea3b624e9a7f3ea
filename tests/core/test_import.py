"""What import etude pulls in, and how long the heart of it is."""

import ast
import io
import json
import subprocess
import sys
import tokenize
from pathlib import Path

import etude

PACKAGE = Path(etude.__file__).parent


def modules(code):
    """Top-level modules, the standard library's aside, that a new process has after ``code``."""
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True,
                          text=True, check=True)
    found = {name.partition(".")[0] for name in json.loads(done.stdout)}
    return {n for n in found - set(sys.stdlib_module_names) if not n.startswith("_")}


def test_import_needs_numpy_and_pluggy_alone():
    already = modules("pass")  # what an environment's site customisation brings by itself
    assert modules("import etude") - already == {"etude", "numpy", "pluggy"} - already


def test_a_first_step_needs_no_more_either():
    found = modules("import etude; x = etude.ones(2, requires_grad=True); x.exp().sum().backward()")
    assert "etude" in found
    assert not found & {"click", "rich", "cffi", "matplotlib", "scipy", "safetensors"}


def test_tensor_and_autograd_together_are_short():
    lines = {name: len((PACKAGE / name).read_text().splitlines())
             for name in ("tensor.py", "autograd.py")}
    assert all(n > 100 for n in lines.values())
    assert sum(lines.values()) < 700, lines


def test_what_etude_exports_exists_and_is_public():
    assert len(etude.__all__) > 50
    for name in etude.__all__:
        assert not name.startswith("_")
        assert hasattr(etude, name)
    shadowed = {"manual_seed", "rand", "dropout", "full", "tensor", "grad", "no_grad", "gradcheck",
                "check_nan", "receipt", "use", "tap", "implements"}
    assert shadowed <= set(etude.__all__)


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert etude.__version__ == version("etude")


READING_PATH = ["table.py", "tensor.py", "autograd.py", "backend.py", "columns.py", "plugins.py",
                "ops/*.py"]


def test_the_reading_path_is_an_evening_long():
    """Lines of code alone: docstrings, comments and blank lines are free, and so encouraged."""
    files = [path for pattern in READING_PATH for path in sorted(PACKAGE.glob(pattern))]
    lines = {str(path.relative_to(PACKAGE)): code_lines(path.read_text()) for path in files}
    assert len(files) >= 6 + 26
    assert min(lines.values()) > 0
    assert sum(lines.values()) < 2500, lines


def code_lines(source):
    """How many lines hold something else than a docstring or a comment."""
    told = set()
    for node in ast.walk(ast.parse(source)):
        speaks = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if speaks and ast.get_docstring(node):
            told.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
              tokenize.ENDMARKER}
    used = {line for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type not in silent
            for line in range(token.start[0], token.end[0] + 1)}
    return len(used - told)


def test_code_lines_are_counted_right():
    assert code_lines('"""Two\nlines."""\n\n# a comment\nx = 1  # one\n') == 1
    assert code_lines('def f(\n        x):\n    """Says."""\n    return """a\n\nb"""\n') == 5

"""No import circles, in-function imports counted; the core stands alone, without any backend."""

import ast
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"etude": ROOT / "packages/etude/src/etude",
            "etude_check": ROOT / "packages/etude-check/src/etude_check",
            "etude_course": ROOT / "packages/etude-course/src/etude_course",
            "etude_cpu": ROOT / "plugins/etude-cpu/src/etude_cpu"}


def modules(name, folder):
    """Module name -> file, of a package."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (name, *path.relative_to(folder).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(source, known):
    """The ``known`` modules that a text imports, wherever it does; TYPE_CHECKING is free."""
    tree = ast.parse(source)
    free = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            free.update(id(part) for child in node.body for part in ast.walk(child))
    found = set()
    for node in ast.walk(tree):
        if id(node) in free:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in known else node.module)
    return found & known


def graph(name):
    files = modules(name, PACKAGES[name])
    return {module: imports(path.read_text(), set(files)) - {module}
            for module, path in files.items()}


def circle(edges):
    """The modules of a circle, in order; [] if there is none."""
    state, path = {}, []

    def visit(module):
        state[module] = "open"
        path.append(module)
        for other in sorted(edges[module]):
            if state.get(other) == "open":
                return path[path.index(other):]
            if other not in state and (found := visit(other)):
                return found
        state[module] = "done"
        path.pop()
        return []

    for module in edges:
        if module not in state and (found := visit(module)):
            return found
    return []


@pytest.mark.parametrize("name", PACKAGES)
def test_there_is_no_import_circle(name):
    edges = graph(name)
    assert len(edges) > 2
    assert circle(edges) == []


def test_a_circle_would_be_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    known = {"etude.a", "etude.b"}
    assert imports("def f():\n    from etude import a\n", known) == {"etude.a"}
    assert imports("from etude.b import x\n", known) == {"etude.b"}
    assert imports("if TYPE_CHECKING:\n    import etude.b\n", known) == set()


def test_the_core_knows_neither_backends_nor_layers():
    edges = graph("etude")
    below = [m for m in edges if m.startswith(("etude.core", "etude.ops"))]
    assert len(below) > 30
    for module in below:
        outside = {m for m in edges[module] if not m.startswith(("etude.core", "etude.ops"))}
        assert not outside, f"{module} imports {outside}"
    for module in (m for m in below if m.startswith("etude.core")):
        assert not {m for m in edges[module] if m.startswith("etude.ops")}, module


def floors(package):
    """The floors of a package from the ground up, as its first docstring lists them."""
    text = ast.get_docstring(ast.parse((PACKAGES[package] / "__init__.py").read_text()))
    return re.findall(r"^    ([a-z_]+)(?:/|\.py) ", text, re.M)


WITH_FLOORS = ("etude_check", "etude_course")


@pytest.mark.parametrize("package", WITH_FLOORS)
def test_a_package_with_floors_lists_them_all(package):
    folder = PACKAGES[package]
    there = {p.stem for p in folder.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert sorted(floors(package)) == sorted(there - {"__init__", "__main__"})


@pytest.mark.parametrize("package", WITH_FLOORS)
def test_each_floor_imports_only_from_floors_below(package):
    order = {floor: level for level, floor in enumerate(floors(package))}
    order["__main__"] = len(order)
    checked = 0
    for module, others in graph(package).items():
        for other in others - {package}:
            mine, theirs = module.split(".")[1], other.split(".")[1]
            assert order[theirs] <= order[mine], f"{module} imports {other}, from a floor above"
            checked += 1
    assert checked >= len(order) - 2


def test_the_framework_knows_neither_its_judge_nor_its_course():
    for module, path in modules("etude", PACKAGES["etude"]).items():
        text = path.read_text()
        assert "etude_check" not in text, module
        assert "etude_course" not in text, module


def test_the_reference_alone_runs_with_the_backends_removed(tmp_path):
    """The README's claim, made physical: a copy of the package without that folder trains."""
    shutil.copytree(PACKAGES["etude"], tmp_path / "etude",
                    ignore=shutil.ignore_patterns("backends", "__pycache__"))
    script = """
        import etude
        from etude import data, models, nn, optim
        assert etude.__file__.startswith(WHERE), etude.__file__
        etude.manual_seed(0)
        train, test = data.digits()
        model = models.lenet(8)
        steps = optim.AdamW(model.parameters(), lr=3e-3)
        losses = []
        with etude.receipt() as r:
            for x, y in data.DataLoader(train, batch_size=64, shuffle=True):
                loss = nn.functional.cross_entropy(model(x), y)
                steps.zero_grad()
                loss.backward()
                steps.step()
                losses.append(loss.item())
        assert losses[-1] < losses[0] - 0.1, losses
        assert set(r.columns()) == {"reference"}, r.columns()
        try:
            etude.use("cpu")
        except ModuleNotFoundError as missing:
            assert missing.name == "etude.backends", missing
        else:
            raise AssertionError("etude.use without etude.backends")
        print("trained")
    """
    script = textwrap.dedent(script).replace("WHERE", repr(str(tmp_path)))
    environment = {k: v for k, v in os.environ.items() if k != "ETUDE_BACKEND"}
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, text=True,
                          env=environment | {"PYTHONPATH": str(tmp_path)}, capture_output=True)
    assert done.stdout == "trained\n", done.stderr

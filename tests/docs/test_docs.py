"""What the documentation shows is true: examples run, and op pages follow the table."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from etude.core.table import TABLE

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "docs" / "howto" / "scipy-plugin"
sys.path.insert(0, str(ROOT / "docs"))  # what makes the pages imports its neighbours


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def op_pages():
    return load(ROOT / "docs" / "op_pages.py")


@pytest.fixture
def newcomer(tmp_path):
    """An op entered from a file of its own, as a new family would be; gone again afterwards."""
    source = tmp_path / "newcomer_family.py"
    source.write_text(
        '"""A family that nobody lists."""\n'
        "from etude.core.table import op\n\n\n"
        '@op("map", saves="x", flops=3)\n'
        "def newcomer(x):\n"
        '    """y = x / (1 + |x|), elementwise."""\n'
        "    return x / (1 + abs(x))\n"
    )
    load(source)
    yield TABLE["newcomer"]
    del TABLE["newcomer"], sys.modules[source.stem]


def test_a_new_op_gets_its_page_and_index_row_with_no_list_edited(newcomer, op_pages, tmp_path):
    op_pages.write(tmp_path / "ops", {"softmax": ["torch.softmax"]})
    page = (tmp_path / "ops" / "newcomer_family_ops.md").read_text()
    assert "## newcomer" in page
    assert "y = x / (1 + |x|), elementwise." in page
    assert "`etude.functional.newcomer(x)`" in page
    assert "return x / (1 + abs(x))" in page
    index = (tmp_path / "ops.md").read_text()
    assert "[`newcomer(x)`](ops/newcomer_family_ops.md#op-newcomer)" in index


def test_every_op_of_the_table_has_a_page(op_pages, tmp_path):
    op_pages.write(tmp_path / "ops", {"softmax": ["torch.softmax"]})
    for op in TABLE.values():
        page = (tmp_path / "ops" / f"{op.family}_ops.md").read_text()
        assert f"## {op.name}\n" in page
        assert all(str(line) in page for line in op.conventions)


def test_how_near_the_definition_comes_is_told_of_every_op():
    honest, exact = (ROOT / "docs" / "measured.md").read_text().split("\n## ")
    assert set(re.findall(r"^\| `(\w+)`", exact, re.M)) == set(TABLE)
    assert not re.search(r"^\| `\w+` \| \d", honest, re.M)  # whose rows name an error model


def test_no_page_of_a_family_is_what_a_server_shows_for_the_folder(op_pages, tmp_path):
    op_pages.write(tmp_path / "ops", {"softmax": ["torch.softmax"]})
    assert any(op.family == "index" for op in TABLE.values())
    assert not (tmp_path / "ops" / "index.md").exists()


def test_a_page_whose_family_is_gone_is_removed(op_pages, tmp_path):
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops" / "old_family.md").write_text("# gone\n")
    op_pages.write(tmp_path / "ops", {"softmax": ["torch.softmax"]})
    assert not (tmp_path / "ops" / "old_family.md").exists()


def test_the_plugin_of_the_how_to_is_found_runs_and_declines(tmp_path):
    info = tmp_path / "etude_scipy-0.1.0.dist-info"
    info.mkdir()
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text())["project"]
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["etude"].items()
    (info / "entry_points.txt").write_text("[etude]\n" + "".join(f"{k} = {v}\n" for k, v in points))
    program = (
        "import numpy as np, etude\n"
        "x = etude.tensor(np.linspace(-3, 3, 7))\n"
        "expected = x.erf().numpy(), x.softmax(0).numpy()\n"
        "with etude.use('scipy') as chosen:\n"
        "    got = x.erf().numpy(), x.softmax(0).numpy()\n"
        "    assert not chosen.fallbacks, chosen.fallbacks\n"
        "    x[:0].softmax(0)\n"
        "    x.to(etude.float32).softmax(0)\n"
        "    print(*chosen.fallbacks)\n"
        "for a, b in zip(expected, got):\n"
        "    np.testing.assert_allclose(a, b, rtol=1e-12)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(PLUGIN)])
    run = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True,
                         env={**os.environ, "PYTHONPATH": path}, check=False)
    assert run.returncode == 0, run.stderr
    assert "('softmax', 'float32', 'scipy: float32: this column is for float64')" in run.stdout
    assert "('softmax', 'float64', 'scipy: rows of no elements')" in run.stdout


def test_all_distributions_share_one_version():
    files = [*ROOT.glob("packages/*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")]
    versions = {tomllib.loads(f.read_text())["project"]["version"] for f in files}
    assert len(files) >= 2
    assert len(versions) == 1, versions


def test_every_distribution_carries_the_licence():
    for project in (*ROOT.glob("packages/*/"), *ROOT.glob("plugins/*/")):
        assert (project / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_what_interface_2_added_in_python_is_an_argument_of_that_op():
    page = (ROOT / "docs" / "howto" / "plugin.md").read_text()
    table = page.partition("| op | new in a kernel")[2].partition("\n\n")[0]
    rows = [[re.findall(r"`(\w+)`", cell) for cell in line.strip("| ").split(" | ")]
            for line in table.splitlines()[2:]]
    assert ["padding_idx"] in [row[2] for row in rows if "embedding" in row[0]]
    for ops, _, arguments in rows:
        for op in ops:
            assert set(arguments) <= {*TABLE[op].attrs, *TABLE[op].arrays}, op

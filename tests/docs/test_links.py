"""Every link inside the repository leads somewhere. Those of the built pages are looked at by the
build itself (docs/conf.py), with the same file docs/links.py.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import links
import op_pages

ROOT = Path(__file__).parents[2]

MADE = {".git", ".venv", ".tox", "_build", "node_modules", "build", "dist"}


def markdown():
    """The Markdown files of the repository, without those that a build writes."""
    for folder, inner, files in os.walk(ROOT):
        inner[:] = sorted(d for d in inner if d not in MADE and not d.endswith("_cache"))
        here = Path(folder)
        if here == ROOT / "docs" / "ops":
            continue
        for name in sorted(files):
            if name.endswith(".md") and here / name != ROOT / "docs" / "ops.md":
                yield here / name


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The op pages, as a build writes them: path -> text."""
    folder = tmp_path_factory.mktemp("docs")
    op_pages.write(folder / "ops", {})
    return {ROOT / "docs" / path.relative_to(folder): path.read_text()
            for path in folder.rglob("*.md")}


def test_every_link_in_markdown_leads_somewhere(written):
    files = list(markdown())
    assert len(files) > 20
    pages = {path: path.read_text() for path in files}
    assert sum(len(links.LINK.findall(text)) for text in pages.values()) > 60
    broken = [f"{path.relative_to(ROOT)}: {link}" for path in files
              for link in links.in_markdown(path, written)]
    assert not broken, "links that lead nowhere:\n  " + "\n  ".join(broken)


def test_what_is_read_on_its_own_links_no_page_that_only_a_build_makes():
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for link in links.LINK.findall((ROOT / name).read_text()):
            assert not link.startswith(("docs/ops.md", "docs/ops/", "docs/_build"))
            assert link not in links.in_markdown(ROOT / name)


def test_a_link_to_nowhere_is_found(tmp_path):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    other.write_text("# A title, with `code`\n\n(here)=\n## Twice\n\n## Twice\n")
    page.write_text("[a](other.md) [b](gone.md) [c](other.md#here) [d](other.md#there)\n"
                    "[e](https://example.org/gone) [f](#own) [g](other.md#a-title-with-code)\n"
                    "[h](other.md#twice-1) [i](made.md#op-x) `[j](code.md)`\n\n# Own\n"
                    "```\n[k](code.md)\n# No heading\n```\n[l](#no-heading)\n")
    assert list(links.in_markdown(page)) == ["gone.md", "other.md#there", "made.md#op-x",
                                            "#no-heading"]
    made = {tmp_path / "made.md": "(op-x)=\n## x\n"}
    assert "made.md#op-x" not in list(links.in_markdown(page, made))


def test_a_link_to_nowhere_is_found_in_built_pages(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<a href="sub/two.html#place">1</a><a href="sub/two.html#none">2</a><img src="x.png">'
        '<a href="https://example.org">3</a><a href="#">4</a><a href="gone.html">5</a>')
    (tmp_path / "sub" / "two.html").write_text('<p id="place"><a href="../index.html">back</a>')
    assert list(links.in_pages(tmp_path)) == ["index.html: sub/two.html#none", "index.html: x.png",
                                              "index.html: gone.html"]

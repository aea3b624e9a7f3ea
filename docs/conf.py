"""Sphinx configuration. The op pages are written from the table by op_pages.py before reading.

Nothing here lists a tutorial, an op or a public name: tutorials/ is reached through a glob, ops
through the table, names through dir(etude). Warnings are errors (tox -e docs), so
a page that lies about a name or a link does not build; links.py looks at the links in the pages.
"""

import importlib
import inspect
import pkgutil
import re
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ExtensionError

import etude
import gallery_page
import gpu_zoo_page
import links
import onnx_page
import op_pages
import pytorch_page
import speed_page

project = "Etude"
author = "The Etude authors"
copyright = "The Etude authors. BSD-3-Clause."
release = version = etude.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
# Parts of other pages.
exclude_patterns = ["_build", "kernels.md", "measured.md", "from_pytorch_table.md",
                    "gallery_list.md", "gpu_zoo_table.md", "howto/onnx_tables.md", "speed_table.md",
                    "tutorials/a*"]  # the sources of assignments
nitpicky = False

# Tutorials run from top to bottom each time; one that raises fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds for a cell, on a busy machine too
nb_merge_streams = True
myst_enable_extensions = ["attrs_block", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "extra_repr"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_math_renderer = "mathml"  # defined below: readable offline, with no script from elsewhere
html_theme = "furo"
html_title = f"Etude {release}"
html_static_path = ["static"]
html_css_files = ["etude.css"]
html_js_files = ["calculator.js", "finder.js"]
html_copy_source = False
html_show_sphinx = False


def _inline_math(writer, node):
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def _display_math(writer, node):
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def _as_prose(app, what, name, obj, options, lines):
    """Docstrings are written for people: a star in a formula is a star, |x| a modulus, and a
    paragraph of lines "parameter: text" a list.
    """
    for i, line in enumerate(lines):
        if not line.startswith(" "):  # indented lines are code
            parts = re.split(r"(``.*?``)", line)
            parts[::2] = [re.sub(r"[*|]|(?<=\w)_(?!\w)", r"\\\g<0>", p) for p in parts[::2]]
            lines[i] = "".join(parts)
    for at in _parameter_lines(obj, lines):
        lines[at] = f":param {lines[at]}"


def _parameter_lines(obj, lines):
    """Where lines about a parameter begin, in paragraphs of nothing else (and longer than one)."""
    names = inspect.signature(obj).parameters if inspect.isfunction(obj) else {}
    ends = [i for i, line in enumerate([*lines, ""]) if not line]
    for begin, end in zip([-1, *ends], ends):
        heads = [i for i in range(begin + 1, end) if not lines[i].startswith(" ")]
        if len(heads) > 1 and all(lines[i].partition(":")[0] in names for i in heads):
            yield from heads


def _package_pages():
    """Page name -> text, for ``import etude`` and each package below it that has public names."""
    homes = defaultdict(list)
    for name in sorted(set(dir(etude)) - set(etude.functional.__all__)):
        thing = getattr(etude, name)
        home = getattr(thing, "__module__", None) or ""
        if home.startswith("etude.") and callable(thing) and not name.startswith("_"):
            kind = "class" if inspect.isclass(thing) else "function"
            members = "\n   :members:" if kind == "class" else ""
            homes[home].append(f".. auto{kind}:: etude.{name}{members}\n")
    parts = ["# etude\n\nWhat `import etude` gives, by the file it is in."]
    for home, entries in sorted(homes.items()):
        about = inspect.getdoc(sys.modules[home]).split("\n\n")[0]
        rst = "\n".join([about, "", *entries])
        parts.append(f"## {home.partition('.')[2]}\n\n```{{eval-rst}}\n{rst}```")
    yield "etude", "\n\n".join(parts) + "\n"

    for found in pkgutil.iter_modules(etude.__path__):
        if not found.ispkg or found.name in ("ops", "commands"):  # these have pages of their own
            continue
        module = importlib.import_module(f"etude.{found.name}")
        names = [n for n in getattr(module, "__all__", ()) if not _on_the_first_page(module, n)]
        if not names:
            continue
        rst = f".. automodule:: {module.__name__}\n   :members: {', '.join(names)}\n"
        yield (
            module.__name__,
            f"# {module.__name__}\n\n```{{eval-rst}}\n{rst}   :imported-members:\n```\n",
        )


def _on_the_first_page(module, name):
    """Whether ``etude`` itself has this name too; or it is a module, and has a page."""
    thing = getattr(module, name)
    return inspect.ismodule(thing) or thing is getattr(etude, name, None)


def _write_pages(app):
    op_pages.write(Path(app.srcdir) / "ops", pytorch_page.names())
    table = Path(app.srcdir) / "from_pytorch_table.md"
    op_pages.replace(table, pytorch_page.tables())
    op_pages.replace(Path(app.srcdir) / "gpu_zoo_table.md", gpu_zoo_page.table())
    op_pages.replace(Path(app.srcdir) / "howto" / "onnx_tables.md", onnx_page.tables())
    speed_page.write(Path(app.srcdir))
    gallery_page.write(Path(app.srcdir))
    for name, text in _package_pages():
        op_pages.replace(Path(app.srcdir) / "api" / f"{name}.md", text)


# ------------------------------------------------------------------ what a build says


def _say(text):
    """A line at once. Sphinx is asked to be quiet, and the cells of all pages take minutes."""
    print(text, file=sys.stderr, flush=True)


def _say_how_many(app, env, docnames):
    _say(f"Reading {len(docnames)} pages; those with cells run from top to bottom:")


def _say_which(app, docname, source):
    if "{code-cell}" in source[0]:
        _say(f"  {docname}")


def _say_writing(app, env):
    _say("Writing the pages")


def _finish(app, error):
    """Look at the links of the pages, and say where the first one is."""
    if error is None and app.builder.name == "html":
        broken = list(links.in_pages(Path(app.outdir)))
        if broken:
            raise ExtensionError("links that lead nowhere:\n  " + "\n  ".join(broken))
        _say(f"The documentation is in {Path(app.outdir) / 'index.html'}")


def setup(app):
    """Pages are written when the builder is ready and before it looks for them."""
    app.connect("builder-inited", _write_pages)
    app.connect("env-before-read-docs", _say_how_many)
    app.connect("source-read", _say_which)
    app.connect("env-updated", _say_writing)
    app.connect("build-finished", _finish)
    app.connect("autodoc-process-docstring", _as_prose)
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))

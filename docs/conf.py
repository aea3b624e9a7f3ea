"""Sphinx configuration. The op pages are written from the table by op_pages.py before reading.

Nothing here lists a tutorial or an op: tutorials/ is reached through a link and a glob, ops
through etude.table.TABLE. Warnings are errors (tox -e docs), so a page that lies about a name
or a link does not build.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

import etude
import op_pages

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
exclude_patterns = ["_build"]
nitpicky = False

# Tutorials run from top to bottom each time; one that raises fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 180
nb_merge_streams = True
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

html_math_renderer = "mathml"  # defined below: readable offline, with no script from elsewhere
html_theme = "furo"
html_title = f"Etude {release}"
html_static_path = ["static"]
html_css_files = ["etude.css"]
html_copy_source = False
html_show_sphinx = False


def _inline_math(writer, node):
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise SkipNode


def _display_math(writer, node):
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def _as_prose(app, what, name, obj, options, lines):
    """Docstrings are written for people: a star in a formula is a star."""
    literal = re.compile(r"(``.*?``)")
    for i, line in enumerate(lines):
        parts = literal.split(line)
        lines[i] = "".join(p if p.startswith("``") else p.replace("*", r"\*") for p in parts)


def setup(app):
    """Write ops/*.md when the builder is ready and before it looks for pages."""
    app.connect("builder-inited", lambda app: op_pages.write(Path(app.srcdir) / "ops"))
    app.connect("autodoc-process-docstring", _as_prose)
    app.add_html_math_renderer("mathml", (_inline_math, None), (_display_math, None))

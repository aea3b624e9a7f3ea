"""Reads C files: what each defines, and which others it leans on. A file leans on another that it
includes or whose function it names.
"""

import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

CPU = Path(__file__).parents[2] / "c_src" / "cpu"

QUIET = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
#: at the left margin: a return type, a name, parameters, a body
FUNCTION = re.compile(r"^((?:\w+[ \t*]+)+)(\w+)\([^;{}]*\)\s*\{", re.M)
#: kernel.h makes names of these: that of a kernel, and the beginning of its definition
NAME = re.compile(r"\bETUDE_NAME\((\w+)\)")
KERNEL = re.compile(r"\bETUDE_KERNEL\(\w+, (\w+)\)")


def code(text):
    """Without comments and without what stands in quotes; kernels under their names."""
    return NAME.sub(r"etude_\1", KERNEL.sub(r"int etude_\1", QUIET.sub(" ", text)))


def defines(text):
    """The functions that other files can call. A word in capitals is one of our macros that stand
    for static inline.
    """
    return {name for before, name in FUNCTION.findall(code(text))
            if not any(word == "static" or word.isupper() for word in before.split())}


def leans(sources):
    """{file: text} -> {file: the files it leans on}. A name in a header is a declaration, and
    needs nobody.
    """
    home = {name: file for file, text in sources.items() for name in defines(text)}
    found = {}
    for file, text in sources.items():
        names = set(re.findall(r"\w+", code(text))) if file.endswith(".c") else set()
        called = {home[name] for name in names & set(home)} - {file}
        included = {Path(path).name for path in INCLUDE.findall(text)} & set(sources)
        found[file] = called | included
    return found


def circle(graph):
    """The files of one circle, the first of them again at the end; None if there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def read(folder):
    sources = {p.name: p.read_text() for p in sorted(folder.iterdir()) if p.suffix in (".c", ".h")}
    assert sources, f"there is no C in {folder}"
    return sources

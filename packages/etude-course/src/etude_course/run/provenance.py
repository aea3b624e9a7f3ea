"""Whose work an answer is: what it may not use, found in its text, and taken from its worker.

``refused`` reads the answer before it runs: the syntax tree of Python, the undefined symbols of a
compiled library. It is what explains to a student that a name is not for this question, and no
wall: names can be made at run time. The wall is ``walls_for``: the worker of a question that
forbids Etude holds no reference, no other column, no part of the conformance kit but the worker,
and no library besides NumPy, neither in memory nor in files that it could read. A compiled answer
gets the glue of etude-cpu as well, whose threads its kernel may use, without the kernels there.
"""

from __future__ import annotations

import ast
import builtins
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import numpy as np

import etude
import etude_check
import etude_course
from etude.core.table import TABLE
from etude_check.worker.candidate import Candidate
from etude_check.worker.walls import Walls
from etude_course.run.handin import wanted
from etude_course.source.assignment import Question


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ETUDE = "etude"
#: Names of Etude that are no ops: an answer marks its functions with them and raises its errors.
MARKS = ("implements", "Unsupported", "ShapeError", "DTypeError", "AxisError")
NEEDED = {"numpy", "etude", "etude_check", "pluggy", "cffi", "_cffi_backend", "pycparser"}
WORKER = ("__init__.py", "errors.py", "worker")  # of etude_check
GLUE, CALLS, POOL = "etude_cpu", "etude_cpu.backend", ("__init__.py", "glue.py", "_glue")
OPERATORS = {"numpy.matmul": ast.MatMult, "numpy.dot": ast.MatMult}

#: Functions of the C library that a kernel may call, beside those of <math.h>.
LIBRARY = _words("""memcpy memmove memset memcmp malloc calloc realloc free aligned_alloc
    posix_memalign qsort abs labs llabs div ldiv printf puts putchar fprintf fputs snprintf stderr
    stdout __printf_chk __fprintf_chk __snprintf_chk __memcpy_chk __memset_chk __memmove_chk
    __stack_chk_fail __assert_fail __cxa_finalize __cxa_atexit __gmon_start__
    _ITM_deregisterTMCloneTable _ITM_registerTMCloneTable dyld_stub_binder bzero
    __errno_location""")
MATH = _words("""acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp
    exp10 exp2 expm1 fabs fdim floor fma fmax fmin fmod frexp hypot ilogb ldexp lgamma llrint
    llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter pow remainder remquo
    rint round roundeven scalbln scalbn sin sincos sinh sqrt tan tanh tgamma trunc __fpclassify
    __isinf __isnan __finite __signbit""")
#: The compiler's own: OpenMP, vectors of mathematical functions, C++, arithmetic in software.
RUNTIME = re.compile(r"GOMP_|omp_|__kmpc_|_ZGV|_Zn[aw]|_Zd[al]|_ZSt|_ZNSt|_ZNKSt|__gxx_personality"
                     r"|_Unwind_|__cxa_|__(add|sub|mul|div|fix|float|extend|trunc)\w+[sdtx]f\d?$"
                     r"|__(u?div|u?mod|mul)[dt]i\d$|__(popcount|c[lt]z)[sdt]i2$")


def forbidden(question: Question) -> tuple[str, ...]:
    """Names that an answer may not use: what the question says, or for an op all of Etude."""
    if question.forbid is not None:
        return tuple(name.removeprefix("builtins.") for name in question.forbid)
    return (ETUDE,) if any(c.ops or c.speed for c in question.checks) else ()


def refused(question: Question, path: Path) -> str:
    """Why an answer cannot be taken, in a sentence; "" if it can. A source in another language is
    looked at once it is compiled: see ``foreign``.
    """
    if path.suffix != ".py":
        return ""
    driven = any(c.call.startswith("drivers:") for c in question.checks)  # which may call anything
    names = () if driven else wanted(question)
    return next(used(path.name, path.read_text(errors="replace"), forbidden(question), names), "")


# ------------------------------------------------------------------ in the text


def used(file: str, text: str, forbid: Sequence[str], names: Sequence[str] = ()) -> Iterator[str]:
    """Sentences about forbidden names in a Python text, in its order. Of a file that answers
    several questions only what the functions and ops ``names`` reach counts.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # whoever runs it says so
    known: dict[str, str] = {}  # name here -> what it was imported as
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            [*_imports(node, known)]
    own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)
           and not isinstance(n.ctx, ast.Load)} | {
        n.name for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))} | {
        a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)}
    found: list[tuple[int, str]] = []
    inner: set[int] = set()  # "a.b" within "a.b.c"
    for node in (n for part in reached(tree, names) for n in ast.walk(part)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [(node.lineno, name) for name in _imports(node, known)]
        if isinstance(node, ast.Attribute):
            inner.add(id(node.value))
        if id(node) not in inner and isinstance(node, (ast.Attribute, ast.Name)):
            found += [(node.lineno, name) for name in _dotted(node, known, own)]
        if isinstance(node, (ast.BinOp, ast.AugAssign)):
            found += [(node.lineno, name) for name, kind in OPERATORS.items()
                      if isinstance(node.op, kind)]
    for line, name in sorted(set(found)):
        for rule in forbid:
            if _breaks(name, rule):
                yield (f"{file}, line {line}: it uses {name}, and "
                       + (f"{rule} may not be used in this question" if rule != ETUDE else
                          "of Etude an answer may use etude.implements alone"))
                break


def reached(tree: ast.Module, names: Sequence[str]) -> list[ast.stmt] | list[ast.Module]:
    """The statements of a module that these functions and ops may come by: their own, those of what
    they name, and those that are neither definitions nor imports. Everything, if there are no names
    or the module does not have them.
    """
    defined: dict[str, list[ast.stmt]] = {}
    always: list[ast.stmt] = []
    for node in tree.body:
        for name in (here := _defines(node)):
            defined.setdefault(name, []).append(node)
        if not here and not isinstance(node, (ast.Import, ast.ImportFrom)):
            always.append(node)
    todo = [n for name in names for n in defined.get(name, ())]
    todo += [n for n in tree.body if isinstance(n, ast.FunctionDef) and any(
        f"'{op}'" in ast.unparse(d) for d in n.decorator_list for op in names)]
    if not todo:
        return [tree]
    todo += always
    found: list[ast.stmt] = []
    while todo:
        node = todo.pop()
        if node in found:
            continue
        found.append(node)
        todo += [n for name in ast.walk(node) if isinstance(name, ast.Name)
                 for n in defined.get(name.id, ())]
    return found


def _defines(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines, and that is all it does."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else \
        [node.target] if isinstance(node, ast.AnnAssign) else []
    return [t.id for t in targets if isinstance(t, ast.Name)]


def _imports(node: ast.Import | ast.ImportFrom, known: dict[str, str]) -> Iterator[str]:
    """The full names of what is imported; ``known`` learns what they are called here."""
    for alias in node.names:
        if isinstance(node, ast.Import):
            known[alias.asname or alias.name.partition(".")[0]] = \
                alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.name
        elif not node.level and node.module:
            known[alias.asname or alias.name] = f"{node.module}.{alias.name}"
            yield f"{node.module}.{alias.name}"


def _dotted(node: ast.expr, known: dict[str, str], own: set[str]) -> Iterator[str]:
    """What an expression like np.linalg.norm is called in full; of something else's method its
    name, as if it were of an array.
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name) and node.id in known:
        yield ".".join([known[node.id], *parts])
    elif parts:
        yield from (f"numpy.{p}" for p in parts if hasattr(np.ndarray, p))
    elif isinstance(node, ast.Name) and node.id not in own and hasattr(builtins, node.id):
        yield node.id


def _breaks(name: str, rule: str) -> bool:
    if rule == ETUDE:
        return name.startswith(f"{ETUDE}.") and not any(
            name == f"{ETUDE}.{m}" or name == f"{ETUDE}.core.errors.{m}" for m in MARKS)
    return name == rule or name.startswith(f"{rule}.")


# ------------------------------------------------------------------ in a library


def foreign(candidate: Candidate, name: str) -> str:
    """Why a compiled answer cannot be taken: a function that it wants from elsewhere, in a
    sentence. "" if all of them may be called, or where ``missing`` says that nothing can be seen.
    """
    if candidate.kind != "library":
        return ""
    return next((f"{name} calls {symbol}, which is neither its own nor one of the functions of C "
                 f"that a kernel may call: those of math.h, memory, printing and OpenMP"
                 for symbol in undefined(Path(candidate.value)) if not _ordinary(symbol)), "")


def missing() -> list[str]:
    """What cannot be seen here, in sentences that stand beside those of ``Walls.missing``."""
    if shutil.which("nm"):
        return []
    return ["which functions a compiled answer calls: there is no nm on the PATH to list them"]


def undefined(library: Path) -> list[str]:
    """The undefined symbols of a library."""
    tool = shutil.which("nm")
    if tool is None:
        return []
    flags = ["-D", "--undefined-only"] if library.suffix == ".so" else ["-u"]
    done = subprocess.run([tool, *flags, str(library)], capture_output=True, text=True,
                          errors="replace", timeout=30)
    return [line.split()[-1].partition("@")[0] for line in done.stdout.splitlines() if line.split()]


def _ordinary(symbol: str) -> bool:
    plain = symbol.removeprefix("_") if symbol.startswith("_") and symbol[1:] in LIBRARY else symbol
    base = plain.removesuffix("_finite").strip("_") if plain.endswith("_finite") else plain
    return plain in LIBRARY or bool(RUNTIME.match(plain)) or any(
        b in MATH for b in (base, base[:-1] if base[-1:] in "fl" else base))


# ------------------------------------------------------------------ the worker


def walls_for(question: Question, answer: Candidate | None = None) -> Walls:
    """The walls of the worker that answers a question; without an ``answer``, one in Python."""
    names = forbidden(question)
    alone = any(_covers(rule, ETUDE) for rule in names)
    modules = tuple(n for n in names if n != ETUDE and not hasattr(builtins, n))
    compiled = answer is not None and answer.kind == "library"
    return Walls(hidden=_hidden(alone, compiled), sealed=tuple(TABLE) if alone else (),
                 forbidden=(*modules, *_others(compiled)))


def _covers(rule: str, name: str) -> bool:
    return name == rule or name.startswith(f"{rule}.")


@cache
def _others(compiled: bool) -> tuple[str, ...]:
    """Modules that are neither Python's nor needed by a worker: other columns, other libraries. For
    an answer that is ``compiled``, not the threads of etude-cpu, but the way to its kernels.
    """
    columns = {e.value.partition(":")[0].partition(".")[0] for e in entry_points(group="etude")}
    found = (columns | set(packages_distributions())) - NEEDED
    if compiled and GLUE in found:
        found = found - {GLUE} | {CALLS}
    return tuple(sorted(found))


@cache
def _hidden(alone: bool, compiled: bool) -> tuple[str, ...]:
    """Files and folders of what a worker must not read. ``alone``: without references too."""
    found = [Path(etude_course.__file__).parent]
    kit = Path(etude_check.__file__).parent
    found += [p for p in kit.iterdir() if p.name not in (*WORKER, "__pycache__")]
    if alone:
        found += [p for p in (Path(etude.__file__).parent / "ops").iterdir()
                  if p.name != "__init__.py"]
    for name in _others(compiled=False):
        for place in _places(name):
            found += [p for p in place.iterdir() if not p.name.startswith(POOL)] if (
                compiled and name == GLUE and place.is_dir()) else [place]
    return tuple(os.path.realpath(p) for p in found if p.exists())


def _found(module: str) -> ModuleSpec | None:
    """As ``importlib.util.find_spec``, without setuptools' finder: asked for pip, it puts another
    distutils in the place of Python's.
    """
    for finder in sys.meta_path:
        if type(finder).__module__ == "_distutils_hack":
            continue
        with suppress(ImportError, ValueError, AttributeError):
            if (spec := finder.find_spec(module, None)) is not None:
                return spec
    return None


def _places(module: str) -> list[Path]:
    spec = _found(module)
    if spec is None:
        return []
    folders = [Path(p) for p in spec.submodule_search_locations or ()]
    return folders or ([Path(spec.origin)] if spec.has_location and spec.origin else [])

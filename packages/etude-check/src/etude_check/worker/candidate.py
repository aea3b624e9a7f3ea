"""Candidates: which column is under test, written so that it can be sent to a worker process.

``prepare`` runs in the checker: it looks at files and compiles a C source, once. Nothing of the
candidate is imported or opened there; ``load_candidate`` does that, in the worker.
"""

from __future__ import annotations

import ast
import atexit
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from etude.core.errors import did_you_mean
from etude.core.table import TABLE
from etude_check.errors import CheckError

Kind = Literal["backend", "module", "source", "library", "zoo", "answer"]

#: suffix of a source -> the variable that names its compiler, and what to try without
COMPILERS = {".c": ("CC", ("cc", "gcc", "clang")),
             ".cpp": ("CXX", ("c++", "g++", "clang++")),
             ".cc": ("CXX", ("c++", "g++", "clang++"))}
FLAGS = ("-O2", "-Wall", "-Werror=return-type", "-shared", "-fPIC")
KERNEL = re.compile(rb"etude_\w+_(?:f32|f64|i64|b8)\b")
LAB, CARD = "gpu-lab", "cuda"  # the devices of a CUDA source
BUILT = "etude-check-built-"  # a folder of temporary files whose name begins so is one of ours


@dataclass(frozen=True)
class Candidate:
    """One column under test. ``options["target"]`` remembers what the user called it."""

    kind: Kind
    value: str
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def target(self) -> str:
        """How the command line names it: cpu, --module f.py, --source k.c."""
        if "target" in self.options:
            return str(self.options["target"])
        quoted = shlex.quote(self.value)
        return {"module": f"--module {quoted}", "source": f"--source {quoted}",
                "zoo": f"zoo:{self.value}"}.get(self.kind, quoted)

    @property
    def device(self) -> str:
        """Where a CUDA source is to run; "cpu" for whatever does not say so."""
        return str(self.options.get("device", LAB if self.value.endswith(".cu") else "cpu"))

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "value": self.value, "options": dict(self.options)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Candidate:
        if document.get("kind") not in get_args(Kind):
            raise CheckError(f"there is no kind of candidate called {document.get('kind')!r}")
        return cls(document["kind"], str(document["value"]), dict(document.get("options", {})))

    @classmethod
    def parse(cls, backend: str | None = None, module: str | os.PathLike[str] | None = None,
              source: str | os.PathLike[str] | None = None) -> Candidate:
        """The candidate that the arguments of ``etude check`` name: exactly one of them."""
        given = [g for g in (backend, module, source) if g is not None]
        if len(given) != 1:
            raise CheckError("name what to check: a backend, or --module file.py, or "
                             f"--source kernel.c; got {len(given)} of them")
        if module is not None:
            return cls("module", os.fspath(module))
        if source is not None:
            return cls("source", os.fspath(source))
        assert backend is not None
        if backend.startswith("zoo:"):
            return cls("zoo", backend[len("zoo:"):])
        suffix = Path(backend).suffix
        if suffix == ".py":
            return cls("module", backend)
        if suffix in (".so", ".dylib"):
            return cls("library", backend)
        if suffix in COMPILERS or suffix == ".cu":
            return cls("source", backend)
        return cls("backend", backend)


# ------------------------------------------------------------------ in the checker


def everywhere(candidate: Candidate, device: str | None = None) -> list[Candidate]:
    """The candidate on each device that it is for: a CUDA source in the lab, and on the card where
    there is one. Others are for one device. CheckError for a ``device`` that it is not for.
    """
    if not candidate.value.endswith(".cu") or candidate.kind != "source":
        if device is not None:
            raise CheckError(f"--device says where a CUDA source (.cu) is to run; "
                             f"{candidate.target} is none")
        return [candidate]
    devices = [device] if device else [LAB, CARD] if not no_card() else [LAB]
    return [replace(candidate, options={**candidate.options, "device": d,
                                        "target": f"{candidate.target} --device {d}"})
            for d in devices]


def no_card() -> list[str]:
    """Everything that keeps a CUDA source from running on a card here, a sentence each."""
    try:
        from etude_cuda.backend import missing
    except ImportError:
        return ["the CUDA plugin of Etude is not installed"]
    return list(missing())


def prepare(candidate: Candidate, ops: Sequence[str] = ()) -> Candidate:
    """The candidate with absolute paths, and compiled if it is a source. Raises CheckError, which
    of a file without a mark says where to put one, for the ``ops`` that are asked for.
    """
    if candidate.kind == "backend":
        return candidate
    if candidate.kind == "zoo":
        return _animal(candidate)
    path = Path(candidate.value).absolute()
    if path.is_dir():
        raise CheckError(f"{candidate.value!r} is a folder, and a file is wanted")
    if not path.is_file():
        raise CheckError(f"there is no file {candidate.value!r} (looked in {Path.cwd()})")
    options = {**candidate.options, "target": candidate.target}
    if candidate.kind == "answer":  # need not be a column
        return Candidate("answer", str(path), options)
    if candidate.kind == "module":
        _look_at(path, ops)
        return Candidate("module", str(path), options)
    source, cuda = path, candidate.kind == "source" and path.suffix == ".cu"
    if cuda:
        path = _compile_for_device(path, candidate.device)
    elif candidate.kind == "source":
        path = _compile(path)
    if not KERNEL.search(path.read_bytes()):  # the worker looks closer; no code is loaded here
        raise CheckError(f"{candidate.value} exports no kernel of etude.h. A kernel is called "
                         f"etude_<op>_<dtype>, such as etude_softmax_f32; it must not be static, "
                         f"and a C++ source needs extern \"C\"")
    # That of a CUDA source is opened by the plugin, which knows the device.
    return Candidate("source", str(source), options) if cuda else Candidate("library", str(path),
                                                                            options)


def _animal(candidate: Candidate) -> Candidate:
    """An animal of the zoo: one in C is compiled as a source is, one in Python is left as it is."""
    from etude_check.zoo import animals

    known = animals()
    if candidate.value not in known:
        raise CheckError(f"there is no animal called {candidate.value!r}"
                         f"{did_you_mean(candidate.value, known)} 'etude zoo list' names them all")
    path = known[candidate.value].path
    if path is None:
        return candidate
    return prepare(Candidate("source", str(path), {"target": candidate.target}))


def _look_at(path: Path, ops: Sequence[str]) -> None:
    """CheckError for a file that cannot be a column, found without running it."""
    if path.suffix != ".py":
        raise CheckError(f"--module takes a Python file (.py), got {path.name!r}; a C source is "
                         f"checked with --source")
    text = path.read_bytes()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise CheckError(f"{path.name} is not valid Python: {getattr(error, 'msg', error)}"
                         f"{f' (line {line})' if line else ''}") from None
    except (RecursionError, MemoryError):  # so the parser says of brackets in brackets in brackets
        raise CheckError(f"{path.name} is nested too deeply for Python's parser") from None
    if b"implements" not in text:
        raise CheckError(f"{path.name} has no function marked with @etude.implements('op name'), "
                         f"so there is nothing to check{_where_to_mark(tree, ops)}")


def _where_to_mark(tree: ast.Module, ops: Sequence[str]) -> str:
    """The end of a sentence: which function of the file looks like an op, and what it lacks."""
    functions = [f for f in tree.body if isinstance(f, ast.FunctionDef)]
    found = [(f, f.name) for f in functions if f.name in (ops or TABLE)]
    if not found and len(ops) == len(functions) == 1:
        found = [(functions[0], ops[0])]
    if not found:
        return ""
    function, op = found[0]
    line = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    return (f". Put @etude.implements(\"{op}\") above line {line}, def {function.name}, and "
            f"'import etude' at the top")


def _compile(path: Path) -> Path:
    """The shared library of a source, in a folder that lasts as long as this process."""
    from etude.backends.native.header import HEADER
    from etude_check.worker.prototypes import check_prototypes

    if path.suffix not in COMPILERS:
        raise CheckError(f"--source takes {', '.join(COMPILERS)}, .cu, got {path.name!r}"
                         + ("; a Python file is checked with --module"
                            if path.suffix == ".py" else ""))
    variable, names = COMPILERS[path.suffix]
    compiler = shlex.split(os.environ.get(variable, "")) or _found(names, variable)
    library = _folder() / f"{path.stem}-{os.urandom(4).hex()}.so"
    compiler += [*FLAGS, *shlex.split(os.environ.get("CFLAGS", "")), f"-I{HEADER.parent}"]
    command = [*compiler, str(path), "-o", str(library), "-lm"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CheckError(f"the compiler {compiler[0]!r} (from ${variable}) cannot be run: "
                         f"{error}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().replace(f"{path.parent}{os.sep}", "")
        raise CheckError(f"{path.name} does not compile, says {compiler[0]}:\n\n{said}")
    check_prototypes(path, library, compiler)
    return library


def _compile_for_device(path: Path, device: str) -> Path:
    """The library that the CUDA plugin makes of a source, once; the worker finds it again.
    CheckError if there is no plugin, or the source does not compile.
    """
    from etude.core.errors import BackendError

    try:
        from etude_cuda.backend import missing
        from etude_cuda.lab.build import compile_source
    except ImportError:
        raise CheckError(f"{path.name} is a CUDA source: checking it needs the CUDA plugin of "
                         f"Etude, which is not installed: pip install etude-cuda, or in a clone "
                         f"pip install plugins/etude-cuda. No card is needed") from None
    if device == CARD and (lacking := missing()):
        raise CheckError(f"{path.name} cannot run on a card here: {'; '.join(lacking)}")
    try:
        return Path(compile_source(path, device))
    except BackendError as error:
        from etude_check.worker.prototypes import conflict

        raise conflict(path, str(error)) or CheckError(str(error)) from None


def _found(names: tuple[str, ...], variable: str) -> list[str]:
    for name in names:
        if shutil.which(name):
            return [name]
    raise CheckError(f"no compiler was found (tried {', '.join(names)}); install one, or name it "
                     f"in ${variable}")


@cache
def _folder() -> Path:
    """The folder of what this process compiles. It goes when the process ends; that of a process
    that was killed goes now, for nobody holds it any more.
    """
    from etude.train.lock import NAME, hold

    for left in Path(tempfile.gettempdir()).glob(f"{BUILT}????????/{NAME}"):
        with suppress(OSError), hold(left.parent):  # OSError: somebody does hold it
            shutil.rmtree(left.parent)
    folder = Path(tempfile.mkdtemp(prefix=BUILT))
    with ExitStack() as held:
        held.enter_context(hold(folder))
        atexit.register(held.pop_all().close)  # the last that is done at the end
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def shown(candidate: Candidate) -> list[str]:
    """What of its own a worker must read to load a (prepared) candidate."""
    if candidate.kind in ("answer", "module"):
        return [str(Path(candidate.value).parent)]
    return [candidate.value] if candidate.kind in ("library", "source") else []


# ------------------------------------------------------------------ in the worker


class Loaded(NamedTuple):
    """What a candidate turned out to be."""

    backend: Any  # an etude Column
    waivers: list[Any]
    answer: Any  # whose functions can be driven: a module, or the kernels of the column


def load_candidate(candidate: Candidate) -> Loaded:
    """Import or open the candidate. Runs its code, so call it in a worker only."""
    from etude.backends.plugins import registry
    from etude.backends.resolve import resolve
    from etude.core.columns import Column
    from etude_check.worker.drive import functions_of, load_answer

    waivers: Any = ()
    if candidate.kind == "answer":
        answer = load_answer(Path(candidate.value))
        return Loaded(Column(answer.__name__, "cpu", {}), [], answer)
    if candidate.kind == "zoo":
        from etude_check.zoo import load

        backend = load(candidate.value)
    elif candidate.kind == "backend" and candidate.value == "reference":
        backend = _reference()
    elif candidate.kind == "backend":
        backend = registry().load(candidate.value)
        plugin = registry().backends[candidate.value][1]
        waivers = getattr(plugin.module, "ETUDE_WAIVERS", ())
    elif candidate.kind == "source":  # in CUDA: others were made a library
        from etude_cuda.column import open_source

        backend = open_source(candidate.value, candidate.device)
    else:
        before = set(sys.modules)
        backend, = resolve(Path(candidate.value))
        if candidate.kind == "module":
            name = f"etude_column_{Path(candidate.value).stem}"
            assert name not in before
            waivers = getattr(sys.modules.get(name), "ETUDE_WAIVERS", ())
    if not isinstance(backend, Column):
        raise TypeError(f"a Column is wanted, got {type(backend).__name__}")
    whole = _whole(backend)
    return Loaded(whole, [*getattr(backend, "waivers", ()), *waivers], functions_of(whole))


def _whole(column: Any) -> Any:
    """The column with every entry as the dispatcher calls it: one without ``out`` is given it."""
    from etude.core.contract import full

    return replace(column, ops={op: full(column, op) for op in column.ops})


def _reference() -> Any:
    """Every op of the table as its own column: what is checked when the kit checks itself."""
    from etude.core.columns import Column, Table
    from etude.core.table import TABLE

    table = Table("cpu")
    return Column("reference", "cpu", {name: table[name] for name in TABLE}, isa="numpy",
                   checks=True)

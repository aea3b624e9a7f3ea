"""Reads etude.h and writes what Python needs to call its kernels. Runs without the rest of Etude.

Three readers: ``native.py`` (families and kernels of the interface), the build of etude-cpu (C
source and cdef of the glue: one thunk per family and dtype), and calls without the glue (function
types for cffi's ABI mode). It is no C parser: it knows the few forms that the header uses, and
says so when it meets another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HEADER = Path(__file__).parents[2] / "include" / "etude.h"

#: suffix of a symbol -> the C type of its elements
SUFFIXES = {"f32": "float", "f64": "double", "i64": "int64_t", "b8": "uint8_t"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family, after the context."""

    name: str
    kind: str  # "array", "geometry" (a pointer into host memory), "size" or "attribute"

    @property
    def passed_as(self) -> str:
        """Its type in a thunk: pointers travel as integers."""
        return {"size": "int64_t", "attribute": "double"}.get(self.kind, "uintptr_t")


@dataclass(frozen=True)
class Header:
    """What etude.h declares: parameters of each family, and the family of each op's kernel."""

    families: dict[str, tuple[Parameter, ...]]
    kernels: dict[str, str]
    context: str  # the declaration of etude_context


def read_header(text: str | None = None) -> Header:
    """Parse the header (by default the one shipped beside this file)."""
    text = HEADER.read_text(encoding="ascii") if text is None else text
    text = re.sub(r"\\\n", "\n", text)
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    families = {
        name: tuple(_parameter(p) for p in arguments.split(",")[1:])
        for name, arguments in re.findall(
            r"typedef\s+int\s+etude_(\w+)_fn_##T\s*\((.*?)\)\s*;", text, re.S)
    }
    kernels = {
        op: family
        for family, names in re.findall(r"\betude_(\w+)_fn_##T\s+(etude_[^;(]*);", text)
        for op in re.findall(r"etude_(\w+)_##T", names)
    }
    context = re.search(r"typedef struct etude_context \{.*?\} etude_context;", text, re.S)
    if not families or not kernels or context is None:
        raise ValueError("etude.h: no families, no kernels or no context found; is it the header?")
    return Header(families, kernels, "typedef void etude_body(void *, int64_t, int64_t);\n"
                  + context.group())


def _parameter(text: str) -> Parameter:
    text = " ".join(text.split())
    name = re.search(r"(\w+)(\[\d+\])?$", text)
    if name is None:
        raise ValueError(f"etude.h: cannot read the parameter {text!r}")
    if name.group(2):
        kind = "geometry"
    elif "*" in text:
        kind = "array"
    elif text.startswith("int64_t"):
        kind = "size"
    elif text.startswith("double"):
        kind = "attribute"
    else:
        raise ValueError(f"etude.h: {text!r} is none of *array, geometry[n], int64_t, double")
    return Parameter(name.group(1), kind)


def function_type(parameters: tuple[Parameter, ...]) -> str:
    """A family as a C function pointer for cffi's ABI mode."""
    return f"int (*)(void *, {', '.join(p.passed_as for p in parameters)})"


def _signature(family: str, suffix: str, parameters: tuple[Parameter, ...]) -> str:
    arguments = "".join(f", {p.passed_as} {p.name}" for p in parameters)
    return f"int {family}_{suffix}(uintptr_t fn{arguments})"


def glue_cdef(header: Header) -> str:
    """Declarations of all thunks, for ffi.cdef."""
    return "\n".join(f"{_signature(family, suffix, parameters)};"
                     for family, parameters in header.families.items() for suffix in SUFFIXES)


def glue_source(header: Header) -> str:
    """The thunks in C. ``at`` and ``host`` are the glue's: an array's data, this thread's context.

    int map_f32(uintptr_t fn, uintptr_t x, uintptr_t y, int64_t n, double a, double b)
    { return ((etude_map_fn_f32 *)fn)(host(), at(x), at(y), n, a, b); }
    """
    lines = []
    for family, parameters in header.families.items():
        passed = ", ".join(_passed(p) for p in parameters)
        for suffix in SUFFIXES:
            lines.append(f"static {_signature(family, suffix, parameters)}\n"
                         f"{{ return ((etude_{family}_fn_{suffix} *)fn)(host(), {passed}); }}")
    return "\n".join(lines)


def _passed(p: Parameter) -> str:
    if p.kind == "array":
        return f"at({p.name})"
    return f"(const int64_t *){p.name}" if p.kind == "geometry" else p.name

"""Reads etude.h and writes what Python needs to call its kernels. Runs without the rest of Etude.

Three readers: ``numbers.py`` (the function types, by which numbers are passed), the build of
etude-cpu (C source and cdef of the glue: one thunk for each function type and dtype), and calls
without the glue (function types for cffi's ABI mode). It is no C parser: it knows the few forms
that the header uses, and says so when it meets another.
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
    """One parameter of a function type, after the context."""

    name: str
    kind: str  # "array", "geometry" (a pointer into host memory), "size" or "attribute"
    real: bool  # an array whose elements are of the dtype in the kernel's name

    @property
    def passed_as(self) -> str:
        """Its type in a thunk: pointers travel as integers."""
        return {"size": "int64_t", "attribute": "double"}.get(self.kind, "uintptr_t")


Parameters = tuple[Parameter, ...]


@dataclass(frozen=True)
class Header:
    """What etude.h declares: the parameters of each function type, etude_context, its version."""

    types: dict[str, Parameters]
    context: str
    interface: int  # ETUDE_INTERFACE, major << 16 | minor


def read_header(text: str | None = None) -> Header:
    """Parse the header (by default the one that ships with Etude)."""
    text = HEADER.read_text(encoding="ascii") if text is None else text
    text = re.sub(r"\\\n", "\n", text)
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    types = {
        name: tuple([_parameter(p) for p in arguments.split(",")[1:]])
        for name, arguments in re.findall(
            r"typedef\s+int\s+etude_(\w+)_fn_##T\s*\((.*?)\)\s*;", text, re.S)
    }
    context = re.search(r"typedef struct etude_context \{.*?\} etude_context;", text, re.S)
    version = re.search(r"#define ETUDE_INTERFACE (0x[0-9a-f]+)", text)
    if not types or context is None or version is None:
        raise ValueError("etude.h: no function types, context or version found; is it the header?")
    return Header(types, "typedef void etude_body(void *, int64_t, int64_t);\n"
                  + context.group(), int(version.group(1), 16))


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
    return Parameter(name.group(1), kind, "real *" in text)


def places(parameters: Parameters) -> list[tuple[Parameter, str, int]]:
    """Where each parameter stands in a record: the list of the record, and the place in it."""
    lists = {"array": "pointers", "geometry": "pointers", "size": "sizes",
             "attribute": "attributes"}
    counts = dict.fromkeys(lists.values(), 0)
    found = []
    for p in parameters:
        where = lists[p.kind]
        found.append((p, where, counts[where]))
        counts[where] += 1
    return found


# ------------------------------------------------------------------ for cffi


def function_type(parameters: Parameters) -> str:
    """A function type as a C function pointer for cffi's ABI mode."""
    return f"int (*)(void *, {', '.join(p.passed_as for p in parameters)})"


def _signature(name: str, suffix: str, parameters: Parameters) -> str:
    arguments = "".join(f", {p.passed_as} {p.name}" for p in parameters)
    return f"int {name}_{suffix}(uintptr_t fn{arguments})"


def glue_cdef(header: Header) -> str:
    """Declarations of all thunks, for ffi.cdef."""
    return "\n".join(f"{_signature(name, suffix, parameters)};"
                     for name, parameters in header.types.items() for suffix in SUFFIXES)


def glue_source(header: Header) -> str:
    """The thunks in C. ``at`` is the glue's: the data of an array. Each fills a record and submits
    it; the second function calls the kernel with what stands in a record.

    static int run_map_f32(etude_context *ctx, const etude_record *r)
    { return ((etude_map_fn_f32 *)r->kernel)(ctx, r->pointers[0], ..., r->attributes[1]); }
    static int map_f32(uintptr_t fn, uintptr_t x, uintptr_t y, int64_t n, double a, double b)
    { etude_record r; r.type = "map_f32"; ... r.pointers[0] = at(x); ... return etude_submit(&r); }
    """
    return "\n".join(_thunk(name, suffix, parameters)
                     for name, parameters in header.types.items() for suffix in SUFFIXES)


def _thunk(name: str, suffix: str, parameters: Parameters) -> str:
    fields, passed, most = [], [], {"pointers": 0, "sizes": 0, "attributes": 0}
    for p, where, i in places(parameters):
        value = {"array": f"at({p.name})", "geometry": f"(void *){p.name}"}.get(p.kind, p.name)
        fields.append(f"r.{where}[{i}] = {value};")
        passed.append(f"r->{where}[{i}]")
        most[where] = i + 1
    room = " && ".join(f"{n} <= ETUDE_RECORD_{where.upper()}" for where, n in most.items())
    return f"""
static int run_{name}_{suffix}(etude_context *ctx, const etude_record *r)
{{ return ((etude_{name}_fn_{suffix} *)r->kernel)(ctx, {", ".join(passed)}); }}
static {_signature(name, suffix, parameters)}
{{
    _Static_assert({room}, "no room in etude_record for {name}");
    etude_record r;
    r.type = "{name}_{suffix}"; r.run = run_{name}_{suffix}; r.kernel = (void *)fn;
    {" ".join(fields)}
    return etude_submit(&r);
}}"""

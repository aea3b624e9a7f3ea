"""Loads the kernels: picks the library for this machine's instruction set and opens it."""

import os
from pathlib import Path

from etude.backends.native.library import open_library
from etude.core.columns import Column
from etude.core.errors import BackendError

ISAS = ("avx512", "avx2", "portable")  # best first


def load():
    """The backend "cpu". Raises BackendError with the reason if it cannot run here."""
    try:
        from etude_cpu import glue
    except ImportError as error:
        raise BackendError(
            f"the compiled part of etude-cpu does not load ({error}). Install it again, which "
            f"needs a C compiler: pip install --force-reinstall --no-deps etude-cpu") from None
    folder = Path(glue.COMPILED).parent
    built = [isa for isa in ISAS if _library(folder, isa).exists()]
    isa = choose(built, glue.runs, os.environ.get("ETUDE_CPU_ISA", "").strip())
    ops = open_library(_library(folder, isa))
    return Column("cpu", "cpu", ops, isa=isa, threads=glue.get_num_threads(), checks=True,
                  dtypes=ops.dtypes, steps=ops.steps)


def choose(built, runs, wanted=""):
    """The instruction set to use: ``wanted``, or the best that is built and runs here."""
    able = [isa for isa in built if runs(isa)]
    if not wanted:
        return able[0]
    if wanted in able:
        return wanted
    if wanted not in ISAS:
        why = f"is not one of {', '.join(ISAS)}"
    elif wanted not in built:
        why = "was not built"
    else:
        why = "does not run on this machine"
    raise BackendError(f"ETUDE_CPU_ISA={wanted} {why}; here you can have {', '.join(able)}")


def _library(folder, isa):
    return folder / f"libetude_cpu_{isa}.so"

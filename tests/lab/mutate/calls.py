"""Calls the ops of one library of CUDA kernels on the lab's device, on small cases of the kit.

    python calls.py DEVICE.so KERNELS.so [OP ...]

A process of its own, run by shipped.py: DEVICE.so is the plugin's library built for inspection,
KERNELS.so has the kernels on trial. It prints as JSON how many calls it made and which answers were
wrong; what the lab sees goes to LAB_EVENTS.
"""

import json
import sys
from pathlib import Path

import numpy as np

import etude_cuda.backend as backend
from etude import Unsupported
from etude.core.table import TABLE, as_arrays
from etude_check.cases.case import cases
from etude_check.judge import judge
from etude_check.specs import specs

CASES = ("exact", "tail", "broadcast", "cotangent", "duplicate-index")
EACH = 6  # cases of a kind, the first ones: they are the smallest
MOST = 4096  # elements of an array; under inspection each costs a microsecond


def column_of(whole, kernels):
    """A column of the kernels on trial, on a device made of the library for inspection."""
    backend.compiled = lambda name: Path(whole)
    return backend.device(backend.LAB).column("trial", Path(kernels), "lab")


def small(op):
    """Cases in float32 that are worth their time."""
    for kind in CASES:
        found = [c for c in cases(specs()[op], kind, "smoke") if _fits(c)]
        yield from found[:EACH]


def _fits(case):
    arrays = [a for a in case.question.arrays if isinstance(a, np.ndarray)]
    return (case.question.dtype == np.float32 and arrays
            and max(a.size for a in arrays) <= MOST)


def answers(column, op, case):
    """The outputs of one call, as NumPy arrays."""
    q = case.question
    given = [column.upload(a) if isinstance(a, np.ndarray) else a for a in q.arrays]
    result = as_arrays(column.ops[op](*given, **{**TABLE[op].attrs, **q.attrs}))
    return [column.download(r) for r in (result if isinstance(result, tuple) else (result,))]


def main(whole, kernels, *only):
    """Every op of the library, or those named."""
    column = column_of(whole, kernels)
    calls, wrong = 0, []
    for op in sorted(set(column.ops) & set(specs()) & set(only or column.ops)):
        for case in small(op):
            calls += 1
            bad = []
            try:
                found = answers(column, op, case)
                with np.errstate(all="ignore"):
                    bad = [i for i, y in enumerate(found)
                           if judge.compare(case, y, i).verdict.failed]
            except Unsupported:  # of another dtype than the float32 that was built
                calls -= 1
            except Exception as error:
                wrong.append(f"{op}: {type(error).__name__}: {error}"[:200])
                break
            wrong += [f"{op}: {case.name}"] if bad else []
    print(json.dumps({"calls": calls, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])

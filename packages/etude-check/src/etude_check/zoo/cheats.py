"""Columns that try to pass without computing. Each says how the report must name it.

None of them can win, because the expected values are computed later and elsewhere; what is tested
is that the kit notices, and survives.
"""

import gc
import os
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from etude_check.zoo import cheat, reference

SAMPLE = ("add", "exp", "softmax", "sum", "matmul")


def promised(op, arrays, attrs):
    """What the op's shape rule says will come out."""
    from etude import TABLE
    from etude.core.shapes import Spec

    found = TABLE[op].check(arrays, attrs)
    return (found,) if isinstance(found, Spec) else tuple(found)


def answering(ops, answer):
    """{op: kernel} whose outputs are ``answer(shape, dtype, arrays)``."""
    def make(op):
        def call(*arrays, **attrs):
            outputs = tuple(answer(s.shape, s.dtype, arrays) for s in promised(op, arrays, attrs))
            return outputs if len(outputs) > 1 else outputs[0]
        return call
    return {op: make(op) for op in ops}


def every_op():
    from etude import TABLE

    return [n for n, op in TABLE.items() if op.cls not in ("view", "create")]


@cheat("add", mistake="It implements nothing; where \"not supported\" passes it would score 100 %.",
       report="not implemented", covers="implements nothing")
def nothing():
    return {}


@cheat(*SAMPLE, mistake="It returns zeros, small enough for a loose absolute tolerance.",
       report="returns zeros", covers="returns zeros")
def zeros():
    return answering(every_op(), lambda shape, dtype, arrays: np.zeros(shape, dtype))


@cheat(*SAMPLE, mistake="It returns its input.", report="returns its input",
       covers="returns input")
def echo():
    def first(shape, dtype, arrays):
        given = next((a for a in arrays if isinstance(a, np.ndarray) and a.size), np.zeros(1))
        return np.resize(given, shape).astype(dtype)
    return answering(every_op(), first)


def _found(candidates, shape, dtype, arrays):
    """The last array that looks like an answer: of the right shape, not an input, not zero."""
    mine = {id(a) for a in arrays}
    for a in candidates:
        if isinstance(a, np.ndarray) and a.shape == shape and a.dtype.kind == "f" and id(
                a) not in mine and a.size and np.isfinite(a).all() and a.any() and not any(
                    np.may_share_memory(a, b) for b in arrays if isinstance(b, np.ndarray)):
            return a.astype(dtype)
    return np.zeros(shape, dtype)


@cheat(*SAMPLE, mistake="It searches the garbage collector's objects for the expected values.",
       report="looks through the objects of the garbage collector", covers="searches gc")
def searches_gc():
    def search(shape, dtype, arrays):
        held = [v for o in gc.get_objects()[-4000:] if isinstance(o, (dict, list, tuple))
                for v in (o.values() if type(o) is dict else o if type(o) in (list, tuple) else ())
                if type(v) is np.ndarray]
        return _found(held, shape, dtype, arrays)
    return answering(SAMPLE, search)


@cheat(*SAMPLE, mistake="It walks up the stack and looks through the variables of its callers.",
       report="walks up the stack", covers="searches the stack")
def searches_stack():
    def search(shape, dtype, arrays):
        held: list[Any] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            held += list(frame.f_locals.values())
            frame = frame.f_back
        deeper = [v for h in held for v in (vars(h).values() if hasattr(h, "__dict__") else ())]
        return _found([*held, *deeper], shape, dtype, arrays)
    return answering(SAMPLE, search)


@cheat("exp", "softmax", mistake="It looks for files with the expected values: in the working "
       "folder, among temporary files, behind its own open descriptors.",
       report="looks through files", covers="searches the disk")
def searches_disk():
    def search(shape, dtype, arrays):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        for folder in (Path.cwd(), Path("/tmp"), Path("/dev/shm"), Path("/proc/self/fd")):
            for path in sorted(folder.glob("*"))[:64] if folder.is_dir() else []:
                try:
                    if path.is_file() and 0 < path.stat().st_size <= 1 << 20 and size:
                        data = path.read_bytes()
                        if len(data) >= size:
                            y = np.frombuffer(data[-size:], dtype).reshape(shape)
                            return _found([y], shape, dtype, arrays)
                except (OSError, ValueError):
                    continue
        return np.zeros(shape, dtype)
    return answering(("exp", "softmax"), search)


@cheat(*SAMPLE, mistake="It replaces numpy.testing's comparisons by ones that accept everything.",
       report="replaces numpy.testing", covers="patches comparator")
def patches_testing():
    for name in ("assert_allclose", "assert_array_equal", "assert_array_almost_equal"):
        setattr(np.testing, name, lambda *a, **k: None)
    np.allclose = lambda *a, **k: True
    return zeros()


@cheat(*SAMPLE, mistake="It replaces the clock, so that every call takes no time.",
       report="replaces time", covers="patches clock")
def patches_time():
    time.perf_counter = time.monotonic = lambda: 0.0
    return {op: reference(op) for op in SAMPLE}


@cheat(*SAMPLE, mistake="It replaces parts of the kit that it finds in its process, and the "
       "references that it thinks it is compared with.", report="replaces",
       covers="patches the kit")
def patches_kit():
    from etude import TABLE

    for name in list(sys.modules):
        if name.startswith("etude_check.") and not name.startswith("etude_check.zoo"):
            for attribute in ("compare", "judge", "check"):
                if hasattr(sys.modules[name], attribute):
                    setattr(sys.modules[name], attribute, lambda *a, **k: None)
    made = zeros()
    for op in SAMPLE:
        TABLE[op].reference = made[op]
    return made


@cheat(*SAMPLE, mistake="It ends the process with status 0 when it is loaded.", report="load",
       covers="exits 0")
def exits_at_load():
    os._exit(0)


@cheat("exp", mistake="It ends the process with status 0 when it is called.", report="status 0",
       covers="exits 0")
def exits_in_call():
    return answering(("exp",), lambda *_: os._exit(0))


@cheat(*SAMPLE, mistake="It raises SystemExit when it is called, and a runner that does not catch "
       "it ends with status 0.", report="SystemExit", covers="exits 0")
def system_exit():
    def leave(*_):
        raise SystemExit(0)
    return answering(SAMPLE, leave)


@cheat(*SAMPLE, mistake="It declines every call: the reference would run in its place.",
       report="not executed", covers="implements nothing")
def declines():
    from etude import Unsupported

    def decline(*_):
        raise Unsupported("not today")
    return answering(SAMPLE, decline)

"""Every op of the table as a model of its own: exported, run elsewhere, equal.

The calls are those of the conformance kit: its cases of each op, and what the op's record declares
of NaN, ties and empty arrays. onnxruntime runs them, and onnx's reference evaluator those that
onnxruntime has no kernel for, which is float64 in Conv, AveragePool and Erf.
"""

import warnings

import numpy as np
import pytest
from exported import BOUND, off, session

import etude
from etude import TABLE
from etude.core.conventions import left_open
from etude.core.dispatch import OPS

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")
pytest.importorskip("onnxruntime", reason="NOT RUN: needs the package onnxruntime")
etude_check = pytest.importorskip("etude_check.specs", reason="NOT RUN: needs etude-check")

from etude.onnx import table  # noqa: E402
from etude.onnx.record import EXPANDED  # noqa: E402
from etude.onnx.table import Refused  # noqa: E402
from etude_check.cases.case import cases  # noqa: E402

KINDS = ("empty", "0d", "tail", "broadcast", "special", "convention", "exact", "duplicate-index")
MOST = 20_000  # elements of a call

#: Ops that have no case with an array in it, or whose weight of int8 is no input of a graph; tests
#: of their own are in test_onnx_export.py.
ELSEWHERE = {"full", "linear_int8"}

#: Where the bound is one of 1, since the result is a product with, or a difference to, a 1.
OF_ONE = {"sigmoid", "silu", "gelu"}

#: What the reference evaluator of onnx 1.23 computes otherwise than the standard says: (op, kinds).
EVALUATOR = {
    ("erf", "*"): "Erf of float64 has the precision of float32",
    ("gelu", "*"): "Erf of float64 has the precision of float32",
    ("avg_pool2d", "special"): "AveragePool passes over NaN",
    ("avg_pool2d", "convention"): "AveragePool passes over NaN",
    ("adaptive_avg_pool2d", "special"): "AveragePool passes over NaN",
    ("adaptive_avg_pool2d", "convention"): "AveragePool passes over NaN, and divides by no pixels",
    ("adaptive_avg_pool2d", "empty"): "GlobalAveragePool divides by no pixels",
    ("conv2d", "special"): "Conv multiplies what lies between the taps of a dilated kernel by 0",
}

#: What onnxruntime refuses to run.
NO_CHANNELS = {"max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"}


def arrays_of(call):
    return [np.ascontiguousarray(a).reshape(a.shape) for a in call.arrays
            if isinstance(a, np.ndarray)]


def exported(op, call, path):
    """The one-op model of a call, in a file: its inputs by name. None if it is refused by name."""

    def model(*tensors):
        given = iter(tensors)
        operands = [next(given) if isinstance(a, np.ndarray) else a for a in call.arrays]
        return OPS[op](*operands, **dict(call.attrs))

    arrays = arrays_of(call)
    names = [f"x{i}" for i in range(len(arrays))]
    try:
        etude.onnx.export(model, tuple(arrays), path, dynamic=False, input_names=names)
    except Refused as why:
        if op not in str(why):
            raise
        return None
    return dict(zip(names, arrays, strict=True))


def answer(path, feeds):
    """(who ran it, results)"""
    from onnx.reference import ReferenceEvaluator

    try:
        found = session(path)
    except Exception as error:
        if "NOT_IMPLEMENTED" not in str(error):
            raise
        return "evaluator", ReferenceEvaluator(onnx.load(path)).run(None, feeds)
    return "onnxruntime", found.run(None, feeds)


def allowed(case, i):
    """How far honest kernels may be off where a sum cancels, by the kit's model of the op."""
    names = case.op.outputs
    name = "*" if names[0].startswith("*") else names[i]
    return case.spec.model_of(name).bound(case.question, i).certain


def slack(case, i, dtype, who):
    """What a result may be off beside the bound."""
    if dtype.kind != "f":
        return 0.0
    more = BOUND[dtype.name] if case.op.name in OF_ONE else 0.0
    if who == "evaluator" and (case.op.name, "*") in EVALUATOR:
        more = BOUND["float32"]
    return allowed(case, i) + more


def wrong(case, path, feeds, wanted):
    """What is wrong with the results, in words; None if nothing is. And who ran it."""
    op = case.op.name
    try:
        who, found = answer(path, feeds)
    except Exception as error:
        if case.kind == "empty" and op in NO_CHANNELS and "FAIL" in str(error):
            return "", "nobody"
        if (op, case.kind) in EVALUATOR:
            return "", "nobody"
        return f"{case.id}: {error}", "nobody"
    if who == "evaluator" and (op, case.kind) in EVALUATOR:
        return "", "nobody"
    for i, (y, want) in enumerate(zip(found, map(np.asarray, wanted), strict=False)):
        if (y.shape, y.dtype) != (want.shape, want.dtype):
            return f"{case.id}: {y.dtype}{y.shape}, not {want.dtype}{want.shape}", who
        bad = off(y, want, slack(case, i, want.dtype, who))
        if case.declared and i < len(case.declared):
            bad &= ~left_open(case.declared[i])
        if bad.any():
            return f"{case.id} by {who}: {y[bad][:3]}, not {want[bad][:3]}", who
    return "", who


def held(op, path):
    """(how many calls were run, how many refused, what was wrong) of one op."""
    spec, ran, refused, found = etude_check.specs()[op], 0, 0, []
    for case in (c for kind in KINDS for c in cases(spec, kind, "smoke")):
        call = case.call
        arrays = arrays_of(call)
        if not arrays or sum(a.size for a in arrays) > MOST:
            continue
        wanted = TABLE[op](*call.arrays, **dict(call.attrs))
        feeds = exported(op, call, path)
        if feeds is None:
            refused += 1
            continue
        fault, who = wrong(case, path, feeds,
                           wanted if isinstance(wanted, tuple) else (wanted,))
        ran += who != "nobody"
        if fault:
            found.append(fault)
    return ran, refused, found


def test_every_op_is_equal_elsewhere_or_refused_by_name(tmp_path, capsys):
    total, refusals, faults, by_name = 0, 0, [], []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for op in TABLE:
            if op in ELSEWHERE or op not in etude_check.specs():
                continue
            ran, refused, found = held(op, tmp_path / "one.onnx")
            assert ran or refused, f"{op}: no call was tried"
            total, refusals, faults = total + ran, refusals + refused, faults + found
            if not ran:
                by_name.append(op)
    with capsys.disabled():
        print(f"\nONNX out: {total} calls of {len(TABLE) - len(by_name)} ops equal, "
              f"{len(faults)} not; {refusals} calls refused, all of the {len(by_name)} ops "
              f"{', '.join(by_name)}")
    assert total >= 4000
    assert not faults, "\n".join(faults[:20])


def test_what_is_refused_is_training_and_random_numbers():
    table.fill()
    left = {op for op in TABLE if op not in table.WRITERS and op not in EXPANDED}
    assert left
    assert left == {op for op, row in TABLE.items() if row.internal and op != "batch_norm_eval"}


def test_every_writer_is_of_an_op_or_of_a_layer():
    table.fill()
    assert [op for op in table.WRITERS if op not in TABLE and not op.startswith("nn.")] == []

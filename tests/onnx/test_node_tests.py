"""ONNX's own tests of its ops: each that Etude can say is right, the others are refused by name.

onnx makes the cases itself (``onnx.backend.test.loader``); there are no files of them. What ran is
counted, because a loader that finds nothing would pass, and docs/onnx_counts.toml, which the page
in the docs prints, holds the same numbers. Integers of 8 to 32 bits go in as int64 and come back
in their own type: Etude computes them in int64, and refuses where that would show.
"""

import tomllib
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import etude

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")

from etude.onnx import load  # noqa: E402
from etude.onnx.flow import FLOW  # noqa: E402
from etude.onnx.table import READERS, Refused, fill  # noqa: E402
from etude.onnx.tensors import NARROW, OURS  # noqa: E402

COUNTS = tomllib.loads((Path(__file__).parents[2] / "docs" / "onnx_counts.toml").read_text())

#: The numbers are drawn, and onnx expects those that NumPy draws: shapes and dtypes are compared.
DRAWN = ("test_bernoulli", "test_training_dropout")

#: What a reader refuses though the table has the op: part of a name -> part of the reason.
KNOWN = {
    "_3d": "3 spatial axes", "fmod_0": "fmod = 0 for floats",
    "bitshift_left_int64": "a shift that pushes bits out of 64",
    "reduce_max_empty_set_bool": "no elements of bool",
    "test_not_": "the model is of opset 1", "scan_sum": "Scan below opset 9",
    "test_if_": "Etude has tensors only", "int8_overflow": "leaves the range of int8",
}


@dataclass
class Outcome:
    """What came of one case."""

    case: object
    kind: str  # "right", "drawn", "refused", or "wrong"
    why: str = ""

    @property
    def name(self):
        return self.case.name

    def __repr__(self):
        return f"{self.name}: {self.why}"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    from onnx.backend.test.loader import load_model_tests

    path = tmp_path_factory.mktemp("nodes") / "case.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # onnx computes what it expects with NumPy
        cases = load_model_tests(kind="node")
    return [outcome(case, path) for case in cases]


def outcome(case, path):
    path.write_bytes(case.model.SerializeToString())
    drawn = case.name.startswith(DRAWN)
    try:
        model = load(path)
        for given, wanted in case.data_sets:
            with etude.no_grad(), np.errstate(invalid="ignore"):  # a row of -inf has no softmax
                found = model(*map(as_array, given))
            compare(found, list(map(as_array, wanted)), model, case, drawn)
    except Refused as error:
        return Outcome(case, "refused", str(error))
    except Exception as error:
        return Outcome(case, "wrong", f"{type(error).__name__}: {error}")
    return Outcome(case, "drawn" if drawn else "right")


def as_array(x):
    return onnx.numpy_helper.to_array(x) if isinstance(x, onnx.TensorProto) else np.asarray(x)


def compare(found, wanted, model, case, drawn):
    found = found if isinstance(found, tuple) else (found,)
    assert len(found) == len(wanted) == len(model.graph.outputs)
    for y, expected, declared in zip(found, wanted, model.graph.outputs):
        y = y.numpy()
        assert y.dtype == (declared.dtype if declared.dtype.kind in "fb" else np.int64)
        assert declared.dtype == expected.dtype
        assert y.shape == expected.shape
        if not drawn:
            np.testing.assert_allclose(y, expected, case.rtol, case.atol)


def of_kind(outcomes, kind):
    return [o for o in outcomes if o.kind == kind]


def test_no_case_is_wrong(outcomes):
    assert of_kind(outcomes, "wrong") == []


def test_more_than_a_thousand_cases_run_and_as_many_as_the_docs_say(outcomes):
    assert len(of_kind(outcomes, "right")) >= 1300
    if COUNTS["onnx"] != onnx.__version__:
        pytest.skip(f"NOT RUN: the counts in the docs are of onnx {COUNTS['onnx']}")
    counts = Counter(o.kind for o in outcomes)
    counted = {"onnx": onnx.__version__, "cases": len(outcomes), "right": counts["right"],
               "drawn": counts["drawn"], "refused": counts["refused"],
               "reasons": dict(sorted(Counter(map(reason, of_kind(outcomes, "refused"))).items()))}
    assert counted == COUNTS


def reason(refused):
    """Why, in a word that can be counted."""
    if " is a sequence" in refused.why or " is a optional" in refused.why:
        return "sequences and optionals"
    if other_dtypes(refused.case.model):
        return "other dtypes"
    if missing(refused.case.model):
        return "no such op"
    return "conventions"


def other_dtypes(model):
    """The dtypes of a model's inputs and outputs that Etude does not have."""
    found = {v.type.tensor_type.elem_type for v in [*model.graph.input, *model.graph.output]
             if v.type.HasField("tensor_type")}
    return found - OURS.keys() - NARROW.keys()


def missing(model):
    """The ops of a model that no reader is for."""
    fill()
    return {n.op_type for n in model.graph.node if (n.domain, n.op_type) not in READERS
            and n.op_type not in FLOW}


def test_a_refusal_names_the_file_and_what_is_refused(outcomes):
    for refused in of_kind(outcomes, "refused"):
        assert "case.onnx: " in refused.why
        names = missing(refused.case.model)
        if reason(refused) == "no such op":
            assert any(f"{name!r}" in refused.why for name in names), refused
        elif reason(refused) == "other dtypes":
            kinds = other_dtypes(refused.case.model)
            said = [onnx.TensorProto.DataType.Name(k).lower() for k in kinds]
            assert any(word in refused.why for word in said), refused


def test_no_refusal_hides_an_op_that_the_table_has(outcomes):
    """A case with our dtypes and our ops alone is refused for a reason that is known here."""
    hidden = [o for o in of_kind(outcomes, "refused") if reason(o) == "conventions" and not any(
        part in o.name and why in o.why for part, why in KNOWN.items())]
    assert hidden == []


def test_every_attribute_of_a_node_that_ran_was_read(outcomes, tmp_path):
    """A reader that ignores an attribute would compute something else than the file says."""
    from onnx import TensorProto, helper

    fill()
    x, y = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 2]) for n in "xy"]
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]), ir_version=10,
                              opset_imports=[helper.make_opsetid("", 13)])
    path = tmp_path / "softmax.onnx"
    path.write_bytes(model.SerializeToString())
    loaded = load(path)
    entry = next(r for r in READERS["", "Softmax"] if r.since == 13)
    forgetful = type(entry)(entry.op, "", 13, None, entry.family, lambda node, x: x)
    loaded.graph.nodes[0].reader = forgetful
    with pytest.raises(Refused, match=r"softmax.onnx: .*Softmax.*does not read its attribute "
                                      r"'axis'"):
        loaded(np.ones((2, 2), np.float32))

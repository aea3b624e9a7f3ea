"""The calculator on the op pages, a script in the reader's browser, held against the table."""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from etude.commands import facts
from etude.core.columns import VIEW
from etude.core.shapes import Spec
from etude.core.table import TABLE

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import calculator  # noqa: E402

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="NOT RUN: needs node")
OPS = sorted(name for name, op in TABLE.items() if not op.internal and calculator.known(op))

RUN = """
const { answer } = require(process.argv[1]);
const calls = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(calls.map(([op, shapes, dtype, attrs]) => {
  try { return answer(op, shapes, dtype, attrs); } catch (error) { return error.message; }
})));
"""

#: Values that are tried for an attribute, beside its default.
VALUES = {
    "dim": [0, 1, -1, None, 2], "keepdim": [True, False], "reduction": ["none", "mean", "sum"],
    "stride": [[1, 1], [2, 1], [3, 2], None], "padding": [[0, 0], [1, 2]],
    "dilation": [[1, 1], [2, 1]], "groups": [1, 2, 4], "ceil_mode": [True, False],
    "kernel_size": [[2, 2], [3, 1], [3, 3]], "output_size": [[1, 1], [3, 2]], "k": [0, 2],
    "normalized_shape": [[64], [8, 6], [6]], "shape": [[64, 32], [-1, 4], [5, 4, 6], [8, 6], [3]],
    "dims": [[1, 0], [0, 2, 1], [0], [-1]], "num_classes": [7], "dtype": ["float64"],
    "is_causal": [False], "min": [0.0],
}
SIZES = [1, 2, 3, 4, 6, 8]


def drawn(op, example, rng):
    """A call that may or may not be one: (shapes, dtype, attributes)."""
    shapes = {}
    base = [rng.choice(SIZES) for _ in range(rng.randint(0, 4))]
    for name in op.arrays:
        spec = example.arrays.get(name) if example else None
        near = spec.shape if spec is not None and rng.random() < 0.7 else base
        shapes[name] = [n if rng.random() < 0.8 else rng.choice(SIZES) for n in near]
        if name in op.optional and rng.random() < 0.5:
            shapes[name] = None
    if op.variadic:
        [name] = op.arrays
        several = [list(base) for _ in range(rng.randint(1, 3))]
        if base and rng.random() < 0.7:
            several[0][rng.randrange(len(base))] = rng.choice(SIZES)
        shapes = {name: several}
    attrs = {}
    for name, usual in op.attrs.items():
        if name == "padding" and op.name == "pad":
            attrs[name] = [rng.choice([0, 1, 2]) for _ in range(2 * rng.randint(0, 2))]
        elif name in VALUES and (usual is facts.Parameter.empty or rng.random() < 0.5):
            attrs[name] = rng.choice(VALUES[name])
    return shapes, rng.choice(["float32", "float64"]), attrs


def by_python(op, shapes, dtype, attrs):
    """The answer of the row, or None if it refuses the call."""
    fixed = getattr(op.shape, "fixed", {})
    given = shapes[op.arrays[0]] if op.variadic else [shapes[name] for name in op.arrays]
    names = [op.arrays[0]] * len(given) if op.variadic else op.arrays
    specs = [None if s is None else Spec(tuple(s), np.dtype(fixed.get(n) or dtype))
             for s, n in zip(given, names)]
    attrs = {k: np.dtype(v) if k == "dtype" else tuple(v) if isinstance(v, list) else v
             for k, v in attrs.items()}
    settings = {**op.attrs, **attrs}
    if op.prepare is not None:
        try:
            settings = op.prepare(settings) or settings
        except (ValueError, TypeError):
            return None
    try:
        out = op.check(specs, settings)
        costs = op.flops(*specs, **settings), op.bytes(*specs, **settings)
    except (ValueError, TypeError, IndexError):
        return None
    results = [out] if isinstance(out, Spec) else list(out)
    return {"results": [{"shape": list(s.shape), "dtype": s.dtype.name}
                        for s in results[: op.shown]],
            "flops": costs[0], "bytes": 0 if op.cls == VIEW else costs[1]}


@needs_node
def test_the_script_and_the_table_agree_on_thousands_of_calls():
    rng = random.Random(20261128)
    usual = {name: facts.example(TABLE[name]) for name in OPS}
    calls = [(name, *drawn(TABLE[name], usual[name], rng)) for name in OPS for _ in range(150)]
    told = json.dumps([(calculator.known(TABLE[name]), *call) for name, *call in calls])
    out = subprocess.run(["node", "-e", RUN, str(DOCS / "static" / "calculator.js")], input=told,
                         capture_output=True, text=True, check=True)
    answers = json.loads(out.stdout)
    accepted = dict.fromkeys(OPS, 0)
    for (name, *call), answer in zip(calls, answers, strict=True):
        expected = by_python(TABLE[name], *call)
        if expected is not None:
            accepted[name] += 1
            assert answer == expected, (name, call)
    assert min(accepted.values()) >= 5, sorted(accepted.items(), key=lambda x: x[1])[:10]


@needs_node
def test_what_does_not_fit_is_named():
    op = calculator.known(TABLE["conv2d"])
    shapes = {"x": [2, 3, 8, 8], "weight": [4, 5, 3, 3], "bias": None}
    told = json.dumps([(op, shapes, "float32", {})])
    out = subprocess.run(["node", "-e", RUN, str(DOCS / "static" / "calculator.js")], input=told,
                         capture_output=True, text=True, check=True)
    [said] = json.loads(out.stdout)
    assert said.startswith("weight is [4, 5, 3, 3], and must be (O, C/groups, KH, KW)")
    assert "C = 3" in said


def test_nearly_every_public_op_has_one():
    without = {name for name, op in TABLE.items() if not op.internal and not calculator.box(op)}
    assert without == {"full", "slice", "split", "topk"}

"""What the sweeps over the table share: which ops, their samples, and calls of them."""

import numpy as np
import pytest
from op_cases import cases_of, tuple_of

import etude
from etude import TABLE, Tensor
from etude.core.dispatch import OPS
from etude.core.table import as_arrays

SHIPPED = sorted(name for name, op in TABLE.items()
                 if op.reference.__module__ == f"etude.ops.{op.family}")
VIEWS = ("view",)


def every(*, when=lambda op: True):
    """Parametrize a test over the ops of the package."""
    return pytest.mark.parametrize("name", [n for n in SHIPPED if when(TABLE[n])])


def case_of(name):
    family = TABLE[name].family
    cases = cases_of(family)
    if cases is None or name not in cases:
        pytest.fail(
            f"op {name!r} has no independent test. Write CASES[{name!r}] = Case(samples=..., "
            f"oracle=...) in tests/ops/test_{family}.py, with an oracle that is not the reference")
    return cases[name]


def samples_of(name, *, smooth=False):
    rng = np.random.default_rng(list(name.encode()))
    found = [s for s in case_of(name).samples(rng) if s.smooth or not smooth]
    assert found, f"{name}: no samples, so nothing would be tested"
    return found


def prepared(op, attrs):
    """Attributes in the form that columns see."""
    attrs = dict(attrs)
    return attrs if op.prepare is None else op.prepare(attrs)


def run(op, sample):
    return tuple_of(as_arrays(op.reference(*sample.arrays, **prepared(op, sample.attrs))))


def differentiable(op):
    return op.rule is not None or op.composite_rule is not None


def tensors(sample, wanted):
    return [Tensor(a, requires_grad=i in wanted) if isinstance(a, np.ndarray) else a
            for i, a in enumerate(sample.arrays)]


def cotangents(op, outputs, seed=5):
    """One array for each output that is visible, like it."""
    rng = np.random.default_rng(seed)
    seen = outputs if op.outputs[0].startswith("*") else outputs[:1]
    return [np.asarray(rng.uniform(0.5, 1.5, y.shape) * rng.choice([-1.0, 1.0], y.shape), y.dtype)
            for y in seen]


def differentiated(op, result):
    """The outputs that have a gradient: all of split's, the first one of any other op."""
    ys = tuple_of(result)
    return ys if op.outputs[0].startswith("*") else ys[:1]


def gradients(op, sample, wanted, weights, **options):
    """The gradients of sum(weights * outputs) in the arrays at ``wanted``, as Tensors or None."""
    inputs = tensors(sample, wanted)
    ys = differentiated(op, OPS[op.name](*inputs, **sample.attrs))
    if not any(y.requires_grad for y in ys):
        return [None for _ in wanted]
    return etude.grad(ys, [inputs[i] for i in wanted], [Tensor(w) for w in weights],
                      allow_unused=True, **options)

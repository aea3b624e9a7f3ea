"""The gradient rule of every op of the table, to second order. Nothing here names an op.

First derivatives are held against the complex step or differences of the reference itself,
second ones against differences of the first.
"""

import numpy as np
import pytest
from op_cases import Sample, complex_step, differences, layouts, near, subsets, tuple_of
from op_sweep import (
    case_of,
    cotangents,
    differentiable,
    differentiated,
    every,
    gradients,
    prepared,
    run,
    samples_of,
    tensors,
)

import etude
from etude import TABLE, Tensor
from etude.core.array import is_contiguous, memory
from etude.core.columns import Table
from etude.core.dispatch import OPS
from etude.core.shapes import float32, float64

FLOATS = (float32, float64)


# ---------------------------------------------------------------------------- first derivatives


@every(when=differentiable)
def test_its_gradient_is_the_derivative_of_the_reference(name):
    op, case = TABLE[name], case_of(name)
    checked = 0
    for i, sample in enumerate(samples_of(name, smooth=True)):
        attrs = prepared(op, sample.attrs)
        weights = cotangents(op, run(op, sample))

        def value(*arrays, attrs=attrs, weights=weights):
            ys = tuple_of(op.reference(*arrays, **attrs))
            return sum(np.sum(w * y) for w, y in zip(weights, ys, strict=False))

        found = gradients(op, sample, sample.floats, weights)
        for k, g in zip(sample.floats, found, strict=True):
            slope = complex_step if case.analytic else differences
            want = slope(value, sample.arrays, k)
            got = np.zeros_like(want) if g is None else g.numpy()
            size = max(1.0, float(np.abs(want).max(initial=0)))
            near(got, want, (2e2 if case.analytic else 4e5), size,
                 f"{name}, sample {i}, gradient in array {k}")
            checked += want.size
    assert checked or not op.arrays or all(
        not np.issubdtype(a.dtype, np.floating) for s in samples_of(name)
        for a in s.arrays if isinstance(a, np.ndarray))


@every(when=differentiable)
def test_asking_for_fewer_gradients_gives_the_same_ones(name):
    op = TABLE[name]
    for sample in samples_of(name, smooth=True):
        weights = cotangents(op, run(op, sample))
        full = dict(zip(sample.floats, gradients(op, sample, sample.floats, weights), strict=True))
        for wanted in subsets(sample.floats):
            for i, g in zip(wanted, gradients(op, sample, wanted, weights), strict=True):
                assert (g is None) == (full[i] is None)
                assert g is None or np.array_equal(g.numpy(), full[i].numpy())


@every(when=differentiable)
def test_gradients_have_the_shape_and_dtype_of_their_array(name):
    op = TABLE[name]
    for sample in samples_of(name):
        exact = gradients(op, sample, sample.floats, cotangents(op, run(op, sample)))
        for dtype in FLOATS:
            narrow = sample.to(dtype, op)
            outputs = run(op, narrow)
            if any(y.dtype.kind != "f" for y in outputs[:1]):
                continue
            weights = [np.asarray(w, y.dtype) for w, y in zip(
                cotangents(op, run(op, sample)), outputs, strict=False)]
            for i, g, e in zip(sample.floats, gradients(op, narrow, sample.floats, weights), exact,
                               strict=True):
                if g is None:
                    continue
                assert g.dtype == dtype, f"{name}: a {dtype} array has a {g.dtype} gradient"
                assert g.shape == narrow.arrays[i].shape
                if sample.smooth:
                    size = max(1.0, float(np.abs(e.numpy()).max(initial=0)))
                    near(g.numpy().astype(float32), e.numpy(), 200, size, f"{name}: {dtype}")


@every(when=differentiable)
def test_a_gradient_of_zeros_gives_zeros_and_any_layout_will_do(name):
    op = TABLE[name]
    for sample in samples_of(name, smooth=True):
        weights = cotangents(op, run(op, sample))
        zeros = gradients(op, sample, sample.floats, [np.zeros_like(w) for w in weights])
        for g in zeros:
            assert g is None or not g.numpy().any(), f"{name}: backward of zeros is not zero"
        full = gradients(op, sample, sample.floats, weights)
        for k, w in enumerate(weights):
            for how, v in layouts(w):
                there = gradients(op, sample, sample.floats, [*weights[:k], v, *weights[k + 1:]])
                for a, b in zip(there, full, strict=True):
                    if a is not None:
                        size = max(1.0, float(np.abs(b.numpy()).max(initial=0)))
                        near(a.numpy(), b.numpy(), 8, size, f"{name}: gradient lies {how}")


@every(when=differentiable)
def test_backward_changes_nothing_it_was_given_and_shares_no_memory(name):
    op = TABLE[name]
    op = TABLE[name]
    for sample in samples_of(name):
        inputs = tensors(sample, sample.floats)
        before = [np.array(t.data) for t in inputs if isinstance(t, Tensor)]
        ys = differentiated(op, OPS[name](*inputs, **sample.attrs))
        if not sample.floats or not any(y.requires_grad for y in ys):
            continue
        weights = cotangents(op, [y.data for y in ys])
        kept = [w.copy() for w in weights]
        wanted = [t for t in inputs if isinstance(t, Tensor) and t.requires_grad]
        found = etude.grad(ys, wanted, [Tensor(w) for w in weights], allow_unused=True)
        for a, b in zip(before, [t for t in inputs if isinstance(t, Tensor)], strict=True):
            assert np.array_equal(a, b.data, equal_nan=a.dtype.kind == "f")
        assert all(np.array_equal(a, b) for a, b in zip(weights, kept, strict=True))
        owners = [memory(g.data) for g in found if g is not None]
        assert len(set(owners)) == len(owners), f"{name}: two gradients share memory"
        assert all(is_contiguous(g.data) for g in found if g is not None)


# ---------------------------------------------------------------------------- second derivatives


@every(when=differentiable)
def test_its_second_derivative_is_that_of_the_first(name):
    """<v, gradient(x, w)> is differentiated in every x and in w."""
    op = TABLE[name]
    checked = 0
    for i, sample in enumerate(samples_of(name, smooth=True)):
        spots = sample.floats
        if not spots:
            continue
        weights = cotangents(op, run(op, sample))
        shapes = [np.random.default_rng(11 + k).uniform(0.5, 1.5, sample.arrays[k].shape)
                  for k in spots]
        inputs = tensors(sample, spots)
        wanted = [inputs[k] for k in spots]
        ws = [Tensor(w, requires_grad=True) for w in weights]
        ys = differentiated(op, OPS[name](*inputs, **sample.attrs))
        if not any(y.requires_grad for y in ys):
            continue
        first = etude.grad(ys, wanted, ws, create_graph=True, allow_unused=True)
        total = None
        for g, v in zip(first, shapes, strict=True):
            if g is not None and g.requires_grad:
                part = (g * Tensor(v)).sum()
                total = part if total is None else total + part
        if total is None and all(g is None or not g.numpy().any() for g in first):
            checked += 1  # piecewise constant: a gradient of 0 depends on nothing
            continue
        assert total is not None, f"{name}: no gradient can be differentiated, not even in grad"
        found = etude.grad(total, [*wanted, *ws], allow_unused=True)

        def value(*arrays, sample=sample, spots=spots, shapes=shapes):
            n = len(sample.arrays)
            moved = Sample(arrays[:n], sample.attrs)
            grads = gradients(op, moved, spots, arrays[n:])
            return sum(float((g.numpy() * v).sum()) for g, v in zip(grads, shapes, strict=True)
                       if g is not None)

        arrays = (*sample.arrays, *weights)
        for k, h in zip([*spots, *range(len(sample.arrays), len(arrays))], found, strict=True):
            want = differences(value, arrays, k)
            got = np.zeros_like(want) if h is None else h.numpy()
            size = max(1.0, float(np.abs(want).max(initial=0)))
            near(got, want, 2e6, size, f"{name}, sample {i}, second derivative in {k}")
            checked += want.size
    assert checked or not any(s.floats for s in samples_of(name))


@every(when=lambda op: op.internal and not differentiable(op) and set(op.arrays) - set(op.fixed))
def test_a_fused_backward_without_a_rule_says_that_it_cannot_be_differentiated(name):
    sample = next(s for s in samples_of(name) if s.floats)
    with pytest.raises(RuntimeError, match=f"{name} has no gradient rule, so the op it belongs to "
                                           f"cannot be differentiated twice"):
        OPS[name](*tensors(sample, sample.floats), **sample.attrs)


@every(when=lambda op: op.composite_rule is not None)
def test_the_composite_equals_the_reference(name):
    op, case = TABLE[name], case_of(name)
    for sample in samples_of(name):
        attrs = {**op.attrs, **prepared(op, sample.attrs)}
        F = Table("cpu").F
        got = op.composite_rule(F, *sample.arrays, **attrs)
        want = run(op, sample)[0]
        scale = case.scale(*sample.arrays, **attrs) if case.scale else None
        near(got, want, 4 * case.ulps, scale[0] if isinstance(scale, tuple) else scale,
             f"{name}: composite")


# ---------------------------------------------------------------------------- the tools


def test_differences_and_complex_steps_find_a_known_derivative():
    x = np.array([0.3, -1.2, 2.0])

    def f(x):
        return (np.sin(x) * np.exp(x)).sum()

    want = (np.sin(x) + np.cos(x)) * np.exp(x)
    near(complex_step(f, (x,), 0), want, 8, where="complex step")
    near(differences(f, (x,), 0), want, 1e5, where="differences")
    with pytest.raises(AssertionError, match="1 of 3 elements are wrong"):
        near(differences(f, (x,), 0), want + np.array([0, 1e-6, 0]), 1e5)

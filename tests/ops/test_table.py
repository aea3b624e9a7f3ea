"""Every op of the table, whoever added it: nothing here names one. Gradients: test_gradients.py.

What an op needs to be taken in is a ``Case`` in ``test_<family>.py``; see ``op_cases.py``.
"""

import dataclasses
import inspect
import math
import re

import numpy as np
import pytest
from op_cases import cases_of, layouts, near, tuple_of
from op_sweep import (
    SHIPPED,
    VIEWS,
    case_of,
    differentiable,
    every,
    prepared,
    run,
    samples_of,
    tensors,
)

import etude
from etude import TABLE, DTypeError, Spec, Tensor
from etude.core.columns import Table
from etude.core.dispatch import OPS
from etude.core.shapes import DTYPES, STORED, float32, float64, int64
from etude.core.table import Op, as_arrays

FLOATS = (float32, float64)

# ---------------------------------------------------------------------------- the row itself


def test_the_sweep_covers_every_op_file():
    families = {op.family for op in TABLE.values()}
    files = {m.__name__.rsplit(".", 1)[-1] for m in vars(etude.ops).values()
             if inspect.ismodule(m) and m.__name__.startswith("etude.ops.")}
    assert families >= files
    assert len(SHIPPED) >= 50


def test_every_case_belongs_to_an_op_of_its_family():
    for family in sorted({TABLE[n].family for n in SHIPPED}):
        for name in cases_of(family) or ():
            assert name in TABLE, f"tests/ops/test_{family}.py tests {name!r}, which is no op"
            assert TABLE[name].family == family


@every()
def test_it_has_an_independent_test(name):
    case = case_of(name)
    op = TABLE[name]
    source = inspect.getsource(case.oracle) if inspect.isfunction(case.oracle) else ""
    assert not re.search(rf"(ops\.{name}|TABLE|\.reference)\b", source), (
        f"the oracle of {name} calls the reference")
    assert len(samples_of(name)) >= 2
    if differentiable(op) and op.arrays:
        assert samples_of(name, smooth=True)


@every()
def test_the_docstring_gives_a_formula_and_says_what_it_takes(name):
    text = TABLE[name].__doc__
    assert text, f"{name} has no docstring"
    assert re.search(r"\w.* = \S", text.split("\n\n")[0]), f"{name}: no formula"
    assert text.isascii()
    assert text.rstrip().endswith("."), f"{name}: a docstring is made of sentences"


@every()
def test_what_it_declares_exists(name):
    op = TABLE[name]
    for entry in op.saves:
        what, _, field = entry.partition(".")
        assert what in (*op.arrays, *op.outputs), f"{name} saves {what!r}, which it has not"
        assert field in ("", "shape", "dtype")
    for out, source in op.alias.items():
        assert out in op.outputs
        assert source in op.arrays
    assert set(op.fixed) <= set(op.arrays)
    assert set(op.fixed.values()) <= {*DTYPES, *STORED, None}
    assert op.optional <= set(op.arrays)
    assert set(op.choices) <= set(op.attrs)
    assert sorted(op.order) == sorted((*op.arrays, *op.attrs))
    assert not set(op.outputs) & set(op.attrs)
    for key, words in op.choices.items():
        assert op.attrs[key] in words
    if op.rule is not None:
        taken = list(inspect.signature(op.rule).parameters.values())
        plain = [p for p in taken if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(plain) == 2 + len(op.saves), f"{name}: rule(F, grad, *saved, needs, **attrs)"


@every()
def test_the_public_function_has_the_signature_it_shows(name):
    op = TABLE[name]
    if op.internal:  # a backward or a step, unless a function written by hand calls it
        assert (name in etude.functional.BY_HAND) == hasattr(etude, name)
        return
    assert callable(getattr(etude, name))
    assert getattr(etude.ops, name) is op
    assert op.signature.startswith(name + "(")
    assert all(word in op.signature for word in op.order)
    scope = {"float32": float32}
    exec(f"def {etude.functional.signature(op)}: ...", scope)
    taken, shown = (inspect.signature(f).parameters.values()
                    for f in (getattr(etude, name), scope[name]))
    assert [(p.name, p.default) for p in taken] == [(p.name, p.default) for p in shown]


# ---------------------------------------------------------------------------- values


@every()
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_reference_agrees_with_its_oracle(name, dtype):
    op, case = TABLE[name], case_of(name)
    for i, sample in enumerate(samples_of(name)):
        sample = sample.to(dtype, op)
        got = run(op, sample)
        wide = [a.astype(float64) if isinstance(a, np.ndarray) and a.dtype == float32 else a
                for a in sample.arrays]
        attrs = prepared(op, sample.attrs)
        want = tuple_of(case.oracle(*wide, **{**op.attrs, **attrs}))
        scale = case.scale(*wide, **{**op.attrs, **attrs}) if case.scale else None
        assert len(got) == len(want), f"{name} returns {len(got)} arrays, its oracle {len(want)}"
        for k, (g, w) in enumerate(zip(got, want, strict=True)):
            scale_k = scale[k] if isinstance(scale, tuple) else scale
            near(g, w, case.ulps, scale_k, f"{name}, sample {i}, output {k}")


@every()
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_the_shape_rule_says_what_the_reference_returns(name, dtype):
    op = TABLE[name]
    for sample in samples_of(name):
        sample = sample.to(dtype, op)
        attrs = prepared(op, sample.attrs)
        promised = op.check(sample.arrays, attrs)
        specs = (promised,) if isinstance(promised, Spec) else promised
        results = run(op, sample)
        assert [Spec(r.shape, r.dtype) for r in results] == list(specs)
        for spec in specs:
            assert all(type(n) is int for n in spec.shape), f"{name}: sizes are Python ints"
        if not op.outputs[0].startswith("*"):
            assert len(specs) == len(op.outputs)
        again = op.check(sample.arrays, attrs)  # remembered
        assert again == promised


@every(when=lambda op: op.cls != "create")
def test_it_reads_any_layout_and_changes_nothing_it_was_given(name):
    op, case = TABLE[name], case_of(name)
    tried = 0
    for sample in samples_of(name):
        want = run(op, sample)
        attrs = prepared(op, sample.attrs)
        scale = case.scale(*sample.arrays, **{**op.attrs, **attrs}) if case.scale else None
        for i, a in enumerate(sample.arrays):
            for how, b in layouts(a):
                arrays = (*sample.arrays[:i], b, *sample.arrays[i + 1:])
                before = [np.array(x) for x in arrays if isinstance(x, np.ndarray)]
                try:
                    got = tuple_of(as_arrays(op.reference(*arrays, **attrs)))
                except etude.ShapeError:
                    assert op.cls in VIEWS, f"{name} refuses an array that lies {how}"
                    continue
                for k, (g, w) in enumerate(zip(got, want, strict=True)):
                    scale_k = scale[k] if isinstance(scale, tuple) else scale
                    near(g, w, case.ulps, scale_k, f"{name}, {how}")
                after = [x for x in arrays if isinstance(x, np.ndarray)]
                for x, y in zip(before, after, strict=True):
                    assert np.array_equal(x, y, equal_nan=x.dtype.kind == "f"), (
                        f"{name} changed its input")
                tried += 1
    assert tried


@every(when=lambda op: op.cls not in (*VIEWS, "create"))
def test_results_lie_in_memory_of_their_own(name):
    op = TABLE[name]
    for sample in samples_of(name):
        for y in run(op, sample):
            for a in sample.arrays:
                if isinstance(a, np.ndarray) and a.size:
                    assert not np.shares_memory(a, y), f"{name} returns a view of its input"


@every(when=lambda op: op.cls in VIEWS)
def test_views_move_no_data(name):
    op = TABLE[name]
    for sample in samples_of(name):
        x = sample.arrays[0]
        for y in run(op, sample):
            assert not x.size or not y.size or np.shares_memory(x, y)


@every(when=lambda op: op.cls not in (*VIEWS, "create"))
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_results_can_be_written_into_given_buffers(name, dtype):
    op = TABLE[name]
    call = Table("cpu")[name]
    for sample in samples_of(name):
        sample = sample.to(dtype, op)
        attrs = prepared(op, sample.attrs)
        want = run(op, sample)
        buffers = tuple(np.full_like(w, 1 if w.dtype.kind != "f" else np.nan) for w in want)
        out = buffers if len(want) > 1 else buffers[0]
        assert call(*sample.arrays, out=out, **attrs) is out
        for b, w in zip(buffers, want, strict=True):
            assert np.array_equal(b, w, equal_nan=w.dtype.kind == "f")
        wrong = tuple(np.zeros((*w.shape, 2), w.dtype) for w in want)
        with pytest.raises(etude.ShapeError, match="out= must be"):
            call(*sample.arrays, out=wrong if len(want) > 1 else wrong[0], **attrs)


@every(when=lambda op: op.alias)
def test_an_output_may_be_written_over_the_input_it_is_declared_to_alias(name):
    op = TABLE[name]
    call = Table("cpu")[name]
    tried = 0
    for sample in samples_of(name):
        attrs = prepared(op, sample.attrs)
        want = run(op, sample)
        arrays = [np.array(a) if isinstance(a, np.ndarray) else a for a in sample.arrays]
        spots = [op.arrays.index(op.alias[o]) if o in op.alias else None for o in op.outputs]
        out = tuple(arrays[i] if i is not None else np.empty_like(w)
                    for i, w in zip(spots, want, strict=True))
        if any(getattr(o, "shape", None) != w.shape for o, w in zip(out, want, strict=True)):
            continue  # broadcast, so the input is too small
        call(*arrays, out=out if len(out) > 1 else out[0], **attrs)
        for o, w in zip(out, want, strict=True):
            assert np.array_equal(o, w)
        tried += 1
    assert tried


@every()
def test_hidden_outputs_stay_hidden(name):
    op = TABLE[name]
    for sample in samples_of(name):
        y = OPS[name](*tensors(sample, ()), **sample.attrs)
        if op.outputs[0].startswith("*"):
            assert isinstance(y, tuple)
        else:
            shown = tuple_of(y)
            assert len(shown) == op.shown, f"{name} shows {len(shown)} outputs, not {op.shown}"
            y = shown[0]
            assert isinstance(y, Tensor)
            assert np.array_equal(y.numpy(), run(op, sample)[0], equal_nan=y.dtype.kind == "f")


@every()
def test_its_cost_is_stated_and_grows_with_the_call(name):
    op = TABLE[name]
    stated = []
    for sample in samples_of(name):
        attrs = prepared(op, sample.attrs)
        flops, traffic = (f(*sample.arrays, **attrs) for f in (op.flops, op.bytes))
        assert type(flops) is int
        assert type(traffic) is int
        assert flops >= 0
        outputs = run(op, sample)
        assert traffic >= sum(y.nbytes for y in outputs)
        narrow = sample.to(float32, op)
        assert op.flops(*narrow.arrays, **attrs) == flops
        if sample.floats:
            assert op.bytes(*narrow.arrays, **attrs) <= traffic
        if math.prod(math.prod(a.shape) for a in sample.arrays if isinstance(a, np.ndarray)) == 0:
            continue
        whole = [a for a in (*sample.arrays, *outputs) if isinstance(a, np.ndarray)]
        kind = [(a.ndim, a.dtype) if isinstance(a, np.ndarray) else type(a)
                for a in (*sample.arrays, *outputs)]
        stated.append((kind, [n for a in whole for n in a.shape], flops, traffic))
    pairs, grows = 0, False
    for kind, small, flops, traffic in stated:
        for kind2, larger, flops2, traffic2 in stated:
            if kind == kind2 and small != larger and all(
                    a <= b for a, b in zip(small, larger, strict=True)):
                pairs += 1
                assert traffic2 > traffic, f"{name}: more data, but not more bytes"
                assert flops2 >= flops, f"{name}: more data, but fewer flops"
                grows = grows or flops2 > flops
    assert pairs, f"{name}: give CASES two samples of which one is larger along some axis"
    assert grows or not any(flops for _, _, flops, _ in stated), f"{name}: flops do not grow"


@every(when=lambda op: op.cls not in (*VIEWS, "create"))
def test_the_same_call_gives_the_same_bits(name):
    op = TABLE[name]
    for sample in samples_of(name):
        for a, b in zip(run(op, sample), run(op, sample), strict=True):
            assert a.tobytes() == b.tobytes()


# ---------------------------------------------------------------------------- refusals


@every()
def test_a_call_that_does_not_fit_the_signature_says_so(name):
    op = TABLE[name]
    sample = samples_of(name)[0]
    attrs = prepared(op, sample.attrs)
    with pytest.raises(TypeError, match=f"{name} has no attribute 'dimm'; it takes: "):
        op.check(sample.arrays, {**attrs, "dimm": 1})
    if not op.variadic:
        words = rf"{name} takes arrays \(.*\), got {1 + len(op.arrays)} of them"
        with pytest.raises(TypeError, match=words):
            op.check((*sample.arrays, *[None] * (1 + len(op.arrays) - len(sample.arrays))), attrs)
    if op.required:
        with pytest.raises(TypeError, match=f"{name} takes arrays .*got 0 of them"):
            op.check((), attrs)
        if not op.variadic:
            with pytest.raises(TypeError, match=f"{name}: {op.arrays[0]} is required, got None"):
                op.check((None, *sample.arrays[1:]), attrs)
    for key, default in op.attrs.items():
        if default is inspect.Parameter.empty:
            rest = {k: v for k, v in attrs.items() if k != key}
            with pytest.raises(TypeError, match=f"{name} needs the attribute '{key}'"):
                op.check(sample.arrays, rest)
            with pytest.raises(TypeError, match=f"{name} needs the attribute '{key}'"):
                OPS[name](*tensors(sample, ()), **rest)
    for key, words in op.choices.items():
        with pytest.raises(ValueError, match=f"{name}: {key} must be one of '{words[0]}'"):
            op.check(sample.arrays, {**attrs, key: "best"})


@every(when=lambda op: op.arrays and not op.fixed.keys() >= set(op.arrays))
def test_dtypes_it_does_not_take_are_refused_by_name(name):
    op = TABLE[name]
    sample = next(s for s in samples_of(name) if s.floats or TABLE[name].domain == "any")
    attrs = prepared(op, sample.attrs)
    free = [i for i, arg in enumerate(op.arrays * 9 if op.variadic else op.arrays)
            if i < len(sample.arrays) and isinstance(sample.arrays[i], np.ndarray)
            and arg not in op.fixed]

    def given(dtype, spots):
        return tuple(np.zeros(a.shape, dtype) if i in spots else a
                     for i, a in enumerate(sample.arrays))

    wrong = {"float": int64, "number": np.dtype(bool), "any": np.dtype("int16")}[op.domain]
    if op.domain != "any" or op.cls not in ("view", "cast"):
        with pytest.raises(DTypeError, match=rf"^{name}: "):
            op.check(given(wrong, free), attrs)
    if len(free) > 1:
        for i in free:
            with pytest.raises(DTypeError, match=rf"^{name}: .*float32.*|^{name}: .*int64"):
                op.check(given(float32, [i]), attrs)
    for arg, dtype in op.fixed.items():
        if dtype is None:  # several dtypes; which ones, the family's own test says
            continue
        i = op.arrays.index(arg)
        with pytest.raises(DTypeError, match=rf"{name}: {arg} must be {dtype.name}, got float32"):
            op.check(given(float32, [i]), attrs)


# ---------------------------------------------------------------------------- the sweep itself


def test_an_op_without_a_case_fails_with_a_sentence(monkeypatch):
    @etude.op("map", flops=1)
    def unheard_of(x):
        """y = x + 0, elementwise. x, y: any shape, float."""
        return x + 0

    try:
        with pytest.raises(pytest.fail.Exception, match=r"Write CASES\['unheard_of'\] = Case"):
            case_of("unheard_of")
    finally:
        del TABLE["unheard_of"]


def test_near_lets_no_nan_and_no_infinity_pass():
    for got, want in [([np.nan], [1.0]), ([1.0], [np.nan]), ([np.inf], [1.0]),
                      ([np.inf], [-np.inf]), ([1.0], [np.inf]), ([0.0], [1e-3])]:
        with pytest.raises(AssertionError, match="elements are wrong"):
            near(np.array(got), np.array(want), 1e6)
    with pytest.raises(AssertionError, match="shape"):
        near(np.zeros(2), np.zeros(3))
    near(np.array([np.nan, np.inf]), np.array([np.nan, np.inf]))


# ---------------------------------------------------------------------------- entering one


def test_op_lists_its_keywords_and_catches_a_misspelt_one():
    keywords = inspect.signature(etude.op).parameters
    assert all(p.kind is not p.VAR_KEYWORD for p in keywords.values())
    text = inspect.getdoc(etude.op)
    assert [name for name in keywords if f"\n{name}: " not in text] == []
    with pytest.raises(TypeError, match="unexpected keyword argument 'flop'"):
        etude.op("map", flop=1)


def test_what_a_row_says_is_a_field_of_the_op():
    said = set(inspect.signature(etude.op).parameters) - {"sizes", "flops", "nullable", "pairs",
                                                          "ieee"}  # part of another field
    assert said <= {field.name for field in dataclasses.fields(Op)}

"""What holds for every op that has a kernel."""

import numpy as np
import pytest
from cpu_cases import FLOATS, agree, calls, hold

from etude.backends.native.header import read_header
from etude.commands.show import countable, reference_dtypes
from etude.core.table import TABLE


def bits(result):
    return [r.tobytes() for r in (result if isinstance(result, tuple) else (result,))]


def test_every_op_with_a_function_type_has_a_kernel_and_a_call_here(ops):
    declared = {name for name, op in TABLE.items() if op.cls in read_header().types
                and op.reference.__module__.startswith("etude.ops")}
    assert len(declared) >= 100
    assert declared == set(ops)
    assert declared <= {name for name, _, _ in calls("float32")}


@pytest.mark.parametrize("dtype", FLOATS)
def test_kernels_agree_with_the_reference(ops, dtype):
    for name, arrays, attrs in calls(dtype):
        hold(ops, name, *arrays, terms=4000, **attrs)


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_do_not_depend_on_the_number_of_threads(ops, threads, dtype):
    for name, arrays, attrs in calls(dtype, scale=40):
        threads(1)
        alone = bits(ops[name](*arrays, **attrs))
        for n in (2, 3):
            threads(n)
            assert bits(ops[name](*arrays, **attrs)) == alone, f"{name} on {n} threads"


@pytest.mark.parametrize("dtype", FLOATS)
def test_out_receives_the_result_and_is_returned(ops, dtype):
    for name, arrays, attrs in calls(dtype):
        want = ops[name](*arrays, **attrs)
        if isinstance(want, tuple):
            out = tuple(np.full_like(w, 9) for w in want)
            got = ops[name](*arrays, out=out, **attrs)
            assert all(g is o for g, o in zip(got, out)), name
        else:
            out = np.full_like(want, 9)
            assert ops[name](*arrays, out=out, **attrs) is out, name
        assert bits(out) == bits(want), name


def test_out_of_another_shape_dtype_or_layout_is_refused_by_name(ops):
    x = np.ones((4, 6), np.float32)
    with pytest.raises(ValueError, match=r"exp: out must be contiguous with shape \[4, 6\]"):
        ops["exp"](x, out=np.empty((6, 4), np.float32))
    with pytest.raises(ValueError, match="add: out must be contiguous"):
        ops["add"](x, x, out=np.empty((6, 4), np.float32).T)
    with pytest.raises(TypeError, match="softmax: out must be an array of float32, got float64"):
        ops["softmax"](x, out=np.empty((4, 6)))
    frozen = np.empty((4, 6), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="mul: out is read-only"):
        ops["mul"](x, x, out=frozen)


@pytest.mark.parametrize("dtype", FLOATS)
def test_results_may_be_written_over_inputs_where_the_op_allows_it(ops, dtype):
    for name, arrays, attrs in calls(dtype):
        op = TABLE[name]
        elementwise = op.cls in ("map", "equal", "binary")
        alias = op.alias or ({op.outputs[0]: op.arrays[0]} if elementwise else {})
        if not alias or attrs.get("dim", -1) != -1:
            continue
        want = ops[name](*arrays, **attrs)
        mine = [a.copy() if isinstance(a, np.ndarray) else a for a in arrays]
        out = tuple(mine[op.arrays.index(alias[o])] for o in op.outputs)
        got = ops[name](*mine, out=out if len(out) > 1 else out[0], **attrs)
        assert bits(got) == bits(want), name


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_layout_of_the_inputs_gives_the_same_result(ops, dtype):
    """Every float operand in turn transposed, sliced out of a larger one, and reversed."""
    for name, arrays, attrs in calls(dtype):
        want = ops[name](*arrays, **attrs)
        for i, a in enumerate(arrays):
            if not isinstance(a, np.ndarray) or a.ndim == 0:
                continue
            for layout in (_transposed, _sliced, _reversed):
                moved = [*arrays[:i], layout(a), *arrays[i + 1 :]]
                got = ops[name](*moved, **attrs)
                pairs = zip(got, want) if isinstance(want, tuple) else ((got, want),)
                for g, w in pairs:
                    agree(f"{name}, input {i} {layout.__name__}", g, w, terms=4000)


def _transposed(a):
    return np.ascontiguousarray(a.T).T


def _sliced(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 3), a.dtype)
    wide[..., 3::2] = a
    return wide[..., 3::2]


def _reversed(a):
    return np.ascontiguousarray(a[::-1])[::-1]


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_empty_batch_gives_empty_results(ops, dtype):
    x, key = np.zeros((0, 5), dtype), np.array([1, 2])
    for name in ("exp", "neg", "gelu", "softmax", "log_softmax"):
        hold(ops, name, x)
    for name in ("add", "lt", "maximum"):
        hold(ops, name, x, np.ones(5, dtype))
    hold(ops, "where", x > 0, x, 1.0)
    hold(ops, "sum", x, dim=0)
    hold(ops, "sum", x)
    for name in ("prod", "all", "any"):
        for dim in (None, 0, 1):
            hold(ops, name, x > 0 if name != "prod" else x, dim=dim)
    hold(ops, "logsumexp", x, dim=1)
    hold(ops, "var", x, dim=1)
    hold(ops, "cumsum", x, dim=0)
    hold(ops, "cumsum", x, dim=1)
    hold(ops, "tril", x)
    hold(ops, "stack", x, x, dim=1)
    hold(ops, "pad", x, padding=(1, 1, 2, 0), value=3.0)
    hold(ops, "index_select", np.ones((4, 5), dtype), np.zeros(0, np.int64), dim=0)
    hold(ops, "embedding", np.zeros((2, 0), np.int64), np.ones((4, 5), dtype))
    hold(ops, "embedding_backward", x, np.zeros(0, np.int64), num_embeddings=3)
    hold(ops, "one_hot", np.zeros((0, 2), np.int64), num_classes=3)
    hold(ops, "rms_norm", x, normalized_shape=(5,))
    hold(ops, "batch_norm_eval", x, np.ones(5, dtype), np.ones(5, dtype))
    hold(ops, "mse_loss", x, x, reduction="sum")
    hold(ops, "l1_loss", x, x, reduction="none")
    hold(ops, "mean", x, dim=1)
    hold(ops, "argmax", x, dim=1)
    hold(ops, "matmul", x, np.ones((5, 3), dtype))
    hold(ops, "matmul", np.ones((3, 0), dtype), x)
    hold(ops, "linear", x, np.ones((3, 5), dtype), np.ones(3, dtype))
    uneven = np.ones((4, 7, 9), dtype)  # empty cuts of it count as contiguous
    hold(ops, "linear", uneven[:0, :3, :5], np.ones((3, 5), dtype))
    hold(ops, "linear", uneven[:, :3, :0], np.ones((3, 0), dtype), np.ones(3, dtype))
    hold(ops, "contiguous", x.T)
    hold(ops, "cat", x, np.ones((2, 5), dtype))
    hold(ops, "gather", np.ones((4, 5), dtype), np.zeros((0, 5), np.int64), dim=0)
    hold(ops, "scatter_add", np.ones((4, 5), dtype), np.zeros((0, 5), np.int64), x, dim=0)
    hold(ops, "cross_entropy", x, np.zeros(0, np.int64), reduction="sum")
    hold(ops, "layer_norm", x, normalized_shape=(5,))
    hold(ops, "dropout", x, key, p=0.5)
    hold(ops, "rand", key, shape=(0,), dtype=np.dtype(dtype))
    hold(ops, "conv2d", np.zeros((0, 2, 5, 5), dtype), np.ones((3, 2, 3, 3), dtype))
    hold(ops, "max_pool2d", np.zeros((0, 2, 4, 4), dtype), kernel_size=(2, 2), stride=(2, 2))


@pytest.mark.parametrize("dtype", FLOATS)
def test_arrays_without_dimensions_stay_arrays(ops, dtype):
    x = np.array(0.5, dtype)
    for name in ("exp", "neg", "sum", "argmax", "contiguous", "abs", "isnan", "argmin", "logsumexp",
                 "prod"):
        hold(ops, name, x)
    hold(ops, "add", x, x)
    hold(ops, "add", np.float32(2) if dtype == "float32" else np.float64(2), x)
    hold(ops, "lt", x, 1.0)
    hold(ops, "stack", x, x)
    hold(ops, "mse_loss", x, x)
    hold(ops, "one_hot", np.array(2), num_classes=4)
    hold(ops, "var", x, correction=0)
    hold(ops, "where", np.array(True), x, 0.0)
    assert type(ops["exp"](x.dtype.type(0.5))) is np.ndarray


def test_a_call_the_shape_rule_refuses_never_reaches_a_kernel(ops):
    x, y = np.ones((2, 3), np.float32), np.ones((4, 5), np.float32)
    with pytest.raises(ValueError, match=r"add: shapes \[2, 3\] and \[4, 5\] do not broadcast"):
        ops["add"](x, y)
    with pytest.raises(ValueError, match="matmul"):
        ops["matmul"](x, y)
    with pytest.raises(TypeError, match="mul: operands must share one dtype"):
        ops["mul"](x, x.astype(np.float64))
    with pytest.raises(IndexError, match="softmax"):
        ops["softmax"](x, dim=2)
    with pytest.raises(TypeError, match="exp has no attribute 'dim'"):
        ops["exp"](x, dim=1)
    with pytest.raises(ValueError, match="approximate must be one of"):
        ops["gelu"](x, approximate="fast")
    for name in ("softmax", "sum", "argmax"):
        with pytest.raises(TypeError, match=f"{name}: axis is called dim here"):
            ops[name](x, axis=1)
    for name, needed, arrays in (("dropout", "p", (x, x)), ("gather", "dim", (x, x)),
                                 ("slice_backward", "shape", (x,))):
        with pytest.raises(TypeError, match=f"{name} needs the attribute '{needed}'"):
            ops[name](*arrays)
    with pytest.raises(TypeError, match="add: y is required, got None"):
        ops["add"](x, None)
    for name, others in (("exp", ()), ("softmax", ()), ("sum", ()), ("matmul", (x,)),
                         ("linear", (x, x))):
        with pytest.raises(TypeError, match=f"{name}: x is required, got None"):
            ops[name](None, *others)
    with pytest.raises(TypeError, match="mul: at least one operand must be an array"):
        ops["mul"](2.0, 3.0)


def test_a_bool_is_no_axis_even_where_the_axis_it_equals_is_known(ops):
    x = np.ones((2, 3), np.float32)
    for name in ("sum", "var", "argmax", "softmax", "cumsum"):
        for column in (ops, TABLE):
            column[name](x, dim=1)
            with pytest.raises((TypeError, IndexError), match=f"{name}: dim must be an integer"):
                column[name](x, dim=True)
    for column in (ops, TABLE):
        column["sum"](x, dim=1, keepdim=True)
        with pytest.raises(TypeError, match="sum: keepdim must be True or False, got 1"):
            column["sum"](x, dim=1, keepdim=1)


def test_every_op_has_a_kernel_for_each_dtype_that_the_reference_takes(ops):
    for op in countable():
        assert set(ops.dtypes[op.name]) == set(reference_dtypes(op)), op.name

"""Sizes and attributes reach a kernel by name; what does not agree is refused with a sentence."""

import math
import re

import numpy as np
import pytest

import etude
from etude.backends.native.bind import bind
from etude.backends.native.header import read_header
from etude.backends.native.kernel import Kernel
from etude.backends.native.library import host
from etude.backends.native.numbers import Numbers, along, passes
from etude.core.layout import Layout
from etude.core.table import TABLE, op


@pytest.fixture
def newcomer():
    """Enters an op for the length of a test."""
    entered = []

    def enter(cls, reference, **row):
        made = op(cls, **row)(reference)
        entered.append(made.name)
        return made

    yield enter
    for name in entered:
        TABLE.pop(name, None)


def kernel_of(row, parameters=None):
    return Kernel(row, parameters or read_header().types[row.cls], {"f32": 1}, host())


def numbers(name, *arrays, **attrs):
    return Numbers(kernel_of(TABLE[name]))(arrays, attrs)


def test_sizes_of_the_layout_and_attributes_go_by_their_names():
    x, weight = np.zeros((2, 3, 8, 9), np.float32), np.zeros((4, 3, 3, 2), np.float32)
    assert numbers("conv2d", x, weight, None, stride=(2, 1), padding=(1, 0)) == (
        2, 3, 8, 9, 4, 3, 2, 4, 8, 2, 1, 1, 0, 1, 1, 1)
    logits, labels = np.zeros((5, 7), np.float32), np.zeros(5, np.int64)
    assert numbers("cross_entropy", logits, labels, reduction="none", label_smoothing=0.5) == (
        5, 7, 2.0, -100.0, 0.5)


def test_products_and_renamed_attributes_are_what_the_row_says():
    x = np.zeros((2, 3, 6, 8), np.float32)
    assert numbers("max_pool2d", x, kernel_size=(2, 4), stride=(2, 4)) == (
        6, 6, 8, 3, 2, 2, 4, 2, 4, 0, 0, 1, 1)
    assert numbers("layer_norm", x, normalized_shape=(6, 8), eps=0.25) == (6, 48, 0.25)
    assert numbers("batch_norm", x, eps=0.5) == (2, 3, 48, 0.5)
    assert numbers("clamp", x, max=2)[1:] == pytest.approx((math.nan, 2.0), nan_ok=True)
    assert numbers("cast", x, dtype=etude.float64) == (288, 0)
    assert numbers("index_select", x, np.zeros(5, np.int64), dim=1) == (2, 3, 5, 48)


def test_what_no_kernel_is_passed_is_declined():
    x = np.zeros((1, 4, 8, 8), np.float32)
    with pytest.raises(etude.Unsupported, match="an attribute is NaN"):
        numbers("leaky_relu", x, negative_slope=math.nan)
    with pytest.raises(etude.Unsupported, match="axes that are no neighbours"):
        numbers("var", np.zeros((2, 3, 4)), dim=(0, 2))


def test_a_reduction_over_separate_axes_goes_in_passes():
    assert passes((2, 3, 4, 5), (0, 2, 3)) == [((2, 3), (6, 20, 1)), ((0,), (1, 2, 3))]
    assert passes((2, 1, 3), (0, 2)) == [((0, 2), (1, 6, 1))]
    assert passes((1, 4), (0,)) == [((0,), (4, 1, 1))]
    assert along((2, 3, 4), 1) == (2, 3, 4)
    assert along((2, 3, 4), (1, 2)) == (2, 12, 1)
    assert along((2, 3, 4), None) == (1, 24, 1)


def test_a_new_dense_op_needs_no_python_beyond_its_row(newcomer, tmp_path):
    """A row, a kernel, and nothing else told: the op runs in C."""
    from test_library import compiled

    def windowed(x, *, low, high=2.0):
        """y = x where low <= x <= high, else 0."""
        return np.where((x >= low) & (x <= high), x, x.dtype.type(0))

    newcomer("map", windowed, kernel="n = ..., a = low, b = high")
    source = """
        #include <etude.h>
        etude_map_fn_f32 etude_windowed_f32;
        int etude_windowed_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a,
                               double b)
        {
            (void)ctx;
            for (int64_t i = 0; i < n; i++)
                y[i] = x[i] >= (float)a && x[i] <= (float)b ? x[i] : 0;
            return ETUDE_OK;
        }
    """
    x = np.linspace(-3, 3, 13, dtype=np.float32).reshape(1, 13)
    with etude.use(compiled(tmp_path, source), strict=True):
        y = etude.functional.windowed(etude.tensor(x), low=-1.0)
    np.testing.assert_array_equal(y.numpy(), TABLE["windowed"](x, low=-1.0))


def test_rows_header_and_library_that_disagree_fail_with_a_sentence(newcomer):
    def plain(x, *, slope):
        return x

    open_ = newcomer("map", plain, kernel="n = ..., a = slope")
    with pytest.raises(etude.BackendError, match=r"plain: its kernel takes 'b' \(function type "
                       r"'map' of etude.h\), which is no size of its layout \(... -> ...\) and no "
                       r"attribute. Say in the row what it is: kernel=\"b = ...\""):
        bind(kernel_of(open_))
    del TABLE["plain"]
    with pytest.raises(etude.BackendError, match=r"its row says what 'c' is, but the function type "
                                                 r"'map' of etude.h takes n, a, b"):
        bind(kernel_of(newcomer("map", plain, kernel="n = ..., a = slope, b = 0, c = 0")))
    del TABLE["plain"]
    with pytest.raises(etude.BackendError, match="cannot read 'a slope' in kernel="):
        bind(kernel_of(newcomer("map", plain, kernel="n = ..., a slope")))

    def two(x, y):
        return x + y

    with pytest.raises(etude.BackendError, match=r"two has 2 arrays and 1 results, and the "
                                                 r"function type 'map' of etude.h takes 2 of "
                                                 r"both"):
        bind(kernel_of(newcomer("map", two)))


def test_the_text_of_a_compiled_call_can_be_read():
    import linecache
    import traceback

    with etude.use("cpu"):
        try:
            etude.current()["softmax"](np.ones((2, 3), np.float32), out=np.empty(3))
        except TypeError as error:  # out has another dtype
            lines = "".join(traceback.format_exception(error))
    assert '<etude softmax>' in lines
    assert "_check_out('softmax', _y, _y_shape, _y_dtype)" in lines
    assert linecache.getline("<etude softmax>", 1).startswith("def softmax(x, *, out=None")


#: Attributes that the host turns into strides, or does itself, so that no kernel is passed them.
BY_STRIDES = {"cat": {"dim"}, "stack": {"dim"}, "pad": {"value"}, "slice_backward": {"index"}}


def test_every_attribute_of_a_row_reaches_its_kernel_or_is_in_the_sizes_it_gets():
    types = read_header().types
    for row in TABLE.values():
        if row.cls not in types or not row.reference.__module__.startswith("etude.ops"):
            continue
        known = set(re.findall(r"\w+", row.kernel)) | {p.name for p in types[row.cls]}
        if isinstance(row.shape, Layout):
            known |= {*row.shape.asks, *row.shape.attrs, *re.findall(r"\w+", row.shape.text)}
        assert set(row.attrs) - known == BY_STRIDES.get(row.name, set()), row.name

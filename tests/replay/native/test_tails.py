"""A product that does what follows it (a norm, a sum, a relu) gives the bits of the calls."""

import os
import shutil
import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import etude
from etude import functional as F
from etude import nn

pytest.importorskip("etude_cpu._glue", reason="NOT RUN: needs etude-cpu", exc_type=ImportError)

from etude.backends.native.replay import Native

#: channels in and out, kernel, the other settings, and the size of the image: each way in which
#: conv2d.c makes its product (whole lines, flat, wrapped, along the channels, one tap)
SHAPES = {
    "lines of 32": (3, 16, 3, {"padding": 1}, 32),
    "lines that overlap": (2, 5, 3, {"padding": 1}, 21),
    "flat lines of 14": (4, 9, 5, {"padding": 2}, 14),
    "wrapped lines of 8": (8, 16, 3, {"padding": 1}, 8),
    "wrapped lines of 4": (3, 3, 3, {"padding": 1}, 4),
    "a stride": (4, 20, 3, {"padding": 1, "stride": 2}, 16),
    "one tap": (8, 24, 1, {}, 8),
    "one tap, many channels": (600, 3, 1, {}, 5),
    "groups": (6, 4, 3, {"groups": 2}, 7),
    "one pixel": (3, 4, 3, {}, 3),
}
PLAIN = Path(__file__).parents[3] / "c_src/cpu/plain/conv2d.c"
INCLUDE = Path(etude.__file__).parent / "include"
RELU = """#include "conv2d.c"
ETUDE_KERNEL(map, relu)(etude_context *ctx, const real *x, real *y, int64_t n, double a, double b)
{
    (void)ctx, (void)a, (void)b;
    for (int64_t i = 0; i < n; i++)
        y[i] = x[i] < 0 ? 0 : x[i];
    return ETUDE_OK;
}
"""
PARTS = [p for p in product([False, True], repeat=3) if any(p)]


class Tailed(nn.Module):
    """A convolution, and behind it a norm, a sum, a relu, as asked for."""

    def __init__(self, shape, norm, add, relu, affine=True):
        channels, out, kernel, settings, size = SHAPES[shape]
        self.conv = nn.Conv2d(channels, out, kernel, bias=not norm, **settings)
        self.norm = nn.BatchNorm2d(out, affine=affine) if norm else None
        self.add, self.relu = add, relu
        rng = np.random.default_rng(0)
        self.x = etude.tensor(rng.standard_normal((3, channels, size, size)).astype(np.float32))
        with etude.no_grad():
            if norm:  # numbers that a fresh norm does not have
                self.norm.running_mean.copy_(etude.randn(out))
                self.norm.running_var.copy_(etude.rand(out) + 0.1)
                if affine:
                    self.norm.weight.copy_(etude.randn(out))
                    self.norm.bias.copy_(etude.randn(out))
            self.other = etude.randn(*self.conv(self.x).shape)
        self.eval()

    def forward(self, x, other):
        y = self.conv(x)
        y = y if self.norm is None else self.norm(y)
        y = y + other if self.add else y
        return F.relu(y) if self.relu else y


def captured(model, **options):
    def predict(x, other):
        with etude.no_grad():
            return model(x, other) * 1.0  # so that what is before is no result

    return etude.capture(predict, **options), predict


def tails(capture):
    return capture._takes[0]._executor._found_tails()


def bits(t):
    return t.detach().numpy().tobytes()


@pytest.fixture(autouse=True)
def _on_the_kernels():
    etude.manual_seed(0)
    with etude.use("cpu"):
        yield


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("norm", "add", "relu"), PARTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_bits_are_those_of_the_calls(shape, norm, add, relu, dtype):
    model = Tailed(shape, norm, add, relu).to(dtype)
    x, other = model.x.to(dtype), model.other.to(dtype)
    step, predict = captured(model)
    want = bits(predict(x, other))
    for _ in range(2):
        assert bits(step(x, other)) == want
    parts = 0 if shape == "one pixel" and norm else norm + add + relu
    assert [t.followers for t in tails(step)] == ([parts] if parts else [])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_norm_without_weight_and_bias(shape):
    model = Tailed(shape, True, True, True, affine=False)
    step, predict = captured(model)
    assert bits(step(model.x, model.other)) == bits(predict(model.x, model.other))


@pytest.mark.parametrize("shape", SHAPES)
def test_infinities_nans_and_zeros_of_both_signs(shape):
    model = Tailed(shape, True, True, True)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1e38, -1e-45], np.float32)
    x, other = model.x.numpy().copy(), model.other.numpy().copy()
    x[0].flat[::11] = np.resize(odd, x[0].flat[::11].size)
    other[1].flat[::5] = np.resize(odd, other[1].flat[::5].size)
    x, other = etude.tensor(x), etude.tensor(other)
    step, predict = captured(model)
    for _ in range(2):
        got, want = step(x, other).numpy(), predict(x, other).numpy()
        np.testing.assert_array_equal(got, want)
        kept = ~np.isnan(want)  # the sign of a NaN says nothing
        np.testing.assert_array_equal(np.signbit(got)[kept], np.signbit(want)[kept])


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_bits_do_not_depend_on_the_number_of_threads(shape, count):
    import etude_cpu

    model, before = Tailed(shape, True, True, True), etude_cpu.get_num_threads()
    step, predict = captured(model, freeze=True)
    want = bits(predict(model.x, model.other))
    etude_cpu.set_num_threads(count)
    try:
        assert bits(step(model.x, model.other)) == want
    finally:
        etude_cpu.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 300, 70), (3, 40, 1), (7, 33, 5), (64, 520, 70),
                                   (13, 16, 1), (300, 8, 200), (40, 1, 3), (5, 130, 70000)])
def test_a_linear_does_the_relu_behind_it(shape, dtype, count):
    """Of few rows and of many, with one column, and wider than a slab."""
    import etude_cpu

    n, k, m = shape
    rng, before = np.random.default_rng(0), etude_cpu.get_num_threads()
    x, w, b = [etude.tensor(rng.standard_normal(s).astype(dtype)) for s in ((n, k), (m, k), m)]
    odd = np.array([np.nan, np.inf, -0.0], dtype)
    with etude.no_grad():
        b[: min(3, m)].copy_(etude.tensor(odd[: min(3, m)]))

    def predict(x):
        return F.relu(F.linear(x, w, b)) * 1.0

    want = bits(predict(x))
    etude_cpu.set_num_threads(count)
    try:
        for options in ({}, {"freeze": True}):
            step = etude.capture(predict, **options)
            for _ in range(2):
                assert bits(step(x)) == want
            assert [t.relu for t in tails(step)] == [1]
    finally:
        etude_cpu.set_num_threads(before)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_a_linear_without_elements(shape):
    n, k, m = shape
    x, w, b = etude.ones(n, k), etude.ones(m, k), etude.ones(m) * -1.0
    step = etude.capture(lambda x: F.relu(F.linear(x, w, b)) * 1.0)
    for _ in range(2):
        assert bits(step(x)) == bits(F.relu(F.linear(x, w, b)) * 1.0)


def test_whole_models_have_the_bits_of_eager_calls():
    model = etude.models.resnet20().eval()
    for n in (1, 3):
        x = etude.randn(n, 3, 32, 32)
        step = etude.capture(lambda x: model(x))
        with etude.no_grad():
            want = bits(model(x))
            assert bits(step(x)) == want == bits(step(x))
        assert len(tails(step)) == 21  # of the 21 convolutions


def test_calls_run_one_by_one_where_memory_is_overwritten():
    model = Tailed("lines of 32", True, True, True)
    step, predict = captured(model)
    want = predict(model.x, model.other)
    step(model.x, model.other)
    program = step.program
    executor = Native(program, poison=True)
    y = np.empty(want.shape, np.float32)
    for v, t in zip(program.arguments, (model.x, model.other), strict=True):
        executor.bind(v.buffer, t.array)
    executor.bind(program.results[0].buffer, y)
    for _ in range(2):
        executor.run()
        assert y.tobytes() == bits(want)


def test_a_value_that_somebody_else_reads_is_not_written_over():
    model = Tailed("lines of 32", False, False, False)

    def predict(x):
        with etude.no_grad():
            y = model.conv(x)
            return F.relu(y), y * 2.0

    step = etude.capture(predict)
    for _ in range(2):
        assert [bits(t) for t in step(model.x)] == [bits(t) for t in predict(model.x)]
    assert tails(step) == []


def test_another_column_for_what_follows_is_used():
    @etude.implements("relu")
    def relu(x):
        return np.maximum(x, 1)  # no relu, so that it shows

    model = Tailed("lines of 32", True, False, True)
    columns = [etude.backends.resolve.resolve(c)[0] for c in (relu, "cpu")]
    with etude.use(*columns):
        step, _ = captured(model)
        for _ in range(2):
            assert step(model.x, model.other).numpy().min() == 1


def test_a_kernel_that_knows_no_tails_is_followed_by_the_calls(tmp_path):
    """The plain convolution, in a library with the plain relu."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if not PLAIN.exists() or compiler is None:
        pytest.skip("NOT RUN: needs the sources of the kernels, and a compiler")
    source, library = tmp_path / "both.c", tmp_path / "both.so"
    source.write_text(RELU)
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", f"-I{INCLUDE}", f"-I{PLAIN.parent}",
                    str(source), "-o", str(library), "-lm"], check=True)
    model = Tailed("lines that overlap", False, False, True)
    with etude.use(str(library), "cpu"):
        step, predict = captured(model)
        want = bits(predict(model.x, model.other))
        for _ in range(2):
            assert bits(step(model.x, model.other)) == want
        assert len(tails(step)) == 1

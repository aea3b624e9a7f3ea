"""Functions that are no ops, and public forms of ops, run where their tensors are."""

import numpy as np
import pytest

import etude
from etude import functional as F

X = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)

FUNCTIONS = {
    "max along an axis": lambda x: F.max(x, 1).values, "max": F.max, "min of two": lambda x: F.min(
        x, x * 2), "sort": lambda x: F.sort(x).values, "std": F.std, "norm": lambda x: F.norm(x, 3),
    "diagonal": lambda x: F.einsum("abii->ai", x), "product": lambda x: F.einsum(
        "abij,acjk->bk", x, x), "reflect": lambda x: F.pad(x, (1, 2), "reflect"),
    "circular": lambda x: F.pad(x, (1, -1), "circular"), "clamp": lambda x: F.clamp(x, x * 0.5, 1),
    "same": lambda x: F.conv2d(x, x[:, :, :2, :3], padding="same"), "transposed":
    lambda x: F.conv_transpose2d(x, x[:1, :, :2].reshape(3, 1, 2, 4), None, 2, 1, 1),
    "one image": lambda x: F.max_pool2d(x[0], 2),
    "unmasked": lambda x: F.masked_fill(x, x > 0, 1.0),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x[:1], x[:1, :1]),
    "probabilities": lambda x: F.cross_entropy(x, F.softmax(x, 1)), "weights":
    lambda x: F.binary_cross_entropy_with_logits(x, x * x, x * x, pos_weight=x * x),
    "trunc": lambda x: F.div(x, 0.5, rounding_mode="trunc"), "in two": lambda x: x.chunk(2)[1],
}


@pytest.mark.parametrize("call", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_function_and_its_gradient_are_those_of_the_host(call, traffic):
    found = []
    for device in ("cpu", "opaque"):
        x = etude.tensor(X).to(device).detach().requires_grad_()
        y = call(x)
        assert y.device == device
        y.backward(F.cast(y.detach() * 0 + 1, dtype=y.dtype))
        assert x.grad.device == device
        found.append((y.detach().to("cpu").numpy(), x.grad.to("cpu").numpy()))
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-6, atol=1e-6)

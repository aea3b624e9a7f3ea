"""What a kernel in C is passed, in words: every number of every op is told, by its row."""

import re

import pytest

from etude.backends.native.bind import CONVENTIONS
from etude.backends.native.header import read_header
from etude.backends.native.signature import comment, has_signature, meanings, signature
from etude.core.table import TABLE

OPS = [op for op in TABLE.values() if has_signature(op)]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_the_signature_is_that_of_the_header(op):
    parameters = [p.name for p in read_header().types[op.cls]]
    text = " ".join(signature(op, "f64").split())
    head, _, inside = text.removesuffix(")").partition("(")
    assert head == f"int etude_{op.name}_f64"
    names = [re.search(r"(\w+)(\[\d+\])?$", part)[1] for part in inside.split(", ")]
    assert names == ["ctx", *parameters]
    assert not re.search(r"\breal\b", text)
    assert comment(op).startswith("/*")


@pytest.mark.parametrize("op", [op for op in OPS if op.cls not in CONVENTIONS],
                         ids=lambda op: op.name)
def test_every_number_of_a_kernel_is_told(op):
    told = [name for names, _ in meanings(op) for name in names.split(", ")]
    numbers = [p.name for p in read_header().types[op.cls] if p.kind in ("size", "attribute")]
    assert set(numbers) <= set(told)


@pytest.mark.parametrize(("op", "name", "words"), [
    ("softplus", "a", "the attribute beta"), ("softplus", "b", "the attribute threshold"),
    ("relu", "a, b", "always 0"), ("clamp", "a", "the attribute min, NaN for None"),
    ("gelu", "a", "the attribute approximate: 0 'none', 1 'tanh'"),
    ("sgd_step", "nesterov", "the attribute nesterov, 0 or 1"),
    ("conv2d", "SH, SW", "the attribute stride"),
    ("conv2d", "N, C, H, W, O, KH, KW, OH, OW", "as in the layout"),
    ("conv2d", "layout", "x: N C H W, weight: O C/groups KH KW, bias: O -> N O OH OW"),
    ("softmax", "rows, cols", "the sizes of x before and at the axes of dim, multiplied"),
    ("layer_norm", "cols", "the sizes *D of the layout, multiplied"),
    ("linear", "a", "the array x"), ("linear", "b", "the array weight"),
    ("linear", "c", "the result"), ("matmul", "bias", "NULL"),
    ("tanh_backward", "x", "the array grad"),
])
def test_the_row_tells_what_a_number_is(op, name, words):
    assert dict(meanings(TABLE[op]))[name] == words

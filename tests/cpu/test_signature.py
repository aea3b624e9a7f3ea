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


@pytest.mark.parametrize("op", [op for op in OPS if op.cls not in CONVENTIONS.keys() - {"matmul"}],
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
    ("softmax", "rows, cols", "the sizes of x at all axes but dim, multiplied, and at dim, which "
                              "is moved to the end first"),
    ("cumsum", "outer, n, inner", "the sizes of x before, at and behind dim, multiplied"),
    ("sum", "outer, n, inner", "the sizes of x before, at and behind the axes of dim, multiplied; "
                               "axes that are no neighbours take a call each"),
    ("var", "outer, n, inner", "the sizes of x before, at and behind the axes of dim, multiplied; "
                               "axes that are no neighbours are moved to the end first"),
    ("topk", "k", "the attribute k"), ("topk", "largest", "the attribute largest, 0 or 1"),
    ("layer_norm", "cols", "the sizes *D of the layout, multiplied"),
    ("linear", "a", "the array x"), ("linear", "b", "the array weight"),
    ("linear", "c", "the result"), ("linear", "batch", "always 1"),
    ("linear", "bias", "N numbers, or NULL"),
    ("matmul", "layout", "x: ~B M K, y: ~B K N -> *B M N"),
    ("matmul", "bias", "NULL: the op linear uses this type too, and has one; matmul never has"),
    ("tanh_backward", "x", "the array grad"),
])
def test_the_row_tells_what_a_number_is(op, name, words):
    assert dict(meanings(TABLE[op]))[name] == words


@pytest.mark.parametrize("name", ["matmul", "linear"])
def test_of_strides_it_is_told_that_they_may_be_negative_or_0(name):
    told = dict(meanings(TABLE[name]))
    steps = [words for names, words in told.items() if "row" in names]
    assert all("below 0" in words and "0 where it is repeated" in words for words in steps)
    assert len(steps) == 2

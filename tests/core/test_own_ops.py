"""Ops that people enter themselves: usable at once, and again from a cell that runs twice."""

import subprocess
import sys

import numpy as np
import pytest

import etude
from etude import functional as F
from etude import op
from etude.core.table import TABLE


def run(program):
    """What a program prints that runs as a script or a notebook does, in ``__main__``."""
    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def triple():
    @op("map")
    def triple(x):
        """y = 3 x, elementwise."""
        return 3 * x

    yield triple
    del TABLE["triple"], etude.Tensor.triple


def test_an_op_is_a_function_a_method_and_a_reference_at_once(triple):
    x = etude.tensor([1.0, 2.0])
    for y in (x.triple(), etude.triple(x), F.triple(input=x), etude.nn.functional.triple(x)):
        assert y.tolist() == [3, 6]
    assert etude.ops.triple is triple


def test_a_name_that_tensors_have_already_stays_theirs():
    @op("map")
    def numel(x):
        return x

    try:
        assert etude.ones(3).numel() == 3
    finally:
        del TABLE["numel"]


def test_an_op_without_a_gradient_rule_says_so_at_backward(triple):
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = (x.triple() * x).sum()
    with pytest.raises(RuntimeError, match=r"backward through 'triple': this op has no gradient "
                                           r"rule. State one below its definition, "
                                           r"triple.gradient\(rule\)"):
        y.backward()
    assert x.grad is None
    triple.gradient(lambda F, grad, *, needs: F.mul(grad, 3.0))
    x.triple().sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_an_op_of_several_arrays_without_a_rule_says_so_too():
    @op("binary")
    def meets(x, y):
        return x + y

    try:
        x = etude.tensor([1.0], requires_grad=True)
        with pytest.raises(RuntimeError, match="'meets': this op has no gradient rule"):
            F.meets(x, etude.ones(1)).backward()
    finally:
        del TABLE["meets"], etude.Tensor.meets


def test_comparisons_of_what_has_a_gradient_have_none():
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    for y in (x > 1, x == 1.0, F.isnan(x), x.argmax(), x.all()):
        assert not y.requires_grad


CELL = """
@etude.op("map", saves="x")
def scaled(x):
    return {0} * x

scaled.gradient(lambda F, grad, x, **_: F.mul(grad, {0}))
"""


def test_a_cell_that_defines_an_op_can_be_run_again():
    printed = run(f"""
import numpy as np, etude
from etude import functional as F
x = etude.tensor([1.0], requires_grad=True)
for factor in (2.0, 5.0):
    exec({CELL!r}.format(factor))
    y = x.scaled() + F.scaled(x)
    print(etude.grad(y, x)[0].tolist(), y.tolist())
    with etude.tap(lambda event: print(event.outputs[0].tolist())):
        etude.scaled(x)
""")
    assert printed == ["[4.0] [4.0]", "[2.0]", "[10.0] [10.0]", "[5.0]"]


def test_an_op_of_a_file_is_not_replaced():
    with pytest.raises(ValueError, match=r"two ops are called 'exp': map.py has one. Take another "
                                         r"name; only an op of your own"):
        @op("map")
        def exp(x):
            return np.exp(x)
    (said,) = run("""
import etude
try:
    @etude.op("map")
    def exp(x): return x
except ValueError as error:
    print(error)
""")
    assert said.startswith("two ops are called 'exp'")


def test_a_class_that_is_written_wrong_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"@op\('mapp'\): .* Did you mean 'map'\? .* map, rows, "):
        op("mapp")

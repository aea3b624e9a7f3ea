"""Tensor: promotion, operators, indexing, sharing of memory, what goes in and out, its errors."""

import copy
import inspect
import itertools
import operator
import re
import weakref

import numpy as np
import pytest

import etude
from etude import ShapeError, Tensor, float32, float64, int64
from etude import functional as F
from etude.core import methods
from etude.core.dispatch import OPS

BOOL = np.dtype(bool)
ORDER = [BOOL, int64, float32, float64]

#: What stands beside a tensor -> how strongly it pulls: a number only says of which kind it is.
NUMBERS = {
    "True": (True, "b"), "2": (2, "i"), "2.5": (2.5, "f"), "np.bool_": (np.bool_(True), "b"),
    "np.int8": (np.int8(2), "i"), "np.int64": (np.int64(2), "i"),
    "np.float16": (np.float16(2.5), "f"), "np.float32": (np.float32(2.5), "f"),
    "np.float64": (np.float64(2.5), "f"),
}


def beside_number(dtype, kind):
    if kind == "f":
        return dtype if dtype.kind == "f" else float32
    if kind == "i":
        return int64 if dtype == BOOL else dtype
    return dtype


def arithmetic(dtype):
    """add, sub, mul, pow and maximum know no bools."""
    return int64 if dtype == BOOL else dtype


def division(dtype):
    return dtype if dtype.kind == "f" else float32


ARITHMETIC = [operator.add, operator.sub, operator.mul, F.maximum]


@pytest.mark.parametrize(("a", "b"), list(itertools.product(ORDER, ORDER)), ids=str)
def test_two_tensors_take_the_higher_dtype(a, b):
    x, y = etude.tensor([1, 1], dtype=a), etude.tensor([1, 0], dtype=b)
    higher = ORDER[max(ORDER.index(a), ORDER.index(b))]
    for fn in ARITHMETIC:
        z = fn(x, y)
        assert z.dtype == arithmetic(higher)
        assert z.tolist() == [fn(1, v) if fn is not F.maximum else 1 for v in (1, 0)]
    assert (y / x).dtype == division(higher)
    assert (x == y).dtype == BOOL
    assert (x == y).tolist() == [True, False]
    assert etude.cat([x, y]).dtype == higher
    assert F.where(etude.tensor([True, False]), x, y).dtype == higher


@pytest.mark.parametrize("dtype", ORDER, ids=str)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_numbers_are_weak_on_either_side_also_numpys(dtype, number, shape):
    value, kind = NUMBERS[number]
    x = etude.ones(*shape, dtype=dtype) if shape else etude.tensor(1, dtype=dtype)
    want = beside_number(dtype, kind)
    for fn in ARITHMETIC:
        for z, expected in ((fn(x, value), (1, value)), (fn(value, x), (value, 1))):
            assert z.dtype == arithmetic(want), fn
            assert z.shape == shape
            plain = [float(v) for v in expected]
            got = np.unique(z.numpy()).item()
            assert got == (max(plain) if fn is F.maximum else fn(*plain))
    assert (x / value).dtype == (value / x).dtype == division(want)
    assert (x < value).tolist() == (np.ones(shape) < float(value)).tolist()
    assert (value > x).tolist() == (float(value) > np.ones(shape)).tolist()


def test_a_whole_number_beside_bools_makes_integers():
    mask = etude.tensor([True, False])
    z = F.where(mask, mask, 2)
    assert (z.dtype, z.tolist()) == (int64, [1, 2])


def test_true_division_of_integers_is_float32():
    z = etude.tensor([7, -7]) / etude.tensor([2, 2])
    assert (z.dtype, z.tolist()) == (float32, [3.5, -3.5])
    assert (etude.tensor([7]) / 2).tolist() == [3.5]
    assert (7 / etude.tensor([2])).tolist() == [3.5]


def test_functions_of_integers_are_float32():
    assert F.exp(etude.tensor([0, 1])).dtype == float32
    assert etude.tensor([True, False]).mean().dtype == float32
    assert (etude.tensor([1]) ** 0.5).dtype == float32


def test_powers():
    x = etude.tensor([1.0, 2.0, 3.0])
    assert (x**2).tolist() == [1, 4, 9]
    assert (2**x).tolist() == [2, 4, 8]
    assert (x**x).tolist() == [1, 4, 27]
    assert (etude.tensor([2, 3]) ** 2).dtype == int64
    assert (-x).tolist() == [-1, -2, -3]


def test_an_array_on_the_left_asks_the_tensor():
    x = etude.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a = np.array([[2.0, 2.0], [2.0, 2.0]], np.float32)
    for fn in (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow,
               operator.matmul):
        z = fn(a, x)
        assert isinstance(z, Tensor)
        assert z.requires_grad
        assert np.allclose(z.detach().numpy(), fn(a, x.detach().numpy()))
        assert np.allclose(fn(x, a).detach().numpy(), fn(x.detach().numpy(), a))
    assert (a < x).tolist() == [[False, False], [True, True]]
    assert (a == x).tolist() == [[False, True], [False, False]]
    with pytest.raises(TypeError, match=r"np.add does not take Tensors"):
        a += x


@pytest.mark.parametrize(("call", "words"), [
    (lambda x: np.exp(x), r"np.exp does not take Tensors, .* lose the gradient; write x.exp\(\)"),
    (lambda x: np.abs(x), r"write x.abs\(\)"),
    (lambda x: np.maximum(x, 0), r"write etude.maximum\(x, y\)"),
    (lambda x: np.cosh(x), r"write x.numpy\(\) for its values"),
    (lambda x: np.add.reduce(x), r"write x.numpy\(\) for its values"),
])
def test_a_function_of_numpy_names_the_one_of_etude(call, words):
    with pytest.raises(TypeError, match=words):
        call(etude.tensor([1.0, 2.0]))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "lt",
                                  "le", "gt", "ge", "eq", "ne"])
def test_numbers_and_arrays_of_numpy_may_stand_on_the_left(name):
    apply, x = getattr(operator, name), etude.tensor([1.0, 2.0, 3.0])
    for left in (np.array([2.0, 2.0, 2.0], np.float32), np.float32(2), np.float64(2)):
        found = apply(left, x)
        assert isinstance(found, Tensor)
        assert found.tolist() == pytest.approx(apply(left, x.numpy()).tolist())


def test_an_array_is_as_strong_as_a_tensor_and_a_list_like_etude_tensor():
    x = etude.tensor([1.0, 2.0])
    assert (x + np.array([1.0, 2.0])).dtype == float64
    assert (x + np.array([1, 2], np.int8)).dtype == float32
    assert (x + [0.5, 0.5]).dtype == float32
    assert ([1, 2] + etude.tensor([1, 2])).tolist() == [2, 4]


def test_casts_in_promotion_carry_gradients_back_in_their_own_dtype():
    x = etude.tensor([1.0, 2.0], requires_grad=True)
    y = etude.tensor([3.0, 4.0], dtype=float64, requires_grad=True)
    z = x * y
    assert z.dtype == float64
    z.sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (float32, float64)
    assert x.grad.tolist() == [3, 4]


@pytest.mark.parametrize("other", [None, "abc", {}, object()])
def test_what_is_no_operand(other):
    x = etude.tensor([1.0])
    if other is None:
        with pytest.raises(TypeError, match="add: y is required, got None"):
            x + other
    else:
        with pytest.raises(TypeError, match="add: expected a Tensor or a number, got "
                                            f"{type(other).__name__}"):
            x + other


def test_a_tensor_is_neither_none_nor_a_string():
    x = etude.tensor([1.0])
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "cpu") is False
    assert len({x, x, etude.tensor([1.0])}) == 2


# ---------------------------------------------------------------------------- memory


def test_views_share_memory_and_results_do_not():
    x = etude.tensor(np.arange(12.0).reshape(3, 4))
    for v in (x[1], x[:, ::2], x[::-1], x[None], x[..., 0], x.T, x.reshape(12), x.permute(1, 0),
              x.expand(2, 3, 4), x.unsqueeze(0), x.flatten(), x.detach(), *x.split(2, 1)):
        assert np.shares_memory(v.data, x.data)
    for v in (x + 0, x.clone(), F.contiguous(x), x.to("float32"), x.T.reshape(12), etude.tensor(x),
              etude.cat([x])):
        assert not np.shares_memory(v.data, x.data)
    assert x.to(float64) is x
    assert x.to("cpu") is x
    assert x.to(device="cpu", dtype=float64) is x.to(None) is x
    assert x.double() is x


def test_a_view_of_a_leaf_is_written_through():
    x = etude.zeros(2, 2)
    x[0].copy_(etude.ones(2))
    x.T[1].copy_(etude.full((2,), 5.0))
    assert x.tolist() == [[1, 5], [0, 5]]


def test_numpy_is_read_only_and_not_a_copy():
    x = etude.tensor([1.0, 2.0])
    a = x.numpy()
    assert np.shares_memory(a, x.data)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 5
    assert x.array.flags.writeable
    with pytest.raises(RuntimeError, match=r"numpy\(\) would lose the gradient; call detach\(\)"):
        x.requires_grad_().numpy()
    assert x.detach().numpy().tolist() == [1, 2]


def test_numpy_takes_a_tensor_as_an_array():
    x = etude.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.data)
    assert np.asarray(x, np.float64).tolist() == [1, 2]
    assert not np.shares_memory(np.array(x), x.data)
    assert np.sin(np.asarray(x)).shape == (2,)
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)


def test_tensors_can_be_referred_to_weakly():
    x = etude.ones(2)
    assert weakref.ref(x)() is x


# -------------------------------------------------------------------------- what it says of itself


def test_what_it_is():
    x = etude.zeros(2, 3, dtype=float64)
    assert (x.shape, x.dtype, x.device, x.ndim) == ((2, 3), float64, "cpu", 2)
    assert (x.size(), x.size(1), x.numel(), len(x), x.is_leaf) == ((2, 3), 3, 6, 2, True)
    assert [t.shape for t in x] == [(3,), (3,)]
    with pytest.raises(TypeError, match="a tensor without dimensions has no length"):
        len(etude.tensor(1.0))
    with pytest.raises(TypeError, match="a tensor without dimensions has no length"):
        list(etude.tensor(1.0))


@pytest.mark.parametrize(("make", "text"), [
    (lambda: etude.tensor([1.0, 2.0]), "tensor([1., 2.])"),
    (lambda: etude.tensor(3), "tensor(3)"),
    (lambda: etude.tensor([True]), "tensor([ True])"),
    (lambda: etude.tensor([1.0], dtype=float64), "tensor([1.], dtype=float64)"),
    (lambda: etude.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
    (lambda: etude.tensor([1.0], requires_grad=True) * 2, "tensor([2.], op=mul)"),
    (lambda: etude.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
])
def test_repr(make, text):
    assert repr(make()) == text


def test_out_to_python():
    x = etude.tensor([[1.5]], requires_grad=True)
    assert (x.item(), float(x), int(x), bool(x), x.tolist()) == (1.5, 1.5, 1, True, [[1.5]])
    assert etude.tensor(True).item() is True
    assert isinstance(etude.tensor(3).item(), int)
    for out in (Tensor.item, float, int, bool):
        with pytest.raises(ShapeError, match=r"item\(\) is for one element; this tensor has shape"):
            out(etude.ones(2))


def test_conversions():
    x = etude.tensor([1.5, 0.0])
    assert (x.double().dtype, x.long().dtype, x.float() is x) == (float64, int64, True)
    assert x.to("int64").tolist() == [1, 0]
    assert x.to(bool).tolist() == [True, False]
    assert x.to(etude.float64, "cpu").dtype == float64
    with pytest.raises(etude.BackendError, match=r"no installed backend offers the device 'moon'. "
                                                 "'etude backends' lists what there is"):
        x.to("moon")


def test_there_is_no_way_to_write_by_item_or_in_place():
    x = etude.ones(2)
    with pytest.raises(TypeError, match=r"tensors have no item assignment: backward could not see "
                                        "it. "
                                        "Build the result with where, cat or scatter_add"):
        x[0] = 5
    for fn, sign in ((operator.iadd, r"\+"), (operator.isub, "-"), (operator.imul, r"\*"),
                     (operator.itruediv, "/"), (operator.ipow, r"\*\*"), (operator.imatmul, "@")):
        with pytest.raises(TypeError, match=r"tensors have no in-place operators.*a parameter, "
                                            rf"write: with no_grad\(\): p.copy_\(p {sign} y\). "
                                            rf"For a new tensor: x = x {sign} y"):
            fn(x, 2)
        with pytest.raises(TypeError, match=rf"Write x = x {sign} y, which makes a new tensor"):
            fn(etude.ones(2, requires_grad=True).exp(), 2)
    assert x.tolist() == [1, 1]


def test_other_attributes_cannot_be_hung_on():
    with pytest.raises(AttributeError):
        etude.ones(2).weight = 3


# ---------------------------------------------------------------------------- functions and methods


def test_methods_and_functions_are_one():
    x = etude.tensor(np.random.default_rng(0).normal(size=(2, 3)))
    for a, b in [(x.softmax(1), F.softmax(x, dim=1)), (x.sum(0), F.sum(x, dim=0)),
                 (x.mean(1, True), F.mean(x, 1, keepdim=True)), (x.exp(), etude.exp(x)),
                 (x.gelu("tanh"), F.gelu(x, approximate="tanh")), (x.amax(), F.amax(x)),
                 (x.matmul(x.T), x @ x.T)]:
        assert a.tolist() == b.tolist()
    assert not hasattr(Tensor, "relu_backward")
    assert not hasattr(F, "relu_backward")


def test_arguments_by_position_or_name_and_what_is_wrong_with_them():
    x = etude.ones(2, 3)
    with pytest.raises(TypeError, match=r"softmax\(x, dim=-1\) takes 2 arguments, got 3"):
        F.softmax(x, 0, 1)
    with pytest.raises(TypeError, match="softmax: dim given twice"):
        F.softmax(x, 0, dim=1)
    with pytest.raises(TypeError, match="softmax has no attribute 'axes'; it takes: dim"):
        F.softmax(x, axes=1)
    with pytest.raises(TypeError, match="linear: weight is required, got None"):
        F.linear(x, bias=etude.ones(2))
    for call in (lambda: F.linear(x, None), lambda: F.softmax(None), lambda: F.sum(None),
                 lambda: F.exp(None), lambda: F.lt(None, x), lambda: F.where(None, x, x)):
        with pytest.raises(TypeError, match=r"\w+: \w+ is required, got None"):
            call()
    with pytest.raises(TypeError, match="exp has no attribute 'dim'; it takes: none"):
        F.exp(x, dim=1)
    with pytest.raises(TypeError, match=r"add.* got an unexpected keyword argument 'extra'"):
        F.add(x, x, extra=1)
    with pytest.raises(TypeError, match="relu: inplace is not in Etude: an op changes nothing"):
        F.relu(x, inplace=True)
    assert F.relu(x, inplace=False).shape == (2, 3)
    assert F.linear(weight=x, x=x).shape == (2, 2)
    assert str(inspect.signature(F.layer_norm)) == (
        "(x, normalized_shape, weight=None, bias=None, eps=1e-05)")
    for name in F.__all__:  # what help() shows
        f = getattr(F, name)
        assert f.__name__ == name
        assert f.__doc__
        if name not in F.BY_HAND | F.COMPOSED:
            assert tuple(inspect.signature(f).parameters) == etude.TABLE[name].order


def test_an_op_entered_later_is_a_function_at_once():
    @etude.op("map", saves="x", flops=lambda x: x.size)
    def cubed(x):
        """y = x^3, elementwise. x, y: any shape, float."""
        return x * x * x

    try:
        @cubed.gradient
        def _(F, grad, x, *, needs):
            return F.mul(grad, F.mul(F.mul(x, x), 3.0))

        x = etude.tensor([2.0], requires_grad=True)
        F.cubed(x).backward()
        assert x.grad.tolist() == [12]
        with pytest.raises(ValueError, match=r"two ops are called 'cubed': \w+.py has one"):
            etude.op("map")(cubed.reference)
    finally:
        del etude.TABLE["cubed"]
        OPS.pop("cubed")
    with pytest.raises(AttributeError, match=r"etude.functional has no 'cubed'"):
        F.cubed  # noqa: B018


# ------------------------------------------------------------------ as Python's numbers and bools


def test_a_tensor_without_dimensions_is_formatted_as_its_number():
    loss = (etude.tensor(1.23456, requires_grad=True) * 1).sum()
    assert f"{loss:.2f} {loss:>7.3f} {etude.tensor(7):03d}" == "1.23   1.235 007"
    assert f"{loss}" == str(loss)
    with pytest.raises(TypeError, match=r"format '.2f' is for one number; this tensor has shape"):
        format(etude.ones(2), ".2f")


@pytest.mark.parametrize("name", methods.INSTEAD)
def test_a_name_of_pytorch_that_is_missing_says_what_to_write(name):
    with pytest.raises(AttributeError, match=re.escape(f"no {name!r}; write ")):
        getattr(etude.ones(2), name)
    assert not hasattr(etude.Tensor, name)  # else the table is out of date
    assert not hasattr(etude.ones(2), name)


def test_other_names_are_just_missing():
    with pytest.raises(AttributeError, match=r"^a Tensor has no 'sotfmax'$") as error:
        etude.ones(2).sotfmax  # noqa: B018
    assert error.value.name == "sotfmax"
    with pytest.raises(AttributeError, match=r"etude.functional has no 'bmm'; write x @"):
        etude.functional.bmm  # noqa: B018
    assert copy.copy(etude.ones(2)).tolist() == copy.deepcopy(etude.ones(2)).tolist() == [1, 1]


def test_copy_into_a_view_that_repeats_its_memory_is_refused():
    x = etude.zeros(1, 3)
    with pytest.raises(RuntimeError, match="copy_ into an expanded view: several of its elements"):
        x.expand(2, 3).copy_(etude.ones(2, 3))
    assert x.tolist() == [[0, 0, 0]]
    empty = etude.zeros(0, 3)
    assert empty.copy_(etude.ones(0, 3)) is empty
    fixed = np.zeros(2, np.float32)
    fixed.flags.writeable = False
    with pytest.raises(RuntimeError, match="copy_ into memory that is read-only; clone"):
        etude.from_numpy(fixed).copy_(etude.ones(2))


def test_clamp_takes_numbers_and_tensors():
    assert etude.clamp(etude.arange(4), np.int64(1), 2).tolist() == [1, 1, 2, 2]


def test_arange_needs_a_step():
    with pytest.raises(ValueError, match="arange: step must not be 0; from 0 it would never"):
        etude.arange(0, 1, 0)


def test_abs_and_round_are_the_ops():
    x = etude.tensor([-1.5, 0.5, 2.6], requires_grad=True)
    assert abs(x).tolist() == [1.5, 0.5, etude.tensor(2.6).item()]
    abs(x).sum().backward()
    assert x.grad.tolist() == [-1, 1, 1]
    assert round(x.detach()).tolist() == [-2, 0, 3]
    with pytest.raises(TypeError, match=r"for 2 digits write \(x \* 10\*\*2\).round\(\)"):
        round(x, 2)


def test_signs_of_logic_are_for_bools():
    x, y = etude.tensor([True, True, False, False]), etude.tensor([True, False, True, False])
    assert (x & y).tolist() == [True, False, False, False]
    assert (x | y).tolist() == [True, True, True, False]
    assert (x ^ y).tolist() == [False, True, True, False]
    assert (~x).tolist() == [False, False, True, True]
    assert (x & True).tolist() == (True & x).tolist() == x.tolist()
    assert (x.numpy() & y).tolist() == (x & y).tolist()
    ones = etude.ones(4)
    for wrong in (lambda: ~etude.tensor(1), lambda: x & 1, lambda: 1 | x, lambda: x ^ ones):
        with pytest.raises(TypeError, match=r"[~&|^] is for tensors of bools, such as x > 0; got "):
            wrong()


@pytest.mark.parametrize("sign", ["iand", "ior", "ixor", "ifloordiv", "imod"])
def test_no_operator_writes_in_place(sign):
    with pytest.raises(TypeError, match="tensors have no in-place operators"):
        getattr(operator, sign)(etude.tensor([True]), True)


def test_one_integer_is_a_place_in_a_list():
    scores = etude.tensor([[0.1, 0.9], [0.8, 0.2]])
    assert ["no", "yes"][scores.argmax(1)[0]] == "yes"
    assert list(range(etude.tensor(2))) == [0, 1]
    for wrong in (etude.tensor(2.0), etude.tensor(True), etude.tensor([1, 2])):
        with pytest.raises(TypeError, match="one integer is wanted, an int64 tensor of one"):
            range(wrong)

"""The tape: order, accumulation, freeing, memory. Also test_writes.py, test_higher_order.py."""

import gc
import itertools
import weakref

import numpy as np
import pytest
from leaves import leaf

import etude
from etude import ShapeError, float32, float64
from etude import functional as F

# ---------------------------------------------------------------------------- order and adding up


def test_a_tensor_used_by_an_older_and_a_newer_call():
    """A walk that takes a node before all its users have spoken gets c = b + b and this wrong."""
    x = leaf(3.0)
    b = x * x
    c = b + b
    d = c * b  # 2 x^4
    d.backward()
    assert x.grad.item() == 8 * 3**3


@pytest.mark.parametrize("swap", [False, True])
def test_a_diamond_with_arms_of_different_length(swap):
    x = leaf(2.0)
    long = ((x * 3) * 5).exp().log()  # 15 x
    short = x * 7
    y = long * short if swap else short * long  # 105 x^2
    y.backward()
    assert x.grad.item() == pytest.approx(420, rel=1e-12)


def test_a_ladder_of_diamonds_costs_one_visit_a_node():
    """Sixty diamonds in a row have 2^60 paths."""
    x = leaf(1.0)
    y = x
    for _ in range(60):
        y = y * 0.5 + y * 0.5
    y.backward()
    assert x.grad.item() == 1


def test_the_same_leaf_on_both_sides():
    x = leaf(3.0)
    for y, slope in ((x + x, 2), (x - x, 0), (x * x, 6), (x / x, 0), (F.maximum(x, x), 1)):
        (g,) = etude.grad(y, x)
        assert g.item() == slope


def test_leaves_accumulate_over_calls_and_are_emptied_by_none():
    x = leaf(3.0)
    (x * x).backward()
    (2 * x).backward()
    assert x.grad.item() == 8
    assert not x.grad.requires_grad
    x.grad = None
    (x * x).backward()
    assert x.grad.item() == 6


def test_accumulating_does_not_write_into_the_gradient_somebody_holds():
    x = leaf(3.0)
    (x * x).backward()
    held = x.grad
    (x * x).backward()
    assert (held.item(), x.grad.item()) == (6, 12)


def test_only_leaves_that_ask_get_a_gradient():
    x, c = leaf(3.0), etude.tensor(2.0, dtype=float64)
    y = x * c
    z = y * y
    z.backward()
    assert x.grad.item() == 24
    assert c.grad is None


def test_the_grad_of_a_result_is_none_and_says_how_to_get_it():
    x = leaf(3.0)
    h = x * x
    h.backward()
    with pytest.warns(UserWarning, match=r"grad of the result of 'mul': backward fills the grad "
                                         r"of leaves only.*retain_grad\(\).*etude.grad\(loss") as w:
        assert h.grad is None
    assert w[0].filename == __file__


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_result_keeps_its_gradient_where_it_is_asked_to(create_graph):
    x = leaf(1.0, 2.0)
    h = x * x
    h.retain_grad()
    h.retain_grad()  # which changes nothing
    assert h.grad is None
    z = (h * h + h).sum()
    z.backward(retain_graph=True, create_graph=create_graph)
    assert h.grad.tolist() == [3, 9]
    assert x.grad.tolist() == [6, 36]
    z.backward()
    assert h.grad.tolist() == [6, 18]  # it adds up, as in a leaf
    assert not np.shares_memory(h.grad.data, x.grad.data)


def test_every_piece_of_a_split_keeps_its_own_gradient():
    x = leaf(1.0, 2.0, 3.0)
    first, second = x.split(2)
    first.retain_grad(), second.retain_grad()
    (first * 5.0).sum().backward()
    assert first.grad.tolist() == [5, 5]
    assert second.grad is None


def test_a_result_that_keeps_its_gradient_is_freed_as_others_are():
    x = leaf(1.0, 2.0)
    first, second = (x * 2).split(1)
    first.retain_grad()
    gone = weakref.ref(first)
    del first
    assert gone() is None
    second.sum().backward()
    assert x.grad.tolist() == [0, 2]


def test_retain_grad_of_a_leaf_changes_nothing_and_without_a_gradient_it_is_refused():
    x = leaf(3.0)
    x.retain_grad()
    x.exp().backward()
    assert x.grad is not None
    with pytest.raises(RuntimeError, match="retain_grad: this tensor has no gradient"):
        (etude.ones(2) * 2).retain_grad()


def test_backward_from_a_leaf_gives_one():
    x = leaf(3.0)
    x.backward()
    assert x.grad.item() == 1
    assert etude.grad(x, x)[0].item() == 1


def test_no_two_gradients_share_memory_not_even_with_the_seed():
    x, y, seed = leaf(1.0, 2.0), leaf(3.0, 4.0), etude.tensor([1.0, 1.0], dtype=float64)
    (x + y).backward(seed)
    for a, b in itertools.combinations([x.grad.data, y.grad.data, seed.data], 2):
        assert not np.shares_memory(a, b)
    x.grad.copy_(etude.tensor([9.0, 9.0], dtype=float64))
    assert y.grad.tolist() == seed.tolist() == [1, 1]
    gx, gy = etude.grad(x + y, [x, y], seed)
    assert not np.shares_memory(gx.data, gy.data)
    one = leaf(5.0).reshape(1).detach().requires_grad_()
    one.sum().backward()
    assert one.grad.array.flags.writeable


# ---------------------------------------------------------------------------- grad()


def test_grad_of_something_in_the_middle():
    x = leaf(2.0)
    y = x * x
    z = y * y * x
    gy, gx = etude.grad(z, [y, x])
    assert gy.item() == 2 * 4 * 2
    assert gx.item() == 16 * 4 + 16
    assert x.grad is None


def test_grad_of_an_intermediate_leaves_alone_what_lies_before_it():
    x = leaf(2.0)
    y = x * x
    z = y * y
    etude.grad(z, y)
    y.backward()
    assert x.grad.item() == 4


def test_grad_of_several_outputs_is_their_weighted_sum():
    x = leaf(1.0, 2.0)
    a, b = x * 2, x * x
    (g,) = etude.grad([a, b], x, [etude.ones(2, dtype=float64), leaf(10.0, 100.0).detach()])
    assert g.tolist() == [22, 402]
    a, b = (x * 2).sum(), (x * x).sum()
    assert etude.grad([a, b], [x])[0].tolist() == [4, 6]
    assert etude.grad([y := (x * x).sum(), y], x)[0].tolist() == [4, 8]


def test_an_output_may_be_an_input_of_another_output():
    x = leaf(2.0)
    y = x * x
    z = y * x
    gy, gx = etude.grad([y, z], [y, x])
    assert gy.item() == 1 + 2
    assert gx.item() == 4 + 12


def test_an_unused_input_is_an_error_or_none():
    x, y = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match=r"inputs\[1\] was not used to compute the outputs, or "
                                           r"does "
                                           r"not require a gradient; pass allow_unused=True"):
        etude.grad(x * 2, [x, y])
    gx, gy = etude.grad(x * 2, [x, y], allow_unused=True)
    assert gx.item() == 2
    assert gy is None


def test_inputs_not_asked_for_get_nothing_whatever_their_shapes():
    """A rule may return more than was asked, unsummed: s is broadcast to two shapes here."""
    s = leaf(1.0)
    a = etude.ones(2, 3, dtype=float64, requires_grad=True)
    b = etude.ones(4, 5, dtype=float64, requires_grad=True)
    ga, gb = etude.grad((a + s).sum() + (b + s).sum(), [a, b])
    assert (ga.shape, gb.shape) == ((2, 3), (4, 5))


# ---------------------------------------------------------------------------- freeing


def test_a_second_backward_needs_retain_graph():
    x = leaf(3.0)
    y = x.exp()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match=r"backward through 'exp' a second time, but its saved "
                                           r"values were freed by the first. Pass "
                                           r"retain_graph=True to the first call, or compute the"):
        y.backward()


def test_create_graph_keeps_the_graph_unless_told_otherwise():
    x = leaf(3.0)
    y = x.exp()
    etude.grad(y, x, create_graph=True)
    etude.grad(y, x, create_graph=True, retain_graph=False)
    with pytest.raises(RuntimeError, match="a second time"):
        etude.grad(y, x)


def test_what_was_freed_stays_an_error_in_a_larger_graph():
    x = leaf(3.0)
    y = x.exp()
    y.backward()
    with pytest.raises(RuntimeError, match="backward through 'exp' a second time"):
        (y * 2).backward()


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_memory_goes_at_once_without_the_collector():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = F.softmax(F.layer_norm(y.exp().reshape(1, 2), 2))
    w = z.split(1, 1)[0].sum()
    seen = [weakref.ref(t) for t in (y, z, w)]
    arrays = [weakref.ref(t.array.base if t.array.base is not None else t.array) for t in (y, z)]
    del y, z
    w.backward()
    assert seen[0]() is None
    assert seen[1]() is None
    assert [a() for a in arrays] == [None, None]
    del w
    assert seen[2]() is None


@pytest.mark.usefixtures("no_collector")
def test_memory_goes_without_backward_too():
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = (y * y).sum()
    seen = weakref.ref(y)
    del y, z
    assert seen() is None


@pytest.mark.usefixtures("no_collector")
def test_second_derivatives_leave_no_cycle():
    x = leaf(1.0, 2.0)
    y = F.gelu(x).sum()
    (g,) = etude.grad(y, x, create_graph=True)
    h = etude.grad(g.sum(), x)[0]
    seen = [weakref.ref(t) for t in (y, g, h)]
    del y, g, h
    assert [s() for s in seen] == [None] * 3


@pytest.mark.usefixtures("no_collector")
def test_a_detached_tensor_lets_go_of_its_history():
    """As a list of losses, losses.append(loss.detach()), must not keep every graph alive."""
    x = leaf(1.0, 2.0)
    y = x.exp()
    z = y * 2
    kept = [z.detach(), z.detach()[0], y.detach()]
    seen = weakref.ref(y), weakref.ref(z)
    del y, z
    assert (seen[0](), seen[1]()) == (None, None)
    assert len(kept) == 3


def test_a_chain_of_a_hundred_thousand_calls():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1
    y = x
    for _ in range(100_000):
        y = y * 1.0
    del y  # unwinding must not recurse either


# ---------------------------------------------------------------------------- recording or not


def test_no_grad_on_a_generator_holds_in_each_of_its_steps_and_nowhere_else():
    closed = []

    @etude.no_grad()
    def doubled(x):
        """What help shows."""
        try:
            for k in range(3):
                try:
                    sent = yield x * k
                except KeyError:
                    sent = None
                    yield x * 10
                closed.append(sent)
        finally:
            closed.append(etude.is_grad_enabled())
        return "the end"

    w = etude.ones(2, requires_grad=True)
    assert doubled.__doc__ == "What help shows."
    for y in doubled(w):
        assert not y.requires_grad
        assert (w * 2).requires_grad  # the caller's mode is the caller's
    assert closed == [None, None, None, False]
    steps = doubled(w)
    next(steps)
    assert steps.send("hello").tolist() == [1, 1]
    assert closed[-1] == "hello"
    thrown = steps.throw(KeyError())
    assert (thrown.tolist(), thrown.requires_grad) == ([10, 10], False)
    steps.close()
    assert closed[-1] is False
    assert etude.is_grad_enabled()

    def all_of_it():
        return (yield from doubled(w))

    given = all_of_it()
    with pytest.raises(StopIteration) as end:  # noqa: PT012 - which step it is, is not the point
        while True:
            next(given)
    assert end.value.value == "the end"

    @etude.enable_grad()
    def recorded(x):
        yield x * 2

    with etude.no_grad():
        assert [y.requires_grad for y in recorded(w)] == [True]
        assert not (w * 2).requires_grad


def test_no_grad_does_not_decorate_what_runs_later():
    async def later():
        pass

    async def many():
        yield 1

    for function in (later, many):
        with pytest.raises(TypeError, match=f"async function {function.__name__}: its steps run"):
            etude.no_grad()(function)


def test_no_grad_and_enable_grad_nest_and_decorate():
    x = leaf(2.0)
    with etude.no_grad():
        assert not etude.is_grad_enabled()
        assert not (x * x).requires_grad
        with etude.enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad

    @etude.no_grad()
    def quiet():
        return x * x

    assert not quiet().requires_grad
    assert not quiet().requires_grad
    with pytest.raises(KeyError), etude.no_grad():
        raise KeyError
    assert etude.is_grad_enabled()


def test_backward_itself_records_nothing_but_under_create_graph():
    x = leaf(2.0)
    assert not etude.grad(x * x, x)[0].requires_grad
    assert etude.grad(x * x, x, create_graph=True)[0].requires_grad
    with etude.no_grad():
        y = x * x
    with pytest.raises(RuntimeError, match="this tensor does not require a gradient: nothing that "
                                           "led "
                                           r"to it was made with requires_grad=True, or it was"):
        y.backward()


def test_detach_shares_memory_and_stops_the_gradient():
    x = leaf(3.0)
    y = x.detach()
    assert np.shares_memory(x.data, y.data)
    assert not y.requires_grad
    (x * y).backward()
    assert x.grad.item() == 3


def test_clone_copies_and_passes_the_gradient_on():
    x = leaf(3.0)
    y = x.clone()
    assert not np.shares_memory(x.data, y.data)
    (y * y).backward()
    assert x.grad.item() == 6


def test_seeds():
    x = leaf(1.0, 2.0)
    with pytest.raises(ShapeError, match=r"backward from a tensor of shape \[2\] needs a gradient "
                                         r"of "
                                         r"that shape; only a single number starts at 1. Sum it"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=r"must be a Tensor float64\[2\] like the output it "
                                         r"belongs to, got one of float32\[2\]$"):
        (x * 2).backward(etude.ones(2))
    with pytest.raises(ShapeError, match=r"must be a Tensor float64\[2\] .*, got ndarray$"):
        (x * 2).backward(np.ones(2))
    with pytest.raises(ShapeError, match=r"must be a Tensor float64\[2\]"):
        (x * 2).backward(etude.ones(1, dtype=float64))
    (x[:1] * 2).backward()
    assert x.grad.tolist() == [2, 0]


def test_leaves_and_requires_grad():
    x = leaf(1.0)
    y = x * 2
    assert (x.is_leaf, y.is_leaf) == (True, False)
    with pytest.raises(RuntimeError, match=r"requires_grad_\(False\) is for leaves; use detach"):
        y.requires_grad_(False)
    assert not x.requires_grad_(False).requires_grad
    with pytest.raises(etude.DTypeError, match="only float tensors have gradients, this one is "
                                               "bool"):
        etude.tensor([True]).requires_grad_()


def test_a_leaf_that_no_longer_asks_gets_nothing_and_the_others_do():
    x, y = leaf(2.0), leaf(3.0)
    z = x * y + x
    x.requires_grad_(False)
    with pytest.raises(RuntimeError, match=r"inputs\[0\] was not used"):
        etude.grad(z, [x, y], retain_graph=True)
    z.backward()
    assert x.grad is None
    assert y.grad.item() == 2


# ---------------------------------------------------------------------------- the rest


def test_pieces_of_a_split_that_nobody_used_count_as_zero():
    for create_graph in (False, True):
        x = leaf(1.0, 2.0, 3.0)
        a, _, c = x.split(1)
        (a * 2 + c * c).sum().backward(create_graph=create_graph)
        assert x.grad.tolist() == [2, 0, 6]


def test_dtypes_on_the_way_come_back():
    x = leaf(1.0, 2.0, dtype=float32)
    y = (x.double() * 2).float().to("float64") * x.to(float64)
    y.sum().backward()
    assert x.grad.dtype == float32
    assert x.grad.tolist() == [4, 8]
    y = (x * etude.tensor([1.0, 1.0], dtype=float64)).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.dtype == float32
    assert x.grad.tolist() == [6, 10]


# ---------------------------------------------------------------------------- complete gradients


def test_a_leaf_has_its_gradient_as_soon_as_it_is_complete():
    """The hook of the last layer runs before the gradient of the first is worked out."""
    first, last = leaf(2.0), leaf(3.0)
    seen = []
    first.register_post_accumulate_grad_hook(lambda t: seen.append(("first", t.grad.item())))
    last.register_post_accumulate_grad_hook(
        lambda t: seen.append(("last", t.grad.item(), first.grad)))
    ((first * first).exp() * last).backward()
    e4 = pytest.approx(np.exp(4.0), rel=1e-6)
    assert seen == [("last", e4, None), ("first", pytest.approx(12 * np.exp(4.0), rel=1e-6))]


def test_a_leaf_used_twice_is_complete_once():
    w = leaf(2.0)
    seen = []
    handle = w.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    (w * w + w.exp() * 0 + w).backward()
    assert seen == [5.0]
    (w * 2).backward()
    assert seen == [5.0, 7.0]
    handle.remove()
    (w * 2).backward()
    assert seen == [5.0, 7.0]


def test_a_hook_is_for_leaves():
    with pytest.raises(RuntimeError, match="a gradient hook belongs to a leaf; this is the result "
                                           "of 'exp'"):
        leaf(1.0).exp().register_post_accumulate_grad_hook(print)


def test_after_an_error_in_the_middle_every_gradient_is_as_before():
    first, last = leaf(2.0), leaf(3.0)
    first.grad = etude.tensor(7.0)
    loss = (first * first).exp() * last
    last.register_post_accumulate_grad_hook(lambda t: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loss.backward()
    assert first.grad.item() == 7
    assert last.grad is None

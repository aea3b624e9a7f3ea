"""The tape: order, accumulation, freeing, versions, memory; derivatives of derivatives."""

import gc
import itertools
import threading
import weakref

import numpy as np
import pytest

import etude
from etude import ShapeError, float32, float64
from etude import functional as F


def leaf(*values, dtype=float64):
    return etude.tensor(list(values) if len(values) != 1 else values[0], dtype=dtype,
                        requires_grad=True)


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
    assert y.grad is None


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
    assert one.grad.data.flags.writeable


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
    arrays = [weakref.ref(t.data.base if t.data.base is not None else t.data) for t in (y, z)]
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
    with pytest.raises(ShapeError, match=r"must be a Tensor float64\[2\] like the output"):
        (x * 2).backward(etude.ones(2))
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


# ---------------------------------------------------------------------------- writes


WRITERS = {
    "copy_": lambda t: t.copy_(etude.ones(2, dtype=float64)),
    "a view": lambda t: t[:1].copy_(etude.ones(1, dtype=float64)),
    "a view of a view": lambda t: t.reshape(1, 2)[0, 1:].copy_(etude.ones(1, dtype=float64)),
    "detach": lambda t: t.detach().copy_(etude.ones(2, dtype=float64)),
    "a piece": lambda t: t.split(1)[1].copy_(etude.ones(1, dtype=float64)),
    "an optimiser": lambda t: (np.multiply(t.data, 0.9, out=t.data), t.mark_written()),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_write_after_saving_is_noticed(writer, create_graph):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    z = (x * y).sum()
    with etude.no_grad():
        WRITERS[writer](x)
    with pytest.raises(RuntimeError, match=r"backward through 'mul': its input 'x' was written "
                                           r"\(by "
                                           r"copy_ or an optimiser\) after it was saved. Call "
                                           r"backward before the step, or clone\(\) it"):
        etude.grad(z, y, create_graph=create_graph)


def test_a_write_is_noticed_by_a_composite_which_computes_anew():
    x = leaf(1.0, 2.0)
    y = F.softmax(x)
    with etude.no_grad():
        x.copy_(etude.ones(2, dtype=float64))
    with pytest.raises(RuntimeError, match="backward through 'softmax': its input 'x' was written"):
        etude.grad(y[0], x, create_graph=True)


def test_a_write_before_the_call_or_to_what_was_not_saved_does_no_harm():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with etude.no_grad():
        x.copy_(y)
    z = (x + y).sum() + (x * y).sum()
    z.backward()
    assert y.grad.tolist() == [4, 5]
    z = (x + y).sum()
    with etude.no_grad():
        x.copy_(y)
    z.backward()


@pytest.mark.parametrize("view", [lambda t: t, lambda t: t[:1], lambda t: t.detach(),
                                  lambda t: t.detach()[0], lambda t: t.split(1)[0]])
def test_results_of_ops_are_not_written(view):
    y = leaf(1.0, 2.0).exp()
    t = view(y)
    with etude.no_grad(), pytest.raises(RuntimeError, match=r"copy_ into the result of 'exp': "
                                                            r"backward "
                                                            r"may need its value. copy_ writes "
                                                            r"into"):
        t.copy_(t)
    with pytest.raises(RuntimeError, match="the result of 'exp' was written; only leaves may be"):
        t.mark_written()


def test_what_copy_refuses():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"copy_ into a leaf that requires a gradient: do it "
                                           r"under "
                                           r"no_grad\(\)"):
        x.copy_(x)
    with pytest.raises(RuntimeError, match=r"do it under no_grad\(\)"):
        x.detach().copy_(x)
    t = etude.zeros(2)
    with pytest.raises(ShapeError, match=r"copy_: need float32\[2\], got float64\[2\]"):
        t.copy_(x)
    with pytest.raises(ShapeError, match=r"copy_: need float32\[2\], got float32\[1\]"):
        t.copy_(etude.zeros(1))
    memory = t.data
    assert t.copy_(etude.ones(2)) is t
    assert t.data is memory
    assert t.tolist() == [1, 1]


# ---------------------------------------------------------------------------- higher derivatives


def test_all_derivatives_of_a_power():
    x = leaf(2.0)
    y = x**5
    for want in (80, 160, 240, 240, 120, 0):
        (y,) = etude.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(want)
        if not y.requires_grad:
            break


def test_backward_with_create_graph_leaves_gradients_that_can_be_differentiated():
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    (x * x).backward(create_graph=True)
    assert x.grad.item() == 27 + 6
    (h,) = etude.grad(x.grad, x)
    assert h.item() == 18 + 2


def test_newtons_method_converges_quadratically():
    """f(x) = sum exp(x) - b x has its minimum at ln b; each step squares the error."""
    b = etude.tensor([2.0, 5.0, 0.5], dtype=float64)
    x = etude.tensor([1.0, 1.3, -0.3], dtype=float64)
    root = np.log(b.numpy())
    errors = []
    for _ in range(5):
        x = x.detach().requires_grad_()
        f = (x.exp() - b * x).sum()
        (g,) = etude.grad(f, x, create_graph=True)
        (h,) = etude.grad(g.sum(), x)  # the Hessian is diagonal
        x = x.detach() - g.detach() / h
        errors.append(np.abs(x.numpy() - root).max())
    for before, after in itertools.pairwise(errors):
        assert after <= max(before**2, 1e-15)
    assert errors[-1] <= 1e-15


def test_a_full_hessian_is_symmetric_and_right():
    x = leaf(0.5, -1.0, 2.0)
    f = (x[0] * x[1] * x[2]).exp() + (x[0] / x[2]).tanh()
    (g,) = etude.grad(f, x, create_graph=True)
    rows = [etude.grad(g[i], x, retain_graph=True)[0].numpy() for i in range(3)]
    hessian = np.array(rows)
    assert np.allclose(hessian, hessian.T, rtol=1e-12, atol=0)
    p = np.exp(0.5 * -1.0 * 2.0)
    assert hessian[0, 1] == pytest.approx(p * 2.0 * (1 + 0.5 * -1.0 * 2.0), rel=1e-12)


def test_a_gradient_penalty_trains_the_norm_of_a_gradient():
    """d/dw of |d(net)/dx|^2, by backward through the gradient and by differences in w."""
    rng = np.random.default_rng(0)
    x0, v0 = rng.normal(size=(4, 3)), rng.normal(size=(5, 1))

    def penalty(w):
        x = etude.tensor(x0, requires_grad=True)
        score = F.gelu(F.layer_norm(x @ w, 5)) @ etude.tensor(v0)
        (g,) = etude.grad(score.sum(), x, create_graph=True)
        return (g * g).sum()

    assert etude.gradcheck(penalty, [etude.tensor(rng.normal(size=(3, 5)), requires_grad=True)])


def test_composites_of_dependent_inputs_are_taken_apart():
    """layer_norm(x, weight=w(x)): each input gets its own share of the gradient, once."""
    x = leaf(0.5, 1.0, 3.0)

    def first(x, create_graph=True):
        y = F.layer_norm(x, 3, x * x, x) ** 2
        return etude.grad(y.sum(), x, create_graph=create_graph)[0]

    assert np.allclose(first(x).detach().numpy(), first(x, False).numpy(), rtol=1e-12, atol=0)
    assert etude.gradcheck(first, [x])


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


def test_threads_build_and_walk_their_own_graphs_on_one_leaf():
    w = leaf(2.0)
    found, errors = {}, []
    start = threading.Barrier(4)

    def work(k):
        try:
            start.wait()
            with etude.no_grad() if k == 3 else etude.enable_grad():
                for _ in range(50):
                    y = w * k
                    y = (y * y).exp().log()
                    found[k] = None if k == 3 else etude.grad(y, w)[0].item()
                    assert y.requires_grad == (k != 3)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert found == {0: 0, 1: pytest.approx(4), 2: pytest.approx(16), 3: None}


def test_grad_mode_is_the_threads_own():
    seen = []
    with etude.no_grad():
        t = threading.Thread(target=lambda: seen.append(etude.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]

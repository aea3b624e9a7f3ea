"""Several threads: graphs of their own on one leaf, and grad mode that belongs to each."""

import sys
import threading

import pytest
from leaves import leaf

import etude


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


def in_threads(count, work):
    """``work(k)`` in threads that start together; what any of them raised is raised here."""
    errors = []
    start = threading.Barrier(count)

    def run(k):
        try:
            start.wait()
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


@pytest.fixture
def eager_switches():
    """Python changes threads as often as it can, so that what may interleave does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("create_graph", [False, True])
def test_nothing_that_threads_add_to_one_leaf_is_lost(backend, eager_switches, create_graph):
    """Whole numbers, so that float32 adds them exactly in any order."""
    w = etude.ones(3, requires_grad=True)

    def work(k):
        with etude.use(backend):
            for i in range(40):
                (w * (k + i)).sum().backward(create_graph=create_graph)

    in_threads(8, work)
    assert w.grad.tolist() == [sum(k + i for k in range(8) for i in range(40))] * 3


def test_a_thread_that_fails_takes_back_only_what_it_added():
    shared, last = leaf(1.0, 2.0), leaf(0.0)

    def another_thread_adds_and_this_one_fails(_):
        in_threads(1, lambda k: (shared * 5).sum().backward())
        raise ZeroDivisionError

    last.register_post_accumulate_grad_hook(another_thread_adds_and_this_one_fails)
    y = last * 2
    for create_graph in (False, True):
        shared.grad = None
        with pytest.raises(ZeroDivisionError):
            (shared.sum() * 3 + y).backward(retain_graph=True, create_graph=create_graph)
        assert shared.grad.tolist() == [5, 5]
        assert last.grad is None


def test_hooks_may_walk_themselves_and_clear_what_they_were_called_for():
    w, other = leaf(1.0), leaf(2.0)
    seen = []

    def hook(t):
        seen.append(t.grad.item())
        t.grad = None
        with etude.enable_grad():
            (other * other).backward()
        in_threads(1, lambda k: (other * 7).backward())

    w.register_post_accumulate_grad_hook(hook)
    (w * 3).backward()
    (w * 4).backward()
    assert seen == [3, 4]
    assert w.grad is None
    assert other.grad.item() == 2 * (4 + 7)

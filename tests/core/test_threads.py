"""Several threads: graphs of their own on one leaf, and grad mode that belongs to each."""

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

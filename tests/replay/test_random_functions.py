"""Functions nobody would write: drawn from ops, views, writes and chance. A replay of each gives
what the function gives, results and state, call after call.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twins import numbers, same

import etude
from etude import functional as F

N = 4

#: (pool, i, j) -> a new tensor (N, N), from two of those there are
STEPS = {
    "add": lambda p, i, j: p[i] + p[j],
    "mul": lambda p, i, j: p[i] * p[j],
    "matmul": lambda p, i, j: p[i] @ p[j],
    "transposed product": lambda p, i, j: p[i].T @ p[j],
    "tanh": lambda p, i, j: F.tanh(p[i]),
    "relu": lambda p, i, j: F.relu(p[i]),
    "softmax": lambda p, i, j: F.softmax(p[i], dim=j % 2),
    "transpose": lambda p, i, j: p[i].T,
    "flip": lambda p, i, j: F.flip(p[i], dims=(j % 2,)),
    "rows": lambda p, i, j: p[i][j % N].expand(N, N),
    "halves": lambda p, i, j: F.cat([p[i][: N // 2], p[j][N // 2 :]], 0),
    "sum": lambda p, i, j: F.sum(p[i], dim=j % 2, keepdim=True) - p[j],
    "reshape": lambda p, i, j: p[i].T.reshape(N * N).reshape(N, N),
    "number": lambda p, i, j: p[i] * (0.25 * j) - 1.0,
    "dropout": lambda p, i, j: F.dropout(p[i], 0.4),
    "constant": lambda p, i, j: p[i] + etude.arange(float(N)),
    "clone": lambda p, i, j: p[i].clone(),
    "detach": lambda p, i, j: p[i].detach(),
}
#: written in place: state, a row of it, an argument
WRITES = {
    "state": lambda p, s, i: s.copy_(p[i].clone()),
    "state from itself": lambda p, s, i: s.copy_((s * 0.5 + p[i]).clone()),
    "row": lambda p, s, i: s[i % N].copy_(p[i][0].clone()),
    "column": lambda p, s, i: s[:, i % N].copy_(p[i][0].clone()),
}

indices = st.integers(0, 30)
steps = st.lists(st.tuples(st.sampled_from([*STEPS, *[f"write {w}" for w in WRITES]]), indices,
                           indices), min_size=1, max_size=14)


def function_of(plan, returned, state):
    def run(x, y):
        pool = [x, y, *state]
        for name, i, j in plan:
            i, j = i % len(pool), j % len(pool)
            if name.startswith("write "):
                WRITES[name.removeprefix("write ")](pool, state[j % len(state)], i)
            else:
                pool.append(STEPS[name](pool, i, j))
        return [pool[k % len(pool)] for k in returned]

    return run


@pytest.mark.parametrize("name", ["reference", "cpu"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(plan=steps, returned=st.lists(indices, min_size=1, max_size=3))
def test_a_replay_gives_what_the_function_gives(name, plan, returned):
    if name == "cpu":
        pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")

    def run(capture):
        etude.manual_seed(3)
        state = [numbers(N, N, seed=11), numbers(N, N, seed=12)]
        f = function_of(plan, returned, state)
        f = etude.capture(f) if capture else f
        found = []
        with etude.use(name), etude.no_grad():
            for k in range(3):
                got = f(numbers(N, N, seed=k), numbers(N, N, seed=k + 50))
                found.append([t.numpy().copy() for t in (*got, *state)])
        return found

    with np.errstate(all="ignore"):
        assert same(run(True), run(False))


@pytest.mark.parametrize("name", ["reference", "cpu"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(plan=st.lists(st.tuples(st.sampled_from([*STEPS]), indices, indices), min_size=1,
                     max_size=10), forget=st.sampled_from(["never", "inside", "outside"]))
def test_a_replay_leaves_the_gradients_that_the_function_leaves(name, plan, forget):
    if name == "cpu":
        pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")

    def run(capture):
        etude.manual_seed(3)
        leaves = [numbers(N, N, seed=k).requires_grad_() for k in (11, 12)]
        forward = function_of(plan, [-1], leaves)

        def step(x, y):
            if forget == "inside":
                for leaf in leaves:
                    leaf.grad = None
            loss = F.sum(forward(x, y)[0] * leaves[0])
            loss.backward()
            return loss

        f = etude.capture(step) if capture else step
        found = []
        with etude.use(name):
            for k in range(4):
                if forget == "outside":
                    for leaf in leaves:
                        leaf.grad = None
                loss = f(numbers(N, N, seed=k), numbers(N, N, seed=k + 50))
                grads = [None if t.grad is None else t.grad.numpy().copy() for t in leaves]
                found.append([loss.detach().numpy().copy(), *grads])
        return found

    with np.errstate(all="ignore"):
        assert same(run(True), run(False))

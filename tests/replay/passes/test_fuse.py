"""Fusion: calls that treat rows apart run together, block by block, with the bits of one by one."""

import numpy as np
import pytest
from programs import numbers, ops, program_of, results

import etude
from etude.nn import functional as F
from etude.replay.passes.fuse import MOST_CALLS, fusion

CHAINS = {
    "elementwise": lambda x, y, b: etude.relu((x + y) * 0.5 - y) * x,
    "a bias": lambda x, y, b: F.gelu(x + b) * y,
    "a number for all": lambda x, y, b: etude.exp(x - b[:1]) + y,
    "softmax": lambda x, y, b: F.softmax(x * 0.125 + b, dim=-1) * 2.0,
    "layer_norm": lambda x, y, b: F.layer_norm(x + y, (48,), b, b) + y,
    "where": lambda x, y, b: etude.where(x > y, x * 2.0, y) + 1.0,
    "clamp, then a root": lambda x, y, b: etude.sqrt(etude.clamp(x * y, 0.0, 3.0)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_one_group_whose_inner_values_are_nowhere(name):
    x, y, b = numbers(700, 48), numbers(700, 48, seed=1), numbers(48, seed=2)
    program = fusion(program_of(CHAINS[name], x, y, b))
    group, = program.groups
    assert (group.first, group.last) == (0, len(program.calls))
    assert len(group.inside) >= len(program.calls) - 1
    assert results(program, x, y, b)  # who knows no groups runs the calls one by one


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("rows", [129, 700, 5000])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_group_in_blocks_has_the_bits_of_its_calls(name, rows, threads):
    etude_cpu = pytest.importorskip("etude_cpu", reason="NOT RUN: needs etude-cpu")
    from etude.backends.native.replay import Native

    x, y, b = numbers(rows, 48), numbers(rows, 48, seed=1), numbers(48, seed=2)
    before = etude_cpu.get_num_threads()
    etude_cpu.set_num_threads(threads)
    try:
        with etude.use("cpu"):
            plain = program_of(CHAINS[name], x, y, b)
            fused = fusion(plain)
            assert fused.groups
            assert Native(fused).plan.size == 0
            assert Native(fused)._groups
            assert (results(fused, x, y, b, executor=Native)
                    == results(plain, x, y, b, executor=Native))
    finally:
        etude_cpu.set_num_threads(before)


def test_a_group_that_is_one_block_runs_call_by_call():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs etude-cpu")
    from etude.backends.native.replay import Native

    x, y, b = numbers(3, 48), numbers(3, 48, seed=1), numbers(48, seed=2)
    with etude.use("cpu"):
        plain = program_of(CHAINS["elementwise"], x, y, b)
        fused = fusion(plain)
        assert fused.groups
        assert Native(fused)._groups == {}
        assert (results(fused, x, y, b, executor=Native)
                == results(plain, x, y, b, executor=Native))


@pytest.mark.parametrize("threads", [1, 3])
def test_a_kernel_that_fails_in_a_group_is_named(threads):
    etude_cpu = pytest.importorskip("etude_cpu", reason="NOT RUN: needs etude-cpu")
    from etude.backends.native.replay import Native
    from etude.core.errors import BackendError

    x, y = [etude.tensor(np.arange(1, 1 + 64 * 512).reshape(64, 512)) for _ in range(2)]
    before = etude_cpu.get_num_threads()
    etude_cpu.set_num_threads(threads)
    try:
        with etude.use("cpu"):
            fused = fusion(program_of(lambda x, y: (x + 1) // y - 2, x, y))
            executor = Native(fused)
            assert executor._groups
            bad = y.array.copy()
            bad[40, 7] = 0
            result, = fused.results
            for v, array in zip([*fused.arguments, result],
                                [x.array, bad, np.empty((64, 512), np.int64)], strict=True):
                executor.bind(v.buffer, array)
            with pytest.raises(BackendError, match="call 1 of the program, floor_divide"):
                executor.run()
            assert fused.calls[executor.at].op == "floor_divide"
    finally:
        etude_cpu.set_num_threads(before)


def test_a_chain_is_cut_where_the_host_has_room_for_no_more():
    lib = pytest.importorskip("etude_cpu._glue", reason="NOT RUN: needs etude-cpu",
                              exc_type=ImportError).lib

    def f(x):
        for _ in range(MOST_CALLS + 3):
            x = etude.exp(x * 0.5)
        return x

    program = fusion(program_of(f, numbers(64, 8)))
    assert [(g.first, g.last) for g in program.groups] == [(0, 16), (16, 32), (32, 38)]
    assert lib.ETUDE_GROUP_MEMBERS == MOST_CALLS


def test_a_sum_over_rows_ends_a_group():
    x = numbers(64, 8)
    program = fusion(program_of(lambda x: etude.exp(x * 2.0) - etude.sum(x + 1.0, dim=0), x))
    inside = [ops(program)[i] for g in program.groups for i in range(g.first, g.last)]
    assert "sum" not in inside


def test_a_value_that_a_group_writes_is_not_read_as_a_whole_in_it():
    """b comes from the group's own rows, so no block may start before all of it is there."""
    x = numbers(16, 16)

    def f(x):
        y = x * 2.0
        return y + y[3]

    program = fusion(program_of(f, x))
    assert program.groups == []


def test_where_one_call_of_a_group_has_no_kernel_the_others_run_one_by_one():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs etude-cpu")
    from etude.backends.native.replay import Native
    from etude.backends.resolve import resolve

    @etude.implements("tanh")
    def tanh(x):
        return etude.TABLE["tanh"].reference(x)

    x = numbers(300, 8)
    with etude.use(*resolve(tanh), "cpu"):
        plain = program_of(lambda x: etude.exp(etude.tanh(x * 2.0)), x)
        fused = fusion(plain)
        assert fused.groups
        executor = Native(fused)
        assert executor._groups == {}
        assert results(fused, x, executor=Native) == results(plain, x, executor=Native)

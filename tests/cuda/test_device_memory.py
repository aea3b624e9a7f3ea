"""Buffers are given back, uploads take what is there now, and copies can run beside other work."""

import gc

import numpy as np
import pytest

import etude
import etude_cuda

MANY = 1 << 16  # elements: an upload of so many has a stream of its own


def test_a_buffer_is_given_back_when_the_last_array_over_it_is_gone(lab):
    gc.collect()
    before = etude_cuda.memory("gpu-lab")
    x = etude.ones(1000, device="gpu-lab")
    view = x[10:]
    assert etude_cuda.memory("gpu-lab").bytes == before.bytes + 4000
    del x
    assert etude_cuda.memory("gpu-lab").buffers == before.buffers + 1
    del view
    assert etude_cuda.memory("gpu-lab")[:2] == before[:2]
    assert etude_cuda.memory("gpu-lab").most >= before.bytes + 4000


def test_more_than_there_is_is_an_error_that_says_how_much_was_asked(lab):
    with pytest.raises(MemoryError, match=r"no \d+ bytes of memory on 'gpu-lab', where arrays "):
        lab.allocate(1 << 60, lab.stream())
    assert etude.ones(2, device="gpu-lab").tolist() == [1, 1]  # the next call works


@pytest.mark.parametrize("n", [3, MANY])
def test_an_upload_has_the_values_of_its_moment(n, lab):
    x = np.ones(n, np.float32)
    y = lab.upload(x)
    x[:] = 7
    assert np.array_equal(lab.download(y), np.ones(n))


def test_results_made_on_another_stream_are_waited_for(lab):
    x = etude.tensor(np.arange(MANY, dtype=np.float32)).to("gpu-lab")
    with etude_cuda.Stream("gpu-lab") as stream:
        y = x * 2
        assert lab.stream() != x.array.buffer.stream or lab.stream() == y.array.buffer.stream
        with etude_cuda.Stream("gpu-lab"):
            z = y + x
        w = z - y
    stream.synchronize()
    assert np.array_equal((w + y).numpy(), np.arange(MANY, dtype=np.float32) * 3)
    assert lab.stream() in w.array.buffer.streams


def test_a_block_left_by_an_error_goes_back_to_the_stream_before(lab):
    before = lab.stream()
    with pytest.raises(ValueError, match="mine"), etude_cuda.Stream("gpu-lab"):
        raise ValueError("mine")
    assert lab.stream() == before


def test_a_copy_to_the_host_need_not_be_waited_for(lab):
    x = etude.tensor(np.arange(MANY, dtype=np.float32)).to("gpu-lab")
    copy = etude_cuda.to_host(x * 2, wait=False)
    with etude.no_grad():
        x.copy_(x * 0)
    assert np.array_equal(copy.numpy(), np.arange(MANY) * 2)
    assert copy.numpy() is copy.numpy()
    assert np.array_equal(etude_cuda.to_host(x), np.zeros(MANY))


def test_a_device_that_is_none_of_ours_is_named(lab):
    with pytest.raises(RuntimeError, match="the devices 'gpu-lab', 'cuda', not 'tpu'"):
        etude_cuda.Stream("tpu")
    with pytest.raises(RuntimeError, match="to_host: a tensor on 'gpu-lab', 'cuda', got one on 'c"):
        etude_cuda.to_host(etude.ones(2))

"""Arrays on the device are handles: ops and views take them, and the host cannot touch them."""

import numpy as np
import pytest

import etude
from etude.core.array import DeviceArray

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def there(x):
    return etude.tensor(x).to("gpu-lab")


@pytest.mark.parametrize("x", [X, np.array(2.5, np.float32), X[:0], X > 7, X.astype(np.int64),
                               X[:, ::-1].T])
def test_values_go_to_the_device_and_come_back(x, lab):
    y = there(x.copy())
    assert y.device == "gpu-lab"
    assert isinstance(y.array, DeviceArray)
    assert np.array_equal(y.numpy(), x)


@pytest.mark.parametrize("touch", [np.asarray, np.exp, memoryview, float, lambda x: x + np.ones(3),
                                   lambda x: np.frombuffer(x.buffer), lambda x: bytes(x.buffer),
                                   lambda x: np.asarray([x.buffer], np.float32)])
def test_numpy_cannot_reach_it(touch, lab):
    with pytest.raises((TypeError, ValueError)):
        touch(etude.ones(3, device="gpu-lab").array)


def test_views_share_one_buffer_and_ops_take_them_as_they_lie(lab):
    x, host = there(X), etude.tensor(X)
    for view, expected in [(x.permute(2, 0, 1), host.permute(2, 0, 1)), (x[1, ::2], host[1, ::2]),
                           (x[:, ::-1, 1:3], host[:, ::-1, 1:3]),
                           (x[:, None, 0].expand(2, 5, 4), host[:, None, 0].expand(2, 5, 4))]:
        assert view.array.buffer is x.array.buffer
        assert view.tolist() == expected.tolist()
        assert (view + view * 2).tolist() == (expected + expected * 2).tolist()


def test_an_op_computes_into_the_buffer_it_is_given(lab):
    out = etude.zeros(2, 3, 4, device="gpu-lab")
    buffer = out.array.buffer
    with etude.no_grad():
        out.copy_(there(X))
    assert out.array.buffer is buffer
    assert np.array_equal(out.numpy(), X)


def test_a_scalar_is_sent_once_however_often_it_is_used(lab):
    x = there(X)
    x * 1.25
    before = lab.buffers
    for _ in range(10):
        x * 1.25
    assert lab.buffers == before


def test_arrays_of_two_devices_do_not_mix(lab):
    with pytest.raises(RuntimeError, match=r"operands on different devices \(cpu, gpu-lab\); move"):
        there(X) + etude.tensor(X)
    add = lab.column("again", lab.path, "lab").ops["add"]
    with pytest.raises(RuntimeError, match=r"add: an array in the host's memory, .* move it with "
                                           r"\.to\('gpu-lab'\)"):
        add(there(X).array, X)


TOUCH = """
import etude
from etude_cuda.arrays import opened
from etude_cuda.backend import device
x = etude.ones(3, device="gpu-lab")
print(opened(x.array, device("gpu-lab"), "a test").shape, flush=True)
print(opened(x.array, device("gpu-lab"), "a test")[0])
"""


def test_in_the_no_touch_mode_a_touch_by_the_host_ends_the_process(fresh, lab_column):
    done = fresh(TOUCH, LAB_NO_TOUCH="1")
    assert done.stdout.startswith("(3,)")
    assert done.returncode < 0

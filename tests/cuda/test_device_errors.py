"""What goes wrong on a device is one clear error of ours, and the next call works."""

import numpy as np
import pytest

import etude

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def there(x):
    return etude.tensor(x).to("gpu-lab")


@pytest.mark.parametrize("call", [
    lambda x, i: etude.functional.embedding(i, x), lambda x, i: x.gather(0, i.reshape(1, -1)),
    lambda x, i: etude.cross_entropy(x, i), lambda x, i: x.index_select(0, i),
    lambda x, i: etude.functional.one_hot(i, 4),
])
@pytest.mark.parametrize("bad", [-5, 4, 2**40])
def test_an_index_out_of_range_is_the_error_of_the_reference(call, bad, lab):
    index = np.array([0, bad, 1])
    with etude.use("reference"), pytest.raises(Exception) as expected:  # noqa: PT011
        call(etude.tensor(X), etude.tensor(index))
    with pytest.raises(expected.type) as raised:
        call(there(X), there(index))
    assert str(raised.value) == str(expected.value)
    assert (there(X) * 2).tolist() == (X * 2).tolist()


def test_shapes_and_dtypes_that_do_not_fit_are_named_as_on_the_host(lab):
    with pytest.raises(ValueError, match=r"matmul.*\[3, 4\]"):
        there(X) @ there(X)
    with pytest.raises(TypeError, match="embedding"):
        etude.functional.embedding(there(X), there(X))


def test_what_the_device_lacks_is_an_error_unless_copies_are_allowed(lab_column, monkeypatch):
    monkeypatch.delitem(lab_column.ops, "topk")  # every op has a kernel
    with etude.use("gpu-lab"), pytest.raises(
            RuntimeError, match=r"topk is not implemented by gpu-lab on device 'gpu-lab'\. Move "
                                r"the tensors with \.to\('cpu'\), or allow copies"):
        there(X).topk(2)
    with etude.use("gpu-lab", fallback=True) as used:
        values, _ = there(X).topk(2)
        assert values.device == "gpu-lab"
        assert values.tolist() == [[3, 2], [7, 6], [11, 10]]
        assert [op for op, _, _ in used.fallbacks] == ["topk"]


FORKED = """
import os
import etude
x = etude.ones(3, device="gpu-lab")
pid = os.fork()
if not pid:
    try:
        x * 2
        os._exit(1)
    except RuntimeError as error:
        print(error, flush=True)
        os._exit(0 if "forked" in str(error) else 2)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), (x * 2).tolist())
"""


def test_a_child_of_a_process_that_used_the_device_is_told_so(fresh, lab_column):
    done = fresh(FORKED)
    assert done.stdout.splitlines()[-1] == "0 [2.0, 2.0, 2.0]", done.stdout + done.stderr


FORKED_BEFORE = """
import os
import etude
from etude.backends.plugins import registry
registry()
pid = os.fork()
x = etude.ones(3, device="gpu-lab")
assert (x * 2).tolist() == [2, 2, 2]
if not pid:
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_process_may_be_forked_before_the_device_is_used(fresh, lab_column):
    done = fresh(FORKED_BEFORE)
    assert done.stdout.strip() == "0", done.stdout + done.stderr


SEVERAL = """
import threading
import numpy as np
import etude
from etude import functional as F
x = np.random.default_rng(0).normal(size=(64, 33)).astype(np.float32)
expected = [F.softmax(etude.tensor(x * i), 1).numpy() for i in range(4)]
wrong = []

def work(i):
    y = etude.tensor(x * i).to("gpu-lab")
    for _ in range(20):
        got = F.softmax(y, 1).numpy()
        if not np.allclose(got, expected[i], rtol=1e-5, atol=1e-7):
            wrong.append(i)

threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(wrong)
"""


def test_several_threads_may_call_at_once(fresh, lab_column):
    done = fresh(SEVERAL)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr

"""What the tests of exports share: a model exported, run elsewhere, and held against Etude.

The bound, as docs/howto/onnx.md states it: |y - y'| is at most BOUND of |y|, or of 1 where all of y
is large. Integers and bools are equal, NaN and infinities stand where they stood; 0 and -0 are
equal.
"""

import numpy as np

import etude

BOUND = {"float32": 4e-6, "float64": 1e-13}


def session(path):
    """onnxruntime with the file, on one thread."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def runs(path, *arrays):
    """The results of onnxruntime for these inputs, in the order of the graph's."""
    found = session(path)
    names = [x.name for x in found.get_inputs()]
    return found.run(None, dict(zip(names, arrays, strict=True)))


def computes(model, *arrays):
    """The results of Etude, in eval mode, as arrays."""
    with etude.no_grad():
        y = model(*[etude.tensor(a) for a in arrays])
    return [t.numpy() for t in (y if isinstance(y, tuple) else (y,))]


def off(y, want, more=0.0):
    """Where a result is not the one that is wanted: a bool for each element."""
    if want.dtype.kind != "f":
        return y != want
    finite = np.abs(want[np.isfinite(want)])
    with np.errstate(all="ignore"):
        least = min(finite.max(initial=0), 1)
        allowed = BOUND[want.dtype.name] * np.maximum(np.abs(want), least) + more
        same = (y == want) | (np.isnan(y) & np.isnan(want))
        return ~(same | (np.abs(y - want) <= allowed))


def assert_same(found, wanted):
    assert len(found) == len(wanted) > 0
    for y, want in zip(found, wanted, strict=True):
        assert (y.shape, y.dtype) == (want.shape, want.dtype)
        assert want.size
        assert not off(y, want).any(), f"{np.abs(y - want).max()} of {np.abs(want).max()}"

"""A plugin of two ops: SciPy's erf and softmax as a column beside the reference."""

import numpy as np

import etude


@etude.hookimpl
def etude_backends():
    """Say what is on offer. Cheap: SciPy is imported when somebody asks for the backend."""
    return [etude.BackendInfo("scipy", device="cpu", interface=(2, 0), load=load)]


def load():
    """Make the backend, or say in one sentence why it cannot be had."""
    try:
        from scipy import special
    except ImportError:
        raise etude.BackendError("SciPy is missing: pip install scipy") from None

    def erf(x, *, out=None):
        return special.erf(x, out=out)

    def softmax(x, *, dim=-1, out=None):
        if x.dtype != np.float64:
            raise etude.Unsupported(f"{x.dtype}: this column is for float64")
        if x.shape[dim] == 0:
            raise etude.Unsupported("rows of no elements")
        y = special.softmax(x, axis=dim)
        if out is None:
            return y
        np.copyto(out, y)
        return out

    return etude.Column("scipy", "cpu", ops={"erf": erf, "softmax": softmax}, isa="python",
                        dtypes={"erf": ("float32", "float64"), "softmax": ("float64",)})

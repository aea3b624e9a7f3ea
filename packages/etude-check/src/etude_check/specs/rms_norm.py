"""rms_norm and its backward. Reference: etude/ops/rms_norm.py."""

from etude import TABLE
from etude_check.bounds.models import Ensemble
from etude_check.cases.plans import also, crossed
from etude_check.cases.spec import call, spec
from etude_check.specs.layer_norm import plan, plans, random, refused, rows

#: Rows beside whose squares the eps of a dtype counts; and rows of zeros, where it is all there is.
SMALL = crossed([plan((5, 9), affine="w"), plan((3, 33), affine=""), plan((3, 4, 5), 2, "w")],
                at=("small", "tiny", "nothing"))


def _make(d, shape, over, affine, at="", eps=None):
    size = tuple(shape[len(shape) - over:])
    x = rows(d, shape, at)
    return call(x, *([d.plain(size)] if "w" in affine else []), normalized_shape=size,
                **({} if eps is None else {"eps": eps}))


def _backward(d, shape, over, affine, at="", eps=None):
    size = tuple(shape[len(shape) - over:])
    grad, x = d.grad(shape), rows(d, shape, at, plain=True)
    weight = d.plain(size) if "w" in affine else None
    return call(grad, x, weight, d.given(TABLE["rms_norm"](x, normalized_shape=size)[1]),
                normalized_shape=size)


spec("rms_norm", make=_make, model=Ensemble(), random=random(("", "w")),
     plans=also(plans(bias=False), tail=[*SMALL, *crossed(SMALL, eps=(1e-6,))]),
     refusals=refused("rms_norm"))
spec("rms_norm_backward", plans=plans(cotangent=True), make=_backward, model=Ensemble(),
     random=random(("", "w")))

"""Logic on bools."""

from itertools import product

from exact import definition, pointwise

from etude.core.shapes import axes
from etude_check.cases.spec import call


@pointwise("logical_and")
def logical_and(x, y):
    return x and y


@pointwise("logical_or")
def logical_or(x, y):
    return x or y


@pointwise("logical_not")
def logical_not(x):
    return not x


def over(x, dim, keepdim, place):
    """The elements of x that are reduced into the result at ``place``."""
    dims = axes("over", dim, x.ndim)
    kept = iter(p for d, p in enumerate(place) if not (keepdim and d in dims))
    ranges = [range(x.shape[d]) if d in dims else (next(kept),) for d in range(x.ndim)]
    return [x[index].item() for index in product(*ranges)]


def masks(draw):
    """Rows in which all hold, none does, one does, one does not."""
    x = draw.rng.random((6, 50)) < 0.5
    x[0], x[1], x[2], x[3] = True, False, False, True
    x[2, 40], x[3, 49] = True, False
    yield from (call(x, dim=1), call(x, dim=0), call(x, dim=None), call(x, dim=(0, 1)),
                call(x.T, dim=0, keepdim=True))


@definition("all", calls=masks)
def every(arrays, attrs, output, places):
    return [False not in over(*arrays, **attrs, place=place) for place in places]


@definition("any", calls=masks)
def some(arrays, attrs, output, places):
    return [True in over(*arrays, **attrs, place=place) for place in places]

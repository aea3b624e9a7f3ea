"""Triangles: an element as it is, or 0. A NaN or an infinity outside the triangle is 0 too."""

from exact import definition
from places import at

from etude_check.cases.spec import call


def _calls(draw):
    some = draw.specials()
    x = draw.rng.choice(some, (2, 6, 7)).astype(draw.dtype)
    for diagonal in (0, 1, -2, 9, -9):
        yield call(x, diagonal=diagonal)


@definition("tril", calls=_calls)
def tril(arrays, attrs, output, places):
    return [at(arrays[0], p) if p[-1] - p[-2] <= attrs["diagonal"] else 0 for p in places]


@definition("triu", calls=_calls)
def triu(arrays, attrs, output, places):
    return [at(arrays[0], p) if p[-1] - p[-2] >= attrs["diagonal"] else 0 for p in places]

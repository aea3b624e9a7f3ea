"""Choosing and mixing."""

from exact import pointwise

from etude_check.cases.spec import call


def choices(draw):
    for given in draw.pointwise(2):
        yield call(draw.bools([len(given.arrays[0])]), *given.arrays)


@pointwise("where", calls=choices, special=lambda condition, x, y: x if condition else y)
def where(condition, x, y):
    return x if condition else y


@pointwise("lerp")
def lerp(x, y, weight):
    return x + weight * (y - x)

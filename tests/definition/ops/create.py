"""Creation."""

from exact import definition, number

from etude_check.cases.spec import call


def values(draw):
    some = {"b": (True, False), "i": (0, -1, 2**62, 2**53 + 1)}.get(
        draw.dtype.kind, (0.0, -0.0, 1 / 3, 1e-45, 1e300, 1e-300, float("inf"), float("nan")))
    for value in some:
        yield call(shape=(2, 3), value=value, dtype=draw.dtype)


@definition("full", calls=values)
def full(arrays, attrs, output, places):
    value = attrs["value"]
    return [value if value == 0 else number(value)] * len(places)

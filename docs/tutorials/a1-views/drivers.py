"""Judges of A1. Two views are the same if they see the same numbers in the same order: the stride
of an axis of size 1, along which nobody steps, may be anything.
"""

from itertools import product


def whole(values):
    return isinstance(values, (tuple, list)) and all(type(v) is int for v in values)


def sees(view):
    """The places in the buffer that a view sees, in order."""
    shape, strides, start = view
    return [start + sum(i * s for i, s in zip(index, strides))
            for index in product(*map(range, shape))]


def same_view(case, answer):
    expected = case.expected
    if expected is None:
        return "" if answer is None else f"this takes a copy, so it is None, and not {answer}"
    if answer is None:
        return f"no copy is needed: {expected} is the view"
    if not (isinstance(answer, (tuple, list)) and len(answer) == 3 and whole(answer[0])
            and whole(answer[1]) and type(answer[2]) is int):
        return f"a view is (shape, strides, start), in whole numbers; got {answer!r}"
    if tuple(answer[0]) != tuple(expected[0]):
        return f"the shape is {expected[0]}, got {tuple(answer[0])}"
    if len(answer[1]) != len(answer[0]):
        return f"{len(answer[1])} strides for {len(answer[0])} axes"
    wanted, got = sees(expected), sees(answer)
    if wanted != got:
        at = next(i for i, (a, b) in enumerate(zip(wanted, got)) if a != b)
        return (f"element {at} of the view lies at place {wanted[at]} of the buffer, and this view "
                f"looks at place {got[at]}: strides {tuple(answer[1])} from {answer[2]}, where "
                f"{expected[1]} from {expected[2]} was expected")
    return ""

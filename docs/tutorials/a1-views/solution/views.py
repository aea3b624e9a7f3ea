"""Assignment A1: views without copying.

A view is a tuple (shape, strides, start). shape and strides are tuples of whole numbers, one for
each axis; strides and start count numbers of the buffer, not bytes. No function here looks at a
buffer: each takes views, or shapes, and returns the like.
"""


def contiguous_strides(shape):
    """The strides of a new array of this shape, whose last axis is dense: a tuple."""
    # BEGIN SOLUTION
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return tuple(strides)
    # END SOLUTION


def position(view, index):
    """The place in the buffer of the element at ``index``, a tuple of one number for each axis.

    A negative number counts from the end of its axis. Raises IndexError for a number outside of
    its axis, and for too few or too many numbers.
    """
    # BEGIN SOLUTION
    shape, strides, start = view
    if len(index) != len(shape):
        raise IndexError(f"{len(index)} numbers for {len(shape)} axes")
    place = start
    for i, size, stride in zip(index, shape, strides):
        if not -size <= i < size:
            raise IndexError(f"{i} is outside of an axis of size {size}")
        if i < 0:
            i += size
        place += i * stride
    return place
    # END SOLUTION


def permute(view, axes):
    """The view with its axes in the order ``axes``; a negative one counts from the end.

    Raises ValueError unless every axis comes exactly once.
    """
    # BEGIN SOLUTION
    shape, strides, start = view
    count = len(shape)
    order = [a + count if a < 0 else a for a in axes]
    if sorted(order) != list(range(count)):
        raise ValueError(f"{axes} does not name each of {count} axes once")
    return tuple(shape[a] for a in order), tuple(strides[a] for a in order), start
    # END SOLUTION


def cut(view, axis, begin, end, step):
    """What ``x[begin:end:step]`` is along one axis, which is not negative. Any of the three may be
    None or negative, and mean what they mean in Python; step 0 raises ValueError.
    (``slice(begin, end, step).indices(size)`` knows the rules.)
    """
    # BEGIN SOLUTION
    shape, strides, start = view
    begin, end, step = slice(begin, end, step).indices(shape[axis])
    count = len(range(begin, end, step))
    stride = strides[axis]
    if count:
        start = start + begin * stride
    return (shape[:axis] + (count,) + shape[axis + 1:],
            strides[:axis] + (step * stride,) + strides[axis + 1:],
            start)
    # END SOLUTION


def broadcast_to(view, shape):
    """The view stretched to ``shape``, a tuple, without a copy.

    Raises ValueError where that cannot be.
    """
    # BEGIN SOLUTION
    old, strides, start = view
    missing = len(shape) - len(old)
    if missing < 0:
        raise ValueError(f"{old} has more axes than {shape}")
    stretched = []
    for size, stride, wanted in zip(old, strides, shape[missing:]):
        if size == wanted:
            stretched.append(stride)
        elif size == 1:
            stretched.append(0)
        else:
            raise ValueError(f"an axis of size {size} cannot be stretched to {wanted}")
    return shape, (0,) * missing + tuple(stretched), start
    # END SOLUTION


def reshape(view, shape):
    """The view with another shape and the same numbers in the same order, without a copy; None
    where that takes one. ``shape`` is a tuple without -1 and has as many elements as the view,
    which has at least one.
    """
    # BEGIN SOLUTION
    old, strides, start = view
    axes = [(n, s) for n, s in zip(old, strides) if n != 1]  # along the others nobody steps
    merged = []  # the longest walks with one step each
    for size, stride in axes:
        if merged and merged[-1][1] == size * stride:
            merged[-1] = (merged[-1][0] * size, stride)
        else:
            merged.append((size, stride))
    found = []
    for size in reversed(shape):  # split the walks, from the last
        if size == 1:
            found.insert(0, 1)
            continue
        length, stride = merged[-1]
        if length % size:
            return None
        found.insert(0, stride)
        merged[-1] = (length // size, stride * size)
        if merged[-1][0] == 1:
            merged.pop()
    return shape, tuple(found), start
    # END SOLUTION

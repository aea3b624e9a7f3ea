"""Places of arrays, as copies and views move them."""


def at(x, place):
    """An element as a Python number; a zero keeps its sign."""
    return x[tuple(place)].item()


def source(index, shape):
    """The place of y = x[index] -> that of x."""
    def place_of(place):
        found, rest, axes = [], iter(place), iter(shape)
        for entry in index:
            if entry is None:  # a new axis, of size 1
                next(rest)
            elif isinstance(entry, tuple):
                found.append(range(next(axes))[slice(*entry)][next(rest)])
            else:
                found.append(entry % next(axes))
        return (*found, *rest)
    return place_of

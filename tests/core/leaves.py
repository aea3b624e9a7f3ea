"""What the tests of the tape start from."""

import etude


def leaf(*values, dtype=etude.float64):
    """A leaf that wants a gradient: of several numbers, or of one thing."""
    return etude.tensor(list(values) if len(values) != 1 else values[0], dtype=dtype,
                        requires_grad=True)

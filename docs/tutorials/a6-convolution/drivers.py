"""What calls the windows of A6: with images that are views; the answer must be one, too."""

import numpy as np


def windows(answer, x, every, kernel, stride, dilation):
    """The windows of x[:, ::every], and whether they are a view of it."""
    image = x[:, ::every]
    found = answer.windows(image, kernel, stride, dilation)
    return {"windows": np.array(found), "a view": bool(np.shares_memory(image, found))}

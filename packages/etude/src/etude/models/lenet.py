"""lenet: a small convolutional network for images of digits, after LeNet-5.

Two convolutions, each followed by a pool that halves the image, then linear layers. Unlike in
the paper the nonlinearity is ReLU, the pool takes the maximum and the last layer gives logits.
Source: LeCun et al. 1998, Gradient-based learning applied to document recognition, section II.
"""

from __future__ import annotations

from etude.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential


def lenet(size: int = 8, channels: int = 1, classes: int = 10) -> Sequential:
    """The network for images of ``size`` x ``size``: 8 for the digits, 28 for MNIST and its kin.

    x: (N, channels, size, size), float; y: (N, classes) logits. Raises ValueError for a size
    that two pools cannot halve.
    """
    if size < 4 or size % 4:
        raise ValueError(f"lenet halves the image twice, so size must be a multiple of 4, got "
                         f"{size}")
    kernel, hidden = (3, 64) if size < 16 else (5, 120)
    quarter = size // 4
    return Sequential(                                                  # N, channels, size, size
        Conv2d(channels, 16, kernel, padding=kernel // 2), ReLU(),      # N, 16, size, size
        MaxPool2d(2),                                                   # N, 16, size/2, size/2
        Conv2d(16, 32, kernel, padding=kernel // 2), ReLU(),            # N, 32, size/2, size/2
        MaxPool2d(2),                                                   # N, 32, size/4, size/4
        Flatten(),                                                      # N, 32 (size/4)^2
        Linear(32 * quarter * quarter, hidden), ReLU(),                 # N, hidden
        Linear(hidden, classes),                                        # N, classes
    )

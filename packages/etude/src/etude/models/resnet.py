"""resnet20: a deep network of 3 x 3 convolutions whose blocks add to what they were given.

Legend: N images, C channels, H x W pixels. Three stages of 16, 32 and 64 channels; the second
and third halve the image. Source: He et al. 2016, Deep Residual Learning for Image Recognition,
section 4.2, with a 1 x 1 convolution where a shortcut must change its shape (their option B).
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.tensor import Tensor
from etude.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
)


class Block(Module):
    """y = relu(x + two convolutions of x), each with batch normalisation.

    x: (N, channels_in, H, W); y: (N, channels, H/stride, W/stride).
    """

    def __init__(self, channels_in: int, channels: int, stride: int = 1) -> None:
        self.conv1 = Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.norm1 = BatchNorm2d(channels)
        self.conv2 = Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm2 = BatchNorm2d(channels)
        self.shortcut: Sequential | None = None
        if channels_in != channels or stride != 1:  # x must change its shape to be added
            self.shortcut = Sequential(Conv2d(channels_in, channels, 1, stride, bias=False),
                                       BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Any:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        skipped = x if self.shortcut is None else self.shortcut(x)
        return F.relu(y + skipped)


def resnet20(channels: int = 3, classes: int = 10, blocks: int = 3) -> Sequential:
    """The network of 6 ``blocks`` + 2 layers: with 3 blocks a stage 20 layers, 0.27 million
    parameters.

    x: (N, channels, H, W), float; y: (N, classes) logits. Any H and W of 4 or more.
    """
    layers: list[Module] = [Conv2d(channels, 16, 3, 1, 1, bias=False), BatchNorm2d(16), ReLU()]
    width = 16
    for stage in (16, 32, 64):
        for _ in range(blocks):
            layers.append(Block(width, stage, 1 if width == stage else 2))
            width = stage
    return Sequential(*layers, AdaptiveAvgPool2d(1), Flatten(), Linear(64, classes))

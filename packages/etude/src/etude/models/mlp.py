"""mlp: a multi-layer perceptron, the simplest network that learns something."""

from __future__ import annotations

from etude.nn import Flatten, Linear, Module, ReLU, Sequential


def mlp(*sizes: int) -> Sequential:
    """Linear layers with ReLU between them: ``mlp(64, 32, 10)`` reads 64 numbers and tells 10
    classes apart.

    x: (N, ...), flattened to (N, sizes[0]); y: (N, sizes[-1]) logits. Raises ValueError for
    fewer than two sizes. Source: Rumelhart, Hinton and Williams 1986, Learning representations
    by back-propagating errors.
    """
    if len(sizes) < 2:
        raise ValueError(f"mlp needs at least two sizes, inputs and outputs, got {sizes}")
    layers: list[Module] = [Flatten()]
    for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
        if i:
            layers.append(ReLU())
        layers.append(Linear(n, m))
    return Sequential(*layers)

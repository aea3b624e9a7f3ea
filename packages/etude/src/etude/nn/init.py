"""First values of parameters: drawn by ops, so that one seed gives the same ones on every device.

Each function overwrites ``tensor`` and returns it, which is why its name ends in an underscore. The
numbers come from ``generator``, or from the one that ``etude.manual_seed`` sets.
"""

from __future__ import annotations

import math

from etude import functional as F
from etude.core.creation import full
from etude.core.errors import ShapeError
from etude.core.random import Generator
from etude.core.state import no_grad
from etude.core.tensor import Tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0,
             generator: Generator | None = None) -> Tensor:
    """Fill with uniform numbers in [a, b)."""
    with no_grad():
        u = F.rand(tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device)
        return tensor.copy_(u * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0,
            generator: Generator | None = None) -> Tensor:
    """Fill with normal numbers of the given mean and standard deviation."""
    with no_grad():
        z = F.randn(tensor.shape, generator=generator, dtype=tensor.dtype, device=tensor.device)
        return tensor.copy_(z * std + mean)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with ``val``."""
    with no_grad():
        return tensor.copy_(full(tensor.shape, val, tensor.dtype, device=tensor.device))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return constant_(tensor, 1.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """(inputs, outputs) of one unit of a weight (out, in, *kernel). ShapeError below 2-d."""
    if tensor.ndim < 2:
        raise ShapeError(f"a weight has at least 2 dimensions (out, in, ...), got shape "
                         f"{list(tensor.shape)}: its fan-in and fan-out are not defined")
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def _fan(tensor: Tensor, mode: str) -> int:
    """The fan-in or the fan-out of a weight. ValueError for another ``mode``."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan_in, fan_out = fans(tensor)
    return fan_in if mode == "fan_in" else fan_out


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor for weights that makes up for what a nonlinearity takes off the variance.

    ``param`` is the negative slope of a leaky ReLU, 0.01 unless given. The numbers are PyTorch's;
    a layer without a nonlinearity, "linear" or "conv2d", has 1.
    """
    slope = 0.01 if param is None else param
    gains = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv_transpose2d": 1.0, "sigmoid": 1.0,
             "tanh": 5 / 3, "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / (1 + slope**2)),
             "selu": 3 / 4}
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {', '.join(map(repr, gains))}, got "
                         f"{nonlinearity!r}")
    return gains[nonlinearity]


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in",
                     nonlinearity: str = "leaky_relu", generator: Generator | None = None
                     ) -> Tensor:
    """Uniform in [-b, b) with b = gain sqrt(3 / fan): the output of the layer then has the variance
    of its input.

    ``a`` is the negative slope of a leaky ReLU. Source: He et al. 2015, Delving Deep into
    Rectifiers, section 2.2.
    """
    fan = _fan(tensor, mode)
    if fan == 0:  # a layer without inputs: there is nothing to scale
        return zeros_(tensor)
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / fan)
    return uniform_(tensor, -bound, bound, generator)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
                    ) -> Tensor:
    """Uniform in [-b, b) with b = gain sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward
    neural networks, equation 16.
    """
    total = sum(fans(tensor))
    bound = gain * math.sqrt(6 / total) if total else 0.0
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in",
                    nonlinearity: str = "leaky_relu", generator: Generator | None = None
                    ) -> Tensor:
    """Normal with deviation gain / sqrt(fan). Source as ``kaiming_uniform_``."""
    fan = _fan(tensor, mode)
    std = calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0
    return normal_(tensor, 0.0, std, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
                   ) -> Tensor:
    """Normal with deviation gain sqrt(2 / (fan_in + fan_out)). Source as ``xavier_uniform_``."""
    total = sum(fans(tensor))
    std = gain * math.sqrt(2 / total) if total else 0.0
    return normal_(tensor, 0.0, std, generator)


def default_(weight: Tensor, bias: Tensor | None = None) -> None:
    """What Linear and Conv2d start from, as in PyTorch: weight and bias in +-1/sqrt(fan_in)."""
    kaiming_uniform_(weight, a=math.sqrt(5))
    if bias is not None:
        fan_in, _ = fans(weight)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        uniform_(bias, -bound, bound)

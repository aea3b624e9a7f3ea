"""LayerNorm, RMSNorm, GroupNorm, BatchNorm1d and BatchNorm2d.

The ops: ``layer_norm`` (``ops/layer_norm.py``), ``rms_norm`` (``ops/rms_norm.py``) and
``batch_norm`` (``ops/batch_norm.py``). ``GroupNorm`` is composed of ``layer_norm``.
"""

from __future__ import annotations

from typing import Any

from etude import functional as F
from etude.core.errors import ShapeError
from etude.core.given import eps_of, integer, real
from etude.core.shapes import Spec, check_shape
from etude.core.state import no_grad
from etude.core.tensor import Tensor, tensor
from etude.nn.module import Module, constant, parameter, spec_given, tensor_of


def _without(layer: GroupNorm | _BatchNorm) -> str:
    """For ``repr``: which of its vectors a layer has not."""
    if layer.weight is None:
        return ", affine=False"
    return "" if layer.bias is not None else ", bias=False"


def _last(layer: LayerNorm | RMSNorm, input: Any) -> str:
    """The misfit of a layer that normalises over the last axes."""
    x, size = spec_given(input), layer.normalized_shape
    if x.shape[len(x.shape) - len(size) :] == size and x.ndim >= len(size):
        return ""
    sizes = f"last size is not {size[0]}" if len(size) == 1 else f"last sizes are not {list(size)}"
    return (f"{type(layer).__name__}(normalized_shape={_shown(size)}) got an input {x}, whose "
            f"{sizes}. Make the layer with the size of what comes before it")


def _shown(size: tuple[int, ...]) -> str:
    """A normalized_shape for ``repr``: a lone number without brackets."""
    return str(size[0]) if len(size) == 1 else str(size)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) weight + bias over the last axes.  x, y: (..., D).

    D stands for ``normalized_shape``, one integer or several; weight and bias have that shape
    and start at 1 and 0. Source: Ba, Kiros and Hinton 2016, Layer Normalization, section 3.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5,
                 elementwise_affine: bool = True, bias: bool = True,
                 device: Any = None, dtype: Any = None) -> None:
        self.normalized_shape = check_shape(f"{type(self).__name__}: normalized_shape",
                                            normalized_shape)
        self.eps = eps_of(type(self).__name__, eps)
        shape, place = self.normalized_shape, {"device": device, "dtype": dtype}
        self.weight = parameter(*shape, value=1.0, **place) if elementwise_affine else None
        self.bias = parameter(*shape, **place) if elementwise_affine and bias else None

    def forward(self, input: Tensor) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def misfit(self, input: Any) -> str:
        return _last(self, input)

    def extra_repr(self) -> str:
        text = f"{_shown(self.normalized_shape)}, eps={self.eps}"
        if self.weight is None:
            return text + ", elementwise_affine=False"
        return text if self.bias is not None else text + ", bias=False"


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) weight over the last axes.  x, y: (..., D).

    eps, unless given, is the distance from 1 to the next number of the dtype of x. weight has
    the shape D = ``normalized_shape`` and starts at 1. Source: Zhang and Sennrich 2019, Root Mean
    Square Layer Normalization, equation 4.
    """

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float | None = None,
                 elementwise_affine: bool = True, device: Any = None, dtype: Any = None
                 ) -> None:
        self.normalized_shape = check_shape(f"{type(self).__name__}: normalized_shape",
                                            normalized_shape)
        self.eps = None if eps is None else eps_of(type(self).__name__, eps)
        self.weight = (parameter(*self.normalized_shape, value=1.0, device=device, dtype=dtype)
                       if elementwise_affine else None)

    def forward(self, x: Tensor) -> Any:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def misfit(self, x: Any) -> str:
        return _last(self, x)

    def extra_repr(self) -> str:
        text = f"{_shown(self.normalized_shape)}, eps={self.eps}"
        return text if self.weight is not None else text + ", elementwise_affine=False"


class GroupNorm(Module):
    """LayerNorm within each of ``num_groups`` groups of channels.  x, y: (N, C, ...).

    weight and bias: (C). Source: Wu and He 2018, Group Normalization, section 3.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5,
                 affine: bool = True, device: Any = None, dtype: Any = None, *, bias: bool = True
                 ) -> None:
        num_groups = integer("GroupNorm: num_groups", num_groups, 1)
        num_channels = integer("GroupNorm: num_channels", num_channels, 0)
        if num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups={num_groups} must divide num_channels="
                             f"{num_channels}")
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps = eps_of(type(self).__name__, eps)
        place = {"device": device, "dtype": dtype}
        self.weight = parameter(num_channels, value=1.0, **place) if affine else None
        self.bias = parameter(num_channels, **place) if affine and bias else None

    def forward(self, input: Tensor) -> Any:
        x = tensor_of(f"{type(self).__name__}: input", input)
        if x.ndim < 2 or x.shape[1] != self.num_channels:
            raise ShapeError(f"GroupNorm: x must be (N, C, ...) with C = {self.num_channels}, got "
                             f"{list(x.shape)}")
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        text = f"{self.num_groups}, {self.num_channels}, eps={self.eps}"
        return text + _without(self)


class _BatchNorm(Module):
    """y = (x - mean) / sqrt(var + eps) weight + bias, for each channel over all other axes.

    In training mean and var are those of the batch, and the running mean and var move towards them
    by the share ``momentum`` (None: they become the average over all batches so far); an empty
    batch moves nothing. In evaluation the running ones are taken. Source: Ioffe and Szegedy 2015,
    Batch Normalization, algorithms 1 and 2.
    """

    dims: tuple[int, ...]  # how many axes x may have
    layout: str
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
                 affine: bool = True, track_running_stats: bool = True, device: Any = None,
                 dtype: Any = None, *, bias: bool = True) -> None:
        num_features = integer(f"{type(self).__name__}: num_features", num_features, 0)
        self.num_features = num_features
        self.momentum = None if momentum is None else real(f"{type(self).__name__}: momentum",
                                                           momentum)
        self.eps = eps_of(type(self).__name__, eps)
        self.track_running_stats = track_running_stats
        place = {"device": device, "dtype": dtype}
        self.weight = parameter(num_features, value=1.0, **place) if affine else None
        self.bias = parameter(num_features, **place) if affine and bias else None
        if track_running_stats:
            self.register_buffer("running_mean", constant(num_features, **place))
            self.register_buffer("running_var", constant(num_features, value=1.0, **place))
            self.register_buffer("num_batches_tracked", tensor(0).to(self.running_mean.device))

    def forward(self, input: Tensor) -> Any:
        x = tensor_of(f"{type(self).__name__}: input", input)
        if x.ndim not in self.dims:
            raise ShapeError(self.misfit(x))
        mean = var = None
        if self.track_running_stats:
            mean, var = self.running_mean, self.running_var
        by_batch = self.training or not self.track_running_stats
        if by_batch and x.numel() == x.shape[1] > 0:  # one value for each channel: no variance
            raise ShapeError(f"{type(self).__name__}: in training each channel needs more than one "
                             f"value, got {Spec(x.shape, x.dtype)}. A last batch of one sample is "
                             f"left out with DataLoader(..., drop_last=True), in a config by "
                             f"drop_last = true under [data]; or take another batch size, or "
                             f"model.eval() where nothing is trained")
        updates = self.training and self.track_running_stats and x.numel() > 0
        momentum = self.momentum
        if momentum is None:  # the running values are the averages over all batches so far
            momentum = 1 / (self.num_batches_tracked.item() + 1) if updates else 0.0
        y = F.batch_norm(x, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)
        if updates:
            with no_grad():
                self.num_batches_tracked.copy_(self.num_batches_tracked + 1)
        return y

    def misfit(self, input: Any) -> str:
        x, features = spec_given(input), self.num_features
        text = f"{type(self).__name__}(num_features={features}) got an input {x}"
        if x.ndim not in self.dims:
            return f"{text}; it takes {self.layout}"
        if x.shape[1] != features:
            return (f"{text}, {self.layout} with C = {x.shape[1]}. Make the layer with "
                    f"num_features={x.shape[1]}, or change what comes before it")
        known = self.running_mean if self.track_running_stats else self.weight
        if known is not None and x.dtype != known.dtype:
            mine = f"etude.{known.dtype.name}"
            how = f"x.to({mine})" if isinstance(input, Tensor) else f"etude.tensor(x, dtype={mine})"
            return (f"{text}, but its own numbers are {known.dtype.name}. Convert the input, "
                    f"{how}, or the layer, layer.to(etude.{x.dtype.name})")
        return ""

    def extra_repr(self) -> str:
        text = f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{_without(self)}"
        return text if self.track_running_stats else text + ", track_running_stats=False"


class BatchNorm1d(_BatchNorm):
    """For each channel of x, (N, C) or (N, C, L): y = (x - mean) / sqrt(var + eps) weight + bias.

    Its base ``_BatchNorm`` says where mean and var come from.
    """

    dims = (2, 3)
    layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """For each channel of x, (N, C, H, W): y = (x - mean) / sqrt(var + eps) weight + bias.

    Its base ``_BatchNorm`` says where mean and var come from.
    """

    dims = (4,)
    layout = "(N, C, H, W)"

"""Module: a tree of parameters with a ``forward``. Parameter: a Tensor that belongs to one.

There are no registries. A parameter, buffer or submodule is a plain attribute, so reading one in
``forward`` costs what any attribute costs; what needs them all looks through ``vars(self)``. Only
ops touch values, so a module works on any device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from etude.core.array import is_contiguous
from etude.core.errors import DTypeError
from etude.core.shapes import DTYPES, FLOATS, Spec
from etude.core.state import no_grad
from etude.core.tensor import Tensor, tensor


class Parameter(Tensor):
    """A Tensor that a Module trains: a leaf, by default with a gradient.

    ``Parameter(data)`` takes over the memory of the Tensor ``data`` (a copy if it is not laid
    out in C order, because optimisers write into it) and forgets its history.
    """

    __slots__ = ()

    def __init__(self, data: Tensor, requires_grad: bool = True) -> None:
        if not isinstance(data, Tensor):
            raise TypeError(f"a Parameter is made from a Tensor, got {type(data).__name__}; "
                            f"etude.tensor makes one")
        with no_grad():
            dense = data if is_contiguous(data.data) else data.clone()
        super().__init__(dense.data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Module:
    """The base of every layer and model. Assign parameters and layers to ``self`` in
    ``__init__``, compute in ``forward``, and call the module itself::

        class Scale(nn.Module):
            def __init__(self, n):
                self.weight = nn.Parameter(etude.ones(n))

            def forward(self, x):
                return x * self.weight
    """

    training: bool = True
    _buffers: frozenset[str] = frozenset()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define what it "
                                  f"computes from its input")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(self.__dict__.get(name), Parameter) and not (
                value is None or isinstance(value, Parameter)):
            raise TypeError(f"{type(self).__name__}.{name} is a Parameter and would stop being "
                            f"trained; assign nn.Parameter(...), or copy_ values into it")
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, value: Tensor) -> None:
        """Keep ``value`` as ``self.name``: not trained, but saved and moved with the module."""
        if not isinstance(value, Tensor):
            raise TypeError(f"buffer {name!r} must be a Tensor, got {type(value).__name__}")
        self._buffers = self._buffers | {name}
        object.__setattr__(self, name, value)

    # ------------------------------------------------------------------ what is inside

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the layers directly inside, in the order they were assigned."""
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        return (m for _, m in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module, under the path "", and of all inside, each once."""
        seen: set[int] = set()
        for path, m in self._walk(""):
            if id(m) not in seen:
                seen.add(id(m))
                yield path, m

    def modules(self) -> Iterator[Module]:
        return (m for _, m in self.named_modules())

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(_path(prefix, name))

    def _named(self, parameters: bool, buffers: bool) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor), a module's own before those of its children, repetitions included."""
        for path, m in self._walk(""):
            for name, value in vars(m).items():
                own = parameters and isinstance(value, Parameter)
                if own or (buffers and name in m._buffers):
                    yield _path(path, name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of each. One that is shared comes once, under its first path."""
        seen: set[int] = set()
        for path, p in self._named(parameters=True, buffers=False):
            if id(p) not in seen:
                seen.add(id(p))
                yield path, p  # type: ignore[misc]

    def parameters(self) -> Iterator[Parameter]:
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return self._named(parameters=False, buffers=True)

    def buffers(self) -> Iterator[Tensor]:
        return (b for _, b in self.named_buffers())

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Tensor]:
        """Path -> values of every parameter and buffer, in the module's own memory: later
        training shows in them. ``clone()`` what you want to keep.
        """
        return {path: t.detach() for path, t in self._named(parameters=True, buffers=True)}

    def load_state_dict(self, state: Mapping[str, Tensor | np.ndarray[Any, Any]]) -> None:
        """Copy the values of ``state`` into the memory of the parameters and buffers.

        Raises RuntimeError, naming everything that is missing, unexpected or of another shape or
        dtype, and then has written nothing.
        """
        mine = dict(self._named(parameters=True, buffers=True))
        problems = [f"missing: {k}" for k in mine if k not in state]
        problems += [f"unexpected: {k}" for k in state if k not in mine]
        for k, t in mine.items():
            if k in state and (state[k].shape != t.shape or state[k].dtype != t.dtype):
                given = Spec(state[k].shape, state[k].dtype)
                problems.append(f"{k} is {Spec(t.shape, t.dtype)} in the module, but {given} in "
                                f"the state")
        if problems:
            head = (f"load_state_dict: the state does not fit this {type(self).__name__}. Build "
                    f"the module with the arguments it was saved with.")
            raise RuntimeError("\n  ".join([head, *problems]))
        with no_grad():
            sources = {k: _source(state[k], t.device) for k, t in mine.items()}
            for k, t in mine.items():  # what may fail, for want of memory, lies behind
                t.copy_(sources[k])

    # ------------------------------------------------------------------ modes and places

    def train(self, mode: bool = True) -> Self:
        """Behave as in training (dropout drops), here and in every layer inside."""
        for m in self.modules():
            m.training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use: ``train(False)``."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def to(self, target: Any) -> Self:
        """Move to a device, ``model.to("cpu")``, or convert to a float dtype. Returns self.

        The Parameter objects stay, so an optimiser that holds them goes on working; int64 and
        bool buffers keep their dtype.
        """
        is_device = isinstance(target, str) and target not in {d.name for d in DTYPES}
        if not is_device and np.dtype(target) not in FLOATS:
            raise DTypeError(f"a module is converted to float32 or float64, not "
                             f"{np.dtype(target).name}: its parameters need gradients")
        for _, t in self._named(parameters=True, buffers=True):
            if is_device or t.dtype in FLOATS:
                with no_grad():
                    t.data = t.detach().to(target).data
                    t.grad = None if t.grad is None else t.grad.detach().to(target)
                t.mark_written()
        return self

    # ------------------------------------------------------------------ for people

    def extra_repr(self) -> str:
        """The settings of this layer, for ``repr``; a subclass says what matters."""
        return ""

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({self.extra_repr()}"
        lines = []
        for name, child in self.named_children():
            text = repr(child).replace("\n", "\n  ")
            lines.append(f"  ({name}): {text}")
        return "\n".join([head, *lines, ")"]) if lines else f"{head})"


def _source(value: Tensor | np.ndarray[Any, Any], device: str) -> Tensor:
    """What is copied into a parameter on ``device``."""
    return (value if isinstance(value, Tensor) else tensor(value)).detach().to(device)


def _path(prefix: str, name: str) -> str:
    """The name of something inside the module at ``prefix``; "" is the outermost module."""
    return f"{prefix}.{name}" if prefix else name

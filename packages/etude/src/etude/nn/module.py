"""Module: a tree of parameters with a ``forward``. Parameter: a Tensor that belongs to one.

There are no registries. A parameter, buffer or submodule is a plain attribute, so reading one in
``forward`` costs what any attribute costs; what needs them all looks through ``vars(self)``. Only
ops touch values, so a module works on any device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from etude.core.array import is_contiguous
from etude.core.creation import full, zeros_like
from etude.core.errors import DTypeError, ShapeError
from etude.core.live import WATCHER, Changes
from etude.core.shapes import FLOATS, STORED, Spec, dtype_of
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
            dense = data if is_contiguous(data.array) else data.clone()
        super().__init__(dense.array, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


#: What to write in place of a method of PyTorch's Module that is not here.
INSTEAD = {
    "cuda": "model.to(device)", "cpu": "model.to('cpu')", "type": "model.to(dtype)",
    "half": "model.to(device), which keeps float32; there is no float16",
    "bfloat16": "model.to(device), which keeps float32; there is no bfloat16",
}


class LeftOut(NamedTuple):
    """What ``load_state_dict(strict=False)`` left as it was, and what it did not use."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def parameter(*shape: int, value: float = 0.0, device: Any = None, dtype: Any = None) -> Parameter:
    """A Parameter with ``value`` everywhere, float32 on "cpu" unless given."""
    return Parameter(constant(*shape, value=value, device=device, dtype=dtype))


def constant(*shape: int, value: float = 0.0, device: Any = None, dtype: Any = None) -> Tensor:
    """A Tensor with ``value`` everywhere, float32 on "cpu" unless given."""
    found = "float32" if dtype is None else dtype
    return full(shape, value, found, device="cpu" if device is None else device)


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
    _unsaved: frozenset[str] = frozenset()  # those of the buffers that are not persistent
    _takes_tensors = False  # whether a layer of this package is made of some, as losses may be

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        ours = cls.__module__.startswith("etude.nn.") and not cls._takes_tensors
        if ours and "__init__" in vars(cls):
            cls.__init__ = _made_first(cls.__init__)  # type: ignore[method-assign]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward(): define what it "
                                  f"computes from its input")

    def misfit(self, *args: Any, **kwargs: Any) -> str:
        """A sentence about an input of ``forward`` that this layer cannot take, or "". Asked when
        an op has raised an error, which knows the weights, but not whose they are.
        """
        return ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            y = self.forward(*args, **kwargs)
        except (ShapeError, DTypeError, IndexError) as error:
            why = self.misfit(*args, **kwargs)
            if not why:
                raise
            raise type(error)(why) from None
        if y is None:
            raise TypeError(f"forward() of {type(self).__name__} returned None; is a return "
                            f"missing?")
        return y

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(self.__dict__.get(name), Parameter) and not (
                value is None or isinstance(value, Parameter)):
            raise TypeError(f"{type(self).__name__}.{name} is a Parameter and would stop being "
                            f"trained; assign nn.Parameter(...), or copy_ values into it")
        object.__setattr__(self, name, value)
        Changes.count += 1

    if not TYPE_CHECKING:  # so that mypy goes on to find what is misspelt

        def __getattr__(self, name: str) -> Any:  # asked only where there is no such attribute
            if name in INSTEAD:
                raise AttributeError(f"{type(self).__name__} has no {name}(): write "
                                     f"{INSTEAD[name]}")
            return object.__getattribute__(self, name)  # Python's own error

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """``self.name = param``, for a name that is computed."""
        if not (param is None or isinstance(param, Parameter)):
            raise TypeError(f"parameter {name!r} must be an nn.Parameter, got "
                            f"{type(param).__name__}")
        setattr(self, name, param)

    def add_module(self, name: str, module: Module) -> None:
        """``self.name = module``, for a name that is computed and that nothing else here has."""
        kind = type(self).__name__
        if not isinstance(name, str) or name == "" or "." in name:
            raise ValueError(f"{kind}: the name of a layer is a text without a dot, which "
                             f"separates names in state_dict, got {name!r}")
        if hasattr(self, name) and not isinstance(vars(self).get(name), Module):
            raise ValueError(f"{kind}: a layer cannot be called {name!r}, which every {kind} has "
                             f"already; take another name")
        setattr(self, name, layer_of(kind, module))

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Keep ``tensor`` as ``self.name``: not trained, but moved with the module and, if
        ``persistent``, saved. None is a buffer that is not there.
        """
        if not (tensor is None or isinstance(tensor, Tensor)):
            raise TypeError(f"buffer {name!r} must be a Tensor, got {type(tensor).__name__}")
        self._buffers = self._buffers | {name}
        self._unsaved = self._unsaved - {name} if persistent else self._unsaved | {name}
        object.__setattr__(self, name, tensor)

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

    def get_submodule(self, target: str) -> Module:
        """The layer at a path: ``model.get_submodule("encoder.0")``; "" is the module itself."""
        found = dict(self._walk(""))
        if target not in found:
            raise AttributeError(f"{type(self).__name__} has no layer {target!r}; "
                                 f"named_modules() lists those it has")
        return found[target]

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(_path(prefix, name))

    def _named(self, parameters: bool, buffers: bool, unsaved: bool = True
               ) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor), a module's own before those of its children, repetitions included."""
        for path, m in self._walk(""):
            wanted = m._buffers if unsaved else m._buffers - m._unsaved
            for name, value in vars(m).items():
                own = parameters and isinstance(value, Parameter)
                if own or (buffers and name in wanted and value is not None):
                    yield _path(path, name), value

    def _saved(self) -> dict[str, Tensor]:
        """Path -> tensor of what a state holds."""
        return dict(self._named(parameters=True, buffers=True, unsaved=False))

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

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every layer inside, and in the end with this one. Returns self."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all parameters, or freeze them. Returns self."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Tensor]:
        """Path -> values of every parameter and buffer, in the module's own memory: later
        training shows in them. ``clone()`` what you want to keep.
        """
        return {path: t.detach() for path, t in self._saved().items()}

    def load_state_dict(self, state_dict: Mapping[str, Tensor | np.ndarray[Any, Any]],
                        strict: bool = True) -> LeftOut:
        """Copy the values of a state into the memory of the parameters and buffers.

        Raises RuntimeError, naming everything that is missing, unexpected or of another shape or
        dtype, and then has written nothing. TypeError for what holds no values.
        Without ``strict`` what is missing or unexpected is left out, and returned.
        """
        state, mine = state_dict, self._saved()
        _check_state(state)
        left_out = LeftOut([k for k in mine if k not in state], [k for k in state if k not in mine])
        problems = []
        if strict:
            problems += [f"missing: {k}" for k in left_out.missing_keys]
            problems += [f"unexpected: {k}" for k in left_out.unexpected_keys]
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
            sources = {k: _source(state[k], t.device) for k, t in mine.items() if k in state}
            for k, source in sources.items():  # what may fail, for want of memory, lies behind
                mine[k].copy_(source)
        return left_out

    # ------------------------------------------------------------------ modes and places

    def train(self, mode: bool = True) -> Self:
        """Behave as in training (dropout drops), here and in every layer inside."""
        for m in self.modules():
            m.training = mode
        return self

    def eval(self) -> Self:
        """Behave as in use: ``train(False)``."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to 0."""
        watcher = WATCHER.get()
        for p in self.parameters():
            if watcher is not None and set_to_none:
                watcher.clears(p)
            p.grad = None if set_to_none or p.grad is None else zeros_like(p.grad)

    def float(self) -> Self:
        """``to("float32")``."""
        return self.to("float32")

    def double(self) -> Self:
        """``to("float64")``."""
        return self.to("float64")

    def to(self, *targets: Any, device: Any = None, dtype: Any = None,
           non_blocking: bool = False) -> Self:
        """Move to a device, ``model.to("cpu")``, convert to a float dtype, or both; or to those of
        a Tensor, ``model.to(x)``. Returns self.

        The Parameter objects stay, so an optimiser that holds them goes on working; int64 and
        bool buffers keep their dtype. ``non_blocking``, which may also follow the targets, changes
        nothing: every move is complete.
        """
        device, dtype = _target(targets, device, dtype)
        if dtype is not None and dtype_of("to", dtype) not in FLOATS:
            raise DTypeError(f"a module is converted to float32 or float64, not "
                             f"{dtype_of('to', dtype).name}: its parameters need gradients")
        for _, t in self._named(parameters=True, buffers=True):
            kind = dtype if t.dtype in FLOATS else None
            if device is not None or kind is not None:
                with no_grad():
                    t.array = t.detach().to(device=device, dtype=kind).array
                    t.grad = (None if t.grad is None
                              else t.grad.detach().to(device=device, dtype=kind))
                t.mark_written()
        Changes.count += 1
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


def _made_first(init: Callable[..., None]) -> Callable[..., None]:
    """``init`` of a layer, which refuses data: layers are made of settings, and called on data."""
    @functools.wraps(init)
    def made(self: Module, *settings: Any, **named: Any) -> None:
        if any(isinstance(value, Tensor) and value.ndim for value in settings):
            name = type(self).__name__
            raise TypeError(f"{name} is a layer, which is made first and called then: layer = "
                            f"nn.{name}(...), and layer(input)")
        init(self, *settings, **named)

    return made


def _target(targets: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Any, Any]:
    """(device, dtype) that ``to`` was asked for, each None where it stays. The bools are flags."""
    for target in targets:
        if isinstance(target, Tensor):
            device, dtype = target.device, target.dtype
        elif isinstance(target, str) and target not in np.sctypeDict:
            device = target
        elif not (target is None or isinstance(target, bool)):
            dtype = target
    return device, dtype


def spec_given(x: Any) -> Spec:
    """The Spec of what a layer was given: a Tensor, or an array or a list, of which one is made."""
    return Spec(x.shape, x.dtype) if isinstance(x, Tensor) else spec_given(tensor(x))


def layer_of(kind: str, module: Any) -> Module:
    """``module``, or TypeError for what is none."""
    if not isinstance(module, Module):
        raise TypeError(f"{kind} takes layers, got {type(module).__name__}")
    return module


def tensor_of(what: str, value: Any) -> Tensor:
    """``value``, of an array a Tensor, where a layer asks for its shape before any op does.
    TypeError for anything else.
    """
    if isinstance(value, np.ndarray):
        return tensor(value)
    if not isinstance(value, Tensor):
        raise TypeError(f"{what} must be a Tensor, got {type(value).__name__}; etude.tensor makes "
                        f"one")
    return value


def _check_state(state: Any) -> None:
    """TypeError for what is no state, and for values that are neither Tensors nor arrays."""
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: a state is a dict of name and Tensor, got "
                        f"{type(state).__name__}")
    for name, value in state.items():
        if not isinstance(value, (Tensor, np.ndarray, np.generic)):
            raise TypeError(f"load_state_dict: cannot read {name}, of type "
                            f"{type(value).__name__}: give Tensors or NumPy arrays, or "
                            f"etude.from_dlpack(t)")


def _source(value: Tensor | np.ndarray[Any, Any], device: str) -> Tensor:
    """What is copied into a parameter on ``device``."""
    if not isinstance(value, Tensor):
        value = tensor(value, value.dtype if value.dtype in STORED else None)
    return value.detach().to(device)


def _path(prefix: str, name: str) -> str:
    """The name of something inside the module at ``prefix``; "" is the outermost module."""
    return f"{prefix}.{name}" if prefix else name

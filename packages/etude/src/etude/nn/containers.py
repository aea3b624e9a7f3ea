"""Sequential, layers one after another; ModuleList and ModuleDict, layers that you call."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self

from etude.core.errors import DTypeError, ShapeError
from etude.core.given import in_order, whole
from etude.nn.module import Module, layer_of


class _Row(Module):
    """Layers in an order, under the names "0", "1" and so on, or others that were given."""

    _takes_tensors = True  # and refuses them in words of its own

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: Any) -> Any:
        """The layer at a place, counted from the end if negative; of a slice, several of them."""
        if isinstance(index, slice):
            return self._of(dict(list(self.named_children())[index]))
        return list(self.children())[self._place(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        name = list(dict(self.named_children()))[self._place(index)]
        setattr(self, name, layer_of(type(self).__name__, module))

    def _place(self, index: Any) -> int:
        """``index`` as Python's integer. IndexError for a place where no layer is."""
        kind, count, found = type(self).__name__, len(self), whole(index)
        if found is None:
            raise TypeError(f"{kind}: a layer is picked by its number or a slice, got {index!r}")
        if not -count <= found < count:
            raise IndexError(f"{kind}: there is no layer {found}, it has {count}, numbered from 0")
        return found

    def _of(self, layers: dict[str, Module]) -> Self:
        """A new one of some of the layers."""
        raise NotImplementedError

    def append(self, module: Module) -> Self:
        """Add a layer at the end. Returns self."""
        taken, number = dict(self.named_children()), len(self)
        while str(number) in taken:  # a slice keeps its names, which may be higher
            number += 1
        setattr(self, str(number), layer_of(type(self).__name__, module))
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add several layers at the end. Returns self."""
        for module in in_order(type(self).__name__, modules):
            self.append(module)
        return self


class Sequential(_Row):
    """Layers in a row: each gets the output of the one before. ``model[2]`` is the third layer.

    ``Sequential(Linear(2, 3), ReLU())``, or a dict of name and layer, which has the names in
    ``state_dict``.
    """

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
            return
        for i, layer in enumerate(args):
            if isinstance(layer, (list, tuple)):
                raise TypeError(f"Sequential takes layers one by one, but argument {i} is a "
                                f"{type(layer).__name__} of them: write nn.Sequential(*layers)")
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential takes layers, but argument {i} is of type "
                                f"{type(layer).__name__}; a function such as etude.relu has a "
                                f"layer of its own, nn.ReLU()")
            setattr(self, str(i), layer)

    def _of(self, layers: dict[str, Module]) -> Self:
        return type(self)(layers)

    def forward(self, input: Any) -> Any:
        x = input
        for name, layer in vars(self).items():
            if not isinstance(layer, Module):
                continue
            try:
                x = layer(x)
            except (ShapeError, DTypeError, IndexError) as error:
                error.add_note(f"in the layer {name!r} of {type(self).__name__}")
                raise
        return x


class ModuleList(_Row):
    """Layers in a list that the module knows of: they are trained, saved and moved with it."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        self.extend(() if modules is None else modules)

    def _of(self, layers: dict[str, Module]) -> Self:
        return type(self)(layers.values())

    def insert(self, index: int, module: Module) -> None:
        """Put a layer before the one at ``index``; those behind it move on by one."""
        layers = list(self.children())
        layers.insert(index, layer_of("ModuleList", module))
        for i, layer in enumerate(layers):
            setattr(self, str(i), layer)


class ModuleDict(Module):
    """Layers by name that the module knows of: they are trained, saved and moved with it."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update({} if modules is None else modules)

    def __getitem__(self, key: str) -> Module:
        return dict(self.named_children())[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self[key]  # a KeyError for what is no layer
        delattr(self, key)

    def __contains__(self, key: object) -> bool:
        return key in dict(self.named_children())

    def __len__(self) -> int:
        return len(list(self.children()))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> KeysView[str]:
        return dict(self.named_children()).keys()

    def values(self) -> ValuesView[Module]:
        return dict(self.named_children()).values()

    def items(self) -> ItemsView[str, Module]:
        return dict(self.named_children()).items()

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add the layers of ``modules``, in the place of those that have the same name."""
        if not isinstance(modules, (Mapping, ModuleDict)):
            raise TypeError(f"ModuleDict: needs a dict of name and layer, got "
                            f"{type(modules).__name__}")
        for key, module in modules.items():
            self[key] = module

    def pop(self, key: str) -> Module:
        """Take a layer out and return it. KeyError where there is none."""
        module = self[key]
        del self[key]
        return module

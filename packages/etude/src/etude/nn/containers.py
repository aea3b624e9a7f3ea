"""Sequential, layers one after another; ModuleList, layers that you call yourself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from etude.core.given import in_order
from etude.nn.module import Module


class Sequential(Module):
    """Layers in a row: each gets the output of the one before. ``model[2]`` is the third layer."""

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
            if isinstance(layer, (list, tuple)):
                raise TypeError(f"Sequential takes layers one by one, but argument {i} is a "
                                f"{type(layer).__name__} of them: write nn.Sequential(*layers)")
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential takes layers, but argument {i} is of type "
                                f"{type(layer).__name__}; a function such as etude.relu has a "
                                f"layer of its own, nn.ReLU()")
            setattr(self, str(i), layer)

    def forward(self, x: Any) -> Any:
        for layer in self.children():
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]


class ModuleList(Module):
    """Layers in a list that the module knows of: they are trained, saved and moved with it."""

    def __init__(self, layers: Iterable[Module] = ()) -> None:
        for layer in in_order("ModuleList", layers):
            self.append(layer)

    def append(self, layer: Module) -> ModuleList:
        """Add a layer at the end. Returns self."""
        if not isinstance(layer, Module):
            raise TypeError(f"ModuleList takes layers, got {type(layer).__name__}")
        setattr(self, str(len(self)), layer)
        return self

    def __len__(self) -> int:
        return len(list(self.children()))

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]

    def __iter__(self) -> Iterator[Module]:
        return self.children()

"""Sequential: layers one after another."""

from __future__ import annotations

from typing import Any

from etude.nn.module import Module


class Sequential(Module):
    """Feed each layer with the output of the one before. ``model[2]`` is the third layer."""

    def __init__(self, *layers: Module) -> None:
        for i, layer in enumerate(layers):
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

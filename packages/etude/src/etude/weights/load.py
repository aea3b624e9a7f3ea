"""``load_torch``: weights of PyTorch as a dict of Tensors, or in a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from etude.core.tensor import Tensor
from etude.data.files import uninterrupted
from etude.nn.module import Module
from etude.weights.fit import fitted
from etude.weights.source import arrays_of

M = TypeVar("M", bound=Module)


@overload
def load_torch(source: Any, model: None = None, *, part: str | None = None,
               widen: bool = True) -> dict[str, Tensor]: ...


@overload
def load_torch(source: Any, model: M, names: str | Mapping[str, str] | None = None, *,
               part: str | None = None, widen: bool = True) -> M: ...


def load_torch(source: Any, model: Module | None = None,
               names: str | Mapping[str, str] | None = None, *, part: str | None = None,
               widen: bool = True) -> Any:
    """The weights in ``source`` as a dict of name and Tensor; with a ``model``, copied into it,
    and the model.

    ``source``: a state_dict of PyTorch, or of arrays that speak DLPack; or the path of a .pt file,
    which is read as data (no code in it runs, and PyTorch is not needed), or of a .safetensors
    file. ``part``: the entry of a larger dict that holds the weights.

    All weights must be there, and no others. Their names are those of Etude or one of the layouts
    "gpt2" (Hugging Face's), "nanogpt" and "resnet" (torchvision's), which are found out; ``names``
    chooses one, or is a dict of {name there: name here} for layers or weights, in which ``#``
    stands for any number.

    float16 and bfloat16 become float32, small integers int64, with the same values; without
    ``widen`` the halves are refused. Raises FileNotFoundError; CheckpointError, a ValueError, for
    what is damaged, has code in it, or does not fit; TypeError for another source. After an error
    the model is as before.
    """
    if model is not None and not isinstance(model, Module):
        raise TypeError(f"load_torch: the source comes first, then the model, which is an "
                        f"nn.Module; got {type(model).__name__}")
    if model is None and names is not None:
        raise TypeError("load_torch: names say where weights go in a model, so give the model too")
    where, found = arrays_of(source, part, widen)
    if model is None:
        return {name: Tensor(array) for name, array in found.items()}
    state = fitted(where, found, model, names)
    with uninterrupted():
        model.load_state_dict(state)
    return model

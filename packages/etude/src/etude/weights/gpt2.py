"""``gpt2``: our gpt in the sizes of a GPT-2, from the config.json that lies beside its weights.

Etude's gpt is GPT-2's architecture: norms before, gelu in its tanh form, biases everywhere, the
output tied to the embedding. What of it a config can change and ours cannot is refused by name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etude.models.gpt import GPT, gpt

#: Settings with another meaning than ours unless they have one of these values; absent is the
#: first. "gelu_new" and "gelu_pytorch_tanh" are one formula.
FIXED: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",), "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,), "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,), "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
SIZES = {"vocab_size": 50257, "n_positions": 1024, "n_layer": 12, "n_head": 12, "n_embd": 768}


def gpt2(config: str | os.PathLike[str] | Mapping[str, Any], dropout: float = 0.0) -> GPT:
    """The model for ``load_torch``: ``load_torch("model.safetensors", gpt2("config.json"))``.

    ``config``: Hugging Face's config.json of a GPT-2, or a dict of its settings; what it does not
    say is as in the smallest GPT-2. ValueError for another kind of model, for a setting that
    changes what gpt computes, and for a file that is no such JSON.
    """
    where, settings = "the config", config
    if not isinstance(config, Mapping):
        where = os.fspath(config)
        try:
            settings = json.loads(Path(config).read_bytes())
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: no JSON file, or one that was cut short ({error})"
                             ) from None
    if not isinstance(settings, Mapping):
        raise ValueError(f"{where}: must be an object of settings, got {type(settings).__name__}")
    for name, values in FIXED.items():
        found = settings.get(name, values[0])
        if found not in values:
            raise ValueError(f"{where}: {name} is {found!r}, and Etude's gpt is a GPT-2 with "
                             f"{name} = {values[0]!r}")
    sizes = {name: settings.get(name, usual) for name, usual in SIZES.items()}
    for name, size in sizes.items():
        if type(size) is not int or not 0 < size < 1 << 31:
            raise ValueError(f"{where}: {name} must be a positive integer, got {size!r}")
    wide = settings.get("n_inner")
    if wide not in (None, 4 * sizes["n_embd"]):
        raise ValueError(f"{where}: n_inner is {wide!r}, and Etude's gpt widens to 4 n_embd = "
                         f"{4 * sizes['n_embd']}")
    vocab, block_size, layers, heads, embed_dim = sizes.values()
    return gpt(vocab, block_size, layers, heads, embed_dim, dropout)

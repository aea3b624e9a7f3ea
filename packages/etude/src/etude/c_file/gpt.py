"""A C file for ``models.GPT``. Templates: gpt.c, and characters.c or byte_pairs.c."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import numpy as np

from etude import nn
from etude.c_file.classifier import array, zeros_without
from etude.c_file.source import CFileError, Source, fill, quoted, template
from etude.data.bpe import PIECE
from etude.data.tokenizers import BPETokenizer, CharTokenizer
from etude.models.gpt import GPT

Tokenizer = CharTokenizer | BPETokenizer


def gpt(model: GPT, tokenizer: Tokenizer, first: str, program: str) -> tuple[str, float]:
    """(the C file, its bound) of a model and the tokenizer that it was trained with. ``first`` is
    what the file says about the model, with @BOUND@ in it.
    """
    E = model.norm.normalized_shape[0]
    V, block = model.tokens.weight.shape[0], model.block_size
    layers: list[Any] = list(model.blocks)
    for i, layer in enumerate(layers):
        _usual(f"blocks.{i}", layer, E, layers[0])
    if model.norm.eps != layers[0].norm1.eps or model.norm.weight is None:
        raise CFileError("the layer norm has another eps than those of the blocks, or no weight")
    if tokenizer.vocab_size != V:
        raise CFileError(f"the tokenizer knows {tokenizer.vocab_size} tokens, and the model {V}; "
                         f"give the one that it was trained with: --tokenizer FILE")
    source = Source(np.dtype(model.tokens.weight.dtype))
    wide = layers[0].mlp[0].weight.shape[0]
    heads = layers[0].attention.num_heads
    _store(source, model, layers)
    source.used |= {"linear", "layer_norm", "gelu_tanh", "attention"}
    float32 = source.dtype == np.float32
    sizes = {"V": (V, "tokens in the vocabulary"), "E": (E, "numbers that stand for a token"),
             "HEADS": (heads, "of attention"), "D": (E // heads, "numbers of a head"),
             "LAYERS": (len(layers), "blocks, one after another"),
             "BLOCK": (block, "tokens that the model sees at once"),
             "WIDE": (wide, "numbers in the middle of a block"),
             "WIDEST": (max(3 * E, wide), "outputs of a linear layer, at most")}
    bound = reach(len(layers), wide, source.dtype)
    text = source.text(
        first.replace("@BOUND@", f"{bound:.1e}"), program, sizes, "gpt.c", {
            "EPS": repr(model.norm.eps), "TOKENIZER": _tokenizer(tokenizer),
            "START": _start(tokenizer),
            "UNIFORM": "(number)(a >> 8 & 0xFFFFFF) * 0x1p-24f" if float32 else
                       "(number)(a >> 11) * 0x1p-53"})
    return text, bound


def reach(layers: int, wide: int, dtype: np.dtype[Any]) -> float:
    """How far logits may lie from Etude's, as a share of the largest.

    No proof: a layer norm may enlarge what comes before it as far as its eps allows. It is what
    roundings that know nothing of each other amount to (Higham and Mary 2019, A new approach to
    probabilistic rounding error analysis): the longest sums, of ``wide`` terms, are off by
    sqrt(wide) u, there are two of them in each layer and one at the end; and 4 times that.
    """
    u = float(np.finfo(dtype).eps) / 2
    return 4 * math.sqrt((2 * layers + 1) * wide) * u


def _usual(path: str, layer: Any, E: int, first: Any) -> None:
    """CFileError for a block that is not as GPT makes it."""
    if type(layer) is not nn.TransformerBlock:
        raise CFileError(f"the layer {path}, a {type(layer).__name__}, is no TransformerBlock, and "
                         f"a C file has no other")
    attention, kinds = layer.attention, [type(inner) for inner in layer.mlp]
    if attention.in_proj_weight is None or attention.bias_k is not None or attention.add_zero_attn:
        raise CFileError(f"the layer {path}.attention, {attention!r}, is not plain self-attention")
    if kinds != [nn.Linear, nn.GELU, nn.Linear, nn.Dropout] or (
            layer.mlp[1].approximate != "tanh"):
        raise CFileError(f"the layer {path}.mlp is not Linear, GELU('tanh'), Linear, Dropout")
    same = (layer.norm1.eps == layer.norm2.eps == first.norm1.eps and layer.is_causal
            and layer.mlp[0].weight.shape == first.mlp[0].weight.shape
            and attention.num_heads == first.attention.num_heads)
    if not same or layer.norm1.weight is None or layer.norm2.weight is None:
        raise CFileError(f"the layer {path} differs from the first in heads, width, eps or "
                         f"causality")


def _store(source: Source, model: GPT, layers: list[Any]) -> None:
    """All weights, in the order in which ``load`` of gpt.c takes them. The matrix of a linear layer
    lies input by input there.
    """

    def keep(path: str, weight: Any, bias: Any) -> None:
        source.weight(f"{path}.weight", array(weight).T)
        source.weight(f"{path}.bias", zeros_without(bias, weight.shape[0]))

    source.weight("tokens.weight", array(model.tokens.weight))
    source.weight("positions.weight", array(model.positions.weight))
    for i, layer in enumerate(layers):
        attention, path = layer.attention, f"blocks.{i}"
        keep(f"{path}.norm1", layer.norm1.weight, layer.norm1.bias)
        keep(f"{path}.attention.in_proj", attention.in_proj_weight, attention.in_proj_bias)
        keep(f"{path}.attention.out_proj", attention.out_proj.weight, attention.out_proj.bias)
        keep(f"{path}.norm2", layer.norm2.weight, layer.norm2.bias)
        for at in ("0", "2"):
            linear = getattr(layer.mlp, at)
            keep(f"{path}.mlp.{at}", linear.weight, linear.bias)
    keep("norm", model.norm.weight, model.norm.bias)


# ------------------------------------------------------------------ text and tokens


def _start(tokenizer: Tokenizer) -> str:
    """A prompt for an example."""
    if isinstance(tokenizer, BPETokenizer):
        return "The"
    letters = [c for c in tokenizer.characters if c.isascii() and c.isalpha()]
    return letters[0] if letters else "..."


def _tokenizer(tokenizer: Tokenizer) -> str:
    if isinstance(tokenizer, CharTokenizer):
        known = [c.encode("utf-8", "surrogatepass") for c in tokenizer.characters]
        return fill(template("characters.c"), {
            "TEXT": _columns([f"{{{len(one)}, {quoted(one)}}}" for one in known])})
    return fill(template("byte_pairs.c"), {
        "MERGES": _columns([f"{{{a}, {b}}}" for a, b in [*tokenizer.merges, (0, 0)]]),
        "LETTERS": _columns(_ranges(re.compile(r"\w"))),
        "SPACES": ", ".join(_ranges(re.compile(r"\s")))})


def _ranges(of: re.Pattern[str]) -> list[str]:
    """The characters that a pattern matches, as {first, last} of each run of them; as Python's
    version of Unicode has it.
    """
    assert PIECE.pattern.count(r"\w") == 2  # the pattern whose classes these are
    matched = [c for c in range(sys.maxunicode + 1) if of.match(chr(c))]
    cuts = [i for i, c in enumerate(matched) if i == 0 or matched[i - 1] != c - 1]
    ends = [*cuts[1:], len(matched)]
    return [f"{{{matched[i]}, {matched[j - 1]}}}" for i, j in zip(cuts, ends, strict=True)]


def _columns(items: list[str]) -> str:
    """The items of an array, as many in a line as fit."""
    lines = ["   "]
    for item in items:
        if len(lines[-1]) + len(item) > 97:
            lines.append("   ")
        lines[-1] += f" {item},"
    return "\n".join(lines)

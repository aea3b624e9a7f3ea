"""A gpt as a GGUF file, the format of llama.cpp: architecture "gpt2", in float32.

One file holds the sizes, the vocabulary and the weights. GGUF lists shapes with the fastest axis
first, the reverse of ours; the numbers lie as they lie here. llama.cpp has one byte-pair tokenizer
for this architecture, whose tokens are bytes written as printable characters. Both of ours become
one: of characters, those of several bytes are the merges of their bytes. The format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from etude.data.files import write_atomically
from etude.data.tokenizers import BPETokenizer, CharTokenizer
from etude.models.gpt import GPT
from etude.train.checkpoint import CheckpointError, host_array, path_first
from etude.weights.layouts import Layout

PathLike = str | os.PathLike[str]
Array = np.ndarray[Any, Any]
Tokenizer = CharTokenizer | BPETokenizer

#: The names of the weights, as in layouts.py: here, and there.
TENSORS = Layout("gguf", """
tokens                             token_embd
positions                          position_embd
blocks.#.norm1                     blk.#.attn_norm
blocks.#.attention.in_proj_weight  blk.#.attn_qkv.weight
blocks.#.attention.in_proj_bias    blk.#.attn_qkv.bias
blocks.#.attention.out_proj        blk.#.attn_output
blocks.#.norm2                     blk.#.ffn_norm
blocks.#.mlp.0                     blk.#.ffn_up
blocks.#.mlp.2                     blk.#.ffn_down
norm                               output_norm
""")


def save_gguf(path: PathLike, model: GPT, tokenizer: Tokenizer | None = None,
              name: str = "gpt") -> None:
    """Write a gpt of float32 as a GGUF file, with the vocabulary of ``tokenizer``, or none.

    What was written is read back and compared before it takes the place of the file before.
    TypeError for another model or tokenizer; ValueError if the tokenizer is not the model's, or the
    weights are float64; OSError as from ``open``; ImportError without gguf (``etude[gguf]``).
    """
    path_first("save_gguf", path, model)
    if not isinstance(model, GPT):
        raise TypeError(f"save_gguf: GGUF is for language models; this is a {type(model).__name__},"
                        f" and of Etude's models the gpt is what llama.cpp runs")
    if model.head is not None:
        raise ValueError("save_gguf: this gpt has weights in int8, which are not written as GGUF. "
                         "Write the float model, and let llama.cpp quantise it: llama-quantize")
    if not isinstance(tokenizer, (CharTokenizer, BPETokenizer, type(None))):
        raise TypeError(f"save_gguf: the tokenizer must be a CharTokenizer or BPETokenizer, got "
                        f"{type(tokenizer).__name__}")
    arrays = {row.theirs: host_array(model.state_dict()[row.ours]) for row in TENSORS.rows(model)}
    other = next((a.dtype for a in arrays.values() if a.dtype != np.float32), None)
    if other is not None:
        raise ValueError(f"save_gguf: the weights are {other}, and llama.cpp computes in float32; "
                         f"convert the model first: model.float()")
    vocab = arrays["token_embd.weight"].shape[0]
    if tokenizer is not None and tokenizer.vocab_size != vocab:
        raise ValueError(f"save_gguf: the tokenizer has {tokenizer.vocab_size} tokens, and the "
                         f"model {vocab}; give the one that it was trained with")
    gguf = _gguf()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "model.gguf"
        writer = gguf.GGUFWriter(whole, "gpt2")
        _add_sizes(writer, model, name)
        _add_vocabulary(gguf, writer, tokenizer)
        for key, array in arrays.items():
            writer.add_tensor(key, np.ascontiguousarray(array))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        write_atomically(path, whole.read_bytes(), lambda made: _verify(gguf, path, made, arrays))


def _add_sizes(writer: Any, model: GPT, name: str) -> None:
    block = model.blocks[0]
    writer.add_name(name)
    writer.add_context_length(model.block_size)
    writer.add_embedding_length(block.attention.embed_dim)
    writer.add_block_count(len(model.blocks))
    writer.add_feed_forward_length(block.mlp[0].weight.shape[0])
    writer.add_head_count(block.attention.num_heads)
    writer.add_layer_norm_eps(model.norm.eps)
    writer.add_vocab_size(model.tokens.weight.shape[0])
    writer.add_file_type(0)  # every tensor is float32


def _verify(gguf: Any, path: PathLike, made: Path, arrays: dict[str, Array]) -> None:
    """CheckpointError unless the file reads back as what was to be written."""
    found = {t.name: t for t in gguf.GGUFReader(made).tensors}
    for name, array in arrays.items():
        there = found.get(name)
        if there is None or not np.array_equal(there.data.view(np.uint32), array.view(np.uint32)):
            raise CheckpointError(f"{path}: not written, because {name} does not read back as it "
                                  f"was given. Is the disk sound? Else try another gguf")


# ------------------------------------------------------------------ vocabulary


def _add_vocabulary(gguf: Any, writer: Any, tokenizer: Tokenizer | None) -> None:
    if tokenizer is None:
        writer.add_tokenizer_model("no_vocab")
        return
    tokens, merges = vocabulary(tokenizer)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * len(tokens))
    if merges:  # gguf writes no empty list
        writer.add_token_merges(merges)
    writer.add_add_bos_token(False)


def vocabulary(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """(tokens, merges), bytes written as the characters of GPT-2.

    A merge is two parts with a space between. A character of bytes a b c needs two of them, a with
    b and ab with c; in UTF-8 no other character begins with what such a merge has made.
    """
    if isinstance(tokenizer, BPETokenizer):
        parts = tokenizer.vocabulary
        merges = [f"{printed(parts[a])} {printed(parts[b])}" for a, b in tokenizer.merges]
        twice = next((i for i, part in enumerate(parts) if part in parts[:i]), None)
        if twice is not None:  # two ways to it, each with a token of its own
            raise ValueError(f"save_gguf: tokens {parts.index(parts[twice])} and {twice} of the "
                             f"tokenizer are both {parts[twice]!r}, and llama.cpp knows a token by "
                             f"its bytes. Train the tokenizer on more text, or with fewer tokens")
        return [printed(token) for token in parts], merges
    spelt = [c.encode("utf-8", "surrogatepass") for c in tokenizer.characters]
    steps = [(token[:i], token[i : i + 1]) for i in (1, 2, 3) for token in spelt if len(token) > i]
    merges = list(dict.fromkeys(f"{printed(a)} {printed(b)}" for a, b in steps))
    return [printed(token) for token in spelt], merges


def printed(data: bytes) -> str:
    """Bytes as GPT-2 writes them in a vocabulary, each as one character that can be seen."""
    return "".join([PRINTED[byte] for byte in data])


def _printed_bytes() -> list[str]:
    """Of each byte its character: itself where that can be seen, else one beyond U+0100.
    Source: Radford et al. 2019, bytes_to_unicode in the encoder.py of their release.
    """
    seen = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in seen]
    return [chr(byte if byte in seen else 256 + hidden.index(byte)) for byte in range(256)]


PRINTED = _printed_bytes()


def _gguf() -> Any:
    try:
        import gguf
    except ImportError:
        raise ImportError("GGUF files are written by the package gguf, which is not installed: "
                          "pip install 'etude[gguf]'") from None
    return gguf

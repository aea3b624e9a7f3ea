"""gpt: a decoder-only transformer, and sampling from it.

Legend: N sequences, T tokens, V vocabulary, E numbers per token. The output layer shares the
embedding's weight. Source: Radford et al. 2019, Language Models are Unsupervised Multitask
Learners, section 2.3. Weights start as there: with deviation 0.02, and those of the projections
into the residual stream with 0.02 / sqrt(2 layers).
"""

from __future__ import annotations

import math
from typing import Any

from etude import functional as F
from etude.core.creation import arange
from etude.core.errors import ShapeError
from etude.core.given import integer
from etude.core.random import Generator
from etude.core.state import no_grad
from etude.core.tensor import Tensor
from etude.nn import (
    Dropout,
    Embedding,
    KeyValueCache,
    LayerNorm,
    LinearInt8,
    Module,
    ModuleList,
    TransformerBlock,
)
from etude.nn.init import normal_, zeros_
from etude.replay import capture
from etude.replay.guards import OF_OBJECT

READERS = OF_OBJECT + "readers"  # the attribute in which a model keeps them between texts
MANY = 64  # tokens; for fewer it does not pay to capture a step


class GPT(Module):
    """Token and position embeddings, transformer blocks, a norm, and logits by the embedding."""

    def __init__(self, vocab: int, block_size: int, layers: int, heads: int, embed_dim: int,
                 dropout: float) -> None:
        self.block_size = block_size
        self.tokens = Embedding(vocab, embed_dim)
        self.positions = Embedding(block_size, embed_dim)
        self.dropout = Dropout(dropout)
        self.blocks = ModuleList(TransformerBlock(embed_dim, heads, dropout)
                                 for _ in range(layers))
        self.norm = LayerNorm(embed_dim)
        self.head: LinearInt8 | None = None  # of a quantised model: the output layer by itself
        setattr(self, READERS, [])
        for path, p in self.named_parameters():
            if path.endswith("bias"):
                zeros_(p.detach())
            elif p.ndim == 2:  # all but the weights of the norms, which start at 1
                residual = path.endswith(("out_proj.weight", "mlp.2.weight"))
                normal_(p.detach(), 0.0, 0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None) -> Any:
        """x: (N, T) int64 with T <= block_size -> logits (N, T, V).

        With a ``cache`` x are the tokens that follow those in it, which take part and are not
        computed again; x is added to it.
        """
        length = x.shape[1]
        if length > self.block_size:
            raise ShapeError(f"gpt: {length} tokens, but the model reads at most block_size="
                             f"{self.block_size}")
        places: Any = arange(length, device=x.device)
        layers: Any = [None] * len(self.blocks)
        if cache is not None:
            places, layers = cache.coming(length)
        y = self.dropout(self.tokens(x) + self.positions(places))
        for block, layer in zip(self.blocks, layers, strict=True):
            y = block(y, cache=layer)
        y = self.norm(y)
        return F.linear(y, self.tokens.weight) if self.head is None else self.head(y)

    def quantize_own(self) -> bool:
        """For ``nn.quantize``: the output layer gets the embedding's weight in int8. The embedding
        stays float, because a token reads one row of it, and all rows are read for the logits.
        """
        self.head = LinearInt8.of(self.tokens.weight, None)
        return True

    def cache(self, n: int = 1) -> KeyValueCache:
        """An empty cache for ``n`` sequences of up to block_size tokens."""
        weight = self.tokens.weight
        heads = self.blocks[0].attention.num_heads
        return KeyValueCache(len(self.blocks), n, heads, self.block_size,
                             weight.shape[1] // heads, weight.dtype, weight.device)

    def generate(self, x: Tensor, count: int, temperature: float = 1.0, top_k: int | None = None,
                 generator: Generator | None = None) -> Tensor:
        """``count`` more tokens after x: (N, T) int64, each drawn from the model's prediction.

        Logits are divided by ``temperature`` (0: always take the likeliest); ``top_k`` keeps the
        k likeliest. Returns (N, T + count); ValueError for a count below 0. One generator gives one
        text, on every backend.

        Up to block_size tokens are read through a cache, each once, and where many are wanted the
        step is captured; both stay with the model for the next text. Beyond, the model sees the
        last block_size tokens: each at another place for every new one, so nothing can be kept.
        Several threads may write with one model; call ``eval()`` first, since a text that begins
        with a training model puts it back into training when it ends.
        """
        if not isinstance(x, Tensor):
            raise TypeError(f"generate: x must be a Tensor of tokens, got {type(x).__name__}; of a "
                            f"text it is etude.tensor([tokenizer.encode(text)])")
        count = integer("generate: count", count, 0)
        if x.ndim != 2 or x.shape[1] == 0:
            raise ShapeError(f"generate: x must be (N, T) with at least one token to go on from, "
                             f"got {list(x.shape)}")
        modes = [(m, m.training) for m in self.modules()]
        self.eval()
        try:
            with no_grad():
                x = self._go_on(x, count, temperature, top_k, generator)
        finally:
            for m, mode in modes:
                m.training = mode
        return x

    def _go_on(self, x: Tensor, count: int, temperature: float, top_k: int | None,
               generator: Generator | None) -> Any:
        reader = _Reader.of(self, x.shape[0])
        seen = x
        for _ in range(count):
            if x.shape[1] > self.block_size:
                logits = self(x[:, -self.block_size :])[:, -1]
            else:
                logits = reader.read(seen, count)
            seen = sample(logits, temperature, top_k, generator)
            x = F.cat([x, seen], 1)
        reader.keep()
        return x


class _Reader:
    """A cache, and the step of one token. It stays with its model from text to text, since to
    capture the step costs as much as some dozens of tokens. Two texts at once have one each.
    """

    def __init__(self, model: GPT, n: int) -> None:
        self.model, self.cache = model, model.cache(n)
        self.step = capture(self._next)

    @classmethod
    def of(cls, model: GPT, n: int) -> _Reader:
        """The one that the model has kept, if it is still right; it is the caller's now."""
        try:
            kept = vars(model)[READERS].pop()
        except IndexError:
            kept = None
        place = model.tokens.weight
        if kept is None or kept.model is not model or kept.of_what() != (
                n, place.dtype, place.device):
            return cls(model, n)
        kept.cache.clear()
        return kept  # type: ignore[no-any-return]

    def of_what(self) -> tuple[Any, ...]:
        key = self.cache.keys[0]
        return key.shape[0], key.dtype, key.device

    def read(self, tokens: Tensor, count: int) -> Any:
        """What comes after ``tokens``: logits (N, V). ``count`` tokens are wanted in all."""
        if tokens.shape[1] == 1 and (count >= MANY or self.step.traces):
            return self.step(tokens)
        return self._next(tokens)

    def _next(self, tokens: Tensor) -> Any:
        return self.model(tokens, self.cache)[:, -1]

    def keep(self) -> None:
        """For the next text."""
        vars(self.model)[READERS].append(self)

    def __reduce__(self) -> Any:
        """A copied model, and one that was saved, makes its own."""
        return type(None), ()


def sample(logits: Tensor, temperature: float = 1.0, top_k: int | None = None,
           generator: Generator | None = None) -> Any:
    """One token for each row of logits: (N, V) -> (N, 1) int64, by inverting the distribution.

    A uniform number is compared with the running total of the probabilities; the token is how
    many totals lie at or below it. ``top_k`` takes exactly k tokens; of equals, the first.
    """
    if not temperature >= 0 or (top_k is not None and top_k < 1):
        raise ValueError(f"sample: temperature must be >= 0 and top_k >= 1, got {temperature} and "
                         f"{top_k}")
    if temperature == 0:
        return F.argmax(logits, dim=-1, keepdim=True)
    tokens = None  # all of them, in order
    if top_k is not None:
        logits, tokens = F.topk(logits, min(top_k, logits.shape[1]))
    totals = F.cumsum(F.softmax(logits / temperature, dim=-1), dim=-1)
    u = F.rand(logits.shape[0], 1, generator=generator, device=logits.device, dtype=logits.dtype)
    below = F.le(totals, u * totals[:, -1:]).to("int64")
    # u < 1, so u times the last total lies below that total. Rounding may make the two equal, and
    # then the last token is meant.
    place = F.clamp(F.sum(below, dim=-1, keepdim=True), max=logits.shape[1] - 1)
    return place if tokens is None else F.gather(tokens, -1, place)


def gpt(vocab: int, block_size: int = 64, layers: int = 4, heads: int = 4, embed_dim: int = 128,
        dropout: float = 0.0) -> GPT:
    """The model over ``vocab`` tokens. x: (N, T <= block_size) int64; y: (N, T, vocab) logits."""
    return GPT(vocab, block_size, layers, heads, embed_dim, dropout)

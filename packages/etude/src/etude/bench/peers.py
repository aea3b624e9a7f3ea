"""The works of ``works.py`` in other libraries, as their own tutorials would write them.

NumPy by hand, PyTorch (eager, and through torch.compile), JAX (jax.jit) and onnxruntime. The models
of PyTorch name their weights as Etude's do, so ``load_state_dict`` copies them over; dropout, which
is 0 in all works, is left out. A function here that needs a library imports it, and whoever calls
it has asked ``missing`` before. Legend: N sequences, T tokens, E numbers per token, H heads.
"""

from __future__ import annotations

import io
import logging
import os
import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from etude.bench.works import LEARNING, TOKENS, Side, Work

B1, B2, EPS, DECAY = 0.9, 0.999, 1e-8, 0.01  # of AdamW, as both libraries have them
#: Side -> the packages that it needs.
NEEDS = {"PyTorch": ("torch",), "torch.compile": ("torch",), "jax.jit": ("jax",),
         "onnxruntime": ("onnxruntime", "torch", "onnx", "onnxscript")}


def missing(side: str) -> str:
    """The package that a side needs and that is not installed, or ""."""
    return next((name for name in NEEDS.get(side, ()) if find_spec(name) is None), "")


def set_threads(threads: int) -> None:
    """For PyTorch. The others take it from the environment and the cores of the process."""
    if not missing("PyTorch"):
        import torch

        torch.set_num_threads(threads)


# ------------------------------------------------------------------ NumPy


def numpy_step(work: Work) -> Side:
    """An mlp by hand: forward, its gradients written out, AdamW."""
    weights = list(work.weights().values())
    W, b = weights[::2], weights[1::2]
    x, labels = work.batch()
    m, v = [np.zeros_like(p) for p in weights], [np.zeros_like(p) for p in weights]
    rows, state = np.arange(len(x)), {"t": 0, "lr": LEARNING}

    def step() -> Any:
        inputs = [x]
        for w, c in zip(W[:-1], b[:-1], strict=True):
            inputs.append(np.maximum(inputs[-1] @ w.T + c, 0))
        logits = inputs[-1] @ W[-1].T + b[-1]
        logits -= logits.max(1, keepdims=True)
        e = np.exp(logits)
        total = e.sum(1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - logits[rows, labels])

        grad = e / total
        grad[rows, labels] -= 1
        grad /= len(x)
        grads: list[Any] = []
        for i in reversed(range(len(W))):
            grads[:0] = [grad.T @ inputs[i], grad.sum(0)]
            if i:
                grad = (grad @ W[i]) * (inputs[i] > 0)

        state["t"] += 1
        t, lr = state["t"], state["lr"]
        size, unbias = lr / (1 - B1**t), 1 / np.sqrt(1 - B2**t)
        for p, g, mean, square in zip(weights, grads, m, v, strict=True):
            mean *= B1
            mean += (1 - B1) * g
            square *= B2
            square += (1 - B2) * g * g
            p *= 1 - lr * DECAY
            p -= size * mean / (np.sqrt(square) * unbias + EPS)
        return loss

    return Side(step, float, lambda lr: state.update(lr=lr))


# ------------------------------------------------------------------ PyTorch


def torch_model(work: Work) -> Any:
    """The model of a work, with its weights."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Block(nn.Module):
        """The block of resnet20."""

        def __init__(self, channels_in: int, channels: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
            self.norm1 = nn.BatchNorm2d(channels)
            self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
            self.norm2 = nn.BatchNorm2d(channels)
            self.shortcut = None
            if channels_in != channels:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                    nn.BatchNorm2d(channels))

        def forward(self, x: Any) -> Any:
            y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
            return F.relu(y + (x if self.shortcut is None else self.shortcut(x)))

    class Attention(nn.Module):
        """Causal, by PyTorch's fused kernel; with ``past``, keys and values that it grows."""

        def __init__(self, embed_dim: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dim, embed_dim))
            self.in_proj_bias = nn.Parameter(torch.empty(3 * embed_dim))
            self.out_proj = nn.Linear(embed_dim, embed_dim)

        def forward(self, x: Any, past: Any = None, at: int = 0) -> Any:
            n, length, embed_dim = x.shape
            y = F.linear(x, self.in_proj_weight, self.in_proj_bias)
            y = y.view(n, length, 3, self.heads, embed_dim // self.heads).permute(2, 0, 3, 1, 4)
            q, k, v = y.unbind(0)
            if past is not None:  # (2, N, H, block_size, E / H): written in place
                past[0, :, :, at : at + length] = k
                past[1, :, :, at : at + length] = v
                k, v = past[:, :, :, : at + length].unbind(0)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
            return self.out_proj(y.transpose(1, 2).reshape(n, length, embed_dim))

    class TransformerBlock(nn.Module):
        """The pre-norm block of GPT-2."""

        def __init__(self, embed_dim: int, heads: int) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(embed_dim)
            self.attention = Attention(embed_dim, heads)
            self.norm2 = nn.LayerNorm(embed_dim)
            self.mlp = nn.Sequential(nn.Linear(embed_dim, 4 * embed_dim),
                                     nn.GELU(approximate="tanh"),
                                     nn.Linear(4 * embed_dim, embed_dim))

        def forward(self, x: Any, past: Any = None, at: int = 0) -> Any:
            x = x + self.attention(self.norm1(x), past, at)
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        """Its output layer is the embedding's weight."""

        def __init__(self, vocab: int, block_size: int, layers: int, heads: int, embed_dim: int
                     ) -> None:
            super().__init__()
            self.tokens = nn.Embedding(vocab, embed_dim)
            self.positions = nn.Embedding(block_size, embed_dim)
            self.blocks = nn.ModuleList(TransformerBlock(embed_dim, heads) for _ in range(layers))
            self.norm = nn.LayerNorm(embed_dim)

        def forward(self, x: Any, past: Any = None, at: int = 0) -> Any:
            y = self.tokens(x) + self.positions(torch.arange(at, at + x.shape[1]))
            for i, block in enumerate(self.blocks):
                y = block(y, None if past is None else past[i], at)
            return F.linear(self.norm(y), self.tokens.weight)

    def mlp(*sizes: int) -> Any:
        layers: list[Any] = [nn.Flatten()]
        for n, m in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(n, m), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def lenet(size: int) -> Any:
        quarter = size // 4
        return nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(32 * quarter * quarter, 120), nn.ReLU(), nn.Linear(120, 10))

    def resnet20() -> Any:
        layers: list[Any] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
        width = 16
        for stage in (16, 32, 64):
            for _ in range(3):
                layers.append(Block(width, stage, 1 if width == stage else 2))
                width = stage
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    kinds: Any = {"mlp": mlp, "lenet": lenet, "resnet20": resnet20, "gpt": GPT}
    model = kinds[work.kind](*work.settings)
    told = model.load_state_dict({k: torch.from_numpy(a) for k, a in _named(work).items()},
                                 strict=False)
    lost = [k for k in told.missing_keys if not k.endswith("num_batches_tracked")]
    if lost or told.unexpected_keys:
        raise RuntimeError(f"the two models of {work.name} name their weights differently: {lost} "
                           f"and {told.unexpected_keys}")
    return model


def _named(work: Work) -> dict[str, Any]:
    """The weights, contiguous as PyTorch wants them."""
    return {k: np.ascontiguousarray(a) for k, a in work.weights().items()}


def torch_step(work: Work, compiled: bool = False) -> Side:
    """PyTorch: forward and backward, and AdamW in one fused call. ``compiled``: the model and the
    loss go through torch.compile, and with them the backward.
    """
    import torch
    from torch.nn import functional as F

    model = torch_model(work)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING, fused=True)
    x, labels = map(torch.from_numpy, work.batch())

    def loss_of(x: Any, labels: Any) -> Any:
        return F.cross_entropy(*work.rows(model(x), labels))

    forward = _compiled(loss_of) if compiled else loss_of

    def step() -> Any:
        optimizer.zero_grad()
        loss = forward(x, labels)
        loss.backward()
        optimizer.step()
        return loss

    return Side(step, lambda loss: loss.item(),
                lambda lr: optimizer.param_groups[0].update(lr=lr))


def torch_inference(work: Work, compiled: bool = False) -> Side:
    """PyTorch's predictions, in inference mode."""
    import torch

    model, x = torch_model(work).eval(), torch.from_numpy(work.batch()[0])
    forward = _compiled(model) if compiled else model

    def predict() -> Any:
        with torch.inference_mode():
            return forward(x)

    return Side(predict, lambda y: y.numpy().copy())


def torch_generation(work: Work) -> Side:
    """The likeliest tokens, with a cache of keys and values that is written in place."""
    import torch

    model, start = torch_model(work).eval(), torch.from_numpy(work.batch()[0])
    _, block_size, layers, heads, embed_dim = work.settings
    past = torch.zeros(layers, 2, len(start), heads, block_size, embed_dim // heads)

    def generate() -> Any:
        tokens, new, at = [start], start, 0
        with torch.inference_mode():
            for _ in range(TOKENS):
                logits = model(new, past, at)[:, -1]
                at += new.shape[1]
                new = logits.argmax(-1, keepdim=True)
                tokens.append(new)
            return torch.cat(tokens, 1)

    return Side(generate, lambda tokens: tokens.numpy())


def _compiled(function: Any) -> Any:
    """Through torch.compile, for one shape. It compiles at the first call, which takes a while."""
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no processes that stay
    import torch

    return torch.compile(function, dynamic=False)


# ------------------------------------------------------------------ JAX


def jax_step(work: Work) -> Side:
    """An mlp in JAX: the whole step, AdamW included, is one compiled function."""
    import jax
    import jax.numpy as jnp

    weights = [jnp.asarray(a.T) for a in work.weights().values()]  # (in, out), as JAX has them
    x, labels = map(jnp.asarray, work.batch())
    rows = jnp.arange(len(x))

    def loss_of(weights: Any, x: Any, labels: Any) -> Any:
        for i in range(0, len(weights), 2):
            x = x @ weights[i] + weights[i + 1]
            if i < len(weights) - 2:
                x = jax.nn.relu(x)
        return -jnp.mean(jax.nn.log_softmax(x)[rows, labels])

    def step(state: Any, x: Any, labels: Any, lr: Any) -> Any:
        weights, m, v, t = state
        loss, grads = jax.value_and_grad(loss_of)(weights, x, labels)
        t = t + 1
        m = [B1 * a + (1 - B1) * g for a, g in zip(m, grads, strict=True)]
        v = [B2 * a + (1 - B2) * g * g for a, g in zip(v, grads, strict=True)]
        size, unbias = lr / (1 - B1**t), 1 / jnp.sqrt(1 - B2**t)
        weights = [p * (1 - lr * DECAY) - size * a / (jnp.sqrt(s) * unbias + EPS)
                   for p, a, s in zip(weights, m, v, strict=True)]
        return (weights, m, v, t), loss

    run = jax.jit(step, donate_argnums=0)
    zeros = [[jnp.zeros_like(p) for p in weights] for _ in range(2)]
    kept = {"state": (weights, *zeros, jnp.float32(0)), "lr": jnp.float32(LEARNING)}

    def take() -> Any:
        kept["state"], loss = run(kept["state"], x, labels, kept["lr"])
        return loss

    return Side(take, float, lambda lr: kept.update(lr=jnp.float32(lr)))


# ------------------------------------------------------------------ onnxruntime


def onnx_inference(work: Work) -> Side:
    """onnxruntime on what PyTorch's exporter writes."""
    import onnxruntime
    import torch

    x = work.batch()[0]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of what no work here needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(torch_model(work).eval(), (torch.from_numpy(x),),
                                     input_names=["x"], dynamo=True, verbose=False)
    written = io.BytesIO()
    exported.save(written)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(written.getvalue(), options,
                                           providers=["CPUExecutionProvider"])
    return Side(lambda: session.run(None, {"x": x})[0], np.asarray)

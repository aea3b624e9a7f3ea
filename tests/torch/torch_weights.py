"""Weights go from PyTorch to Etude and back: equal outputs, and ten more steps of training equal.

For each model here and the same written in PyTorch, and for the layouts of GPT-2, nanoGPT and
torchvision's ResNet, written here as those write them.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from twins import twin_model

import etude
from etude import models, optim

torch.set_num_threads(1)
T = torch.nn
VOCAB, BLOCK, LAYERS, HEADS, E = 11, 8, 2, 2, 16
BOUND = 1e-12  # of float64, relative to the largest of the numbers compared
STEPS = 10


# ------------------------------------------------------------------ layouts of others, in PyTorch


class Conv1D(T.Module):
    """The linear layer of GPT-2, whose weight is (in, out)."""

    def __init__(self, n, m):
        super().__init__()
        self.weight, self.bias = T.Parameter(torch.empty(n, m)), T.Parameter(torch.empty(m))

    def forward(self, x):
        return x @ self.weight + self.bias


class Attention(T.Module):
    """With the mask as a buffer, as older checkpoints have it."""

    def __init__(self, linear, masks):
        super().__init__()
        self.c_attn, self.c_proj = linear(E, 3 * E), linear(E, E)
        if masks:
            self.register_buffer("bias", torch.ones(1, 1, BLOCK, BLOCK).tril().bool())
            self.register_buffer("masked_bias", torch.tensor(-1e4))

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (part.view(n, t, HEADS, E // HEADS).transpose(1, 2)
                   for part in self.c_attn(x).split(E, 2))
        scores = (q @ k.transpose(-2, -1)) / (E // HEADS) ** 0.5
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
        return self.c_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, t, E))


class MLP(T.Module):
    def __init__(self, linear):
        super().__init__()
        self.c_fc, self.c_proj = linear(E, 4 * E), linear(4 * E, E)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(T.Module):
    def __init__(self, linear, masks):
        super().__init__()
        self.ln_1, self.attn = T.LayerNorm(E), Attention(linear, masks)
        self.ln_2, self.mlp = T.LayerNorm(E), MLP(linear)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class GPT2(T.Module):
    """``linear`` is Conv1D in Hugging Face's, Linear in nanoGPT."""

    def __init__(self, linear, masks):
        super().__init__()
        self.transformer = T.ModuleDict({
            "wte": T.Embedding(VOCAB, E), "wpe": T.Embedding(BLOCK, E),
            "h": T.ModuleList(Block(linear, masks) for _ in range(LAYERS)),
            "ln_f": T.LayerNorm(E)})
        self.lm_head = T.Linear(E, VOCAB, bias=False)
        self.lm_head.weight = self.transformer["wte"].weight

    def forward(self, x):
        t = self.transformer
        y = t["wte"](x) + t["wpe"](torch.arange(x.shape[1]))
        for block in t["h"]:
            y = block(y)
        return self.lm_head(t["ln_f"](y))


class BasicBlock(T.Module):
    """torchvision's."""

    def __init__(self, n, m, stride):
        super().__init__()
        self.conv1 = T.Conv2d(n, m, 3, stride, 1, bias=False)
        self.bn1 = T.BatchNorm2d(m)
        self.conv2 = T.Conv2d(m, m, 3, 1, 1, bias=False)
        self.bn2 = T.BatchNorm2d(m)
        self.downsample = None if n == m else T.Sequential(
            T.Conv2d(n, m, 1, stride, bias=False), T.BatchNorm2d(m))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(T.Module):
    """torchvision's names; the stem and the widths of resnet20."""

    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1 = T.Conv2d(1, 16, 3, 1, 1, bias=False), T.BatchNorm2d(16)
        for i, (n, m) in enumerate(((16, 16), (16, 32), (32, 64))):
            stage = [BasicBlock(n if j == 0 else m, m, 2 if n != m and j == 0 else 1)
                     for j in range(blocks)]
            setattr(self, f"layer{i + 1}", T.Sequential(*stage))
        self.fc = T.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


# ------------------------------------------------------------------ each beside ours


def tokens(seed):
    draw = np.random.default_rng(seed)
    return draw.integers(0, VOCAB, (4, BLOCK)), draw.integers(0, VOCAB, (4, BLOCK))


def images(size):
    def draw(seed):
        draw = np.random.default_rng(seed)
        return draw.normal(size=(4, 1, size, size)), draw.integers(0, 10, 4)
    return draw


def gpt():
    return models.gpt(VOCAB, BLOCK, LAYERS, HEADS, E)


#: Name -> (ours, theirs for ours, names, batches)
PAIRS = {
    "mlp": (lambda: models.mlp(64, 32, 10), twin_model, None, images(8)),
    "lenet": (models.lenet, twin_model, None, images(8)),
    "resnet20": (lambda: models.resnet20(1, 10), twin_model, None, images(8)),
    "lstm": (lambda: models.char_rnn(VOCAB, 16, 2, "lstm"), twin_model, None, tokens),
    "gru": (lambda: models.char_rnn(VOCAB, 16, 2, "gru"), twin_model, None, tokens),
    "gpt": (gpt, twin_model, None, tokens),
    "gpt2": (gpt, lambda _: GPT2(Conv1D, True), "gpt2", tokens),
    "nanogpt": (gpt, lambda _: GPT2(T.Linear, False), "nanogpt", tokens),
    "resnet": (lambda: models.resnet20(1, 10, 2), lambda _: ResNet(2), "resnet", images(8)),
}


def drawn(theirs):
    """The model with other weights, none of which is special."""
    torch.manual_seed(0)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn(p.shape, dtype=p.dtype) * (0.3 if p.ndim == 1 else 0.1))
    return theirs


def pair(name):
    make, their_make, names, batches = PAIRS[name]
    ours = make().double()
    return ours, drawn(their_make(ours).double()), names, batches


def close(a, b):
    a, b = a.detach().numpy(), b.detach().numpy()
    assert np.abs(a - b).max() <= BOUND * max(np.abs(b).max(), 1)


def loss_of(logits, y, cross_entropy, tensor):
    return cross_entropy(logits.reshape(-1, logits.shape[-1]), tensor(y.reshape(-1)))


@pytest.mark.parametrize("way", ["state_dict", "parameters", "pt", "safetensors"])
@pytest.mark.parametrize("name", PAIRS)
def test_weights_come_and_ten_more_steps_are_equal(name, way, tmp_path):
    ours, theirs, _, batches = pair(name)
    source = theirs.state_dict()
    if way == "parameters":  # with gradients
        source = dict(theirs.named_parameters()) | dict(theirs.named_buffers())
    elif way == "pt":
        torch.save(source, tmp_path / "w.pt")
        source = tmp_path / "w.pt"
    elif way == "safetensors":
        file = pytest.importorskip("safetensors.torch", reason="NOT RUN: needs safetensors")
        file.save_model(theirs, str(tmp_path / "w.safetensors"))
        source = tmp_path / "w.safetensors"
    assert etude.load_torch(source, ours) is ours
    steps = optim.AdamW(ours.parameters(), lr=1e-3)
    their_steps = torch.optim.AdamW(theirs.parameters(), lr=1e-3)
    for seed in range(STEPS):
        x, y = batches(seed)
        logits, their_logits = ours(etude.tensor(x)), theirs(torch.from_numpy(x))
        if seed == 0:
            close(logits, their_logits)
        loss = loss_of(logits, y, etude.cross_entropy, etude.tensor)
        their_loss = loss_of(their_logits, y, F.cross_entropy, torch.from_numpy)
        assert abs(loss.item() - their_loss.item()) < 1e-9
        for l, s in ((loss, steps), (their_loss, their_steps)):  # noqa: E741
            s.zero_grad()
            l.backward()
            s.step()


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize("name", PAIRS)
def test_weights_go_back_into_the_model_of_pytorch(name, ending, tmp_path):
    ours, theirs, names, batches = pair(name)
    path = tmp_path / f"w.{ending}"
    if ending == "pt":
        etude.save_torch(path, ours, names)
        state = torch.load(path, weights_only=True)
    else:
        file = pytest.importorskip("safetensors.torch", reason="NOT RUN: needs safetensors")
        etude.save_torch(path, ours, names)
        state = file.load_file(path)
    masks = {k: v for k, v in theirs.state_dict().items()
             if k.endswith((".attn.bias", "masked_bias"))}
    assert theirs.load_state_dict(masks | state).missing_keys == []
    ours.eval(), theirs.eval()
    x, _ = batches(0)
    close(ours(etude.tensor(x)), theirs(torch.from_numpy(x)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_come_with_their_values(dtype, tmp_path):
    theirs = drawn(twin_model(models.mlp(4, 3))).to(dtype)
    torch.save(theirs.state_dict(), tmp_path / "w.pt")
    for source in (theirs.state_dict(), tmp_path / "w.pt"):
        found = etude.load_torch(source)
        for k, v in theirs.state_dict().items():
            assert found[k].tolist() == v.tolist()
        with pytest.raises(ValueError, match="widen=False refuses"):
            etude.load_torch(source, widen=False)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_that_torch_save_takes(protocol, tmp_path):
    theirs = drawn(twin_model(models.lenet()))
    torch.save({"model": theirs.state_dict(), "epoch": 3}, tmp_path / "w.pt",
               pickle_protocol=protocol)
    found = etude.load_torch(tmp_path / "w.pt", part="model")
    assert all(np.array_equal(found[k].numpy(), v) for k, v in theirs.state_dict().items())


def test_what_pytorch_writes_beside_state_dicts_is_refused(tmp_path):
    path = tmp_path / "w.pt"
    model = twin_model(models.mlp(4, 3))
    for saved, words in ((model, r"asks for 'torch\.nn\.modules\.container\.Sequential'"),
                         ({"w": np.float32(1)}, r"asks for 'numpy"),
                         ({"w": torch.zeros(2, dtype=torch.complex64)}, "ComplexFloatStorage'"),
                         ({"w": torch.zeros(2).to_sparse()}, "asks for 'torch"),
                         ({"w": torch.zeros(2, dtype=torch.float8_e5m2)}, "asks for 'torch")):
        torch.save(saved, path)
        with pytest.raises(ValueError, match=words):
            etude.load_torch(path)
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(ValueError, match=r"was written before PyTorch 1\.6"):
        etude.load_torch(path)
    with pytest.warns(FutureWarning, match="deprecated"):
        torch.jit.save(torch.jit.script(model), path)
    with pytest.raises(ValueError, match="is a TorchScript program"):
        etude.load_torch(path)
    for wrong in ({"w": torch.zeros(2, device="meta")}, {"w": torch.zeros(2).to_sparse()},
                  {"w": torch.zeros(2, dtype=torch.complex64)}):
        with pytest.raises(ValueError, match=r"w.*(does not lend its memory|no exact place)"):
            etude.load_torch(wrong)


def test_what_the_page_on_weights_does_in_pytorch(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs/howto/weights.md").read_text()
    block = page.partition(":caption: in_pytorch.py\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    etude.save_torch("gpt2.pt", models.gpt(27, 16, 1, 2, 32), "gpt2")
    exec(compile(block, "in_pytorch.py", "exec"), {})
    assert capsys.readouterr().out == "OrderedDict (27, 32)\n"


def test_names_of_wrappers_are_taken_off():
    theirs = drawn(twin_model(models.mlp(4, 3)).float())
    wrapped = {f"module._orig_mod.{k}": v for k, v in theirs.state_dict().items()}
    found = etude.load_torch(wrapped, models.mlp(4, 3))
    assert np.array_equal(found.state_dict()["1.bias"].numpy(), theirs.state_dict()["1.bias"])

"""PyTorch's layers and models of the same names, settings and weights as Etude's, in float64."""

import torch
import torch.nn.functional as F

from etude import nn


def state(layer):
    return {k: torch.from_numpy(t.detach().numpy().copy()) for k, t in layer.state_dict().items()}


def twin(layer):
    """The layer of PyTorch; strict loading sees to it that the names of all weights agree."""
    made = _make(layer).double()
    given = state(layer)
    if isinstance(layer, nn.TransformerBlock):
        given = {_encoder_name(k): v for k, v in given.items()}
    made.load_state_dict(given)
    return made


def parameter_of(theirs, name):
    """PyTorch's parameter for Etude's name."""
    for theirs_name, p in theirs.named_parameters():
        if theirs_name in (name, _encoder_name(name)):
            return p
    raise KeyError(name)


def _encoder_name(k):
    for mine, other in (("attention.", "self_attn."), ("mlp.0", "linear1"), ("mlp.2", "linear2")):
        if k.startswith(mine):
            return other + k.removeprefix(mine)
    return k


class Whole(torch.nn.Module):
    """TransformerEncoderLayer with the causal mask that Etude's block has built in."""

    def __init__(self, m):
        super().__init__()
        e, wide = m.attention.embed_dim, m.mlp[0].weight.shape[0]
        self.layer = torch.nn.TransformerEncoderLayer(
            e, m.attention.num_heads, wide, 0.0, lambda x: F.gelu(x, approximate="tanh"),
            batch_first=True, norm_first=True)

    def load_state_dict(self, given):
        return self.layer.load_state_dict(given)

    def named_parameters(self, *args, **kwargs):
        return self.layer.named_parameters(*args, **kwargs)

    def forward(self, x):
        mask = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
        return self.layer(x, mask, is_causal=True)


def _conv(kind):
    def make(m):
        names = ("stride", "padding", "output_padding", "dilation", "groups", "padding_mode")
        settings = {name: getattr(m, name) for name in names if hasattr(m, name)}
        return kind(*m.channels(), m.weight.shape[2:], bias=m.bias is not None, **settings)

    return make


def _recurrent(kind):
    return lambda m: kind(m.input_size, m.hidden_size, m.num_layers, m.bias, m.batch_first,
                          m.dropout, m.bidirectional)


def _batch_norm(kind):
    return lambda m: kind(m.num_features, m.eps, m.momentum, m.weight is not None,
                          m.track_running_stats, bias=m.bias is not None)


def _weight(m, name):
    return state(m).get(name)


T = torch.nn
MAKE = {
    nn.Linear: lambda m: T.Linear(*m.weight.shape[::-1], bias=m.bias is not None),
    nn.Flatten: lambda m: T.Flatten(m.start_dim, m.end_dim),
    nn.Conv1d: _conv(T.Conv1d), nn.Conv2d: _conv(T.Conv2d),
    nn.ConvTranspose2d: _conv(T.ConvTranspose2d),
    nn.MaxPool2d: lambda m: T.MaxPool2d(
        m.kernel_size, m.stride, m.padding, m.dilation, m.return_indices, m.ceil_mode),
    nn.AvgPool2d: lambda m: T.AvgPool2d(
        m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override),
    nn.AdaptiveAvgPool2d: lambda m: T.AdaptiveAvgPool2d(m.output_size),
    nn.LayerNorm: lambda m: T.LayerNorm(m.normalized_shape, m.eps, m.weight is not None,
                                        m.bias is not None),
    nn.RMSNorm: lambda m: T.RMSNorm(m.normalized_shape, m.eps, m.weight is not None),
    nn.GroupNorm: lambda m: T.GroupNorm(m.num_groups, m.num_channels, m.eps,
                                        m.weight is not None, bias=m.bias is not None),
    nn.BatchNorm1d: _batch_norm(T.BatchNorm1d), nn.BatchNorm2d: _batch_norm(T.BatchNorm2d),
    nn.Embedding: lambda m: T.Embedding(*m.weight.shape, padding_idx=m.padding_idx),
    nn.Dropout: lambda m: T.Dropout(m.p),
    nn.GELU: lambda m: T.GELU(m.approximate),
    nn.LeakyReLU: lambda m: T.LeakyReLU(m.negative_slope),
    nn.ELU: lambda m: T.ELU(m.alpha),
    nn.Softplus: lambda m: T.Softplus(m.beta, m.threshold),
    nn.Softmax: lambda m: T.Softmax(m.dim), nn.LogSoftmax: lambda m: T.LogSoftmax(m.dim),
    nn.CrossEntropyLoss: lambda m: T.CrossEntropyLoss(
        _weight(m, "weight"), reduction=m.reduction, ignore_index=m.ignore_index,
        label_smoothing=m.label_smoothing),
    nn.BCEWithLogitsLoss: lambda m: T.BCEWithLogitsLoss(
        _weight(m, "weight"), reduction=m.reduction, pos_weight=_weight(m, "pos_weight")),
    nn.RNN: lambda m: T.RNN(m.input_size, m.hidden_size, m.num_layers, m.nonlinearity, m.bias,
                            m.batch_first, m.dropout, m.bidirectional),
    nn.LSTM: _recurrent(T.LSTM), nn.GRU: _recurrent(T.GRU),
    nn.MultiheadAttention: lambda m: T.MultiheadAttention(
        m.embed_dim, m.num_heads, m.dropout, m.in_proj_bias is not None, m.bias_k is not None,
        m.add_zero_attn, m.kdim, m.vdim, m.batch_first),
    nn.TransformerBlock: Whole,
    nn.Sequential: lambda m: T.Sequential(*map(_make, m.children())),
}


def _make(m):
    if type(m) in MAKE:
        return MAKE[type(m)](m)
    if hasattr(m, "reduction"):
        return getattr(T, type(m).__name__)(reduction=m.reduction)
    if type(m).__name__ == "Block":
        return Residual(m)
    return getattr(T, type(m).__name__)()  # ReLU and the like, which have no settings


# ------------------------------------------------------------------ models


class Residual(T.Module):
    """The block of resnet20."""

    def __init__(self, m):
        super().__init__()
        for name in ("conv1", "norm1", "conv2", "norm2"):
            setattr(self, name, _make(getattr(m, name)))
        self.shortcut = None if m.shortcut is None else _make(m.shortcut)

    def forward(self, x):
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class CharRNN(T.Module):
    """char_rnn with PyTorch's own recurrent layer."""

    def __init__(self, m):
        super().__init__()
        self.embedding, self.rnn, self.head = (_make(p) for p in (m.embedding, m.rnn, m.head))

    def forward(self, x):
        return self.head(self.rnn(self.embedding(x))[0])


class GPTBlock(T.Module):
    """The pre-norm block of GPT-2."""

    def __init__(self, m):
        super().__init__()
        self.norm1, self.norm2, self.mlp = (_make(p) for p in (m.norm1, m.norm2, m.mlp))
        self.attention = _make(m.attention)

    def forward(self, x):
        y, mask = self.norm1(x), T.Transformer.generate_square_subsequent_mask(x.shape[1])
        x = x + self.attention(y, y, y, attn_mask=mask.to(x.dtype), need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class GPT(T.Module):
    """gpt, its output layer tied to the embedding."""

    def __init__(self, m):
        super().__init__()
        self.tokens, self.positions, self.norm = (_make(p) for p in (m.tokens, m.positions,
                                                                     m.norm))
        self.blocks = T.ModuleList(GPTBlock(b) for b in m.blocks)

    def forward(self, x):
        y = self.tokens(x) + self.positions(torch.arange(x.shape[1]))
        for block in self.blocks:
            y = block(y)
        return F.linear(self.norm(y), self.tokens.weight)


MODELS = {"CharRNN": CharRNN, "GPT": GPT}


def twin_model(m):
    """PyTorch's model of the same name and weights."""
    made = MODELS.get(type(m).__name__, _make)(m).double()
    made.load_state_dict(state(m))
    return made

"""Every layer beside PyTorch's: values, and the gradients of inputs and weights."""

import numpy as np
import pytest
import torch
from beside import backward, close, host, same_gradient, to_etude, to_torch
from layer_cases import CASES
from twins import parameter_of, state, twin

import etude
from etude import nn


def first(y):
    return y[0] if isinstance(y, tuple) else y


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.shown.partition("\n")[0])
@pytest.mark.parametrize("training", [True, False])
def test_layer(case, training):
    if training and isinstance(case.make(), nn.Dropout):
        return  # random; the share it drops is tested elsewhere
    layer = case.layer()
    other = twin(layer)
    for m in (layer, other):
        m.train(training)
    inputs = case.arrays()
    mine, theirs = ([make(x, True) for x in inputs] for make in (to_etude, to_torch))
    given = theirs * 3 if isinstance(layer, nn.MultiheadAttention) and len(inputs) == 1 else theirs
    y, z = first(layer(*mine)), first(other(*given))
    close(y, z)
    backward(y, z)
    for a, b in zip(mine, theirs, strict=True):
        same_gradient(a, b, "input")
    for name, p in layer.named_parameters():
        same_gradient(p, parameter_of(other, name), name)
    for (name, b), c in zip(layer.named_buffers(), other.buffers(), strict=True):
        close(b, c, name)


POOLS = [
    nn.MaxPool2d(3, 2, 1, 2, ceil_mode=True), nn.MaxPool2d((2, 3), (1, 2), (0, 1), (3, 1)),
    nn.MaxPool2d(3, return_indices=True, ceil_mode=True), nn.MaxPool2d(2, 3, 1, ceil_mode=True),
    nn.AvgPool2d(3, 2, 1, True), nn.AvgPool2d(3, 2, 1, True, False), nn.AvgPool2d(2, 3, 1, True),
    nn.AvgPool2d((2, 3), 1, (1, 0), divisor_override=5), nn.AdaptiveAvgPool2d((None, 3))]


@pytest.mark.parametrize("layer", POOLS, ids=repr)
@pytest.mark.parametrize("shape", [(2, 2, 8, 7), (3, 7, 8)])
def test_pools_of_every_kind(layer, shape):
    other = twin(layer)
    x = np.random.default_rng(0).standard_normal(shape)
    mine, theirs = to_etude(x, True), to_torch(x, True)
    y, z = layer(mine), other(theirs)
    if isinstance(y, tuple):
        close(y[1], z[1])
        y, z = y[0], z[0]
    close(y, z)
    backward(y, z)
    same_gradient(mine, theirs)


def test_an_embedding_with_a_row_that_fills_up():
    layer = nn.Embedding(5, 3, padding_idx=-2, dtype="float64")
    other = twin(layer)
    x = np.array([[3, 0, 3], [1, 1, 4]])
    y, z = layer(to_etude(x)), other(to_torch(x))
    close(y, z)
    backward(y, z)
    same_gradient(layer.weight, other.weight)
    etude.manual_seed(0)
    assert not host(layer.weight)[3].any()


LOGITS = {"alone": ((4,), ()), "rows": ((6, 4), (6,)), "pixels": ((2, 4, 3, 2), (2, 3, 2))}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighed", [False, True])
@pytest.mark.parametrize("shapes", LOGITS.values(), ids=LOGITS)
def test_cross_entropy_of_every_shape(shapes, weighed, smoothing, reduction):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal(shapes[0]), rng.integers(0, 4, shapes[1])
    if t.ndim:
        t.flat[1] = 2
    ignored = 2 if t.ndim else -100
    weight = rng.random(4) if weighed else None
    layer = nn.CrossEntropyLoss(None if weight is None else to_etude(weight), reduction=reduction,
                                ignore_index=ignored, label_smoothing=smoothing)
    other = twin(layer)
    mine, theirs = to_etude(x, True), to_torch(x, True)
    y, z = layer(mine, to_etude(np.asarray(t))), other(theirs, torch.tensor(t))
    close(y, z)
    backward(y, z)
    same_gradient(mine, theirs)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("names", [(), ("weight",), ("pos_weight",), ("weight", "pos_weight")])
def test_binary_cross_entropy_of_every_weight(names, reduction):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((5, 3)), rng.random((5, 3))
    weights = {name: rng.random((5, 1) if name == "weight" else 3) for name in names}
    mine = {k: to_etude(w) for k, w in weights.items()}
    layer = nn.BCEWithLogitsLoss(reduction=reduction, **mine)
    other = twin(layer)
    mine, theirs = to_etude(x, True), to_torch(x, True)
    y, z = layer(mine, to_etude(t)), other(theirs, to_torch(t))
    close(y, z)
    backward(y, z)
    same_gradient(mine, theirs)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_eps_of_rms_norm_is_that_of_the_dtype(dtype):
    x = np.full((2, 3), 1e-8, dtype)
    y = nn.RMSNorm(3, elementwise_affine=False)(etude.tensor(x))
    z = torch.nn.RMSNorm(3, elementwise_affine=False)(torch.from_numpy(x))
    close(y, z, rtol=1e-6)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", ["same", "valid", 2])
@pytest.mark.parametrize(("kind", "shape"), [("Conv1d", (2, 2, 7)), ("Conv2d", (2, 2, 6, 5)),
                                             ("Conv1d", (2, 7)), ("Conv2d", (2, 6, 5))])
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_convolutions_of_every_padding(kind, shape, mode, padding):
    layer = getattr(nn, kind)(2, 4, 4, padding=padding, groups=2, padding_mode=mode,
                              dtype="float64")
    other = twin(layer)
    x = np.random.default_rng(0).standard_normal(shape)
    mine, theirs = to_etude(x, True), to_torch(x, True)
    y, z = layer(mine), other(theirs)
    close(y, z)
    backward(y, z)
    same_gradient(mine, theirs)
    for name, p in layer.named_parameters():
        same_gradient(p, parameter_of(other, name), name)


def test_the_transpose_of_a_given_size():
    layer = nn.ConvTranspose2d(2, 3, 3, (2, 3), 1, dtype="float64")
    other = twin(layer)
    x = np.random.default_rng(0).standard_normal((2, 2, 4, 4))
    for size in ((8, 12), (7, 10)):
        close(layer(to_etude(x), size), other(to_torch(x), list(size)))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("loss", ["CrossEntropyLoss", "MSELoss", "L1Loss", "BCEWithLogitsLoss"])
def test_losses_of_each_reduction(loss, reduction):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((6, 4)), rng.random((6, 4))
    t = np.array([0, 3, 1, 1, 2, 0]) if loss == "CrossEntropyLoss" else t
    mine, theirs = to_etude(x, True), to_torch(x, True)
    y = getattr(nn, loss)(reduction=reduction)(mine, to_etude(t))
    z = getattr(torch.nn, loss)(reduction=reduction)(theirs, to_torch(t))
    close(y, z)
    backward(y, z)
    same_gradient(mine, theirs)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("settings", [
    {}, {"num_layers": 3}, {"bias": False}, {"batch_first": True, "num_layers": 2},
    {"bidirectional": True}, {"bidirectional": True, "num_layers": 3, "batch_first": True},
    {"bidirectional": True, "bias": False}], ids=str)
def test_recurrent_layers_from_given_states(kind, settings):
    etude.manual_seed(0)
    layer = kind(3, 4, **settings, dtype="float64")
    other = twin(layer)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((5, 2, 3) if not layer.batch_first else (2, 5, 3)),
              *(rng.standard_normal((layer.num_layers * len(layer.ways), 2, 4))
                for _ in range(2))]
    mine, theirs = ([make(a, True) for a in arrays] for make in (to_etude, to_torch))

    def run(model, x, h, c):
        y, last = model(x, (h, c) if kind is nn.LSTM else h)
        return [y, *last] if kind is nn.LSTM else [y, last]

    outputs, others = run(layer, *mine), run(other, *theirs)
    total = total_other = 0
    for i, (y, z) in enumerate(zip(outputs, others, strict=True)):
        close(y, z)
        total, total_other = total + (y * y * (i + 1)).sum(), total_other + (
            z * z * (i + 1)).sum()
    total.backward()
    total_other.backward()
    for a, b in zip(mine, theirs, strict=True):
        same_gradient(a, b)
    for name, p in layer.named_parameters():
        same_gradient(p, parameter_of(other, name), name)


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_of_one_sequence_alone(kind):
    layer = kind(3, 4, 2, batch_first=True, bidirectional=True, dtype="float64")
    other = twin(layer)
    x, *first = np.random.default_rng(0).standard_normal((3, 5, 3)), *(
        np.random.default_rng(i).standard_normal((4, 4)) for i in range(2))
    first = first if kind is nn.LSTM else first[:1]
    for with_state in (False, True):
        mine, theirs = ([make(x[0])] for make in (to_etude, to_torch))
        for given, make in ((mine, to_etude), (theirs, to_torch)):
            if with_state:
                hx = tuple(make(s) for s in first)
                given.append(hx if kind is nn.LSTM else hx[0])
        (y, last), (z, other_last) = layer(*mine), other(*theirs)
        close(y, z)
        for a, b in zip(*([t] if kind is not nn.LSTM else t for t in (last, other_last)),
                        strict=True):
            close(a, b)


def test_an_rnn_that_cuts_off_below_zero():
    layer = nn.RNN(3, 4, 2, "relu", dtype="float64")
    other = torch.nn.RNN(3, 4, 2, "relu").double()
    other.load_state_dict(state(layer))
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    close(layer(to_etude(x))[0], other(to_torch(x))[0])


SETTINGS = [{}, {"batch_first": True}, {"bias": False}, {"add_bias_kv": True},
            {"add_zero_attn": True}, {"kdim": 3, "vdim": 5},
            {"add_bias_kv": True, "add_zero_attn": True, "kdim": 3, "batch_first": True}]


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("masks", ["", "attn", "attn-each", "attn-float", "padding", "attn padding",
                                   "attn-float padding", "causal", "causal padding"])
@pytest.mark.parametrize("alone", [False, True])
def test_attention_of_every_kind_under_every_mask(settings, masks, alone):
    etude.manual_seed(0)
    layer = nn.MultiheadAttention(6, 2, dtype="float64", **settings)
    other = twin(layer)
    assert list(layer.state_dict()) == list(other.state_dict())
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((n, d) if alone else (2, n, d) if layer.batch_first else
                                  (n, 2, d))
              for n, d in ((4, 6), (5, layer.kdim), (5, layer.vdim))]
    out = {"attn": rng.random((4, 5)) < 0.4, "padding": rng.random(5 if alone else (2, 5)) < 0.3,
           "attn-each": rng.random((2 if alone else 4, 4, 5)) < 0.4,
           "attn-float": rng.standard_normal((4, 5)), "causal": ~np.tri(4, 5, dtype=bool)}
    for mask in out.values():
        mask[..., 0] = False  # everybody sees somebody: PyTorch gives NaN elsewhere
    given, same = {}, {}
    for name in masks.split():
        key = "key_padding_mask" if name == "padding" else "attn_mask"
        same[key] = to_torch(out[name])
        given[key] = to_etude(out[name])
    if "causal" in masks:
        given["is_causal"] = True
        given.pop("attn_mask")  # Etude needs none
        # Of a hint PyTorch makes a mask that hides the keys of add_bias_kv and add_zero_attn.
        same["is_causal"] = not {"add_bias_kv", "add_zero_attn"} & settings.keys()
    for need, average in ((True, True), (True, False), (False, True)):
        wanted = {"need_weights": need, "average_attn_weights": average}
        mine, theirs = ([make(a, True) for a in arrays] for make in (to_etude, to_torch))
        y, w = layer(*mine, **given, **wanted)
        z, v = other(*theirs, **same, **wanted)
        close(y, z)
        if need:
            close(w, v)
        assert (w is None) == (v is None)
        layer.zero_grad()
        other.zero_grad()
        backward(y, z)
        for a, b in zip(mine, theirs, strict=True):
            same_gradient(a, b)
        for name, p in layer.named_parameters():
            same_gradient(p, parameter_of(other, name), name)


def test_a_block_under_a_key_padding_mask():
    etude.manual_seed(0)
    layer = nn.TransformerBlock(6, 2, is_causal=False, dtype="float64")
    other = twin(layer)
    x = np.random.default_rng(0).standard_normal((2, 4, 6))
    out = np.array([[False, False, True, True], [False, True, False, False]])
    mine, theirs = to_etude(x, True), to_torch(x, True)
    y = layer(mine, key_padding_mask=to_etude(out))
    z = other.layer(theirs, src_key_padding_mask=to_torch(out))
    close(y, z)
    backward(y, z)
    same_gradient(mine, theirs)


FIRST = {
    "linear": lambda lib: lib.Linear(300, 200), "conv1d": lambda lib: lib.Conv1d(30, 200, 9),
    "conv2d": lambda lib: lib.Conv2d(30, 200, 3, groups=2),
    "conv_transpose2d": lambda lib: lib.ConvTranspose2d(60, 100, 3),
    "embedding": lambda lib: lib.Embedding(200, 100), "rnn": lambda lib: lib.RNN(50, 60),
    "lstm": lambda lib: lib.LSTM(50, 60, 2), "gru": lambda lib: lib.GRU(50, 60),
    "batch_norm": lambda lib: lib.BatchNorm2d(5), "group_norm": lambda lib: lib.GroupNorm(2, 4),
    "layer_norm": lambda lib: lib.LayerNorm(5), "rms_norm": lambda lib: lib.RMSNorm(5),
}


@pytest.mark.parametrize("make", FIRST.values(), ids=FIRST)
def test_first_values_have_the_same_bounds_and_spread(make):
    etude.manual_seed(0)
    torch.manual_seed(0)
    mine, theirs = (dict(make(lib).named_parameters()) for lib in (nn, torch.nn))
    assert list(mine) == list(theirs)
    for name, p in mine.items():
        a, b = host(p), host(theirs[name])
        assert a.shape == b.shape
        np.testing.assert_allclose(np.abs(a).max(), np.abs(b).max(), rtol=0.2, err_msg=name)
        if a.size > 3000:
            np.testing.assert_allclose(a.std(), b.std(), rtol=0.03, err_msg=name)


@pytest.mark.parametrize("fill", ["uniform_", "normal_", "kaiming_uniform_", "kaiming_normal_",
                                  "xavier_uniform_", "xavier_normal_"])
def test_init_functions_have_the_same_spread(fill):
    etude.manual_seed(0)
    torch.manual_seed(0)
    a = host(getattr(nn.init, fill)(etude.zeros(100, 50, 3)))
    b = host(getattr(torch.nn.init, fill)(torch.zeros(100, 50, 3)))
    np.testing.assert_allclose([a.std(), a.mean() + 1], [b.std(), b.mean() + 1], rtol=0.03)

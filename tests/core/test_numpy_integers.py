"""Sizes come out of shape arithmetic, of np.arange and of tables as NumPy's integers: they count as
Python's do, and a bool counts as neither.
"""

import numpy as np
import pytest

import etude
from etude import data, nn, optim
from etude import functional as F
from etude.train import Checkpoints, EarlyStopping, fit, settings
from etude.train.config import RunConfig

ROWS = data.TensorDataset(etude.zeros(4, 3), etude.zeros(4, dtype="int64"))


def sgd():
    return optim.SGD([nn.Parameter(etude.zeros(1))], 0.1)


def sequence(milestone):
    on = sgd()
    return optim.SequentialLR(on, [optim.StepLR(on, 1), optim.StepLR(on, 1)], [milestone])


def parameters(layer):
    """What is seen of a layer's sizes."""
    return repr(layer), {name: p.shape for name, p in layer.named_parameters()}


def trained(n):
    model = nn.Linear(3, 2)
    return len(fit(model, data.DataLoader(ROWS, n), optim.SGD(model.parameters()), epochs=n,
                   progress=False).loss)


RNG = np.random.default_rng
IMAGE = np.zeros((1, 4, 4), np.float32)
GRID = etude.arange(32).reshape(1, 2, 4, 4).float()
KERNEL = etude.arange(8).reshape(2, 1, 2, 2).float()
SQUARE = etude.arange(9).reshape(3, 3).float()

CASES = {  # each gives what can be compared
    "Linear": lambda n: parameters(nn.Linear(n, n)),
    "Conv1d": lambda n: parameters(nn.Conv1d(n, n, n, n, n, n, n)),
    "Conv2d": lambda n: parameters(nn.Conv2d(n, n, (n, n), n, n, n, n)),
    "a Conv2d at work": lambda n: nn.Conv2d(n, n, n, groups=n)(etude.zeros(1, 2, 4, 4)).shape,
    "ConvTranspose2d": lambda n: parameters(nn.ConvTranspose2d(n, n, n, n, n, 0, n)),
    "MaxPool2d": lambda n: parameters(nn.MaxPool2d(n, n, n)),
    "AvgPool2d": lambda n: parameters(nn.AvgPool2d(n)),
    "AdaptiveAvgPool2d": lambda n: parameters(nn.AdaptiveAvgPool2d(n)),
    "LayerNorm": lambda n: parameters(nn.LayerNorm(n)),
    "RMSNorm": lambda n: parameters(nn.RMSNorm((n, n))),
    "GroupNorm": lambda n: parameters(nn.GroupNorm(n, n)),
    "BatchNorm1d": lambda n: parameters(nn.BatchNorm1d(n)),
    "BatchNorm2d": lambda n: parameters(nn.BatchNorm2d(n)),
    "RNN": lambda n: parameters(nn.RNN(n, n, n)),
    "LSTM": lambda n: parameters(nn.LSTM(n, n, n)),
    "GRU": lambda n: parameters(nn.GRU(n, n, n)),
    "Embedding": lambda n: parameters(nn.Embedding(n, n)),
    "MultiheadAttention": lambda n: parameters(nn.MultiheadAttention(n, n)),
    "TransformerBlock": lambda n: parameters(nn.TransformerBlock(n, n, widen=n)),
    "zeros": lambda n: etude.zeros(n, n).shape,
    "ones": lambda n: etude.ones((n, n)).shape,
    "full": lambda n: etude.full(n, 1.0).shape,
    "rand": lambda n: etude.rand(n).shape,
    "randn": lambda n: etude.randn(n, n).shape,
    "reshape": lambda n: etude.zeros(4).reshape(n, n).shape,
    "expand": lambda n: etude.zeros(1).expand(n).shape,
    "split": lambda n: [p.shape for p in etude.zeros(4).split(n)],
    "split by sizes": lambda n: [p.shape for p in etude.zeros(4).split([n, n])],
    "indexing": lambda n: etude.arange(9).reshape(3, 3)[n, n].item(),
    "slicing": lambda n: etude.arange(9)[n:].tolist(),
    "convolution": lambda n: F.conv2d(GRID, KERNEL, stride=n, padding=(n, n), dilation=[n, n],
                                      groups=n).tolist(),
    "convolution of rows": lambda n: F.conv1d(GRID.reshape(1, 2, 16), KERNEL[:, :, 0],
                                              None, n, n, n, n).tolist(),
    "convolution transposed": lambda n: F.conv_transpose2d(GRID, KERNEL, stride=n, padding=n,
                                                           groups=n).tolist(),
    "pooling": lambda n: F.max_pool2d(GRID, (n, n), n).tolist(),
    "padding": lambda n: F.pad(SQUARE, [n, n, n, n]).tolist(),
    "sum": lambda n: GRID.sum(n).tolist(),
    "sum over two": lambda n: GRID.sum((n, 1)).tolist(),
    "var": lambda n: GRID.var(n, correction=n).tolist(),
    "softmax": lambda n: GRID.softmax(n).tolist(),
    "cat": lambda n: F.cat([GRID, GRID], n).tolist(),
    "triangle": lambda n: SQUARE.tril(n).tolist(),
    "largest": lambda n: SQUARE.topk(n)[0].tolist(),
    "layer_norm": lambda n: F.layer_norm(etude.arange(6).reshape(3, 2).float(), n).tolist(),
    "rms_norm": lambda n: F.rms_norm(etude.arange(6).reshape(3, 2).float(), (n,)).tolist(),
    "group_norm": lambda n: F.group_norm(GRID, n).tolist(),
    "one_hot": lambda n: F.one_hot(etude.tensor([0, 1]), n).tolist(),
    "ignored class": lambda n: F.cross_entropy(SQUARE, etude.tensor([0, 2, 1]),
                                               ignore_index=n).item(),
    "transpose": lambda n: GRID.transpose(0, n).tolist(),
    "permute": lambda n: SQUARE.reshape(1, 3, 3).permute(n, 0, 1).tolist(),
    "flip": lambda n: GRID.flip((n,)).tolist(),
    "flatten": lambda n: GRID.flatten(n).tolist(),
    "manual_seed": lambda n: etude.Generator(n).get_state(),
    "DataLoader": lambda n: [len(x) for x, _ in data.DataLoader(ROWS, n, seed=n, workers=n)],
    "random_split": lambda n: [part.indices.tolist()
                               for part in data.random_split(ROWS, 0.5, seed=n)],
    "LanguageModelDataset": lambda n: len(data.LanguageModelDataset(np.arange(9), n, n)),
    "RandomCrop": lambda n: data.RandomCrop(n, n)(IMAGE, RNG(0)).shape,
    "Truncate": lambda n: data.Truncate(n)(np.arange(9)).tolist(),
    "PadTo": lambda n: data.PadTo(n)(np.arange(1)).tolist(),
    "PadCollate": lambda n: data.PadCollate(length=n)([([1],)])[0].shape,
    "MaskTokens": lambda n: repr(data.MaskTokens(n, n)),
    "StepLR": lambda n: optim.StepLR(sgd(), n).step_size,
    "CosineAnnealingLR": lambda n: optim.CosineAnnealingLR(sgd(), n).T_max,
    "LinearLR": lambda n: optim.LinearLR(sgd(), total_iters=n).total_iters,
    "OneCycleLR": lambda n: optim.OneCycleLR(sgd(), 0.1, n).total_steps,
    "ReduceLROnPlateau": lambda n: optim.ReduceLROnPlateau(sgd(), patience=n).patience,
    "SequentialLR": lambda n: sequence(n).milestones,
    "MultiStepLR": lambda n: optim.MultiStepLR(sgd(), [n]).milestones,
    "EarlyStopping": lambda n: EarlyStopping(n).patience,
    "Checkpoints": lambda n: vars(Checkpoints("folder", n, n, n)),
    "fit": trained,
    "a setting": lambda n: RunConfig.of({"training": {"epochs": n}, "model": {"hidden": [n]}}
                                        ).toml(),
}


@pytest.mark.parametrize("integer", [np.int64(2), np.uint8(2), np.array(2)],
                         ids=["int64", "uint8", "an array of no dimensions"])
@pytest.mark.parametrize("name", CASES)
def test_an_integer_of_numpy_counts_as_one_of_python(name, integer):
    assert CASES[name](integer) == CASES[name](2)


def test_an_attribute_is_one_of_python_when_a_column_gets_it():
    seen = []
    with etude.tap(lambda event: seen.append(event.attrs)):
        F.conv2d(GRID, KERNEL, stride=[np.int8(1), np.int64(2)], groups=np.int64(2))
    assert {"stride": (1, 2), "groups": 2}.items() <= seen[0].items()
    assert [type(n) for n in (*seen[0]["stride"], seen[0]["groups"])] == [int, int, int]


@pytest.mark.parametrize("call", [lambda x, a: F.leaky_relu(x, a), lambda x, a: F.elu(x, a),
                                  lambda x, a: F.layer_norm(x, 3, eps=a),
                                  lambda x, a: F.clamp(x, a, a)])
def test_a_number_of_numpy_does_not_widen_the_result(call):
    assert call(SQUARE, np.float64(0.1)).dtype == etude.float32


def test_a_bool_is_a_value_among_bools():
    assert F.pad(SQUARE > 100, (0, 1), value=True)[0].tolist() == [False, False, False, True]
    assert etude.full((1,), np.True_).tolist() == [True]


def test_a_flag_of_numpy_counts_as_one_of_python():
    assert SQUARE.sum(0, keepdim=np.True_).shape == (1, 3)


@pytest.mark.parametrize("call", [
    lambda: F.pad(SQUARE, (True, 1)), lambda: SQUARE.tril(True), lambda: SQUARE.topk(True),
    lambda: F.conv2d(GRID, KERNEL, groups=2, dilation=(1, np.True_)),
    lambda: F.layer_norm(etude.zeros(2, 1), True), lambda: SQUARE.reshape(True, 9),
    lambda: F.cross_entropy(SQUARE, etude.tensor([0, 2, 1]), ignore_index=True)])
def test_a_bool_is_no_attribute_even_after_a_call_with_the_number_it_equals(call):
    F.pad(SQUARE, (1, 1)), SQUARE.tril(1), SQUARE.topk(1), F.conv2d(GRID, KERNEL, groups=2)
    F.layer_norm(etude.zeros(2, 1), 1), SQUARE.reshape(1, 9)
    F.cross_entropy(SQUARE, etude.tensor([0, 2, 1]), ignore_index=1)
    with pytest.raises((ValueError, TypeError), match=r"integer|bool"):
        call()


def test_a_vocabulary_has_a_size_of_numpy():
    assert data.BPETokenizer.train("aaaa", np.int64(257), progress=False).vocab_size == 257


def test_it_becomes_an_integer_of_python_so_that_small_ones_do_not_overflow():
    assert nn.LSTM(1, np.int8(100)).weight_hh_l0.shape == (400, 100)
    assert type(nn.BatchNorm1d(np.int64(2)).num_features) is int


SIZES = {name: case for name, case in CASES.items()
         if name != "slicing"}  # Python's own lists slice by True


def test_numbers_of_numpy_are_written_as_toml():
    assert settings.dump({"a": {"n": np.int64(3), "x": np.float32(0.5), "on": np.bool_(True)}}) == (
        "[a]\nn = 3\nx = 0.5\non = true\n")


@pytest.mark.parametrize("name", SIZES)
def test_a_bool_is_no_integer(name):
    with pytest.raises((ValueError, TypeError, etude.AxisError)):
        SIZES[name](True)


@pytest.mark.parametrize("wrong", [2.0, np.float32(2), np.array([2]), "2", None])
def test_nor_is_a_float_or_a_list(wrong):
    with pytest.raises(ValueError, match="batch_size must be an integer >= 1, got"):
        data.DataLoader(ROWS, wrong)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64"])
def test_rows_are_picked_by_integers_of_any_width(dtype):
    assert etude.arange(9)[np.array([7, 2], dtype)].tolist() == [7, 2]

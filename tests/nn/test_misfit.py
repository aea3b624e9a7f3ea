"""An input that a layer cannot take: the error names both, and says what to do."""

import numpy as np
import pytest

import etude
from etude import float64, models, nn
from etude.core.errors import DTypeError, ShapeError
from etude.core.shapes import int64

zeros = etude.zeros

MISFITS = [
    (nn.Linear(784, 10), zeros(5, 7), r"Linear\(in_features=784, out_features=10\) got an input "
     r"float32\[5, 7\], whose last size is 7 and not 784. Make the layer with in_features=7"),
    (nn.Linear(784, 10), zeros(5, 1, 28, 28), r"got an input float32\[5, 1, 28, 28\], .* Flatten "
     r"it first: nn.Flatten\(\) before the layer, or x.flatten\(1\)"),
    (nn.Linear(4, 2), etude.tensor(1.0), r"got an input float32\[\], which has no dimensions"),
    (nn.Linear(4, 2), np.zeros((2, 3)), r"got an input float64\[2, 3\], whose last size is 3"),
    (nn.Linear(4, 2), [[1.0, 2.0]], r"got an input float32\[1, 2\], whose last size is 2"),
    (nn.Conv2d(3, 4, 3), zeros(5, 1, 8, 8), r"Conv2d\(in_channels=3, ...\) got an input "
     r"float32\[5, 1, 8, 8\], \(N, C, H, W\) with C = 1. Make the layer with in_channels=1"),
    (nn.Conv2d(3, 4, 3), zeros(5, 8, 8, 3), r"stand before the other axes of an image: "
     r"x.permute\(0, 3, 1, 2\)"),
    (nn.Conv2d(3, 4, 3), zeros(8, 8, 3), r"\(C, H, W\) with C = 8.* x.permute\(2, 0, 1\)"),
    (nn.Conv2d(1, 4, 3), zeros(5, 8, 8), r"If the first axis counts samples, x.unsqueeze\(1\)"),
    (nn.Conv2d(4, 4, 3, groups=2), zeros(5, 2, 8, 8), r"Conv2d\(in_channels=4, ...\).*C = 2"),
    (nn.Conv2d(3, 4, 3), zeros(5, 8), r"float32\[5, 8\]; it takes \(N, C, H, W\) or \(C, H, W\)"),
    (nn.Conv1d(3, 4, 3), zeros(5, 1, 8), r"Conv1d\(in_channels=3, .*\(N, C, L\) with C = 1"),
    (nn.ConvTranspose2d(3, 4, 3), zeros(5, 1, 8, 8), r"ConvTranspose2d\(in_channels=3, ...\) got"),
    (nn.LayerNorm(3), zeros(5, 8), r"LayerNorm\(normalized_shape=3\) got an input "
     r"float32\[5, 8\], whose last size is not 3"),
    (nn.LayerNorm((2, 3)), zeros(3), r"whose last sizes are not \[2, 3\]"),
    (nn.RMSNorm(3), zeros(5, 8), r"RMSNorm\(normalized_shape=3\) got an input float32\[5, 8\]"),
    (nn.BatchNorm2d(3), zeros(5, 1, 8, 8), r"BatchNorm2d\(num_features=3\) got an input .*C = 1"),
    (nn.BatchNorm1d(3), zeros(5), r"\[5\]; it takes \(N, C\) or \(N, C, L\)"),
    (nn.GroupNorm(1, 3), zeros(5, 1, 8), "GroupNorm: x must be .* with C = 3"),
    (nn.LSTM(3, 4), zeros(5, 1, 8), "LSTM: x must be .* with D = 3"),
    (nn.MultiheadAttention(4, 2), zeros(5, 1, 8), r"MultiheadAttention\(embed_dim=4, ...\) got a "
     r"query float32\[5, 1, 8\], whose last size is 8 and not 4"),
    (nn.MultiheadAttention(4, 2), etude.tensor(1.0), r"MultiheadAttention: .*, got \[\]"),
    (nn.TransformerBlock(4, 2), zeros(5, 1, 8), r"LayerNorm\(normalized_shape=4\) got an input"),
]


@pytest.mark.parametrize(("layer", "x", "words"), MISFITS)
def test_the_layer_and_its_input_are_named(layer, x, words):
    with pytest.raises(ShapeError, match=words):
        layer(x)


def test_a_key_of_another_size_is_named():
    with pytest.raises(ShapeError, match=r"MultiheadAttention\(vdim=4, ...\) got a value"):
        nn.MultiheadAttention(4, 2)(zeros(5, 1, 4), zeros(5, 1, 4), value=zeros(5, 1, 6))


def test_numbers_of_numpy_that_a_batch_norm_cannot_take_are_named():
    layer = nn.BatchNorm1d(4)
    with pytest.raises(DTypeError, match=r"BatchNorm1d\(num_features=4\) got an input "
                                         r"float64\[3, 4\], but its own numbers are float32. "
                                         r"Convert the input, etude.tensor\(x, dtype=etude.float32"
                                         r"\), or the layer, layer.to\(etude.float64\)"):
        layer(np.zeros((3, 4)))
    with pytest.raises(DTypeError, match=r"x.to\(etude.float32\)"):
        layer(zeros(3, 4, dtype=float64))
    assert layer.running_mean.tolist() == [0, 0, 0, 0]


def test_tokens_that_are_none_are_named():
    layer = nn.Embedding(5, 3)
    with pytest.raises(DTypeError, match=r"Embedding\(num_embeddings=5, embedding_dim=3\) got an "
                                         r"input float32\[2\]; .* int64: x.long\(\)"):
        layer(zeros(2))
    for tokens in (etude.tensor([[1, 7]]), [1, 7], 7):
        with pytest.raises(IndexError, match=r"got the token 7; its tokens run from 0 to 4"):
            layer(tokens)
    with pytest.raises(IndexError, match=r"got the token 10; its tokens run from 0 to 9"):
        models.gpt(10, block_size=8)(etude.full((1, 2), 10, int64))


def test_in_a_row_of_layers_the_place_is_noted():
    model = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))
    with pytest.raises(ShapeError, match=r"Linear\(in_features=3") as caught:
        model(zeros(1, 4))
    assert caught.value.__notes__ == ["in the layer '1' of Sequential"] * 2


def test_what_is_not_the_inputs_fault_keeps_its_own_words():
    with pytest.raises(ShapeError, match=r"conv2d: kernel \[5, 5\] does not fit"):
        nn.Conv2d(1, 4, 5)(zeros(1, 1, 3, 3))

    class Own(nn.Module):
        def forward(self, input):
            raise IndexError("no such page")

    with pytest.raises(IndexError, match="no such page"):
        Own()(1)


@pytest.mark.parametrize("made", [
    lambda x: nn.ReLU(x), lambda x: nn.Linear(3, 16, x), lambda x: nn.Linear(x),
    lambda x: nn.Softmax(x), lambda x: nn.Conv2d(x, 1, 3), lambda x: nn.BatchNorm2d(x)])
def test_a_layer_that_is_called_where_it_is_made_says_so(made):
    with pytest.raises(TypeError, match=r"(\w+) is a layer, which is made first and called then: "
                                        r"layer = nn.\1\(...\), and layer\(input\)"):
        made(zeros(5, 3))


def test_one_number_in_a_tensor_is_a_setting_and_a_model_of_ones_own_takes_what_it_likes():
    assert nn.Linear(etude.tensor(3), 2).weight.shape == (2, 3)

    class Scale(nn.Linear):
        def __init__(self, by):
            super().__init__(2, 2)
            self.by = by

    assert Scale(zeros(3)).by.shape == (3,)


def test_a_forward_without_return_is_named():
    class Net3(nn.Module):
        def forward(self, x):
            x.relu()

    with pytest.raises(TypeError, match=r"forward\(\) of Net3 returned None; is a return missing"):
        Net3()(zeros(2))

"""What people get wrong ends in one sentence, the same on every column, before anything is done."""

import math

import numpy as np
import pytest

import etude
from etude import functional as F
from etude import nn, optim

X, T = etude.tensor([[1.0, 2.0], [0.5, -1.0]]), etude.tensor([1, 0])
IMAGE = etude.ones(1, 1, 4, 4)

#: An attribute of another kind, which Python and C would read as two different numbers.
KINDS = [
    (lambda: F.cross_entropy(X, T, ignore_index=1.5), "ignore_index must be an integer, got 1.5"),
    (lambda: F.cross_entropy(X, T, ignore_index="0"), "ignore_index must be an integer, got '0'"),
    (lambda: F.cross_entropy(X, T, label_smoothing="a"), "label_smoothing must be a number"),
    (lambda: etude.tril(X, 0.5), "tril: diagonal must be an integer, got 0.5"),
    (lambda: F.elu(X, None), "elu: alpha must be a number, got None"),
    (lambda: F.softplus(X, 1.0, None), "softplus: threshold must be a number, got None"),
    (lambda: X.clamp("a"), "clamp: min must be a number or None, got 'a'"),
    (lambda: X.clamp(max=1j), "clamp: max must be a number or None, got 1j"),
    (lambda: F.scaled_dot_product_attention(X, X, X, scale="a"), "scale must be a number or None"),
    (lambda: X.var(correction="a"), "var: correction must be a number, got 'a'"),
    (lambda: F.pad(X, (1, 1), value="a"), "pad: value must be a number, got 'a'"),
    (lambda: F.norm(X, True), "norm: p must be a number, got True"),
    (lambda: etude.cat(3), "cat: give a list, got 3"),
    (lambda: X.to(5), "to: 5 is no dtype; Etude has bool, int64, float32, float64"),
    (lambda: etude.tensor([1.0], dtype=object()), "tensor: .* is no dtype"),
    (lambda: F.batch_norm(X, np.zeros(2), np.ones(2), training=True),
     "running statistics are written, so they must be Tensors, got ndarray"),
    (lambda: F.einsum(X, [0, 1]), "einsum: the equation comes first, as a text"),
]


@pytest.mark.parametrize("column", ["reference", "cpu"])
@pytest.mark.parametrize(("call", "words"), KINDS)
def test_an_argument_of_another_kind_is_named(call, words, column):
    if column == "cpu":
        pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    with etude.use(column), pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(("call", "words"), [
    (lambda: F.pad(X, 1), r"pad: pad is \(before, after\) of the last axis.*; got 1"),
    (lambda: F.round(X, decimals=1.5), "round: decimals must be an integer"),
    (lambda: F.conv2d(IMAGE, etude.ones(1, 1, 3), padding="same"), "conv2d: weight must be"),
    (lambda: F.max_pool2d(IMAGE, 2, stride=2**63), "stride must be one or two integers >= 1, got"),
    (lambda: F.group_norm(X, 1.0), "group_norm: num_groups must be an integer >= 1, got 1.0"),
    (lambda: F.cross_entropy(X, F.softmax(X, 1), etude.ones(3)), r"weight must have shape \[2\]"),
    (lambda: F.cross_entropy(X, F.softmax(X, 1), label_smoothing=2.0), "smoothing is a share"),
    (lambda: F.cross_entropy(X, F.softmax(X, 1), ignore_index=0), "ignore_index=0 is for labels"),
    (lambda: F.cross_entropy(X[:0], F.softmax(X, 1)[:0]), "the mean of no losses has no value"),
])
def test_a_value_that_cannot_be_is_named(call, words):
    with pytest.raises(ValueError, match=words):  # ShapeError is one
        call()


@pytest.mark.parametrize("column", ["reference", "cpu"])
def test_a_label_to_ignore_may_be_any_integer(column):
    if column == "cpu":
        pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    wanted = F.cross_entropy(X, etude.tensor([-100, 1])).item()
    with etude.use(column):
        for ignored in (2**53 + 1, 2**63 - 1, -(2**63)):
            found = F.cross_entropy(X, etude.tensor([ignored, 1]), ignore_index=ignored).item()
            assert found == pytest.approx(wanted, rel=1e-6)


LOGITS = etude.ones(5, 3)


@pytest.mark.parametrize(("call", "words"), [
    (lambda: F.cross_entropy(LOGITS, F.one_hot(etude.tensor([0, 1, 2, 0, 1]), 3)),
     r"cross_entropy: target int64\[5, 3\] has the shape of input, as one-hot labels do. Give the "
     r"number of the class, target.argmax\(1\), or, as probabilities, target.float\(\)"),
    (lambda: F.cross_entropy(LOGITS[0], etude.tensor([False, True, False])),
     r"target bool\[3\] has the shape of input, as one-hot labels do.*argmax\(0\)"),
])
def test_one_hot_labels_of_integers_are_told_what_to_be(call, words):
    with pytest.raises(etude.ShapeError, match=words):
        call()


@pytest.mark.parametrize("call", [
    lambda: F.cross_entropy(etude.tensor([0, 1, 2, 0, 1]), LOGITS),
    lambda: F.cross_entropy(F.one_hot(etude.tensor([0, 1, 2, 0, 1]), 3), LOGITS),
    lambda: etude.nn.CrossEntropyLoss()(etude.tensor([0, 1, 2, 0, 1]), LOGITS),
    lambda: F.binary_cross_entropy_with_logits(etude.tensor([0, 1]), etude.ones(2)),
])
def test_labels_in_the_place_of_logits_are_told_the_order(call):
    with pytest.raises(etude.DTypeError, match=r"got input int64\[.*What the model says comes "
                                               r"first: \w+\(logits, "):
        call()


@pytest.mark.parametrize("loss", [etude.nn.MSELoss, etude.nn.BCEWithLogitsLoss,
                                  etude.nn.CrossEntropyLoss])
def test_a_loss_that_is_called_as_a_function_is_told_to_be_made_first(loss):
    with pytest.raises(TypeError, match=rf"{loss.__name__} is a layer, which is made first and "
                                        rf"called then: loss = nn.{loss.__name__}\(\)"):
        loss(LOGITS, LOGITS)


def test_a_bound_between_whole_numbers_gives_floats_and_nan_gives_nan():
    assert etude.clamp(etude.tensor([1, 2]), min=1.5).tolist() == [1.5, 2]
    assert np.isnan(X.clamp(max=math.nan).numpy()).all()


def test_running_statistics_that_do_not_fit_move_nothing():
    mean, x = etude.zeros(2), etude.ones(3, 2)
    for var, settings, error in (
            (etude.ones(5), {}, "running_var must have shape"), (None, {}, "or neither"),
            (etude.ones(2, dtype=etude.float64), {}, "running statistics must be float32"),
            (etude.ones(2), {"momentum": "a"}, "momentum must be a number")):
        with pytest.raises((ValueError, TypeError), match=error):
            F.batch_norm(x, mean, var, training=True, **settings)
        assert mean.tolist() == [0, 0]


def test_an_infinity_stays_in_its_bin():
    x = np.ones((1, 1, 7, 6))
    x[0, 0, 0, 0] = np.inf
    y = F.adaptive_avg_pool2d(etude.tensor(x), (3, 2)).numpy()
    assert np.isinf(y).sum() == 1
    assert not np.isnan(y).any()


def test_a_tensor_of_another_library_is_told_the_way():
    class Foreign:
        def __dlpack__(self):
            raise NotImplementedError

    with pytest.raises(TypeError, match=r"expected a Tensor or a number, got .*Foreign; "
                                        r"etude.from_dlpack takes its memory"):
        etude.ones(2) + Foreign()


def test_scores_in_the_place_of_probabilities_are_noticed():
    model = nn.Linear(2, 2)
    shares = F.one_hot(T, 2).float()
    words = "What the model says comes first: cross_entropy.logits, probabilities."
    for said in (model(X), model(X).softmax(1)):
        with pytest.raises(ValueError, match=f"target is the result of .*{words}"):
            F.cross_entropy(shares, said)
    with pytest.raises(ValueError, match=f"holds probabilities, and -1 is none. {words}"):
        F.cross_entropy(shares, X)
    assert F.cross_entropy(model(X), shares).item() == pytest.approx(
        F.cross_entropy(model(X), T).item(), rel=1e-5)
    assert F.cross_entropy(model(X), shares - 1e-7).item() > 0  # rounding makes no mistake


@pytest.mark.parametrize(("call", "words"), [
    (lambda: X.sum(axis=0), "sum: axis is called dim here, as in PyTorch; write dim=0"),
    (lambda: F.softmax(X, axis=1), "softmax: axis is called dim here"),
    (lambda: X.mean(dim=0, keepdims=True), "mean: keepdims is called keepdim .*keepdim=True"),
    (lambda: np.sum(X), "sum: axis is called dim"),
])
def test_names_of_numpy_are_translated(call, words):
    with pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(("package", "name", "words"), [
    (F, "crossentropy", "etude.functional has no 'crossentropy'. Did you mean 'cross_entropy'"),
    (F, "ReLU", "write functional.relu"), (F, "view", "write x.reshape"),
    (optim, "Adagrad", "etude.optim has no 'Adagrad'; it has SGD, Adam, AdamW, "),
    (nn, "Dense", "etude.nn has no 'Dense'; it has .*Linear"),
])
def test_a_name_that_is_not_there_names_those_that_are(package, name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(package, name)


def test_what_the_rate_is_called_is_said():
    with pytest.raises(TypeError, match=r"Adam has no learning_rate; write lr=0.1"):
        optim.Adam([etude.ones(2)], learning_rate=0.1)

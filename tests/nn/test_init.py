"""First values: their distribution, tested as one, and that they repeat. Also in test_nn_layers."""

import math

import numpy as np
import pytest
from scipy import stats

import etude
from etude import nn
from etude.nn import init

OUT, IN, FIELD = 60, 40, 6  # a weight (60, 40, 2, 3): fan-in 240, fan-out 360
FAN_IN, FAN_OUT = IN * FIELD, OUT * FIELD


def drawn(fill, **settings):
    w = etude.zeros(OUT, IN, 2, 3, dtype="float64")
    assert fill(w, generator=etude.Generator(5), **settings) is w
    return w.numpy().ravel()


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


LAWS = {
    "uniform": (init.uniform_, {"a": -2.0, "b": 3.0}, stats.uniform(-2, 5)),
    "normal": (init.normal_, {"mean": 1.0, "std": 0.1}, stats.norm(1, 0.1)),
    "kaiming_uniform": (init.kaiming_uniform_, {}, uniform(math.sqrt(2) * math.sqrt(3 / FAN_IN))),
    "kaiming_uniform-fan_out": (init.kaiming_uniform_, {"mode": "fan_out", "nonlinearity": "relu"},
                                uniform(math.sqrt(2) * math.sqrt(3 / FAN_OUT))),
    "kaiming_uniform-leaky": (init.kaiming_uniform_, {"a": math.sqrt(5)},
                              uniform(1 / math.sqrt(FAN_IN))),
    "kaiming_normal": (init.kaiming_normal_, {"nonlinearity": "tanh"},
                       stats.norm(0, 5 / 3 / math.sqrt(FAN_IN))),
    "kaiming_normal-fan_out": (init.kaiming_normal_, {"mode": "fan_out"},
                               stats.norm(0, math.sqrt(2) / math.sqrt(FAN_OUT))),
    "xavier_uniform": (init.xavier_uniform_, {"gain": 2.0},
                       uniform(2 * math.sqrt(6 / (FAN_IN + FAN_OUT)))),
    "xavier_normal": (init.xavier_normal_, {"gain": 0.5},
                      stats.norm(0, 0.5 * math.sqrt(2 / (FAN_IN + FAN_OUT)))),
}


@pytest.mark.parametrize(("fill", "settings", "law"), LAWS.values(), ids=LAWS)
def test_values_follow_their_law(fill, settings, law):
    x = drawn(fill, **settings)
    assert stats.kstest(x, law.cdf).pvalue > 0.01
    # The test of the tests: a scale that is 10 % off would be seen.
    assert stats.kstest(x * 1.1, law.cdf).pvalue < 0.01


@pytest.mark.parametrize(("fill", "settings", "law"), LAWS.values(), ids=LAWS)
def test_neighbours_are_not_correlated(fill, settings, law):
    x = drawn(fill, **settings)
    for step in (1, 2, IN * FIELD):
        assert abs(np.corrcoef(x[:-step], x[step:])[0, 1]) < 4 / math.sqrt(x.size)


def test_float32_and_float64_parameters_are_filled_in_their_own_dtype():
    for dtype in ("float32", "float64"):
        w = etude.zeros(3, 2, dtype=dtype)
        assert init.normal_(w, generator=etude.Generator(1)).dtype == etude.tensor(0.0, dtype).dtype
        assert len(set(w.numpy().ravel())) == 6


def test_they_come_from_the_seed_and_the_order_of_calls():
    def draw(seed):
        etude.manual_seed(seed)
        return [init.kaiming_normal_(etude.zeros(2, 2)).tolist() for _ in range(2)]

    assert draw(1) == draw(1) != draw(2)
    assert draw(1)[0] != draw(1)[1]


@pytest.mark.parametrize("fill", [init.kaiming_uniform_, init.kaiming_normal_,
                                  init.xavier_uniform_, init.xavier_normal_])
def test_a_weight_without_inputs_or_outputs_is_left_empty(fill):
    assert fill(etude.zeros(0, 3)).shape == (0, 3)
    assert fill(etude.zeros(3, 0)).shape == (3, 0)
    assert fill(etude.zeros(0, 0)).shape == (0, 0)


def test_gains_undo_what_the_nonlinearity_does():
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 1.0) == 1


def test_variance_survives_ten_layers_of_relu():
    etude.manual_seed(0)
    x = nn.functional.randn(64, 200)
    for _ in range(10):
        x = nn.functional.relu(x @ init.kaiming_normal_(etude.zeros(200, 200)).T)
    assert 0.5 < float((x.numpy() ** 2).mean()) < 2


def test_embeddings_start_normal():
    etude.manual_seed(0)
    w = nn.Embedding(100, 50).weight.detach().numpy().ravel()
    assert stats.kstest(w, stats.norm.cdf).pvalue > 0.01

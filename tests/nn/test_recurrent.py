"""RNN, LSTM and GRU against the recurrence written out, one sequence and one step at a time."""

import layer_oracles as by_hand
import numpy as np
import pytest
from layer_cases import values

import etude
from etude import nn

KINDS = {"rnn": (nn.RNN, by_hand.rnn_step), "lstm": (nn.LSTM, by_hand.lstm_step),
         "gru": (nn.GRU, by_hand.gru_step)}
every_kind = pytest.mark.parametrize(("layer", "step"), KINDS.values(), ids=KINDS)
T, N, D, H = 5, 3, 2, 4


def states(layers, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((layers, N, H)), rng.standard_normal((layers, N, H))


def sequence(seed=0):
    return np.random.default_rng(seed).standard_normal((T, N, D))


def run(model, x, *given):
    """(y, h, c), of which c is None but for the LSTM, as NumPy arrays."""
    first = [etude.tensor(s) for s in given]
    lstm = isinstance(model, nn.LSTM)
    y, last = model(etude.tensor(x), *([tuple(first)] if lstm and first else first[:1]))
    h, c = last if lstm else (last, None)
    return [t if t is None else t.detach().numpy() for t in (y, h, c)]


def close(found, expected):
    for a, b in zip(found, expected, strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@every_kind
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("bias", [True, False])
def test_outputs_and_last_states_are_those_of_the_loop(layer, step, layers, bias):
    model = layer(D, H, layers, bias=bias, dtype="float64")
    x = sequence()
    close(run(model, x), by_hand.recurrent(step, values(model), x, layers, H))


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_it_starts_from_the_states_it_is_given(layer, step, layers):
    model = layer(D, H, layers, dtype="float64")
    x, (h, c) = sequence(), states(layers)
    close(run(model, x, h, c), by_hand.recurrent(step, values(model), x, layers, H, h, c))


@every_kind
def test_a_sequence_may_be_read_in_two_parts(layer, step):
    model, x = layer(D, H, 2, dtype="float64"), sequence()
    y, h, c = run(model, x)
    first = run(model, x[:2])
    rest = run(model, x[2:], *(s for s in first[1:] if s is not None))
    np.testing.assert_allclose(np.concatenate([first[0], rest[0]]), y, rtol=1e-12)
    close(rest[1:], (h, c))


@every_kind
def test_batch_first_swaps_the_axes_of_sequences_but_not_of_states(layer, step):
    model, x = layer(D, H, 2, dtype="float64"), sequence()
    swapped = layer(D, H, 2, batch_first=True, dtype="float64")
    swapped.load_state_dict(values(model))
    h0, c0 = states(2)
    y, h, c = run(model, x, h0, c0)
    close(run(swapped, x.swapaxes(0, 1), h0, c0), (y.swapaxes(0, 1), h, c))


@every_kind
def test_the_last_output_is_the_last_state_of_the_last_layer(layer, step):
    y, h, _ = run(layer(D, H, 3, dtype="float64"), sequence())
    assert np.array_equal(y[-1], h[-1])


@every_kind
def test_sequences_do_not_see_each_other_and_steps_not_the_future(layer, step):
    model, x = layer(D, H, 2, dtype="float64"), sequence()
    before = run(model, x)[0]
    x[3, 1] += 1
    after = run(model, x)[0]
    changed = np.any(before != after, axis=2)
    assert not changed[:3].any()
    assert not changed[:, [0, 2]].any()
    assert changed[3:, 1].all()


@every_kind
def test_gradients_flow_through_every_state(layer, step):
    model = layer(1, 2, 2, dtype="float64")
    x = etude.tensor(np.random.default_rng(0).standard_normal((2, 1, 1)), requires_grad=True)
    first = [etude.tensor(np.random.default_rng(i).standard_normal((2, 1, 2)), requires_grad=True)
             for i in (1, 2)]
    if layer is not nn.LSTM:
        first = first[:1]

    def everything(x, *first):
        y, last = model(x, tuple(first) if layer is nn.LSTM else first[0])
        parts = [y, *(last if layer is nn.LSTM else (last,))]
        return nn.functional.cat([p.reshape(-1) for p in parts])

    assert etude.gradcheck(everything, [x, *first])


@every_kind
def test_weights_have_pytorchs_names_and_start_within_one_over_root_h(layer, step):
    etude.manual_seed(0)
    model = layer(3, 100, 2)
    gates = layer.gates
    assert {k: v.shape for k, v in values(model).items()} == {
        "weight_ih_l0": (gates * 100, 3), "weight_hh_l0": (gates * 100, 100),
        "bias_ih_l0": (gates * 100,), "bias_hh_l0": (gates * 100,),
        "weight_ih_l1": (gates * 100, 100), "weight_hh_l1": (gates * 100, 100),
        "bias_ih_l1": (gates * 100,), "bias_hh_l1": (gates * 100,)}
    for name, w in values(model).items():
        assert 0.09 < np.abs(w).max() <= 0.1, name
        if w.size > 9000:
            assert abs(w.std() - 0.1 / np.sqrt(3)) < 1e-3, name


@every_kind
def test_dropout_acts_between_layers_and_in_training_alone(layer, step):
    model, x = layer(D, H, 2, dropout=0.5, dtype="float64"), sequence()
    etude.manual_seed(0)
    one, other = run(model, x)[0], run(model, x)[0]
    assert not np.array_equal(one, other)
    expected = by_hand.recurrent(step, values(model), x, 2, H)
    close(run(model.eval(), x), expected)
    single = layer(D, H, 1, dropout=0.5, dtype="float64")  # there is nothing between
    assert np.array_equal(run(single, x)[0], run(single, x)[0])


def both_ways(step, w, x, layers, h0, c0):
    """As by_hand.recurrent: every layer reads x, and x from its end, and gives both outputs on."""
    last = []
    for i in range(layers):
        outputs = []
        for way in ("", "_reverse"):
            mine = {k.replace(f"_l{i}{way}", "_l0"): v for k, v in w.items()
                    if k.endswith(f"_l{i}{way}")}
            at, turn = slice(len(last), len(last) + 1), slice(None, None, -1 if way else 1)
            y, h, c = by_hand.recurrent(step, mine, x[turn], 1, H, h0[at], c0[at])
            outputs.append(y[turn])
            last.append((h, c))
        x = np.concatenate(outputs, -1)
    return x, *(np.concatenate(part) for part in zip(*last, strict=True))


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_a_bidirectional_layer_reads_from_both_ends(layer, step, layers):
    model = layer(D, H, layers, bidirectional=True, dtype="float64")
    x, (h, c) = sequence(), states(2 * layers)
    close(run(model, x, h, c), both_ways(step, values(model), x, layers, h, c))
    close(run(model, x), both_ways(step, values(model), x, layers, 0 * h, 0 * c))


@every_kind
def test_the_weights_of_the_way_back_have_pytorchs_names_shapes_and_order(layer, step):
    model = layer(D, H, 2, bidirectional=True)
    rows = layer.gates * H
    one = {"weight_ih_l0": (rows, D), "weight_hh_l0": (rows, H),
           "bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    two = {k.replace("l0", "l1"): (rows, 2 * H) if "ih" in k and "weight" in k else shape
           for k, shape in one.items()}
    expected = [(name + way, shape) for part in (one, two) for way in ("", "_reverse")
                for name, shape in part.items()]
    assert [(k, v.shape) for k, v in values(model).items()] == expected


@every_kind
@pytest.mark.parametrize("settings", [{}, {"batch_first": True}, {"bidirectional": True}], ids=str)
def test_one_sequence_alone_is_a_batch_of_one_without_its_axis(layer, step, settings):
    model = layer(D, H, 2, dtype="float64", **settings)
    x, (h, c) = sequence()[:, 0], states(4 if model.bidirectional else 2)
    axis = 0 if model.batch_first else 1
    y, *last = run(model, np.expand_dims(x, axis), h[:, :1], c[:, :1])
    close(run(model, x, h[:, 0], c[:, 0]),
          [y.squeeze(axis), *(t if t is None else t.squeeze(1) for t in last)])


def test_an_rnn_may_cut_off_below_zero_instead():
    model = nn.RNN(D, H, nonlinearity="relu", dtype="float64")
    x, w = sequence(), values(model)

    def step(w, layer, x, h, c):
        sums = w["weight_ih_l0"] @ x + w["weight_hh_l0"] @ h + w["bias_ih_l0"] + w["bias_hh_l0"]
        return np.maximum(sums, 0), c

    close(run(model, x), by_hand.recurrent(step, w, x, 1, H))
    assert repr(model) == "RNN(2, 4, nonlinearity='relu')"


@every_kind
def test_dropout_acts_between_bidirectional_layers(layer, step):
    model = layer(D, H, 2, dropout=0.5, bidirectional=True, dtype="float64")
    x = sequence()
    assert not np.array_equal(run(model, x)[0], run(model, x)[0])
    assert np.array_equal(run(model.eval(), x)[0], run(model, x)[0])


@every_kind
def test_an_empty_batch_gives_an_empty_batch(layer, step):
    y, h, _ = run(layer(D, H, dtype="float64"), np.zeros((T, 0, D)))
    assert (y.shape, h.shape) == ((T, 0, H), (1, 0, H))


def test_an_lstm_that_forgets_nothing_and_lets_nothing_in_keeps_its_cell():
    model = nn.LSTM(D, H, dtype="float64")
    with etude.no_grad():
        for p in model.parameters():
            nn.init.zeros_(p)
        gate = np.repeat([-100.0, 100, 0, 100], H)  # input shut; forget, output open
        model.bias_ih_l0.copy_(etude.tensor(gate))
    h, c = states(1)
    y, _, last = run(model, sequence(), h, c)
    np.testing.assert_allclose(last, c, rtol=1e-12)
    np.testing.assert_allclose(y[0], np.tanh(c[0]), rtol=1e-12)


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: nn.RNN(2, 3)(etude.zeros(4)), ValueError,
     r"RNN: x must be \(T, N, D\) or, one sequence, \(T, D\), with D = 2, got \[4\]"),
    (lambda: nn.GRU(2, 3, batch_first=True)(etude.zeros(4, 2, 3)), ValueError,
     r"GRU: x must be \(N, T, D\) or, one sequence, \(T, D\), with D = 2, got \[4, 2, 3\]"),
    (lambda: nn.LSTM(2, 3)(etude.zeros(0, 1, 2)), ValueError, "the sequence has no steps"),
    (lambda: nn.RNN(2, 3, 2)(etude.zeros(4, 5, 2), etude.zeros(1, 5, 3)), ValueError,
     r"RNN: h_0 must be \(num_layers, N, H\) = \[2, 5, 3\], got \[1, 5, 3\]"),
    (lambda: nn.RNN(2, 3, 2)(etude.zeros(4, 5, 2), etude.zeros(2, 1, 3)), ValueError,
     r"h_0 must be .* got \[2, 1, 3\]"),
    (lambda: nn.LSTM(2, 3)(etude.zeros(4, 5, 2), (etude.zeros(1, 5, 3), etude.zeros(5, 3))),
     ValueError, r"LSTM: c_0 must be \(num_layers, N, H\) = \[1, 5, 3\], got \[5, 3\]"),
    (lambda: nn.LSTM(2, 3, 2)(etude.zeros(4, 5, 2), etude.zeros(2, 5, 3)), TypeError,
     r"the first state is a pair of Tensors, \(h_0, c_0\)"),
    (lambda: nn.GRU(2, 3, bidirectional=True)(etude.zeros(4, 5, 2), etude.zeros(1, 5, 3)),
     ValueError, r"GRU: h_0 must be \(2 num_layers, N, H\) = \[2, 5, 3\], got \[1, 5, 3\]"),
    (lambda: nn.RNN(2, 3)(etude.zeros(4, 2), etude.zeros(1, 1, 3)), ValueError,
     r"RNN: h_0 must be \(num_layers, H\) = \[1, 3\], got \[1, 1, 3\]"),
    (lambda: nn.RNN(2, 3, nonlinearity="sigmoid"), ValueError,
     "RNN: nonlinearity must be 'tanh' or 'relu', got 'sigmoid'"),
    (lambda: nn.LSTM(2, 3, proj_size=2), ValueError, "proj_size must be 0, got 2; a Linear after"),
    (lambda: nn.RNN(2, 0), ValueError, "RNN: hidden_size must be an integer >= 1, got 0"),
    (lambda: nn.RNN(2, 3, 2, dropout=1.0), ValueError, "0 <= dropout < 1, got 1.0"),
])
def test_what_cannot_be_read_is_refused_with_a_reason(make, error, message):
    with pytest.raises(error, match=message):
        make()

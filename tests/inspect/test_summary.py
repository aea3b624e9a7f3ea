"""etude.summary: shapes, parameters and costs, layer by layer; and it leaves no trace."""

import pytest

import etude
from etude import models, nn
from etude.core.errors import ShapeError


def rows(found):
    return {r.path: r for r in found.rows}


def test_the_numbers_of_an_mlp_are_those_computed_by_hand():
    found = etude.summary(models.mlp(64, 32, 10), (5, 1, 8, 8))
    assert found.parameters == 64 * 32 + 32 + 32 * 10 + 10 == found.trained
    by = rows(found)
    assert list(by) == ["", "0", "1", "2", "3"]
    assert by["1"].shape == (5, 32)
    assert by["1"].flops == 2 * 5 * 64 * 32
    assert by["3"].flops == 2 * 5 * 32 * 10
    assert by["2"].parameters == 0
    assert by["0"].flops == 0  # flattening is a view
    assert found.flops == sum(r.flops for r in found.rows[1:])
    assert found.memory == 4 * (5 * 32 * 2 + 5 * 10)
    assert found.parameter_bytes == 4 * found.parameters


def test_costs_are_those_of_a_receipt():
    model, x = models.lenet(), etude.zeros(3, 1, 8, 8)
    with etude.no_grad(), etude.receipt() as receipt:
        model.eval()(x)
    found = etude.summary(model, x)
    assert found.flops == sum(r.flops for r in receipt.rows())
    assert found.rows[0].bytes == sum(r.bytes for r in receipt.rows())


def test_a_layer_used_twice_is_counted_once_but_costs_twice():
    class Twice(nn.Module):
        def __init__(self):
            self.layer = self.again = nn.Linear(4, 4, bias=False)

        def forward(self, x):
            return self.again(self.layer(x))

    found = etude.summary(Twice(), (1, 4))
    assert found.parameters == 16
    assert rows(found)["layer"].calls == 2
    assert rows(found)["layer"].flops == 2 * 2 * 16
    assert "[1, 4] x 2" in str(found)


def test_what_is_never_called_says_so():
    class Half(nn.Module):
        def __init__(self):
            self.used, self.spare = nn.Linear(4, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.used(x)

    found = etude.summary(Half(), (1, 4))
    assert rows(found)["spare"].shape is None
    assert [line for line in str(found).splitlines() if "spare" in line and "not called" in line]


def test_tokens_are_tried_where_floats_are_refused():
    found = etude.summary(models.char_rnn(20, hidden=8), (2, 5))
    assert found.inputs == [((2, 5), "int64")]
    assert found.rows[0].shape == (2, 5, 20)


def test_it_leaves_modes_buffers_random_numbers_and_forward_as_they_were():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5).eval())

    def state():
        return ([m.training for m in model.modules()],
                [set(vars(m)) - {"training"} for m in model.modules()],
                {k: t.numpy().tobytes() for k, t in model.state_dict().items()},
                etude.core.random.default_generator.get_state())

    before = state()
    etude.summary(model, (2, 1, 5, 5))
    with pytest.raises(ShapeError):
        etude.summary(model, (2, 3, 5, 5))
    assert state() == before


def test_it_prints_a_table_that_fits_a_screen():
    text = str(etude.summary(models.lenet(), (1, 1, 8, 8)))
    assert text.splitlines()[0].split() == ["layer", "output", "parameters", "FLOPs", "memory"]
    assert "  0: Conv2d(1, 16, " in text
    assert "input float32[1, 1, 8, 8]: " in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


def test_several_inputs_are_given_as_tensors():
    class Add(nn.Module):
        def forward(self, x, y):
            return x + y

    assert etude.summary(Add(), etude.ones(2), etude.ones(2)).rows[0].shape == (2,)


def test_without_an_input_it_says_how():
    with pytest.raises(TypeError, match="summary needs an input: summary"):
        etude.summary(models.mlp(2, 2))
    assert etude.summary(models.mlp(2, 2), 1, 2).rows[0].shape == (1, 2)  # a shape, spelled out

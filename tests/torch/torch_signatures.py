"""Settings have PyTorch's names, order and defaults: what differs is listed here, and no more."""

import inspect

import pytest
import torch

from etude import nn, optim

#: PyTorch's settings that Etude has not.
LEFT_OUT = {
    "Embedding": {"max_norm", "norm_type", "scale_grad_by_freq", "sparse", "_weight", "_freeze"},
    "SGD": {"maximize", "foreach", "differentiable", "fused"},
    "Adam": {"amsgrad", "foreach", "maximize", "capturable", "differentiable", "fused",
             "decoupled_weight_decay"},
    "AdamW": {"amsgrad", "maximize", "foreach", "capturable", "differentiable", "fused"},
    "RMSprop": {"centered", "capturable", "foreach", "maximize", "differentiable"},
    "clip_grad_norm_": {"foreach"}, "clip_grad_value_": {"foreach"},
    **{name: {"last_epoch"} for name in optim.__all__ if name.endswith("LR")},
}

#: Etude's own, always behind PyTorch's.
OWN = {"Dropout": {"generator"}}

#: Other defaults: where PyTorch's None means that it guesses and warns.
DEFAULTS = {("Softmax", "dim"): -1, ("LogSoftmax", "dim"): -1}

RECURRENT = {
    "RNN": ("input_size hidden_size num_layers=1 nonlinearity='tanh' bias=True batch_first=False "
            "dropout=0.0 bidirectional=False device=None dtype=None"),
    "LSTM": ("input_size hidden_size num_layers=1 bias=True batch_first=False dropout=0.0 "
             "bidirectional=False proj_size=0 device=None dtype=None"),
    "GRU": ("input_size hidden_size num_layers=1 bias=True batch_first=False dropout=0.0 "
            "bidirectional=False device=None dtype=None"),
}


def settings(make):
    """(name, default) of each, the parameters of no use to a caller left out."""
    return [(p.name, p.default) for p in inspect.signature(make).parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def pairs():
    for name in nn.__all__:
        if isinstance(getattr(nn, name), type) and hasattr(torch.nn, name):
            yield name, getattr(nn, name), getattr(torch.nn, name)
    for name in optim.__all__:
        for lib in (torch.optim, torch.optim.lr_scheduler, torch.nn.utils):
            if hasattr(lib, name):
                yield name, getattr(optim, name), getattr(lib, name)
                break
    for name in dir(nn.init):
        if name.endswith("_") and not name.startswith("_") and hasattr(torch.nn.init, name):
            yield name, getattr(nn.init, name), getattr(torch.nn.init, name)


PAIRS = [p for p in pairs() if p[0] not in ("Module", "Parameter", "Optimizer", *RECURRENT)]


@pytest.mark.parametrize(("name", "mine", "theirs"), PAIRS, ids=[p[0] for p in PAIRS])
def test_settings_have_the_names_order_and_defaults_of_pytorch(name, mine, theirs):
    left_out, own = LEFT_OUT.get(name, set()), OWN.get(name, set())
    expected = [(k, DEFAULTS.get((name, k), v)) for k, v in settings(theirs) if k not in left_out]
    found = [(k, v) for k, v in settings(mine) if k not in own]
    assert found == expected
    assert left_out <= {k for k, _ in settings(theirs)}
    assert own <= {k for k, _ in settings(mine)[len(found):]}


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_have_those_that_pytorch_documents(name):
    words = [k if v is inspect.Parameter.empty else f"{k}={v!r}"
             for k, v in settings(getattr(nn, name))]
    assert " ".join(words) == RECURRENT[name]


def test_most_is_compared():
    assert len(PAIRS) > 50

"""Optimisers, schedulers and clipping beside PyTorch's, on given gradients."""

import numpy as np
import pytest
import torch
from beside import close, to_etude, to_torch

from etude import nn, optim

SHAPES = ((3, 2), (4,), ())
EXACT = {"rtol": 1e-13, "atol": 1e-15}


def parameters(seed=0):
    """The same parameters for both."""
    arrays = [np.random.default_rng(seed).standard_normal(s) for s in SHAPES]
    return ([nn.Parameter(to_etude(np.asarray(a))) for a in arrays],
            [torch.nn.Parameter(to_torch(np.asarray(a))) for a in arrays])


def gradients(mine, theirs, rng, scale=1.0):
    for p, q in zip(mine, theirs, strict=True):
        g = np.asarray(scale * rng.standard_normal(p.shape))
        p.grad, q.grad = to_etude(g), to_torch(g)


OPTIMISERS = [
    ("SGD", {"lr": 0.1}), ("SGD", {"lr": 0.1, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}), ("SGD", {"lr": 0.1, "dampening": 0.5}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2, "nesterov": True}),
    ("Adam", {}), ("Adam", {"lr": 0.1, "weight_decay": 0.2}),
    ("Adam", {"lr": 0.1, "betas": (0.0, 0.5), "eps": 0.1}),
    ("AdamW", {}), ("AdamW", {"lr": 0.1, "betas": (0.5, 0.8), "eps": 1e-3, "weight_decay": 0.2}),
    ("RMSprop", {}), ("RMSprop", {"lr": 0.1, "alpha": 0.5, "eps": 1e-3, "weight_decay": 0.2}),
    ("RMSprop", {"lr": 0.1, "momentum": 0.9}),
]


@pytest.mark.parametrize(("name", "settings"), OPTIMISERS, ids=str)
def test_50_steps_are_the_same(name, settings):
    mine, theirs = parameters()
    steps = getattr(optim, name)(mine, **settings)
    if "lr" not in settings:  # the other defaults are compared; this one PyTorch's SGD lacks
        assert steps.param_groups[0]["lr"] == getattr(torch.optim, name)(theirs).defaults["lr"]
    their_steps = getattr(torch.optim, name)(theirs, **settings)
    rng = np.random.default_rng(1)
    for i in range(50):
        gradients(mine, theirs, rng)
        if i % 7 == 3:  # a parameter that had no gradient counts no step
            mine[1].grad = theirs[1].grad = None
        steps.step()
        their_steps.step()
    for p, q in zip(mine, theirs, strict=True):
        close(p, q, **EXACT)


def test_groups_are_treated_alike():
    (p, q, r), (a, b, c) = parameters()
    steps = optim.AdamW([{"params": [p, q], "lr": 0.1}, {"params": r, "weight_decay": 0.0}])
    their_steps = torch.optim.AdamW([{"params": [a, b], "lr": 0.1},
                                     {"params": [c], "weight_decay": 0.0}])
    schedules = [optim.StepLR(steps, 4, 0.5), torch.optim.lr_scheduler.StepLR(their_steps, 4, 0.5)]
    rng = np.random.default_rng(1)
    for _ in range(20):
        gradients([p, q, r], [a, b, c], rng)
        for s in (steps, their_steps, *schedules):
            s.step()
    for mine, theirs in ((p, a), (q, b), (r, c)):
        close(mine, theirs, **EXACT)
    assert schedules[0].get_last_lr() == pytest.approx(schedules[1].get_last_lr(), rel=1e-13)


# ------------------------------------------------------------------ schedules

S = torch.optim.lr_scheduler
SCHEDULES = {
    "step": lambda lib, on: lib.StepLR(on, 7, 0.3),
    "cosine": lambda lib, on: lib.CosineAnnealingLR(on, 13, 0.01),
    "linear": lambda lib, on: lib.LinearLR(on, 0.1, 0.7, 9),
    "linear-default": lambda lib, on: lib.LinearLR(on),
    "multi-step": lambda lib, on: lib.MultiStepLR(on, [3, 20, 20, 44], 0.4),
    "exponential": lambda lib, on: lib.ExponentialLR(on, 0.95),
    "one-cycle": lambda lib, on: lib.OneCycleLR(on, 0.9, 61),
    "one-cycle-late": lambda lib, on: lib.OneCycleLR(on, 0.9, 61, pct_start=0.9, div_factor=3,
                                                     final_div_factor=7),
    "one-cycle-at-once": lambda lib, on: lib.OneCycleLR(on, 0.9, 61, pct_start=0.01),
    "one-cycle-straight": lambda lib, on: lib.OneCycleLR(
        on, [0.9, 0.5], None, 7, 9, 0.4, "linear", False),
    "one-cycle-in-three": lambda lib, on: lib.OneCycleLR(
        on, 0.9, 61, pct_start=0.3, base_momentum=0.1, max_momentum=0.6, three_phase=True),
    "sequential": lambda lib, on: lib.SequentialLR(
        on, [lib.LinearLR(on, 0.2, total_iters=5), lib.CosineAnnealingLR(on, 20, 0.05),
             lib.StepLR(on, 4, 0.5)], [5, 25]),
}


def rates(lib, make, on, steps, metrics=None):
    schedule = make(lib, on)
    found = [[g[k] for g in on.param_groups for k in ("lr", "momentum")]]
    for i in range(steps):
        on.step()
        schedule.step(*([metrics[i]] if metrics else []))
        found.append([g[k] for g in on.param_groups for k in ("lr", "momentum")])
    return found


def both(lr=0.5):
    mine, theirs = parameters()
    groups = ([{"params": ps[:2]}, {"params": ps[2:], "lr": 0.2}] for ps in (mine, theirs))
    return [lib.SGD(g, lr=lr) for lib, g in zip((optim, torch.optim), groups, strict=True)]


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_60_rates_are_the_same(make):
    mine, theirs = both()
    np.testing.assert_allclose(rates(optim, make, mine, 60), rates(S, make, theirs, 60),
                               rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("settings", [
    {}, {"patience": 0}, {"patience": 2, "factor": 0.5, "min_lr": 0.05},
    {"mode": "max", "patience": 1, "threshold": 0.1}, {"min_lr": 0.3, "patience": 1},
    {"patience": 1, "cooldown": 2, "min_lr": [0.1, 0.01], "eps": 0.01},
    {"patience": 1, "threshold": 0.2, "threshold_mode": "abs"}], ids=str)
@pytest.mark.parametrize("bad", [[], [float("nan")], [float("inf")]], ids=str)
def test_plateaus_are_found_alike(settings, bad):
    metrics = [*bad, *np.random.default_rng(0).uniform(1, 2, 30), *bad, *bad,
               *np.random.default_rng(1).uniform(0.5, 1.5, 30)]
    if settings.get("mode") == "max":  # infinity is then the best there is
        metrics = [m for m in metrics if m != float("inf")]
    mine, theirs = both()
    found, expected = (rates(lib, lambda lib, on: lib.ReduceLROnPlateau(on, **settings), on,
                             len(metrics), metrics)
                       for lib, on in ((optim, mine), (S, theirs)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# ------------------------------------------------------------------ clipping


@pytest.mark.parametrize("kind", [2, 1, 3.5, np.inf])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_clipping_by_norm_and_by_value(scale, kind):
    mine, theirs = parameters()
    gradients(mine, theirs, np.random.default_rng(0), scale)
    norm = optim.clip_grad_norm_(mine, 2.0, kind)
    other = torch.nn.utils.clip_grad_norm_(theirs, 2.0, kind)
    assert norm == pytest.approx(float(other), rel=1e-13)
    for p, q in zip(mine, theirs, strict=True):
        close(p.grad, q.grad, **EXACT)
    optim.clip_grad_value_(mine, 0.5)
    torch.nn.utils.clip_grad_value_(theirs, 0.5)
    for p, q in zip(mine, theirs, strict=True):
        close(p.grad, q.grad, **EXACT)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_clipping_what_is_not_finite(bad):
    mine, theirs = parameters()
    gradients(mine, theirs, np.random.default_rng(0))
    g = np.array([1.0, bad, 2.0, 3.0])
    mine[1].grad, theirs[1].grad = to_etude(g), to_torch(g)
    with np.errstate(invalid="ignore"):
        norm = optim.clip_grad_norm_(mine, 1.0)
    np.testing.assert_equal(norm, float(torch.nn.utils.clip_grad_norm_(theirs, 1.0)))
    for p, q in zip(mine, theirs, strict=True):
        close(p.grad, q.grad)

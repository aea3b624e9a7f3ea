"""Schedules against closed forms over many steps, put one after another, and resumed."""

import json
import math

import numpy as np
import pytest

import etude
from etude import nn, optim


def optimizer(*rates):
    return optim.SGD([{"params": nn.Parameter(etude.zeros(1)), "lr": lr} for lr in rates or [0.5]])


def path(scheduler, steps, *args):
    """The first group's rate at steps 0 .. ``steps``."""
    found = [scheduler.get_last_lr()[0]]
    for _ in range(steps):
        scheduler.step(*args)
        found.append(scheduler.get_last_lr()[0])
    return found


def close(found, expected):
    assert found == pytest.approx(expected, rel=1e-13, abs=1e-18)


@pytest.mark.parametrize("size", [1, 3, 10])
def test_step_lr_multiplies_every_so_many_steps(size):
    found = path(optim.StepLR(optimizer(), size, gamma=0.5), 40)
    close(found, [0.5 * 0.5 ** (i // size) for i in range(41)])


@pytest.mark.parametrize(("total", "least"), [(10, 0.0), (7, 0.05), (1, 0.0)])
def test_cosine_goes_down_to_the_least_and_up_again(total, least):
    found = path(optim.CosineAnnealingLR(optimizer(), total, least), 4 * total)
    close(found, [least + (0.5 - least) * (1 + math.cos(math.pi * i / total)) / 2
                  for i in range(4 * total + 1)])
    assert found[total] == pytest.approx(least, abs=1e-17)
    assert found[2 * total] == pytest.approx(0.5)
    assert min(found) == pytest.approx(least, abs=1e-17)


@pytest.mark.parametrize(("start", "end", "total"), [(0.1, 1.0, 5), (1.0, 0.0, 4), (1 / 3, 1, 1)])
def test_linear_warms_up_and_stays(start, end, total):
    found = path(optim.LinearLR(optimizer(), start, end, total), 20)
    close(found, [0.5 * (start + (end - start) * min(i, total) / total) for i in range(21)])
    assert found[-1] == 0.5 * end


@pytest.mark.parametrize(("total", "share"), [(100, 0.3), (10, 0.5), (7, 0.9), (3, 0.1)])
def test_one_cycle_rises_to_the_peak_and_falls_to_next_to_nothing(total, share):
    schedule = optim.OneCycleLR(optimizer(), 0.2, total, pct_start=share, div_factor=10,
                                final_div_factor=100)
    found = path(schedule, total - 1)
    peak = share * total - 1

    def expected(i):
        if i <= peak:
            return 0.02 + 0.18 * (1 - math.cos(math.pi * i / peak)) / 2
        return 0.0002 + 0.1998 * (1 + math.cos(math.pi * (i - peak) / (total - 1 - peak))) / 2

    close(found, [expected(i) for i in range(total)])
    assert found[-1] == pytest.approx(0.0002)
    if peak >= 1:
        assert found[0] == pytest.approx(0.02)
        top = found.index(max(found))
        assert abs(top - peak) <= 1
        assert found[: top + 1] == sorted(found[: top + 1])
        assert found[top:] == sorted(found[top:], reverse=True)
    assert path(schedule, 5)[1:] == [found[-1]] * 5  # beyond the end it stays


@pytest.mark.parametrize("total", [1, 2])
def test_the_shortest_cycles_do_not_divide_by_zero(total):
    found = path(optim.OneCycleLR(optimizer(), 0.2, total, pct_start=0.5), total)
    assert found[-1] == pytest.approx(0.2 / 25 / 1e4)


def test_one_cycle_counts_epochs_too_and_takes_a_peak_for_each_group():
    by_steps = optim.OneCycleLR(optimizer(), 0.2, 12)
    by_epochs = optim.OneCycleLR(optimizer(), [0.2], epochs=3, steps_per_epoch=4)
    assert path(by_steps, 11) == path(by_epochs, 11)
    two = optim.OneCycleLR(optimizer(0.1, 0.2), [0.25, 0.5], 10)
    close(two.get_last_lr(), [0.01, 0.02])


def momenta(make, on, steps):
    schedule, found = make(on), []
    for _ in range(steps):
        group = on.param_groups[0]
        found.append(group["betas"][0] if "betas" in group else group["momentum"])
        schedule.step()
    return found


def test_one_cycle_lets_the_momentum_go_the_other_way():
    rising = momenta(lambda on: optim.OneCycleLR(
        on, 0.2, 11, pct_start=0.5, anneal_strategy="linear", base_momentum=0.5,
        max_momentum=0.9), optimizer(), 11)
    peak = 0.5 * 11 - 1
    close(rising, [0.9 - 0.4 * i / peak if i <= peak else 0.5 + 0.4 * (i - peak) / (10 - peak)
                   for i in range(11)])
    adam = optim.AdamW([nn.Parameter(etude.zeros(1))], 0.1, (0.3, 0.99))
    assert momenta(lambda on: optim.OneCycleLR(on, 0.2, 10, cycle_momentum=False), adam, 3) == [
        0.3] * 3
    assert momenta(lambda on: optim.OneCycleLR(on, 0.2, 10), adam, 1) == [0.95]
    assert adam.param_groups[0]["betas"][1] == 0.99


def test_one_cycle_of_three_phases_comes_back_before_it_ends():
    found = path(optim.OneCycleLR(optimizer(), 0.2, 21, pct_start=0.25, anneal_strategy="linear",
                                  div_factor=10, final_div_factor=100, three_phase=True), 20)
    peak = 0.25 * 21 - 1

    def expected(i):
        if i <= peak:
            return 0.02 + 0.18 * i / peak
        if i <= 2 * peak:
            return 0.2 - 0.18 * (i - peak) / peak
        return 0.02 - 0.0198 * (i - 2 * peak) / (20 - 2 * peak)

    close(found, [expected(i) for i in range(21)])


@pytest.mark.parametrize("milestones", [[3], [2, 5, 9], [5, 2]])
def test_multi_step_multiplies_at_each_milestone(milestones):
    found = path(optim.MultiStepLR(optimizer(), milestones, gamma=0.5), 12)
    close(found, [0.5 * 0.5 ** sum(i >= m for m in milestones) for i in range(13)])


def test_exponential_multiplies_at_every_step():
    close(path(optim.ExponentialLR(optimizer(), 0.9), 20), [0.5 * 0.9**i for i in range(21)])


def test_every_group_keeps_its_own_base():
    groups = optimizer(0.5, 0.1)
    schedule = optim.StepLR(groups, 1, 0.5)
    schedule.step()
    assert [g["lr"] for g in groups.param_groups] == schedule.get_last_lr() == [0.25, 0.05]


def test_the_optimiser_steps_with_the_scheduled_rate():
    p = nn.Parameter(etude.zeros(1, dtype="float64"))
    steps = optim.SGD([p], lr=1.0)
    schedule = optim.StepLR(steps, 1, 0.5)
    for _ in range(3):
        p.grad = etude.ones(1, dtype="float64")
        steps.step()
        schedule.step()
    assert p.item() == -(1 + 0.5 + 0.25)


# ------------------------------------------------------------------ one after another


def chain(on):
    return optim.SequentialLR(on, [optim.LinearLR(on, 0.1, total_iters=4),
                                   optim.CosineAnnealingLR(on, 6), optim.StepLR(on, 2, 0.5)],
                              [4, 10])


def chained(i, base=0.5):
    if i < 4:
        return base * (0.1 + 0.9 * i / 4)
    if i < 10:
        return base * (1 + math.cos(math.pi * (i - 4) / 6)) / 2
    return base * 0.5 ** ((i - 10) // 2)


def test_sequential_runs_each_from_its_own_beginning():
    close(path(chain(optimizer()), 20), [chained(i) for i in range(21)])


def test_sequential_starts_all_from_the_first_rates_of_every_group():
    groups = optimizer(0.5, 0.1)
    schedule = chain(groups)
    for i in range(15):
        close(schedule.get_last_lr(), [chained(i), chained(i, 0.1)])
        schedule.step()


def test_sequential_goes_on_after_a_resume_into_an_optimiser_at_another_rate():
    first = optimizer()
    schedule = chain(first)
    path(schedule, 7)
    again = optimizer()
    again.load_state_dict(first.state_dict())  # its rate is no longer the base
    resumed = chain(again)
    resumed.load_state_dict(schedule.state_dict())
    close(path(resumed, 10), [chained(i) for i in range(7, 18)])


def test_a_sequence_within_a_sequence():
    on = optimizer()
    inner = optim.SequentialLR(on, [optim.LinearLR(on, 0.5, total_iters=2),
                                    optim.StepLR(on, 1, 0.5)], [2])
    outer = optim.SequentialLR(on, [inner, optim.StepLR(on, 100)], [4])
    close(path(outer, 5), [0.25, 0.375, 0.5, 0.25, 0.5, 0.5])


@pytest.mark.parametrize(("count", "milestones"), [(2, []), (2, [3, 5]), (3, [5, 3]), (3, [4, 4]),
                                                   (0, [])])
def test_sequential_needs_rising_milestones(count, milestones):
    on = optimizer()
    with pytest.raises(ValueError, match="n schedulers need n - 1 rising milestones, got"):
        optim.SequentialLR(on, [optim.StepLR(on, 1) for _ in range(count)], milestones)


def test_sequential_has_no_place_for_a_plateau():
    on = optimizer()
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a metric at each step"):
        optim.SequentialLR(on, [optim.StepLR(on, 1), optim.ReduceLROnPlateau(on)], [2])


# ------------------------------------------------------------------ plateau


def plateau(metrics, **settings):
    schedule = optim.ReduceLROnPlateau(optimizer(), **{"factor": 0.5, "patience": 1, **settings})
    return [path(schedule, 1, m)[1] for m in metrics]


def test_plateau_waits_for_patience_and_counts_from_the_cut():
    assert plateau([3, 3, 3, 3, 3, 3]) == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert plateau([3, 2, 3, 1, 3, 3]) == [0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert plateau([3, 3], patience=0) == [0.5, 0.25]


def test_plateau_asks_for_an_improvement_by_the_threshold():
    assert plateau([100, 99.5, 99.4], threshold=0.01) == [0.5, 0.5, 0.25]
    assert plateau([100, 98.9, 97.8], threshold=0.01) == [0.5, 0.5, 0.5]
    assert plateau([-100, -100.5, -100.6], threshold=0.01) == [0.5, 0.5, 0.25]


def test_plateau_of_a_metric_that_should_grow():
    assert plateau([1, 2, 3, 3, 2], mode="max") == [0.5, 0.5, 0.5, 0.5, 0.25]
    assert plateau([-3, -2, -1], mode="max") == [0.5, 0.5, 0.5]


def test_plateau_falls_no_lower_than_the_least_and_never_rises():
    assert plateau([1] * 7, patience=0, min_lr=0.1)[-3:] == [0.1] * 3
    assert plateau([1] * 4, patience=0, min_lr=0.7) == [0.5] * 4


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_plateau_takes_a_bad_metric_for_no_improvement_and_forgets_it(bad):
    assert plateau([bad, 3, 2, 1, 0.5]) == [0.5] * 5
    assert plateau([bad, bad, 1]) == [0.5, 0.25, 0.25]
    assert plateau([3, bad, 2, bad, bad]) == [0.5, 0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("one", [np.float32, np.array, lambda m: etude.tensor(m) * 1,
                                 lambda m: etude.tensor([m], requires_grad=True) * 1.0])
def test_plateau_takes_a_tensor_or_a_number_of_numpy_and_keeps_a_float(one):
    schedule = optim.ReduceLROnPlateau(optimizer(), patience=0)
    schedule.step(one(3.0))
    schedule.step(one(2.0))
    assert (schedule.best, type(schedule.best), schedule.cuts) == (2, float, 0)
    json.dumps(schedule.state_dict())
    with pytest.raises(TypeError, match="the metric must be a number, got"):
        schedule.step(etude.ones(2))


def test_plateau_asks_for_an_improvement_by_an_amount():
    assert plateau([3, 2.9, 2.8], threshold=0.5, threshold_mode="abs") == [0.5, 0.5, 0.25]
    assert plateau([3, 2.4, 1.8], threshold=0.5, threshold_mode="abs") == [0.5, 0.5, 0.5]
    assert plateau([0, 1, 2], mode="max", threshold=1, threshold_mode="abs") == [0.5, 0.5, 0.5]


def test_plateau_rests_after_a_cut():
    assert plateau([1] * 7, patience=0, cooldown=2) == [0.5, *[0.25] * 3, *[0.125] * 3]
    assert plateau([1] * 4, patience=0, cooldown=0) == [0.5, 0.25, 0.125, 0.0625]


def test_plateau_has_a_least_rate_for_each_group_and_leaves_out_what_is_no_cut():
    on = optimizer(0.5, 0.4)
    schedule = optim.ReduceLROnPlateau(on, factor=0.5, patience=0, min_lr=[0.1, 0.3], eps=0.03)
    for _ in range(5):
        schedule.step(1.0)
    assert schedule.get_last_lr() == [0.125, 0.3]  # from 0.125 to 0.1 it is less than eps


def test_plateau_needs_the_metric():
    with pytest.raises(ValueError, match=r"needs the metric: scheduler.step\(loss\)"):
        optim.ReduceLROnPlateau(optimizer()).step()


# ------------------------------------------------------------------ saving, and errors

MAKE = {
    "step": lambda on: optim.StepLR(on, 3, 0.5),
    "cosine": lambda on: optim.CosineAnnealingLR(on, 8, 0.01),
    "linear": lambda on: optim.LinearLR(on, 0.1, total_iters=12),
    "one-cycle": lambda on: optim.OneCycleLR(on, 0.2, 18),
    "multi-step": lambda on: optim.MultiStepLR(on, [2, 7], 0.5),
    "exponential": lambda on: optim.ExponentialLR(on, 0.9),
    "one-cycle-in-three": lambda on: optim.OneCycleLR(on, 0.2, 18, three_phase=True),
    "plateau": lambda on: optim.ReduceLROnPlateau(on, factor=0.5, patience=1),
    "plateau-at-rest": lambda on: optim.ReduceLROnPlateau(on, "min", 0.5, 0, cooldown=2),
    "sequential": chain,
}
METRICS = [5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1]


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_schedule_that_is_saved_as_json_goes_on_where_it_was(make):
    def go(schedule, metrics):
        plateau = isinstance(schedule, optim.ReduceLROnPlateau)
        return [path(schedule, 1, *([m] if plateau else []))[1] for m in metrics]

    whole = go(make(optimizer()), METRICS)
    for at in (0, 5, 11):
        first, on = make(optimizer()), optimizer(0.123)
        assert go(first, METRICS[:at]) == whole[:at]
        second = make(on)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert on.param_groups[0]["lr"] == first.get_last_lr()[0]
        assert go(second, METRICS[at:]) == whole[at:]


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_state_of_other_groups_is_refused_and_nothing_changes(make):
    schedule = make(optimizer(0.5, 0.1))
    before, state = schedule.get_last_lr(), make(optimizer()).state_dict()
    with pytest.raises(ValueError, match="the state is of 1 parameter groups, this scheduler has"):
        schedule.load_state_dict({**state, "count": 9})
    assert schedule.get_last_lr() == before
    assert schedule.count == 0


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_a_state_that_no_schedule_has_is_refused_and_nothing_changes(make):
    schedule = make(optimizer(0.5))
    before, state = schedule.get_last_lr(), schedule.state_dict()
    wrong = [{"base": [-1.0]}, {"base": [math.nan]}, {"base": ["x"]}, {"base": None},
             {"count": -1}, {"count": 1.5}, {"count": None}]
    wrong += [{name: "x"} for name in state]
    for change in wrong:
        with pytest.raises((ValueError, TypeError)):
            schedule.load_state_dict({**state, **change})
        assert schedule.state_dict() == state
        assert schedule.get_last_lr() == before
    with pytest.raises(KeyError):
        schedule.load_state_dict({"base": [0.5]})


def test_a_count_for_which_there_is_no_rate_is_refused_and_nothing_changes():
    schedule = optim.StepLR(optimizer(0.5), 1, 2.0)
    state = schedule.state_dict()
    with pytest.raises(OverflowError):
        schedule.load_state_dict({**state, "count": 10**6})
    assert schedule.state_dict() == state
    assert schedule.get_last_lr() == [0.5]


@pytest.mark.parametrize("make", [
    lambda on, x: optim.StepLR(on, 1, x(0.3)),
    lambda on, x: optim.CosineAnnealingLR(on, 8, x(0.01)),
    lambda on, x: optim.LinearLR(on, x(0.1), x(0.7)),
    lambda on, x: optim.OneCycleLR(on, x(0.2), 18, None, None, x(0.3), "cos", True, x(0.85),
                                   x(0.95), x(20.0), x(1e3)),
    lambda on, x: optim.ReduceLROnPlateau(on, "min", x(0.3), 0, x(0.1), "rel", 0, x(0.001),
                                          x(1e-8)),
    lambda on, x: optim.MultiStepLR(on, [2, 4], x(0.3)),
    lambda on, x: optim.ExponentialLR(on, x(0.3)),
])
def test_settings_of_numpy_and_tensors_become_floats(make):
    def rates(kind):
        on = optimizer()
        schedule, found = make(on, kind), []
        for _ in range(6):
            schedule.step(*([1.0] if isinstance(schedule, optim.ReduceLROnPlateau) else []))
            found.append(on.param_groups[0]["lr"])
        return found

    assert {type(r) for r in rates(np.float64)} == {float}
    assert rates(np.float64) == rates(float)
    assert {type(r) for r in rates(np.float32)} == {float}
    np.testing.assert_allclose(rates(lambda v: etude.tensor(v, requires_grad=True)), rates(float),
                               rtol=1e-5)


@pytest.mark.parametrize(("make", "message"), [
    (lambda on: optim.StepLR(on, 0), "step_size must be an integer >= 1, got 0"),
    (lambda on: optim.CosineAnnealingLR(on, 2.5), "T_max must be an integer >= 1, got 2.5"),
    (lambda on: optim.LinearLR(on, 0.0), r"start_factor must be in \(0, 1\]"),
    (lambda on: optim.LinearLR(on, total_iters=0), "total_iters must be an integer >= 1"),
    (lambda on: optim.OneCycleLR(on, 0.1, 10, pct_start=1.0),
     "pct_start must be between 0 and 1, got 1.0"),
    (lambda on: optim.OneCycleLR(on, 0.1, epochs=3), "total_steps, or epochs and steps_per_epoch"),
    (lambda on: optim.OneCycleLR(on, [0.1, 0.2], 9), "max_lr is one number, or one for each of th"),
    (lambda on: optim.OneCycleLR(on, 0.1, 9, anneal_strategy="cosine"),
     "anneal_strategy must be 'cos' or 'linear', got 'cosine'"),
    (lambda on: optim.ReduceLROnPlateau(on, threshold_mode="share"),
     "threshold_mode must be 'rel' or 'abs', got 'share'"),
    (lambda on: optim.MultiStepLR(on, [2.5]), "a milestone must be an integer >= 0, got 2.5"),
    (lambda on: optim.SequentialLR(on, [optim.ExponentialLR(optimizer(), 0.5)], []),
     "all schedulers must be made for its own optimiser"),
    (lambda on: optim.OneCycleLR(on, 0.1, 0), "total_steps must be an integer >= 1, got 0"),
    (lambda on: optim.ReduceLROnPlateau(on, "most"), "mode must be 'min' or 'max', got 'most'"),
    (lambda on: optim.ReduceLROnPlateau(on, factor=1.0), "factor must be between 0 and 1"),
])
def test_settings_out_of_range_are_refused_and_the_rate_is_left_alone(make, message):
    on = optimizer()
    with pytest.raises(ValueError, match=message):
        make(on)
    assert on.param_groups[0]["lr"] == 0.5

"""What fit does beside the loop: validation, metrics, clipping, schedules, callbacks, stopping."""

import math

import numpy as np
import pytest

import etude
from etude import data, models, optim, train


def parts(lr=1e-2, batch_size=200):
    etude.manual_seed(0)
    model = models.mlp(64, 16, 10)
    loader = data.DataLoader(data.digits("train"), batch_size, shuffle=True, seed=1)
    return model, loader, optim.SGD(model.parameters(), lr=lr)


def held_out():
    train_set, validation = data.digits("test"), data.digits("train")
    return data.DataLoader(train_set, 355), data.DataLoader(validation, 1000)


class Log(train.Callback):
    """Remembers when it was called, and may stop the run."""

    def __init__(self, stop_at=0):
        self.calls, self.stop_at = [], stop_at

    def on_step(self, run):
        self.calls.append(("step", run.step, run.epoch, run.batch))
        if run.step == self.stop_at:
            run.stop = "enough"

    def on_epoch(self, run):
        self.calls.append(("epoch", run.history.epochs[-1].number))


def test_callbacks_hear_of_each_step_and_epoch_in_order():
    model, loader, optimizer = parts()
    log = Log()
    train.fit(model, loader, optimizer, epochs=2, progress=False, callbacks=[log])
    steps = [("step", 8 * e + b, e + 1, b) for e in range(2) for b in range(1, 9)]
    assert log.calls == [*steps[:8], ("epoch", 1), *steps[8:], ("epoch", 2)]


def test_callbacks_come_from_any_iterable_that_has_an_order():
    model, loader, optimizer = parts()
    log = Log()
    train.fit(model, loader, optimizer, epochs=2, progress=False, callbacks=iter([log]))
    assert len(log.calls) == 18  # an iterator is used up after one pass, and there are many
    with pytest.raises(TypeError, match="fit: callbacks: needs an order, and a set has another"):
        train.fit(model, loader, optimizer, progress=False, callbacks={log})


@pytest.mark.parametrize(("given", "called"), [([Log], "the class Log"), ("tb", "'t'"),
                                               ([print], "builtin_function_or_method")])
def test_what_is_no_callback_is_an_error_before_the_first_step(given, called):
    model, loader, optimizer = parts()
    with pytest.raises(TypeError, match=f"fit: callbacks: give objects of subclasses .* {called}"):
        train.fit(model, loader, optimizer, progress=False, callbacks=given)


def test_a_callback_ends_a_run_with_a_reason(capsys):
    model, loader, optimizer = parts()
    history = train.fit(model, loader, optimizer, epochs=2, callbacks=[Log(stop_at=11)])
    assert len(history.loss) == 11
    assert [e.number for e in history.epochs] == [1]
    assert history.stopped == "enough"
    assert capsys.readouterr().out.splitlines()[-1] == "enough"


def test_validation_watches_and_the_test_comes_once_at_the_end(capsys):
    model, loader, optimizer = parts()
    test, validation = held_out()
    history = train.fit(model, loader, optimizer, epochs=2, test=test, validation=validation)
    assert [e.test for e in history.epochs] == [None, None]
    assert history.epochs[-1].validation == train.evaluate(model, validation)
    assert history.test == train.evaluate(model, test)
    lines = capsys.readouterr().out.splitlines()
    assert f"validation loss {history.epochs[0].validation.loss:.4f}" in lines[0]
    assert lines[-1] == f"test loss {history.test.loss:.4f}, " \
                        f"test accuracy {history.test.accuracy:.1%}"


def test_an_epoch_is_judged_by_validation_then_test_then_training():
    scores = [train.Evaluation(float(i), 0.0, 1, {"f1": i / 10}) for i in range(3)]
    epoch = train.Epoch(1, 0.0, 0.5, 1.0, metrics={"f1": 0.0})
    assert epoch.value("loss") == 0
    assert train.Epoch(1, 0.0, 0.5, 1.0, scores[1]).value("loss") == 1
    assert train.Epoch(1, 0.0, 0.5, 1.0, scores[1], {}, scores[2]).value("f1") == 0.2
    with pytest.raises(KeyError, match="'f2' was not measured; this run has loss, accuracy, f1"):
        epoch.value("f2")


def test_metrics_are_means_over_samples(capsys):
    model, loader, optimizer = parts(batch_size=1000)  # 1000 and 442 samples
    seen = []

    def sure(output, target):
        assert not etude.is_grad_enabled()
        seen.append(output.softmax(-1).amax(-1).mean().item())
        return seen[-1]

    history = train.fit(model, loader, optimizer, metrics={"sure": sure})
    assert math.isclose(history.epochs[0].metrics["sure"], np.average(seen, weights=[1000, 442]))
    assert f"sure {history.epochs[0].metrics['sure']:.4g}" in capsys.readouterr().out
    assert "sure" in train.evaluate(model, loader, metrics={"sure": sure}).metrics


def test_the_accuracy_of_a_sequence_counts_its_tokens():
    logits = etude.tensor(np.eye(3, dtype=np.float32)[[[0, 1], [2, 2]]])  # (2, 2, 3)
    found = train.record.accuracy(logits, etude.tensor([[0, 1], [2, 0]]))
    assert found == 0.75


def test_a_metric_may_be_a_tensor_and_is_kept_as_a_number():
    model, loader, optimizer = parts()
    made = {"tensor": lambda output, target: output.sum(), "numpy": lambda output, target:
            np.float32(1), "one": lambda output, target: output.sum().reshape(1)}
    history = train.fit(model, loader, optimizer, metrics=made, progress=False)
    assert [type(v) for v in history.epochs[0].metrics.values()] == [float] * 3
    for wrong in (lambda output, target: output, lambda output, target: None):
        with pytest.raises(TypeError, match="the metric 'wrong' must be a number, got"):
            train.fit(model, loader, optimizer, metrics={"wrong": wrong}, progress=False)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan])
def test_a_clip_norm_of_zero_is_an_error_and_no_frozen_run(bad):
    model, loader, optimizer = parts()
    before = [p.tolist() for p in model.parameters()]
    with pytest.raises(ValueError, match="fit: clip_norm must be > 0, got"):
        train.fit(model, loader, optimizer, clip_norm=bad, progress=False)
    assert [p.tolist() for p in model.parameters()] == before


def test_clipping_bounds_the_step():
    def largest_move(**options):
        model, loader, optimizer = parts(lr=1.0)
        before = [p.detach().clone().numpy() for p in model.parameters()]
        train.fit(model, [next(iter(loader))], optimizer, progress=False, **options)
        return math.sqrt(sum(float(((p.detach().numpy() - b) ** 2).sum())
                             for p, b in zip(model.parameters(), before, strict=True)))

    assert math.isclose(largest_move(clip_norm=1e-3), 1e-3, rel_tol=1e-3)
    assert largest_move() > 1e-2


class Rates(train.Callback):
    def __init__(self):
        self.steps, self.epochs = [], []

    def on_step(self, run):
        self.steps.append(run.optimizer.param_groups[0]["lr"])

    def on_epoch(self, run):
        self.epochs.append(run.optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("schedule", ["epoch", "step"])
def test_a_scheduler_steps_per_epoch_or_per_step(schedule):
    model, loader, optimizer = parts(lr=1.0)
    rates = Rates()
    train.fit(model, loader, optimizer, epochs=2, progress=False, callbacks=[rates],
              scheduler=optim.StepLR(optimizer, 1, 0.5), schedule=schedule)
    if schedule == "epoch":
        assert rates.steps == [1.0] * 8 + [0.5] * 8
        assert rates.epochs == [0.5, 0.25]
    else:
        assert rates.steps == [0.5**n for n in range(1, 17)]


def test_a_plateau_is_told_the_loss_that_watches_the_run():
    model, loader, optimizer = parts(lr=1e-9)  # it does not get better
    rates = Rates()
    train.fit(model, loader, optimizer, epochs=3, progress=False, callbacks=[rates],
              validation=held_out()[1],
              scheduler=optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.1, eps=0))
    assert np.allclose(rates.epochs, [1e-9, 1e-10, 1e-11], rtol=1e-6, atol=0)


def test_an_unknown_schedule_is_an_error():
    model, loader, optimizer = parts()
    with pytest.raises(ValueError, match="schedule must be 'epoch' or 'step', got 'batch'"):
        train.fit(model, loader, optimizer, schedule="batch")


# ------------------------------------------------------------------ early stopping


def feed(stopping, values, name="loss"):
    """Tell it of epochs with these values; returns the number of the one that stopped it."""
    class Fake:
        stop = ""
        history = train.History()

    run = Fake()
    run.history.epochs = []
    for number, value in enumerate(values, 1):
        metrics = {} if name in ("loss", "accuracy") else {name: value}
        run.history.epochs.append(train.Epoch(number, value, value, 1.0, metrics=metrics))
        stopping.on_epoch(run)
        if run.stop:
            return number, run.stop
    return None


def test_early_stopping_waits_for_patience_and_starts_anew_when_it_gets_better():
    assert feed(train.EarlyStopping(2), [3, 2, 2, 1, 1, 1, 0]) == (
        6, "stopped after epoch 6: loss has been no better than 1 for 2 epochs")
    assert feed(train.EarlyStopping(2), [3, 2, 2, 1, 1]) is None


def test_of_an_accuracy_more_is_better_and_of_a_metric_too_unless_told():
    assert feed(train.EarlyStopping(1, "accuracy"), [0.1, 0.2, 0.15])[0] == 3
    assert feed(train.EarlyStopping(1, "f1"), [0.1, 0.2, 0.3], "f1") is None
    assert feed(train.EarlyStopping(1, "error", mode="min"), [0.1, 0.2], "error")[0] == 2


def test_less_than_the_threshold_is_no_better():
    assert feed(train.EarlyStopping(1, threshold=0.1), [1.0, 0.95])[0] == 2


@pytest.mark.parametrize(("options", "message"), [
    ({"patience": 0}, "patience must be an integer >= 1, got 0"),
    ({"mode": "less"}, "mode must be 'min' or 'max', got 'less'")])
def test_its_settings_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        train.EarlyStopping(**options)


@pytest.mark.parametrize("change", [{"best": "x"}, {"best": None}, {"bad": -1}, {"bad": 0.5}])
def test_a_state_that_it_cannot_have_is_refused_and_nothing_changes(change):
    stopping = train.EarlyStopping(2)
    feed(stopping, [3, 2, 2])
    before = stopping.state_dict()
    with pytest.raises((ValueError, TypeError), match=f"EarlyStopping: {next(iter(change))} must"):
        stopping.load_state_dict({"best": 1.0, "bad": 0, **change})
    assert stopping.state_dict() == before == {"best": 2, "bad": 1}


def test_early_stopping_ends_fit(capsys):
    model, loader, optimizer = parts(lr=0.0)
    history = train.fit(model, loader, optimizer, epochs=9, test=held_out()[0],
                        callbacks=[train.EarlyStopping(2)])
    assert len(history.epochs) == 3
    assert history.stopped in capsys.readouterr().out

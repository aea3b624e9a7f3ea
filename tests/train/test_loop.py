"""The training loop: what it records, shows and refuses, and that a seed repeats a run."""

import builtins
import math

import numpy as np
import pytest

import etude
from etude import data, models, nn, optim, train


def small(seed=0, dropout=0.0, batch_size=128):
    etude.manual_seed(seed)
    layers = models.mlp(64, 16, 10)
    model = nn.Sequential(nn.Dropout(dropout), layers) if dropout else layers
    loader = data.DataLoader(data.digits("train"), batch_size, shuffle=True)
    return model, loader, optim.AdamW(model.parameters(), lr=1e-2)


def test_a_history_has_an_entry_for_each_step_and_each_epoch():
    model, loader, optimizer = small()
    history = train.fit(model, loader, optimizer, epochs=3, progress=False)
    steps = 3 * len(loader)
    assert len(history.loss) == len(history.accuracy) == len(history.seconds) == steps
    assert [e.number for e in history.epochs] == [1, 2, 3]
    assert all(s > 0 for s in history.seconds)
    assert not history.interrupted
    assert history.epochs[2].loss < history.epochs[0].loss
    assert history.epochs[2].accuracy > history.epochs[0].accuracy
    assert history.epochs[0].test is None


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples():
    model, loader, optimizer = small(batch_size=1000)  # batches of 1000 and 442
    history = train.fit(model, loader, optimizer, progress=False)
    epoch, sizes = history.epochs[0], [1000, 442]
    assert math.isclose(epoch.loss, np.average(history.loss, weights=sizes))
    assert math.isclose(epoch.accuracy, np.average(history.accuracy, weights=sizes))


def test_fit_does_what_the_loop_written_by_hand_does():
    model, loader, optimizer = small()
    history = train.fit(model, loader, optimizer, epochs=2, progress=False)
    twin, loader, optimizer = small()
    losses = []
    for _ in range(2):
        for x, y in loader:
            loss = etude.cross_entropy(twin(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert history.loss == losses
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(p.detach(), q.detach())


def test_one_seed_gives_one_run_bit_for_bit_dropout_included():
    def run(seed):
        model, loader, optimizer = small(seed, dropout=0.2)
        history = train.fit(model, loader, optimizer, epochs=2, progress=False,
                            test=data.DataLoader(data.digits("test"), 100))
        return history.loss, [p.tolist() for p in model.parameters()], history.epochs[-1].test

    assert run(3) == run(3)
    assert run(3)[0] != run(4)[0]


def test_evaluate_is_the_mean_over_all_samples_whatever_the_batches():
    model, _, _ = small()
    test = data.digits("test")
    found = [train.evaluate(model, data.DataLoader(test, n)) for n in (355, 50)]
    images, labels = test.tensors
    logits = model(images).detach().numpy()
    assert found[0].accuracy == (logits.argmax(1) == labels.numpy()).mean()
    assert found[0].samples == found[1].samples == 355
    assert math.isclose(found[0].accuracy, found[1].accuracy)
    assert math.isclose(found[0].loss, found[1].loss, rel_tol=1e-6)


def test_evaluate_is_in_eval_mode_and_leaves_the_mode_and_the_gradients():
    class Watch(nn.Module):
        def forward(self, x):
            modes.append((self.training, etude.is_grad_enabled()))
            return x

    modes = []
    frozen = nn.Dropout(0.5).eval()
    model = nn.Sequential(Watch(), frozen, nn.Flatten(), nn.Linear(64, 10))
    train.evaluate(model, data.DataLoader(data.digits("test"), 355))
    assert modes == [(False, False)]
    assert model.training
    assert not frozen.training
    assert model[3].weight.grad is None


def test_a_regression_has_a_loss_and_no_accuracy():
    x = etude.arange(8.0).reshape(8, 1)
    loader = data.DataLoader(data.TensorDataset(x, x * 2), 4)
    model = nn.Linear(1, 1)
    history = train.fit(model, loader, optim.AdamW(model.parameters(), lr=0.1, weight_decay=0),
                        loss=lambda y, t: ((y - t) ** 2).mean(), epochs=200, progress=False,
                        test=loader)
    assert history.epochs[-1].loss < 1e-2
    assert math.isnan(history.epochs[-1].accuracy)
    assert "accuracy" not in str(history.epochs[-1])
    assert abs(model.weight.item() - 2) < 0.1


# ------------------------------------------------------------------ what goes wrong


def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_model():
    model, loader, optimizer = small()
    batches = list(loader)
    x, y = batches[2]
    batches[2] = (etude.tensor(np.full(x.shape, np.nan, np.float32)), y)
    with pytest.raises(FloatingPointError) as error:
        train.fit(model, batches, optimizer, epochs=2, progress=False)
    assert str(error.value) == (
        "the loss is nan in epoch 1, step 3. Try a smaller learning rate; 'with "
        "etude.check_nan():' around the training names the first op that makes a NaN")
    assert all(np.isfinite(p.detach().numpy()).all() for p in model.parameters())


def test_a_learning_rate_far_too_high_ends_in_that_error():
    model, loader, _ = small()
    optimizer = optim.SGD(model.parameters(), lr=1e30)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="smaller learning"):
        train.fit(model, loader, optimizer, epochs=3, progress=False)


def test_a_loader_without_batches_is_an_error():
    model, loader, optimizer = small()
    with pytest.raises(ValueError, match="no batch, so there is nothing to train on"):
        train.fit(model, [], optimizer, progress=False)
    used_up = iter(loader)
    with pytest.raises(ValueError, match="A generator is used up after one pass"):
        train.fit(model, used_up, optimizer, epochs=2, progress=False)
    with pytest.raises(ValueError, match="nothing to evaluate"):
        train.evaluate(model, [])


def test_a_label_out_of_range_is_named():
    model, _, optimizer = small()
    batch = etude.zeros(2, 1, 8, 8), etude.tensor([0, 10])
    with pytest.raises(IndexError, match=r"target\[1\] is 10, but with 10 classes"):
        train.fit(model, [batch], optimizer, progress=False)


def test_an_empty_batch_is_an_error():
    model, _, optimizer = small()
    batch = etude.zeros(0, 1, 8, 8), etude.zeros(0, dtype="int64")
    with pytest.raises(ValueError, match="the batch is empty"):
        train.fit(model, [batch], optimizer, progress=False)


class Interrupting:
    """A loader during whose given batch somebody types Ctrl-C."""

    def __init__(self, loader, batch):
        self.loader, self.batch, self.count = loader, batch, 0

    def __iter__(self):
        for item in self.loader:
            self.count += 1
            if self.count == self.batch:
                raise KeyboardInterrupt
            yield item


def test_ctrl_c_keeps_what_was_done(capsys):
    model, loader, optimizer = small()
    before = model[1].weight.detach().clone().numpy()
    n = len(loader)
    history = train.fit(model, Interrupting(loader, n + 4), optimizer, epochs=5)
    assert history.interrupted
    assert [e.number for e in history.epochs] == [1]
    assert len(history.loss) == n + 3
    assert not np.array_equal(before, model[1].weight.detach())
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"stopped in epoch 2, after {n + 3} steps; the model keeps what it learned")


# ------------------------------------------------------------------ what is shown


def test_without_a_terminal_each_epoch_is_a_plain_line(capsys):
    model, loader, optimizer = small()
    history = train.fit(model, loader, optimizer, epochs=2,
                        test=data.DataLoader(data.digits("test"), 355))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [str(e) for e in history.epochs]
    first = history.epochs[0]
    assert lines[0] == (
        f"epoch 1: loss {first.loss:.4f}, accuracy {first.accuracy:.1%}, "
        f"test loss {first.test.loss:.4f}, test accuracy {first.test.accuracy:.1%}, "
        f"{first.seconds:.2f} s")


def test_it_works_without_rich(capsys, monkeypatch):
    real = builtins.__import__

    def without_rich(name, *args, **kwargs):
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_rich)
    model, loader, optimizer = small()
    train.fit(model, loader, optimizer)
    assert capsys.readouterr().out.startswith("epoch 1: loss ")


def test_progress_can_be_silent(capsys):
    model, loader, optimizer = small()
    train.fit(model, loader, optimizer, progress=False)
    assert capsys.readouterr().out == ""


def test_on_a_terminal_there_is_a_live_bar_and_the_lines_stay(capsys, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    model, loader, optimizer = small()
    history = train.fit(model, loader, optimizer, epochs=2)
    out = capsys.readouterr().out
    assert "epoch 1/2  loss " in out
    assert all(str(e) in out for e in history.epochs)


@pytest.mark.parametrize("shape", [(65, 4), (65, 4, 1), (65, 4, 1, 1)])
def test_a_last_batch_of_one_says_how_to_leave_it_out(shape):
    norm = nn.BatchNorm2d(4) if len(shape) == 4 else nn.BatchNorm1d(4)
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(4, 2))
    rows = data.TensorDataset(etude.randn(shape), etude.zeros(65, dtype="int64"))
    with pytest.raises(ValueError, match=r"float32\[1, 4.*drop_last=True.*drop_last = true.*batch"):
        train.fit(model, data.DataLoader(rows, 64), optim.SGD(model.parameters()), progress=False)
    loader = data.DataLoader(rows, 64, drop_last=True)
    train.fit(model, loader, optim.SGD(model.parameters()), progress=False)


def test_no_channels_and_no_samples_are_not_taken_for_one_sample():
    assert nn.BatchNorm1d(0)(etude.zeros(3, 0)).shape == (3, 0)


@pytest.mark.parametrize(("loader", "words"), [
    (data.digits()[0], r"fit: loader gives batches, and a TensorDataset does not; make them of it: "
                       r"DataLoader\(dataset, batch_size=32, shuffle=True\)"),
    ((etude.ones(4, 64), etude.zeros(4)), r"a tuple does not.*DataLoader\(TensorDataset\(x, y\)"),
    (etude.ones(4, 64), r"a Tensor does not.*DataLoader\(TensorDataset\(x, y\)"),
])
def test_what_gives_no_batches_is_told_how_to_make_them(loader, words):
    model = models.mlp(64, 8, 10)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=words):
        train.fit(model, loader, optimizer)
    with pytest.raises(TypeError, match="fit: validation gives batches"):
        train.fit(model, data.DataLoader(data.digits()[0]), optimizer, validation=loader)
    with pytest.raises(TypeError, match="evaluate: loader gives batches"):
        train.evaluate(model, loader)


@pytest.mark.parametrize(("change", "words"), [
    ({"optimizer": "adam"}, "optimizer is an object, got 'adam'; write optim.Adam"),
    ({"optimizer": optim.Adam}, "optimizer is an object, got the class Adam"),
    ({"loss": "cross_entropy"}, "loss is a function, got 'cross_entropy'; write loss="),
    ({"loss": nn.CrossEntropyLoss}, "loss is a function, got the class CrossEntropyLoss"),
    ({"loader": optim.SGD([etude.ones(1)])}, "the loader comes before the optimizer; write fit"),
    ({"model": [1]}, "a model comes first, got list; write fit"),
])
def test_parts_in_another_order_or_by_name_are_refused_in_a_sentence(change, words):
    model = nn.Linear(2, 2)
    parts = {"model": model, "loader": [], "optimizer": optim.SGD(model.parameters())}
    with pytest.raises(TypeError, match=f"fit: {words}"):
        train.fit(**{**parts, **change})

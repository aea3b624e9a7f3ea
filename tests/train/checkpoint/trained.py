"""A small run with everything random in it, and all of it that a checkpoint must bring back."""


import pytest

import etude
from etude import data, nn, optim, train


class StopAt(train.Callback):
    """Ends a run as a crash would."""

    def __init__(self, step):
        self.step = step

    def on_step(self, run):
        if run.step == self.step:
            raise CrashError


class CrashError(Exception):
    pass


def noisy(x, rng):
    return x + rng.standard_normal(x.shape).astype(x.dtype) * 0.05


def parts(seed=3, sizes=(16, 10), batch_size=200, workers=0):
    """A run with everything random in it: order, dropout (of both generators), augmentation."""
    etude.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, sizes[0]), nn.Dropout(0.2), nn.ReLU(),
                          nn.Dropout(0.1, generator=etude.Generator(7)), nn.Linear(*sizes))
    loader = data.DataLoader(data.digits("train"), batch_size, shuffle=True, transform=noisy,
                             workers=workers)
    test = data.DataLoader(data.digits("test"), 200, shuffle=True)
    return model, loader, optim.AdamW(model.parameters(), lr=1e-2), test


def run(folder=None, stop=0, resume=False, epochs=3, schedule=None, workers=0, **options):
    model, loader, optimizer, test = parts(workers=workers)
    scheduler = None if schedule is None else schedule[0](optimizer)
    checkpoints = None if folder is None else train.Checkpoints(folder, every_steps=2)
    history = train.fit(
        model, loader, optimizer, epochs=epochs, test=test, progress=False, scheduler=scheduler,
        schedule="epoch" if schedule is None else schedule[1], clip_norm=1.0,
        callbacks=[train.EarlyStopping(2), StopAt(stop)], checkpoints=checkpoints, resume=resume,
        **options)
    return history, model, optimizer


def crash_at(folder, step, **options):
    with pytest.raises(CrashError):
        run(folder, step, resume=True, **options)


def memory(optimizer):
    """Moments and counts, the moments as bytes."""
    return [{k: v.numpy().tobytes() if isinstance(v, etude.Tensor) else v for k, v in s.items()}
            for s in optimizer.state]


def bits(outcome):
    """All that must be the same: weights, moments, generators, and what was recorded."""
    history, model, optimizer = outcome
    weights = {k: t.numpy().tobytes() for k, t in model.state_dict().items()}
    moments = memory(optimizer)
    epochs = [(e.number, e.loss, e.accuracy, e.test) for e in history.epochs]
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return (weights, moments, settings, history.loss, history.accuracy, epochs, history.stopped,
            etude.core.random.default_generator.get_state(), model[4].generator.get_state())


SCHEDULES = {
    "none": None,
    "per step": (lambda o: optim.OneCycleLR(o, 0.02, 24), "step"),
    "per epoch": (lambda o: optim.StepLR(o, 1, 0.5), "epoch"),
    "plateau": (lambda o: optim.ReduceLROnPlateau(o, patience=0, threshold=0.5), "epoch"),
}


def snapshot(model, optimizer, scheduler=None):
    return ({k: t.numpy().tobytes() for k, t in model.state_dict().items()},
            memory(optimizer), repr(optimizer), scheduler and scheduler.state_dict(),
            etude.core.random.default_generator.get_state())

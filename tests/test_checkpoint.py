"""Checkpoints: whole or not at all, of the right kind, and a resumed run equals one never stopped.
"""

import importlib
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import etude
from etude import data, models, nn, optim, train
from etude.checkpoint import CheckpointError

pytestmark = pytest.mark.usefixtures("safetensors")


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
                          nn.Dropout(0.1, etude.Generator(7)), nn.Linear(*sizes))
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


def bits(outcome):
    """All that must be the same: weights, moments, generators, and what was recorded."""
    history, model, optimizer = outcome
    weights = {k: t.numpy().tobytes() for k, t in model.state_dict().items()}
    moments = [{k: v.numpy().tobytes() if isinstance(v, etude.Tensor) else v
                for k, v in s.items()} for s in optimizer.state]
    epochs = [(e.number, e.loss, e.accuracy, e.test) for e in history.epochs]
    settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return (weights, moments, settings, history.loss, history.accuracy, epochs, history.stopped,
            etude.random.default_generator.get_state(), model[4].generator.get_state())


SCHEDULES = {
    "none": None,
    "per step": (lambda o: optim.OneCycleLR(o, 0.02, 24), "step"),
    "per epoch": (lambda o: optim.StepLR(o, 1, 0.5), "epoch"),
    "plateau": (lambda o: optim.ReduceLROnPlateau(o, patience=0, threshold=0.5), "epoch"),
}


# ------------------------------------------------------------------ resuming


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_a_resumed_run_equals_one_never_stopped_bit_for_bit(tmp_path, backend, schedule):
    with etude.use(backend):
        expected = bits(run(schedule=schedule))
        for step in (1, 5, 8, 9, 17, 23):  # epochs have 8 steps; 8 and 9 lie around an end
            crash_at(tmp_path, step, schedule=schedule)
        assert bits(run(tmp_path, resume=True, schedule=schedule)) == expected


def test_workers_change_nothing(tmp_path):
    expected = bits(run())
    crash_at(tmp_path, 5, workers=2)
    assert bits(run(tmp_path, resume=True, workers=2)) == expected


def test_a_run_that_is_over_is_left_as_it_is(tmp_path):
    expected = bits(run(tmp_path))
    files = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    assert bits(run(tmp_path, resume=True)) == expected
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == files


def test_more_epochs_go_on_where_fewer_ended(tmp_path):
    run(tmp_path, epochs=2)
    assert bits(run(tmp_path, resume=True)) == bits(run())


def test_resume_takes_the_path_of_one_checkpoint(tmp_path):
    crash_at(tmp_path, 5)
    first = train.Checkpoints(tmp_path).paths()[0]
    assert bits(run(resume=first)) == bits(run())


def test_a_loader_that_is_no_dataloader_is_resumed_at_its_batch(tmp_path):
    def go(**options):
        etude.manual_seed(0)
        model = models.mlp(64, 10)
        batches = list(data.DataLoader(data.digits("train"), 200))
        history = train.fit(model, batches, optim.SGD(model.parameters(), lr=0.1), epochs=2,
                            progress=False, callbacks=[StopAt(options.pop("stop", 0))], **options)
        return history.loss

    with pytest.raises(CrashError):
        go(stop=5, checkpoints=train.Checkpoints(tmp_path, every_steps=1))
    assert go(checkpoints=train.Checkpoints(tmp_path), resume=True) == go()


def test_float64_and_batch_norm_survive(tmp_path):
    def make():
        etude.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).to(etude.float64)
        return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    model, optimizer = make()
    model(etude.ones(5, 4).double()).sum().backward()
    optimizer.step()
    etude.save_checkpoint(tmp_path / "c", model, optimizer)
    twin, other = make()
    etude.load_checkpoint(tmp_path / "c", twin, other)
    for k, t in model.state_dict().items():
        assert t.dtype == twin.state_dict()[k].dtype
        assert np.array_equal(t, twin.state_dict()[k])
    assert np.array_equal(optimizer.state[0]["v"], other.state[0]["v"])


# ------------------------------------------------------------------ kill -9

CHILD = textwrap.dedent("""
    import sys
    import etude
    sys.path.insert(0, sys.argv[1])
    from test_checkpoint import parts
    from etude import train
    folder, epochs, backend = sys.argv[2], int(sys.argv[3]), sys.argv[4]
    etude.use(backend)
    model, loader, optimizer, test = parts(batch_size=100)
    print("ready", flush=True)
    train.fit(model, loader, optimizer, epochs=epochs, test=test, progress=False,
              checkpoints=train.Checkpoints(folder, every_steps=1), resume=True)
""")


def test_kill_9_at_random_moments_loses_nothing(tmp_path, backend, soak):
    kills = 50 if soak else 3
    epochs, folder = 4 * kills, tmp_path / "run"
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(folder), str(epochs),
               backend]
    moments, killed, before = random.Random(5), 0, 0
    for _ in range(kills):
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        with child:
            assert child.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.2))
            child.send_signal(signal.SIGKILL)
        killed += child.returncode == -signal.SIGKILL
        paths = train.Checkpoints(folder).paths()
        if paths:  # the newest is whole, and no later than the one before the kill
            model, _, optimizer, _ = parts()
            state = etude.load_checkpoint(paths[-1], model, optimizer)
            assert len(state["history.loss"]) >= before
            before = len(state["history.loss"])
    assert killed
    assert before
    with etude.use(backend):
        outcomes = []
        for options in ({"checkpoints": train.Checkpoints(folder), "resume": True}, {}):
            model, loader, optimizer, test = parts(batch_size=100)
            history = train.fit(model, loader, optimizer, epochs=epochs, test=test,
                                progress=False, **options)
            outcomes.append(bits((history, model, optimizer)))
    assert outcomes[0] == outcomes[1]
    assert not list(folder.glob("*.part"))


def test_a_write_that_fails_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    model, *_ = parts()
    etude.save_checkpoint(path, model, state={"at": 1})
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    for call in ("fsync", "replace"):
        monkeypatch.setattr(f"os.{call}", full)
        with pytest.raises(OSError, match="No space left"):
            etude.save_checkpoint(path, model, state={"at": 2})
        monkeypatch.undo()
        assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


def test_the_last_k_are_kept(tmp_path):
    model, loader, optimizer, _ = parts()
    (tmp_path / "step-00000001.safetensors.99-1.part").touch()  # of a run that was killed
    train.fit(model, loader, optimizer, epochs=2, progress=False,
              checkpoints=train.Checkpoints(tmp_path, every_steps=3, every_epochs=2, keep=2))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-00000015.safetensors", "step-00000016.safetensors"]


# ------------------------------------------------------------------ state, weights


def test_state_comes_back_as_it_was(tmp_path):
    model, *_ = parts()
    state = {"epoch": 3, "text": "\u00e4", "rate": 0.1, "none": None, "best": float("inf"),
             "curve": np.array([0.1, np.nan]), "nested": {"a": [1, 2.5, "x", True]}}
    etude.save_checkpoint(tmp_path / "c", model, state=state)
    found = etude.load_checkpoint(tmp_path / "c", model)
    assert found.pop("curve").tobytes() == state.pop("curve").tobytes()
    assert found == state


def test_a_state_that_is_no_json_is_named(tmp_path):
    model, *_ = parts()
    with pytest.raises(TypeError, match=r"state holds what JSON cannot: .*set"):
        etude.save_checkpoint(tmp_path / "c", model, state={"seen": {1, 2}})
    assert not list(tmp_path.iterdir())


def test_weights_go_out_and_in_and_other_programs_read_them(tmp_path, safetensors):
    model, _, optimizer, _ = parts()
    etude.save_weights(tmp_path / "w.safetensors", model)
    etude.save_checkpoint(tmp_path / "c.safetensors", model, optimizer)
    load = importlib.import_module("safetensors.numpy").load_file
    assert load(tmp_path / "w.safetensors").keys() == model.state_dict().keys()
    for name in ("w.safetensors", "c.safetensors"):
        twin = parts(seed=4)[0]
        etude.load_weights(tmp_path / name, twin)
        for k, t in model.state_dict().items():
            assert np.array_equal(t, twin.state_dict()[k])


# ------------------------------------------------------------------ what goes wrong


def flip(payload, at):
    return payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]


DAMAGE = {"empty": lambda b: b"", "cut short": lambda b: b[:-100],
          "half": lambda b: b[: len(b) // 2],
          "a bit of a weight": lambda b: flip(b, len(b) - 5),
          "a bit of the state": lambda b: flip(b, b.index(b"generators") + 3),
          "another format": lambda b: b"PK\x03\x04" + b, "longer": lambda b: b + b"\0"}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused_and_nothing_is_loaded(tmp_path, damage):
    path = tmp_path / "c.safetensors"
    model, _, optimizer, _ = parts()
    etude.save_checkpoint(path, model, optimizer, state={"at": 1})
    path.write_bytes(damage(path.read_bytes()))
    twin, _, other, _ = parts(seed=4)
    before = snapshot(twin, other)
    with pytest.raises(CheckpointError, match="damaged, cut short, or no safetensors file"):
        etude.load_checkpoint(path, twin, other)
    assert snapshot(twin, other) == before


def snapshot(model, optimizer, scheduler=None):
    return ({k: t.numpy().tobytes() for k, t in model.state_dict().items()},
            repr(optimizer.state_dict()), scheduler and scheduler.state_dict(),
            etude.random.default_generator.get_state())


def test_a_foreign_safetensors_file_is_told_apart(tmp_path):
    model, *_ = parts()
    etude.save_weights(tmp_path / "w", model)
    with pytest.raises(CheckpointError, match=r"no checkpoint of Etude. etude.load_weights reads"):
        etude.load_checkpoint(tmp_path / "w", model)


def test_a_newer_version_says_to_update(tmp_path, monkeypatch):
    model, *_ = parts()
    monkeypatch.setattr("etude.checkpoint.VERSION", 2)
    etude.save_checkpoint(tmp_path / "c", model)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"has version 2 of the format, and this Etude reads "
                                              r"up to 1. Update it: pip install -U etude"):
        etude.load_checkpoint(tmp_path / "c", model)


def test_what_does_not_fit_is_said_and_changes_nothing(tmp_path):
    path = tmp_path / "c"
    model, _, optimizer, _ = parts()
    model(etude.zeros(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    etude.save_checkpoint(path, model, optimizer, optim.StepLR(optimizer, 2))
    wide, _, wide_optimizer, _ = parts(sizes=(12, 10))
    same, _, same_optimizer, _ = parts(seed=4)
    cases = [
        (wide, None, None, r"does not fit. load_state_dict: the state does not fit this "
                           r"Sequential[\s\S]*1.weight is float32\[12, 64\] in the module"),
        (wide, wide_optimizer, None, r"'m' of parameter 0 must be float32\[12, 64\]"),
        (wide, same_optimizer, None, "1.weight is"),  # the optimiser fits, the model does not
        (same, optim.SGD(same.parameters()), None, "its optimizer is AdamW, yours is SGD"),
        (same, same_optimizer, optim.CosineAnnealingLR(same_optimizer, 5),
         "its scheduler is StepLR, yours is CosineAnnealingLR"),
        (models.mlp(64, 16, 10), None, None, "missing: 3.weight"),
    ]
    for into, other, scheduler, message in cases:
        before = snapshot(into, other or same_optimizer, scheduler)
        with pytest.raises(CheckpointError, match=message):
            etude.load_checkpoint(path, into, other, scheduler)
        assert snapshot(into, other or same_optimizer, scheduler) == before
    etude.save_checkpoint(path, model)
    with pytest.raises(CheckpointError, match="was saved without optimizer"):
        etude.load_checkpoint(path, same, same_optimizer)


def test_a_run_with_other_data_or_callbacks_is_not_resumed(tmp_path):
    run(tmp_path, epochs=1)
    checkpoints = train.Checkpoints(tmp_path)

    def resume(batch_size=200, callbacks=None, test=True):
        callbacks = [train.EarlyStopping(2), StopAt(0)] if callbacks is None else callbacks
        model, loader, optimizer, tests = parts(batch_size=batch_size)
        before = snapshot(model, optimizer)
        try:
            train.fit(model, loader, optimizer, epochs=2, test=tests if test else None,
                      progress=False, checkpoints=checkpoints, callbacks=callbacks, resume=True)
        finally:
            assert snapshot(model, optimizer) == before

    with pytest.raises(CheckpointError, match="the run's loader has batch_size = 200, this one's "
                                              "has 100; resume it with the same data"):
        resume(batch_size=100)
    with pytest.raises(CheckpointError, match=r"had the callbacks \['EarlyStopping', 'StopAt'\], "
                                              r"this one has \[\]"):
        resume(callbacks=())
    with pytest.raises(CheckpointError, match="the run had a DataLoader as test, this one has no"):
        resume(test=False)


def test_a_folder_with_another_run_is_not_overwritten(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(FileExistsError, match=r"has checkpoints of another run, up to step-00000008"
                                              r".safetensors. Continue it with resume"):
        run(tmp_path)


def test_a_damaged_newest_checkpoint_names_the_one_before(tmp_path):
    run(tmp_path, epochs=1)
    paths = train.Checkpoints(tmp_path).paths()
    paths[-1].write_bytes(b"no")
    with pytest.raises(CheckpointError) as error:
        run(tmp_path, resume=True)
    assert error.value.__notes__ == [f"The checkpoint before it is {paths[-2]}; delete or move "
                                     f"{paths[-1].name} to resume from that"]
    paths[-1].unlink()
    assert bits(run(tmp_path, resume=True)) == bits(run())


def test_a_checkpoint_of_a_loop_written_by_hand_is_no_run(tmp_path):
    model, _, optimizer, _ = parts()
    etude.save_checkpoint(tmp_path / "c", model, optimizer)
    with pytest.raises(CheckpointError, match="not one that fit made"):
        run(resume=tmp_path / "c")


def test_resume_without_checkpoints_says_what_is_missing():
    with pytest.raises(ValueError, match="needs checkpoints=; or give resume the path of one"):
        run(resume=True)


@pytest.mark.parametrize("options", [{"keep": 0}, {"every_steps": -1}, {"every_epochs": 1.5}])
def test_settings_of_checkpoints_have_ranges(tmp_path, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is an integer >= "):
        train.Checkpoints(tmp_path, **options)


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    model, *_ = parts()
    with pytest.raises(ImportError, match=r"pip install 'etude\[checkpoint\]'"):
        etude.save_checkpoint(tmp_path / "c", model)

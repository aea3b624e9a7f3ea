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
from trained import SCHEDULES, CrashError, StopAt, bits, crash_at, parts, run

import etude
from etude import data, models, nn, optim, train

pytestmark = pytest.mark.usefixtures("safetensors")


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


def test_a_path_whose_successors_are_in_the_folder_is_not_resumed_beside_them(tmp_path):
    """Or the checkpoints of two runs would lie in one folder, and the next resume take the wrong
    one.
    """
    crash_at(tmp_path, 7)
    first, newest = train.Checkpoints(tmp_path).paths()[0], train.Checkpoints(tmp_path).paths()[-1]
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(FileExistsError, match=f"has other checkpoints than {first}, up to "
                                              f"{newest.name}. Move those after it away"):
        run(tmp_path, resume=first)
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    expected = bits(run())
    assert bits(run(tmp_path / "new", resume=first)) == expected
    assert bits(run(tmp_path, resume=newest)) == expected


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
    from trained import parts
    from etude import train
    folder, epochs, backend = sys.argv[2], int(sys.argv[3]), sys.argv[4]
    etude.set_default_backend(backend)
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
    moments, tried, killed, before = random.Random(5), 0, 0, 0
    while tried < kills or (tried < 20 * kills and not before):  # a busy machine saves late
        tried += 1
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


SAVING = textwrap.dedent("""
    import sys
    import numpy as np
    import etude
    sys.path.insert(0, sys.argv[1])
    from trained import parts
    from etude import train
    one, folder = sys.argv[2:]

    class Save(train.Callback):
        def on_step(self, run):  # fit saves the step after this
            print("saving", flush=True)
            ballast = np.full((2, 2**14), float(run.step)).T
            etude.save_checkpoint(one, run.model, run.optimizer,
                                  state={"step": run.step, "ballast": ballast})
            print(run.step, flush=True)

    model, loader, optimizer, _ = parts(batch_size=100)
    train.fit(model, loader, optimizer, epochs=10**6, progress=False, callbacks=[Save()],
              checkpoints=train.Checkpoints(folder, every_steps=1), resume=True)
""")


def test_kill_9_in_the_midst_of_saving_leaves_what_was_saved(tmp_path, soak):
    """One file that is replaced over and over, and the last three of a run. A kill counts if it
    left a temporary file, so that the saving was hit for certain.
    """
    wanted = 300 if soak else 5
    one, folder = tmp_path / "one.safetensors", tmp_path / "run"
    command = [sys.executable, "-c", SAVING, str(Path(__file__).parent), str(one), str(folder)]
    moments, start = random.Random(6), time.monotonic()
    tried, counted, saved, before = 0, 0, 0, set()
    while counted < wanted:
        tried += 1
        assert tried <= 10 * wanted, f"only {counted} of {tried} kills hit the saving"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout.readline() == "saving\n"
            time.sleep(moments.uniform(0.0, 0.3))
            child.kill()
            steps = [int(line) for line in child.stdout.read().split() if line != "saving"]
        assert child.returncode == -signal.SIGKILL
        saved = steps[-1] if steps else saved
        left = set(tmp_path.glob("**/*.part"))
        counted += bool(left - before)
        assert len(left) <= 2  # one of each: the next writer removes what the last one left
        before = left
        if saved == 0:
            continue
        model, _, optimizer, _ = parts()
        state = etude.load_checkpoint(one, model, optimizer)
        assert state["step"] - saved in (0, 1)
        assert (state["ballast"] == state["step"]).all()
        paths = train.Checkpoints(folder).paths()
        ends = [len(etude.load_checkpoint(p, model, optimizer)["history.loss"]) for p in paths]
        assert ends or saved == 1
        if ends:
            assert ends[-1] - saved in (-1, 0)
            assert ends[-3:] == list(range(max(ends[-1] - 2, 1), ends[-1] + 1))
    print(f"\n{tried} kills, {counted} of them in the midst of saving, {saved} steps, "
          f"{time.monotonic() - start:.0f} s")
    assert saved


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
    left = tmp_path / "step-00000001.safetensors.0123456789abcdef.part"  # of a run that was killed
    left.touch()
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


def test_a_folder_that_is_not_there_is_named(tmp_path):
    model, *_ = parts()
    for save in (etude.save_weights, etude.save_checkpoint):
        with pytest.raises(FileNotFoundError, match=r"no such folder; make it first: .*/missing'$"):
            save(tmp_path / "missing" / "w.safetensors", model)
    assert not (tmp_path / "missing").exists()


def test_a_state_that_is_no_json_is_named(tmp_path):
    model, *_ = parts()
    for state, where in (({"seen": {1, 2}}, r"state\.seen, a set: \{1, 2\}"),
                         ({"a": [1, {"b": etude.ones(1)}]}, r"state\.a\[1\]\.b, a Tensor"),
                         ({"rate": np.float32(1)}, r"state\.rate, a float32")):
        with pytest.raises(TypeError, match=f"JSON cannot hold {where}.* Give numbers, text"):
            etude.save_checkpoint(tmp_path / "c", model, state=state)
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

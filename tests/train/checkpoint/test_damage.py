"""Checkpoints that are damaged, foreign, too new or of another run: refused, and nothing loaded."""

import json
import sys

import pytest
from trained import StopAt, bits, parts, run, snapshot

import etude
from etude import models, nn, optim, train
from etude.train.checkpoint import CheckpointError

pytestmark = pytest.mark.usefixtures("safetensors")


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


def test_a_foreign_safetensors_file_is_told_apart(tmp_path):
    model, *_ = parts()
    etude.save_weights(tmp_path / "w", model)
    with pytest.raises(CheckpointError, match=r"no checkpoint of Etude. etude.load_weights reads"):
        etude.load_checkpoint(tmp_path / "w", model)


def test_a_dtype_that_numpy_lacks_is_named(tmp_path):
    """A whole file with a weight in bfloat16, as PyTorch writes it, is not called damaged."""
    weight = {"dtype": "BF16", "shape": [2, 1], "data_offsets": [0, 4]}
    header = json.dumps({"weight": weight}).encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"holds an array of dtype BF16, which NumPy does not "
                                              r"have\. Convert it to F32"):
        etude.load_weights(path, nn.Linear(1, 2, bias=False))


def test_a_newer_version_says_to_update(tmp_path, monkeypatch):
    model, *_ = parts()
    monkeypatch.setattr("etude.train.checkpoint.VERSION", 2)
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
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be an integer >= "):
        train.Checkpoints(tmp_path, **options)


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    model, *_ = parts()
    with pytest.raises(ImportError, match=r"pip install 'etude\[checkpoint\]'"):
        etude.save_checkpoint(tmp_path / "c", model)


def test_a_run_with_another_config_is_not_resumed_and_each_difference_is_named(tmp_path):
    before = {"seed": 1, "model": {"sizes": (16, 10), "name": "mlp"}, "scheduler": {"by": "step"}}
    run(tmp_path, epochs=1, config=before)
    now = {"seed": 2, "model": {"sizes": [16, 12], "name": "mlp"}, "data": {"block": 8}}
    with pytest.raises(CheckpointError) as error:
        run(tmp_path, resume=True, config=now)
    assert ("the run had other settings: seed was 1, is 2; model.sizes was [16, 10], is [16, 12]; "
            "scheduler.by was 'step', is None; data.block was None, is 8. Put them back") in str(
                error.value)
    assert len(train.Checkpoints(tmp_path).paths()) > 1
    assert not hasattr(error.value, "__notes__")  # the one before has the same settings
    run(tmp_path, resume=True, config=before)
    run(tmp_path, resume=True)

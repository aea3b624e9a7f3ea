"""What is saved comes back as it was, or the file before stays: arrays of any layout, files that
do not read back, links, pipes, and the leftovers of writers that were killed.
"""

import fcntl
import importlib
import os
import re
import stat
import subprocess
import sys
import threading

import numpy as np
import pytest

import etude
from etude import nn
from etude.data.files import write_atomically
from etude.train.checkpoint import CheckpointError

pytestmark = pytest.mark.usefixtures("safetensors")

NUMBERS = np.arange(24.0)
DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"]
LAYOUTS = {
    "contiguous": NUMBERS, "every second": NUMBERS[::2], "reversed": NUMBERS[::-1],
    "transposed": NUMBERS.reshape(4, 6).T, "Fortran": np.asfortranarray(NUMBERS.reshape(4, 6)),
    "a column": NUMBERS.reshape(4, 6)[:, 1], "axes moved": NUMBERS.reshape(2, 3, 4).swapaxes(0, 1),
    "broadcast": np.broadcast_to(NUMBERS[:4], (3, 4)), "0-d": np.array(2.5),
    "0-d of a view": NUMBERS.reshape(4, 6)[1:2, 1:2].reshape(()), "no elements": NUMBERS[:0],
    "no rows": np.zeros((0, 3)).T, "read-only": np.frombuffer(NUMBERS.tobytes()),
    "unaligned": np.frombuffer(b"\0" + NUMBERS.tobytes(), "u1")[1:].view("f8"),
    "the other byte order": NUMBERS.astype(NUMBERS.dtype.newbyteorder()),
    "the other byte order, every second": NUMBERS.astype(NUMBERS.dtype.newbyteorder())[::2],
    "0-d of the other byte order": np.array(2.5).astype(NUMBERS.dtype.newbyteorder()),
}


def same(found, saved):
    """As it was, in this machine's byte order."""
    assert found.shape == saved.shape
    assert found.dtype == saved.dtype.newbyteorder("=")
    assert found.dtype.isnative
    assert found.tobytes() == saved.astype(found.dtype).tobytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.safetensors"


@pytest.fixture
def door(safetensors):
    """The module whose ``save`` and ``load`` make and read the bytes of a file."""
    return importlib.import_module("safetensors.numpy")


# ------------------------------------------------------------------ arrays


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_an_array_of_any_layout_comes_back(path, array):
    model = nn.Linear(2, 2)
    before = array.copy()
    etude.save_checkpoint(path, model, state={"a": array})
    same(etude.load_checkpoint(path, model)["a"], array)
    assert np.array_equal(array, before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_of_any_dtype_comes_back(path, dtype):
    model = nn.Linear(2, 2)
    array = (NUMBERS % 7).reshape(4, 6).astype(dtype)
    for saved in (array, array.T, array.astype(array.dtype.newbyteorder()), array[1, 1, ...]):
        etude.save_checkpoint(path, model, state={"a": saved})
        same(etude.load_checkpoint(path, model)["a"], saved)


class Lying(nn.Module):
    """A parameter, and buffers whose arrays lie otherwise than row by row."""

    def __init__(self, start):
        super().__init__()
        numbers = np.arange(start, start + 12, dtype=np.float32).reshape(3, 4)
        self.weight = nn.Parameter(etude.from_numpy(numbers.copy()))
        self.register_buffer("transposed", etude.from_numpy(numbers.copy().T))
        self.register_buffer("every_second", etude.from_numpy(numbers.copy()[:, ::2]))
        self.register_buffer("count", etude.from_numpy(np.array(start)))


def values(module, name):
    return module.state_dict()[name].detach().numpy()


def test_weights_buffers_and_moments_of_any_layout_come_back(path):
    model, twin = Lying(5), Lying(50)
    assert not values(model, "transposed").flags.c_contiguous
    assert not values(model, "every_second").flags.c_contiguous
    optimizers = [etude.optim.AdamW(m.parameters(), lr=0.1) for m in (model, twin)]
    (model.weight * model.weight).sum().backward()
    optimizers[0].step()
    moments = optimizers[0].state[0]
    moments["m"] = etude.from_numpy(np.asfortranarray(moments["m"].numpy()))
    etude.save_checkpoint(path, model, optimizers[0])
    etude.load_checkpoint(path, twin, optimizers[1])
    for name in model.state_dict():
        same(values(twin, name), values(model, name))
    for name in ("m", "v"):
        same(optimizers[1].state[0][name].numpy(), moments[name].numpy())
    etude.save_weights(path, model)
    other = Lying(500)
    etude.load_weights(path, other)
    for name in model.state_dict():
        same(values(other, name), values(model, name))


@pytest.mark.parametrize("array", [
    np.array(["a", "bc"]), np.array([None, 1]), np.array([1 + 2j]), np.zeros(2, "M8[D]"),
    np.zeros(2, [("a", "f4")]), np.ma.masked_array([1.0, 2.0], [False, True])],
    ids=lambda a: f"{type(a).__name__} of {a.dtype}")
def test_an_array_that_the_file_cannot_hold_is_named_and_the_file_before_stays(path, array):
    model = nn.Linear(2, 2)
    etude.save_checkpoint(path, model, state={"at": 1})
    with pytest.raises(TypeError, match=r"state\.names is a .* plain arrays of numbers"):
        etude.save_checkpoint(path, model, state={"names": array})
    assert etude.load_checkpoint(path, model) == {"at": 1}


# ------------------------------------------------------------------ verified, then renamed


def spoilt(save, how):
    """A safetensors whose ``save`` writes something else than it was given."""
    return lambda arrays, metadata: how(save, arrays, metadata)


def _transposed(save, arrays, metadata):
    return save({k: a.T.copy() for k, a in arrays.items()}, metadata)


def _one_bit(save, arrays, metadata):
    data = bytearray(save(arrays, metadata))
    data[-1] ^= 1
    return bytes(data)


SPOILT = {
    "cut short": (lambda save, a, m: save(a, m)[:-1], "it does not load"),
    "one bit": (_one_bit, " differs"),
    "shapes": (_transposed, "weight differs"),
    "an array lost": (lambda save, a, m: save({k: a[k] for k in sorted(a)[1:]}, m), "its header"),
    "metadata lost": (lambda save, a, m: save(a, {}), "its header differs"),
    "dtypes": (lambda save, a, m: save({k: x.view("i4") for k, x in a.items()}, m), " differs"),
}


@pytest.mark.parametrize("write", [etude.save_checkpoint, etude.save_weights],
                         ids=["checkpoint", "weights"])
@pytest.mark.parametrize(("how", "why"), SPOILT.values(), ids=SPOILT)
def test_a_file_that_does_not_read_back_never_replaces_the_one_before(path, monkeypatch,
                                                                      door, write, how, why):
    model = nn.Linear(3, 2)
    write(path, model)
    before = path.read_bytes()
    monkeypatch.setattr(door, "save", spoilt(door.save, how))
    with pytest.raises(CheckpointError, match=f"not written, because .*{why}.* is as it was"):
        write(path, model)
    monkeypatch.undo()
    assert [p.read_bytes() for p in path.parent.iterdir()] == [before]
    etude.load_weights(path, model)


def test_an_array_that_changes_while_it_is_saved_is_noticed(path, monkeypatch, door):
    model, save, losses = nn.Linear(2, 2), door.save, np.zeros(4)

    def slow(arrays, metadata):
        data = save(arrays, metadata)
        losses[0] += 1  # as another thread might
        return data

    monkeypatch.setattr(door, "save", slow)
    with pytest.raises(CheckpointError, match=r"state\.losses differs.*another thread"):
        etude.save_checkpoint(path, model, state={"losses": losses})
    assert not list(path.parent.iterdir())


# ------------------------------------------------------------------ what is there already


def test_a_link_is_followed_and_permissions_stay(tmp_path):
    model = nn.Linear(2, 2)
    (tmp_path / "disk").mkdir()
    real, link, new = tmp_path / "disk" / "real", tmp_path / "link", tmp_path / "new"
    etude.save_checkpoint(real, model, state={"at": 1})
    real.chmod(0o600)
    link.symlink_to(real)
    etude.save_checkpoint(link, model, state={"at": 2})
    assert link.is_symlink()
    assert etude.load_checkpoint(real, model) == {"at": 2}
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    new.symlink_to(tmp_path / "disk" / "of that name")
    etude.save_checkpoint(new, model, state={"at": 3})
    assert etude.load_checkpoint(tmp_path / "disk" / "of that name", model) == {"at": 3}
    assert new.is_symlink()


def test_what_is_no_regular_file_is_refused_and_stays(tmp_path):
    model = nn.Linear(2, 2)
    pipe, folder, loop = tmp_path / "pipe", tmp_path / "folder", tmp_path / "loop"
    os.mkfifo(pipe)
    folder.mkdir()
    loop.symlink_to("loop")
    for there, error, message in ((pipe, FileExistsError, "Is a device, a pipe or a socket"),
                                  (folder, IsADirectoryError, "give the name of a file"),
                                  (loop, OSError, "symbolic links")):
        for write in (etude.save_checkpoint, etude.save_weights):
            with pytest.raises(error, match=message):
                write(there, model)
    assert pipe.is_fifo()
    assert loop.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "loop", "pipe"]
    assert not list(folder.iterdir())


# ------------------------------------------------------------------ leftovers

KILLED = """
import os, sys
from etude.data.files import write_atomically
def here(temporary):
    print(temporary, flush=True)
    sys.stdin.read()
write_atomically(sys.argv[1], b"half", here)
"""


def test_the_next_save_removes_what_a_killed_one_left_and_not_what_is_still_written(tmp_path):
    path = tmp_path / "a.b"
    mine = [tmp_path / f"a.b.{name}.part" for name in ("mine", "99-1", "0123")]
    others = [tmp_path / f"{name}.0123456789abcdef.part" for name in ("a", "a.bc", "axb", "a.b.c")]
    for p in (*mine, *others):
        p.touch()
    command = [sys.executable, "-c", KILLED, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as dead, subprocess.Popen(command, **pipes) as alive:
        left, written = (tmp_path / child.stdout.readline().strip() for child in (dead, alive))
        dead.kill()
        dead.wait()
        assert left.exists()
        write_atomically(path, b"whole")
        assert not left.exists()
        assert written.exists()
        assert path.read_bytes() == b"whole"
        alive.communicate("")
    assert alive.returncode == 0
    assert path.read_bytes() == b"half"
    assert set(tmp_path.iterdir()) == {path, *mine, *others}


def test_several_threads_may_save_under_one_name(path):
    models = [nn.Linear(2, 2) for _ in range(4)]
    errors = []

    def work(model, number):
        try:
            for i in range(20):
                etude.save_checkpoint(path, model, state={"thread": number, "i": i})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(m, n)) for n, m in enumerate(models)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    state = etude.load_checkpoint(path, nn.Linear(2, 2))
    assert state["i"] == 19


def test_a_file_system_without_locks_is_written_to_all_the_same(tmp_path, monkeypatch):
    def none(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    left = tmp_path / "a.0123456789abcdef.part"
    left.touch()
    write_atomically(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert left.exists()  # whether its writer lives cannot be known


@pytest.mark.parametrize("name", ["save_weights", "load_weights", "save_checkpoint",
                                  "load_checkpoint"])
def test_the_path_comes_first_and_then_the_model(name, path):
    model, call = nn.Linear(2, 1), getattr(etude, name)
    with pytest.raises(TypeError, match=f"{name}: got Linear and .*Path. The path comes first, "
                                        f"then the model"):
        call(model, path)
    with pytest.raises(TypeError, match=f"{name}: got a dict, such as state_dict.. gives"):
        call(path, model.state_dict())
    assert not path.exists()


def test_equal_checkpoints_are_equal_files(tmp_path):
    """Also in another process: safetensors orders metadata by a hash of its own."""
    model = nn.Linear(2, 1)
    files = set()
    for i in range(12):
        etude.save_checkpoint(tmp_path / f"{i}", model, state={"b": 1, "a": [2], "x": np.ones(2)})
        files.add((tmp_path / f"{i}").read_bytes())
    assert len(files) == 1
    header = files.pop()
    size = int.from_bytes(header[:8], "little")
    assert size % 8 == 0
    keys = [m.decode() for m in re.findall(rb'"(format|sha256|state|version)":"', header[:size])]
    assert keys == ["format", "sha256", "state", "version"]

"""The lock on the folder of a run: one holder, who is named; free as soon as that one has ended."""

import json
import os
import re
import socket
import subprocess
import sys
import threading

import pytest

import etude
from etude import data, models, optim, train
from etude.train.lock import NAME, FolderInUseError, hold

HOLDER = """
import sys
from pathlib import Path
from etude.data.files import write_atomically
from etude.train.lock import hold
with hold(Path(sys.argv[1])):
    def here(temporary):
        print("held", flush=True)
        sys.stdin.read()
    write_atomically(Path(sys.argv[1], "a"), b"half", here)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the folder and is in the midst of writing a file there."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"held\n"
        yield child
        child.kill()


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_folder_that_is_held_is_refused_and_the_holder_named(tmp_path, holder):
    before = names(tmp_path)
    since = json.loads((tmp_path / NAME).read_text())["since"]
    message = re.escape(f"{tmp_path} is in use: process {holder.pid} on {socket.gethostname()}, "
                        f"since {since}, writes into it. Wait until that run has ended")
    for _ in range(3):
        with pytest.raises(FolderInUseError, match=message), hold(tmp_path):
            pass
    assert names(tmp_path) == before  # what the holder is writing is there still
    holder.communicate()
    assert holder.returncode == 0
    assert names(tmp_path) == ["a"]
    with hold(tmp_path):
        pass


def test_kill_9_frees_the_folder_and_the_next_run_removes_what_was_left(tmp_path, holder):
    holder.kill()
    holder.wait()
    left = names(tmp_path)
    assert NAME in left
    assert any(name.endswith(".part") for name in left)
    with hold(tmp_path):
        assert names(tmp_path) == [NAME]
        assert json.loads((tmp_path / NAME).read_text())["pid"] == os.getpid()
    assert names(tmp_path) == []


def test_of_many_threads_one_at_a_time_has_the_folder(tmp_path):
    inside, most, refused, held = [], [], [], []

    def work():
        for _ in range(200):
            try:
                with hold(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    held.append(1)
                    inside.pop()
            except FolderInUseError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(most) == {1}
    assert len(held) + len(refused) == 800
    assert names(tmp_path) == []


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch):
    def none(*args):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", none)
    with (pytest.warns(UserWarning, match="without locks.*start one at a time"), hold(tmp_path),
          pytest.warns(UserWarning, match="without locks"), hold(tmp_path)):
        pass


def test_an_error_lets_go_of_the_folder(tmp_path):
    with pytest.raises(ZeroDivisionError), hold(tmp_path / "new"):
        raise ZeroDivisionError
    with hold(tmp_path / "new"):
        pass


def fit(folder, **options):
    etude.manual_seed(0)
    model = models.mlp(64, 10)
    loader = data.DataLoader(data.digits("train"), 500)
    return train.fit(model, loader, optim.SGD(model.parameters()), progress=False,
                     checkpoints=train.Checkpoints(folder), **options)


@pytest.mark.usefixtures("safetensors")
@pytest.mark.parametrize("resume", [False, True])
def test_fit_does_not_go_into_a_folder_where_another_is_at_work(tmp_path, resume):
    class Second(train.Callback):
        def on_step(self, run):
            before = names(tmp_path)
            with pytest.raises(FolderInUseError, match=f"process {os.getpid()} on"):
                fit(tmp_path, resume=resume)
            assert names(tmp_path) == before

    history = fit(tmp_path, callbacks=[Second()])
    assert len(history.loss) == 3
    assert names(tmp_path) == ["step-00000003.safetensors"]

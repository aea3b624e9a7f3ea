"""Checkpoints that are whole and hold the wrong things: every entry of one is spoilt in turn, under
a right checksum. It is refused by name, and model, optimiser, schedule, generators, data and
callbacks stay bit for bit; or it loads, where another value is as good.
"""

import copy
import json
import os
import re
import signal

import numpy as np
import pytest
from trained import StopAt, crash_at, parts, snapshot

import etude
from etude import nn, optim, train
from etude.train import checkpoint
from etude.train.checkpoint import CheckpointError

pytestmark = pytest.mark.usefixtures("safetensors")

PLATEAU = (lambda o: optim.ReduceLROnPlateau(o, patience=0, threshold=0.5), "epoch")
WRONG = {"null": None, "a text": "x", "a number": -1.5, "a list": [None], "a table": {"x": None},
         "true": True, "huge": 10**400, "negative": -1, "NaN": float("nan"), "empty": [],
         "none": {}}

#: Other numbers of what was measured are as good; and what the user's callback keeps is its own.
AS_GOOD = re.compile(r"""(?x)
    state[.](history[.](epochs[.]0[.] | stopped) | seconds | sums | config | validation)
    | scheduler[.]state[.](best | bad | (count | cuts | rest)[ ]is[ ]huge | .*twice)
    | state[.]callbacks[.](0.*(best | bad | twice) | 1)
    | generators[.].*twice | optimizer[.]param_groups[.]0[.]params[.]1[ ]is[ ]true""")


def wrong_arrays(a):
    """Others than ``a`` that a file can hold."""
    return {"another dtype": a.astype("i2"), "float16": a.astype("f2"), "no numbers": a[:0],
            "one more axis": a[None], "one number": a.reshape(-1)[0], "longer": np.append(a, a)}


def places(value, path=()):
    """Every path in a JSON document, with the containers themselves."""
    yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def spoilt(document, path, change):
    """A copy of the document after ``change(container, key)`` at the path."""
    made = copy.deepcopy(document)
    within = made
    for key in path[:-1]:
        within = within[key]
    change(within, path[-1])
    return made


def documents(document):
    """(what was done, the document) for everything that is done to one."""
    for path in places(document):
        if path:
            name = ".".join(map(str, path))
            yield f"without {name}", spoilt(document, path, lambda c, k: c.pop(k))
            for what, value in WRONG.items():
                yield f"{name} is {what}", spoilt(
                    document, path, lambda c, k, value=value: c.__setitem__(k, value))
            if isinstance(path[-1], str):
                yield f"{name} twice", spoilt(
                    document, path, lambda c, k: c.__setitem__(f"{k}x", c[k]))


@pytest.fixture
def file(tmp_path):
    """A checkpoint of a run in the middle of its second epoch."""
    crash_at(tmp_path, 13, schedule=PLATEAU)
    return train.Checkpoints(tmp_path).paths()[-1]


def contents(path):
    arrays, metadata = checkpoint._unpacked(path)
    return arrays, json.loads(metadata["state"])


def rewrite(path, arrays, text, **metadata):
    """A whole file with a right checksum."""
    text = text if isinstance(text, str) else json.dumps(text)
    metadata = {"format": checkpoint.FORMAT, "version": "1", "state": text, **metadata}
    arrays = {name: np.ascontiguousarray(a).reshape(a.shape) for name, a in arrays.items()}
    metadata["sha256"] = checkpoint._digest(arrays, text)
    path.write_bytes(checkpoint.safetensors_module().numpy.save(arrays, metadata))


class Fresh:
    """A run that is about to resume, and all of it that a resume may change."""

    def __init__(self):
        self.model, self.loader, self.optimizer, self.test = parts(seed=4)
        self.scheduler = PLATEAU[0](self.optimizer)
        self.callbacks = [train.EarlyStopping(2), StopAt(0)]
        self.run = train.Run(self.model, self.loader, self.optimizer, etude.cross_entropy, 3,
                             self.test, scheduler=self.scheduler, callbacks=self.callbacks)

    def state(self):
        run = self.run
        return (snapshot(self.model, self.optimizer, self.scheduler),
                self.model[4].generator.get_state(), [c.state_dict() for c in self.callbacks],
                [(d.seed, d.epoch, d.start) for d in (self.loader, self.test)],
                repr(run.history), run.step, run.epoch, run.batch, run.seconds, run.order,
                dict(run.mean.sums), run.mean.samples)


def held(path, fresh, message=""):
    """Whether the file was refused, rightly; if not it was loaded, and the run is made anew."""
    before = fresh.state()
    said = ""
    try:
        fresh.run.restore(path)
    except CheckpointError as error:
        said = str(error)
    if not said:
        fresh.__init__()
        return False
    assert said.startswith(f"{path}: ")
    assert message in said
    assert fresh.state() == before
    return True


def test_every_entry_of_the_state_that_is_wrong_is_refused_and_changes_nothing(file):
    arrays, document = contents(file)
    fresh, loaded = Fresh(), []
    for what, made in documents(document):
        rewrite(file, arrays, made)
        if not held(file, fresh):
            loaded.append(what)
    assert len(loaded) < 100
    assert not [what for what in loaded if not AS_GOOD.match(what)]


def test_every_array_that_is_wrong_is_refused_and_changes_nothing(file):
    arrays, document = contents(file)
    fresh = Fresh()
    for name, a in arrays.items():
        others = [{**arrays, name: other} for other in wrong_arrays(a).values()]
        others.append({k: v for k, v in arrays.items() if k != name})
        others.append({**arrays, f"{name}x": a})
        for made in others:
            rewrite(file, made, document)
            assert held(file, fresh), name
    for name in ("optimizer.99.m", "optimizer.-1.m", "optimizer.x.m", "optimizer.0.",
                 "optimizer.0", "other"):
        rewrite(file, {**arrays, name: np.zeros(2)}, document)
        assert held(file, fresh, name), name
    rewrite(file, arrays, {**document, "optimizer": None})
    assert held(file, fresh, "is of none of the optimiser's 0 parameters")
    rewrite(file, {**arrays, "optimizer.1.step": np.zeros(2)}, document)
    assert held(file, fresh, "step of parameter 1 must be an integer >= 0")


def header(path, change):
    """Change the header of a safetensors file, as any program may write one."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    made = json.loads(data[8 : 8 + size])
    change(made)
    text = json.dumps(made).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def test_metadata_that_are_null_are_none(file):
    header(file, lambda h: h.update(__metadata__=None))
    assert held(file, Fresh(), "a safetensors file, but no checkpoint of Etude")
    model = nn.Linear(2, 1)
    etude.save_weights(file, model)
    header(file, lambda h: h.update(__metadata__=None))
    etude.load_weights(file, nn.Linear(2, 1))


@pytest.mark.parametrize("version", ["x", "", "1.5", "-1", " 1", "\u0661"])
def test_a_version_that_is_no_number_is_quoted(file, version):
    rewrite(file, *contents(file), version=version)
    assert held(file, Fresh(), f"its version is {version!r}, which is no number")


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "7", "[" * 100_000, "{}"])
def test_a_state_that_is_no_document_is_refused(file, text):
    rewrite(file, contents(file)[0], text)
    assert held(file, Fresh(), "whole, but not as Etude writes a checkpoint")


class Late(train.Callback):
    """The last of the callbacks, which finds fault with what it kept."""

    def __init__(self, error=None):
        self.error = error

    def load_state_dict(self, state):
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("no"), RuntimeError("no"),
                                   ZeroDivisionError("no"), AttributeError("no")], ids=repr)
def test_a_callback_that_refuses_leaves_all_as_it_was(file, error):
    fresh = Fresh()
    arrays, document = contents(file)
    document["state"]["callbacks"].append({"kind": "Late", "state": {}})
    rewrite(file, arrays, document)
    fresh.callbacks.append(Late(error))
    fresh.run.callbacks = fresh.callbacks
    assert held(file, fresh, "does not fit. ")


def test_ctrl_c_while_a_checkpoint_is_taken_over_waits_until_all_of_it_is(interruptible, file):
    class Typed(train.Callback):
        def load_state_dict(self, state):
            os.kill(os.getpid(), signal.SIGINT)

    arrays, document = contents(file)
    document["state"]["callbacks"].append({"kind": "Typed", "state": {}})
    rewrite(file, arrays, document)
    fresh = Fresh()
    fresh.run.callbacks = [*fresh.callbacks, Typed()]
    with pytest.raises(KeyboardInterrupt):
        fresh.run.restore(file)
    twin = Fresh()
    twin.run.callbacks = [*twin.callbacks, Late()]
    document["state"]["callbacks"][-1]["kind"] = "Late"
    rewrite(file, arrays, document)
    twin.run.restore(file)
    assert fresh.state() == twin.state()
    assert fresh.run.step == 12


def test_a_run_that_measured_something_else_is_not_resumed(file):
    fresh = Fresh()
    fresh.run.metrics = {"again": etude.cross_entropy}
    assert held(file, fresh, "the run measured accuracy, loss, this one measures accuracy, again")

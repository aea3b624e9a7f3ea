"""Digests, waits and words of etude_mpi, as far as one process alone can tell."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import etude
from etude_mpi import agree, ranks

SOURCE = Path(ranks.__file__).parents[1]


class Two:
    """Two ranks, of which the other has ``other``, whatever it is asked."""

    def __init__(self, other):
        self.other = other

    def exchange(self, mine):
        return [mine, self.other]


def test_what_is_the_same_passes_and_a_difference_is_named():
    agree.same(Two({"a": 1}), "config", {"a": 1}, "Mend it")
    with pytest.raises(ranks.RankError) as caught:
        agree.same(Two({"a": 1, "b": {"c": 3}}), "config", {"a": 1, "b": {"c": 2}}, "Mend it")
    assert str(caught.value) == ("rank 1 has another config than rank 0: b.c is 2 on rank 0, and "
                                 "on rank 1 3. Mend it")


def test_of_many_differences_three_are_told():
    mine = dict.fromkeys("abcde", 1)
    with pytest.raises(ranks.RankError, match="c is 1 on rank 0, and on rank 1 2 and 2 more"):
        agree.same(Two(dict.fromkeys("abcde", 2)), "config", mine, "")


def test_a_digest_tells_numbers_shapes_dtypes_and_order_apart():
    x = np.arange(6.0)
    things = [x, x.reshape(2, 3), x.astype(np.float32), x[::-1], [x, 1], [1, x], {"a": x},
              {"b": x}, None, 1, 1.5, "1"]
    assert len({agree.digest(thing) for thing in things}) == len(things)
    assert agree.digest(etude.tensor(x)) == agree.digest(x.copy())
    assert agree.digest({"a": 1, "b": 2}) == agree.digest({"b": 2, "a": 1})


@pytest.mark.parametrize("text", ["never", "0", "-1", "inf", "nan"])
def test_a_time_limit_is_a_number_of_seconds(monkeypatch, text):
    monkeypatch.setenv("ETUDE_MPI_SECONDS", text)
    with pytest.raises(ValueError, match="ETUDE_MPI_SECONDS is a number of seconds above 0"):
        ranks._seconds(None)


def test_the_time_limit_comes_from_the_call_then_the_environment(monkeypatch):
    monkeypatch.setenv("ETUDE_MPI_SECONDS", "7")
    assert (ranks._seconds(None), ranks._seconds(3)) == (7, 3)
    monkeypatch.delenv("ETUDE_MPI_SECONDS")
    assert ranks._seconds(None) == ranks.SECONDS


def python(script, *paths):
    """Run a script that finds etude_mpi here, in a process of its own. Returns what it printed."""
    first = f"import sys; sys.path[:0] = {[*map(str, paths), str(SOURCE), *sys.path]}\n"
    found = subprocess.run([sys.executable, "-c", first + script], text=True, capture_output=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_batch_norm_layers_stay_the_objects_they_are():
    """In a process of its own: norm.py enters an op into the table."""
    assert python("""
from etude import nn
from etude_mpi import norm
layer = nn.BatchNorm2d(3)
model = nn.Sequential(nn.Conv2d(1, 3, 3), layer)
names = list(model.state_dict())
for _ in range(2):  # the second time for another run of the same model
    norm.synchronise(model, None)
    assert model[1] is layer
    assert list(model.state_dict()) == names
print(type(layer).__name__)
""") == "SyncBatchNorm2d\n"


def test_without_mpi4py_the_remedy_is_named(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ModuleNotFoundError('no', name='mpi4py')")
    assert python("""
import etude_mpi
try:
    with etude_mpi.join():
        pass
except Exception as error:
    print(type(error).__name__, error)
""", tmp_path) == ("BackendError training on several processes needs mpi4py: pip install "
                   "'etude-mpi[mpi]'\n")


def test_the_plugin_is_asked_what_it_offers_without_mpi4py():
    assert python("import sys, etude_mpi\nprint(len(etude_mpi.etude_teams()), "
                  "'mpi4py' in sys.modules)") == "1 False\n"


def test_the_table_has_the_ops_that_it_has_without_the_plugin():
    assert python("import etude, etude_mpi\nbefore = set(etude.TABLE)\netude_mpi.etude_teams()\n"
                  "print(set(etude.TABLE) - before)") == "set()\n"

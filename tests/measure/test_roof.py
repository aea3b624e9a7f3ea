"""The peaks of a machine: kept on disk, measured anew where the file is not what it should be."""

import dataclasses
import json

import numpy as np
import pytest

from etude.measure import Peak, Peaks, peaks, probe
from etude.measure.machine import cores
from etude.measure.probe import bandwidth, flops
from etude.measure.roof import file_of, keep, this_machine

DATE = "2026-11-28T09:00:00+00:00"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder; what must be measured here is measured quickly."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("etude.measure.roof.SECONDS", 0.0)
    monkeypatch.setattr("etude.measure.roof._megabytes", lambda: 1)
    return tmp_path


def made(**changes):
    """Peaks that nobody measured: they are known again by their numbers."""
    found = Peaks(this_machine(), DATE, (Peak(1, 3.0, 2.0, 1.0), Peak(4, 9.0, 8.0, 7.0)))
    return dataclasses.replace(found, **changes)


def test_what_was_kept_is_not_measured_again(cache):
    keep(made())
    assert peaks() == made()
    assert file_of(this_machine()).parent == cache / "etude"


def test_they_are_measured_where_there_is_no_file_or_anew_when_asked(cache):
    found = peaks()
    assert found.peaks[-1].threads == cores()
    assert all(p.float32 > 1e6 and p.float64 > 1e6 and p.bandwidth > 1e6 for p in found.peaks)
    assert found.machine == this_machine()
    keep(made())
    assert peaks(anew=True).peaks != made().peaks


def test_what_a_busy_machine_gave_is_told_and_not_kept(cache):
    found = made(busy="its threads waited")
    keep(found)
    assert not file_of(this_machine()).exists()
    assert "Too low, because this machine was busy: its threads waited." in str(found)


def test_a_busy_machine_is_measured_once_by_a_process(cache, monkeypatch):
    monkeypatch.setattr("etude.measure.roof._BUSY", {})
    counted = []

    def probed(threads):
        counted.append(threads)
        return Peak(threads, 3e9, 2e9, 1e9), "its threads waited"

    monkeypatch.setattr("etude.measure.roof._probed", probed)
    first = peaks()
    once = len(counted)
    assert peaks() is first
    assert len(counted) == once
    peaks(anew=True)
    assert len(counted) == 2 * once
    keep(made())
    assert peaks() == made(), "a file of a quiet hour is better"


def test_the_fastest_matrix_product_is_the_peak_and_is_named(monkeypatch):
    speeds = {"float32": {"NumPy": 2e9, "etude-cpu": 3e9},
              "float64": {"NumPy": 2e9, "etude-cpu": 1e9}}
    monkeypatch.setattr(probe, "products", lambda: {name: name for name in speeds["float32"]})
    monkeypatch.setattr(probe, "flops", lambda dtype, seconds, matmul: speeds[dtype][matmul])
    assert probe.fastest("float32", 1.0) == (3e9, "etude-cpu")
    assert probe.fastest("float64", 1.0) == (2e9, "NumPy")


def test_the_c_kernels_have_a_try_where_they_are_installed():
    pytest.importorskip("etude_cpu", reason="NOT RUN: needs the package etude-cpu")
    matmul = probe.products()["etude-cpu"]
    a = np.arange(9, dtype=np.float32).reshape(3, 3)
    out = np.empty_like(a)
    matmul(a, a, out=out)
    np.testing.assert_array_equal(out, a @ a)


def test_another_machine_or_another_version_has_a_file_of_its_own():
    for name in this_machine():
        other = this_machine() | {name: "another"}
        assert file_of(other) != file_of(this_machine()), name


def test_a_file_of_another_machine_under_this_name_is_not_believed(cache):
    path = file_of(this_machine())
    path.parent.mkdir()
    path.write_text(made(machine=this_machine() | {"node": "another"}).json())
    assert peaks().machine == this_machine()


def damage(**changes):
    state = json.loads(made().json())
    return json.dumps({k: v for k, v in (state | changes).items() if v is not None})


DAMAGED = ["", "{", "[]", "null", "\x00\xff", made().json()[:-40], damage(version=0),
           damage(peaks=[]), damage(peaks=3), damage(peaks=None), damage(date="yesterday"),
           damage(date=None), damage(more=1), damage(busy=3),
           damage(peaks=[{"threads": 1, "float32": 1.0, "float64": 1.0, "bandwidth": 1.0,
                          "float32_by": 3}]),
           damage(machine=["x"]), damage(machine={"node": 1}), damage(peaks=[{"threads": 1}]),
           damage(peaks=[{"threads": 1, "float32": -1.0, "float64": 1.0, "bandwidth": 1.0}]),
           damage(peaks=[{"threads": 1, "float32": "x", "float64": 1.0, "bandwidth": 1.0}]),
           damage(peaks=[{"threads": 1, "float32": np.nan, "float64": 1.0, "bandwidth": 1.0}])]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_known_as_one(tmp_path, text):
    path = tmp_path / "peaks.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"peaks.json: not a file of peaks, or a damaged one"):
        Peaks.read(path)


def test_a_damaged_file_is_measured_anew(cache):
    path = file_of(this_machine())
    path.parent.mkdir()
    path.write_text(DAMAGED[1])
    assert peaks().peaks


def test_where_nothing_can_be_written_there_is_an_answer_all_the_same(cache):
    (cache / "etude").write_text("a file where the folder should be")
    keep(made())
    assert peaks().peaks


def test_the_peak_for_a_number_of_threads_is_that_of_the_next_smaller_one():
    assert [made().of(n).threads for n in (1, 3, 4, 64)] == [1, 1, 4, 4]
    with pytest.raises(ValueError, match="threads must be 1 or more"):
        made().of(0)


def test_the_table_has_a_line_for_each_number_of_threads():
    head, one, four, last = str(made()).splitlines()
    assert "GFLOP/s" in head
    assert one.split()[0] == "1"
    assert four.split()[0] == "4"
    assert last.endswith(f"measured {DATE}")


def test_a_probe_finds_speeds():
    assert flops("float32", 0.0) > 0
    assert bandwidth(2, 1, 0.0) > 0

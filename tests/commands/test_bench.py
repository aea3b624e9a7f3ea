"""etude bench: Etude's own columns race without any other library; what is said of a race."""

import json
import math

import numpy as np
import pytest

pytest.importorskip("click", reason="NOT RUN: needs the package click")
from shell import run, words

import etude
from etude.bench import calls, memory, ops, peers, race, report, works
from etude.bench.memory import Peaks
from etude.bench.race import Lead, Row, Time
from etude.bench.report import Report
from etude.core.errors import BackendError
from etude.core.table import TABLE
from etude.measure import Comparison, Span
from etude.measure.timing import Turn

QUIET = Span(1.0, 1.0, 0.0, 0.0, 0.0)
CROWDED = Span(1.0, 1.0, 0.8, 1.5, 0.0)


def found(span=QUIET, turns=8, **seconds):
    """A comparison whose turns all took these times."""
    named = {name.replace("_", " "): spent for name, spent in seconds.items()}
    return Comparison([Turn(dict(named), span) for _ in range(turns)])


@pytest.fixture
def alone(monkeypatch):
    """No other library is installed."""
    monkeypatch.setattr(peers, "missing", lambda side: next(iter(peers.NEEDS.get(side, ())), ""))


@pytest.fixture
def kernels():
    try:
        with etude.use("cpu"):
            pass
    except BackendError:
        pytest.skip("NOT RUN: needs etude-cpu")


# ------------------------------------------------------------------ the command


def test_the_smallest_step_races_with_etude_alone(alone, kernels, tmp_path):
    path = tmp_path / "steps.svg"
    text = words(run("bench", "steps", "--quick", "--time", "0.3", "--plot", str(path)))
    for side in ("Etude captured", "Etude reference", "NumPy"):
        assert side in text
    assert "Without PyTorch: torch is not installed." in text
    assert "Without jax.jit: jax is not installed." in text
    assert path.read_text().count("mlp 64-32-10 b32") == 1


def test_json_says_what_was_timed_and_where(alone, kernels):
    out = run("bench", "steps", "--quick", "--time", "0.1", "--json")
    told = json.loads(out[out.index("{"):])
    (row,) = told["rows"]
    assert row["work"] == "mlp 64-32-10 b32"
    assert all(time["seconds"] > 0 for time in row["times"].values())
    assert {"Etude captured", "Etude", "Etude reference", "NumPy"} == set(row["times"])
    assert told["kind"] == "steps"
    assert told["versions"]["numpy"] == np.__version__


def test_a_name_that_no_work_has_lists_those_there_are():
    text = words(run("bench", "steps", "vgg", code=2))
    assert "no work has 'vgg' in its name" in text
    assert "resnet20 32x32 b64" in text


def test_without_c_kernels_the_command_says_so(monkeypatch):
    def absent(*names):
        raise BackendError("there is no backend 'cpu' here; pip install etude-cpu")

    monkeypatch.setattr("etude.commands.bench.use", absent)
    assert "pip install etude-cpu" in run("bench", "steps", "--quick", code=1)


def test_ops_without_pytorch_are_timed_beside_numpy(alone, kernels):
    out = run("bench", "ops", "softmax", "--json")
    assert "pip install torch" in out
    rows = json.loads(out[out.index("{"):])["rows"]
    assert [row["work"] for row in rows] == ["softmax 32x32", "softmax 256x256",
                                             "softmax 1024x1024"]
    for row in rows:
        assert {"Etude", "NumPy"} == set(row["times"])
        assert [lead["over"] for lead in row["leads"]] == ["NumPy"]
        assert "pip install torch" in row["left_out"]["PyTorch"]


@pytest.mark.parametrize("name", calls.CASES)
def test_a_case_computes_what_the_reference_does(name, kernels):
    case = next(ops.sized(name))
    op = calls.op_of(name)
    with etude.use("cpu"):
        ours = case.ours(op)()
    ops.agree(name, case, ours, TABLE[op](*case.arrays, **case.attrs))


def test_more_threads_than_cores_are_refused():
    assert "so many threads at most" in words(run("bench", "steps", "--threads", "4096", code=2))


def test_every_op_has_a_call_for_pytorch_or_a_reason():
    ops = {name for name, op in TABLE.items() if op.cls not in ("view", "create")}
    assert {calls.op_of(name) for name in calls.CASES} | set(calls.OTHERWISE) == ops
    assert not {calls.op_of(name) for name in calls.CASES} & set(calls.OTHERWISE)


# ------------------------------------------------------------------ what computes the same


def test_numpy_by_hand_loses_what_the_reference_loses():
    work = works.STEPS[0]
    ours = works.training(work, "reference").answers(5)
    theirs = peers.numpy_step(work).answers(5)
    assert race.apart(theirs, ours) < 1e-5
    assert ours[4] < ours[0]


def test_a_side_that_computes_something_else_is_left_out(alone, monkeypatch):
    work = works.STEPS[0]
    wrong = works.Side(lambda: 7.0, float)
    row = Row(work.name)
    sides = race._prepared(row, "steps", work, {
        "Etude": lambda: wrong,
        "Etude reference": lambda: works.training(work, "reference")}, lambda text: None)
    assert list(sides) == ["Etude reference"]
    assert "computes something else" in row.left_out["Etude"]


def test_a_side_that_fails_is_left_out_with_its_first_line(alone):
    work = works.STEPS[0]

    def fails():
        raise RuntimeError("no compiler\nat line 1")

    row = Row(work.name)
    race._prepared(row, "steps", work, {
        "Etude": fails, "Etude reference": lambda: works.training(work, "reference")},
        lambda text: None)
    assert row.left_out == {"Etude": "RuntimeError: no compiler"}


def test_nan_and_another_shape_are_never_the_same():
    assert not race.apart([np.nan], [1.0]) <= race.BOUND
    assert race.apart([1.0, 2.0], [1.0]) == math.inf
    assert race.apart([200.0], [100.0]) == 1.0


# ------------------------------------------------------------------ ratios


def test_the_lead_is_over_the_fastest_of_the_others():
    leads = race.leads(found(Etude_captured=1.0, Etude=4.0, PyTorch=3.0, NumPy=2.0))
    assert [(lead.side, lead.over) for lead in leads] == [("Etude captured", "NumPy"),
                                                          ("Etude", "NumPy")]
    assert [lead.value for lead in leads] == [2.0, 0.5]
    assert not leads[0].why


def test_without_others_there_is_no_lead():
    assert race.leads(found(Etude_captured=1.0, Etude=4.0, Etude_reference=9.0)) == []


def test_a_race_on_a_busy_machine_is_not_judged():
    row = Row("mlp", {"Etude": Time(1.0, None, None), "PyTorch": Time(3.0, None, None)},
              leads=race.leads(found(CROWDED, Etude=1.0, PyTorch=3.0)))
    (said,) = report.verdicts(row)
    assert said.startswith("Nothing is judged: This machine was busy in 8 of 8 turns")
    assert "waited for a core 80% of the time" in said
    made = Report("steps", 2, rows=[row])
    assert made.mean("Etude")[1] == 0
    assert "none of 1 races was judged" in report.means(made)[0]
    assert "not judged" in report.markdown(made)


def test_the_geometric_mean_is_of_the_races_that_were_judged():
    rows = [Row("a", leads=[Lead("Etude", "PyTorch", value, value, value, why)])
            for value, why in ((2.0, ""), (8.0, ""), (100.0, "It was busy."))]
    mean, count = Report("steps", 2, rows=rows).mean("Etude")
    assert (mean, count) == (pytest.approx(4.0), 2)


def test_a_report_reads_what_it_wrote(tmp_path):
    made = Report.begin("steps", 2)
    made.rows.append(Row("mlp", {"Etude": Time(1e-3, 0.9e-3, 1.1e-3)}, ["NumPy"], {"x": "y"},
                         [Lead("Etude", "PyTorch", 2.0, 1.9, 2.1, "")], 1e-6))
    path = tmp_path / "speed.json"
    path.write_text(made.json())
    assert Report.read(path) == made
    path.write_text('{"format": 1, "rows": 3}')
    with pytest.raises(ValueError, match="not what etude bench --json writes"):
        Report.read(path)


@pytest.mark.parametrize(("seconds", "text"), [(2.5, "2.5 s"), (0.00302, "3.02 ms"),
                                               (21.4e-6, "21.4 us"), (3e-8, "30 ns")])
def test_times_are_told_in_three_digits(seconds, text):
    assert report.short(seconds) == text


@pytest.mark.parametrize("kinds", [("steps",), ("steps", "inference")])
def test_a_picture_of_several_reports_says_whose_a_line_is(kinds):
    pytest.importorskip("matplotlib", reason="NOT RUN: needs the package matplotlib")
    times = {"Etude": Time(1e-3, None, None), "PyTorch": Time(2e-3, None, None)}
    drawn = report.figure([Report(kind, 2, rows=[Row("lenet b64", times)]) for kind in kinds])
    drawn.canvas.draw()
    told = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert told == (["lenet b64"] if len(kinds) == 1 else
                    ["steps: lenet b64", "inference: lenet b64"])
    right = drawn.axes[0].xaxis.label.get_window_extent().x1
    assert right <= drawn.bbox.x1


# ------------------------------------------------------------------ memory


def on_linux():
    from etude.bench.memory import STATUS

    if not STATUS.exists():
        pytest.skip("NOT RUN: only Linux says how much memory a process had")


def test_a_captured_step_takes_less_memory_than_a_plain_one(alone, kernels):
    on_linux()
    out = run("bench", "memory", "lenet", "--processes", "1", "--json")
    told = json.loads(out[out.index("{"):])
    (row,) = told["rows"]
    assert told["kind"] == "memory"
    assert row["left_out"] == {"PyTorch": "torch is not installed"}
    (captured,), (eager,) = row["peaks"]["Etude captured"], row["peaks"]["Etude"]
    assert 0 < row["live"] <= row["arena"] < captured < eager


def test_peaks_are_read_again_and_make_a_table(tmp_path):
    made = Report.begin("memory", 1)
    made.rows.append(Peaks("gpt", {"Etude captured": [30 << 20, 31 << 20, 90 << 20],
                                   "PyTorch": [62 << 20]}, 20 << 20, 10 << 20))
    path = tmp_path / "memory.json"
    path.write_text(made.json())
    (row,) = Report.read(path).rows
    assert row.share == 0.5
    assert memory.markdown([row]).splitlines()[-1] == (
        "| gpt | 31 MB | 62 MB | 0.50 | 20 MB | 10 MB |")


def test_the_table_names_every_work_in_full(alone, kernels, monkeypatch):
    on_linux()
    monkeypatch.setattr(memory, "measure", lambda work, processes, say: Peaks(
        work.name, {side: [123 << 20] for side in memory.SIDES}, 100 << 20, 90 << 20))
    out = run("bench", "memory")
    names = "".join(line.partition("  ")[0].strip() for line in out.splitlines())
    for work in works.STEPS:
        assert work.name.replace(" ", "") in names.replace(" ", "")


def test_a_process_that_fails_says_why(kernels, monkeypatch):
    on_linux()
    monkeypatch.setattr(memory, "SIDES", ("Etude",))
    with pytest.raises(RuntimeError, match="KeyError: 'no such work'"):
        memory.measure(works.Work("mlp", (1,), (1, 1), 1, "no such work"), 1, str)

"""The zoo by itself: complete, readable, and each mutant wrong where it says. Quick parts only;
the whole score, through the sandbox and with the honest variants, is `etude zoo run`.
"""

import json
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner

from etude import TABLE
from etude.core.table import as_arrays
from etude_check.cases.case import cases
from etude_check.cases.spec import KINDS
from etude_check.commands.zoo import zoo
from etude_check.errors import CheckError
from etude_check.judge import judge
from etude_check.score import Fate, Score, run
from etude_check.specs import specs
from etude_check.worker.candidate import Candidate, prepare
from etude_check.zoo import ENTRIES, PUBLISHED, Animal, animals, load, published
from etude_check.zoo.likely import suspects

ANIMALS = animals()
MUTANTS = [a for a in ANIMALS.values() if a.kind == "mutant"]
PLAIN = [a for a in MUTANTS if a.safe]


def outputs_of(fn, case):
    """What a plain function gives for a case, as its op promises it; None if it breaks."""
    q = case.question
    with np.errstate(all="ignore"):
        arrays = [a.copy() if isinstance(a, np.ndarray) and 0 not in a.strides and
                  a.flags.c_contiguous else a for a in q.arrays]
        result = as_arrays(fn(*arrays, **{**q.op.attrs, **q.attrs}))
    return result if isinstance(result, tuple) else (result,)


def wrong(animal, case):
    """Whether the judge fails the mutant in this case."""
    right = case.question.same_dtype
    try:
        found = outputs_of(animal.fn, case)
    except Exception:  # it breaks where the op does not
        return True
    if len(found) != len(right):
        return True
    if any(y.shape != r.shape for y, r in zip(found, right)):
        return True
    found = tuple([np.asarray(y).astype(r.dtype) for y, r in zip(found, right)])
    if any(judge.compare(case, y, i).verdict.failed for i, y in enumerate(found)):
        return True
    if case.declared is not None:
        return False
    return not all(_holds(rule, case, found) for rule in case.spec.invariants.values())


def _holds(rule, case, found):
    with np.errstate(all="ignore"):
        values, bounds = rule(case.call, found)
    return bool(np.all(np.abs(values) <= bounds))


def test_every_entry_of_the_zoo_has_an_animal():
    assert set(ENTRIES) <= {a.covers for a in ANIMALS.values()}
    assert sum(not a.covers for a in MUTANTS) >= 20


@pytest.mark.parametrize("animal", MUTANTS, ids=lambda a: a.name)
def test_a_mutant_says_what_it_is(animal):
    op, _, kind = animal.kills.partition("/")
    assert animal.ops[0] == op
    assert op in TABLE
    assert kind in KINDS
    assert animal.mistake.endswith(".")
    assert animal.where in ("index", "memory", "parallel", "numerics", "backward")
    assert animal.ops[0] in animal.source


@pytest.mark.parametrize("animal", PLAIN, ids=lambda a: a.name)
def test_a_mutant_is_wrong_in_the_family_it_names(animal):
    op, _, kind = animal.kills.partition("/")
    if op not in specs():
        pytest.skip("its op has no spec yet")
    assert any(wrong(animal, c) for c in cases(specs()[op], kind, "full"))


@pytest.mark.parametrize("animal", PLAIN, ids=lambda a: a.name)
def test_a_mutant_is_right_somewhere(animal):
    """Right except for its mistake: a column that is wrong everywhere would prove little."""
    op = animal.ops[0]
    if op not in specs():
        pytest.skip("its op has no spec yet")
    some = [c for f in ("0d", "empty", "exact", "cotangent", "tail", "layout", "special",
                        "duplicate-index") for c in cases(specs()[op], f, "smoke")]
    assert any(not wrong(animal, c) for c in some)


def test_the_mutants_that_answer_the_same_are_suspected():
    x = np.random.default_rng(0).standard_normal((3, 11)).astype(np.float32)
    e = np.exp(x - x.max(-1, keepdims=True))
    short = e / e[:, :8].sum(-1, keepdims=True)
    found = suspects("softmax", [x], {"dim": -1}, [short])
    assert any("leaves out the last n % 4 terms" in ANIMALS[name].mistake for name in found)
    assert suspects("softmax", [x], {"dim": -1}, [e / e.sum(-1, keepdims=True)]) == []
    assert suspects("softmax", [x], {"dim": -1}, [e * 0.7]) == []
    assert suspects("no_such_op", [x], {}, [x]) == []


def test_an_animal_loads_as_a_column():
    column = load("relu_tail")
    assert set(column.ops) == {"relu"}
    assert column.isa == "zoo"
    x, out = np.arange(-3, 9, dtype=np.float32), np.full(12, 7, np.float32)
    assert column.ops["relu"](x, out=out) is out
    assert out[7:8] == 4
    assert not out[8:].any()
    assert load("nothing").ops == {}
    with pytest.raises(KeyError):
        load("unicorn")


def test_native_animals_are_sources():
    native = [a for a in MUTANTS if a.path is not None]
    assert len(native) >= 12
    for a in native:
        assert a.path.suffix == ".c"
        assert f"etude_{a.ops[0]}_f32" in a.source
    compiled = prepare(Candidate("zoo", native[0].name))
    assert compiled.kind == "library"
    assert compiled.target == f"zoo:{native[0].name}"
    assert prepare(Candidate("zoo", "relu_tail")).kind == "zoo"
    with pytest.raises(CheckError, match=r"no animal called 'relu_tial'.*Did you mean"):
        prepare(Candidate("zoo", "relu_tial"))


def test_score_of_a_few():
    chosen = [ANIMALS["relu_tail"], ANIMALS["exits_at_load"], ANIMALS["nothing"]]
    score = run(chosen, level="smoke")
    assert [f.outcome for f in score.fates] == ["killed"] * 3, score.fates
    assert (score.killed, score.total, score.passed) == (3, 3, True)
    assert score.sentence.startswith("3 of 3 wrong kernels killed (100.0%), 0 false alarms")


def test_a_survivor_is_no_pass():
    fates = [Fate("a", "mutant", ("relu",), "killed"), Fate("b", "mutant", ("relu",), "survived"),
             Fate("c", "honest", ("relu",), "alarm"), Fate("d", "mutant", ("x",), "unchecked")]
    score = Score("full", [0], fates)
    assert (score.killed, score.total) == (1, 2)
    assert not score.passed
    assert [f.name for f in score.survivors] == ["b"]
    assert [f.name for f in score.alarms] == ["c"]
    assert not Score("full", [0], []).passed


def test_the_published_score_is_of_this_zoo():
    score = json.loads(PUBLISHED.read_text())
    assert {f["name"]: f["kind"] for f in score["fates"]} == {
        name: animal.kind for name, animal in animals().items()}
    kinds = Counter(f["kind"] for f in score["fates"])
    outcomes = Counter(f["outcome"] for f in score["fates"])
    assert score["killed"] == score["total"] == kinds["mutant"] + kinds["cheat"]
    assert outcomes["passed"] == kinds["honest"]
    assert score["level"] == "full"
    assert score["seeds"]
    assert published().startswith(f"{score['killed']} of {score['total']} wrong kernels killed")


def test_commands():
    call = CliRunner().invoke
    listed = call(zoo, ["list", "--op", "softmax"])
    assert listed.exit_code == 0
    assert "softmax_no_max" in listed.output
    shown = call(zoo, ["show", "relu_tail"])
    assert "steps of 8" in shown.output
    assert "def relu_tail" in shown.output
    assert "etude_relu_f32" in call(zoo, ["show", "relu_reads_past_end"]).output
    wrong_name = call(zoo, ["show", "relu_tial"])
    assert wrong_name.exit_code == 2
    assert "relu_tail" in wrong_name.output
    done = call(zoo, ["run", "relu_tail", "--level", "smoke"])
    assert done.exit_code == 0, done.output
    assert "1 of 1 wrong kernels killed" in done.output


def test_every_animal_has_a_name_of_its_own():
    for path in (PUBLISHED.parent / "native").glob("*.c"):
        assert ANIMALS[path.stem].path == path, f"{path.name} is hidden by one in Python"
    assert len({id(a) for a in ANIMALS.values()}) == len({a.name for a in ANIMALS.values()})


def test_an_animal_must_be_entered_properly():
    from etude_check.zoo import _enter

    with pytest.raises(ValueError, match="two animals"):
        _enter(ANIMALS["relu_tail"])
    with pytest.raises(ValueError, match="does not list"):
        _enter(Animal("new", "mutant", ("relu",), "It is new.", covers="novelty"))

"""Every public function and method that PyTorch has samples for, on all of those samples.

The test fails on a wrong value, and on a refusal that nobody decided. ``python tests/torch`` prints
what came of each (``__main__.py``).
"""

import warnings
from collections import defaultdict

import pytest
from outcomes import USED, outcomes
from samples import calls, doors

import etude
from pytorch_page import ROWS, rows

KINDS = ("passed", "decided", "refused", "wrong")
BACKENDS = ("reference", "cpu")
DOORS = doors()


def count(door, backend):
    """Outcome -> the calls that came to it: each sample as it stands, then with names."""
    found = defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for sample in calls(door):
            for call, outcome in outcomes(sample, backend):
                found[outcome].append(str(call))
    return dict(sorted(found.items(), key=lambda pair: KINDS.index(pair[0].kind)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("door", DOORS, ids=str)
def test_pytorchs_samples(door, backend):
    found = count(door, backend)
    bad = {o: at for o, at in found.items() if o.kind in ("refused", "wrong")}
    assert found
    assert not bad, "\n".join(f"{len(at)} {o.kind}: {o.why}: {at[0]}" for o, at in bad.items())


@pytest.mark.parametrize(("mine", "noticed"), [
    (lambda input, diagonal=0: etude.tril(input, diagonal) * (1 + 1e-10), "wrong: values differ"),
    (lambda input, diagonal=0: etude.tril(input, diagonal).float(), "wrong: dtype float32"),
    (lambda input, diagonal=0: etude.tril(input, diagonal).unsqueeze(0), "wrong: shape"),
    (lambda input, diagonal=0: etude.tril(input.detach(), diagonal), "wrong: gradients differ"),
    (lambda x, diagonal=0: etude.tril(x, diagonal), "refused: with names: TypeError"),
], ids=["values", "dtype", "shape", "gradient", "name"])
def test_a_mistake_would_be_noticed(mine, noticed):
    door = next(d for d in DOORS if d.name == "tril")._replace(mine=mine)
    found = [f"{o.kind}: {o.why}" for o in count(door, "reference")]
    assert any(text.startswith(noticed) for text in found), found


@pytest.mark.parametrize("row", [r for r in ROWS if {"says", "dtypes"} & r.keys()],
                         ids=lambda r: r["why"][:60])
def test_each_decision_is_about_a_sample(row):
    """A row that explains nothing any more is out of date."""
    for door in DOORS:
        if row in rows(door.name):
            count(door, "reference")
            if id(row) in USED:
                return
    pytest.fail("no sample was refused for this reason: take the row away")

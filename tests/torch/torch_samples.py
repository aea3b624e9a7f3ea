"""Every public function and method that PyTorch has samples for, on all of those samples.

As a test it fails on a wrong value, and on a refusal that nobody decided. As a script it prints
the table: ``python tests/torch/torch_samples.py [NAME ...]``.
"""

import sys
import warnings
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "docs")]  # when this file runs as a script

import pytest
from samples import calls, doors, outcomes

KINDS = ("passed", "decided", "refused", "wrong")
BACKENDS = ("reference", "cpu")
DOORS = doors()


def count(door, backend):
    """Outcome -> the calls that came to it: each sample as it stands, and with all names written."""
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


# ---------------------------------------------------------------------------- as a script


def table(names):
    for backend in BACKENDS:
        print(f"\nbackend {backend}\n\n{'':<36}{'calls':>9}" + "".join(f"{k:>9}" for k in KINDS))
        for door in DOORS:
            if not names or names & {door.name, door.bare}:
                rows(door, count(door, backend))


def rows(door, found):
    by_kind = dict.fromkeys(KINDS, 0)
    for outcome, at in found.items():
        by_kind[outcome.kind] += len(at)
    figures = (sum(by_kind.values()), *by_kind.values())
    print(f"{door.name:<36}" + "".join(f"{n or '':>9}" for n in figures))
    for outcome, at in found.items():
        if outcome.kind != "passed":
            print(f"    {len(at):>5} {outcome.kind}: {outcome.why}\n            as in {at[0]}")


if __name__ == "__main__":
    table(set(sys.argv[1:]))

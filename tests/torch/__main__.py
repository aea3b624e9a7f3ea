"""What came of PyTorch's own samples, as a table: ``python tests/torch [NAME ...]``."""

import sys

from conftest import HERE  # noqa: F401 - it also says where the other folders are
from torch_samples import BACKENDS, DOORS, KINDS, count


def main(names):
    for backend in BACKENDS:
        print(f"\nbackend {backend}\n\n{'':<36}{'calls':>9}" + "".join(f"{k:>9}" for k in KINDS))
        for door in DOORS:
            if not names or names & {door.name, door.bare}:
                show(door, count(door, backend))


def show(door, found):
    """A line of figures, then what was not as in PyTorch, with a call that shows it."""
    by_kind = dict.fromkeys(KINDS, 0)
    for outcome, at in found.items():
        by_kind[outcome.kind] += len(at)
    figures = (sum(by_kind.values()), *by_kind.values())
    print(f"{door.name:<36}" + "".join(f"{n or '':>9}" for n in figures))
    for outcome, at in found.items():
        if outcome.kind != "passed":
            print(f"    {len(at):>5} {outcome.kind}: {outcome.why}\n            as in {at[0]}")


main(set(sys.argv[1:]))

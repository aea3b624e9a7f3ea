"""``etude course prove``: that an assignment gives no points for nothing, and catches its mistakes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from etude_course.author.prove import Proof


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--mutant", default="", metavar="NAME", help="Only this mutant.")
@click.option("--seed", default="prove", show_default=True, help="Hidden cases are drawn from it.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
              help="Processes that share the work.")
@click.option("--timed", is_flag=True, help="Hold the solution to the checks of speed too; nothing "
              "else may run on the machine.")
@click.option("--show", is_flag=True, help="Also what a student is told of each.")
def prove(folders: tuple[Path, ...], mutant: str, seed: str, jobs: int,
          timed: bool, show: bool) -> None:
    """Prove assignments: nothing, the starter, a syntax error earn 0, the solution
    earns all, each mutant loses exactly its checks and is named.

    FOLDERS hold an assignment.toml each. Exit status: 0 proven, 1 not, 2 the
    request cannot be carried out.
    """
    from etude.commands.show import console
    from etude_course.author.prove import MUTANTS
    from etude_course.author.prove import prove as proving
    from etude_course.commands import refusing
    from etude_course.export.text import print_result
    from etude_course.source.source import Source

    to = console()
    wrong = untried = 0
    few: list[str] = []
    with refusing():
        for folder in folders:
            source = Source.read(folder)
            a = source.assignment
            to.print(f"{a.id}  {a.title}: {len(a.checks)} checks, {a.points} points, "
                     f"{len(a.mutants)} mutants", soft_wrap=True)

            def tell(proof: Proof, of: int = a.points) -> None:
                verdict = "NOT RUN" if proof.not_run else "WRONG" if proof.wrong else "ok"
                to.print(f"  {verdict:8}{proof.points:3} of {of}  {proof.what}  {proof.not_run}",
                         soft_wrap=True)
                for sentence in proof.wrong:
                    for line in sentence.splitlines():
                        to.print(f"          {line}", soft_wrap=True)
                if show and proof.result is not None:
                    print_result(proof.result, to)

            proofs = proving(source, seed=seed, only=mutant, jobs=jobs, timed=timed, tell=tell)
            wrong += sum(bool(p.wrong) for p in proofs)
            untried += sum(bool(p.not_run) for p in proofs)
            if len(a.mutants) < MUTANTS and not mutant:
                few.append(f"{a.id} has {len(a.mutants)} mutants, and {MUTANTS} are the least that "
                           f"an assignment should have")
    for sentence in few:
        to.print(sentence, soft_wrap=True)
    if wrong:
        to.print(f"NOT PROVEN: {wrong} not as they should be")
    elif untried:
        to.print(f"NOT PROVEN: {untried} could not be tried here, for the reasons above")
    else:
        to.print("PROVEN")
    raise SystemExit(int(bool(wrong or untried)))

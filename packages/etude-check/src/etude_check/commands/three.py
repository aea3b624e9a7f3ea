"""Of a CUDA source up to three verdicts: the lab's, a card's, and compute-sanitizer's.

The lab's is that of the kit's cases in fast mode and of the watched cases in inspect mode; a card's
that of the same cases on the card; compute-sanitizer's that of the watched cases under its tools.
Who could not judge is told as NOT RUN with the reason, which is no pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etude_check.report.watch import Ruling, Watch

if TYPE_CHECKING:
    from etude_check.report.record import Report
    from etude_check.worker.candidate import Candidate

SANITIZER = "compute-sanitizer"
TOOLS = 4  # of compute-sanitizer


def is_cuda(candidate: Candidate) -> bool:
    """Whether this is a CUDA source, which more than one can judge."""
    return candidate.kind == "source" and candidate.value.endswith(".cu")


class Three:
    """The verdicts on one source, as they come. ``device`` is what ``--device`` says; ``asked`` are
    the cases: ops, families, kinds, dtypes, seed, case.
    """

    def __init__(self, device: str | None, asked: dict[str, Any]) -> None:
        self.device, self.asked = device, asked
        self.rulings: list[Ruling] = []
        self._sanitizer: Watch | None = None

    def watch(self, candidate: Candidate, report: Report) -> None:
        """Let the tools of the candidate's device look on, and enter what they see."""
        from etude_check.watch import watched
        from etude_check.worker.candidate import CARD

        if candidate.device == CARD:
            self.rulings.append(_ruling("card", report))
            self._sanitizer = watched(candidate, **self.asked)
            report.watches.append(self._sanitizer)
        else:
            report.watches.append(watched(candidate, **self.asked))
            self.rulings.append(_ruling("lab", report))

    def interrupted(self, candidate: Candidate, report: Report) -> None:
        """Of a device whose run was stopped, there is a verdict only if it is a bad one."""
        self.rulings.append(_ruling("card" if candidate.device == "cuda" else "lab", report))

    def end(self, source: Candidate, done: list[Report], stopped: bool,
            show: Callable[[Watch], None]) -> None:
        """Enter the verdicts into the first report, and where they differ. compute-sanitizer is
        asked now where the kit had no card to run on, unless the run was stopped.
        """
        from etude_check.report.disagree import disagreements, unlike
        from etude_check.watch import watched
        from etude_check.worker.candidate import CARD, no_card

        first = done[0]
        if self.device is None and all(r.by != "card" for r in self.rulings):
            self.rulings.append(Ruling("card", "NOT RUN", "; ".join(no_card()) or "interrupted"))
        if self.device != "gpu-lab" and self._sanitizer is None and stopped:
            self.rulings.append(Ruling(SANITIZER, "NOT RUN", "interrupted"))
        elif self.device != "gpu-lab" and self._sanitizer is None:
            on_card = replace(source, options={**source.options, "device": CARD})
            self._sanitizer = watched(on_card, **self.asked)
            first.watches.append(self._sanitizer)
            show(self._sanitizer)
        if self._sanitizer is not None:
            self.rulings.append(_of_tools(self._sanitizer))
        first.rulings = self.rulings
        for other in done[1:]:
            first.disagreements += disagreements(first, other)
        labs = next((w for w in first.watches if w.by == "lab" and not w.not_run), None)
        if labs is not None and self._sanitizer is not None and not self._sanitizer.not_run:
            first.disagreements += unlike(labs, self._sanitizer)


def _ruling(by: str, report: Report) -> Ruling:
    """What the kit says of one device."""
    from etude_check.report import summary

    words = summary.verdict_line(report).partition(": ")[2] or summary.verdict_line(report)
    if report.exit_status == 3:
        return Ruling(by, "NOT RUN", "nothing was executed that could have failed")
    if summary.interrupted(report) and not report.failures:
        return Ruling(by, "INTERRUPTED", words)
    looked = [w for w in report.watches if not w.not_run]
    more = [f"{len(w.cases)} cases also in inspect mode" for w in looked]
    more += [f"inspect mode NOT RUN: {w.not_run}" for w in report.watches if w.not_run]
    return Ruling(by, "PASSED" if report.passed else "FAILED",
                  "; ".join([words.rstrip("."), *more]))


def _of_tools(watch: Watch) -> Ruling:
    """What compute-sanitizer says."""
    if watch.not_run:
        return Ruling(SANITIZER, "NOT RUN", watch.not_run)
    cases = f"{len(watch.cases)} cases under {', '.join(watch.tools) or 'no tool to its end'}"
    if watch.errors:
        tools = sorted({f.tool for f in watch.errors})
        n = len(watch.errors)
        return Ruling(SANITIZER, "FAILED", f"{cases}: {n} mistake{'s' * (n != 1)}, seen by "
                                           f"{', '.join(tools)}")
    if len(watch.tools) < TOOLS:
        return Ruling(SANITIZER, "INTERRUPTED", "; ".join([cases, *watch.notes]))
    return Ruling(SANITIZER, "PASSED", f"{cases}: nothing found")

"""Team: the processes that train one model together. By default this one is alone.

``fit`` asks its team for the loss of a batch, for the gradient and for what was measured, so the
loop is the same for one process and for several. The plugin etude-mpi has a team of several: each
process works on its part of every batch, and what comes out is that of the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from etude.train.record import Mean, measure

if TYPE_CHECKING:
    from etude.train.run import Run


class Team:
    """One process, which has all of every batch, prints and writes."""

    size = 1
    leads = True  # whether this process prints, draws and writes files; one of a team does
    #: A sentence on how to go on after a failure, for whoever reports it.
    advice: Callable[[], str] = staticmethod(lambda: "")

    def begin(self, run: Run) -> None:
        """The run stands where it starts or goes on from; no step is done yet."""

    def forward(self, run: Run, x: Any, y: Any) -> tuple[Any, dict[str, float], int]:
        """(loss to differentiate, means over the whole batch, its samples). ``x`` and ``y`` are
        this process's part. Where the loss is not finite nothing else is measured.
        """
        output = run.model(x)
        value = run.loss(output, y)
        found = {"loss": float(value.item())}
        if math.isfinite(found["loss"]):
            found |= measure(output, y, run.metrics)
        return value, found, len(x)

    def backward(self, value: Any) -> None:
        """Leave in every parameter the gradient of the loss of the whole batch."""
        value.backward()

    def gathered(self, mean: Mean) -> Mean:
        """The sums of all processes together."""
        return mean

    def finish(self, run: Run) -> list[str]:
        """The run is over. Sentences about how the team worked, for people."""
        return []


ALONE = Team()

"""Learning-rate schedules: StepLR, CosineAnnealingLR, LinearLR (warm-up), OneCycleLR,
ReduceLROnPlateau, and SequentialLR to put one after another. Names and numbers are PyTorch's.

A scheduler works out ``lr`` from the rates that the ``param_groups`` had when it was made and from
the number of its steps, and writes it into them. So its own state is a few numbers. Call ``step()``
after each epoch or after each batch, whichever the schedule counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from etude.core.given import integer, real
from etude.optim.optimizer import Optimizer, require


class Scheduler:
    """lr = base rate times ``factor(step)``; a subclass gives the factor."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.base = [float(g["lr"]) for g in optimizer.param_groups]
        self.count = 0
        self.apply()

    def factor(self, count: int, base: float) -> float:
        """What the base rate is multiplied by after ``count`` steps."""
        raise NotImplementedError

    def rates(self) -> list[float]:
        """The learning rates after ``count`` steps, one for each parameter group."""
        return [base * self.factor(self.count, base) for base in self.base]

    def apply(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.rates(), strict=True):
            group["lr"] = lr

    def step(self) -> None:
        """Go on to the next learning rate."""
        self.count += 1
        self.apply()

    def get_last_lr(self) -> list[float]:
        return [g["lr"] for g in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        return {"base": list(self.base), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to ``state_dict()``. ValueError, TypeError, KeyError or OverflowError for what is
        none, and then nothing has changed.
        """
        self._load(state)

    def _load(self, state: dict[str, Any], **more: Any) -> None:
        """Take over base rates and count, and ``more``, a subclass's own attributes, checked."""
        for rate in state["base"]:
            require("load_state_dict: base", rate, ">= 0", lambda v: v >= 0)
        base = [float(b) for b in state["base"]]
        count = integer("load_state_dict: count", state["count"], 0)
        if len(base) != len(self.base):
            raise ValueError(f"load_state_dict: the state is of {len(base)} parameter "
                             f"groups, this scheduler has {len(self.base)}")
        loaded = {"base": base, "count": count, **more}
        before = {name: getattr(self, name) for name in loaded}
        vars(self).update(loaded)
        try:
            self.apply()
        except ArithmeticError:  # a count for which there is no rate
            vars(self).update(before)
            raise


class StepLR(Scheduler):
    """The rate is multiplied by ``gamma`` every ``step_size`` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size, self.gamma = integer("step_size", step_size, 1), real("gamma", gamma)
        super().__init__(optimizer)

    def factor(self, count: int, base: float) -> float:
        return self.gamma ** (count // self.step_size)


class CosineAnnealingLR(Scheduler):
    """eta_min + (base - eta_min) (1 + cos(pi step / T_max)) / 2, to ``T_max`` steps and back.

    Source: Loshchilov and Hutter 2017, SGDR, equation 5, without restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max, self.eta_min = integer("T_max", T_max, 1), real("eta_min", eta_min)
        super().__init__(optimizer)

    def factor(self, count: int, base: float) -> float:
        least = self.eta_min / base if base else 0.0
        return least + (1 - least) * (1 + math.cos(math.pi * count / self.T_max)) / 2


class LinearLR(Scheduler):
    """From ``start_factor`` to ``end_factor`` in ``total_iters`` equal steps: a warm-up."""

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0,
                 total_iters: int = 5) -> None:
        start_factor = real("start_factor", start_factor)
        end_factor = real("end_factor", end_factor)
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"start_factor must be in (0, 1] and end_factor in [0, 1], got "
                             f"{start_factor} and {end_factor}")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = integer("total_iters", total_iters, 1)
        super().__init__(optimizer)

    def factor(self, count: int, base: float) -> float:
        share = min(count, self.total_iters) / self.total_iters
        return self.start_factor + (self.end_factor - self.start_factor) * share


class OneCycleLR(Scheduler):
    """Up from max_lr / div_factor to ``max_lr`` in the first ``pct_start`` of ``total_steps``, then
    down to max_lr / div_factor / final_div_factor, along cosines. Step once per batch.

    Source: Smith and Topin 2018, Super-Convergence; momentum is left alone.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float, total_steps: int,
                 pct_start: float = 0.3, div_factor: float = 25.0, final_div_factor: float = 1e4
                 ) -> None:
        self.max_lr = real("max_lr", max_lr)
        self.total_steps = integer("total_steps", total_steps, 1)
        self.pct_start = real("pct_start", pct_start)
        self.div_factor = real("div_factor", div_factor)
        self.final_div_factor = real("final_div_factor", final_div_factor)
        if not 0 < self.pct_start < 1:
            raise ValueError(f"pct_start must be between 0 and 1, got {pct_start}")
        super().__init__(optimizer)

    def rates(self) -> list[float]:
        first = self.max_lr / self.div_factor
        last = first / self.final_div_factor
        peak = self.pct_start * self.total_steps - 1
        count = min(self.count, self.total_steps - 1)
        if count <= peak:
            share = count / peak if peak else 1.0
            lr = _cosine(first, self.max_lr, share)
        else:
            share = (count - peak) / (self.total_steps - 1 - peak)
            lr = _cosine(self.max_lr, last, share)
        return [lr] * len(self.base)


def _cosine(start: float, end: float, share: float) -> float:
    """From ``start`` at share 0 to ``end`` at share 1, along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


class ReduceLROnPlateau(Scheduler):
    """The rate is multiplied by ``factor`` after ``patience`` + 1 steps without a better metric.

    ``step(metric)``; better is smaller (mode "min") or larger ("max") by the share ``threshold``;
    NaN is never better. A rate never rises, and falls no lower than ``min_lr``.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1,
                 patience: int = 10, threshold: float = 1e-4, min_lr: float = 0.0) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        self.mode, self.shrink = mode, real("factor", factor)
        if not 0 < self.shrink < 1:
            raise ValueError(f"factor must be between 0 and 1, got {factor}")
        self.patience = integer("patience", patience, 0)
        self.threshold, self.min_lr = real("threshold", threshold), real("min_lr", min_lr)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = 0  # steps in a row without a better metric
        self.cuts = 0  # how often the rate was reduced
        super().__init__(optimizer)

    def rates(self) -> list[float]:
        return [min(base, max(base * self.shrink**self.cuts, self.min_lr)) for base in self.base]

    def step(self, metric: float | None = None) -> None:
        """Tell the metric of this epoch: a number, or a Tensor of one element."""
        if metric is None:
            raise ValueError("ReduceLROnPlateau.step needs the metric: scheduler.step(loss)")
        metric = real("the metric", metric)
        self.count += 1
        if self.mode == "min":
            better = metric < self.best * (1 - self.threshold * math.copysign(1, self.best))
        else:
            better = metric > self.best * (1 + self.threshold * math.copysign(1, self.best))
        if better:
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.bad > self.patience:
            self.cuts += 1
            self.bad = 0
            self.apply()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best": self.best, "bad": self.bad, "cuts": self.cuts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._load(state, best=real("load_state_dict: best", state["best"]),
                   bad=integer("load_state_dict: bad", state["bad"], 0),
                   cuts=integer("load_state_dict: cuts", state["cuts"], 0))


class SequentialLR(Scheduler):
    """The first scheduler until step ``milestones[0]``, then the second, and so on; each begins at
    its own step 0. All start from the rates that the first one was made with.
    """

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[Scheduler],
                 milestones: Sequence[int]) -> None:
        milestones = [integer("SequentialLR: a milestone", m, 1) for m in milestones]
        if (not schedulers or len(milestones) != len(schedulers) - 1
                or milestones != sorted(set(milestones))):
            raise ValueError(f"SequentialLR: n schedulers need n - 1 rising milestones, got "
                             f"{len(schedulers)} and {milestones}")
        if any(isinstance(s, ReduceLROnPlateau) for s in schedulers):
            raise ValueError("SequentialLR: ReduceLROnPlateau needs a metric at each step, so it "
                             "stands alone")
        self.schedulers, self.milestones = list(schedulers), milestones
        base = list(schedulers[0].base)  # the optimiser's rates are others: each scheduler set them
        super().__init__(optimizer)
        self.base = base
        self.apply()

    def rates(self) -> list[float]:
        i = sum(self.count >= m for m in self.milestones)
        began = self.milestones[i - 1] if i else 0
        active = self.schedulers[i]
        active.base = self.base
        active.count = self.count - began
        return active.rates()

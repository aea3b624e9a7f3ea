"""Learning-rate schedules: StepLR, MultiStepLR, ExponentialLR, CosineAnnealingLR, LinearLR
(warm-up), OneCycleLR, ReduceLROnPlateau, and SequentialLR to put one after another. Names, order
and numbers are PyTorch's.

A scheduler works out ``lr`` from the rates that the ``param_groups`` had when it was made and from
the number of its steps, and writes it into them. So its own state is a few numbers. Call ``step()``
after each epoch or after each batch, whichever the schedule counts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from etude.core.given import integer, real
from etude.core.live import effect
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
        effect(lambda: self._move(1), lambda: self._move(-1))

    def _move(self, by: int) -> None:
        self.count += by
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


class MultiStepLR(Scheduler):
    """The rate is multiplied by ``gamma`` at each of the steps ``milestones``."""

    def __init__(self, optimizer: Optimizer, milestones: list[int], gamma: float = 0.1) -> None:
        self.milestones = [integer("a milestone", m, 0) for m in milestones]
        self.gamma = real("gamma", gamma)
        super().__init__(optimizer)

    def factor(self, count: int, base: float) -> float:
        return self.gamma ** sum(count >= m for m in self.milestones)


class ExponentialLR(Scheduler):
    """The rate is multiplied by ``gamma`` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = real("gamma", gamma)
        super().__init__(optimizer)

    def factor(self, count: int, base: float) -> float:
        return self.gamma**count


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
    """Up from max_lr / div_factor to ``max_lr`` in the first ``pct_start`` of all steps, then down
    to max_lr / div_factor / final_div_factor, along cosines or, with ``anneal_strategy="linear"``,
    straight. Step once per batch.

    ``three_phase`` first goes back to max_lr / div_factor, as fast as it rose. The number of steps
    is ``total_steps``, or ``epochs`` times ``steps_per_epoch``. With ``cycle_momentum`` the
    momentum, or the first of the betas, goes the other way, from max_momentum to base_momentum and
    back. ``max_lr`` is one rate, or one for each parameter group. Source: Smith and Topin 2018,
    Super-Convergence.
    """

    def __init__(self, optimizer: Optimizer, max_lr: float | list[float],
                 total_steps: int | None = None, epochs: int | None = None,
                 steps_per_epoch: int | None = None, pct_start: float = 0.3,
                 anneal_strategy: str = "cos", cycle_momentum: bool = True,
                 base_momentum: float = 0.85, max_momentum: float = 0.95,
                 div_factor: float = 25.0, final_div_factor: float = 1e4,
                 three_phase: bool = False) -> None:
        self.max_lr = _for_each_group("max_lr", max_lr, optimizer)
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs the number of all steps: total_steps, or epochs "
                                 "and steps_per_epoch")
            total_steps = (integer("epochs", epochs, 1)
                           * integer("steps_per_epoch", steps_per_epoch, 1))
        self.total_steps = integer("total_steps", total_steps, 1)
        self.pct_start = real("pct_start", pct_start)
        self.div_factor = real("div_factor", div_factor)
        self.final_div_factor = real("final_div_factor", final_div_factor)
        self.base_momentum = real("base_momentum", base_momentum)
        self.max_momentum = real("max_momentum", max_momentum)
        self.cycle_momentum, self.three_phase = cycle_momentum, three_phase
        if not 0 < self.pct_start < 1:
            raise ValueError(f"pct_start must be between 0 and 1, got {pct_start}")
        if anneal_strategy not in CURVES:
            raise ValueError(f"anneal_strategy must be {' or '.join(map(repr, CURVES))}, got "
                             f"{anneal_strategy!r}")
        self.curve = CURVES[anneal_strategy]
        super().__init__(optimizer)

    def rates(self) -> list[float]:
        found = []
        for top in self.max_lr:
            first = top / self.div_factor
            last = first / self.final_div_factor
            found.append(self._along(first, top, first, last) if self.three_phase
                         else self._along(first, top, last))
        return found

    def apply(self) -> None:
        super().apply()
        if not self.cycle_momentum:
            return
        high, low = self.max_momentum, self.base_momentum
        momentum = (self._along(high, low, high, high) if self.three_phase
                    else self._along(high, low, high))
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum

    def _along(self, *values: float) -> float:
        """Where the step stands on the way from the first of the values to the last."""
        peak = self.pct_start * self.total_steps - 1
        ends = [peak, 2 * peak, self.total_steps - 1] if self.three_phase else [
            peak, self.total_steps - 1]
        count = min(self.count, self.total_steps - 1)
        phase = next(i for i, end in enumerate(ends) if count <= end or i == len(ends) - 1)
        start, end = ends[phase - 1] if phase else 0.0, ends[phase]
        share = (count - start) / (end - start) if end > start else 1.0
        return self.curve(values[phase], values[phase + 1], share)


def _cosine(start: float, end: float, share: float) -> float:
    """From ``start`` at share 0 to ``end`` at share 1, along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _straight(start: float, end: float, share: float) -> float:
    """From ``start`` at share 0 to ``end`` at share 1, in a straight line."""
    return start + (end - start) * share


CURVES = {"cos": _cosine, "linear": _straight}


def _for_each_group(name: str, value: Any, optimizer: Optimizer) -> list[float]:
    """One number for all parameter groups, or a list of one for each, as a list."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [real(name, value)] * count
    if len(value) != count:
        raise ValueError(f"{name} is one number, or one for each of the {count} parameter groups, "
                         f"got {len(value)}")
    return [real(f"{name}[{i}]", v) for i, v in enumerate(value)]


class ReduceLROnPlateau(Scheduler):
    """The rate is multiplied by ``factor`` after ``patience`` + 1 steps without a better metric.

    ``step(metrics)``; better is smaller (mode "min") or larger ("max") by the share ``threshold``,
    or with threshold_mode "abs" by the amount; NaN is never better. After a cut the next
    ``cooldown`` steps count for nothing. A rate never rises, and falls no lower than ``min_lr``,
    one for all parameter groups or one for each; a cut by no more than ``eps`` is left out.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1,
                 patience: int = 10, threshold: float = 1e-4, threshold_mode: str = "rel",
                 cooldown: int = 0, min_lr: float | list[float] = 0.0, eps: float = 1e-8) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        self.mode, self.threshold_mode, self.shrink = mode, threshold_mode, real("factor", factor)
        if not 0 < self.shrink < 1:
            raise ValueError(f"factor must be between 0 and 1, got {factor}")
        self.patience = integer("patience", patience, 0)
        self.cooldown = integer("cooldown", cooldown, 0)
        self.threshold, self.eps = real("threshold", threshold), real("eps", eps)
        self.min_lr = _for_each_group("min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = 0  # steps in a row without a better metric
        self.rest = 0  # steps that are still to count for nothing
        self.cuts = 0  # how often the rate was reduced
        super().__init__(optimizer)

    def rates(self) -> list[float]:
        found = []
        for lr, least in zip(self.base, self.min_lr, strict=True):
            for _ in range(self.cuts):
                lower = max(lr * self.shrink, least)
                if not lr - lower > self.eps:
                    break  # and so it stays, however many cuts there are
                lr = lower
            found.append(lr)
        return found

    def step(self, metrics: float | None = None) -> None:
        """Tell the metric of this epoch: a number, or a Tensor of one element."""
        if metrics is None:
            raise ValueError("ReduceLROnPlateau.step needs the metric: scheduler.step(loss)")
        metric = real("the metric", metrics)
        before: dict[str, Any] = {}

        def go() -> None:
            before.update(self.state_dict())
            self._told(metric)

        effect(go, lambda: self.load_state_dict(before))

    def _told(self, metric: float) -> None:
        self.count += 1
        if self._better(metric):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.rest:
            self.rest -= 1
            self.bad = 0
        if self.bad > self.patience:
            self.cuts += 1
            self.bad, self.rest = 0, self.cooldown
            self.apply()

    def _better(self, metric: float) -> bool:
        if math.isinf(self.best):  # there is none yet, or none that could be improved on
            by = 0.0
        else:
            by = self.threshold * (1 if self.threshold_mode == "abs" else abs(self.best))
        return metric < self.best - by if self.mode == "min" else metric > self.best + by

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "best": self.best, "bad": self.bad, "rest": self.rest,
                "cuts": self.cuts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._load(state, best=real("load_state_dict: best", state["best"]),
                   bad=integer("load_state_dict: bad", state["bad"], 0),
                   rest=integer("load_state_dict: rest", state["rest"], 0),
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
        if any(s.optimizer is not optimizer for s in schedulers):
            raise ValueError("SequentialLR: all schedulers must be made for its own optimiser")
        self.schedulers, self.milestones = list(schedulers), milestones
        base = list(schedulers[0].base)  # the optimiser's rates are others: each scheduler set them
        super().__init__(optimizer)
        self.base = base
        self.apply()

    def active(self) -> Scheduler:
        """The scheduler of this step, at its own count."""
        i = sum(self.count >= m for m in self.milestones)
        began = self.milestones[i - 1] if i else 0
        found = self.schedulers[i]
        found.base, found.count = self.base, self.count - began
        return found

    def rates(self) -> list[float]:
        return self.active().rates()

    def apply(self) -> None:
        self.active().apply()  # it may set more than the rate

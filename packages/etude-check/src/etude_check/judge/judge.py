"""The judge: outputs of a candidate against the oracle, element by element, into a verdict.

It runs in the checker's process after the candidate has answered, on copies that the candidate
cannot reach. Every comparison is written ``not (error <= bound)``, so that a NaN fails. Beside the
verdict the judge notes which impostors (zeros, a copy of the input, ...) would have passed the case
too: a case that could not have failed proves nothing, and ``runner.py`` counts who was caught.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from etude.core.conventions import left_open, wrong
from etude_check.bounds.question import Question
from etude_check.cases.case import Case
from etude_check.report.record import Verdict

Array = np.ndarray[Any, Any]

IMPOSTORS = ("zeros", "ones", "input", "mean", "previous", "negated")
SAID = {"zeros": "it returns zeros", "ones": "it returns ones", "input": "it returns its input",
        "mean": "it returns the mean everywhere", "previous": "it returns an earlier result",
        "negated": "the sign is wrong"}
MISS = 100  # an impostor counts as caught if it is off by this many times the bound
FEW = 3  # wrong elements, which may be equal to anything by chance
SAMPLE = 4096  # elements looked at for impostors
EXACT_LIMIT = 2.0**24  # integers up to here are exact in float32, in any order


@dataclass
class Finding:
    """What the judge says of one output."""

    verdict: Verdict = Verdict.PASS
    message: str = ""
    index: tuple[int, ...] | None = None
    expected: float | None = None
    got: float | None = None
    error: float | None = None
    bound: float | None = None
    ratio: float = 0.0
    wrong: int = 0
    caught: dict[str, bool] = field(default_factory=dict)
    bias: tuple[int, float, float] = (0, 0.0, 0.0)  # count, sum and sum of squares of e


def compare(case: Case, y: Array, i: int, previous: Array | None = None) -> Finding:
    """Hold output ``i`` of a case against the oracle, or against what the op's record declares."""
    if case.declared is not None:
        return _as_declared(case, case.declared, y, i, previous)
    q, model = case.question, case.spec.model_of(_output(case, i))
    exact = model.exact or y.dtype.kind != "f" or case.plan.get("values") == "exact"
    if exact and not model.exact and y.dtype.kind == "f" and not (
            model.sums and np.max(np.abs(q.run(np.abs)[i]), initial=0) < EXACT_LIMIT):
        return Finding(Verdict.MISTRUSTED, "the integers of this case do not add up exactly")
    if exact:
        want = q.same_dtype[i] if y.dtype.kind != "f" or model.exact else q.oracle[i]
        allowed = certain = np.zeros(want.shape)
    else:
        want = q.oracle[i]
        with np.errstate(all="ignore"):
            bounds = model.bound(q, i)
        allowed, certain = (np.broadcast_to(b, want.shape) for b in bounds)
    found = _verdict(case, q, y, i, want, allowed, certain)
    found.caught = caught(q, want, allowed, previous)
    if model.independent and not exact:
        found.bias = _bias(case, y, want, allowed)
    return found


def _as_declared(case: Case, declared: list[Array], y: Array, i: int, previous: Array | None
                 ) -> Finding:
    """Equal, down to the sign of a zero that the line writes with one."""
    if i >= len(declared):
        return Finding()
    off = wrong(y, declared[i])
    want = np.where(left_open(declared[i]), y, declared[i]).astype(y.dtype)
    found = Finding(caught=caught(case.question, want, np.zeros(want.shape), previous),
                    wrong=int(off.sum()))
    if found.wrong:
        found.verdict = Verdict.CERTAIN
        found.index = tuple(int(k) for k in np.argwhere(off)[0])
        found.expected, found.got = float(want[found.index]), float(y[found.index])
        line = case.op.conventions[case.plan["line"]]
        found.message = f"its record declares {line.of(case.op)}" + (
            f", {line.remark}" if line.remark else "")
    return found


def _verdict(case: Case, q: Question, y: Array, i: int, want: Array, allowed: Array,
             certain: Array) -> Finding:
    if y.dtype.kind != "f":
        wrong = ~(y == want)
        error, r, got = wrong.astype(float), want, y
        certainly = wrong
    else:
        with np.errstate(all="ignore"):
            got, r = y.astype(np.float64), want.astype(np.float64)
            error = np.abs(got - r)
            off = ~_within(got, r, error, allowed, y.dtype)
            if off.any() and not np.isfinite(r[off] + got[off]).all():
                # What overflows on the way is decided by the reference at the same dtype.
                other = q.same_dtype[i].astype(np.float64)
                off &= ~_within(got, other, np.abs(got - other), allowed, y.dtype)
            wrong = off
            certainly = wrong & ~(error <= certain)
    with np.errstate(all="ignore"):
        ratio = np.where(error == 0, 0.0, error / np.where(allowed > 0, allowed, 1e-300))
        ratio = np.where(wrong & ~np.isfinite(ratio), np.inf, ratio)
    ratios = ratio[np.isfinite(ratio) & (wrong | (error <= allowed))]
    found = Finding(ratio=float(min(ratios.max(initial=0.0), 1e30)), wrong=int(wrong.sum()))
    if not found.wrong:
        return found
    share = 1 - 1 / (1 + ratio)  # from 0 to 1, so that a certain failure comes first
    rank = np.where(certainly, 2, 1) * wrong + np.where(np.isnan(share), 1.0, share) * wrong
    at = np.unravel_index(int(np.argmax(rank)), rank.shape)
    found.verdict = Verdict.CERTAIN if certainly.any() else Verdict.INACCURATE
    found.index = tuple(int(k) for k in at)
    found.expected, found.got = float(r[at]), float(got[at])
    found.error = float(error[at])
    found.bound = float(allowed[at])
    found.ratio = float(min(ratio[at], 1e30))
    return found


def _within(y: Array, r: Array, error: Array, allowed: Array, dtype: Any) -> Array:
    info = np.finfo(dtype)
    overflow = (np.abs(r) > float(info.max)) & (np.abs(r) - allowed <= np.inf) & (
        y == np.sign(r) * np.inf)
    near_top = np.isinf(y) & (np.abs(r) + allowed > float(info.max)) & (np.sign(y) == np.sign(r))
    fine = (error <= allowed) | (np.isnan(y) & np.isnan(r)) | (y == r) | overflow | near_top
    return np.asarray(fine)


def caught(q: Question, want: Array, allowed: Array, previous: Array | None) -> dict[str, bool]:
    """For each impostor, whether it would have been wrong here by more than MISS times the
    bound.
    """
    if not want.size:
        return dict.fromkeys(IMPOSTORS, False)
    step = max(1, want.size // SAMPLE)
    r, bound = want.ravel()[::step], np.broadcast_to(allowed, want.shape).ravel()[::step]
    with np.errstate(all="ignore"):
        return {name: bool((~_same(fake, r, MISS * bound)).any())
                for name, fake in impostors(q, want, r, step, previous).items()}


def impostors(q: Question, want: Array, r: Array, step: int, previous: Array | None
              ) -> dict[str, Array]:
    """What each impostor would have returned for the sampled elements ``r``."""
    given = next((a for a in q.arrays if isinstance(a, np.ndarray) and a.size
                  and a.shape == want.shape), None)
    if given is None:
        given = next((a for a in q.arrays if isinstance(a, np.ndarray) and a.size), np.zeros(1))
    like = np.resize(given, want.shape).ravel()[::step]
    finite = r[np.isfinite(r)] if r.dtype.kind == "f" else r
    fakes = {
        "zeros": np.zeros_like(r), "ones": np.ones_like(r), "input": like,
        "mean": np.full(r.shape, finite.mean() if finite.size else np.nan),
        "negated": ~r if r.dtype.kind == "b" else -r,
    }
    if previous is not None and previous.size:
        fakes["previous"] = np.resize(previous, want.shape).ravel()[::step]
    return fakes


def _same(fake: Array, r: Array, bound: Array) -> Array:
    if r.dtype.kind in "bi" and fake.dtype.kind in "bi":
        return fake == r  # type: ignore[no-any-return]
    fake, r = fake.astype(np.float64), r.astype(np.float64)
    with np.errstate(all="ignore"):
        same = (np.abs(fake - r) <= bound) | (fake == r) | (np.isnan(fake) & np.isnan(r))
    return np.asarray(same)


def looks_like(q: Question, y: Array, i: int, previous: Array | None,
               caught: dict[str, bool]) -> str:
    """The name of the impostor that a wrong output is equal to; "" if it is none. Only one that is
    clearly wrong here comes into question: of a single number, the mean is the number itself.
    """
    want = q.oracle[i]
    if not y.size:
        return ""
    with np.errstate(all="ignore"):
        for name, fake in impostors(q, want, want.ravel(), 1, previous).items():
            size = np.abs(fake.astype(np.float64))
            near = np.where(np.isfinite(size), size * 1e-6, 0)
            if caught.get(name) and _same(fake, y.ravel(), near).all():
                return name
    return ""


def _bias(case: Case, y: Array, want: Array, allowed: Array) -> tuple[int, float, float]:
    """Model 7: signed errors in units of the bound, over independent outputs."""
    if case.plan.get("special") or case.plan.get("layout") in ("stride0", "middle"):
        return 0, 0.0, 0.0
    fine = np.isfinite(want) & (want != 0) & (allowed > 0)
    with np.errstate(all="ignore"):
        e = (np.sign(want) * (y.astype(np.float64) - want) / allowed)[fine]
    e = e[np.isfinite(e)]
    return e.size, float(e.sum()), float((e * e).sum())


def biased(count: int, total: float, squares: float) -> str:
    """A sentence if the errors lean to one side: |t| > 8 and |mean| > 0.01; else ""."""
    if count < 100:
        return ""
    mean = total / count
    variance = max(squares / count - mean * mean, 1e-30)
    t = mean / (variance / count) ** 0.5
    if abs(t) > 8 and abs(mean) > 0.01:
        way = "towards" if mean < 0 else "away from"
        # Truncation alone leaves no error larger than its bound.
        like = ", as sums that are truncated rather than rounded do" if -1 < mean < 0 else ""
        return (f"errors lean {way} zero: on average {mean:+.3f} of the bound over {count} results "
                f"(t = {t:.1f}){like}")
    return ""


def _output(case: Case, i: int) -> str:
    names = case.op.outputs
    return names[0].lstrip("*") if names[0].startswith("*") else names[i]


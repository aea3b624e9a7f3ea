"""A made-up class: results as data, and an assignment of two questions."""

import random
import textwrap

from etude_course.record import CheckResult, Override, Result, Status

CHECKS = (("variance", "variance-values", 3), ("variance", "variance-tails", 2),
          ("softmax", "softmax-right", 4), ("softmax", "softmax-speed", 3),
          ("why", "why-answer", 2))
MISTAKES = {"variance-values": "this is the variance with n - 1 (ddof=1)",
            "softmax-right": "this is softmax without taking the maximum away"}

#: What the runner of Classroom 50 hands over.
RUNNER = {"CLASSROOM": "cs1", "ASSIGNMENT": "a2", "SUBMISSION_TAG": "submit/20261128T120000Z-ab12",
          "COMMIT_URL": "https://example.org/c", "RELEASE_URL": "https://example.org/r",
          "REVIEW_URL": "https://example.org/v", "MODE": "individual"}


def check(id_="variance-values", points=3, most=3, status=Status.PASSED, question="variance",
          **more):
    ran = {"executed": 16, "declared": 16} if status is Status.PASSED else {"declared": 16}
    return CheckResult(id_, question, id_.replace("-", " "), points, most, status,
                       **{**ran, **more})


def result(student="s001", checks=None, **more):
    more = {"submission": f"{student:0>64}", "submitted": "2026-11-28T12:00:00Z",
            "members": [student], "title": "Elementwise ops", **more}
    return Result("A2", 1, student, [check()] if checks is None else checks, **more)


def drawn(student, seed):
    """A hand-in as a class has them: mostly right, with named mistakes, crashes and time-outs."""
    rng = random.Random(seed)
    skill = rng.random()
    checks = []
    for question, id_, most in CHECKS:
        if question == "why":
            checks.append(check(id_, 0, most, Status.WAITING, question))
        elif rng.random() < skill + 0.2:
            checks.append(check(id_, most, most, Status.PASSED, question))
        else:
            status = rng.choice([Status.FAILED] * 6 + [Status.CRASHED, Status.TIMEOUT,
                                                       Status.NOT_WRITTEN, Status.REFUSED])
            named = MISTAKES.get(id_, "") if status is Status.FAILED else ""
            checks.append(check(id_, 0, most, status, question, mistake=named,
                                message=f"{id_} is wrong", case="hidden: tail"))
    made = result(student, checks)
    if rng.random() < 0.1:
        made.late_days, made.penalty = 1, 1
    if rng.random() < 0.5:
        made.overrides = [Override("why-answer", rng.randrange(3), "read by a person", "ab")]
    return made


def class_of(size):
    return [drawn(f"s{n:03}", n) for n in range(size)]


# ------------------------------------------------------------------ an assignment

TOML = """
    id = "T1"
    title = "Variance and exp"
    version = 1
    files = ["answer.py"]
    [limits]
    call = 0.5
    total = 6.0

    [[question]]
    id = "variance"
    title = "The variance of each row"
      [[question.check]]
      id = "variance-values"
      points = 3
      call = "variance"
      visible = 2
      hidden = 4
      [[question.check]]
      id = "variance-why"
      points = 1
      hand = "says why n"

    [[question]]
    id = "exp"
    title = "exp"
    also = ["answer.c"]
      [[question.check]]
      id = "exp-tails"
      points = 2
      op = "exp"
      kinds = ["tail"]
      dtypes = ["float32"]

    [[mutant]]
    name = "ddof"
    mistake = "this is the variance with n - 1"
    old = "/ x.shape[1]"
    new = "/ (x.shape[1] - 1)"
    loses = ["variance-values"]
    [[mutant]]
    name = "minus-one"
    mistake = "this is exp(x) - 1"
    old = "np.exp(x)"
    new = "np.expm1(x)"
    loses = ["exp-tails"]
"""
CHECKS_PY = """
    import numpy as np
    from etude_course.source.checks import cases, expected

    @cases("variance-values")
    def drawn(rng, parameters):
        for n in range(99):
            yield f"rows-{n}", (rng.standard_normal((3, 5 + n)),)

    @expected("variance-values")
    def wanted(x, parameters):
        return np.var(x, axis=1)
"""
SOLUTION = """
    import etude
    import numpy as np


    def variance(x):
        # BEGIN SOLUTION
        d = x - x.mean(axis=1, keepdims=True)
        return (d * d).sum(axis=1) / x.shape[1]
        # END SOLUTION


    @etude.implements("exp")
    def exp(x):
        # BEGIN SOLUTION
        return np.exp(x)
        # END SOLUTION
"""
C_SOLUTION = """
    #include "etude.h"
    #include <math.h>

    int etude_exp_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
    {
        /* BEGIN SOLUTION STARTER: return 1; */
        (void)ctx, (void)a, (void)b;
        for (int64_t i = 0; i < n; i++)
            y[i] = expf(x[i]);
        return ETUDE_OK;
        /* END SOLUTION */
    }
"""


def text(source):
    return textwrap.dedent(source).lstrip()


def assignment(folder, toml=TOML):
    """An assignment's source, written into ``folder``."""
    (folder / "solution").mkdir(parents=True, exist_ok=True)
    for name, source in (("assignment.toml", toml), ("checks.py", CHECKS_PY),
                       ("handout.md", "# T1"),
                       ("solution/answer.py", SOLUTION), ("solution/answer.c", C_SOLUTION)):
        (folder / name).write_text(text(source))
    return folder

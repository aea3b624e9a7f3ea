"""Reports made by hand, of every verdict and of any size, for the tests of what shows them."""

from __future__ import annotations

import math
import random

from etude_check.report.record import Record, Report, Screen, Verdict
from etude_check.report.summary import HEADINGS
from etude_check.report.watch import Finding, Ruling, Watch

NASTY = 'it said </script><script>alert(1)</script> & "x" \x00\x1b[31m'


def record(op="softmax", kind="tail", number=0, verdict=Verdict.PASS, **fields):
    family = fields.pop("family", op.removesuffix("_backward"))
    given = {"dtype": "float32", "ratio": 0.25, "size": 10, "asked": f"{op}(x: float32[2, 5])"}
    return Record(f"{op}/{kind}/{number}@0", op, family, kind, verdict=verdict,
                  **{**given, **fields})


def wrong(op="softmax", kind="tail", number=0, verdict=Verdict.CERTAIN, **fields):
    given = {"output": "y", "index": [1, 4], "expected": 0.5, "got": 0.0, "error": 0.5,
             "bound": 1e-6, "ratio": 5e5, "wrong": 7, "likely": "it returns zeros"}
    return record(op, kind, number, verdict, **{**given, **fields})


def report(*records, **fields):
    given = {"target": "mine", "level": "full", "seed": 0, "seconds": 12.5,
             "environment": {"backend": "mine", "isa": "avx2", "threads": 2, "etude": "0.1.0"}}
    return Report(records=list(records), **{**given, **fields})


def watched(severity="error", **fields):
    """What the lab saw: a race at line 6."""
    given = {"file": "k.cu", "line": 6, "lines": [5, 6], "source": "s[t] += s[t + 1];",
             "case": "softmax/tail/2@0", "space": "shared", **fields}
    return Watch("lab", ["softmax/tail/2@0"], [Finding(
        "lab", "race", severity, "a race on s[1]",
        "error: a race on s[1] [race]\n  > 6 | s[t] += s[t + 1];", **given)], notes=["slow"])


def of_every_verdict():
    """One report with all that can be in one."""
    return report(
        record(), record(number=1, ratio=0.0), record("softmax_backward"),
        wrong(number=2), wrong(number=3, size=4), wrong(kind="layout", size=90),
        wrong("add", "special", 1, Verdict.INACCURATE, message="", expected=math.inf, got=math.nan,
              error=math.nan, ratio=1e30, likely=""),
        record("matmul", "large", 5, Verdict.CRASH, message=NASTY, ratio=None, size=99),
        record("exp", "0d", 0, Verdict.TIMEOUT, message="no answer in 20 s", ratio=None),
        record("relu", "random", 0, Verdict.MISTRUSTED, message="fewer than 3 cases tell it"),
        record("conv2d", "tail", 0, Verdict.WAIVED, message="waived until 2027-01-31: known"),
        record("log", "-", 0, Verdict.UNSUPPORTED, message="not implemented", dtype="",
               ratio=None),
        record("tanh", "errors", 0, Verdict.INACCURATE, message="the error does not say 'tanh'",
               size=0, ratio=None),
        Record("-/conduct/0@0", "-", "-", "conduct", "", Verdict.CERTAIN,
               "a column computes, and does nothing else; this one patched numpy"),
        screens=[Screen("relu", "float32", "y", {"zeros": 2, "ones": 9, "input": 0},
                        {"input": "relu keeps what is positive"})],
        notes=["patched numpy.testing"], mutation_score="74 of 74 wrong kernels were caught",
        watches=[watched(), Watch("compute-sanitizer", not_run="card: there is none")],
        rulings=[Ruling("lab", "FAILED", "1 of 14 cases"),
                 Ruling("card", "PASSED", "14 cases of 1 op"),
                 Ruling("compute-sanitizer", "NOT RUN", "card: there is none")],
        disagreements=["softmax/tail/2@0: gpu-lab FAIL (certain) (why); cuda PASS"])


def large(count=30_000, failing=0.02, ops=100):
    """``count`` records over ``ops`` ops, of which a share fails; the same ones every time."""
    draw = random.Random(0)
    kinds = list(HEADINGS)
    records = []
    for i in range(count):
        op = f"op_{i % ops:03d}"
        kind = kinds[i // ops % len(kinds)]
        fields = {"family": f"family_{i % ops // 5:02d}", "size": draw.randrange(1, 5000),
                  "dtype": draw.choice(("float32", "float64")), "seconds": 1e-4}
        if i % ops % 9 == 0 and draw.random() < failing * 9:
            records.append(wrong(op, kind, i, ratio=10 ** draw.uniform(0.1, 9), **fields))
        else:
            ratio = 0.0 if i % ops % 7 == 1 else 10 ** min(draw.gauss(-1.2, 0.5), -0.01)
            records.append(record(op, kind, i, ratio=ratio, **fields))
    return report(*records)

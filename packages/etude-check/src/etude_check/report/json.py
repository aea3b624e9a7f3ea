"""A Report as JSON, and back. ``schema.json`` beside this file publishes the form.

JSON has no NaN and no infinity: as expected or got values they are the strings "NaN", "Infinity"
and "-Infinity". Everything else is ``Report.to_json()`` as it stands.
"""

from __future__ import annotations

import json
import math
from importlib.resources import files
from typing import Any

from etude_check.report import summary
from etude_check.report.record import Report

VALUES = ("expected", "got", "error", "bound", "ratio")  # fields of a record that hold a float


def dumps(report: Report) -> str:
    """The document, one record a line so that a diff of two runs can be read."""
    document = report.to_json()
    document["passed"] = summary.passed(report)
    records = [{k: _out(v) if k in VALUES else v for k, v in r.items()}
               for r in document.pop("records")]
    head = json.dumps(document, indent=1, allow_nan=False)
    lines = ",\n".join("  " + json.dumps(r, allow_nan=False) for r in records)
    return f'{head[:-2]},\n "records": [\n{lines}\n ]\n}}\n'


def loads(text: str) -> Report:
    """Raises ValueError for what is no report of this schema."""
    try:
        document = json.loads(text)
        for r in document.get("records", ()):
            r.update({k: float(r[k]) for k in VALUES if isinstance(r.get(k), str)})
        return Report.from_json(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"no report of the kit, or a damaged one: {error}") from error


def schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12)."""
    text = files("etude_check.report").joinpath("schema.json").read_text("utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def _out(x: float | None) -> float | str | None:
    if x is None or math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"

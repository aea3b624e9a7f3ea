"""A Report as JSON. ``schema.json`` beside this file publishes the form."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from etude_cuda.lab.fidelity import sections

if TYPE_CHECKING:
    from etude_cuda.lab.report.record import Report


def dumps(report: Report) -> str:
    """The document, indented so that a diff of two runs can be read."""
    return json.dumps(document(report), indent=1, allow_nan=False) + "\n"


def document(report: Report) -> dict[str, Any]:
    """The document as Python values."""
    card = report.card
    return {
        "form": 1, "program": report.program, "mode": report.mode, "seed": report.seed,
        "verdict": report.verdict, "failed": report.failed, "exit_status": report.exit_status,
        "finished": report.log.finished, "notes": report.notes,
        "card": {"name": card.name, "capability": card.capability, "sms": card.sms,
                 "peak": card.peak, "bandwidth": card.bandwidth, "source": card.source},
        "findings": [t.to_json() for t in report.findings],
        "launches": [{**_launch(one), "occupancy": report.occupancy(one).to_json()}
                     for one in report.launches],
        "kernels": [{**k.to_json(), "roofline": None if report.all_failed(k.name) else
                     report.roofline(k).to_json()} for k in report.kernels],
        "counters": [{**c.to_json(), "roofline": report.roofline(c).to_json()}
                     for c in report.counters],
        "fidelity": {name.replace(" ", "_"): list(lines) for name, lines in sections(report.mode)},
    }


def _launch(one: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in vars(one).items()}


def schema() -> dict[str, Any]:
    """The published JSON Schema (draft 2020-12)."""
    text = files("etude_cuda.lab.report").joinpath("schema.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found

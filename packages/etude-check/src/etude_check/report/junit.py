"""A Report as JUnit XML, for the test pages of CI systems: a suite per family of ops.

FAIL and MISTRUSTED are failures, CRASH and TIMEOUT errors; UNSUPPORTED, NOT RUN and WAIVED are
skipped with their reason. CI reads a file of skipped cases as green; a run that executed nothing,
or was interrupted, therefore gets an error of its own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from xml.etree import ElementTree as ET

from etude_check.report import summary
from etude_check.report.record import Record, Report, Verdict
from etude_check.report.terminal import facts
from etude_check.report.watch import Watch

KINDS = {Verdict.CERTAIN: "failure", Verdict.INACCURATE: "failure",
         Verdict.MISTRUSTED: "failure", Verdict.CRASH: "error", Verdict.TIMEOUT: "error",
         Verdict.UNSUPPORTED: "skipped", Verdict.WAIVED: "skipped", Verdict.NOT_RUN: "skipped"}
COUNTED = {"failure": "failures", "error": "errors", "skipped": "skipped"}
#: What XML 1.0 cannot hold, escaped or not; a crash message may quote anything.
UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dumps(report: Report) -> str:
    """The document. Its counts are exactly those of the cases in it."""
    suites: dict[str, list[Record]] = defaultdict(list)
    for r in report.records:
        suites[r.family if r.op != "-" else "run"].append(r)
    root = ET.Element("testsuites", name=f"etude check {report.target}")
    for name, records in sorted(suites.items()):
        suite = ET.SubElement(root, "testsuite", name=name)
        for r in records:
            _case(report, r, suite)
        _count(suite, sum(r.seconds for r in records))
    for watch in report.watches:
        _watched(watch, ET.SubElement(root, "testsuite", name=f"watched by {watch.by}"))
    if report.exit_status == 3 or summary.interrupted(report):
        suite = ET.SubElement(root, "testsuite", name="completed")
        case = ET.SubElement(suite, "testcase", classname="run", name="the run was completed",
                             time="0")
        ET.SubElement(case, "error", message=summary.verdict_line(report), type="INCOMPLETE")
        _count(suite, 0.0)
    _count(root, report.seconds)
    ET.indent(root)
    return ET.tostring(root, "unicode", xml_declaration=True) + "\n"


def _case(report: Report, r: Record, suite: ET.Element) -> None:
    case = ET.SubElement(suite, "testcase", classname=_clean(f"{r.family}.{r.op}"),
                         name=_clean(f"{r.case} {r.dtype}".rstrip()), time=f"{r.seconds:.6f}")
    kind = KINDS.get(r.verdict)
    if kind is None:
        return
    message = r.message or summary.excess(r) or r.verdict.value
    found = ET.SubElement(case, kind, message=_clean(message))
    if kind != "skipped":
        found.set("type", r.verdict.value)
        found.text = _clean("\n".join(f"{k}: {v}" for k, v in facts(report, r)))


def _watched(watch: Watch, suite: ET.Element) -> None:
    """One test for each finding of a tool; one that is skipped or passed where there is none."""
    if not watch.findings:
        case = ET.SubElement(suite, "testcase", classname=watch.by, name="nothing found", time="0")
        if watch.not_run:
            ET.SubElement(case, "skipped", message=_clean(f"NOT RUN: {watch.not_run}"))
    for one in watch.findings:
        case = ET.SubElement(suite, "testcase", classname=f"{watch.by}.{one.tool}", time="0",
                             name=_clean(f"{one.file}:{one.line} {one.kind}"))
        if one.severity == "error":
            found = ET.SubElement(case, "failure", message=_clean(one.headline), type=one.kind)
            found.text = _clean(one.text)
    _count(suite, 0.0)


def _count(element: ET.Element, seconds: float) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for kind, name in COUNTED.items():
        element.set(name, str(sum(c.find(kind) is not None for c in cases)))
    element.set("time", f"{seconds:.3f}")


def _clean(text: str) -> str:
    return UNPRINTABLE.sub("?", text)

"""Runs the program of some cases under NVIDIA's compute-sanitizer, and reads what it prints.

Its four tools are asked one after the other: memcheck, racecheck, initcheck, synccheck. What they
print is text whose lines begin with ``=========``; a record starts at the margin, what belongs to
it is indented. Forms of two generations are read: since 2023 a place is ``at kernel(float *)+0x70
in FILE:7``, before it was ``at 0x70 in FILE:7:kernel(float *)``. What a summary counts and no
record explains becomes a finding all the same, so nothing is lost in reading.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from etude_cuda.backend import missing
from etude_cuda.lab.build import by_nvcc, include_options
from etude_cuda.lab.quotes import Quotes
from etude_cuda.watch.calls import Calls
from etude_cuda.watch.driver import program
from etude_cuda.watch.seen import SANITIZER, Seen, Watched

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
SECONDS = 120.0  # for one tool
FOUND = 86  # the exit status that we ask for where something was found
PRINTED = 1000  # records of a tool, at most
MARGIN = "========= "
TOOLKIT = "/usr/local/cuda/bin"  # where a toolkit that is not on the PATH may be

#: A record's first words -> the kind of finding. The first that fits counts.
KINDS = ((r"Invalid .* (?:is misaligned|misaligned)", "misaligned"),
         (r"Invalid .*(?:free'd|use-after-free)", "use-after-free"),
         (r"(?:Invalid|Potential invalid) __\w+__ ", "out-of-bounds"),
         (r"Race reported between|(?:RAW|WAR|WAW) hazard detected", "race"),
         (r"Uninitialized ", "uninitialized"),
         (r"Barrier error detected\. Invalid arg", "shuffle-mask"),
         (r"Barrier error detected|Divergent thread", "barrier-divergence"),
         (r"Deadlock detected", "deadlock"),
         (r"Leaked ", "leak"),
         (r"Malloc/Free error", "invalid-free"),
         (r"Program hit cudaError", "launch-failed"))
#: CUDA's statuses after a kernel went wrong: a device error that another record tells better.
AFTERWARDS = ("LaunchFailure", "IllegalAddress", "MisalignedAddress", "HardwareStackError",
              "Unknown", "LaunchTimeout", "Assert")
SPACE = re.compile(r"__(shared|global|local)__")
FILE = r"([^:<>()\[\]\s][^:<>()\[\]]*\.\w+):(\d+)"
#: In a line of a record: the place of an access, or a function on the way to it.
PLACE = re.compile(rf"\bin {FILE}|Device Frame: ?{FILE}")
FUNCTION = re.compile(r"(?:\bat|Device Frame:) ?(?:void )?([A-Za-z_][^(+]*?)(?:\(.*)?\+0x[0-9a-f]+"
                      rf"|\bin {FILE}:(?P<old>[^(\s]+)")
HAZARDS = re.compile(r"\[(\d+) hazards?\]")
SUMMARY = re.compile(r"(?:ERROR|RACECHECK|LEAK) SUMMARY: (\d+)")
#: What the tool says of itself and not of the program.
TROUBLE = re.compile(r"(?:Error: (?!Race|Potential)|Internal Sanitizer Error|"
                     r"Target application terminated before)(.*)")
PASSING = re.compile(r"COMPUTE-SANITIZER|.*SUMMARY|Target application returned an error|"
                     r"Warning: Maximum|(?:Info|INFO)[: ]|Error: process didn't")


# ------------------------------------------------------------------ running it


def lacking() -> list[str]:
    """What keeps it from running here, each a sentence: a driver, a card, the program, nvcc."""
    found = [why for why in missing() if why.startswith(("driver:", "card:"))]
    if executable() is None:
        found.append("compute-sanitizer: it was not found. It comes with the CUDA toolkit, or: "
                     "pip install nvidia-cuda-sanitizer-api")
    if not (shutil.which("nvcc") or shutil.which(f"{TOOLKIT}/nvcc")):
        found.append("nvcc: it was not found, and the cases have to be compiled for the card")
    return found


def executable() -> Path | None:
    """compute-sanitizer on the PATH, of a toolkit, or of NVIDIA's wheel."""
    there = shutil.which("compute-sanitizer") or shutil.which(f"{TOOLKIT}/compute-sanitizer")
    if there:
        return Path(there)
    for folder in map(Path, sys.path):
        for pattern in ("nvidia/*/bin/compute-sanitizer",
                        "nvidia/*/compute-sanitizer/compute-sanitizer"):
            for found in folder.glob(pattern) if folder.is_dir() else ():
                if shutil.which(found):
                    return found
    return None


def watch(source: Path, cases: Mapping[str, Calls], seconds: float = SECONDS) -> Watched:
    """What its tools say of the cases. A tool that could not run is a note, and ``not_run`` if none
    could. LabError for a file that nvcc does not compile.
    """
    if why := lacking():
        return Watched(SANITIZER, list(cases), not_run="; ".join(why))
    asked = program(source, cases)
    binary = by_nvcc(asked.source, ["-O2", "-lineinfo", "-arch=native"], include_options(),
                     [source])
    found = Watched(SANITIZER, list(cases))
    quotes = Quotes(Path.cwd(), source.absolute().parent)
    with tempfile.TemporaryDirectory(prefix="etude-watch-") as folder:
        data = Path(folder) / "cases.bin"
        data.write_bytes(asked.data)
        for tool in TOOLS:
            text, ended = _run(tool, binary, data, Path(folder) / f"{tool}.txt", seconds)
            read = parse(text, tool, source, quotes)
            found.findings += read.findings
            if read.trouble or ended:
                found.notes.append(f"{tool} did not run to its end: {read.trouble or ended}")
            else:
                found.tools.append(tool)
    if not found.tools and not found.findings:
        found.not_run = "; ".join(found.notes)
    return found


def _run(tool: str, binary: Path, data: Path, log: Path, seconds: float) -> tuple[str, str]:
    """What a tool printed, and why it was ended if it was."""
    tried = executable()
    assert tried is not None  # lacking() has looked
    command = [str(tried), "--tool", tool, "--log-file", str(log), "--print-limit", str(PRINTED),
               "--error-exitcode", str(FOUND), "--destroy-on-device-error", "kernel",
               str(binary), str(data)]
    ended = ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=seconds, check=False)
        if done.returncode not in (0, FOUND):
            ended = (done.stderr.strip() or f"it ended with status {done.returncode}")[-300:]
    except subprocess.TimeoutExpired:
        ended = f"it was stopped at {seconds:.0f} s"
    return (log.read_text(errors="replace") if log.exists() else ""), ended


# ------------------------------------------------------------------ reading it


@dataclass
class Read:
    """What a tool said of the program, and of itself."""

    findings: list[Seen] = field(default_factory=list)
    trouble: str = ""


def parse(text: str, tool: str, source: Path, quotes: Quotes | None = None) -> Read:
    """The findings in what a tool printed, those of one place together, in their order."""
    quotes = quotes or Quotes(Path.cwd(), source.absolute().parent)
    read, merged = Read(), dict[tuple[object, ...], Seen]()
    for record in _records(text):
        if trouble := TROUBLE.match(record[0]):
            read.trouble = read.trouble or " ".join(trouble[0].split())
            continue
        one = _seen(record, tool, source, quotes)
        key = one.kind, one.severity, one.file, *sorted(one.lines), one.headline * (not one.line)
        if key in merged:
            merged[key].count += one.count
        else:
            merged[key] = one
    read.findings = [one for one in merged.values() if not _follows(one, merged.values())]
    for one in read.findings:
        one.text = _text(one, quotes)
    counted = [int(n) for n in SUMMARY.findall(text)]
    if not counted and not read.trouble:
        read.trouble = "it printed no summary"
    if sum(counted) and not read.findings:
        words = f"its summary counts {sum(counted)}, and no record of it could be read"
        read.findings.append(Seen(tool, "other", "error", words, f"error: {words}",
                                  count=sum(counted)))
    return read


def _records(text: str) -> Iterator[list[str]]:
    """Each record's lines, without the margin: the first begins at it, the others are indented."""
    record: list[str] = []
    for line in text.splitlines():
        if not line.startswith(MARGIN.rstrip()):
            continue
        said = line[len(MARGIN):].rstrip()
        if said.startswith(" ") or (record and said.startswith("and ")):
            if record:
                record.append(said.strip())
            continue
        if record:
            yield record
        record = [said] if said and not PASSING.match(said) else []
    if record:
        yield record


def _seen(record: list[str], tool: str, source: Path, quotes: Quotes) -> Seen:
    whole = " ".join(record)
    kind = next((kind for words, kind in KINDS if re.search(words, whole)), "other")
    api = kind == "launch-failed"
    device = [line for line in record if api or "Host Frame" not in line]
    places = [(m[1] or m[3], int(m[2] or m[4])) for line in device for m in PLACE.finditer(line)]
    own = [(file, line) for file, line in places if Path(file).name == source.name]
    if kind != "race":
        own = own[:1]  # the innermost line of the reader's; the others are on the way to it
    file, line = (own or places or [("", 0)])[0]
    severity = "warning" if record[0].startswith(("Warning", "WARN")) else "error"
    space = SPACE.search(whole)
    where = "shared" if tool == "racecheck" else space[1] if space else ""
    hazards = sum(map(int, HAZARDS.findall(whole)))
    name = _name(file, source)
    headline = re.sub(r"^(?:Error|Warning): ", "", record[0])
    headline = re.sub(r"(?: between)? (?:Read|Write) access at .*", "", headline).rstrip(". ")
    details = [d for d in record[1:] if d.startswith(("by thread", "Access", "Address", "and is"))]
    return Seen(tool, kind, severity, headline[:1].upper() + headline[1:], "; ".join(details), name,
                line, sorted({n for f, n in own or places[:1]}), quotes.line(name, line),
                _function(device), where, count=hazards or 1)


def _name(file: str, source: Path) -> str:
    """A file as the reader calls it, and as the lab does: compute-sanitizer strips folders."""
    if not file or Path(file).name != source.name:
        return file
    whole = source.absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else source.name


def _function(record: list[str]) -> str:
    """The kernel: the outermost function of the device that is named."""
    names = [m["old"] or m[1] for line in record if "Host Frame" not in line
             for m in FUNCTION.finditer(line)]
    return names[-1].strip() if names else ""


def _follows(one: Seen, all_: object) -> bool:
    """Whether it is a call that returned the error of a kernel of which another record tells."""
    others = [o for o in all_ if o.kind != "launch-failed"]  # type: ignore[attr-defined]
    return bool(others) and one.kind == "launch-failed" and any(
        f"cudaError{name} " in f"{one.headline} " for name in AFTERWARDS)


def _text(one: Seen, quotes: Quotes) -> str:
    """As a report shows it, with the lines that took part."""
    times = f", {one.count:,} times" if one.count > 1 else ""
    of = f" in {one.kernel}" if one.kernel else ""
    lines = [f"{one.severity}: {one.headline} [{one.kind}]"]
    if one.line:
        lines.append(f"  at {one.file}:{one.line}{of}{times}")
    wide = len(str(max(one.lines, default=0)))
    for number in one.lines:
        if quotes.line(one.file, number):
            quoted = quotes.lines(one.file)[number - 1].rstrip()
            lines.append(f"  {'>' if number == one.line else ' '} {number:{wide}} | {quoted}")
    if one.text:
        lines.append(f"  {one.text}")
    return "\n".join(lines)

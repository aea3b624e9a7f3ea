"""Follows a page of the documentation as a reader would: writes its files, runs its commands.

Files are code blocks with a caption (``my/file.py``, or ``my/file.py (add)``), commands the lines
after ``$`` in blocks of the language console. What a page prints under a command must be what the
command prints, but for numbers, line breaks, and what the page leaves out with ``...``.
"""

import datetime
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

FENCE = re.compile(r"^```(?:\{code-block\} )?(\w+)\n(?::caption: ([^\n]+)\n\n)?(.*?)^```$",
                   re.S | re.M)
NUMBER = re.compile(r"[-+]?\b(?:\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)\b")


@dataclass
class Step:
    """A file to write, or a command with what the page shows of its output."""

    path: str = ""
    text: str = ""
    add: bool = False
    command: str = ""
    shown: list[str] = field(default_factory=list)


def steps(page):
    for language, caption, body in FENCE.findall(Path(page).read_text()):
        if caption:
            path, add, _ = caption.partition(" (add)")
            yield Step(path, body, bool(add))
        elif language == "console":
            found = []
            for line in body.splitlines():
                if line.startswith("$ "):
                    found.append(Step(command=line[2:]))
                else:
                    found[-1].shown.append(line)
            yield from found


def plain(lines):
    """Words in order, numbers as #: what does not change from one machine to the next."""
    text = " ".join(" ".join(lines).split())
    return NUMBER.sub("#", text)


def write(step, folder):
    path = folder / step.path
    path.parent.mkdir(parents=True, exist_ok=True)
    # A waiver's day on the page must not make the test expire with it.
    later = datetime.date.today() + datetime.timedelta(30)
    text = re.sub(r"(\"expires\": )\"\d{4}-\d\d-\d\d\"", rf'\1"{later}"', step.text)
    path.write_text((path.read_text() + "\n\n" if step.add else "") + text)


def run(command, folder):
    """The output of a command in ``folder``; what pip installs there goes into ``site``."""
    site = folder / "site"
    here = Path(sys.executable).parent
    env = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80",
           "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]),
           "PYTHONWARNINGS": "", "OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1"}
    for name in ("ETUDE_BACKEND", "ETUDE_PLUGINS", "PYTEST_ADDOPTS"):
        env.pop(name, None)
    if command.startswith("pip install "):  # offline, and outside of this environment
        command = (f"{sys.executable} -m pip install --quiet --no-deps --no-build-isolation "
                   f"--disable-pip-version-check --upgrade --target {site} "
                   f"{command.removeprefix('pip install ')}")
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    return done.stdout


def missing(step, output):
    """The parts of what the page shows that the command did not print, in order."""
    rest, absent = plain(output.splitlines()), []
    for part in "\n".join(step.shown).split("..."):
        words = plain(part.splitlines())
        if words not in rest:
            absent.append(words)
        else:
            rest = rest[rest.index(words) + len(words):]
    return absent


if __name__ == "__main__":  # python following.py PAGE FOLDER: print what a reader would see
    for step in steps(sys.argv[1]):
        folder = Path(sys.argv[2])
        if step.path:
            write(step, folder)
            print("----- wrote", step.path)
        else:
            print("$", step.command, flush=True)
            print(run(step.command, folder), flush=True)

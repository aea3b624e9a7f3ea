"""Follows a page of the documentation as a reader would: writes its files, runs its commands.

Files are code blocks with a caption (``my/file.py``, or ``my/file.py (add)``), commands the lines
after ``$`` in blocks of the language console. What a page prints under a command must be what the
command prints, but for line breaks, what the page leaves out with ``...``, and numbers that were
measured, which have a decimal point: counts are compared.

    python tests/docs/following.py PAGE FOLDER         print what a reader would see
    python tests/docs/following.py --renew PAGE FOLDER put the numbers of this run into the page
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
MEASURED = re.compile(r"[-+]?\b\d+(?:\.\d+(?:e[-+]?\d+)?|e[-+]?\d+)\b")


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


def plain(lines, numbers=MEASURED):
    """Words in order, ``numbers`` as #: what does not change from one machine to the next."""
    text = " ".join(" ".join(lines).split())
    return numbers.sub("#", text)


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
    command = command.replace("pip install -e ", "pip install ")  # a target takes no links
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


def follow(page, folder):
    """Do what the page says, in ``folder``; returns (step, output) of each command."""
    done = []
    for step in steps(page):
        if step.path:
            write(step, folder)
        else:
            done.append((step, run(step.command, folder)))
    return done


def expect_what_is_shown(page, done):
    """Each command of ``follow`` printed what the page shows of it."""
    for step, output in done:
        absent = missing(step, output)
        assert not absent, (
            f"$ {step.command}\nthe page shows:\n{absent}\nit printed:\n{output}\nIf only numbers "
            f"changed: python tests/docs/following.py --renew docs/howto/{page.name} EMPTY_FOLDER")
        assert "Traceback" not in output


def renewed(step, output):
    """What the page shows of the output, with the numbers of this run: a line as it was printed,
    or, where lines break elsewhere now, word by word. ValueError for words that did not come.
    """
    lines, words = output.splitlines(), output.split()
    found = []
    for line in step.shown:
        pattern = plain([line], NUMBER)
        same = [i for i, other in enumerate(lines) if plain([other], NUMBER) == pattern]
        if "..." in line or not line.strip():
            found.append(line)
        elif same:
            found.append(lines[same[0]].rstrip())
            lines = lines[same[0] + 1 :]
        else:
            old = line.split()
            at = next((i for i in range(len(words) - len(old) + 1)
                       if plain(words[i : i + len(old)], NUMBER) == pattern), None)
            if at is None:
                raise ValueError(f"$ {step.command}\nnever printed: {line}\nbut:\n{output}")
            pieces = iter(words[at : at + len(old)])
            found.append(re.sub(r"\S+", lambda _, pieces=pieces: next(pieces), line))
    return found


def renew(page, folder):
    """Follow the page, and put into it the numbers that its commands print."""
    text = page.read_text()
    for step in steps(page):
        if step.path:
            write(step, folder)
        elif step.shown:
            old = "\n".join([f"$ {step.command}", *step.shown])
            assert old in text, old
            shown = renewed(step, run(step.command, folder))
            text = text.replace(old, "\n".join([f"$ {step.command}", *shown]), 1)
        else:
            run(step.command, folder)
    page.write_text(text)


if __name__ == "__main__":
    *option, page, folder = sys.argv[1:]
    if option:
        renew(Path(page), Path(folder))
    for step in [] if option else steps(page):
        if step.path:
            write(step, Path(folder))
            print("----- wrote", step.path)
        else:
            print("$", step.command, flush=True)
            print(run(step.command, Path(folder)), flush=True)

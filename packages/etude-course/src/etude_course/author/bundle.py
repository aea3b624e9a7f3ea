"""What a platform is given to grade with: a zip that installs the course and grades one hand-in.

    assignment/          the source: whoever has it has the solution. For the platform alone
    wheels/              etude, etude-check, etude-course, and whatever else lay beside them
    requirements.txt     what is installed
    secret               hidden cases are drawn from it
    setup.sh             once, when the image is made: without network if every wheel is there
    run_autograder       for each hand-in (run.sh on other platforms)

The same files make the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from etude_check.cases.spec import KINDS
from etude_course.errors import CourseError
from etude_course.kit import archive
from etude_course.source.source import Source

OURS = ("etude", "etude_check", "etude_course")
POOL = "etude_cpu"  # without it no kernel has threads
WHEEL = re.compile(r"([A-Za-z0-9_]+)-([^-]+)(?:-.*)?\.whl|([A-Za-z0-9_]+)-([^-]+)\.tar\.gz")


@dataclass(frozen=True)
class Platform:
    """Where things are on a platform, ``here`` being the folder of the bundle."""

    program: str
    submission: str
    results: str


PLATFORMS = {
    "gradescope": Platform("run_autograder", '"$here/../submission"',
                           '"$here/../results/results.json"'),
    "prairielearn": Platform("run.sh", '"${GRADE:-/grade}/student"',
                             '"${GRADE:-/grade}/results/results.json"'),
    "classroom50": Platform("run.sh", '"${GITHUB_WORKSPACE:-.}"',
                            '"${GITHUB_WORKSPACE:-.}/result.json"'),
}

FIND = """\
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
for python in "${PYTHON:-}" python3.14 python3.13 python3.12 python3.11 python3; do
  if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
  then found="$python"; break; fi
done
if [ -z "${found:-}" ]; then
  echo "Python 3.11 or newer is needed, and there is none: choose a newer base image" >&2; exit 1
fi
"""

SETUP = """\
#!/usr/bin/env bash
# Installs the course beside the bundle. Made by 'etude course build'.
set -euo pipefail
{find}
install() {{
  "$found" -m pip install --quiet --disable-pip-version-check --upgrade --target "$here/site" \\
    --find-links "$here/wheels" -r "$here/requirements.txt" "$@"
}}
install --no-index || {{ echo "Not every wheel is in the bundle; trying the network"; install; }}
chmod -R go-rwx "$here/assignment" "$here/secret"
"""

RUN = """\
#!/usr/bin/env bash
# Grades one hand-in. Made by 'etude course build'.
set -euo pipefail
{find}
[ -d "$here/assignment" ] || here="$here/source"  # Gradescope runs a copy that lies one folder up
export PYTHONPATH="$here/site"
exec "$found" -m etude course autograde {platform} --assignment "$here/assignment" \\
  --secret "$here/secret" --course "{course}" --submission {submission} --to {results}
"""


def bundle(source: Source, platform: str, wheels: Path, to: Path, secret: str,
           course: str = "") -> Path:
    """Write the zip. CourseError where a wheel of ours is missing, or there is nothing to grade."""
    if not secret.strip():
        raise CourseError("the secret is empty: hidden cases would be drawn from nothing")
    if not re.fullmatch(r"[\w .@+-]*", course):
        raise CourseError(f"the name of a course has letters, digits, spaces and . @ + -; got "
                          f"{course!r}")
    p = PLATFORMS[platform]
    files = {"secret": secret.encode(), "setup.sh": SETUP.format(find=FIND).encode(),
             p.program: RUN.format(find=FIND, platform=platform, course=course,
                                   submission=p.submission, results=p.results).encode()}
    threads = any("threads" in (c.kinds or KINDS) for c in source.assignment.checks if c.ops)
    versions = _wheels(wheels, files, (*OURS, POOL) if threads else OURS)
    lines = [f"{name}{'[cli,native]' if name == 'etude' else ''}=={version}\n"
             for name, version in sorted(versions.items())]
    files["requirements.txt"] = "".join(lines).encode()
    for path in sorted(p for p in source.folder.rglob("*") if p.is_file()):
        inside = path.relative_to(source.folder)
        if "__pycache__" not in inside.parts and "build" not in inside.parts:
            files[f"assignment/{inside.as_posix()}"] = path.read_bytes()
    path = to / f"{source.assignment.id.lower()}-{platform}.zip"
    archive.write(path, files, frozenset({"setup.sh", p.program}))
    return path


def _wheels(folder: Path, files: dict[str, bytes], needed: Sequence[str]) -> dict[str, str]:
    """Put what lies in the folder into ``files``; name -> version of what is ours."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if match := WHEEL.fullmatch(path.name):
            name, version = (match[1] or match[3]).lower(), match[2] or match[4]
            if name.startswith("etude"):
                if found.get(name, version) != version:
                    raise CourseError(f"{folder} has {name} in two versions, {found[name]} and "
                                      f"{version}: remove one")
                found[name] = version
            files[f"wheels/{path.name}"] = path.read_bytes()
    if missing := [name for name in needed if name not in found]:
        plugin = "plugins/etude-cpu " if POOL in missing else ""
        raise CourseError(
            f"{folder} has no wheel of {', '.join(missing)}. In Etude's folder: pip wheel "
            f"--wheel-dir {folder} packages/etude packages/etude-check packages/etude-course "
            f"{plugin}(which puts in what they need as well)")
    return found

#!/usr/bin/env bash
# Two writers in one folder within one second, one after the other: the first one's events are gone.
#
# Versions   tensorboardX 2.6.5, tensorboard 2.21.0, numpy 2.4.6.
# Expected   The page of SummaryWriter says that purge_step is for a run that crashed and goes on in
#            the same folder. TensorBoard reads every event file of a folder, and torch's writer,
#            of which this is the model, adds process and counter to a name so that files differ.
# Seen       The name of the file is the second and the host's name, and nothing else; it is opened
#            for writing anew. A second writer of the same second truncates the file of the first,
#            without a warning, although the first one was closed. With purge_step likewise: steps 0
#            and 1 are lost, and step 2 alone is shown. With a filename_suffix of its own each
#            writer keeps what it wrote.
# Matters    A run that resumes at once (a test, a supervisor that restarts, a short evaluation
#            beside the training) loses its curve up to there. Give every writer a suffix, such as
#            the step it starts from.
# Source     tensorboardX's pages of SummaryWriter (purge_step, filename_suffix); its issue 776, open
#            since September 2026, tells of the name, and not of runs that are resumed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile --disable-pip-version-check \
    tensorboardX==2.6.5 tensorboard==2.21.0 numpy==2.4.6

cd "$work"
"$work/venv/bin/python" - <<'PYTHON'
import os
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX import SummaryWriter


def written(folder, suffixes, purge):
    """The steps that TensorBoard reads after two writers, both opened within one second."""
    while time.time() % 1 > 0.2:
        time.sleep(0.01)
    first = SummaryWriter(folder, filename_suffix=suffixes[0])
    for step in (0, 1):
        first.add_scalar("loss", 1.0, step)
    first.close()
    second = SummaryWriter(folder, filename_suffix=suffixes[1], purge_step=purge)
    second.add_scalar("loss", 1.0, 2)
    second.close()
    found = EventAccumulator(folder)
    found.Reload()
    return len(os.listdir(folder)), [e.step for e in found.Scalars("loss")]


found = {
    "two writers": written("plain", ("", ""), None),
    "the second with purge_step=2": written("purge", ("", ""), 2),
    "each with a suffix": written("suffix", (".0", ".2"), 2),
}
for name, (files, steps) in found.items():
    print(f"{name:30} {files} file(s), steps {steps}")
expected = {
    "two writers": (1, [2]),
    "the second with purge_step=2": (1, [2]),
    "each with a suffix": (2, [0, 1, 2]),
}
if found != expected:
    sys.exit(f"CHANGED: this finding says {expected}")
print("as found")
PYTHON

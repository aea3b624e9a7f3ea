"""The words for every kind of finding: what happened, why it is wrong, what to try.

One function for each kind of ``KINDS`` (``lab/events.py``), found by its name: "out-of-bounds" is
said by ``out_of_bounds``, "assert" by ``assertion``. Each gets a Case (``lab/case.py``) and gives a
Said. The mistakes that students make most are called by their names. Nothing here decides whether
something is wrong: the runtime did.
"""

from __future__ import annotations

from dataclasses import replace

from etude_cuda.lab.case import Case, Said
from etude_cuda.lab.words import host, memory, order, speed


def say(case: Case) -> Said:
    """The words for a finding."""
    name = case.found.kind.replace("-", "_").replace("assert", "assertion")
    for module in (memory, order, host, speed):
        if hasattr(module, name):
            said: Said = getattr(module, name)(case)
            # What the runtime says of its own calls has the numbers in it.
            return replace(said, what=_sentence(case.found.words)) if case.found.words else said
    raise AssertionError(f"no words for {case.found.kind}")


def _sentence(text: str) -> str:
    """With a capital at its beginning, unless that is the name of a function."""
    return text if text.startswith(("cuda", "_")) else text[0].upper() + text[1:]

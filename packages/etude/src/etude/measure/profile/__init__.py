"""``etude.profile``: where the time of a program goes, and how far that is from what is possible.

    with etude.profile() as p:
        train()
    print(p)                  p.html("run.html"), p.trace("run.json"), p.flame("run.svg")

A call is seen by a tap, ``watch.py``, which keeps what it sees as raw tuples; ``sums.py`` adds them
up, now and then and at the end. ``report.py`` holds ``Profile``, which people ask. What it can be
written as: ``text.py``, ``trace.py``, ``flame.py`` and ``page.py``; the roofline is a floor below,
``etude.measure.roofline``. The command ``etude profile`` runs a script under all of this.
"""

from etude.measure.profile.report import Profile, profile

__all__ = ["Profile", "profile"]

"""Measuring time: is one way faster than another, and how fast could this machine be?

``compare`` (``timing.py``) runs several functions in turns and says how their times stand to one
another, or that this machine was too busy to tell. ``machine.py`` holds ``Span``, what a stretch of
time was spent on. ``peaks`` (``roof.py``) says how many operations and bytes a second are possible
here, and keeps the answer on disk; ``probe.py`` finds it out, in processes of its own, and
``roofline.py`` draws it. ``profile/`` says where the time of a program goes, and how near that
comes to the peaks.

Everything in Etude that states a speed takes it from here.
"""

from etude.measure.machine import Span, now
from etude.measure.profile import Profile
from etude.measure.roof import Peak, Peaks, peaks
from etude.measure.roofline import Roofline
from etude.measure.timing import Comparison, Interval, Ratio, compare, median_interval

__all__ = ["Comparison", "Interval", "Peak", "Peaks", "Profile", "Ratio", "Roofline", "Span",
           "compare", "median_interval", "now", "peaks"]

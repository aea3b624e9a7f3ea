"""A result in the formats of other systems, a file each. All are made from the result alone.

``document`` is one hand-in for a system that takes one at a time, ``table`` is a class for one that
takes a CSV file; ``nbgrader.py`` writes into that system's own gradebook. The score is the same in
each: whole points, penalties and points by hand included. ``text.py`` is the same for people.
``schemas/`` has what each system takes, written from its documentation.
"""

"""The candidate's process, and all that is between it and the checker.

``sandbox.py`` is the door: a call goes in, an Outcome comes out. ``process.py`` starts the worker
(``__main__.py``) and ends it, ``wire.py`` and ``arena.py`` carry the words and the arrays, and
``answers.py`` says what is believed of what comes back. ``candidate.py`` says which column is under
test; ``tamper.py`` watches, in the worker, what the column replaces and where it looks. Nothing
here knows what the right values are.
"""

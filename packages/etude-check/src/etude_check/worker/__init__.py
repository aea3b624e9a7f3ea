"""The candidate's process, and all that is between it and the checker.

``sandbox.py`` is the door: a call goes in, an Outcome comes out. ``process.py`` starts the worker
(``__main__.py``) and ends it, by way of ``template.py`` here and ``forks.py`` over there;
``walls.py`` says what the code of a stranger may reach, with ``linux.py`` and ``sealed.py``.
``wire.py`` and ``arena.py`` carry the words and the arrays, ``values.py`` values that are no
arrays, and ``answers.py`` says what is believed of what comes back. ``candidate.py`` says which
column is under test, ``drive.py`` calls what is none; ``tamper.py`` watches, in the worker, what
the column replaces and where it looks. Nothing here knows what the right values are.
"""

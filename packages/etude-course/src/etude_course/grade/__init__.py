"""A class: who is in it, what was handed in, graded in parallel, and what people decided by hand.

Folders and archives come in through ``handins.py``, each hand-in is graded in a process of its own
(``one.py``), a line of the journal says what came of it, and ``cohort.py`` puts these together.
"""

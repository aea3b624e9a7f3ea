"""Two runs of one program: where they part, and a script that makes the wrong call again.

``runs.py`` records and compares, ``reproducer.py`` writes the script. ``diagnose.py``, on the floor
above, decides which call is wrong.
"""

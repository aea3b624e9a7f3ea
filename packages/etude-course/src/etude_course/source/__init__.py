"""An assignment's one source: a folder with its solution, its checks and its mistakes.

``assignment.toml`` says what is asked and what it is worth, and is written about in
docs/howto/assignments.md. ``source.py`` reads the whole folder.
"""

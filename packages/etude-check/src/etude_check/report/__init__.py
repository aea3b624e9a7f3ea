"""What a check found: a Report (``record.py``), and the forms that people and programs read.

Terminal, HTML, JUnit XML and JSON: each file turns a finished Report into text. None runs a case or
changes a verdict.
"""

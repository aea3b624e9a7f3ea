"""What a run under the lab found: a Report (``record.py``), and the forms that people read.

Terminal, HTML and JSON: each file turns a finished Report into text. None runs a program or changes
a finding.
"""

"""A Report in the forms people and programs read: terminal, HTML, JUnit XML, JSON.

Each file turns a finished Report into text. None runs a case or changes a verdict.
"""

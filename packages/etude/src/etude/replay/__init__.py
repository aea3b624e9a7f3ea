"""Capture and replay: a step as a program that is run again in one call.

``program.py`` says what a program is. Read it first.
"""

"""Kernels in C: from an op call to a call of a function of etude.h.

``header.py`` reads etude.h; ``library.py`` opens a library and makes a column of it.
"""

"""Looking at a model and at what it does: summary, drawing, receipts, gradient checks, plots.

All of it is made from outside, with ``tap`` (``core/state.py``) or by walking the tape, whose nodes
are ``Node`` in ``core/tape.py``.
"""

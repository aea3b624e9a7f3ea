"""Looking at a model and at what it does: summary, drawing, receipts, gradient checks, plots.

All of it is made from outside, with the tap of ``core/state.py`` or by walking the tape.
"""

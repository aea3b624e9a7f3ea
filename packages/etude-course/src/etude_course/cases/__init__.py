"""What a check asks of an answer, what should come back, and whether it did.

A case is plain data (``etude_check.worker.values``): it goes to the worker that has the answer, and
into the kit that a student has.
"""

"""The cases of one op, each drawn, answered in the worker, and judged.

``runner.py`` goes through them, ``pool.py`` divides ops among processes. ``judge.py`` holds outputs
against the oracle, ``probes.py`` asks what no single call can show, ``property.py`` lets hypothesis
draw cases, ``names.py`` finds a case by its name, ``explain.py`` names the likely mistake, and
``waivers.py`` takes account of failures that a plugin has declared.
"""

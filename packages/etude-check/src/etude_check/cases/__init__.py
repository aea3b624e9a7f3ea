"""What a case is, and the words in which specs describe one.

``spec.py`` has OpSpec, which every op has one of; ``plans.py`` lists the shapes to ask for;
``draw.py`` makes arrays from a plan and a seed; ``case.py`` numbers and names the cases. Which
cases an op has stands in ``specs/``.
"""

"""How far an honest kernel may be from the oracle, element by element.

``question.py`` is one call with the answer of the float64 oracle, ``models.py`` has the error
models, and ``noise.py`` runs the reference as other honest kernels would round. docs/bounds.md
derives the models.
"""

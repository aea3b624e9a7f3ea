"""One file for each family of ops, both ways: "From ONNX" above, "To ONNX" below it.

A reader under ``@reads`` is given a node and Tensors and gives Tensors; a writer under ``@writes``
is given a call of an Etude op and writes nodes. Both say the opsets for which they hold, and raise
``Refused`` for what they cannot say exactly. ``table.fill()`` imports every file of this folder.
"""

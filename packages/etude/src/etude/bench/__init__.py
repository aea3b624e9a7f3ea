"""The benchmark suite: whole training steps, inference and single ops, beside other libraries.

``works.py`` says what is timed, and how Etude does it. ``peers.py`` is the same in NumPy, PyTorch,
JAX and onnxruntime; read the two side by side. ``race.py`` compares what all of them compute, then
times them in turns. ``calls.py`` writes a call of each op for PyTorch, and ``ops.py`` times those.
``report.py`` makes text, JSON and pictures of what was found. The command is ``etude bench``.

Nothing else of Etude imports this package, and it imports other libraries only where it times them.
"""

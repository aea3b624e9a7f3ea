"""The specs, one file per family of ops, named as in ``etude/ops``; found by name."""

"""``python -m etude_check`` is ``etude check``, where the console script is not on the path."""

from __future__ import annotations

from etude_check.commands.check import check

if __name__ == "__main__":  # the pool's processes import this module too
    check(prog_name="etude check")

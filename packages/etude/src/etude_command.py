"""Where the command ``etude`` begins: outside the package, whose import takes a moment.

Whoever presses Ctrl-C in that moment gets a sentence, not a traceback. What the command does is in
``etude/__main__.py`` and ``etude/commands/``.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script."""
    try:
        from etude.__main__ import main as command
    except KeyboardInterrupt:
        print("\nStopped before it began.", file=sys.stderr)
        sys.exit(130)  # as shells have it after Ctrl-C
    command()

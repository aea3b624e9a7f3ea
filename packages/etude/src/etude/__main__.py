"""The command ``etude``, also ``python -m etude``: starts ``commands/``, or says what is missing.

click and rich are optional: only ``commands/`` and progress bars import them, and this file stands
in front of their first import. What ``etude`` can do is in ``commands/__init__.py``; before all of
it, ``etude_command.py`` imports this file.
"""

from __future__ import annotations

import sys
from typing import NoReturn

NEEDED = ("click", "rich")


def main() -> None:
    """What the console script runs. Exits with a sentence without click or rich, or at Ctrl-C."""
    try:
        from etude.commands import etude
    except KeyboardInterrupt:
        _stopped()
    except ModuleNotFoundError as missing:
        name = str(missing.name).partition(".")[0]
        if name not in NEEDED:
            raise
        sys.exit(f"etude: the command line needs {' and '.join(NEEDED)}, and {name} is not "
                 f"installed. Install both with: pip install 'etude[cli]'")
    etude(prog_name="etude")


def _stopped() -> NoReturn:
    print("\nStopped before it began.", file=sys.stderr)
    sys.exit(130)  # as shells have it after Ctrl-C


if __name__ == "__main__":
    main()

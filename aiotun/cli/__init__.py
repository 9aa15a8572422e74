"""The ``aiotun`` command."""

from __future__ import annotations

import sys

__all__ = ["main"]

EXTRAS = {"typer": "cli", "rich": "cli", "cryptography": "crypto"}
"""What the command needs beyond the library itself, and the extra that brings it."""


def main() -> None:
    """
    Run the ``aiotun`` command with the process's arguments; ends in SystemExit.

    A missing extra is one sentence and status 2.
    """
    try:
        from .app import app

        app(prog_name="aiotun")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        print(f"aiotun: this command needs {missing}: pip install 'aiotun[cli,crypto]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # while it was still starting
        sys.exit(130)

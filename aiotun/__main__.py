"""``python -m aiotun`` is the ``aiotun`` command."""

from .cli import main

if __name__ == "__main__":
    main()

"""The examples are programs, not a package: their folder goes on the path, so that tests can import them."""

from __future__ import annotations

import sys

from .program import EXAMPLES

sys.path.insert(0, str(EXAMPLES))

"""The reference names what there is."""

from __future__ import annotations

import re

import aiotun

from .fences import ROOT

WORDS = set(re.findall(r"\w+", (ROOT / "docs" / "reference.md").read_text()))


def test_every_public_name_is_in_the_reference() -> None:
    """No name that ``aiotun`` exports is missing from the page."""
    assert [name for name in aiotun.__all__ if name not in WORDS | {"__version__"}] == []

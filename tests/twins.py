"""Tests that run on both forms of a function: Python's, and its twin in C where that is built."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun import speedups

__all__ = ["both", "forms", "only_c"]


def forms(chosen: Any) -> list[Any]:
    """Return the forms there are of what *chosen* is one of."""
    python = speedups.pure[chosen.__name__]
    return [pytest.param(python, id="python")] + [pytest.param(chosen, id="c")] * (chosen is not python)


def both(chosen: Any) -> pytest.MarkDecorator:
    """Run a test with each form of a function, as its argument *form*."""
    return pytest.mark.parametrize("form", forms(chosen))


only_c = pytest.mark.skipif(not speedups.active, reason=speedups.reason)
"""A test of what only the twin in C promises."""

"""The pytest fixture ``lab``: a new lab for each test."""

from __future__ import annotations

from collections.abc import Iterator

try:
    import pytest
except ImportError as error:
    raise ImportError("the lab fixture is for pytest: pip install pytest, or use Lab() without it") from error

from .lab import Lab

__all__ = ["lab"]


@pytest.fixture
def lab() -> Iterator[Lab]:
    """Return a lab that is closed after the test."""
    with Lab() as made:
        yield made

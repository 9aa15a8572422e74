"""What the tests of the endpoint share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .fakes import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The two ends of a pipe: what is written to the second is readable on the first."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)

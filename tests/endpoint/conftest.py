"""What the tests of the endpoint share."""

from __future__ import annotations

import pytest

from .fakes import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)

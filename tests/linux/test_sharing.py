"""A transaction shared by several queues."""

from __future__ import annotations

from typing import Any

import pytest

from aiotun.linux.sharing import SharedTransaction


class Fake:
    """A transaction that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def end(self) -> None:
        self.told.append("end")

    def keep(self) -> None:
        self.told.append("keep")


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        (["end"], []),
        (["end", "end"], []),
        (["end", "end", "end"], ["end"]),
        (["keep", "end", "end"], ["keep"]),
        (["end", "end", "keep"], ["keep"]),
    ],
)
def test_the_last_holder_ends_it(calls: list[str], told: list[str]) -> None:
    """Three holders: nothing happens before the last; one who keeps keeps it for all."""
    fake: Any = Fake()
    shared = SharedTransaction(fake, 3)
    for call in calls:
        getattr(shared, call)()
    assert fake.told == told

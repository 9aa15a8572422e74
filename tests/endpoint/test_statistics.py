"""What an endpoint counted, as a value."""

from __future__ import annotations

import attrs
import pytest

from aiotun.endpoint import Statistics

COUNTED = Statistics(
    taken_packets=10,
    taken_bytes=1000,
    held_packets=2,
    sent_packets=5,
    sent_bytes=500,
    dropped={"closed": 3, "no_memory": 4},
    interface=None,
)


def test_received_is_what_the_application_got() -> None:
    """Received is taken, less what is held and what was dropped at close; what was never taken does not count."""
    assert COUNTED.received_packets == 5


def test_received_without_drops() -> None:
    """Without drops, received is taken less held."""
    assert attrs.evolve(COUNTED, dropped={}).received_packets == 8


def test_statistics_are_values() -> None:
    """Statistics cannot be changed."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        COUNTED.sent_packets = 6  # type: ignore[misc]

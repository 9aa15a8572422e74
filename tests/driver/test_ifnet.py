"""The flags and counters of an interface."""

from __future__ import annotations

from aiotun.driver import Flags
from aiotun.driver.ifnet import OACTIVE, RUNNING, UP, Counts


def test_flags_have_the_values_of_the_bsds() -> None:
    """The flags are those of net/if.h."""
    assert {flag.name: flag.value for flag in Flags} == {
        "UP": 0x1,
        "BROADCAST": 0x2,
        "POINTOPOINT": 0x10,
        "RUNNING": 0x40,
        "OACTIVE": 0x400,
        "SIMPLEX": 0x800,
        "MULTICAST": 0x8000,
    }


def test_plain_numbers() -> None:
    """The flags of the hot paths are plain numbers of the same value."""
    assert [(type(flag), flag) for flag in (UP, RUNNING, OACTIVE)] == [(int, 0x1), (int, 0x40), (int, 0x400)]


def test_counters_begin_at_zero() -> None:
    """Nothing was counted before anything happened."""
    assert Counts() == Counts(0, 0, 0, 0, 0, 0, 0)

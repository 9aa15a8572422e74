"""The argument of TUNSETTXFILTER, byte by byte."""

from __future__ import annotations

import struct

import pytest

from aiotun.linux.address_filter import MAX_UNICAST, address_filter

ONE, TWO = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
GROUP = bytes.fromhex("01005e000001")


def test_none_lifts_the_filter() -> None:
    """No address at all is a count of 0."""
    assert address_filter("tap0", []) == struct.pack("HH", 0, 0)


def test_unicast_comes_first() -> None:
    """Groups stand after the others, in the order given among themselves."""
    assert address_filter("tap0", [GROUP, ONE, TWO]) == struct.pack("HH", 0, 3) + ONE + TWO + GROUP


def test_all_groups() -> None:
    """``all_multicast`` is the flag TUN_FLT_ALLMULTI."""
    assert address_filter("tap0", [ONE], all_multicast=True) == struct.pack("HH", 1, 1) + ONE


def test_the_most() -> None:
    """Eight unicast addresses fit beside any number of groups, nine do not."""
    unicast = [bytes([2, 0, 0, 0, 0, number]) for number in range(MAX_UNICAST + 1)]
    assert len(address_filter("tap0", [*unicast[1:], *[GROUP] * 100])) == 4 + 6 * 108
    with pytest.raises(ValueError, match="tap0: 9 addresses are no groups', the kernel's filter holds 8"):
        address_filter("tap0", unicast)

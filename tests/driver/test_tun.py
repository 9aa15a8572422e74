"""The tun driver: what it carries, what it counts when."""

from __future__ import annotations

import pytest

from aiotun.driver import Flags
from aiotun.errors import UnsupportedFamily

from .fakes import FOREIGN, FRAME, IPV4, IPV6, open_tun, stack_of


def test_flags() -> None:
    """A tun begins as a point-to-point interface that can do multicast."""
    assert open_tun(up=False).flags == Flags.POINTOPOINT | Flags.MULTICAST


def test_both_families_are_output() -> None:
    """IPv4 and IPv6 packets are queued, in order."""
    tun = open_tun()
    tun.output([IPV4, IPV6, IPV4])
    assert tun.read_many(64) == [IPV4, IPV6, IPV4]


@pytest.mark.parametrize("packet", [FOREIGN, FRAME, b""], ids=["zeros", "frame", "empty"])
def test_a_foreign_family_is_not_output(packet: bytes) -> None:
    """A packet of another family is dropped and counted, and the others of its batch are queued."""
    tun = open_tun()
    assert tun.output([IPV4, packet, IPV6]) == 2
    assert (tun.read_many(64), tun.counts.oerrors) == ([IPV4, IPV6], 1)
    assert tun.counters().dropped == {"unsupported_family": 1}


def test_output_is_counted_at_output() -> None:
    """opackets and obytes count a packet when it is queued, before anybody reads it."""
    tun = open_tun()
    tun.output([IPV4, IPV6])
    assert (tun.counters().opackets, tun.counters().obytes) == (2, 80)


def test_reading_counts_nothing_more() -> None:
    """A read leaves opackets as it is."""
    tun = open_tun()
    tun.output([IPV4])
    tun.read_many(64)
    assert tun.counters().opackets == 1


def test_what_collides_is_not_counted_as_output() -> None:
    """A packet refused by a full queue is a collision, not an opacket."""
    tun = open_tun(queue_length=1)
    tun.output([IPV4, IPV4, IPV4])
    assert (tun.counts.opackets, tun.counts.collisions) == (1, 2)


def test_both_families_are_input() -> None:
    """IPv4 and IPv6 packets enter the stack, in order."""
    tun = open_tun()
    tun.write_many([IPV6, IPV4])
    assert stack_of(tun).entered == [IPV6, IPV4]


def test_a_foreign_family_is_not_input() -> None:
    """A packet of another family is refused with its first byte in the text."""
    tun = open_tun()
    with pytest.raises(UnsupportedFamily, match="dev0: packet begins with 0x00, neither IPv4 nor IPv6"):
        tun.write_many([FOREIGN])


def test_what_came_before_a_foreign_family_is_input() -> None:
    """What came before a packet of another family enters; the error says how many, and nothing after it enters."""
    tun = open_tun()
    with pytest.raises(UnsupportedFamily) as caught:
        tun.write_many([IPV4, IPV6, FOREIGN, IPV4])
    assert (caught.value.sent, stack_of(tun).entered) == (2, [IPV4, IPV6])


def test_a_foreign_family_is_an_input_error() -> None:
    """A refused write counts one ierror, and only what entered as ipackets."""
    tun = open_tun()
    with pytest.raises(UnsupportedFamily):
        tun.write_many([IPV4, FOREIGN, FOREIGN])
    assert (tun.counts.ierrors, tun.counts.ipackets) == (1, 1)


@pytest.mark.parametrize("batch", [[b""], [IPV4, b""], [b"", IPV4]])
def test_a_write_of_nothing_is_nothing(batch: list[bytes]) -> None:
    """A write of 0 bytes succeeds, and nothing enters for it."""
    tun = open_tun()
    assert tun.write_many(batch) == len(batch)
    assert stack_of(tun).entered == [packet for packet in batch if packet]


def test_a_write_of_nothing_before_a_foreign_family() -> None:
    """sent counts a write of 0 bytes that came before the refused one."""
    tun = open_tun()
    with pytest.raises(UnsupportedFamily) as caught:
        tun.write_many([b"", FOREIGN])
    assert (caught.value.sent, stack_of(tun).entered) == (1, [])

"""Counting by key, in bounds."""

from __future__ import annotations

import pytest

from aiotun.packet import flow
from aiotun.stages import Count, count, protocol_of

from .packets import echo, superpacket, tcp, udp, wrap


def test_by_protocol() -> None:
    """Packets and bytes are counted by the number of the transport; the batch passes as it is."""
    stage = count()
    batch = [tcp(), udp(), tcp(6), b"junk"]
    assert stage(batch) is batch
    assert stage.counts == {
        6: Count(2, len(tcp()) + len(tcp(6))),
        17: Count(1, len(udp())),
        None: Count(1, 4),
    }


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (echo(), 1),
        (echo(6), 58),
        (wrap(6, 60, b"\x06\0" + bytes(6) + bytes(20)), 6),
        (wrap(6, 44, b"\x11\0\0\x08" + bytes(16)), 44),
        (wrap(6, 59, b""), None),
        (udp(fragment_offset=3), 17),
        (b"", None),
        (b"\x60" * 20, None),
        (b"\x20" * 60, None),
    ],
)
def test_protocol_of(packet: bytes, expected: int | None) -> None:
    """Extension headers are stepped over; a fragment of IPv6 is one, and garbage is nothing."""
    assert protocol_of(packet) == expected


def test_by_flow() -> None:
    """Any function of a packet is a key."""
    stage = count(flow)
    stage([tcp(), tcp(), udp()])
    assert [entry.packets for entry in stage.counts.values()] == [2, 1]


def test_the_bound() -> None:
    """Beyond the limit every new key is counted with the others, and nothing is lost from the total."""
    stage = count(len, limit=2)
    stage([b"1", b"22", b"333", b"4444", b"1"])
    assert stage.counts == {1: Count(2, 2), 2: Count(1, 2), None: Count(2, 7)}
    assert stage.total == Count(5, 11)


def test_none_is_a_key_beyond_the_limit() -> None:
    """The key None takes no place of another."""
    stage = count(lambda packet: packet[0] or None, limit=1)
    stage([b"\0", b"\1", b"\0"])
    assert stage.counts == {None: Count(2, 2), 1: Count(1, 1)}


def test_a_superpacket_is_one() -> None:
    """A super-packet counts once, by the length of its buffer."""
    stage = count()
    packet = superpacket()
    assert stage([packet])[0] is packet
    assert stage.total == Count(1, len(packet))


def test_clear() -> None:
    """clear() begins anew."""
    stage = count()
    stage([tcp()])
    stage.clear()
    assert (stage.counts, stage.total) == ({}, Count(0, 0))


def test_a_limit_without_sense() -> None:
    """A limit below one key is refused."""
    with pytest.raises(ValueError, match="count: there is at least 1 key, not 0"):
        count(limit=0)

"""Packets that are too long: who is told what, and what passes."""

from __future__ import annotations

import pytest
from packet.oracle import inet, inet6

from aiotun.stages import ICMPErrors, packet_too_big

from .packets import HERE, Sink, rebuilt, superpacket, tcp, udp


def test_ipv4_with_df() -> None:
    """A packet with DF is dropped; its sender is told of the mtu: type 3, code 4, RFC 1191."""
    back = Sink()
    stage = packet_too_big(600, ICMPErrors(back, HERE[4]))
    packet = udp(payload=bytes(573), dont_fragment=True)
    assert (list(stage([packet])), dict(stage.dropped)) == ([], {"too_big": 1})
    (answer,) = back.taken
    message = inet.IP(answer).payload
    assert (message.type, message.code, message.nexthopmtu, rebuilt(answer)) == (3, 4, 600, answer)


def test_ipv6() -> None:
    """A packet of IPv6 is dropped; its sender is told of the mtu: type 2, RFC 8201."""
    back = Sink()
    stage = packet_too_big(1280, ICMPErrors(back, HERE[6]))
    assert (list(stage([udp(6, bytes(1233))])), dict(stage.dropped)) == ([], {"too_big": 1})
    message = inet6.IPv6(back.taken[0]).payload
    assert (message.type, message.code, message.mtu) == (2, 0, 1280)


def test_what_may_be_fragmented_passes() -> None:
    """IPv4 without DF is left to fragment."""
    packet = udp(payload=bytes(1400))
    assert list(packet_too_big(600)([packet])) == [packet]


@pytest.mark.parametrize("packet", [udp(payload=bytes(572), dont_fragment=True), udp(6, bytes(552))])
def test_what_fits_passes(packet: bytes) -> None:
    """A packet of exactly the mtu passes, and one byte more does not."""
    assert len(packet) == 600
    stage = packet_too_big(600)
    batch = [packet]
    assert stage(batch) is batch
    assert list(packet_too_big(599)(batch)) == []


def test_the_others_of_the_batch_pass() -> None:
    """A packet that is too long takes none of its batch along."""
    packets = [tcp(), udp(6, bytes(900)), tcp(6)]
    assert list(packet_too_big(600)(packets)) == [packets[0], packets[2]]


@pytest.mark.parametrize("version", [4, 6])
def test_superpackets(version: int) -> None:
    """A super-packet passes whole if its segments fit, however long it is; else its first segment is answered."""
    back = Sink()
    errors = ICMPErrors(back, HERE[4], HERE[6])
    df = {"dont_fragment": True} if version == 4 else {}
    packet = superpacket(version, **df)
    size = 1000 + (40 if version == 4 else 60)
    assert packet_too_big(size, errors)([packet])[0] is packet
    assert list(packet_too_big(size - 1, errors)([packet])) == []
    assert len(back.taken) == 1


def test_long_garbage_is_dropped() -> None:
    """What is no IP packet and longer than the mtu is dropped, and nobody told."""
    back = Sink()
    stage = packet_too_big(68, ICMPErrors(back, HERE[4], HERE[6]))
    assert (list(stage([bytes(100)])), dict(stage.dropped), back.taken) == ([], {"too_big": 1}, [])


@pytest.mark.parametrize("mtu", [67, 65536])
def test_an_mtu_without_sense(mtu: int) -> None:
    """An mtu below that of RFC 791, or above that of IP, is refused."""
    with pytest.raises(ValueError, match=f"packet_too_big: the mtu is 68 to 65535 bytes, not {mtu}"):
        packet_too_big(mtu)

"""What a rewritten packet is, and how its transport's checksum follows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.offload import segment
from aiotun.packet import SuperPacket, transport_checksum
from aiotun.stages.rewriting import first_segment, is_partial, rewritten, updated_transport

from .packets import fields_of, partial, superpacket, tcp, udp

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"


def test_plain_stays_plain() -> None:
    """Octets in the place of a plain packet are the packet."""
    octets = tcp()
    assert rewritten(udp(), octets) is octets


def test_a_superpacket_keeps_its_fields() -> None:
    """Octets in the place of a super-packet are one of the same fields."""
    packet = superpacket()
    after = rewritten(packet, bytes(len(packet)))
    assert (type(after), fields_of(after), bytes(after)) == (SuperPacket, fields_of(packet), bytes(len(packet)))


def test_partial() -> None:
    """A checksum is partial where the packet says so, at the header in question alone."""
    assert is_partial(partial(tcp()), 20)
    assert not is_partial(partial(tcp()), 40)
    assert not is_partial(SuperPacket(tcp(), csum_start=20), 20)
    assert not is_partial(tcp(), 20)


@given(st.sampled_from([6, 17]), st.binary(min_size=8, max_size=8), st.binary(min_size=2, max_size=2))
def test_the_checksum_follows(protocol: int, body: bytes, word: bytes) -> None:
    """The updated checksum is the one made anew, 0 and 0xffff taken for one but in UDP, where neither is 0."""
    before = bytes(20) + body
    after = bytes(20) + word + body[2:]
    old, new = int.from_bytes(body[:2], "big"), int.from_bytes(word, "big")
    found = updated_transport(transport_checksum(A, B, protocol, before), protocol, old, new)
    expected = transport_checksum(A, B, protocol, after)
    assert found % 0xFFFF == expected % 0xFFFF
    assert found or protocol != 17


def test_no_checksum_stays_none() -> None:
    """A UDP checksum of 0 stays."""
    assert updated_transport(0, 17, 1, 2) == 0


def test_the_first_segment() -> None:
    """The first segment of a super-packet is what segment() gives first; a plain packet is its own."""
    packet = tcp()
    assert first_segment(packet) is packet
    assert first_segment(superpacket()) == segment(superpacket())[0]
    assert first_segment(partial(packet)) == packet


def test_the_first_segment_of_what_cannot_be_cut() -> None:
    """A super-packet that lies of itself is quoted as it is."""
    packet = SuperPacket(udp(), gso_type=1, gso_size=5)
    found = first_segment(packet)
    assert (type(found), found) == (bytes, bytes(packet))


@pytest.mark.parametrize("csum", [True, False])
def test_the_outer_checksum_of_a_tunnel(csum: bool) -> None:
    """In a tunnel the outer UDP checksum is no checksum yet either, if there is one; and the fields stay."""
    packet = SuperPacket(bytes(200), 0x21, 10, 0, 70, 16, True, False, 20, 50, csum)
    assert (is_partial(packet, 20), is_partial(packet, 70), is_partial(packet, 50)) == (csum, True, False)
    assert vars(rewritten(packet, bytes(200))) == vars(packet)

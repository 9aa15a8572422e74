"""Finding ports in packets, whole and quoted, and never beyond their end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet import strategies as s

from aiotun.stages.nat_locating import CHECKSUMS, Located, ends, locate

from .packets import ENDS, echo, tcp, udp, wrap


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (tcp(), Located(6, 20, 45, b"")),
        (udp(6), Located(17, 40, 53, b"")),
        (udp(6) + b"padding", Located(17, 40, 53, b"")),
        (echo(6), Located(58, 40, 53, b"")),
        (wrap(6, 44, b"\x11\0\0\x08" + b"abcd" + bytes(8)), Located(17, 0, 56, b"abcd")),
        (wrap(6, 44, b"\x11\0\0\x01" + b"abcd" + bytes(8)), Located(17, 48, 56, b"abcd")),
    ],
)
def test_where(packet: bytes, expected: Located) -> None:
    """Protocol, start and end are found; a fragment has the key of its datagram."""
    found = locate(packet)
    assert not isinstance(found, str)
    assert found._replace(fragment=found.fragment[-4:]) == expected


def test_fragments_of_one_datagram_have_one_key() -> None:
    """The key has the addresses, the identification, and for IPv4 the protocol."""
    fragments = [udp(identification=5, more_fragments=True), wrap(4, 17, bytes(9), identification=5, fragment_offset=3)]
    others = [
        wrap(4, 17, bytes(9), identification=6, fragment_offset=3),
        wrap(4, 17, bytes(9), identification=0x0105, fragment_offset=3),
        wrap(4, 6, bytes(20), identification=5, fragment_offset=3),
        wrap(4, 17, bytes(9), identification=5, fragment_offset=3, src="10.9.9.9"),
    ]
    keys = [locate(packet).fragment for packet in fragments]  # type: ignore[union-attr]
    assert keys[0] == keys[1]
    assert keys[0] not in [locate(packet).fragment for packet in others]  # type: ignore[union-attr]


@pytest.mark.parametrize("version", [4, 6])
def test_a_quote_may_end_in_front_of_the_checksum(version: int) -> None:
    """Eight bytes of a quoted transport are enough, where a packet needs the checksum."""
    start = 20 if version == 4 else 40
    quoted = bytes(28) + tcp(version)[: start + 8]
    assert locate(quoted, 28) == Located(6, 28 + start, 28 + start + 8, b"")
    assert locate(quoted[:-1], 28) == "short_transport"


def test_ends() -> None:
    """Addresses and ports come in the order of the packet; an echo has its identifier first."""
    found = locate(udp())
    assert isinstance(found, Located)
    assert ends(udp(), found) == (b"\x0a\x08\0\2", b"\xc0\0\2\7", b"\x0f\xa0", b"\0\x35")
    found = locate(echo(identifier=258))
    assert isinstance(found, Located)
    assert ends(echo(identifier=258), found)[2:] == (b"\1\2", b"\0\0")


@given(s.hostile_packets, st.sampled_from([0, 8, 28]))
def test_hostile_packets(packet: bytes, at: int) -> None:
    """Whatever the bytes, nothing is raised, and what is found lies within the packet."""
    octets = ENDS[4][0].encode().ljust(at, b"\0")[:at] + packet
    found = locate(octets, at)
    if isinstance(found, Located) and found.start:
        assert at < found.start + 8 <= found.end <= len(octets)
        assert found.protocol in CHECKSUMS
        assert len(b"".join(ends(octets, found, at))) in (12, 36)

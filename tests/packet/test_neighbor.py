"""Neighbor discovery, field by field and against scapy."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from hypothesis import given

from aiotun.errors import PacketError
from aiotun.packet import (
    NeighborAdvertisement,
    NeighborSolicitation,
    NeighborView,
    format_mac,
    multicast_mac,
    solicited_node,
)

from . import strategies as s
from .oracle import inet6

TARGET = bytes(range(0x20, 0x30))
MAC = bytes.fromhex("020000000001")
OCTETS = bytes.fromhex("88001234c0000000") + TARGET + b"\x0e\x01nonce." + b"\x02\x01" + MAC

FIELDS = [
    ("type", 136),
    ("code", 0),
    ("router", True),
    ("solicited", True),
    ("override", False),
    ("target_bytes", TARGET),
    ("target", IPv6Address(TARGET)),
    ("link_layer", MAC),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(NeighborView(OCTETS), name) == expected


def test_options() -> None:
    """The options are read in order."""
    assert list(NeighborView(OCTETS).iter_options()) == [(14, b"nonce."), (2, MAC)]


@pytest.mark.parametrize(
    ("kind", "option", "found"), [(135, 1, True), (135, 2, False), (136, 1, False), (136, 2, True)]
)
def test_which_option_counts(kind: int, option: int, found: bool) -> None:
    """A solicitation has its sender's address, an advertisement its target's; the other option is ignored."""
    octets = bytes((kind, 0)) + bytes(6) + TARGET + bytes((option, 1)) + MAC
    assert (NeighborView(octets).link_layer == MAC) == found


def test_a_longer_link_address() -> None:
    """A link address that is not Ethernet's is not taken for one."""
    octets = bytes((135, 0)) + bytes(6) + TARGET + b"\x01\x02" + bytes(14)
    assert NeighborSolicitation.parse(octets).link_layer is None


@given(s.solicitation, s.addresses6, s.addresses6)
def test_solicitation_round_trip(value: NeighborSolicitation, src: s.Address, dst: s.Address) -> None:
    """Building and parsing, checksum verified, gives the same value."""
    assert NeighborSolicitation.parse(value.build(src, dst), src, dst) == value


@given(s.advertisement, s.addresses6, s.addresses6)
def test_advertisement_round_trip(value: NeighborAdvertisement, src: s.Address, dst: s.Address) -> None:
    """Building and parsing, checksum verified, gives the same value."""
    assert NeighborAdvertisement.parse(value.build(src, dst), src, dst) == value


@given(s.solicitation, s.addresses6, s.addresses6)
def test_scapy_builds_the_same_solicitation(value: NeighborSolicitation, src: s.Address, dst: s.Address) -> None:
    """Scapy builds the same bytes as we do, checksum included."""
    other = inet6.ICMPv6ND_NS(tgt=str(value.target))
    if value.link_layer is not None:
        other /= inet6.ICMPv6NDOptSrcLLAddr(lladdr=format_mac(value.link_layer))
    octets = bytes(inet6.IPv6(src=str(src), dst=str(dst)) / other)[40:]
    assert value.build(src, dst) == octets
    assert NeighborSolicitation.parse(octets, src, dst) == value


@given(s.advertisement, s.addresses6, s.addresses6)
def test_scapy_builds_the_same_advertisement(value: NeighborAdvertisement, src: s.Address, dst: s.Address) -> None:
    """Scapy builds the same bytes as we do, checksum included."""
    other = inet6.ICMPv6ND_NA(tgt=str(value.target), R=int(value.router), S=int(value.solicited), O=int(value.override))
    if value.link_layer is not None:
        other /= inet6.ICMPv6NDOptDstLLAddr(lladdr=format_mac(value.link_layer))
    octets = bytes(inet6.IPv6(src=str(src), dst=str(dst)) / other)[40:]
    assert value.build(src, dst) == octets
    assert NeighborAdvertisement.parse(octets, src, dst) == value


def test_advertise() -> None:
    """The answer to a solicitation advertises its target."""
    assert NeighborSolicitation("fd00::1").advertise(MAC) == NeighborAdvertisement("fd00::1", MAC)


@given(s.unicast6)
def test_solicited_node(target: IPv6Address) -> None:
    """The solicited-node address is scapy's."""
    assert solicited_node(target).packed == inet6.in6_getnsma(target.packed)


@given(s.unicast6)
def test_multicast_mac(target: IPv6Address) -> None:
    """The Ethernet address of a group is scapy's."""
    assert format_mac(multicast_mac(solicited_node(target))) == inet6.in6_getnsmac(inet6.in6_getnsma(target.packed))


def test_multicast_mac_of_a_host() -> None:
    """An address of one host has no group address."""
    with pytest.raises(PacketError, match="fd00::1 is not a multicast address"):
        multicast_mac("fd00::1")


@pytest.mark.parametrize("kind", [NeighborSolicitation, NeighborAdvertisement])
def test_multicast_target(kind: type[NeighborSolicitation] | type[NeighborAdvertisement]) -> None:
    """A group is never the target."""
    with pytest.raises(PacketError, match="target is ff02::1, a multicast address") as caught:
        kind("ff02::1")
    assert caught.value.reason == "bad_value"


def test_wrong_checksum() -> None:
    """With addresses, a wrong checksum is a fault with a reason."""
    with pytest.raises(PacketError, match="neighbor discovery: checksum is 0x1234, wrong") as caught:
        NeighborAdvertisement.parse(OCTETS, s.A6, s.B6)
    assert caught.value.reason == "bad_checksum"


def test_one_is_not_the_other() -> None:
    """A solicitation does not parse as an advertisement."""
    with pytest.raises(PacketError, match="type is 135, not 136") as caught:
        NeighborAdvertisement.parse(NeighborSolicitation("fd00::1").build(s.A6, s.B6))
    assert caught.value.reason == "bad_neighbor"


def test_repr_shows_text() -> None:
    """The repr shows the Ethernet address as people write it, or None."""
    assert "link_layer=02:00:00:00:00:01" in repr(NeighborSolicitation("fd00::1", MAC))
    assert "link_layer=None" in repr(NeighborSolicitation("fd00::1"))

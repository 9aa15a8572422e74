"""The assigned numbers, against those the standard library and scapy know."""

from __future__ import annotations

import socket

import pytest

from aiotun.packet import EtherType, Protocol

from .oracle import inet6, l2

NAMES = {"HOP_BY_HOP": "HOPOPTS", "NO_NEXT": "NONE", "DESTINATION": "DSTOPTS", "IPV4": "IPIP"}


@pytest.mark.parametrize("protocol", list(Protocol))
def test_protocol_numbers(protocol: Protocol) -> None:
    """A protocol number is the socket module's, where that has the name."""
    name = f"IPPROTO_{NAMES.get(protocol.name, protocol.name)}"
    assert getattr(socket, name, protocol) == protocol


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (l2.ARP, EtherType.ARP),
        (l2.Dot1Q, EtherType.VLAN),
        (l2.Dot1AD, EtherType.SERVICE_VLAN),
        (inet6.IPv6, EtherType.IPV6),
    ],
)
def test_ethertypes(layer: type, kind: EtherType) -> None:
    """An ethertype is the one under which scapy carries the protocol."""
    assert (l2.Ether() / layer()).type == kind

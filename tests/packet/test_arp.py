"""ARP, field by field and against scapy."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given

from aiotun.errors import PacketError
from aiotun.packet import ARP, ARPView, Ethernet, format_mac

from . import strategies as s
from .oracle import l2

OCTETS = bytes.fromhex("0001 0800 06 04 0002 020304050607 0a010203 08090a0b0c0d 0a040506".replace(" ", ""))

FIELDS = [
    ("hardware_type", 1),
    ("protocol_type", 0x800),
    ("hardware_length", 6),
    ("protocol_length", 4),
    ("operation", 2),
    ("sender_mac", bytes.fromhex("020304050607")),
    ("sender_ip_bytes", bytes((10, 1, 2, 3))),
    ("sender_ip", IPv4Address("10.1.2.3")),
    ("target_mac", bytes.fromhex("08090a0b0c0d")),
    ("target_ip_bytes", bytes((10, 4, 5, 6))),
    ("target_ip", IPv4Address("10.4.5.6")),
]
REQUEST = ARP.request("02:00:00:00:00:01", "10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(ARPView(OCTETS), name) == expected


@given(s.arp)
def test_round_trip(value: ARP) -> None:
    """Building and parsing gives the same value."""
    assert ARP.parse(value.build()) == value


@given(s.arp)
def test_scapy_agrees(value: ARP) -> None:
    """Scapy builds the same bytes as we do, and we read what it put there."""
    other = l2.ARP(
        op=value.operation,
        hwsrc=format_mac(value.sender_mac),
        psrc=str(value.sender_ip),
        hwdst=format_mac(value.target_mac),
        pdst=str(value.target_ip),
    )
    assert value.build() == bytes(other)
    assert ARP.parse(bytes(other)) == value


@given(s.arp)
def test_scapy_reads_ours(value: ARP) -> None:
    """Scapy finds in our bytes what we put there."""
    other = l2.ARP(value.build())
    assert (other.op, other.hwsrc, other.psrc, other.hwdst, other.pdst) == (
        value.operation,
        format_mac(value.sender_mac),
        str(value.sender_ip),
        format_mac(value.target_mac),
        str(value.target_ip),
    )


def test_reply() -> None:
    """The reply tells the asker where the target is."""
    reply = REQUEST.reply("02:00:00:00:00:02")
    assert reply == ARP(2, "02:00:00:00:00:02", "10.0.0.2", "02:00:00:00:00:01", "10.0.0.1")


def test_scapy_takes_the_reply_for_one() -> None:
    """Scapy takes our reply for the answer to our request."""
    assert l2.ARP(REQUEST.reply("02:00:00:00:00:02").build()).answers(l2.ARP(REQUEST.build()))


def test_no_reply_to_a_reply() -> None:
    """Only a request has a reply."""
    with pytest.raises(PacketError, match="ARP: operation is 2, only a request has a reply") as caught:
        REQUEST.reply("02:00:00:00:00:02").reply("02:00:00:00:00:03")
    assert caught.value.reason == "bad_arp"


def test_request_frame() -> None:
    """A request is framed for everybody."""
    frame = Ethernet.parse(REQUEST.frame())
    assert (format_mac(frame.dst), frame.ethertype, ARP.parse(frame.payload)) == ("ff:ff:ff:ff:ff:ff", 0x806, REQUEST)


def test_reply_frame() -> None:
    """A reply is framed for the asker."""
    frame = Ethernet.parse(REQUEST.reply("02:00:00:00:00:02").frame())
    assert (format_mac(frame.dst), format_mac(frame.src)) == ("02:00:00:00:00:01", "02:00:00:00:00:02")

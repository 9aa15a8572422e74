"""Ethernet, field by field and against scapy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from aiotun.errors import PacketError
from aiotun.packet import BROADCAST_MAC, VLAN, Ethernet, EthernetView, format_mac, parse_mac

from . import strategies as s
from .oracle import Raw, l2

DST, SRC = bytes.fromhex("020304050607"), bytes.fromhex("08090a0b0c0d")
OUTER, INNER = bytes.fromhex("88a8b123"), bytes.fromhex("81006456")
ENDS = DST + SRC

FIELDS: list[tuple[bytes, str, object]] = [
    (ENDS + b"\x08\0body", "dst", DST),
    (ENDS + b"\x08\0body", "src", SRC),
    (ENDS + b"\x08\0body", "is_multicast", False),
    (b"\x01" + ENDS[1:] + b"\x08\0body", "is_multicast", True),
    (ENDS + b"\x08\0body", "vlans", ()),
    (ENDS + b"\x08\0body", "ethertype", 0x800),
    (ENDS + b"\x08\0body", "type_or_length", 0x800),
    (ENDS + b"\x08\0body", "payload", b"body"),
    (ENDS + b"\x08\0body", "payload_offset", 14),
    (ENDS + INNER + b"\x08\0body", "vlans", (VLAN(0x456, priority=3),)),
    (ENDS + INNER + b"\x08\0body", "ethertype", 0x800),
    (ENDS + INNER + b"\x08\0body", "payload", b"body"),
    (
        ENDS + OUTER + INNER + b"\x08\0body",
        "vlans",
        (VLAN(0x123, priority=5, drop_eligible=True, tpid=0x88A8), VLAN(0x456, priority=3)),
    ),
    (ENDS + OUTER + INNER + b"\x08\0body", "header_length", 22),
    (ENDS + OUTER + INNER + b"\x08\0body", "ethertype", 0x800),
    (ENDS + OUTER + INNER + b"\x08\0body", "payload", b"body"),
    (ENDS + b"\0\x03llcpadding", "ethertype", None),
    (ENDS + b"\0\x03llcpadding", "type_or_length", 3),
    (ENDS + b"\0\x03llcpadding", "payload", b"llc"),
    (ENDS + INNER + b"\0\x03llcpadding", "payload", b"llc"),
]


@pytest.mark.parametrize(("octets", "name", "expected"), FIELDS)
def test_field(octets: bytes, name: str, expected: object) -> None:
    """Every field is read from its place, behind none, one and two tags."""
    assert getattr(EthernetView(octets), name) == expected


@pytest.mark.parametrize(("octets", "name", "expected"), FIELDS)
def test_field_at_an_offset(octets: bytes, name: str, expected: Any) -> None:
    """Every field is read from its place behind other bytes."""
    shift = 5 if name == "payload_offset" else 0
    assert getattr(EthernetView(b"12345" + octets, 5), name) == (expected + shift if shift else expected)


@given(s.ethernet)
def test_round_trip(value: Ethernet) -> None:
    """Building and parsing gives the same value."""
    assert Ethernet.parse(value.build()) == value


@given(s.ethernet)
def test_scapy_reads_ours(value: Ethernet) -> None:
    """Scapy finds in our bytes what we put there."""
    octets = value.build()
    layer = l2.Ether(octets) if value.ethertype or value.vlans else l2.Dot3(octets)
    assert (parse_mac(layer.dst), parse_mac(layer.src)) == (value.dst, value.src)
    for tag in value.vlans:
        assert layer.type == tag.tpid
        layer = layer.payload
        assert (layer.vlan, layer.prio, layer.dei) == (tag.vid, tag.priority, tag.drop_eligible)
    if isinstance(layer, l2.Dot3):
        assert layer.len == len(value.payload)
    else:
        assert layer.type == (len(value.payload) if value.ethertype is None else value.ethertype)


@given(s.ethernet.filter(lambda value: value.ethertype is not None))
def test_we_read_scapys(value: Ethernet) -> None:
    """We find in scapy's bytes what it put there, and build the same bytes."""
    kinds = [*(tag.tpid for tag in value.vlans), value.ethertype]
    layer = l2.Ether(dst=format_mac(value.dst), src=format_mac(value.src), type=kinds[0])
    for tag, following in zip(value.vlans, kinds[1:], strict=True):
        layer /= l2.Dot1Q(vlan=tag.vid, prio=tag.priority, dei=int(tag.drop_eligible), type=following)
    octets = bytes(layer / Raw(value.payload))
    assert Ethernet.parse(octets) == value
    assert value.build() == octets


def test_padding() -> None:
    """A padded frame has 60 bytes; a longer one is not cut."""
    short, long = Ethernet(DST, SRC, 0x800, b"body"), Ethernet(DST, SRC, 0x800, bytes(200))
    assert (len(short.build(pad=True)), len(long.build(pad=True)), len(short.build())) == (60, 214, 18)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"dst": "02:00:00:00:00"}, PacketError, "'02:00:00:00:00' is not an Ethernet address"),
        ({"src": b"12345"}, PacketError, "b'12345' is not an Ethernet address"),
        ({"src": 5}, TypeError, "expected an Ethernet address, not 5"),
        ({"ethertype": 0x5FF}, PacketError, "ethertype is 1535, it must be 1536 to 65535; None stands for"),
        ({"ethertype": 0x10000}, PacketError, "ethertype is 65536, it must be"),
        ({"ethertype": "ip"}, TypeError, "ethertype is 'ip', it must be an integer or None"),
        ({"ethertype": True}, TypeError, "ethertype is True, it must be an integer or None"),
        ({"ethertype": 0x8100}, PacketError, "ethertype is 0x8100, a VLAN tag, which belongs into vlans"),
        ({"ethertype": None, "payload": bytes(1501)}, PacketError, "payload is 1501 bytes, an IEEE 802.3 frame"),
        ({"vlans": (VLAN(1),) * 3}, PacketError, "there are 3 VLAN tags, at most 2 are read"),
        ({"vlans": (1,)}, TypeError, r"vlans are \(1,\), they must be VLAN values"),
        ({"vlans": VLAN(1)}, TypeError, "they must be VLAN values"),
    ],
)
def test_wrong_argument(changes: dict[str, Any], error: type[Exception], text: str) -> None:
    """A wrong argument is answered with a sentence."""
    arguments: dict[str, Any] = {"dst": DST, "src": SRC, "ethertype": 0x800, **changes}
    with pytest.raises(error, match=text):
        Ethernet(**arguments)


def test_unknown_tpid() -> None:
    """A tag announced by anything but the two standard types is refused."""
    with pytest.raises(PacketError, match="VLAN: tpid is 0x9100, it must be 0x8100 or 0x88a8"):
        VLAN(1, tpid=0x9100)


@pytest.mark.parametrize("text", ["02:00:5e:10:00:Ff", "02-00-5e-10-00-ff"])
def test_parse_mac(text: str) -> None:
    """An Ethernet address is read with either separator, in either case."""
    assert parse_mac(text) == bytes.fromhex("02005e1000ff")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "02:00:5e:10:00",
        "02:00:5e:10:00:ff:11",
        "02:00:5e:10:00:fg",
        "2:0:5e:10:0:ff",
        "02005e1000ff",
        " 2:00:5e:10:00:ff",
        "٠2:00:5e:10:00:ff",
    ],
)
def test_not_a_mac(text: str) -> None:
    """What is not six pairs of hexadecimal digits is no address."""
    with pytest.raises(PacketError, match="is not an Ethernet address"):
        parse_mac(text)


@given(s.macs)
def test_mac_round_trip(mac: bytes) -> None:
    """Text and bytes of an address convert into each other."""
    assert parse_mac(format_mac(mac)) == mac


def test_repr_shows_text() -> None:
    """The repr of a frame shows its addresses as people write them."""
    assert "dst=ff:ff:ff:ff:ff:ff" in repr(Ethernet(BROADCAST_MAC, SRC, 0x800))

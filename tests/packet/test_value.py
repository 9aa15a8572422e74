"""What every value promises: it makes sense, or it is not made."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import (
    ARP,
    ICMP,
    TCP,
    UDP,
    VLAN,
    Ethernet,
    Fragment,
    ICMPv6,
    IPv4,
    IPv6,
    NeighborAdvertisement,
    NeighborSolicitation,
)
from aiotun.packet.value import to_bytes, to_ipv4, to_ipv6, to_packed

from . import strategies as s

MAKERS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "IPv4": (IPv4, {"src": "10.0.0.1", "dst": "10.0.0.2", "protocol": 17}),
    "IPv6": (IPv6, {"src": "fd00::1", "dst": "fd00::2", "next_header": 17}),
    "Fragment": (Fragment, {"next_header": 17}),
    "TCP": (TCP, {"src_port": 1, "dst_port": 2}),
    "UDP": (UDP, {"src_port": 1, "dst_port": 2}),
    "ICMP": (ICMP, {"type": 8}),
    "ICMPv6": (ICMPv6, {"type": 128}),
    "VLAN": (VLAN, {"vid": 5}),
    "Ethernet": (Ethernet, {"dst": "02:00:00:00:00:01", "src": "02:00:00:00:00:02", "ethertype": 0x800}),
    "ARP": (
        ARP,
        {
            "operation": 1,
            "sender_mac": "02:00:00:00:00:01",
            "sender_ip": "10.0.0.1",
            "target_mac": bytes(6),
            "target_ip": "10.0.0.2",
        },
    ),
    "NeighborSolicitation": (NeighborSolicitation, {"target": "fd00::1"}),
    "NeighborAdvertisement": (NeighborAdvertisement, {"target": "fd00::1"}),
}

WIDTHS = {
    "IPv4": {"protocol": 8, "ttl": 8, "tos": 8, "identification": 16, "fragment_offset": 13},
    "IPv6": {"next_header": 8, "hop_limit": 8, "traffic_class": 8, "flow_label": 20},
    "Fragment": {"next_header": 8, "identification": 32, "fragment_offset": 13},
    "TCP": {"src_port": 16, "dst_port": 16, "seq": 32, "ack": 32, "flags": 12, "window": 16, "urgent": 16},
    "UDP": {"src_port": 16, "dst_port": 16},
    "ICMP": {"type": 8, "code": 8, "rest": 32},
    "ICMPv6": {"type": 8, "code": 8, "rest": 32},
    "VLAN": {"vid": 12, "priority": 3},
    "ARP": {"operation": 16},
}

FLAGS = {
    "IPv4": ("reserved", "dont_fragment", "more_fragments"),
    "Fragment": ("more_fragments",),
    "VLAN": ("drop_eligible",),
    "NeighborAdvertisement": ("router", "solicited", "override"),
}


def make(name: str, **changes: Any) -> Any:
    """Make a value with some fields changed."""
    maker, arguments = MAKERS[name]
    return maker(**{**arguments, **changes})


INTEGERS = [(name, field, width) for name, widths in WIDTHS.items() for field, width in widths.items()]


@pytest.mark.parametrize(("name", "field", "width"), INTEGERS)
@pytest.mark.parametrize("excess", [0, 1000])
def test_integer_too_large(name: str, field: str, width: int, excess: int) -> None:
    """An integer one beyond its field is refused with both numbers in the sentence."""
    number = (1 << width) + excess
    with pytest.raises(PacketError, match=rf"^{name}: {field} is {number}, it must be 0 to {(1 << width) - 1}$"):
        make(name, **{field: number})


@pytest.mark.parametrize(("name", "field", "width"), INTEGERS)
def test_integer_negative(name: str, field: str, width: int) -> None:
    """A negative integer is refused, with a reason to count under."""
    with pytest.raises(PacketError, match=f"{field} is -1") as caught:
        make(name, **{field: -1})
    assert caught.value.reason == "bad_value"


@pytest.mark.parametrize(("name", "field", "width"), INTEGERS)
@pytest.mark.parametrize("wrong", ["1", 1.0, None, True, b"\1"])
def test_integer_of_the_wrong_type(name: str, field: str, width: int, wrong: object) -> None:
    """Anything but an integer is refused as a TypeError that names the field."""
    with pytest.raises(TypeError, match=rf"^{name}: {field} is .*, it must be an integer$"):
        make(name, **{field: wrong})


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in FLAGS.items() for field in fields])
def test_flag_of_the_wrong_type(name: str, field: str) -> None:
    """A flag is True or False, not something truthy."""
    with pytest.raises(TypeError, match=rf"^{name}: {field} is 'no', it must be True or False$"):
        make(name, **{field: "no"})


@pytest.mark.parametrize("name", ["IPv4", "IPv6", "Fragment", "TCP", "UDP", "ICMP", "ICMPv6", "Ethernet"])
@pytest.mark.parametrize("wrong", [5, "text", None, [1]])
def test_payload_of_the_wrong_type(name: str, wrong: object) -> None:
    """A payload is bytes; an integer does not become that many zeros."""
    with pytest.raises(TypeError, match="expected bytes, not"):
        make(name, payload=wrong)


@pytest.mark.parametrize(("name", "most"), [("IPv4", 65515), ("IPv6", 65535), ("TCP", 65515), ("UDP", 65527)])
def test_longest_payload(name: str, most: int) -> None:
    """A payload may be as long as the length field can say, and not a byte longer."""
    make(name, payload=bytes(most))
    with pytest.raises(PacketError, match="at most 65535 fit") as caught:
        make(name, payload=bytes(most + 1))
    assert caught.value.reason == "bad_length"


@pytest.mark.parametrize("name", ["IPv4", "TCP"])
@pytest.mark.parametrize("size", [1, 3, 39, 44])
def test_options_of_the_wrong_size(name: str, size: int) -> None:
    """Options are whole words, at most ten."""
    with pytest.raises(PacketError, match=f"options take {size} bytes, they must take a multiple of 4 up to 40"):
        make(name, options=bytes(size))


@pytest.mark.parametrize("name", MAKERS)
def test_frozen(name: str) -> None:
    """A value does not change."""
    value = make(name)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, attrs.fields(type(value))[0].name, 0)


@pytest.mark.parametrize("name", MAKERS)
def test_hashable(name: str) -> None:
    """Equal values hash alike."""
    assert len({make(name), make(name)}) == 1


@pytest.mark.parametrize("name", MAKERS)
def test_pickle(name: str) -> None:
    """A value survives pickling."""
    assert pickle.loads(pickle.dumps(make(name))) == make(name)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "VLAN"])
@given(octets=st.one_of(s.hostile, st.binary(min_size=8, max_size=60)))
def test_parse_raises_nothing_else(name: str, octets: bytes) -> None:
    """parse() of any bytes gives a value or raises PacketError with a reason."""
    parse: Any = MAKERS[name][0]
    for start in (0, 14, 20, 40):
        try:
            parse.parse(octets[start:])
        except PacketError as error:
            assert str(error) and error.reason not in ("", "bad_packet")


@pytest.mark.parametrize("address", ["10.0.0.1", b"\x0a\0\0\1", IPv4Address("10.0.0.1")])
def test_ipv4_address_forms(address: Any) -> None:
    """An IPv4 address may be text, bytes or the object."""
    assert to_ipv4(address) == IPv4Address("10.0.0.1")


@pytest.mark.parametrize("address", ["fd00::1", b"\xfd" + bytes(14) + b"\1", IPv6Address("fd00::1")])
def test_ipv6_address_forms(address: Any) -> None:
    """An IPv6 address may be text, bytes or the object."""
    assert to_ipv6(address) == IPv6Address("fd00::1")


@pytest.mark.parametrize("wrong", ["", "10.0.0", "10.0.0.256", "fd00::1", b"\1\2\3", IPv6Address("::1")])
def test_not_an_ipv4_address(wrong: Any) -> None:
    """What is no IPv4 address is refused by name."""
    with pytest.raises(PacketError, match="is not an IPv4 address"):
        to_ipv4(wrong)


@pytest.mark.parametrize("wrong", ["", "fd00:::1", "10.0.0.1", b"\1\2\3\4", IPv4Address("10.0.0.1")])
def test_not_an_ipv6_address(wrong: Any) -> None:
    """What is no IPv6 address is refused by name."""
    with pytest.raises(PacketError, match="is not an IPv6 address"):
        to_ipv6(wrong)


@pytest.mark.parametrize("zoned", ["fe80::1%eth0", IPv6Address("fe80::1%eth0")])
def test_no_zone(zoned: Any) -> None:
    """A zone is not lost in silence."""
    with pytest.raises(PacketError, match="fe80::1%eth0 has a zone, a packet cannot carry one"):
        to_ipv6(zoned)


@pytest.mark.parametrize("convert", [to_ipv4, to_ipv6, to_packed])
@pytest.mark.parametrize("wrong", [167772161, None, 1.5])
def test_an_integer_is_no_address(convert: Callable[[Any], Any], wrong: object) -> None:
    """An integer is a mistake, though ipaddress would take it."""
    with pytest.raises(TypeError, match="expected an address, not"):
        convert(wrong)


@pytest.mark.parametrize(
    ("address", "packed"),
    [
        ("10.0.0.1", b"\x0a\0\0\1"),
        ("::1", bytes(15) + b"\1"),
        (IPv6Address("::1"), bytes(15) + b"\1"),
        (b"abcd", b"abcd"),
    ],
)
def test_to_packed(address: Any, packed: bytes) -> None:
    """Addresses of both versions are packed."""
    assert to_packed(address) == packed


def test_to_packed_of_a_strange_size() -> None:
    """Bytes that are an address of neither version are refused with their number."""
    with pytest.raises(PacketError, match="an address takes 4 or 16 bytes, not 5"):
        to_packed(b"12345")


@pytest.mark.parametrize("value", [TCP(1, 2), UDP(1, 2), ICMPv6(128)])
def test_addresses_of_two_versions(value: TCP | UDP | ICMPv6) -> None:
    """A segment between addresses of two IP versions is refused."""
    with pytest.raises(PacketError, match="'10.0.0.1' and 'fd00::1' are addresses of different IP versions"):
        value.build("10.0.0.1", "fd00::1")


def test_to_bytes_leaves_no_subclass() -> None:
    """A subclass of bytes, such as a super-packet, becomes plain bytes."""
    assert type(to_bytes(type("Sub", (bytes,), {})(b"abc"))) is bytes


def test_packet_error_keeps_its_reason() -> None:
    """A PacketError survives pickling with its reason."""
    assert pickle.loads(pickle.dumps(PacketError("text", reason="jumbo"))).reason == "jumbo"

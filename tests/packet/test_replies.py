"""Echo replies and ICMP errors: what they say, and when there must be none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import (
    ICMP,
    Fragment,
    ICMPv6,
    ICMPv6View,
    ICMPView,
    IPv4,
    IPv6,
    NeighborSolicitation,
    describe,
    echo_reply,
    error_reply,
    packet_too_big,
    time_exceeded,
    unreachable,
)

from . import strategies as s
from .oracle import inet, inet6

ME4, ME6 = "10.0.0.254", "fd00::fe"


def echo4(src: str = s.A4, dst: str = s.B4, **changes: int | bool | bytes) -> bytes:
    """An echo request, with changes to its IP header."""
    return IPv4(src, dst, 1, ICMP.echo_request(7, 9, b"hello").build(), **changes).build()  # type: ignore[arg-type]


def echo6(src: str = s.A6, dst: str = s.B6) -> bytes:
    """An ICMPv6 echo request."""
    return IPv6(src, dst, 58, ICMPv6.echo_request(7, 9, b"hello").build(src, dst)).build()


@given(s.uint(16), s.uint(16), s.payloads, s.uint(8), s.options, st.binary(max_size=9))
def test_reply4(identifier: int, sequence: int, payload: bytes, tos: int, options: bytes, padding: bytes) -> None:
    """The reply to any echo request is the value one would build, with valid checksums."""
    request = IPv4(s.A4, s.B4, 1, ICMP.echo_request(identifier, sequence, payload).build(), tos=tos, options=options)
    expected = IPv4(
        s.B4, s.A4, 1, ICMP.echo_reply(identifier, sequence, payload).build(), tos=tos & 0xFC, dont_fragment=True
    )
    assert echo_reply(request.build() + padding) == expected.build()


@given(s.uint(16), s.uint(16), s.payloads, s.uint(8), st.binary(max_size=9))
def test_reply6(identifier: int, sequence: int, payload: bytes, traffic_class: int, padding: bytes) -> None:
    """The reply to any ICMPv6 echo request is the value one would build, with a valid checksum."""
    message = ICMPv6.echo_request(identifier, sequence, payload).build(s.A6, s.B6)
    request = IPv6(s.A6, s.B6, 58, message, traffic_class=traffic_class, flow_label=5)
    answer = ICMPv6.echo_reply(identifier, sequence, payload).build(s.B6, s.A6)
    expected = IPv6(s.B6, s.A6, 58, answer, traffic_class=traffic_class & 0xFC)
    assert echo_reply(request.build() + padding) == expected.build()


def test_reply_of_zeros() -> None:
    """An echo of nothing but zeros gets the one checksum that verifies, 0xffff."""
    reply = echo_reply(IPv4(s.A4, s.B4, 1, ICMP.echo_request(0, 0, bytes(8)).build()).build())
    assert reply is not None and ICMPView(reply, 20).checksum == 0xFFFF


def test_reply_behind_extension_headers() -> None:
    """An ICMPv6 echo request behind extension headers is answered, without them."""
    reply = echo_reply(s.SKIP6)
    assert reply is not None
    assert reply == IPv6(s.B6, s.A6, 58, ICMPv6.echo_reply(1, 1).build(s.B6, s.A6)).build()


def test_scapy_takes_the_reply_for_one() -> None:
    """Scapy takes the replies for answers to its own requests."""
    request = inet.IP(src=s.A4, dst=s.B4) / inet.ICMP(id=5, seq=6) / b"hello"
    assert inet.IP(echo_reply(bytes(request))).answers(request)
    request6 = inet6.IPv6(src=s.A6, dst=s.B6) / inet6.ICMPv6EchoRequest(id=5, seq=6, data=b"hello")
    assert inet6.IPv6(echo_reply(bytes(request6))).answers(inet6.IPv6(bytes(request6)))


def flip(packet: bytes, at: int) -> bytes:
    """The packet with one bit of a byte changed."""
    return packet[:at] + bytes((packet[at] ^ 1,)) + packet[at + 1 :]


def message4(kind: int, code: int = 0) -> bytes:
    """A packet with some other ICMP message."""
    return IPv4(s.A4, s.B4, 1, ICMP(kind, code, 0x70009, s.UDP4).build()).build()


def message6(kind: int, code: int = 0) -> bytes:
    """A packet with some other ICMPv6 message."""
    return IPv6(s.A6, s.B6, 58, ICMPv6(kind, code, 0x70009, s.UDP6).build(s.A6, s.B6)).build()


NO_ECHO: dict[str, bytes] = {
    "empty": b"",
    "version 0": b"\0" * 40,
    "half a header": echo4()[:19],
    "half a header, IPv6": echo6()[:39],
    "no message": IPv4(s.A4, s.B4, 1).build(),
    "half a message": IPv4(s.A4, s.B4, 1, b"\x08\0\xf7\xff").build(),
    "half a message, IPv6": IPv6(s.A6, s.B6, 58, b"\x80\0\0\0").build(),
    "cut short": echo4()[:-1],
    "cut short, IPv6": echo6()[:-1],
    "header length": b"\x44" + echo4()[1:],
    "header checksum": flip(echo4(), 8),
    "message checksum": flip(echo4(), 30),
    "message checksum, IPv6": flip(echo6(), 50),
    "first fragment": echo4(more_fragments=True),
    "last fragment": echo4(fragment_offset=1),
    "far fragment": echo4(fragment_offset=0x1F00),
    "fragment, IPv6": IPv6(s.A6, s.B6, 44, Fragment(58, echo6()[40:], more_fragments=False).build()).build(),
    "to a group": echo4(dst="224.0.0.1"),
    "to a group, IPv6": echo6(dst="ff02::1"),
    "to everybody": echo4(dst="255.255.255.255"),
    "to nobody": echo4(dst="0.0.0.0"),
    "from a group": echo4(src="224.0.0.1"),
    "from a group, IPv6": echo6(src="ff02::1"),
    "from everybody": echo4(src="255.255.255.255"),
    "from nobody": echo4(src="0.0.0.0"),
    "from nobody, IPv6": echo6(src="::"),
    "a reply": message4(0),
    "a reply, IPv6": message6(129),
    "an error": message4(3),
    "an error, IPv6": message6(1),
    "another code": message4(8, 1),
    "another code, IPv6": message6(128, 1),
    "another protocol": s.UDP4,
    "another protocol, IPv6": s.UDP6,
    "ICMP in IPv6": IPv6(s.A6, s.B6, 1, ICMP.echo_request(1, 1).build()).build(),
    "ICMPv6 in IPv4": IPv4(s.A4, s.B4, 58, ICMP.echo_request(1, 1).build()).build(),
}


@pytest.mark.parametrize("name", NO_ECHO)
def test_no_echo_reply(name: str) -> None:
    """What is no echo request between two hosts, whole and unharmed, gets no reply."""
    assert echo_reply(NO_ECHO[name]) is None


@given(s.hostile_packets)
def test_echo_reply_never_fails(packet: bytes) -> None:
    """Any bytes get a reply that is well-formed, or none."""
    reply = echo_reply(packet)
    if reply is not None:
        assert "echo reply" in describe(reply)
        assert echo_reply(reply) is None


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_echo_reply_of_other_buffers(kind: Callable[[bytes], bytes]) -> None:
    """Any buffer gets the reply its bytes do."""
    assert [echo_reply(kind(p)) for p in (echo4(), echo6())] == [echo_reply(p) for p in (echo4(), echo6())]


# Errors.


def test_error4() -> None:
    """An IPv4 error goes to the packet's source, quotes it, and verifies."""
    error = IPv4.parse(time_exceeded(s.UDP4, ME4) or b"")
    assert (str(error.src), str(error.dst), error.protocol, error.tos) == (ME4, s.A4, 1, 0xC0)
    assert ICMP.parse(error.payload) == ICMP(11, 0, 0, s.UDP4)


def test_error6() -> None:
    """An IPv6 error goes to the packet's source, quotes it, and verifies."""
    error = IPv6.parse(time_exceeded(s.UDP6, ME6) or b"")
    assert (str(error.src), str(error.dst), error.next_header) == (ME6, s.A6, 58)
    assert ICMPv6.parse(error.payload, ME6, s.A6) == ICMPv6(3, 0, 0, s.UDP6)


@pytest.mark.parametrize(
    ("error", "kind", "code", "mtu"),
    [
        (packet_too_big(s.UDP4, ME4, 1400), 3, 4, 1400),
        (packet_too_big(s.UDP4, ME4, 70000), 3, 4, 65535),
        (time_exceeded(s.UDP4, ME4), 11, 0, 0),
        (unreachable(s.UDP4, ME4), 3, 13, 0),
        (unreachable(s.UDP4, ME4, 1), 3, 1, 0),
    ],
)
def test_kinds4(error: bytes, kind: int, code: int, mtu: int) -> None:
    """Each IPv4 error has its type, code and mtu."""
    view = ICMPView(error, 20)
    assert (view.type, view.code, view.mtu) == (kind, code, mtu)


@pytest.mark.parametrize(
    ("error", "kind", "code", "mtu"),
    [
        (packet_too_big(s.UDP6, ME6, 70000), 2, 0, 70000),
        (time_exceeded(s.UDP6, ME6), 3, 0, 0),
        (unreachable(s.UDP6, ME6), 1, 1, 0),
        (unreachable(s.UDP6, ME6, 4), 1, 4, 0),
    ],
)
def test_kinds6(error: bytes, kind: int, code: int, mtu: int) -> None:
    """Each IPv6 error has its type, code and mtu."""
    view = ICMPv6View(error, 40)
    assert (view.type, view.code, view.mtu) == (kind, code, mtu)


def test_quote_is_bounded() -> None:
    """A long packet is quoted up to 576 bytes in all over IPv4, 1280 over IPv6."""
    long4, long6 = IPv4(s.A4, s.B4, 17, bytes(1400)).build(), IPv6(s.A6, s.B6, 17, bytes(1400)).build()
    assert (len(time_exceeded(long4, ME4) or b""), len(time_exceeded(long6, ME6) or b"")) == (576, 1280)


def test_quote_has_no_padding() -> None:
    """Link-layer padding is not quoted."""
    assert time_exceeded(s.UDP4 + b"padding", ME4) == time_exceeded(s.UDP4, ME4)
    assert time_exceeded(s.UDP6 + b"padding", ME6) == time_exceeded(s.UDP6, ME6)


def test_scapy_takes_the_error_for_an_answer() -> None:
    """Scapy takes the errors for answers to the packets they quote."""
    assert inet.IP(unreachable(s.UDP4, ME4)).answers(inet.IP(s.UDP4))
    assert inet6.IPv6(unreachable(s.UDP6, ME6)).answers(inet6.IPv6(s.UDP6))


def part6(next_header: int, payload: bytes, offset: int = 0) -> bytes:
    """An IPv6 fragment."""
    piece = Fragment(next_header, payload, fragment_offset=offset, more_fragments=True)
    return IPv6(s.A6, s.B6, 44, piece.build()).build()


NO_ERROR: dict[str, bytes] = {
    "empty": b"",
    "version 5": b"\x50" * 40,
    "cut short": s.UDP4[:-1],
    "cut short, IPv6": s.UDP6[:-1],
    "a later fragment": IPv4(s.A4, s.B4, 17, bytes(8), fragment_offset=1).build(),
    "a later fragment, IPv6": part6(17, bytes(8), 1),
    "from nobody": IPv4("0.0.0.0", s.B4, 17).build(),
    "from nobody, IPv6": IPv6("::", s.B6, 17).build(),
    "from a group": IPv4("224.0.0.1", s.B4, 17).build(),
    "from a group, IPv6": IPv6("ff02::1", s.B6, 17).build(),
    "to a group": IPv4(s.A4, "224.0.0.1", 17).build(),
    "to a group, IPv6": IPv6(s.A6, "ff02::1", 17).build(),
    "to everybody": IPv4(s.A4, "255.255.255.255", 17).build(),
    "a message without a type": IPv4(s.A4, s.B4, 1).build(),
    "a message without a type, IPv6": IPv6(s.A6, s.B6, 58).build(),
    "a first fragment of an error": IPv4(s.A4, s.B4, 1, ICMP(3).build(), more_fragments=True).build(),
    "a first fragment of an error, IPv6": part6(58, ICMPv6(1).build(s.A6, s.B6)),
    "an error behind options": IPv6(s.A6, s.B6, 60, b"\x3a\0" + bytes(6) + ICMPv6(1).build(s.A6, s.B6)).build(),
    "perhaps an error, too deep": IPv6(s.A6, s.B6, 60, (b"\x3c\0" + bytes(6)) * 9).build(),
    "perhaps an error, cut off": IPv6(s.A6, s.B6, 60, b"\x3a\x09").build(),
    "a redirect, IPv6": message6(137),
    **{f"error {kind}": message4(kind) for kind in (3, 4, 5, 11, 12)},
    **{f"error {kind}, IPv6": message6(kind) for kind in (1, 2, 3, 4, 100, 127)},
}


@pytest.mark.parametrize("name", NO_ERROR)
def test_no_error(name: str) -> None:
    """What must not be answered with an error is not: RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)."""
    assert unreachable(NO_ERROR[name], ME6 if "IPv6" in name else ME4) is None


@pytest.mark.parametrize(
    ("packet", "src"),
    [
        (echo4(), ME4),
        (echo6(), ME6),
        (IPv4(s.A4, s.B4, 17, bytes(8), more_fragments=True).build(), ME4),
        (part6(17, bytes(8)), ME6),
        (part6(58, echo6()[40:48]), ME6),
        (IPv6(s.A6, s.B6, 253, b"unknown").build(), ME6),
        (IPv6(s.A6, s.B6, 58, NeighborSolicitation("fd00::1").build(s.A6, s.B6)).build(), ME6),
    ],
)
def test_an_error_for_these(packet: bytes, src: str) -> None:
    """Echoes, first fragments and unknown next headers are answered with an error."""
    assert unreachable(packet, src) is not None


def test_too_big_to_a_group() -> None:
    """A packet to an IPv6 group may be too big: path mtu discovery for multicast, RFC 4443 section 2.4 (e.3)."""
    assert packet_too_big(IPv6(s.A6, "ff02::1", 17).build(), ME6, 1280) is not None


def test_parameter_problem_to_a_group() -> None:
    """Only an unrecognized option may be reported to a sender to a group, RFC 4443 section 2.4 (e.3)."""
    packet = IPv6(s.A6, "ff02::1", 17).build()
    assert [error_reply(packet, ME6, 4, code) is not None for code in (0, 1, 2)] == [False, False, True]


@pytest.mark.parametrize(("packet", "src"), [(s.UDP4, ME6), (s.UDP6, ME4)])
def test_source_of_the_other_version(packet: bytes, src: str) -> None:
    """An error cannot come from an address of the other IP version."""
    with pytest.raises(PacketError):
        unreachable(packet, src)


@given(s.hostile_packets)
def test_error_reply_never_fails(packet: bytes) -> None:
    """Any bytes get an error that is well-formed and gets no other, or none."""
    src = ME6 if packet[:1] >= b"\x60" else ME4
    error = unreachable(packet, src)
    if error is not None:
        assert "unreachable" in describe(error)
        assert unreachable(error, src) is None

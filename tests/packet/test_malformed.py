"""The catalogue of malformed packets: rows C1 to C17 of the project's fault list, one test or more for each."""

from __future__ import annotations

import pytest

from aiotun.errors import PacketError
from aiotun.packet import (
    ARP,
    ICMP,
    TCP,
    UDP,
    ARPView,
    Ethernet,
    EthernetView,
    Fragment,
    FragmentView,
    ICMPv6,
    ICMPv6View,
    ICMPView,
    IPv4,
    IPv4View,
    IPv6,
    IPv6View,
    NeighborSolicitation,
    NeighborView,
    TCPView,
    UDPView,
    describe,
    echo_reply,
    error_reply,
    find_transport,
    ones_sum,
    pseudo_sum,
)

from . import strategies as s

Checked = IPv4View | IPv6View | TCPView | UDPView | EthernetView | ARPView | NeighborView


def refused(view: Checked, text: str) -> str:
    """Return the reason for which check() raises, having seen the sentence."""
    with pytest.raises(PacketError, match=text) as caught:
        view.check()
    return caught.value.reason


def patch(packet: bytes, at: int, octets: bytes) -> bytes:
    """The packet with some bytes replaced."""
    return packet[:at] + octets + packet[at + len(octets) :]


@pytest.mark.parametrize("size", [0, 1, 19])
def test_c1_short_ipv4(size: int) -> None:
    """C1: an IPv4 header cut short is refused as short_header."""
    assert refused(IPv4View(s.UDP4[:size]), f"there are {size} bytes, the header takes 20") == "short_header"


@pytest.mark.parametrize("size", [0, 1, 39])
def test_c1_short_ipv6(size: int) -> None:
    """C1: an IPv6 header cut short is refused as short_header."""
    assert refused(IPv6View(s.UDP6[:size]), f"there are {size} bytes, the header takes 40") == "short_header"


@pytest.mark.parametrize("version", [*range(4), 5, *range(7, 16)])
def test_c2_version(version: int) -> None:
    """C2: a version that is neither 4 nor 6 is refused as bad_version by everybody."""
    packet = bytes((version << 4 | 5,)) + s.UDP6[1:]
    assert find_transport(packet).reason == "bad_version"
    assert refused(IPv4View(packet), f"version is {version}, not 4") == "bad_version"
    assert refused(IPv6View(packet), f"version is {version}, not 6") == "bad_version"


@pytest.mark.parametrize(
    ("packet", "text"),
    [
        (b"\x44" + s.UDP4[1:], "header takes 16 bytes, it must take 20 to 33"),
        (b"\x40" + s.UDP4[1:], "header takes 0 bytes, it must take 20 to 33"),
        (b"\x4f" + s.UDP4[1:], "header takes 60 bytes, it must take 20 to 33"),
        (b"\x44" + bytes(99), "header takes 16 bytes, it must take 20 to 60"),
    ],
)
def test_c3_header_length(packet: bytes, text: str) -> None:
    """C3: a header length below 5 words, or beyond the packet, is refused as bad_ihl."""
    assert refused(IPv4View(packet), text) == "bad_ihl"


@pytest.mark.parametrize("total", [0, 19, 34, 65535])
def test_c4_total_length(total: int) -> None:
    """C4: a total length below the header's, or beyond the packet, is refused as bad_length."""
    packet = patch(s.UDP4, 2, total.to_bytes(2, "big"))
    text = f"total length is {total} bytes, it must be 20 to 33, the bytes there are"
    assert refused(IPv4View(packet), text) == "bad_length"


def test_c4_trailing_bytes() -> None:
    """C4: bytes beyond the total length pass, and are left out of payload and transport."""
    view = IPv4View(s.UDP4 + b"padding")
    view.check()
    assert (view.packet_end, view.transport.end, len(view.payload)) == (33, 33, 13)


def test_c5_header_checksum_passes() -> None:
    """C5: a wrong header checksum passes by default."""
    IPv4View(patch(s.UDP4, 10, b"\0\0")).check()


def test_c5_header_checksum_strict() -> None:
    """C5: a wrong header checksum is refused as bad_checksum in strict mode."""
    with pytest.raises(PacketError, match="header checksum is 0x0000, wrong") as caught:
        IPv4View(patch(s.UDP4, 10, b"\0\0")).check(verify=True)
    assert caught.value.reason == "bad_checksum"


FRAGMENTS = {
    "first": b"\x20\0",
    "middle": b"\x20\1",
    "last": b"\0\1",
    "beyond 65535": b"\x1f\xff",
    "DF and MF": b"\x60\0",
}


@pytest.mark.parametrize("name", FRAGMENTS)
def test_c6_fragments(name: str) -> None:
    """C6: a fragment of any kind passes, and has no transport to read."""
    view = IPv4View(patch(s.UDP4, 6, FRAGMENTS[name]))
    view.check()
    assert (view.transport.protocol, view.transport.reason) == (None, "fragment")


def test_c6_a_value_ends_in_its_datagram() -> None:
    """C6: a fragment beyond 65535 bytes is no value."""
    packet = patch(patch(s.UDP4, 6, b"\x1f\xff"), 10, b"\0\0")
    with pytest.raises(PacketError, match="fragment would end at 65561 bytes, at most 65535 fit") as caught:
        IPv4.parse(packet, verify=False)
    assert caught.value.reason == "bad_length"


@pytest.mark.parametrize(
    ("at", "octets"), [(6, b"\x80\0"), (8, b"\0"), (12, bytes((10, 4, 5, 6))), (12, bytes((127, 0, 0, 1)))]
)
def test_c7_policy_passes(at: int, octets: bytes) -> None:
    """C7: a reserved bit, a spent time to live and odd addresses pass, as value too."""
    packet = patch(s.UDP4, at, octets)
    IPv4View(packet).check()
    assert IPv4.parse(packet, verify=False).protocol == 17


def test_c8_payload_length_too_long() -> None:
    """C8: a payload length beyond the packet is refused as bad_length."""
    text = "payload length is 14 bytes, only 13 are there"
    assert refused(IPv6View(patch(s.UDP6, 4, b"\0\x0e")), text) == "bad_length"


def test_c8_payload_length_too_short() -> None:
    """C8: bytes beyond the payload length pass, and are left out of payload and transport."""
    view = IPv6View(patch(s.UDP6, 4, b"\0\x0a"))
    view.check()
    assert (view.packet_end, view.transport.end, len(view.payload)) == (50, 50, 10)


@pytest.mark.parametrize(
    "packet",
    [
        patch(patch(s.SKIP6, 4, b"\0\0"), 40, b"\x06\0\xc2\x04\0\1\0\0"),
        patch(s.UDP6, 4, b"\0\0") + bytes(65535),
    ],
)
def test_c8_jumbogram(packet: bytes) -> None:
    """C8: a jumbogram is refused as jumbo, and so is more than 64 KiB under a length of 0."""
    assert refused(IPv6View(packet), "payload length is 0, a jumbogram, which is not supported") == "jumbo"
    assert find_transport(packet).reason == "jumbo"


def test_c8_no_payload() -> None:
    """C8: a payload length of 0 with nothing to follow is no jumbogram."""
    IPv6View(IPv6(s.A6, s.B6, 59).build()).check()


OPTION = b"\x3c\0" + bytes(6)
CHAINS = {
    "truncated": (60, b"\x11\0\0", "truncated_header"),
    "nothing there": (60, b"", "truncated_header"),
    "length overflow": (60, b"\x11\xff" + bytes(14), "truncated_header"),
    "a loop": (60, OPTION * 100, "too_many_headers"),
    "too long": (60, b"\x11\xff" + bytes(2046), "too_many_headers"),
    "hop-by-hop second": (60, b"\0\0" + bytes(6) + b"\x11\0" + bytes(6), "hop_by_hop_not_first"),
    "hop-by-hop twice": (0, b"\0\0" + bytes(6) + b"\x11\0" + bytes(6), "hop_by_hop_not_first"),
    "unknown": (253, bytes(8), "unknown_header"),
    "unknown second": (60, b"\xfd\0" + bytes(6) + bytes(8), "unknown_header"),
    "no next header": (59, bytes(8), "no_next_header"),
    "no next header second": (60, b"\x3b\0" + bytes(6) + bytes(8), "no_next_header"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_c9_extension_headers(name: str) -> None:
    """C9: a chain of extension headers gone wrong passes, and has no transport to read."""
    next_header, chain, reason = CHAINS[name]
    packet = patch(IPv6(s.A6, s.B6, 6, chain).build(), 6, bytes((next_header,)))
    view = IPv6View(packet)
    view.check()
    assert (view.transport.protocol, view.transport.reason) == (None, reason)


@pytest.mark.parametrize(
    ("offset", "more", "reason"),
    [(0, False, "atomic_fragment"), (0, True, "fragment"), (1, True, "fragment"), (8191, False, "fragment")],
)
def test_c10_fragment_header(offset: int, more: bool, reason: str) -> None:
    """C10: an IPv6 fragment, atomic or not, passes, and has no transport to read."""
    octets = b"\x11\0" + (offset << 3 | more).to_bytes(2, "big") + bytes(4) + bytes(16)
    view = IPv6View(IPv6(s.A6, s.B6, 44, octets).build())
    view.check()
    assert (view.transport.protocol, view.transport.reason) == (None, reason)


@pytest.mark.parametrize("octets", [b"\x11\0\0", b"\x11\0\0\1" + bytes(4) + b"1234567", b"\x11\0\xff\xf8" + bytes(20)])
def test_c10_malformed_fragment_header(octets: bytes) -> None:
    """C10: a fragment that is cut short or fits into no datagram is refused by view and value."""
    with pytest.raises(PacketError) as caught:
        FragmentView(octets).check()
    assert caught.value.reason == ("short_header" if len(octets) < 8 else "bad_fragment")
    with pytest.raises(PacketError):
        Fragment.parse(octets)


@pytest.mark.parametrize(
    ("doff", "text"),
    [
        (0, "header takes 0 bytes, it must take 20 to 33"),
        (4, "header takes 16 bytes, it must take 20 to 33"),
        (15, "header takes 60 bytes, it must take 20 to 33"),
    ],
)
def test_c11_data_offset(doff: int, text: str) -> None:
    """C11: a data offset below 5, or beyond the segment, is refused as bad_doff."""
    segment = patch(s.TCP4[20:], 12, bytes((doff << 4,)))
    assert refused(TCPView(segment), text) == "bad_doff"


def test_c11_short() -> None:
    """C11: a TCP header cut short is refused as short_header."""
    assert refused(TCPView(s.TCP4[20:39]), "there are 19 bytes, the header takes 20") == "short_header"


@pytest.mark.parametrize("flags", [0, 0x003, 0x0FF, 0xFFF])
def test_c11_flags(flags: int) -> None:
    """C11: SYN with FIN, all flags and none pass, as value too."""
    segment = TCP(1, 2, flags=flags, urgent=0xFFFF).build(s.A4, s.B4)
    TCPView(segment).check()
    assert TCP.parse(segment).flags == flags


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (b"\x02\x00\x05\xb4", "option 2 takes 0 bytes, it must take 2 to 4"),
        (b"\x02\x01\x05\xb4", "option 2 takes 1 bytes, it must take 2 to 4"),
        (b"\x02\x05\x05\xb4", "option 2 takes 5 bytes, it must take 2 to 4"),
        (b"\x01\x01\x01\x02", "option 2 takes 0 bytes, it must take 2 to 1"),
        (b"\x02\x04\x05\xb4\x03\x09\0\0", "option 3 takes 9 bytes, it must take 2 to 4"),
    ],
)
def test_c12_options(options: bytes, text: str) -> None:
    """C12: an option of length 0 or 1, or cut short, is bad_option, and the segment has no MSS to clamp."""
    view = TCPView(TCP(1, 2, options=options).build(s.A4, s.B4))
    view.check()
    with pytest.raises(PacketError, match=text) as caught:
        view.parse_options()
    assert caught.value.reason == "bad_option"
    assert view.mss_offset is None


def test_c12_nothing_but_no_operation() -> None:
    """C12: forty no-operation options are no option."""
    assert TCPView(TCP(1, 2, options=b"\1" * 40).build(s.A4, s.B4)).parse_options() == []


@pytest.mark.parametrize("length", [0, 7, 14, 65535])
def test_c13_udp_length(length: int) -> None:
    """C13: a UDP length of 0, below 8, or beyond the payload is refused as bad_length."""
    datagram = patch(s.UDP4[20:], 4, length.to_bytes(2, "big"))
    text = f"length is {length} bytes, it must be 8 to 13, the bytes there are"
    assert refused(UDPView(datagram), text) == "bad_length"


def test_c13_udp_length_below_the_payload() -> None:
    """C13: a UDP length below the payload's passes; the rest is not part of the datagram."""
    view = UDPView(patch(s.UDP4[20:], 4, b"\0\x09"))
    view.check()
    assert view.payload == b"h"


def test_c13_no_udp_checksum_over_ipv4() -> None:
    """C13: a UDP checksum of 0 is legal over IPv4."""
    assert UDP.parse(patch(s.UDP4[20:], 6, b"\0\0"), s.A4, s.B4).payload == b"hello"


def test_c13_no_udp_checksum_over_ipv6() -> None:
    """C13: a UDP checksum of 0 is illegal over IPv6."""
    with pytest.raises(PacketError, match="UDP: checksum is 0x0000, wrong") as caught:
        UDP.parse(patch(s.UDP6[40:], 6, b"\0\0"), s.A6, s.B6)
    assert caught.value.reason == "bad_checksum"


def test_c13_a_zero_that_would_be_right() -> None:
    """C13: over IPv6 a UDP checksum of 0 is illegal even where it is what the sum gives."""
    src, dst = IPv6View(s.UDP6).src_bytes, IPv6View(s.UDP6).dst_bytes
    head = b"\0\1\0\2\0\x0a\0\0"
    rest = 0xFFFF - (pseudo_sum(src, dst, 17, 10) + ones_sum(head)) % 0xFFFF
    assert not UDPView(head + rest.to_bytes(2, "big")).checksum_ok(src, dst)
    assert UDPView(patch(head, 6, b"\xff\xff") + rest.to_bytes(2, "big")).checksum_ok(src, dst)


@pytest.mark.parametrize("packet", [s.TCP4, s.UDP4, s.TCP6, s.UDP6])
def test_c14_transport_checksum(packet: bytes) -> None:
    """C14: a wrong transport checksum passes everything but the question whether it is right."""
    bad = patch(packet, len(packet) - 1, b"\0")
    protocol, start, end, reason = find_transport(bad)
    view = TCPView(bad, start, end) if protocol == 6 else UDPView(bad, start, end)
    view.check()
    header = IPv4View(bad) if bad[0] == 0x45 else IPv6View(bad)
    assert (reason, view.checksum_ok(header.src_bytes, header.dst_bytes)) == ("", False)


@pytest.mark.parametrize("size", range(0, 34))
def test_c15_truncated_quote(size: int) -> None:
    """C15: the packet an ICMP error quotes is read within the quote, wherever that is cut."""
    packet = IPv4(s.A4, s.B4, 1, ICMP(3, 1, 0, s.UDP4[:size]).build()).build() + b"\xff" * 40
    found = find_transport(packet)
    inner = ICMPView(packet, found.offset, found.end).quoted.partial_transport
    assert (inner.end, inner.protocol) == (28 + size, 17 if size >= 20 else None)


@pytest.mark.parametrize("size", range(0, 54))
def test_c15_truncated_quote_ipv6(size: int) -> None:
    """C15: the packet an ICMPv6 error quotes is read within the quote, wherever that is cut."""
    packet = IPv6(s.A6, s.B6, 58, ICMPv6(1, 0, 0, s.UDP6[:size]).build(s.A6, s.B6)).build() + b"\xff" * 40
    found = find_transport(packet)
    inner = ICMPv6View(packet, found.offset, found.end).quoted.partial_transport
    assert (inner.end, inner.protocol) == (48 + size, 17 if size >= 40 else None)


@pytest.mark.parametrize("kind", [3, 4, 5, 11, 12])
def test_c15_no_answer_to_an_error(kind: int) -> None:
    """C15: an ICMP error gets neither a reply nor an error, RFC 1122 section 3.2.2."""
    packet = IPv4(s.A4, s.B4, 1, ICMP(kind, 0, 0, s.ECHO4[:28]).build()).build()
    assert (echo_reply(packet), error_reply(packet, s.B4, 3, 1)) == (None, None)


ENDS = bytes(range(12))
TAG = b"\x81\0\0\x05"


@pytest.mark.parametrize("size", [0, 1, 6, 13])
def test_c16_short_frame(size: int) -> None:
    """C16: a frame of less than 14 bytes is refused as short_header."""
    text = f"there are {size} bytes, the header takes 14"
    assert refused(EthernetView((ENDS + b"\x08\0")[:size]), text) == "short_header"


@pytest.mark.parametrize(
    ("octets", "needed"), [(TAG[:2], 18), (TAG, 18), (TAG + b"\x08", 18), (TAG + TAG[:2], 22), (TAG + TAG, 22)]
)
def test_c16_truncated_tag(octets: bytes, needed: int) -> None:
    """C16: a tag cut short, or without a type after it, is refused as short_header."""
    assert refused(EthernetView(ENDS + octets), f"the header takes {needed}") == "short_header"


@pytest.mark.parametrize(("tags", "ethertype", "payload"), [(1, 0x800, 4), (2, 0x800, 4), (3, 0x8100, 8)])
def test_c16_tags(tags: int, ethertype: int, payload: int) -> None:
    """C16: one and two tags are read; a third is payload."""
    value = Ethernet.parse(ENDS + TAG * tags + b"\x08\0body")
    assert (len(value.vlans), value.ethertype, len(value.payload)) == (min(tags, 2), ethertype, payload)


def test_c16_length_field() -> None:
    """C16: a type below 0x600 is an IEEE 802.3 length, which leaves padding out."""
    value = Ethernet.parse(ENDS + b"\0\x03llc" + bytes(43))
    assert (value.ethertype, value.payload) == (None, b"llc")


def test_c16_length_field_too_long() -> None:
    """C16: an IEEE 802.3 length beyond the frame is refused as bad_length."""
    assert refused(EthernetView(ENDS + b"\0\x04llc"), "length is 4 bytes, only 3 are there") == "bad_length"


@pytest.mark.parametrize("kind", [1501, 1535])
def test_c16_neither_type_nor_length(kind: int) -> None:
    """C16: what is neither a length nor a type is refused as bad_ethertype."""
    frame = ENDS + kind.to_bytes(2, "big") + bytes(2000)
    assert refused(EthernetView(frame), f"type 0x{kind:04x} is neither") == "bad_ethertype"


@pytest.mark.parametrize(
    "frame", [b"\2" * 6 + b"\xff" * 6 + b"\x08\0", ENDS + b"\x08\0" + bytes(46), ENDS + b"\x08\0" + bytes(9000)]
)
def test_c16_passes(frame: bytes) -> None:
    """C16: a multicast source, a padded runt and a giant pass, as value too."""
    EthernetView(frame).check()
    assert Ethernet.parse(frame).build() == frame


ASK = ARP.request("02:00:00:00:00:01", s.A4, s.B4).build()


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "short_header"),
        (ASK[:27], "short_header"),
        (patch(ASK, 0, b"\0\6"), "bad_arp"),
        (patch(ASK, 2, b"\x86\xdd"), "bad_arp"),
        (patch(ASK, 4, b"\x08"), "bad_arp"),
        (patch(ASK, 5, b"\x10"), "bad_arp"),
    ],
)
def test_c17_arp(packet: bytes, reason: str) -> None:
    """C17: ARP that is cut short, or for anything but Ethernet and IPv4, is refused with a reason."""
    assert refused(ARPView(packet), "ARP: ") == reason


def test_c17_arp_padding() -> None:
    """C17: padding after ARP passes."""
    assert ARP.parse(ASK + bytes(18)).build() == ASK


SOLICIT = NeighborSolicitation("fd00::1", b"\2" * 6).build(s.A6, s.B6)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "short_header"),
        (SOLICIT[:23], "short_header"),
        (patch(SOLICIT, 0, b"\x80"), "bad_neighbor"),
        (patch(SOLICIT, 1, b"\1"), "bad_neighbor"),
        (patch(SOLICIT, 8, b"\xff\2"), "bad_neighbor"),
        (patch(SOLICIT, 25, b"\0"), "bad_option"),
        (patch(SOLICIT, 25, b"\2"), "bad_option"),
        (SOLICIT[:31], "bad_option"),
        (SOLICIT + b"\x0e", "bad_option"),
    ],
)
def test_c17_neighbor_discovery(message: bytes, reason: str) -> None:
    """C17: a malformed solicitation is refused with a reason, RFC 4861 section 7.1.1."""
    assert refused(NeighborView(message), "neighbor discovery: ") == reason
    with pytest.raises(PacketError):
        NeighborSolicitation.parse(message)


@pytest.mark.parametrize("packet", [b"", b"\x45", b"\x44" + bytes(40), patch(s.UDP6, 4, b"\xff\xff")])
def test_the_catalogue_can_be_told(packet: bytes) -> None:
    """What is refused is also told in a line of text."""
    assert describe(packet).startswith("malformed: ")

"""TCP, field by field and against scapy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.errors import PacketError
from aiotun.packet import TCP, TCPFlag, TCPOption, TCPView

from . import strategies as s
from .oracle import Raw, inet, inet6

OCTETS = bytes.fromhex("1234 5678 9abcdef0 12345679 6a12 4321 8765 0f0e 01020304".replace(" ", "")) + b"body"

FIELDS = [
    ("src_port", 0x1234),
    ("dst_port", 0x5678),
    ("seq", 0x9ABCDEF0),
    ("ack", 0x12345679),
    ("doff", 6),
    ("header_length", 24),
    ("flags", 0xA12),
    ("window", 0x4321),
    ("checksum", 0x8765),
    ("urgent", 0x0F0E),
    ("options", b"\1\2\3\4"),
    ("payload", b"body"),
    ("payload_offset", 24),
]


@pytest.mark.parametrize(("name", "expected"), FIELDS)
def test_field(name: str, expected: object) -> None:
    """Every field is read from its place."""
    assert getattr(TCPView(OCTETS), name) == expected


@given(s.tcp, s.pairs)
def test_round_trip(value: TCP, pair: tuple[s.Address, s.Address]) -> None:
    """Building and parsing, checksum verified, gives the same value over both IP versions."""
    assert TCP.parse(value.build(*pair), *pair) == value


@given(s.tcp)
def test_without_addresses(value: TCP) -> None:
    """Without addresses the checksum is not looked at."""
    octets = bytearray(value.build(s.A4, s.B4))
    octets[16:18] = b"\0\0"
    assert TCP.parse(octets) == value


@given(s.tcp.filter(lambda value: not value.options))
def test_scapy_reads_ours(value: TCP) -> None:
    """Scapy finds in our bytes what we put there."""
    other = inet.TCP(value.build(s.A4, s.B4))
    assert (other.sport, other.dport, other.seq, other.ack) == (value.src_port, value.dst_port, value.seq, value.ack)
    assert (int(other.reserved) << 9 | int(other.flags), other.window, other.urgptr) == (
        value.flags,
        value.window,
        value.urgent,
    )
    assert bytes(other.payload) == value.payload


@given(s.tcp.filter(lambda value: not value.options), s.addresses6, s.addresses6)
def test_we_read_scapys(value: TCP, src: s.Address, dst: s.Address) -> None:
    """We find in scapy's bytes what it put there, and build the same bytes, checksum included."""
    other = inet.TCP(
        sport=value.src_port,
        dport=value.dst_port,
        seq=value.seq,
        ack=value.ack,
        reserved=value.flags >> 9,
        flags=value.flags & 0x1FF,
        window=value.window,
        urgptr=value.urgent,
    ) / Raw(value.payload)
    octets = bytes(inet6.IPv6(src=str(src), dst=str(dst), nh=6) / other)[40:]
    assert TCP.parse(octets, src, dst) == value
    assert value.build(src, dst) == octets


def test_scapy_options() -> None:
    """The options scapy wrote are read one by one."""
    octets = bytes(inet.TCP(options=[("MSS", 1460), ("NOP", None), ("WScale", 7), ("SAckOK", b"")]))
    assert [(kind, body) for kind, _, body in TCPView(octets).parse_options()] == [
        (2, b"\x05\xb4"),
        (3, b"\x07"),
        (4, b""),
    ]


def test_option_offset() -> None:
    """An option says where in the buffer it is."""
    octets = b"\xff" * 20 + TCP(1, 2, options=b"\1\1\1\x03\x03\x07\0\0").build(s.A4, s.B4)
    assert TCPView(octets, 20).parse_options() == [TCPOption(3, 43, b"\7")]


def test_mss() -> None:
    """The maximum segment size is read, and can be written where it is said to be."""
    packet = bytearray(s.TCP4)
    view = TCPView(packet, 20)
    at = view.mss_offset
    assert (view.mss, at) == (1460, 42)
    packet[42:44] = b"\x04\x00"
    assert view.mss == 1024


@pytest.mark.parametrize("options", [b"", b"\1\1\1\0", b"\x02\x03\x05\0", b"\x03\x03\x07\0"])
def test_no_mss(options: bytes) -> None:
    """A segment without a well-formed maximum segment size has none."""
    view = TCPView(TCP(1, 2, options=options).build(s.A4, s.B4))
    assert (view.mss, view.mss_offset) == (None, None)


def test_no_mss_in_a_malformed_header() -> None:
    """A header cut short has no maximum segment size, even where one could be read."""
    assert TCPView(TCP(1, 2, options=b"\x02\x04\x05\xb4" + bytes(8)).build(s.A4, s.B4)[:26]).mss is None


def test_the_end_of_the_list() -> None:
    """Nothing behind the end-of-list option is read, RFC 9293 section 3.1."""
    assert TCPView(TCP(1, 2, options=b"\0\x01\x02\x01").build(s.A4, s.B4)).parse_options() == []


@given(s.tcp, s.pairs, st.integers(0, 100))
def test_checksum_ok(value: TCP, pair: tuple[s.Address, s.Address], at: int) -> None:
    """A segment verifies between its addresses, and not with any byte changed."""
    src, dst = pair[0].packed, pair[1].packed
    octets = bytearray(value.build(src, dst))
    assert TCPView(octets).checksum_ok(src, dst)
    octets[at % len(octets)] ^= 0x10
    assert not TCPView(octets).checksum_ok(src, dst)


def test_wrong_checksum() -> None:
    """With addresses, a wrong checksum is a fault with a reason."""
    octets = TCP(1, 2).build(s.A4, s.B4)
    with pytest.raises(PacketError, match="TCP: checksum is 0x.{4}, wrong") as caught:
        TCP.parse(octets, s.A4, "10.9.9.9")
    assert caught.value.reason == "bad_checksum"


@pytest.mark.parametrize(
    ("name", "letter"), list(zip(["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"], "FSRPAUEC", strict=True))
)
def test_flag_values(name: str, letter: str) -> None:
    """The control bits are scapy's."""
    assert TCPFlag[name] == int(inet.TCP(flags=letter).flags)

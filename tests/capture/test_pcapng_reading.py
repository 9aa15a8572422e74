"""Reading pcapng: what others wrote, what is broken, and what is made up."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.utils import wrpcapng

from aiotun.capture import CaptureReader, PcapngWriter, PcapWriter, Recorded, open_capture
from aiotun.errors import PacketError
from capture.tools import FRAME, IPV4, IPV6

NOW = 1_700_000_000_123_456_789
ORDERS = pytest.mark.parametrize("order", "<>")


class Blocks:
    """Builds pcapng in either byte order."""

    def __init__(self, order: str) -> None:
        self.order = order

    def pack(self, format: str, *values: object) -> bytes:
        return struct.pack(self.order + format, *values)

    def block(self, kind: int, body: bytes, total: int | None = None) -> bytes:
        body += bytes(-len(body) % 4)
        length = self.pack("I", len(body) + 12 if total is None else total)
        return self.pack("I", kind) + length + body + length

    def options(self, *options: tuple[int, bytes]) -> bytes:
        encoded = [self.pack("HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options]
        return b"".join([*encoded, bytes(4)])

    def section(self, *options: tuple[int, bytes], major: int = 1, length: int = -1) -> bytes:
        return self.block(0x0A0D0D0A, self.pack("IHHq", 0x1A2B3C4D, major, 0, length) + self.options(*options))

    def interface(self, *options: tuple[int, bytes], linktype: int = 101, snaplen: int = 0) -> bytes:
        return self.block(1, self.pack("HHI", linktype, 0, snaplen) + self.options(*options))

    def packet(self, packet: bytes, time: int = 0, index: int = 0, *options: tuple[int, bytes]) -> bytes:
        head = self.pack("IIIII", index, time >> 32, time & 0xFFFFFFFF, len(packet), len(packet))
        return self.block(6, head + packet + bytes(-len(packet) % 4) + (self.options(*options) if options else b""))


def opened(*octets: bytes) -> CaptureReader:
    return open_capture(io.BytesIO(b"".join(octets)))


def read(*octets: bytes) -> list[Recorded]:
    return list(opened(*octets))


@ORDERS
def test_both_byte_orders(order: str) -> None:
    """A file of either byte order is read, with all that a packet has."""
    b = Blocks(order)
    options = [
        (1, b"one"),
        (2, b.pack("I", 0xFFFFFFFE)),
        (4, b.pack("Q", 9)),
        (5, b.pack("Q", 8)),
        (1, b"two"),
        (99, b"x"),
    ]
    reader = opened(
        b.section((1, b"why"), (4, b"somebody")),
        b.interface((2, b"eth0"), (3, b"cable"), (9, b"\x09"), (11, b"\0udp"), snaplen=96),
        b.packet(IPV4, NOW, 0, *options),
        b.block(5, b.pack("III", 0, 0, 0) + b.options((4, b.pack("Q", 7)), (5, b.pack("Q", 6)))),
    )
    (found,) = list(reader)
    assert (found.packet, found.time_ns, found.direction, found.comments) == (IPV4, NOW, "out", ("one", "two"))
    assert (found.dropped, found.packet_id) == (9, 8)
    there = found.interface
    assert (there.name, there.description, there.filter, there.snaplen) == ("eth0", "cable", "udp", 96)
    assert reader.comments == ("why",)
    assert (reader.statistics[0].received, reader.statistics[0].dropped) == (7, 6)
    assert not reader.truncated


@ORDERS
@pytest.mark.parametrize(
    ("options", "units", "time_ns"),
    [
        ([], 1_500_000, 1_500_000_000),
        ([(9, b"\x00")], 3, 3_000_000_000),
        ([(9, b"\x03")], 1_500, 1_500_000_000),
        ([(9, b"\x0c")], 1_500_000_000_999, 1_500_000_000),
        ([(9, b"\x8a")], 1536, 1_500_000_000),
        ([(9, b"\xff")], 1, 0),
        ([(9, b"")], 1, 1000),
    ],
)
def test_resolutions(order: str, options: list[tuple[int, bytes]], units: int, time_ns: int) -> None:
    """Times of every resolution, decimal and binary, are nanoseconds."""
    b = Blocks(order)
    (found,) = read(b.section(), b.interface(*options), b.packet(IPV4, units))
    assert found.time_ns == time_ns


@ORDERS
def test_an_offset_of_times(order: str) -> None:
    """Seconds that an interface adds to its times are added, negative ones too."""
    b = Blocks(order)
    (found,) = read(b.section(), b.interface((14, b.pack("q", -2))), b.packet(IPV4, 5_000_000))
    assert found.time_ns == 3_000_000_000


@ORDERS
def test_simple_and_obsolete_packets(order: str) -> None:
    """A simple packet has no time, and is cut by the interface's snaplen; an obsolete one has drops."""
    b = Blocks(order)
    simple, obsolete = read(
        b.section(),
        b.interface(snaplen=20),
        b.block(3, b.pack("I", 24) + IPV4[:20]),
        b.block(2, b.pack("HHIIII", 0, 3, 0, 1_000_000, 20, 30) + IPV4[:20]),
    )
    assert (simple.packet, simple.length, simple.time_ns) == (IPV4[:20], 24, None)
    assert (obsolete.packet, obsolete.length, obsolete.time_ns, obsolete.dropped) == (IPV4[:20], 30, 10**9, 3)


def test_sections() -> None:
    """Sections follow each other, each of its own byte order and with its own interfaces."""
    parts = [
        Blocks(order).section() + Blocks(order).interface((2, name)) + Blocks(order).packet(name) for order, name in
        [("<", b"one"), (">", b"two"), ("<", b"three")]
    ]  # fmt: skip
    found = read(*parts)
    assert (
        [(one.interface.index, one.interface.name.encode()) for one in found]
        == [(0, one.packet) for one in found]
        == [(0, b"one"), (0, b"two"), (0, b"three")]
    )


@ORDERS
def test_unknown_blocks_are_skipped(order: str) -> None:
    """Blocks that are not known, and names, secrets and custom ones among them, are skipped."""
    b = Blocks(order)
    others = [b.block(kind, b"whatever") for kind in (4, 10, 0xBAD, 0x40000BAD, 0x80000001)]
    assert [one.packet for one in read(b.section(), *others, b.interface(), *others, b.packet(IPV4))] == [IPV4]


def test_scapy_writes_what_we_read(tmp_path: Path) -> None:
    """A file of scapy's is read."""
    path = tmp_path / "scapy.pcapng"
    packet = IP(IPV4)
    packet.time = 5.000007
    wrpcapng(str(path), [packet])
    with open_capture(path) as reader:
        assert [(one.packet, one.time_ns) for one in reader] == [(IPV4, 5_000_007_000)]


@pytest.mark.parametrize(
    ("order", "magic", "unit"), [(o, m, u) for o in "<>" for m, u in [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)]]
)
def test_pcap(order: str, magic: int, unit: int) -> None:
    """Classic files of both byte orders are read, with micro- and with nanoseconds."""
    header = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 96, 1)
    (found,) = read(header, struct.pack(order + "IIII", 5, 7, len(FRAME), 99), FRAME)
    assert (found.packet, found.time_ns, found.length) == (FRAME, 5 * 10**9 + 7 * unit, 99)
    assert (found.interface.linktype, found.interface.snaplen) == (1, 96)


def test_our_own_pcap() -> None:
    """What PcapWriter writes is read."""
    file = io.BytesIO()
    PcapWriter(file, 101).write(IPV4, 1.5)
    assert [(one.packet, one.time_ns) for one in read(file.getvalue())] == [(IPV4, 1_500_000_000)]


L = Blocks("<")
WHOLE = L.section() + L.interface() + L.packet(IPV4, 1) + L.packet(IPV6, 2, 0, (1, b"comment"))


def test_a_cut_file() -> None:
    """A file that ends anywhere after its first 4 bytes gives the packets that are whole, and says if it was cut."""
    blocks = [L.section(), L.interface(), L.packet(IPV4, 1), L.packet(IPV6, 2, 0, (1, b"comment"))]
    ends = {sum(map(len, blocks[: index + 1])): max(0, index - 1) for index in range(4)}
    for size in range(4, len(WHOLE) + 1):
        reader = opened(WHOLE[:size])
        assert len(list(reader)) == max([packets for end, packets in ends.items() if end <= size], default=0)
        assert reader.truncated == (size not in ends)


def test_a_cut_pcap_file() -> None:
    """So it is with a classic file."""
    whole = struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 1, 0, 0, 4, 4) + b"four"
    for size in range(4, len(whole) + 1):
        reader = opened(whole[:size])
        assert len(list(reader)) == (size == len(whole))
        assert reader.truncated == (size not in (24, len(whole)))


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "has 0 bytes, too few for a capture$"),
        (b"\n\r\r", "has 3 bytes, too few for a capture$"),
        (b"GET ", "begins with 47455420, which is neither"),
        (L.block(0x0A0D0D0A, bytes(16)), "section at byte 0 has no byte order, but 00000000$"),
        (L.section(major=2), "is of pcapng version 2.0, 1.0 can be read$"),
        (L.block(0x0A0D0D0A, L.pack("I", 0x1A2B3C4D)), "block at byte 0 is 16 bytes, it must be 28 to 16777216, by 4$"),
        (L.section() + L.block(1, bytes(8), 21), "block at byte 32 is 21 bytes, it must be 12 to 16777216, by 4$"),
        (L.section() + L.block(1, bytes(8), 8), "block at byte 32 is 8 bytes, it must be 12"),
        (L.section() + L.block(9, b"", 1 << 30), "block at byte 32 is 1073741824 bytes, it must be 12"),
        (L.section() + L.pack("IIII", 9, 16, 0, 20), "block at byte 32 is 16 bytes at its front and 20 at its end$"),
        (L.section() + L.packet(b""), "block at byte 32: it names interface 0, the section has 0$"),
        (L.section() + L.interface() + L.packet(b"", 0, 7), "at byte 56: it names interface 7, the section has 1$"),
        (L.section() + L.block(1, b""), "block at byte 32 is 12 bytes, too few for its type 1$"),
        (L.section() + L.interface() + L.block(6, bytes(12) + L.pack("II", 9, 9)), "packet is 9 bytes, there are 0$"),
        (L.section() + L.block(1, bytes(8) + L.pack("HH", 2, 9)), "at byte 32: option 2 is 9 bytes, there are 0$"),
        (L.block(0x0A0D0D0A, L.pack("IHHqHH", 0x1A2B3C4D, 1, 0, -1, 1, 9)), "byte 0: option 1 is 9 bytes,"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 1, 0, 0, 0, 0, 0), "is of pcap version 1.0, 2.4 can be read$"),
        (
            struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 0, 0, 0, 0, 1 << 30, 0),
            "packet at byte 24 is 1073741824 bytes, the most is 16777216$",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(octets: bytes, text: str) -> None:
    """A file that is not what it should be is refused with where and why, and nothing follows."""
    reader = opened(octets, b"")
    with pytest.raises(PacketError, match=f"^capture: .*{text}"):
        list(reader)
    assert list(reader) == []


def written(count: int) -> bytes:
    file = io.BytesIO()
    with PcapngWriter(file, comment="for the fuzzer") as writer:
        for index in range(count):
            interface = writer.interface(f"edge {index}")
            interface.write_many([IPV4, IPV6], NOW, "out")
            interface.write(IPV4, NOW, comments=("one", "two"), dropped=3, packet_id=1)
    return file.getvalue()


SEED = written(2)
mutations = st.lists(st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)), min_size=1, max_size=8)
cuts = st.tuples(st.integers(0, len(SEED)), st.integers(0, len(SEED)))


def survives(octets: bytes) -> None:
    """Read to the end or to an error, within the bounds."""
    reader = opened(octets)
    try:
        for packets, one in enumerate(reader, 1):
            assert packets <= len(octets)
            assert len(one.packet) <= len(octets)
    except PacketError as error:
        assert str(error).startswith("capture: ")


@given(mutations)
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    """A file with some bytes changed is read to its end or refused, and nothing else happens."""
    octets = bytearray(SEED)
    for index, value in changes:
        octets[index] = value
    survives(bytes(octets))


@given(cuts)
def test_a_piece_taken_out(cut: tuple[int, int]) -> None:
    """A file that lacks a piece is read to its end or refused."""
    survives(SEED[: min(cut)] + SEED[max(cut) :])


@given(st.binary(max_size=200), st.sampled_from([b"", SEED[:120], b"\xd4\xc3\xb2\xa1", L.section()]))
def test_made_up_bytes(octets: bytes, start: bytes) -> None:
    """Bytes of no meaning are read to their end or refused."""
    survives(start + octets)


def test_a_file_of_interfaces() -> None:
    """More interfaces than anybody has are refused before they take all memory."""
    with pytest.raises(PacketError, match="there are more than 65536 interfaces$"):
        read(L.section(), L.interface() * 65537)


def test_a_pipe_gives_what_it_has() -> None:
    """A file that gives a few bytes at a time is read like any other."""

    class Dribble(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 3))

    assert [one.packet for one in open_capture(Dribble(WHOLE))] == [IPV4, IPV6]


def test_whose_file_it_is(tmp_path: Path) -> None:
    """The reader closes the file it opened, and leaves the caller's."""
    (tmp_path / "file").write_bytes(WHOLE)
    with (tmp_path / "file").open("rb") as file:
        with open_capture(file) as reader:
            assert len(list(reader)) == 2
        assert not file.closed
    with open_capture(tmp_path / "file") as reader:
        next(reader)
    assert reader._file.closed

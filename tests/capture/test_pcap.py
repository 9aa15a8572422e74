"""Capture files, judged by scapy."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any

import attrs
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import scapy.layers.inet
    import scapy.layers.inet6
    import scapy.layers.l2
    import scapy.utils

from aiotun.capture import LinkType, PcapWriter

rdpcap: Any = scapy.utils.rdpcap
inet: Any = scapy.layers.inet
inet6: Any = scapy.layers.inet6
l2: Any = scapy.layers.l2

IPV4 = bytes(inet.IP(src="10.8.0.1", dst="10.8.0.2") / inet.UDP(sport=1, dport=2) / b"four")
IPV6 = bytes(inet6.IPv6(src="fd00::1", dst="fd00::2") / inet.UDP(sport=1, dport=2) / b"six")
FRAME = bytes(l2.Ether(src="f2:0b:a4:00:00:01", dst="f2:0b:a4:00:00:02", type=0x800)) + IPV4


@attrs.frozen
class Seen:
    """A captured packet."""

    time: float
    packet: bytes
    length: int


class Writes(io.BytesIO):
    """A file that counts what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.flushes = 0

    def write(self, octets: Any) -> int:
        self.writes += 1
        return super().write(octets)

    def flush(self) -> None:
        self.flushes += 1


@pytest.fixture
def file() -> Writes:
    return Writes()


def read(file: io.BytesIO) -> Any:
    """What scapy finds in the file."""
    return rdpcap(io.BytesIO(file.getvalue()))


@pytest.mark.parametrize(("linktype", "number"), [(LinkType.NULL, 0), (LinkType.ETHERNET, 1), (LinkType.RAW, 101)])
def test_a_link_type_has_its_number(linktype: LinkType, number: int) -> None:
    """A link type has its registered number."""
    assert linktype == number


def test_the_header(file: Writes) -> None:
    """The file's header is there at once: magic, version 2.4, snaplen and link type."""
    writer = PcapWriter(file, LinkType.RAW, snaplen=96)
    assert struct.unpack("=IHHiIII", file.getvalue()) == (0xA1B2C3D4, 2, 4, 0, 0, 96, 101)
    assert (writer.linktype, writer.snaplen) == (LinkType.RAW, 96)


def test_256_kib_by_default(file: Writes) -> None:
    """By default 256 KiB of a packet are kept."""
    assert PcapWriter(file, LinkType.RAW).snaplen == 262144


def test_no_snaplen(file: Writes) -> None:
    """A file that keeps nothing of a packet is refused, and not begun."""
    with pytest.raises(ValueError, match="^pcap: snaplen is 0, it must be at least 1 byte$"):
        PcapWriter(file, LinkType.RAW, snaplen=0)
    assert file.writes == 0
    PcapWriter(file, LinkType.RAW, snaplen=1)


@pytest.mark.parametrize(
    ("linktype", "packet", "layers"),
    [
        (LinkType.RAW, IPV4, ["IP", "UDP", "Raw"]),
        (LinkType.RAW, IPV6, ["IPv6", "UDP", "Raw"]),
        (LinkType.ETHERNET, FRAME, ["Ethernet", "IP", "UDP", "Raw"]),
        (LinkType.NULL, struct.pack("=I", 2) + IPV4, ["Loopback", "IP", "UDP", "Raw"]),
        (LinkType.NULL, struct.pack("=I", 28) + IPV6, ["Loopback", "Raw"]),  # scapy knows this machine's number alone
    ],
    ids=["raw-ipv4", "raw-ipv6", "ethernet", "null-ipv4", "null-ipv6"],
)
def test_scapy_reads_every_link_type(file: Writes, linktype: LinkType, packet: bytes, layers: list[str]) -> None:
    """Scapy finds the packet's layers, and the same bytes."""
    PcapWriter(file, linktype).write(packet, 1.0)
    (found,) = read(file)
    assert [layer._name for layer in found.layers()] == layers
    assert bytes(found) == packet


@pytest.mark.parametrize(
    ("time", "seconds", "microseconds"),
    [
        (0, 0, 0),
        (1234.5, 1234, 500_000),
        (1.000001, 1, 1),
        (1.9999996, 2, 0),
        (1.9999994, 1, 999_999),
        (2**32 - 1, 2**32 - 1, 0),
    ],
)
def test_the_time(file: Writes, time: float, seconds: int, microseconds: int) -> None:
    """A time is kept to the microsecond, rounded."""
    PcapWriter(file, LinkType.RAW).write(IPV4, time)
    assert struct.unpack_from("=II", file.getvalue(), 24) == (seconds, microseconds)


@pytest.mark.parametrize("time", [-0.5, 2**32])
def test_a_time_that_does_not_fit(file: Writes, time: float) -> None:
    """A time before 1970 or after 2106 is refused, and nothing is written."""
    writer = PcapWriter(file, LinkType.RAW)
    with pytest.raises(ValueError, match=f"^pcap: time is {time}, it must be 0 to 4294967295 seconds$"):
        writer.write(IPV4, time)
    assert file.writes == 1


@pytest.mark.parametrize(("snaplen", "kept"), [(1, 1), (len(IPV4) - 1, len(IPV4) - 1), (len(IPV4), len(IPV4))])
def test_snaplen(file: Writes, snaplen: int, kept: int) -> None:
    """A packet is cut to the snaplen, and its length told all the same."""
    PcapWriter(file, LinkType.RAW, snaplen).write(IPV4, 1.0)
    assert file.getvalue()[40:] == IPV4[:kept]
    assert struct.unpack_from("=II", file.getvalue(), 32) == (kept, len(IPV4))


def test_a_packet_cut_before(file: Writes) -> None:
    """The length a packet had before it was cut elsewhere is kept."""
    PcapWriter(file, LinkType.RAW).write(IPV4[:20], 1.0, 1500)
    assert struct.unpack_from("=II", file.getvalue(), 32) == (20, 1500)


def test_a_batch(file: Writes) -> None:
    """A batch is one write, in order, each packet with its own time and length."""
    writer = PcapWriter(file, LinkType.RAW)
    writer.write_many([Seen(1.5, IPV4, len(IPV4)), Seen(2.5, IPV6[:48], len(IPV6))])
    assert file.writes == 2
    assert [(float(found.time), bytes(found), found.wirelen) for found in read(file)] == [
        (1.5, IPV4, len(IPV4)),
        (2.5, IPV6[:48], len(IPV6)),
    ]


def test_a_batch_that_does_not_fit(file: Writes) -> None:
    """Of a batch with a time that does not fit nothing is written."""
    writer = PcapWriter(file, LinkType.RAW)
    with pytest.raises(ValueError):
        writer.write_many([Seen(1.5, IPV4, 1), Seen(-1.0, IPV4, 1)])
    assert file.writes == 1


def test_flush(file: Writes) -> None:
    """flush() passes on what the file has buffered."""
    writer = PcapWriter(file, LinkType.RAW)
    assert file.flushes == 0
    writer.flush()
    assert file.flushes == 1


def test_a_real_file(tmp_path: Path) -> None:
    """A file on disk can be read once it is flushed."""
    with (tmp_path / "some.pcap").open("wb") as file:
        writer = PcapWriter(file, LinkType.ETHERNET)
        writer.write(FRAME, 1.0)
        writer.flush()
        assert len(rdpcap(str(tmp_path / "some.pcap"))) == 1

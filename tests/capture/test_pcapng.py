"""The pcapng writer: what it writes, other programs read."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun.capture import CaptureStatistics, Direction, LinkType, PcapngWriter, Rotation, open_capture
from aiotun.capture.superpackets import describe, restore
from aiotun.packet import GSOType, SuperPacket
from capture.tools import FRAME, IPV4, IPV6, by_scapy, by_tshark, counted_by_capinfos, packets, read

NOW = 1_700_000_000_123_456_789


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.pcapng"


def test_tshark_reads_everything(path: Path) -> None:
    """Tshark finds every packet with its time, interface, direction, comments, lost packets and number."""
    with PcapngWriter(path) as writer:
        tun = writer.interface("tun0 output", description="edge", filter="udp")
        tap = writer.interface("tap0", LinkType.ETHERNET)
        tun.write_many([IPV4, IPV6], NOW, "out")
        tap.write(FRAME, NOW + 1, direction="in", comments=("one", "zwei ü"), dropped=3, packet_id=7)
        tap.write(FRAME, NOW + 2, comments="dropped by filter: no_route")
    fields = ("time_epoch", "interface_name", "packet_flags", "comment", "drop_count", "packet_id", "protocols")
    assert by_tshark(path, *(f"frame.{field}" for field in fields)) == [
        ["1700000000.123456789", "tun0 output", "0x00000002", "", "", "", "raw:ip:udp:data"],
        ["1700000000.123456789", "tun0 output", "0x00000002", "", "", "", "raw:ipv6:udp:data"],
        ["1700000000.123456790", "tap0", "0x00000001", "one,zwei ü", "3", "7", "eth:ethertype:ip:udp:data"],
        ["1700000000.123456791", "tap0", "", "dropped by filter: no_route", "", "", "eth:ethertype:ip:udp:data"],
    ]


def test_every_link_type(path: Path) -> None:
    """Tshark takes apart a packet of every link type, and finds the same bytes as scapy and we."""
    kinds = [
        (LinkType.RAW, IPV4, "raw:ip:udp:data"),
        (LinkType.RAW, IPV6, "raw:ipv6:udp:data"),
        (LinkType.IPV4, IPV4, "ip:udp:data"),
        (LinkType.IPV6, IPV6, "ipv6:udp:data"),
        (LinkType.ETHERNET, FRAME, "eth:ethertype:ip:udp:data"),
        (LinkType.NULL, struct.pack("=I", 2) + IPV4, "null:ip:udp:data"),
    ]
    with PcapngWriter(path) as writer:
        for linktype, packet, layers in kinds:
            writer.interface(layers, linktype).write(packet, NOW)
    shown = [[layers, str(len(packet))] for _, packet, layers in kinds]
    assert by_tshark(path, "frame.protocols", "frame.len") == shown
    assert [bytes(found) for found in by_scapy(path)] == [one.packet for one in read(path)]
    assert [one.packet for one in read(path)] == [packet for _, packet, _ in kinds]


def test_scapy_reads_everything(path: Path) -> None:
    """Scapy finds the interface, the direction, the comments and the bytes of each packet."""
    with PcapngWriter(path) as writer:
        tun = writer.interface("tun0")
        tun.write(IPV4, NOW, direction="out", comments="dropped by filter: no_route")
        tun.write(IPV6, NOW)
    first, second = by_scapy(path)
    assert (bytes(first), bytes(second)) == (IPV4, IPV6)
    assert (first.sniffed_on, first.direction, first.comment) == ("tun0", 2, b"dropped by filter: no_route")


directions: st.SearchStrategy[Direction | None] = st.sampled_from([None, "in", "out"])
texts = st.text(max_size=40).map(lambda text: text.encode("utf-8", "replace").decode())
records = st.tuples(
    st.integers(0, 2),
    packets,
    st.integers(0, 2**64 - 1),
    st.integers(0, 10),
    directions,
    st.lists(texts, max_size=3).map(tuple),
    st.integers(0, 2**64 - 1),
    st.none() | st.integers(0, 2**64 - 1),
)


@given(st.lists(records, max_size=8))
def test_a_round_trip(recorded: list[Any]) -> None:
    """What was written is read again: bytes, times, lengths, interfaces, directions, comments, numbers."""
    file = io.BytesIO()
    with PcapngWriter(file) as writer:
        interfaces = [writer.interface(f"edge {index}") for index in range(3)]
        for index, packet, time_ns, more, direction, comments, dropped, packet_id in recorded:
            interfaces[index].write(
                packet,
                time_ns,
                length=len(packet) + more,
                direction=direction,
                comments=comments,
                dropped=dropped,
                packet_id=packet_id,
            )
    assert [
        (
            one.interface.index,
            one.packet,
            one.time_ns,
            one.length - len(one.packet),
            one.direction,
            one.comments,
            one.dropped,
            one.packet_id,
        )
        for one in read(file.getvalue())
    ] == recorded


@given(st.lists(packets, max_size=8), directions, st.integers(1, 100))
def test_a_batch_is_its_packets(batch: list[bytes], direction: Direction | None, snaplen: int) -> None:
    """write_many() writes, byte for byte, what write() writes for each packet."""
    files = io.BytesIO(), io.BytesIO()
    writers = [PcapngWriter(file, snaplen=snaplen) for file in files]
    many, single = (writer.interface("tun0") for writer in writers)
    many.write_many(batch, NOW, direction)
    for packet in batch:
        single.write(packet, NOW, direction=direction)
    for writer in writers:
        writer.flush()
    assert files[0].getvalue() == files[1].getvalue()
    for writer in writers:
        writer.close()


@pytest.mark.parametrize(("snaplen", "kept"), [(1, 1), (len(IPV4) - 1, len(IPV4) - 1), (len(IPV4), len(IPV4))])
def test_snaplen(path: Path, snaplen: int, kept: int) -> None:
    """A packet is cut to the snaplen of its interface, and its length told all the same."""
    with PcapngWriter(path, snaplen=10) as writer:
        interface = writer.interface("tun0", snaplen=snaplen)
        interface.write_many([IPV4], NOW)
        interface.write(IPV4, NOW)
    lengths = by_tshark(path, "frame.cap_len", "frame.len")
    assert lengths == [[str(kept), str(len(IPV4))]] * 2
    assert [one.packet for one in read(path)] == [IPV4[:kept]] * 2


def test_a_super_packet(path: Path) -> None:
    """A super-packet is written as it is, says what it is in a comment, and is read as one."""
    packet = SuperPacket(IPV4, GSOType.UDP_L4, 2, 28, 20, 6, needs_csum=True)
    with PcapngWriter(path) as writer:
        writer.interface("tun0").write_many([IPV4, packet], NOW)
    plain, restored = (one.packet for one in read(path))
    assert type(plain) is bytes
    assert isinstance(restored, SuperPacket)
    assert (restored, vars(restored)) == (packet, vars(packet))
    assert by_tshark(path, "frame.comment") == [
        [""],
        [
            "super-packet: gso_type=5 gso_size=2 hdr_len=28 csum_start=20 csum_offset=6 needs_csum=1 fixed_id=0 "
            "(checksum unfinished)"
        ],
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"snaplen": 0}, "^pcapng: snaplen is 0, it must be at least 1 byte$"),
        ({"rotation": Rotation(bytes=1)}, "^pcapng: only a path can be rotated, not <_io.BytesIO"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    """A capture that cannot be is refused, and nothing is written."""
    file = io.BytesIO()
    with pytest.raises(ValueError, match=text):
        PcapngWriter(file, **options)
    assert not file.getvalue()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"time_ns": -1}, "^pcapng: time is -1 ns, it must be 0 to 18446744073709551615$"),
        ({"direction": "up"}, '^pcapng: a direction is "in" or "out", not \'up\'$'),
        ({"packet_id": 1 << 64}, "^pcapng: 18446744073709551616 is not a number of 64 bits$"),
    ],
)
def test_a_packet_that_has_no_room(options: dict[str, Any], text: str) -> None:
    """What the format has no room for is refused, and the file goes on without it."""
    file = io.BytesIO()
    with PcapngWriter(file) as writer:
        interface = writer.interface("tun0")
        with pytest.raises(ValueError, match=text):
            interface.write(IPV4, **options)
        interface.write(IPV6, NOW)
    assert [one.packet for one in read(file.getvalue())] == [IPV6]


def test_statistics(path: Path) -> None:
    """An interface counts what it received, what waits and what was written, and the file says it at its end."""
    with PcapngWriter(path) as writer:
        interface = writer.interface("tun0")
        interface.write_many([IPV4, IPV6], NOW)
        assert interface.statistics() == CaptureStatistics(received=2, written=0, waiting=2, dropped=0)
        writer.flush()
        assert interface.statistics() == CaptureStatistics(received=2, written=2, waiting=0, dropped=0)
    with open_capture(path) as reader:
        assert len(list(reader)) == 2
        assert (reader.statistics[0].received, reader.statistics[0].dropped) == (2, 0)


def test_the_comment_of_a_file(path: Path) -> None:
    """The header holds the comment, and who wrote the file."""
    with PcapngWriter(path, comment="why"):
        pass
    with open_capture(path) as reader:
        assert list(reader) == []
        assert reader.comments == ("why",)
    assert b"aiotun " in path.read_bytes()


def test_a_long_comment_is_cut(path: Path) -> None:
    """A comment that an option has no room for is cut between two characters."""
    with PcapngWriter(path) as writer:
        writer.interface("tun0").write(IPV4, NOW, comments="ü" * 40_000)
    assert read(path)[0].comments == ("ü" * 32_767,)


def test_the_file_is_its_owners(path: Path) -> None:
    """A capture is for its owner alone to read."""
    with PcapngWriter(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_ends_the_recording() -> None:
    """A full disk ends the recording and not the traffic: packets are counted as dropped, close() says why."""
    with open("/dev/full", "wb", buffering=0) as full:
        writer = PcapngWriter(full)
        interface = writer.interface("tun0")
        assert not writer.recording
        assert interface.stage("out")([IPV4]) == [IPV4]
        assert interface.statistics() == CaptureStatistics(received=1, written=0, waiting=0, dropped=1)
        with pytest.raises(OSError) as error:
            writer.close()
        assert error.value.errno == errno.ENOSPC
        writer.close()


def test_what_did_not_fit_is_cut_off(path: Path) -> None:
    """A file that may not grow any more ends with a whole block."""
    program = f"""
import resource, signal, time
from aiotun.capture import PcapngWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
writer = PcapngWriter({str(path)!r}, buffer=1000)
interface = writer.interface("tun0")
for _ in range(200):
    interface.write_many([bytes(40)], {NOW})
try:
    writer.close()
except OSError as error:
    print(error.errno, interface.statistics().written)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    number, written = map(int, done.stdout.split())
    assert number == errno.EFBIG
    with open_capture(path) as reader:
        assert len(list(reader)) == written > 0
        assert not reader.truncated


def test_a_killed_program_leaves_a_file(path: Path) -> None:
    """A program that is killed while it writes leaves every block but the one it was in."""
    program = f"""
import time
from aiotun.capture import PcapngWriter
writer = PcapngWriter({str(path)!r}, buffer=2000)
interface = writer.interface("tun0")
number = 0
while True:
    interface.write_many([(number + index).to_bytes(60, "big") for index in range(64)])
    number += 64
    if number == 6400:
        print(flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    numbers = [int.from_bytes(one.packet, "big") for one in read(path)]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 6400


def test_a_forked_child_writes_nothing(path: Path) -> None:
    """What a forked child does with the writer is of no effect: the file has each packet once."""
    with PcapngWriter(path) as writer:
        interface = writer.interface("tun0")
        interface.write(IPV4, NOW)
        child = os.fork()
        if not child:
            try:
                interface.write(IPV6, NOW)
                writer.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert [one.packet for one in read(path)] == [IPV4]


def test_a_forgotten_writer(path: Path) -> None:
    """A writer that is forgotten warns, and writes what it has."""
    writer = PcapngWriter(path)
    writer.interface("tun0").write(IPV4, NOW)
    with pytest.warns(ResourceWarning, match="^<PcapngWriter of tun0> was never closed$"):
        del writer
    assert [one.packet for one in read(path)] == [IPV4]


async def test_the_loop_flushes(path: Path) -> None:
    """In an event loop a packet is in the file shortly after, though nobody flushes."""
    with PcapngWriter(path, flush_after=0) as writer:
        writer.interface("tun0").write(IPV4, NOW)
        while not read(path):
            await asyncio.sleep(0)
        assert [one.packet for one in read(path)] == [IPV4]


def test_a_loop_that_ended_does_not_matter(path: Path) -> None:
    """A writer that a loop was to flush goes on in the next loop."""

    async def record(writer: PcapngWriter) -> None:
        writer.interfaces[0].write(IPV4, NOW)

    with PcapngWriter(path, flush_after=0) as writer:
        writer.interface("tun0")
        asyncio.run(record(writer))
        writer.flush()
        asyncio.run(record(writer))
        writer.flush()
    assert len(read(path)) == 2


def test_many_packets_are_one_write() -> None:
    """What is collected goes to the file in one write."""

    class Counting(io.BytesIO):
        writes = 0

        def write(self, octets: Any) -> int:
            self.writes += 1
            return super().write(octets)

    file = Counting()
    with PcapngWriter(file) as writer:
        interface = writer.interface("tun0")
        before = file.writes
        for _ in range(100):
            interface.write_many([IPV4] * 4)
        writer.flush()
        assert file.writes == before + 1


def rotated(tmp_path: Path, rotation: Rotation, batches: Sequence[list[bytes]]) -> list[Path]:
    """Record batches, with a second interface from the middle on, and return the files kept."""
    with PcapngWriter(tmp_path / "vpn.pcapng", rotation=rotation) as writer:
        first = writer.interface("first")
        for index, batch in enumerate(batches):
            if index == len(batches) // 2:
                second = writer.interface("second")
            first.write_many(batch, NOW + index)
            if index >= len(batches) // 2:
                second.write_many(batch, NOW + index)
            writer.flush()
        files = writer.files
    assert sorted(tmp_path.iterdir()) == files
    return files


def test_rotation_by_bytes(tmp_path: Path) -> None:
    """Every file of a row is whole by itself and about as long as it may be; together they have every packet once."""
    files = rotated(tmp_path, Rotation(bytes=2000), [[bytes([index]) * 100] for index in range(40)])
    assert len(files) > 3
    assert all(file.stat().st_size < 2000 + 300 for file in files)
    found = [one for file in files for one in read(file)]
    assert [one.packet[0] for one in found if one.interface.name == "first"] == list(range(40))
    assert [one.packet[0] for one in found if one.interface.name == "second"] == list(range(20, 40))
    assert counted_by_capinfos(files) == [len(read(file)) for file in files]


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    """Of a row of files the newest are kept, with their numbers."""
    files = rotated(tmp_path, Rotation(bytes=2000, files=2), [[bytes([index]) * 100] for index in range(40)])
    assert len(files) == 2
    assert [one.packet[0] for one in read(files[-1])][-1] == 39
    numbers = [int(file.name.split("_")[1]) for file in files]
    assert numbers[1] == numbers[0] + 1 > 2


@pytest.mark.parametrize("options", [{"bytes": 0}, {"seconds": 0}, {"files": 0}])
def test_a_rotation_that_cannot_be(options: dict[str, int]) -> None:
    """A row of empty files, or of none, is refused."""
    with pytest.raises(ValueError):
        Rotation(**options)


def test_a_row_that_cannot_go_on(tmp_path: Path) -> None:
    """A next file that cannot be made ends the recording, not the traffic."""
    folder = tmp_path / "captures"
    folder.mkdir()
    writer = PcapngWriter(folder / "vpn.pcapng", rotation=Rotation(bytes=1000))
    interface = writer.interface("tun0")
    writer.files[0].unlink()
    folder.rmdir()
    for _ in range(20):
        interface.write_many([bytes(100)])
    assert isinstance(writer.error, FileNotFoundError)
    counted = interface.statistics()
    assert counted.received == 20 == counted.written + counted.dropped
    with pytest.raises(FileNotFoundError):
        writer.close()


def test_an_error_on_its_way_is_not_replaced() -> None:
    """An exception that leaves the block stays what it is; what became of the file is a note."""
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(ZeroDivisionError) as error:
        with PcapngWriter(full):
            1 / 0  # noqa: B018
    assert error.value.__notes__ == ["the capture ended early: [Errno 28] No space left on device"]


def test_a_link_type_beyond_16_bits() -> None:
    """A link type that the format has no room for is refused."""
    with PcapngWriter(io.BytesIO()) as writer:
        with pytest.raises(ValueError, match="^pcapng: link type is 65536, it must be 0 to 65535$"):
            writer.interface("tun0", 65536)
        assert writer.interfaces == ()


def test_a_comment_that_lies(path: Path) -> None:
    """A comment that claims what no super-packet is makes none."""
    comment = "super-packet: gso_type=2 gso_size=1 hdr_len=0 csum_start=0 csum_offset=0 needs_csum=0 fixed_id=0"
    with PcapngWriter(path) as writer:
        writer.interface("tun0").write(IPV4, NOW, comments=comment)
    assert type(read(path)[0].packet) is bytes


@pytest.mark.parametrize("csum", [True, False])
def test_a_superpacket_in_a_tunnel_is_restored(csum: bool) -> None:
    """The comment has a tunnel's offsets too, of a super-packet that is in one alone."""
    packet = SuperPacket(bytes(300), 0x21, 100, 90, 70, 16, True, False, 20, 50, csum)
    assert describe(packet).endswith(
        f" fixed_id=0 outer_th_offset=20 inner_nh_offset=50 tunnel_csum={csum:d} (checksum unfinished)"
    )
    again = restore(bytes(packet), describe(packet))
    assert isinstance(again, SuperPacket)
    assert vars(again) == vars(packet)

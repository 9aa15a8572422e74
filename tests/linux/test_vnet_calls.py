"""Batches of packets behind vnet headers, in both forms, on sockets that keep packets apart."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import both, forms

from aiotun.errors import PacketError
from aiotun.linux.vnet_calls import (
    ARENA,
    ReadVnet,
    WriteVnet,
    read_vnet,
    reading_vnet_by,
    write_vnet,
    writing_vnet_by,
)
from aiotun.offload import complete
from aiotun.packet import SuperPacket, pack_vnet, parse_vnet

SIZE = 65536 + 14 + 8

UDP = bytes.fromhex("450000200001000040110000c0000201c633640104d200350000000c0000000c") + b"payload."
TCP = SuperPacket(bytes(40) + b"x" * 300, 1, 100, 40, 20, 16, True)
FIELDS = ("gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset", "needs_csum", "fixed_id")


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """Two non-blocking descriptors: what is written to one, a packet each, is read from the other."""
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in pair:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    yield pair[0].fileno(), pair[1].fileno()
    for end in pair:
        end.close()


def described(packet: bytes) -> tuple[Any, ...]:
    """What there is to compare of a packet: its class, its bytes, and its fields."""
    fields = [getattr(packet, field) for field in FIELDS] if isinstance(packet, SuperPacket) else []
    return type(packet), bytes(packet), *fields


# --- reading --------------------------------------------------------------------------------------


@both(read_vnet)
@pytest.mark.parametrize("header", [10, 12, 20])
def test_what_is_finished_is_plain(form: ReadVnet, ends: tuple[int, int], header: int) -> None:
    """Behind a header of zeros comes plain bytes, the header taken off."""
    os.write(ends[0], bytes(header) + b"packet")
    packets, ended, lost = form(ends[1], 64, SIZE, header)
    assert (type(packets[0]), packets, ended, lost) == (bytes, [b"packet"], errno.EAGAIN, 0)


@both(read_vnet)
def test_what_is_to_be_cut_is_a_superpacket(form: ReadVnet, ends: tuple[int, int]) -> None:
    """A header with a GSO type gives a SuperPacket with the header's fields."""
    os.write(ends[0], pack_vnet(TCP) + TCP)
    (packet,) = form(ends[1], 64, SIZE, 10)[0]
    assert described(packet) == described(TCP)


@both(read_vnet)
def test_what_lacks_its_checksum_gets_it(form: ReadVnet, ends: tuple[int, int]) -> None:
    """D13: one packet whose checksum is left to us comes as plain bytes, with its checksum."""
    partial = SuperPacket(UDP, csum_start=20, csum_offset=6, needs_csum=True)
    os.write(ends[0], pack_vnet(partial) + partial)
    (packet,) = form(ends[1], 64, SIZE, 10)[0]
    assert described(packet) == described(complete(partial))


@both(read_vnet)
def test_a_checksum_beyond_the_packet(form: ReadVnet, ends: tuple[int, int]) -> None:
    """Where the checksum would lie beyond the packet, it comes as it is, for who segments to refuse."""
    broken = SuperPacket(b"short", csum_start=4, csum_offset=6, needs_csum=True)
    os.write(ends[0], pack_vnet(broken) + broken)
    (packet,) = form(ends[1], 64, SIZE, 10)[0]
    assert described(packet) == described(broken)


@both(read_vnet)
def test_other_flags_are_left_out(form: ReadVnet, ends: tuple[int, int]) -> None:
    """DATA_VALID, with which the kernel says that it verified the checksum, makes no super-packet."""
    os.write(ends[0], b"\x02" + bytes(9) + b"packet")
    assert type(form(ends[1], 64, SIZE, 10)[0][0]) is bytes


@both(read_vnet)
@pytest.mark.parametrize("limit", [0, 1, 64, 65, 150])
def test_the_limit(form: ReadVnet, ends: tuple[int, int], limit: int) -> None:
    """A batch of the limit is full, which is 0; what is beyond it stays queued."""
    sent = [number.to_bytes(4, "big") for number in range(200)]
    for packet in sent:
        os.write(ends[0], bytes(10) + packet)
    assert form(ends[1], limit, SIZE, 10) == (sent[:limit], 0, 0)
    assert form(ends[1], 201, SIZE, 10) == (sent[limit:], errno.EAGAIN, 0)


@both(read_vnet)
def test_a_batch_of_the_largest_is_short(form: ReadVnet, ends: tuple[int, int]) -> None:
    """Of packets of 64 KiB a batch has as many as surely fit into 256 KiB, and says that it was not the end."""
    sent = [bytes([number]) * 65535 for number in range(5)]
    for packet in sent:
        os.write(ends[0], bytes(10) + packet)
    first = form(ends[1], 64, SIZE, 10)
    assert first == (sent[: ARENA // (SIZE + 10)], 0, 0)
    assert form(ends[1], 64, SIZE, 10) == (sent[len(first[0]) :], errno.EAGAIN, 0)


@both(read_vnet)
@pytest.mark.parametrize("header", [10, 24, 40])
def test_behind_large_super_packets(form: ReadVnet, ends: tuple[int, int], header: int) -> None:
    """What is read after a large super-packet is what it would be after a small one, of any kind and size."""
    large = [SuperPacket(bytes(40) + bytes([number]) * 60000, 1, 1400, 40, 20, 16, True) for number in range(3)]
    lacking = SuperPacket(UDP, needs_csum=True, csum_start=20, csum_offset=6)
    batches: list[list[bytes]] = [
        [large[0]],
        [large[1], UDP, TCP, lacking],
        [lacking, large[2], b""],
        [TCP, UDP],
        [UDP, large[0], TCP],
    ]
    for batch in batches:
        for packet in batch:
            front = pack_vnet(packet, header) if isinstance(packet, SuperPacket) else bytes(header)
            os.write(ends[0], front + packet)
        packets, ended, lost = form(ends[1], 64, SIZE, header)
        assert list(map(described, packets)) == [described(as_read(packet)) for packet in batch]
        assert (ended, lost) == (errno.EAGAIN, 0)


@both(read_vnet)
def test_less_than_a_header_behind_a_large_one(form: ReadVnet, ends: tuple[int, int]) -> None:
    """There too, what is shorter than its header is left out."""
    large = SuperPacket(bytes(60000), 1, 1400, 40, 20, 16, True)
    for packet in (pack_vnet(large, 10) + large, bytes(9), bytes(10) + b"behind"):
        form(ends[1], 64, SIZE, 10)
        os.write(ends[0], packet)
    assert form(ends[1], 64, SIZE, 10) == ([b"behind"], errno.EAGAIN, 0)
    for packet in (pack_vnet(large, 10) + large, bytes(9), bytes(10) + b"behind"):
        os.write(ends[0], packet)
    assert form(ends[1], 64, SIZE, 10) == ([large, b"behind"], errno.EPROTO, 0)


@both(read_vnet)
def test_less_than_a_header(form: ReadVnet, ends: tuple[int, int]) -> None:
    """What is shorter than its header is left out, and EPROTO says so; those around it come."""
    for packet in (bytes(10) + b"before", bytes(9), bytes(10) + b"behind"):
        os.write(ends[0], packet)
    assert form(ends[1], 64, SIZE, 10) == ([b"before", b"behind"], errno.EPROTO, 0)


@both(read_vnet)
def test_an_error_keeps_its_errno(form: ReadVnet) -> None:
    """What the system call refuses is told by its errno."""
    assert form(-1, 64, SIZE, 10) == ([], errno.EBADF, 0)


@both(read_vnet)
@pytest.mark.parametrize("arguments", [("fd", 1, 1, 10), (0, "limit", 1, 10), (0, 1, "size", 10), (0, 1, 1)])
def test_reading_with_wrong_arguments(form: Any, arguments: Any) -> None:
    """Arguments of other types, or another number of them, are a TypeError."""
    with pytest.raises(TypeError):
        form(*arguments)


def test_no_memory_ends_a_batch() -> None:
    """Where Python has no memory for a packet the batch ends with ENOMEM."""

    def read(fd: int, size: int) -> bytes:
        raise MemoryError

    assert reading_vnet_by(read)(0, 64, SIZE, 10) == ([], errno.ENOMEM, 0)


# --- writing --------------------------------------------------------------------------------------


@both(write_vnet)
@pytest.mark.parametrize("header", [10, 12, 20])
def test_packets_are_written_behind_their_headers(form: WriteVnet, ends: tuple[int, int], header: int) -> None:
    """X3: each packet has a header of its own: zeros for plain bytes, also behind a super-packet."""
    batch = [b"before", TCP, b"behind"]
    assert form(ends[0], batch, header) == (3, 0)
    assert [os.read(ends[1], SIZE) for _ in batch] == [pack_vnet(packet, header) + packet for packet in batch]


@both(write_vnet)
def test_more_than_one_pass(form: WriteVnet, ends: tuple[int, int]) -> None:
    """A batch of more than 64 is written in order."""
    batch = [number.to_bytes(4, "big") for number in range(150)]
    assert form(ends[0], tuple(batch), 10) == (150, 0)
    assert [os.read(ends[1], SIZE)[10:] for _ in batch] == batch


@both(write_vnet)
def test_no_room(form: WriteVnet, ends: tuple[int, int]) -> None:
    """EAGAIN says that there was no room, and how many there was room for."""
    batch = [bytes(65535)] * 100
    written, ended = form(ends[0], batch, 10)
    assert ended == errno.EAGAIN
    assert [len(os.read(ends[1], 2 * SIZE)) for _ in range(written)] == [65545] * written
    with pytest.raises(BlockingIOError):
        os.read(ends[1], 1)


@both(write_vnet)
@pytest.mark.parametrize("field", ["gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset"])
@pytest.mark.parametrize("number", [-1, 1 << 16, 1 << 80])
def test_a_field_without_room(form: WriteVnet, ends: tuple[int, int], field: str, number: int) -> None:
    """A field that does not fit into the header is EINVAL, and what stands before is written."""
    wrong = SuperPacket(b"wrong")
    setattr(wrong, field, number)
    assert form(ends[0], [b"before", wrong, b"behind"], 10) == (1, errno.EINVAL)
    assert os.read(ends[1], SIZE) == bytes(10) + b"before"


TUNNEL = SuperPacket(b"inside", 0x21, 7, 6, 5, 4, True, False, 3, 2, True)
TUNNEL_HEADER = bytes((9, 0x21, 6, 0, 7, 0, 5, 0, 4, 0)) + bytes(10) + bytes((3, 0, 2, 0))


@both(write_vnet)
@pytest.mark.parametrize("header", [24, 26])
def test_a_tunnel_is_written(form: WriteVnet, ends: tuple[int, int], header: int) -> None:
    """The offsets of a tunnel are 20 bytes into the header, and what a longer one has behind them is zero."""
    assert form(ends[0], [TUNNEL, b"plain"], header) == (2, 0)
    assert os.read(ends[1], SIZE) == TUNNEL_HEADER + bytes(header - 24) + b"inside"
    assert os.read(ends[1], SIZE) == bytes(header) + b"plain"


@both(write_vnet)
@pytest.mark.parametrize("header", [10, 12, 23])
def test_a_tunnel_without_room(form: WriteVnet, ends: tuple[int, int], header: int) -> None:
    """A super-packet in a tunnel is EINVAL where the header has no room for its offsets."""
    assert form(ends[0], [b"before", TUNNEL], header) == (1, errno.EINVAL)


@both(write_vnet)
@pytest.mark.parametrize("field", ["outer_th_offset", "inner_nh_offset"])
@pytest.mark.parametrize("number", [-1, 1 << 16, 1 << 80])
def test_an_offset_without_room(form: WriteVnet, ends: tuple[int, int], field: str, number: int) -> None:
    """An offset that takes more than 16 bits is EINVAL."""
    wrong = SuperPacket(b"wrong", 0x21)
    setattr(wrong, field, number)
    assert form(ends[0], [wrong], 24) == (0, errno.EINVAL)


@both(read_vnet)
@pytest.mark.parametrize(("header", "offsets"), [(24, (3, 2, True)), (26, (3, 2, True)), (23, (0, 0, False))])
def test_a_tunnel_is_read(form: ReadVnet, ends: tuple[int, int], header: int, offsets: tuple[int, int, bool]) -> None:
    """The offsets of a tunnel are read where the header has them."""
    os.write(ends[1], (TUNNEL_HEADER + bytes(2))[:header] + b"inside")
    ((packet,), _, _) = form(ends[0], 1, SIZE, header)
    assert isinstance(packet, SuperPacket)
    assert (packet, packet.gso_type) == (b"inside", 0x21)
    assert (packet.outer_th_offset, packet.inner_nh_offset, packet.tunnel_csum) == offsets


@both(write_vnet)
def test_writing_to_no_device(form: WriteVnet) -> None:
    """What the system call refuses is told by its errno."""
    assert form(-1, [b"packet"], 10) == (0, errno.EBADF)


@both(write_vnet)
def test_an_empty_batch(form: WriteVnet) -> None:
    """An empty batch is written whole, whatever the descriptor."""
    assert form(-1, [], 10) == (0, 0)


def test_a_part_of_a_packet() -> None:
    """A device that takes a part of a packet is EPROTO, and the packet is not counted."""
    assert writing_vnet_by(lambda fd, parts: 3)(0, [b"packet"], 10) == (0, errno.EPROTO)


# --- both -----------------------------------------------------------------------------------------

words = st.integers(0, 0xFFFF)
plain = st.binary(max_size=200)
supers = st.builds(
    SuperPacket,
    plain,
    gso_type=st.integers(0, 255),
    gso_size=words,
    hdr_len=words,
    csum_start=words,
    csum_offset=words,
    needs_csum=st.booleans(),
    outer_th_offset=words,
    inner_nh_offset=words,
    tunnel_csum=st.booleans(),
)


large = st.binary(min_size=60, max_size=100).map(lambda packet: SuperPacket(packet * 600, gso_type=1, gso_size=1400))


@given(st.lists(plain | supers | large, max_size=80))
def test_what_is_written_is_read(batch: list[bytes]) -> None:
    """Random packets and super-packets come out of every form of reading as every form of writing put them in."""
    for write in (form.values[0] for form in forms(write_vnet)):
        for read in (form.values[0] for form in forms(read_vnet)):
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with near, far:
                near.setblocking(False)
                far.setblocking(False)
                done = 0
                came: list[bytes] = []
                while len(came) < len(batch):
                    done += write(near.fileno(), batch[done:], 24)[0]
                    came += read(far.fileno(), 100, SIZE, 24)[0]
            assert list(map(described, came)) == [described(as_read(packet)) for packet in batch]


def as_read(packet: bytes) -> bytes:
    """What a header tells of the packet: no fixed_id, and no checksum left to do where there is nothing to cut."""
    told = parse_vnet(pack_vnet(packet, 24) + packet, 24)
    if not isinstance(told, SuperPacket) or told.gso_type:
        return told
    try:
        return complete(told)
    except PacketError:
        return told

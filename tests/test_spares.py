"""Bytes that nobody has any more are taken again for the next packets, and nobody can tell."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twins import both, only_c

from aiotun.linux.calls import ReadBatch, read_batch
from aiotun.offload import coalesce, segment
from aiotun.packet import TCP, GSOType, IPv4, SuperPacket

SIZE = 65536
HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

Carry = Callable[..., list[bytes]]


@pytest.fixture
def carry() -> Iterator[Carry]:
    """Let packets go through a socket that keeps them apart, and be read as a batch."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    near.setblocking(False)
    far.setblocking(False)

    def carry(form: ReadBatch, *packets: bytes) -> list[bytes]:
        for packet in packets:
            os.write(near.fileno(), packet)
        return form(far.fileno(), 64, SIZE)[0]

    yield carry
    near.close()
    far.close()


@both(read_batch)
def test_what_was_kept_stays_as_it_was(form: ReadBatch, carry: Carry) -> None:
    """Of thousands of packets some are kept, in any order and for any time: none of them ever changes."""
    source = random.Random(7)
    kept: list[tuple[bytes, bytearray]] = []
    for _ in range(500):
        batch = carry(form, *(source.randbytes(source.choice((1, 2, 40, 1500, 2048, 3000))) for _ in range(12)))
        kept += [(packet, bytearray(packet)) for packet in batch if source.random() < 0.3]
        for _ in range(3):
            if kept:
                kept.pop(source.randrange(len(kept)))
    assert all(packet == copy for packet, copy in kept)


def test_segments_that_were_kept_stay_as_they_were() -> None:
    """So it is with what super-packets are cut into."""
    source = random.Random(8)
    kept: list[tuple[bytes, bytearray]] = []
    for _ in range(300):
        segments = segment(super_packet(source.randbytes(source.randrange(2000, 30000)), source.randrange(300, 2500)))
        kept += [(packet, bytearray(packet)) for packet in segments if source.random() < 0.2]
        del kept[: source.randrange(3)]
    assert all(packet == copy for packet, copy in kept)


@both(read_batch)
def test_the_hash_is_that_of_the_packet(form: ReadBatch, carry: Carry) -> None:
    """A packet in memory that had another one, whose hash was asked for, has its own."""
    first = carry(form, b"first packet")
    hash(first[0])
    del first
    assert hash(carry(form, b"other packet")[0]) == hash(b"other packet")


@both(read_batch)
def test_a_shorter_packet_ends_where_it_ends(form: ReadBatch, carry: Carry) -> None:
    """Behind a packet is the NUL that those look for who read bytes as text, not what was there before."""
    carry(form, b"123456")
    assert int(carry(form, b"12")[0]) == 12


@both(read_batch)
def test_a_longer_packet_has_room(form: ReadBatch, carry: Carry) -> None:
    """Where the memory is too small for the next packet, that gets its own."""
    carry(form, b"12", b"34")
    assert carry(form, b"5" * 1500, b"6" * 2000) == [b"5" * 1500, b"6" * 2000]


@only_c
@pytest.mark.skipif(not HAS_GIL, reason="without the GIL nobody can tell whose the bytes are")
def test_what_nobody_has_is_taken_again(carry: Carry) -> None:
    """A batch that went is the memory of the next."""
    batch = carry(read_batch, b"one", b"two")
    places = [id(packet) for packet in batch]
    del batch
    assert [id(packet) for packet in carry(read_batch, b"six", b"ten")] == places


@only_c
@pytest.mark.skipif(not HAS_GIL, reason="without the GIL nobody can tell whose the bytes are")
def test_what_is_large_is_given_back(carry: Carry) -> None:
    """Bytes of more than 2048 are not kept: half a MiB is what all spares may take."""
    packet, other = carry(read_batch, bytes(3000))[0], bytes(3000)
    assert sys.getrefcount(packet) == sys.getrefcount(other)


# --- large super-packets --------------------------------------------------------------------------


def merged(source: random.Random, size: int = 60000) -> SuperPacket:
    """One that coalesce() makes."""
    [packet] = coalesce(segment(super_packet(source.randbytes(size), 1400)))
    assert isinstance(packet, SuperPacket)
    return packet


def test_super_packets_that_were_kept_stay_as_they_were() -> None:
    """Of hundreds of large super-packets some are kept: neither their bytes nor their fields ever change."""
    source = random.Random(9)
    kept: list[tuple[SuperPacket, bytearray, dict[str, object]]] = []
    for _ in range(300):
        packet = merged(source, source.randrange(20000, 64000))
        if source.random() < 0.2:
            kept.append((packet, bytearray(packet), dict(vars(packet))))
        del kept[: source.randrange(2)]
    assert all(bytes(packet) == bytes(copy) and vars(packet) == fields for packet, copy, fields in kept)


def test_a_super_packet_has_its_own_hash_and_nobody_elses_attributes() -> None:
    """What was asked of one, or written on it, is not found on the next in its memory."""
    source = random.Random(10)
    packet: Any = merged(source)
    hash(packet)
    packet.mark = "somebody's"
    del packet
    other = merged(source)
    assert (hash(other), hasattr(other, "mark")) == (hash(bytes(other)), False)


@only_c
@pytest.mark.skipif(not HAS_GIL, reason="without the GIL nobody can tell whose the bytes are")
def test_a_large_super_packet_that_nobody_has_is_taken_again() -> None:
    """To have 64 KiB from the system anew for each is a page fault for every 4."""
    packet = merged(random.Random(11))
    place = id(packet)
    del packet
    assert id(merged(random.Random(12))) == place


@only_c
@pytest.mark.skipif(not HAS_GIL, reason="without the GIL nobody can tell whose the bytes are")
def test_sixteen_large_super_packets_are_kept() -> None:
    """A hundred at a time are a hundred, of which 16, a MiB, stay for others."""
    packets = [merged(random.Random(13)) for _ in range(100)]
    assert len({id(packet) for packet in packets}) == 100
    counts = [sys.getrefcount(packet) for packet in packets]
    assert sorted(set(counts)) == [min(counts), min(counts) + 1]
    assert counts.count(max(counts)) == 16


def super_packet(payload: bytes, gso_size: int) -> SuperPacket:
    ends = "10.0.0.1", "10.0.0.2"
    packet = IPv4(*ends, 6, TCP(1, 2, payload, flags=0x10).build(*ends)).build()
    return SuperPacket(packet, GSOType.TCPV4, gso_size, 40, 20, 16, False)

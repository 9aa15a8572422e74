"""Tests of benchmarks/c/trains.h: the C reference merges what aiotun.offload merges, so that they may be compared."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Iterator

import pytest
from rig.commands import c

from aiotun.offload import coalesce
from aiotun.packet import TCP, UDP, IPv4, IPv6, SuperPacket

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the C references need a compiler")

ENDS = {4: ("10.0.0.1", "10.0.0.2"), 6: ("fd00::1", "fd00::2")}
TIMESTAMPS = b"\x01\x01\x08\x0a" + bytes(8)
ALONE = (0, 0, 0, 0, 0, 0)
"""The virtio_net_hdr of a packet that was not merged."""

Train = tuple[tuple[int, ...], bytes]
"""A virtio_net_hdr's fields and the packet behind it."""


class Flow:
    """A stream of TCP whose packets follow each other, but for now and then."""

    def __init__(self, chance: random.Random, port: int) -> None:
        self.chance, self.port = chance, port
        self.version = chance.choice((4, 6))
        self.size = chance.choice((1, 7, 100, 1400))
        self.seq = chance.choice((0, 77, 2**32 - 3000))
        self.identification = chance.choice((0, 5, 65530))
        self.counts = chance.random() < 0.7
        self.dont_fragment = not self.counts or chance.random() < 0.5

    def now_and_then(self, often: int, rarely: int) -> int:
        return often if self.chance.random() < 0.97 else rarely

    def packet(self) -> bytes:
        """Return the next one: one in thirty differs in some field."""
        payload = self.chance.randbytes(self.chance.choice((self.size,) * 9 + (0, 1, self.size + 3)))
        seq = self.now_and_then(self.seq, 12345)
        self.seq = (seq + len(payload)) % 2**32
        segment = TCP(
            self.port,
            80,
            payload,
            seq=seq,
            ack=self.now_and_then(1, 2),
            flags=self.now_and_then(0x10, self.chance.choice((0x18, 0x11, 0x50, 0x90, 0x02))),
            options=TIMESTAMPS if self.now_and_then(1, 0) else b"",
            window=self.now_and_then(100, 101),
        ).build(*ENDS[self.version])
        segment = segment[:-1] + bytes([segment[-1] ^ self.now_and_then(0, 1)])
        if self.version == 6:
            return IPv6(*ENDS[6], 6, segment).build()
        number, self.identification = self.identification, (self.identification + self.counts) % 2**16
        ttl = self.now_and_then(64, 63)
        return IPv4(*ENDS[4], 6, segment, identification=number, ttl=ttl, dont_fragment=self.dont_fragment).build()


def batch(seed: int) -> list[bytes]:
    """Return packets of a few flows, mixed, with a datagram among them."""
    chance = random.Random(seed)
    flows = [Flow(chance, 1000 + number) for number in range(chance.randint(1, 4))]
    packets = [chance.choice(flows).packet() for _ in range(chance.randint(1, 80))]
    datagram = IPv4(*ENDS[4], 17, UDP(1000, 80, b"not TCP").build(*ENDS[4])).build()
    packets.insert(chance.randrange(len(packets)), datagram)
    return packets


def by_the_reference(packets: list[bytes]) -> Iterator[Train]:
    command = c("merge")
    told = b"".join(struct.pack("=H", len(packet)) + packet for packet in packets)
    trains = subprocess.run(command.words, input=told, capture_output=True, check=True).stdout
    at = 0
    while at < len(trains):
        size, *header = struct.unpack_from("=IBBHHHH", trains, at)
        at += 14
        yield tuple(header), trains[at : at + size]
        at += size


def by_us(packets: list[bytes]) -> Iterator[Train]:
    for packet in coalesce(packets):
        if isinstance(packet, SuperPacket):
            offsets = packet.hdr_len, packet.gso_size, packet.csum_start, packet.csum_offset
            yield (int(packet.needs_csum), int(packet.gso_type), *offsets), bytes(packet)
        else:
            yield ALONE, packet


@pytest.mark.parametrize("seed", range(12))
def test_the_c_reference_merges_what_we_merge(seed: int) -> None:
    """The same batch becomes the same packets with the same headers, byte for byte, in the same order."""
    packets = batch(seed)
    assert list(by_the_reference(packets)) == list(by_us(packets))

"""The port of a device with offload, on a real device, and with the system calls' answers injected."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiotun import DeviceDown, DeviceError
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.linux.offload_port import OffloadPort
from aiotun.linux.terms import Terms
from aiotun.linux.tunopen import open_device
from aiotun.linux.worker import in_thread
from aiotun.offload import coalesce, segment
from aiotun.packet import TCP, UDP, IPv4, SuperPacket, pack_vnet

pytestmark = pytest.mark.kernel

ALL = frozenset(("tso", "uso", "tcp_gro", "udp_gro"))
ETH_P_IP = 0x0800
SRC, DST = "192.0.2.1", "198.51.100.1"


def tcp(number: int, size: int = 100) -> bytes:
    segment = TCP(1, 2, number.to_bytes(2, "big") * (size // 2), seq=number * size, ack=1, flags=0x10)
    return IPv4(SRC, DST, 6, segment.build(SRC, DST), identification=number).build()


def udp(number: int, size: int = 100) -> bytes:
    return IPv4(SRC, DST, 17, UDP(1, 2, bytes(size)).build(SRC, DST), identification=number).build()


def merged(packets: Sequence[bytes]) -> SuperPacket:
    (packet,) = coalesce(packets)
    assert isinstance(packet, SuperPacket)
    return packet


TCP_PACKETS = [tcp(number) for number in range(8)]
UDP_PACKETS = [udp(number) for number in range(8)]
TCP_SUPER, UDP_SUPER = merged(TCP_PACKETS), merged(UDP_PACKETS)
PLAIN = udp(99)


class Written:
    """A device that takes packets, but for those that are refused; what it took is behind its header, in order."""

    def __init__(self, refuses: Callable[[bytes, bytes], int] = lambda header, packet: 0) -> None:
        self.packets: list[bytes] = []
        self.refuses = refuses

    def __call__(self, fd: int, parts: Sequence[bytes]) -> int:
        header, packet = parts
        code = self.refuses(header, packet)
        if code:
            raise OSError(code, os.strerror(code))
        self.packets.append(packet)
        return len(header) + len(packet)


class After:
    """A refusal of every packet behind the first few."""

    def __init__(self, left: int, code: int) -> None:
        self.left = left
        self.code = code

    def __call__(self, header: bytes, packet: bytes) -> int:
        self.left -= 1
        return self.code if self.left < 0 else 0


def gso(header: bytes, packet: bytes) -> int:
    """What a kernel says that offers offload and does not take it."""
    return errno.EINVAL if header[1] else 0


@asynccontextmanager
async def port(features: frozenset[str] = ALL, **calls: Any) -> AsyncIterator[OffloadPort]:
    """Open a real tun whose system calls may be replaced."""
    file = await in_thread(lambda: open_device("tun", "port%d", terms=Terms(offload=ALL)))
    opened = OffloadPort(file, **calls)
    opened.device.offload = features
    try:
        yield opened
    finally:
        await opened.aclose()


def reads(*packets: bytes) -> Callable[[int, int], bytes]:
    """Return a read() that gives these packets behind their headers, then nothing."""
    left = [pack_vnet(packet) + packet for packet in packets]

    def read(fd: int, size: int) -> bytes:
        if not left:
            raise BlockingIOError
        return left.pop(0)

    return read


# --- receiving ------------------------------------------------------------------------------------


async def test_superpackets_come_whole_where_they_are_asked_for() -> None:
    """read_whole() gives a super-packet as one packet."""
    async with port(read=reads(PLAIN, TCP_SUPER)) as opened:
        assert opened.read_whole(64) == [PLAIN, TCP_SUPER]


async def test_one_superpacket_is_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The readiness is told of as many packets as the bytes fill: of a super-packet many, of small packets none."""
    told: list[int] = []
    monkeypatch.setattr(ModeratedReadiness, "emptied", lambda readiness, packets: told.append(packets))
    whole = merged([tcp(number, 1400) for number in range(4)])
    for packets in ([whole], [tcp(0), tcp(1)]):
        async with port(read=reads(*packets)) as opened:
            opened.read_whole(64)
    assert told == [len(whole) // 1400, 0]


async def test_otherwise_they_come_as_what_they_stand_for() -> None:
    """read_many() gives finished packets, those of a super-packet in its place."""
    async with port(read=reads(PLAIN, TCP_SUPER, PLAIN)) as opened:
        assert opened.read_many(64) == [PLAIN, *TCP_PACKETS, PLAIN]


async def test_a_limit_within_a_superpacket() -> None:
    """X16: a limit smaller than a super-packet's segments gives them in parts, and ``more`` says so."""
    async with port(read=reads(TCP_SUPER, PLAIN)) as opened:
        assert (opened.read_many(3), opened.more) == (TCP_PACKETS[:3], True)
        assert (opened.read_many(5), opened.more) == (TCP_PACKETS[3:], True)
        assert (opened.read_many(5), opened.more) == ([PLAIN], False)
        assert opened.read_many(5) == []


async def test_what_is_left_of_one_comes_first() -> None:
    """read_whole() after read_many() first gives the segments that are left."""
    async with port(read=reads(TCP_SUPER)) as opened:
        opened.read_many(3)
        assert opened.read_whole(64) == TCP_PACKETS[3:]


async def test_a_batch_that_ends_for_want_of_room_is_not_the_end() -> None:
    """After a batch that is short because it was long in bytes, ``more`` says that more may be there."""
    large = merged([tcp(number, 1000) for number in range(60)])
    async with port(read=reads(*[large] * 5)) as opened:
        batch = opened.read_whole(64)
        assert (opened.more, len(batch)) == (True, 4)
        assert (len(opened.read_whole(64)), opened.more) == (1, False)


async def test_what_cannot_be_cut_is_counted() -> None:
    """A super-packet that cannot be cut is dropped, counted by its reason, and those behind it come."""
    broken = SuperPacket(TCP_SUPER, 1, 0, 40, 20, 16, True)
    async with port(read=reads(broken, PLAIN)) as opened:
        assert opened.read_many(64) == [PLAIN]
        counters = opened.counters()
        assert counters is not None
        assert counters.dropped == {"bad_gso_size": 1}


async def test_nothing_but_what_cannot_be_cut() -> None:
    """Where nothing is left of a batch the next one is read at once."""
    broken = SuperPacket(TCP_SUPER, 1, 0, 40, 20, 16, True)
    async with port(read=reads(broken)) as opened:
        assert opened.read_many(64) == []


# --- sending --------------------------------------------------------------------------------------


async def test_superpackets_are_written_whole() -> None:
    """What is on is written in one piece."""
    written = Written()
    async with port(write=written) as opened:
        assert opened.write_many([PLAIN, TCP_SUPER, UDP_SUPER]) == 3
        assert written.packets == [PLAIN, TCP_SUPER, UDP_SUPER]


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        (ALL - {"tcp_gro"}, [PLAIN, *TCP_PACKETS, UDP_SUPER, PLAIN]),
        (ALL - {"udp_gro"}, [PLAIN, TCP_SUPER, *UDP_PACKETS, PLAIN]),
        (frozenset(), [PLAIN, *TCP_PACKETS, *UDP_PACKETS, PLAIN]),
    ],
)
async def test_X6_what_is_off_is_cut(features: frozenset[str], expected: list[bytes]) -> None:
    """X6: a kind that is switched off is written as the packets it stands for, in its place."""
    written = Written()
    async with port(features, write=written) as opened:
        assert opened.write_many([PLAIN, TCP_SUPER, UDP_SUPER, PLAIN]) == 4
        assert written.packets == expected


async def test_X5_a_refusal_loses_nothing() -> None:
    """X4, X5: a super-packet that the kernel refuses is written as packets at once, and the batch goes on."""
    written = Written(gso)
    async with port(write=written) as opened:
        assert opened.write_many([PLAIN, TCP_SUPER, UDP_SUPER, PLAIN]) == 4
        assert written.packets == [PLAIN, *TCP_PACKETS, *UDP_PACKETS, PLAIN]


async def test_X4_a_refusal_is_remembered() -> None:
    """X4: after a refusal those of its kind are cut without being tried, and it is said why."""
    tried: list[int] = []

    def refuses(header: bytes, packet: bytes) -> int:
        tried.append(header[1])
        return gso(header, packet)

    async with port(write=Written(refuses)) as opened:
        opened.write_many([TCP_SUPER, TCP_SUPER])
        assert tried == [1, *[0] * 16]
        assert opened.offload == ALL - {"tcp_gro"}
        assert opened.capabilities.off["tcp_gro"] == "the kernel refused to take one: EINVAL"


async def test_a_refusal_of_the_packet_itself() -> None:
    """Where the kernel refuses the segments too it is the packet's fault: an error, and nothing is switched off."""
    async with port(write=Written(lambda header, packet: errno.EINVAL)) as opened:
        with pytest.raises(DeviceError, match="cannot send: Invalid argument"):
            opened.write_many([TCP_SUPER])
        assert opened.offload == ALL


async def test_no_room_within_a_superpacket() -> None:
    """Where room ends within what is cut, the next write goes on there: each segment is written once."""
    full = After(3, errno.EAGAIN)
    written = Written(full)
    async with port(frozenset(), write=written) as opened:
        assert opened.write_many([TCP_SUPER, PLAIN]) == 0
        full.left = 100
        assert opened.write_many([TCP_SUPER, PLAIN]) == 2
        assert written.packets == [*TCP_PACKETS, PLAIN]


async def test_what_was_begun_and_given_up() -> None:
    """Where the sender does not come back with what was begun, the rest of it is not written."""
    full = After(3, errno.EAGAIN)
    written = Written(full)
    async with port(frozenset(), write=written) as opened:
        opened.write_many([TCP_SUPER])
        full.left = 100
        assert opened.write_many([PLAIN]) == 1
        assert written.packets == [*TCP_PACKETS[:3], PLAIN]


async def test_a_checksum_that_the_kernel_refuses_is_finished() -> None:
    """One packet without its checksum that is refused is written with it."""
    (packet,) = [SuperPacket(PLAIN[:26] + b"\0\0" + PLAIN[28:], csum_start=20, csum_offset=6, needs_csum=True)]
    written = Written(lambda header, packet: errno.EINVAL if header[0] else 0)
    async with port(write=written) as opened:
        assert opened.write_many([packet]) == 1
        assert [type(packet) for packet in written.packets] == [bytes]
        assert opened.offload == ALL


async def test_an_error_says_what_went_before() -> None:
    """An error within a batch says how many packets went, super-packets counted as one."""
    down = Written(lambda header, packet: errno.EIO if packet == PLAIN else 0)
    async with port(frozenset(), write=down) as opened:
        with pytest.raises(DeviceDown) as caught:
            opened.write_many([TCP_SUPER, UDP_SUPER, PLAIN])
        assert caught.value.sent == 2


async def test_X16_small_segments_give_the_loop_its_turn() -> None:
    """X16, E17: of a super-packet that stands for thousands of packets one call writes 1024; the next goes on there."""
    many = SuperPacket(TCP_SUPER[:40] + bytes(3000), 1, 1, 40, 20, 16, True)
    many = SuperPacket(many[:2] + len(many).to_bytes(2, "big") + many[4:], 1, 1, 40, 20, 16, True)
    written = Written()
    async with port(frozenset(), write=written) as opened:
        assert opened.write_many([PLAIN, many, PLAIN]) == 1
        assert len(written.packets) == 1 + 1024
        assert [opened.write_many([many, PLAIN]) for _ in range(2)] == [0, 2]
        assert len(written.packets) == 1 + 3000 + 1


async def test_what_failed_half_way_is_forgotten() -> None:
    """After an error within what was cut, the same super-packet sent again is written whole."""
    fails = After(3, errno.EIO)
    written = Written(fails)
    async with port(frozenset(), write=written) as opened:
        with pytest.raises(DeviceDown):
            opened.write_many([TCP_SUPER])
        fails.left = 100
        assert opened.write_many([TCP_SUPER]) == 1
        assert written.packets == [*TCP_PACKETS[:3], *TCP_PACKETS]


async def test_a_full_read_is_not_the_end() -> None:
    """``more`` says that a device that was not read empty may have more, however few of it were asked for."""
    async with port(read=reads(TCP_SUPER, TCP_SUPER)) as opened:
        assert (opened.read_many(1), opened.more) == (TCP_PACKETS[:1], True)
        assert (len(opened.read_many(20)), opened.more) == (7, True)
        assert (len(opened.read_many(20)), opened.more) == (8, False)


async def test_what_is_left_can_be_taken() -> None:
    """read_left() gives the segments that were not given away, once."""
    async with port(read=reads(TCP_SUPER)) as opened:
        opened.read_many(3)
        assert (opened.read_left(), opened.read_left()) == (TCP_PACKETS[3:], [])


# --- a real device --------------------------------------------------------------------------------


async def test_capabilities_follow_the_switches() -> None:
    """What is granted is what is on now."""
    async with port() as opened:
        assert {"TUN_F_TSO4", "TUN_F_USO6", "IFF_VNET_HDR"} <= opened.capabilities.granted
        opened.device.offload = ["tso"]
        assert "TUN_F_USO6" not in opened.capabilities.granted
        assert opened.capabilities.off["TUN_F_USO6"] == "not asked for"


async def test_the_kernel_takes_superpackets() -> None:
    """A super-packet that is written enters the stack as one packet."""
    async with port() as opened:
        subprocess.run(["ip", "link", "set", opened.name, "up"], check=True)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP)) as sniffer:
            sniffer.bind((opened.name, ETH_P_IP))
            sniffer.settimeout(10)
            assert opened.write_many([TCP_SUPER]) == 1
            assert sniffer.recv(1 << 16) == TCP_SUPER


def test_segments_are_what_was_merged() -> None:
    """The packets of these tests are what segment() makes of their super-packets."""
    assert (segment(TCP_SUPER), segment(UDP_SUPER)) == (TCP_PACKETS, UDP_PACKETS)

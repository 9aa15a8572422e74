"""Rows X6 to X12 and D15 to D18 of the fault catalogue: trains of datagrams, and what kernels do to them."""

from __future__ import annotations

import array
import errno
import fcntl
import socket
import struct
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from aiotun.channel import open_udp, open_udp_pair
from aiotun.channel.udp_datagrams import RECEIVE_SIZE, TRAIN, UDP_GRO, recv_datagrams, send_datagrams

from .scene import ip

pytestmark = pytest.mark.kernel


@pytest.fixture
def device() -> Iterator[str]:
    """A device whose other end is in the same place, with an address and a neighbour."""
    ip("link", "add", "trains0", "type", "veth", "peer", "trains1")
    try:
        for name in ("trains0", "trains1"):
            ip("link", "set", name, "up")
        ip("address", "add", "10.79.0.1/24", "dev", "trains0")
        ip("neighbor", "add", "10.79.0.2", "lladdr", "02:00:00:00:00:02", "dev", "trains0")
        yield "trains0"
    finally:
        subprocess.run(["ip", "link", "delete", "trains0"], check=True)


def no_checksums(device: str) -> None:
    """Switch off a device's checksums, as ``ethtool -K device tx off`` does (linux/ethtool.h, ETHTOOL_STXCSUM)."""
    value = array.array("I", [0x17, 0])
    request = struct.pack("16sP16x", device.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, 0x8946, request)


async def test_X6_and_X7_both_kinds_of_trains_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs a program on a kernel that damages trains switches them off, each by itself, and it is said so."""
    monkeypatch.setenv("AIOTUN_UDP_GSO", "0")
    one, other = await open_udp_pair(gso=True, gro=True)
    async with one, other:
        assert (one.gso, one.gro, one.capabilities.off) == (False, True, {"UDP_SEGMENT": "AIOTUN_UDP_GSO is 0"})
        await one.send_many([bytes(1000)] * 10)
        with socket.socket(fileno=other.detach_fd()) as sock:
            assert [len(sock.recv(RECEIVE_SIZE)) for _ in range(10)] == [1000] * 10


async def test_X10_and_X11_what_a_kernel_lacks_is_left_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel that does not have them a channel opens, carries packets, and says what is off and why."""

    class Older(socket.socket):
        def setsockopt(self, level: int, *option: Any) -> None:
            self.refuse(level)
            super().setsockopt(level, *option)

        def getsockopt(self, level: int, *option: Any) -> Any:
            self.refuse(level)
            return super().getsockopt(level, *option)

        def refuse(self, level: int) -> None:
            if level == socket.IPPROTO_UDP:
                raise OSError(errno.ENOPROTOOPT, "Protocol not available")

    monkeypatch.setattr(socket, "socket", Older)
    one, other = await open_udp_pair(gro=True)
    async with one, other:
        why = "the kernel does not have it: Protocol not available"
        assert one.capabilities.off == {"UDP_SEGMENT": why, "UDP_GRO": why}
        await one.send_many([b"12345"] * 3)
        assert await other.recv_many() == [b"12345"] * 3


async def test_X12_a_train_that_the_device_refuses_goes_one_by_one(device: str) -> None:
    """Over a device that makes no checksums trains are refused or cut up, and every datagram goes out all the same."""
    no_checksums(device)
    async with open_udp(None, ("10.79.0.2", 9)) as channel:
        await channel.send_many([bytes(1000)] * 10)
        told = channel.statistics().interface
        assert told is not None
        assert (told.ipackets, told.dropped) == (10, {})


def test_D17_what_the_kernel_refuses_of_trains() -> None:
    """129 segments are EINVAL, and 65508 bytes EMSGSIZE: we send 64, and 65507, at most."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.bind(("127.0.0.1", 0))
        sock.connect(other.getsockname())

        def train(size: int, total: int) -> int:
            return sock.sendmsg([bytes(total)], [(socket.IPPROTO_UDP, 103, size.to_bytes(2, "little"))])

        for size, total, code in ((1, 129, errno.EINVAL), (1400, 65508, errno.EMSGSIZE)):
            with pytest.raises(OSError) as caught:
                train(size, total)
            assert caught.value.errno == code
        assert (train(1, 64), train(1400, TRAIN)) == (64, TRAIN)


def test_D16_a_plain_receive_takes_a_train_for_one() -> None:
    """On a socket with UDP_GRO a plain recv() returns a train in one piece; recv_datagrams() parts it (D15)."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.bind(("127.0.0.1", 0))
        other.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        other.setblocking(False)
        one.connect(other.getsockname())
        for _ in range(2):
            send_datagrams(one, [(None, None, [bytes(500)] * 2 + [bytes(50)])], TRAIN)
        assert len(other.recv(RECEIVE_SIZE)) == 1050
        runs = recv_datagrams(other, 64, RECEIVE_SIZE, False, True)[0]
        assert [len(datagram) for datagram in runs[0][2]] == [500, 500, 50]


async def test_D18_trains_of_equal_datagrams_can_be_switched_off() -> None:
    """Where trains of equal datagrams are damaged, gso = False sends the same batch one by one, at once."""
    one, other = await open_udp_pair(gro=True)
    async with one, other:
        one.gso = False
        batch = [bytes([number]) * 100 for number in range(64)]
        await one.send_many(batch)
        received: list[bytes] = []
        while len(received) < 64:
            received += await other.recv_many()
        assert (received, one.gso) == (batch, False)

"""TCP and UDP through a VXLAN over a tun or a tap with offload: handed out whole, and cut as the kernel cuts."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from offload import packets as p
from offload.rig import kernel

import aiotun
from aiotun.endpoint import Tap, Tun
from aiotun.linux.constants import INT, TUNSETOFFLOAD, TUNSETVNETHDRSZ
from aiotun.offload import segment
from aiotun.packet import GSO_UDP_TUNNEL_IPV4, GSO_UDP_TUNNEL_IPV6, GSOType, SuperPacket

from .vxlan import UDP_SEGMENT, connected, needs_tunnels, send_train, vxlan

pytestmark = pytest.mark.kernel

UDP = int(GSOType.UDP_L4)
TUNNEL = {4: GSO_UDP_TUNNEL_IPV4, 6: GSO_UDP_TUNNEL_IPV6}


@asynccontextmanager
async def opened(make: Any = aiotun.open_tun, **options: Any) -> AsyncIterator[Any]:
    async with make("off%d", address=["10.9.0.1/24", "fd09::1/64"], mtu=9000, **options) as endpoint:
        yield endpoint


async def whole(endpoint: Tun | Tap) -> SuperPacket:
    """Receive up to the first super-packet that is to be cut."""
    while True:
        for packet in await endpoint.recv_many(superpackets=True):
            if isinstance(packet, SuperPacket) and packet.gso_type:
                return packet


def framed(packet: SuperPacket) -> SuperPacket:
    """Return a tun's packet as a frame that the rig forwards."""
    return packet.moved(p.link_header(packet[0] >> 4, 14) + packet, 14)


@needs_tunnels
@pytest.mark.parametrize("csum", [True, False])
@pytest.mark.parametrize("inside", [4, 6])
@pytest.mark.parametrize("version", [4, 6])
async def test_udp_in_a_tunnel(version: int, inside: int, csum: bool) -> None:
    """UDP comes out of a tun in one piece, with its offsets, and is cut as the kernel cuts it."""
    async with opened(offload=True) as tun:
        vxlan(tun, version, csum)
        payload = send_train(inside)
        packet = await whole(tun)
    assert (packet.gso_type, packet.gso_size, packet.tunnel_csum) == (UDP | TUNNEL[version], 1000, csum)
    assert packet[packet.csum_start + 8 :] == payload
    packet.check()
    with kernel(ethernet=True) as judge:
        assert judge.forward(framed(packet)) == segment(framed(packet), ethernet=True)
    assert segment(packet) == [one[14:] for one in segment(framed(packet), ethernet=True)]


@needs_tunnels
@pytest.mark.parametrize("csum", [True, False])
@pytest.mark.parametrize("inside", [4, 6])
@pytest.mark.parametrize("version", [4, 6])
async def test_tcp_in_a_tunnel(version: int, inside: int, csum: bool) -> None:
    """TCP comes out of a tun in one piece, and is cut as the kernel cuts it."""
    async with opened(offload=True) as tun:
        vxlan(tun, version, csum)
        with connected(inside) as sock:
            sock.send(bytes(9000))
            packet = await whole(tun)
    kind = GSOType.TCPV4 if inside == 4 else GSOType.TCPV6
    assert (packet.gso_type, packet.tunnel_csum) == (kind | TUNNEL[version], csum)
    segments = segment(framed(packet), ethernet=True)
    assert len(segments) > 1
    with kernel(ethernet=True) as judge:
        assert judge.forward(framed(packet)) == segments


@needs_tunnels
async def test_a_tunnel_on_a_tap() -> None:
    """A tap hands out frames with one, which a bridge sends on cut as segment() cuts them."""
    async with opened(aiotun.open_tap, offload=True) as tap:
        vxlan(tap)
        send_train()
        packet = await whole(tap)
        packet.check(ethernet=True)
    with kernel(ethernet=True) as judge:
        frame = SuperPacket(p.link_header(4, 14) + packet[14:], **vars(packet))
        assert judge.forward(frame) == segment(frame, ethernet=True)


@needs_tunnels
async def test_otherwise_finished_packets_come_out() -> None:
    """recv_many() gives what the super-packet in the tunnel stands for."""
    async with opened(offload=True) as tun:
        vxlan(tun)
        payload = send_train()
        batch: list[bytes] = []
        while len(batch) < 5:
            batch += [packet for packet in await tun.recv_many() if len(packet) > 500]
    assert ([len(packet) for packet in batch], {type(packet) for packet in batch}) == ([1078] * 4 + [578], {bytes})
    assert b"".join(packet[78:] for packet in batch) == payload


@needs_tunnels
@pytest.mark.parametrize(("make", "count"), [(aiotun.open_tun, 5), (aiotun.open_tap, 1)])
async def test_what_goes_in(make: Any, count: int) -> None:
    """A tap takes one in a tunnel whole; a tun refuses it, so there it is cut and goes in as its segments."""
    async with opened(make, offload=True) as endpoint:
        vxlan(endpoint)
        send_train()
        packet = await whole(endpoint)
        before = endpoint.statistics().interface.ipackets
        await endpoint.send_many([packet])
        assert (endpoint.statistics().interface.ipackets - before, "tunnel" in endpoint.offload) == (count, True)


@needs_tunnels
@pytest.mark.parametrize(
    ("offload", "header", "on"),
    [(True, 24, True), (["tso", "tunnel"], 24, True), (["tso", "uso"], 10, False), ("tunnel", 10, False)],
)
async def test_the_header_is_long_where_it_is_needed(offload: Any, header: int, on: bool) -> None:
    """A device that is opened with tunnels, and tso, has 24 bytes of header, any other 10."""
    async with opened(offload=offload) as tun:
        assert (tun.device.vnet_header_size, "tunnel" in tun.offload) == (header, on)


@needs_tunnels
async def test_why_it_is_off() -> None:
    """It is said what tunnels lack: tso, or the header."""
    async with opened(offload="tunnel") as tun:
        assert tun.capabilities.off["tunnel"] == "needs tso, which is off"
    async with opened(offload=["tso"]) as tun:
        tun.device.offload = ["tso", "tunnel"]
        assert tun.offload == {"tso"}
        assert tun.capabilities.off["tunnel"].startswith("the vnet header has 10 bytes, it needs 24")


@needs_tunnels
async def test_the_environment_forbids_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """X5: where the environment forbids tunnels the header is short."""
    monkeypatch.setenv("AIOTUN_OFFLOAD", "-tunnel")
    async with opened(offload=True) as tun:
        assert (tun.device.vnet_header_size, "tunnel" in tun.offload) == (10, False)


@needs_tunnels
@pytest.mark.parametrize("features", [set(), {"tso", "uso"}])
async def test_what_is_queued_survives_the_switch(features: set[str]) -> None:
    """Switched off with one in the queue, nothing is lost: it comes out cut, and so do those that follow."""
    async with opened(offload=True) as tun:
        vxlan(tun)
        payload = send_train()
        tun.device.offload = features
        payload += send_train()
        batch: list[bytes] = []
        while len(batch) < 10:
            batch += [packet for packet in await tun.recv_many(superpackets=True) if len(packet) > 500]
        assert tun.offload == features
        assert ({type(packet) for packet in batch}, b"".join(packet[78:] for packet in batch)) == ({bytes}, payload)


@needs_tunnels
async def test_what_is_on_stays_whole() -> None:
    """With tunnels switched off again what is not in one comes in one piece all the same."""
    async with opened(offload=True) as tun:
        tun.device.offload = ["tso", "uso"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
            sock.sendto(bytes(4500), ("10.9.0.2", 9))
        assert (await whole(tun)).gso_type == UDP


@needs_tunnels
async def test_an_adopted_device_has_it() -> None:
    """A descriptor with 24 bytes of header is adopted with tunnels, one with fewer without."""
    for offload, header, on in ((True, 24, True), (["tso"], 10, False)):
        async with opened(offload=offload) as tun:
            fd = tun.detach_fd()
        async with Tun.from_fd(fd) as adopted:
            assert (adopted.device.vnet_header_size, "tunnel" in adopted.offload) == (header, on)


@needs_tunnels
async def test_the_kernels_own_rules() -> None:
    """The kernel wants CSUM, TSO4 or TSO6, and UDP_TUNNEL_GSO beside UDP_TUNNEL_GSO_CSUM; the header is free."""
    async with opened(offload=True) as tun:
        fd = os.dup(tun.fileno())
    try:
        refused = [mask for mask in (0x80, 0x81, 0x83, 0x85, 0x87, 0x107, 0x187) if not _takes(fd, mask)]
        assert refused == [0x80, 0x81, 0x107]
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, INT.pack(23))
    finally:
        os.close(fd)


def _takes(fd: int, mask: int) -> bool:
    try:
        fcntl.ioctl(fd, TUNSETOFFLOAD, mask)
    except OSError as error:
        assert error.errno == errno.EINVAL
        return False
    return True

"""Offload on the kernel's own devices, through every way of opening one."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import aiotun
from aiotun.endpoint import Tun
from aiotun.linux.constants import IFF_NO_PI, IFF_TUN, IFREQ, TUNSETIFF, TUNSETPERSIST
from aiotun.packet import GSOType, SuperPacket
from aiotun.testing.broker import running_broker
from aiotun.testing.expect import turns

from .vxlan import grants_tunnels

pytestmark = pytest.mark.kernel

UDP_SEGMENT = 103
ALL = {"tso", "uso", "tcp_gro", "udp_gro"} | ({"tunnel"} if grants_tunnels() else set())
FAR = ("10.9.0.2", 9)


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Tun]:
    async with aiotun.open_tun("off%d", address="10.9.0.1/24", **options) as tun:
        yield tun


def send_train(size: int = 4500, gso_size: int = 1000) -> bytes:
    """Send UDP that the stack leaves to be cut, if it may; return the payload."""
    payload = os.urandom(size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, gso_size)
        sock.sendto(payload, FAR)
    return payload


def payloads(batch: list[bytes]) -> bytes:
    return b"".join(packet[28:] for packet in batch)


async def receive(tun: Tun, size: int, **how: Any) -> list[bytes]:
    """Receive packets until there are so many bytes of payload."""
    batch: list[bytes] = []
    while len(payloads(batch)) < size:
        batch += await tun.recv_many(**how)
    return batch


async def test_superpackets_come_out_whole() -> None:
    """What the stack leaves to be cut comes in one piece where it is asked for."""
    async with opened(offload=True) as tun:
        payload = send_train()
        (packet,) = await receive(tun, 4500, superpackets=True)
        assert isinstance(packet, SuperPacket)
        assert (packet.gso_type, packet.gso_size, packet[28:]) == (GSOType.UDP_L4, 1000, payload)


async def test_otherwise_whole_packets_come_out() -> None:
    """``async for`` and recv_many() give finished packets of at most the mtu."""
    async with opened(offload=True) as tun:
        payload = send_train()
        batch = await receive(tun, 4500)
        assert ([len(packet) for packet in batch], payloads(batch)) == ([1028] * 4 + [528], payload)
        assert {type(packet) for packet in batch} == {bytes}


async def test_what_goes_in_goes_out() -> None:
    """A super-packet that is sent into the stack is routed to the other tun in one piece."""
    async with opened(offload=True) as near, aiotun.open_tun("off%d", address="10.8.0.1/24", offload=True) as far:
        with open("/proc/sys/net/ipv4/ip_forward", "w") as setting:
            setting.write("1")
        send_train()
        (packet,) = await receive(near, 4500, superpackets=True)
        turned = SuperPacket(
            packet[:12] + socket.inet_aton("10.9.0.2") + socket.inet_aton("10.8.0.2") + packet[20:],
            **{field: getattr(packet, field) for field in ("gso_type", "gso_size", "hdr_len", "csum_start")},
            csum_offset=6,
            needs_csum=True,
        )
        await near.send(_summed(turned))
        (came,) = await receive(far, 4500, superpackets=True)
        assert isinstance(came, SuperPacket)
        assert (came.gso_size, came[28:]) == (1000, packet[28:])


def _summed(packet: SuperPacket) -> SuperPacket:
    """The packet with an IPv4 checksum and the pseudo-header's sum that fit its addresses."""
    from aiotun.packet import checksum, pseudo_sum

    header = packet[:10] + b"\0\0" + packet[12:20]
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    partial = pseudo_sum(packet[12:16], packet[16:20], 17, len(packet) - 20)
    octets = header + packet[20:26] + (partial % 0xFFFF).to_bytes(2, "big") + packet[28:]
    fields = {field: getattr(packet, field) for field in vars(packet)}
    return SuperPacket(octets, **fields)


@pytest.mark.parametrize(
    ("offload", "on"), [(True, ALL), (["tso"], {"tso"}), ("udp_gro", {"udp_gro"}), (False, set()), ((), set())]
)
async def test_what_is_asked_for_is_on(offload: Any, on: set[str]) -> None:
    """``offload`` is all, none, or what it names."""
    async with opened(offload=offload) as tun:
        assert (set(tun.offload), tun.superpackets) == (on, bool(on))


@pytest.mark.parametrize("offload", ["lro", ["tso", "lro"], [1]])
async def test_another_name_is_refused(offload: Any) -> None:
    """A feature there is not is refused before a device is made, with those there are."""
    with pytest.raises(ValueError, match="offload is True, False, or some of tcp_gro, tso, tunnel, udp_gro, uso; not "):
        await aiotun.open_tun(offload=offload)


async def test_the_environment_leaves_the_header_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """X5: where the environment allows none, the device is opened as one without offload."""
    monkeypatch.setenv("AIOTUN_OFFLOAD", "0")
    async with opened(offload=True) as tun:
        assert (tun.superpackets, tun.device.vnet_header_size) == (False, 0)


async def test_offload_is_switched_while_packets_flow() -> None:
    """Switched off, the stack cuts; switched on again, it does not."""
    async with opened(offload=True) as tun:
        for features, count in ((set(), 5), ({"uso"}, 1), ({"tso"}, 5)):
            tun.device.offload = features
            payload = send_train()
            batch = await receive(tun, 4500, superpackets=True)
            assert (len(batch), payloads(batch)) == (count, payload)


async def test_a_device_without_offload_has_no_switch() -> None:
    """On a device without a vnet header offload cannot be switched on."""
    async with opened() as tun:
        assert tun.device.offload == frozenset()
        with pytest.raises(aiotun.DeviceError, match="was opened without offload"):
            tun.device.offload = ["tso"]


async def test_queues_share_it() -> None:
    """Every queue of a device has its offload, and its switches."""
    async with aiotun.open_tun("off%d", queues=2, offload=True) as queues:
        first, second = queues
        assert (set(first.offload), set(second.offload)) == (ALL, ALL)
        second.device.offload = ["tso"]
        assert first.offload == {"tso"}


async def test_it_does_not_outlive_its_holder() -> None:
    """A persistent device that had offload is opened without any by who asks for none."""
    async with opened(offload=True, persistent=True) as tun:
        name = tun.name
    async with aiotun.open_tun(name, address="10.9.0.1/24") as tun:
        send_train()
        batch = await receive(tun, 4500)
        assert (tun.superpackets, len(batch)) == (False, 5)
        tun.device.persistent = False


async def test_an_adopted_device_has_it() -> None:
    """A descriptor with a vnet header is adopted with the offload it has."""
    async with opened(offload=True) as tun:
        fd = tun.detach_fd()
    async with Tun.from_fd(fd) as adopted:
        payload = send_train()
        (packet,) = await receive(adopted, 4500, superpackets=True)
        assert (set(adopted.offload), packet[28:]) == (ALL, payload)


@pytest.mark.parametrize("on", [set(), {"tso"}, {"uso"}])
async def test_an_adopted_device_is_left_as_it_is(on: set[str]) -> None:
    """What the stack leaves to the reader is not changed by adopting a queue: others may have queues of the device."""
    async with opened(offload=ALL - {"tunnel"}) as tun:  # which stays on, with what it rests on
        tun.device.offload = on
        fd = tun.detach_fd()
    async with Tun.from_fd(fd) as adopted:
        send_train()
        batch = await receive(adopted, 4500, superpackets=True)
        assert len(batch) == (1 if "uso" in on else 5)
        assert set(adopted.offload) == on | {"tcp_gro", "udp_gro"}


async def test_a_persistent_device_is_left_without_it() -> None:
    """Who opens a persistent device next, and knows nothing of super-packets, gets none."""
    async with opened(offload=True, persistent=True) as tun:
        name = tun.name
    plain = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(plain, TUNSETIFF, IFREQ.pack(name.encode(), IFF_TUN | IFF_NO_PI))
        subprocess.run(["ip", "address", "replace", "10.9.0.1/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        send_train()
        assert await _longest(plain) == 1028
        fcntl.ioctl(plain, TUNSETPERSIST, 0)
    finally:
        os.close(plain)


async def _longest(fd: int) -> int:
    """The longest of five IPv4 packets that come out of a descriptor."""
    sizes: list[int] = []
    while len(sizes) < 5:
        try:
            packet = os.read(fd, 1 << 17)
        except BlockingIOError:
            await turns(1)
        else:
            sizes += [len(packet)] * (packet[0] >> 4 == 4)
    return max(sizes)


async def test_giving_it_away_keeps_what_was_read() -> None:
    """What is left of a super-packet when the descriptor is given away can still be received, and is counted."""
    async with opened(offload=True) as tun:
        payload = send_train()
        first = await tun.recv_many(1)
        os.close(tun.detach_fd())
        rest = tun.recv_many_nowait()
        assert payloads(first + rest) == payload
        assert tun.statistics().taken_packets == 5


async def test_what_is_queued_at_close_is_counted() -> None:
    """Super-packets that nobody received are dropped as ``closed``, each as one, as the kernel counted them."""
    async with opened(offload=True) as tun:
        for _ in range(90):
            send_train()
    statistics = tun.statistics()
    assert statistics.interface is not None
    assert statistics.dropped == {"closed": statistics.interface.opackets}


async def test_a_program_that_switches_is_not_broken_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment allows none, switching offload on does nothing."""
    monkeypatch.setenv("AIOTUN_OFFLOAD", "0")
    async with opened(offload=True) as tun:
        tun.device.offload = ["tso"]
        assert tun.offload == frozenset()


async def test_a_brokers_device_has_it() -> None:
    """A broker's device has the offload that was asked for."""
    with running_broker() as path:
        async with aiotun.BrokerHost(path) as host, host.open_tun("off%d", offload=["uso", "udp_gro"]) as tun:
            assert tun.offload == {"uso", "udp_gro"}


async def test_a_brokers_device_without_it() -> None:
    """A broker's device has none where none was asked for."""
    with running_broker() as path:
        async with aiotun.BrokerHost(path) as host, host.open_tun("off%d") as tun:
            assert not tun.offload and not tun.superpackets


async def test_X18_closing_while_the_interface_changes() -> None:
    """X18: closed twice at once while events come, the endpoint ends once, and nobody who waits gets an error."""
    async with opened(offload=True) as tun:
        heard = asyncio.create_task(_events(tun))
        received = asyncio.create_task(_batches(tun))
        await turns(3)
        tun.device.carrier = False
        await asyncio.gather(tun.aclose(), tun.aclose(), tun.aclose())
        assert isinstance(await heard, list)
        assert isinstance(await received, list)
    await tun.aclose()


async def _events(tun: Tun) -> list[aiotun.Event]:
    return [event async for event in tun.events()]


async def _batches(tun: Tun) -> list[list[bytes]]:
    return [batch async for batch in tun.batches(superpackets=True)]

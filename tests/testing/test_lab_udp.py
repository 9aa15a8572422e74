"""UDP over the links of the lab: a VPN between hosts of it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

import aiotun
from aiotun import Event, EventKind
from aiotun.endpoint.reports import Report
from aiotun.errors import DeviceBusy, DeviceClosed, DeviceError, PacketTooBig, WouldBlock
from aiotun.packet import ICMP, UDP, ICMPv6, IPv4, IPv6, Protocol, unreachable
from aiotun.testing import CHECKS, Check, Inapplicable, Lab, LabHost, LabUdp, Note, Rig, lab_fixture
from aiotun.testing.lab_udp import LIMIT
from aiotun.testing.lab_udp_reports import Complaint, complaint

lab = lab_fixture.lab


def routed(lab: Lab) -> tuple[LabHost, LabHost]:
    """Two hosts, 10.0.0.1 and 10.0.0.3, with a router between them."""
    alice, router, bob = lab.host("alice"), lab.router("router"), lab.host("bob")
    lab.link(alice, router, delay=0.02)
    lab.link(router, bob, delay=0.01, mtu=1400)
    return alice, bob


@pytest.mark.parametrize(("prefix", "mtus"), [("10.0.0.", (1472, 1372)), ("fd00::", (1452, 1352))])
def test_a_vpn_over_udp(lab: Lab, prefix: str, mtus: tuple[int, int]) -> None:
    """Two tuns and two pumps over UDP are a VPN: the hosts ping each other through it, at the price of the way."""
    alice, bob = routed(lab)

    @lab.run
    async def main() -> None:
        near, far = alice.open_udp(51820, (f"{prefix}3", 1024)), bob.open_udp(1024, (f"{prefix}1", 51820))
        assert (near.mtu, far.mtu) == mtus
        async with (
            alice.open_tun(address="10.8.0.1/24", mtu=1300) as here,
            bob.open_tun(address="10.8.0.2/24", mtu=1300) as there,
            aiotun.pump(here, near),
            aiotun.pump(there, far),
        ):
            assert await alice.ping("10.8.0.2", size=1000) == pytest.approx(0.06)

    assert [crossing.source for crossing in lab.packets] == ["alice", "router", "bob", "router"]


@pytest.mark.parametrize(("prefix", "header"), [("10.0.0.", 28), ("fd00::", 48)])
def test_what_is_too_long_for_the_way_is_dropped_there(lab: Lab, prefix: str, header: int) -> None:
    """A datagram that fits the first link alone ends at the router; its sender hears of it, and of the mtu."""
    alice, bob = routed(lab)

    @lab.run
    async def main() -> None:
        near, far = alice.open_udp(7, (f"{prefix}3", 9)), bob.open_udp(9, (f"{prefix}1", 7))
        events = near.events()
        await near.send(bytes(1400 - header))
        assert len(await far.recv()) == 1400 - header
        await near.send(bytes(1401 - header))
        report = Report((f"{prefix}3", 9), errno.EMSGSIZE, f"{prefix}2")
        assert [await anext(events), await anext(events)] == [
            Event(EventKind.REPORTED, report),
            Event(EventKind.MTU, 1400 - header),
        ]
        with pytest.raises(PacketTooBig, match=f"packet is 1472 bytes, mtu is {1400 - header}"):
            await near.send(bytes(1472))
        with pytest.raises(WouldBlock):
            far.recv_nowait()

    assert [entry.text for entry in lab.record.entries if isinstance(entry, Note)] == ["dropped: too_big"]


def test_a_host_that_cannot_be_reached_is_reported(lab: Lab) -> None:
    """What a router says of a peer behind a dead link is an event; without anybody to hear it, nothing happens."""
    alice, _ = routed(lab)
    lab.links[1].down()

    @lab.run
    async def main() -> None:
        near = alice.open_udp(7, ("10.0.0.3", 9))
        await near.send(b"x")
        await asyncio.sleep(1)
        events = near.events()
        await near.send(b"x")
        report = Report(("10.0.0.3", 9), errno.EHOSTUNREACH, "10.0.0.2")
        assert await anext(events) == Event(EventKind.REPORTED, report)


def test_a_vpn_outlives_a_thousand_flaps(lab: Lab) -> None:
    """Pumps over UDP drop and count what a link that is down refuses, and carry on whenever it is up."""
    alice, bob = lab.host("alice"), lab.host("bob")
    link = lab.link(alice, bob, delay=0.01)

    @lab.run
    async def main() -> None:
        near, far = alice.open_udp(7, ("10.0.0.2", 9)), bob.open_udp(9, ("10.0.0.1", 7))
        async with (
            alice.open_tun(address="10.8.0.1/24") as here,
            bob.open_tun(address="10.8.0.2/24") as there,
            aiotun.pump(here, near) as pump,
            aiotun.pump(there, far),
        ):
            link.flap(1000, every=10)
            await asyncio.sleep(5)  # in the middle of being down, then of being up, and so on
            answered: list[bool] = []
            for _ in range(2000):
                begun = lab.time
                try:
                    await alice.ping("10.8.0.2")
                    answered.append(True)
                except TimeoutError:
                    answered.append(False)
                await asyncio.sleep(begun + 10 - lab.time)
            assert answered == [False, True] * 1000
            assert pump.statistics().outbound.dropped == {"down": 1000}


def test_a_socket_hears_its_peer_alone(lab: Lab) -> None:
    """Datagrams to another port, or from another, are for host.protocol()."""
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.link(alice, bob)

    @lab.run
    async def main() -> None:
        mine, other = alice.open_udp(7, ("10.0.0.2", 7)), alice.open_udp(8, ("10.0.0.2", 7))
        ours = bob.open_udp(7, ("10.0.0.1", 7))
        with bob.protocol(socket.AF_INET) as queue:
            await other.send(b"other")
            await mine.send(b"mine")
            assert await ours.recv() == b"mine"
            assert (await queue.recv())[28:] == b"other"


def test_a_damaged_datagram_is_counted(lab: Lab) -> None:
    """One whose checksum is wrong does not arrive."""
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.link(alice, bob)

    @lab.run
    async def main() -> None:
        near, far = alice.open_udp(7, ("10.0.0.2", 7)), bob.open_udp(7, ("10.0.0.1", 7))
        await near.send(b"first")
        first = lab.packets[-1].packet
        await lab.links[0].ends[0].send(first[:-1] + b"x")
        await near.send(b"second")
        assert [await far.recv(), await far.recv()] == [b"first", b"second"]
        interface = far.statistics().interface
        assert interface is not None and interface.dropped == {"bad_checksum": 1}


def test_a_socket_that_nobody_reads_drops(lab: Lab) -> None:
    """What is beyond its queue is counted; what is queued at close as well."""
    alice, bob = lab.host("alice"), lab.host("bob")
    lab.link(alice, bob)

    @lab.run
    async def main() -> None:
        near, far = alice.open_udp(7, ("10.0.0.2", 7)), bob.open_udp(7, ("10.0.0.1", 7))
        for _ in range(LIMIT + 5):
            await near.send(b"x")
            await asyncio.sleep(0.001)
        await far.aclose()
        statistics = far.statistics()
        assert statistics.interface is not None
        assert (statistics.dropped, statistics.interface.dropped) == ({"closed": LIMIT}, {"queue_full": 5})


def test_sending_says_why_it_failed(lab: Lab) -> None:
    """Without a way to the peer, or over a link that is down, the sender gets the stack's error."""
    alice, bob = lab.host("alice"), lab.host("bob")
    link = lab.link(alice, bob)

    @lab.run
    async def main() -> None:
        opened = alice.open_udp(7, ("10.0.0.2", 7))
        link.down()
        with pytest.raises(DeviceError, match="eth0: the interface is down"):
            await opened.send_many([b"x", b"y"])


def test_a_port_and_peer_are_taken_once(lab: Lab) -> None:
    """A second socket for them is refused until the first is closed; a closed host opens none."""
    alice = lab.host("alice")

    @lab.run
    async def main() -> None:
        opened = alice.open_udp(7, ("10.0.0.2", 7))
        with pytest.raises(DeviceBusy, match="alice udp 7: a socket for that peer is open at that port"):
            alice.open_udp(7, ("10.0.0.2", 7))
        await opened.aclose()
        again = alice.open_udp(7, ("10.0.0.2", 7))
        with pytest.raises(ValueError, match="alice: a UDP port is 1 to 65535, not 0 or 7"):
            alice.open_udp(0, ("10.0.0.2", 7))
        await alice.aclose()
        assert again.closed
        with pytest.raises(DeviceClosed):
            alice.open_udp(7, ("10.0.0.2", 7))


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_no_complaint(version: int) -> None:
    """Echoes, errors about other protocols, and damaged errors say nothing of a datagram; a sound one does."""
    here, there = ("10.0.0.1", "10.0.0.2") if version == 4 else ("fd00::1", "fd00::2")

    def wrap(protocol: int, payload: bytes) -> bytes:
        return (IPv4 if version == 4 else IPv6)(here, there, protocol, payload).build()

    datagram = wrap(Protocol.UDP, UDP(7, 9, b"hello").build(here, there))
    error = unreachable(datagram, there)
    other = unreachable(wrap(253, bytes(8)), there)
    assert error is not None and other is not None
    echo = ICMP.echo_request(1, 1).build() if version == 4 else ICMPv6.echo_request(1, 1).build(here, there)
    nothing = [datagram, other, error[:-1] + b"x", wrap(Protocol.ICMP if version == 4 else Protocol.ICMPV6, echo)]
    assert [complaint(packet) for packet in nothing] == [None] * 4
    packed = ip_address(there).packed
    assert complaint(error) == Complaint(7, (packed, 9), errno.EHOSTUNREACH, there, None)


class UdpRig(Rig):
    """Two sockets of one host, whose stack takes what one sends to the other at once."""

    def __init__(self, host: LabHost) -> None:
        self._host = host
        self.endpoint = self._open()
        self._far = host.open_udp(8, ("10.0.0.1", 7), mtu=1500)

    def _open(self) -> LabUdp:
        return self._host.open_udp(7, ("10.0.0.1", 8), mtu=1500)

    def output(self, batch: list[bytes]) -> None:
        self._far.send_many_nowait(batch)

    async def input(self, count: int) -> list[bytes]:
        packets: list[bytes] = []
        while len(packets) < count:
            packets += await self._far.recv_many(count - len(packets))
        return packets

    def set_up(self, up: bool) -> None:
        raise Inapplicable("a socket is neither up nor down")

    def set_mtu(self, mtu: int) -> None:
        raise Inapplicable("a socket's longest datagram stays as it is")

    def delete(self) -> None:
        raise Inapplicable("a socket has no end but its owner's")

    async def reopen(self) -> LabUdp:
        return self._open()


@asynccontextmanager
async def udp_rig(**options: Any) -> AsyncIterator[Rig]:
    if options:
        raise Inapplicable(f"a socket has no {', '.join(options)}")
    async with LabHost("host", (), 1, time.monotonic) as host:
        await host.open_tun(address="10.0.0.1/32")
        yield UdpRig(host)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check) -> None:
    """A socket of the lab keeps the promise the check is named after."""
    with contextlib.suppress(Inapplicable):
        await check(udp_rig)

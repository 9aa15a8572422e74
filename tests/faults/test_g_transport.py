"""Rows G of the fault catalogue: what the network does to the sockets of a VPN."""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import AsyncGenerator, Iterator

import pytest

from aiotun import DeviceError, Event, EventKind, PacketError, WouldBlock
from aiotun.channel import Channel, open_udp, open_udp_pair, serve_udp
from aiotun.endpoint import Report

from .scene import ip

pytestmark = pytest.mark.kernel

OURS, ROUTER, BEYOND, PEER = "10.77.1.1", "10.77.1.2", "10.77.2.1", "10.77.2.2"
PORT = 5555


@pytest.fixture
def network() -> Iterator[None]:
    """Us, a router, and a peer behind it, whom packets of up to 1280 bytes reach."""
    for name in ("router", "peer"):
        ip("netns", "add", name)
    try:
        ip("link", "add", "g0", "type", "veth", "peer", "g1", "netns", "router")
        ip("-n", "router", "link", "add", "g2", "mtu", "1280", "type", "veth", "peer", "g3", "netns", "peer")
        for namespace, device, address in (("router", "g1", ROUTER), ("router", "g2", BEYOND), ("peer", "g3", PEER)):
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", device)
            ip("-n", namespace, "link", "set", device, "up")
        ip("address", "add", f"{OURS}/24", "dev", "g0")
        ip("link", "set", "g0", "up")
        ip("route", "add", "10.77.2.0/24", "via", ROUTER)
        ip("-n", "peer", "route", "add", "default", "via", BEYOND)
        ip("netns", "exec", "router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        yield
    finally:
        for name in ("peer", "router"):
            ip("netns", "delete", name)
        # a namespace goes a moment after its name; a device with it
        subprocess.run(["ip", "link", "delete", "g0"], stderr=subprocess.DEVNULL)


async def reports(channel: Channel, count: int) -> AsyncGenerator[Event, None]:
    """Receive until *count* events were told."""
    events = channel.events()
    for _ in range(count):
        while not events._events:
            await channel.readable()
            with pytest.raises(WouldBlock):
                channel.recv_nowait()
        yield await anext(events)


def dropped(channel: Channel) -> dict[str, int]:
    told = channel.statistics().interface
    assert told is not None
    return dict(told.dropped)


async def test_G1_a_closed_port_is_reported_and_ends_nothing(network: None) -> None:
    """A closed port is an event and a count for each datagram; what is sent next goes out, not refused for it."""
    async with open_udp((OURS, PORT), (PEER, 9)) as channel:
        told = reports(channel, 2)
        for _ in range(2):
            await channel.send(b"to nobody")
            assert await anext(told) == Event(EventKind.REPORTED, Report((PEER, 9), errno.ECONNREFUSED, PEER))
        assert (channel.statistics().sent_packets, dropped(channel)) == (2, {"reported_lost": 2})
        await told.aclose()


async def test_G2_a_server_hears_whom_it_is_about(network: None) -> None:
    """On a socket of many peers a closed port is its peer's event, and the others' datagrams go on."""
    async with serve_udp(("0.0.0.0", 0)) as server:
        peer, other = server.peer((PEER, 9)), server.peer((ROUTER, 9))
        told = reports(peer, 1)
        await peer.send(b"1")
        assert await anext(told) == Event(EventKind.REPORTED, Report((PEER, 9), errno.ECONNREFUSED, PEER))
        await told.aclose()
        await other.send(b"2")
        assert other.statistics().sent_packets == 1


async def test_G3_a_datagram_too_long_for_the_path_is_an_event(network: None) -> None:
    """A router's word on the path's mtu is told, then only what is longer is dropped, and the rest goes out."""
    async with open_udp((OURS, PORT), (PEER, 9), path_mtu_discovery="do") as channel:
        assert channel.path_mtu == 1472
        told = reports(channel, 1)
        await channel.send(bytes(1400))
        assert await anext(told) == Event(EventKind.MTU, 1252)
        await told.aclose()
        assert (channel.path_mtu, dropped(channel)) == (1252, {"reported_lost": 1})
        await channel.send_many([bytes(1252), bytes(1253), bytes(1252)])
        assert dropped(channel)["message_too_big"] == 1
        counted = channel.statistics().interface
        assert counted is not None
        assert counted.ipackets == 3


async def test_G3_a_train_too_long_for_the_path_goes_in_pieces(network: None) -> None:
    """Where trains are longer than the link carries, what fits of the batch goes, and trains are not given up."""
    async with open_udp((OURS, PORT), (ROUTER, 9), path_mtu_discovery="do") as channel:
        await channel.send_many([bytes(1473)] * 4 + [bytes(1472)] * 4)
        told = channel.statistics().interface
        assert told is not None
        assert (told.ipackets, told.dropped["message_too_big"], channel.gso) == (4, 4, True)


async def test_G3_without_discovery_it_is_cut_up(network: None) -> None:
    """With ``dont`` a datagram longer than the link is fragmented and arrives."""
    async with open_udp((OURS, PORT), (PEER, 9), path_mtu_discovery="dont") as channel:
        told = reports(channel, 1)
        await channel.send(bytes(4000))
        assert (await anext(told)).value == Report((PEER, 9), errno.ECONNREFUSED, PEER)
        await told.aclose()


async def test_G4_without_a_route_datagrams_are_counted(network: None) -> None:
    """While there is no route datagrams are dropped and counted, and once there is one they go out again."""
    async with open_udp((OURS, PORT), (PEER, 9)) as channel:
        ip("route", "delete", "10.77.2.0/24")
        await channel.send_many([b"1"] * 3)
        assert dropped(channel) == {"unreachable": 3}
        ip("route", "add", "10.77.2.0/24", "via", ROUTER)
        await channel.send(b"2")
        told = channel.statistics().interface
        assert told is not None
        assert told.ipackets == 1


async def test_G4_a_router_that_has_no_route_is_heard(network: None) -> None:
    """A router that cannot reach the peer says so, in an event with its address."""
    ip("-n", "router", "route", "add", "unreachable", f"{PEER}/32")
    async with open_udp((OURS, PORT), (PEER, 9)) as channel:
        told = reports(channel, 1)
        await channel.send(b"1")
        assert (await anext(told)).value == Report((PEER, 9), errno.EHOSTUNREACH, ROUTER)
        await told.aclose()


async def test_G5_what_an_administrator_forbids_is_counted(network: None) -> None:
    """A datagram that is prohibited is dropped and counted; when it no longer is, the next one goes."""
    async with open_udp((OURS, PORT), (PEER, 9)) as channel:
        ip("route", "add", "prohibit", f"{PEER}/32")
        await channel.send_many([b"1"] * 2)
        assert dropped(channel) == {"not_permitted": 2}
        ip("route", "delete", "prohibit", f"{PEER}/32")
        await channel.send(b"2")
        told = channel.statistics().interface
        assert told is not None
        assert told.ipackets == 1


async def test_G5_a_broadcast_is_counted(network: None) -> None:
    """A datagram to everybody, which the socket may not send, is dropped and counted."""
    async with serve_udp((OURS, 0)) as server:
        await server.send_to_many([(("10.77.1.255", 9), b"1")])
        assert server.statistics().dropped == {"not_permitted": 1}


async def test_G6_what_cannot_be_is_the_callers_to_know() -> None:
    """A port that is none, and a peer of another family, are errors at opening, or of the call that names them."""
    with pytest.raises(ValueError, match="no datagram can be sent to port 0"):
        await open_udp(None, ("127.0.0.1", 0))
    async with serve_udp(("127.0.0.1", 0)) as server:
        with pytest.raises(ValueError, match="is no .host, port. that this socket can send to"):
            await server.send_to_many([(("::1", 9), b"1")])
        with pytest.raises(DeviceError, match="cannot send: Invalid argument"):
            await server.send_to_many([(("127.0.0.1", 0), b"1")])


async def test_G7_an_empty_datagram_is_no_end() -> None:
    """A datagram of 0 bytes is dropped and counted, and ends nothing; none is sent as a packet."""
    one, other = await open_udp_pair()
    async with one, other:
        with pytest.raises(PacketError, match="packet is empty"):
            await one.send(b"")
        with socket.socket(fileno=one.fileno()) as sock:
            sock.send(b"")
            sock.detach()
        await one.send(b"next")
        assert (await other.recv(), dropped(other)) == (b"next", {"empty": 1})


async def test_G9_a_source_that_is_removed_is_forgotten() -> None:
    """When the address that a peer knows is removed, it is answered from another, and the next one is learned."""
    ip("address", "add", "10.78.0.1/32", "dev", "lo")
    try:
        async with serve_udp(("0.0.0.0", 0)) as server:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(("127.0.0.1", 0))
                sock.setblocking(False)
                sock.sendto(b"1", ("10.78.0.1", server.address[1]))
                peer = await server.accept()
                await peer.send(b"2")
                assert (peer.local, sock.recvfrom(10)[1][0]) == ("10.78.0.1", "10.78.0.1")
                ip("address", "delete", "10.78.0.1/32", "dev", "lo")
                await peer.send(b"3")
                assert (peer.local, sock.recvfrom(10)) == (None, (b"3", ("127.0.0.1", server.address[1])))
                sock.sendto(b"4", ("127.0.0.9", server.address[1]))
                assert await peer.recv_many() == [b"1", b"4"]
                assert peer.local == "127.0.0.9"
    finally:
        subprocess.run(["ip", "address", "delete", "10.78.0.1/32", "dev", "lo"], stderr=subprocess.DEVNULL)


async def test_G9_an_interface_that_goes_down_costs_datagrams(network: None) -> None:
    """While the interface is down datagrams are dropped and counted; when it is up again they go out."""
    async with open_udp((OURS, PORT), (ROUTER, 9)) as channel:
        ip("link", "set", "g0", "down")
        await channel.send_many([b"1"] * 2)
        assert dropped(channel) == {"unreachable": 2}
        ip("link", "set", "g0", "up")
        await channel.send(b"2")
        told = channel.statistics().interface
        assert told is not None
        assert told.ipackets == 1


async def test_G9_a_peer_that_roams_is_followed() -> None:
    """After the program said where an authentic datagram came from, the peer is answered there."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as old,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as new,
        ):
            for sock in (old, new):
                sock.bind(("127.0.0.1", 0))
                sock.connect(server.address)
                sock.setblocking(False)
            old.send(b"1")
            peer = await server.accept()
            new.send(b"sealed by the peer")
            (arrival,) = await server.recv_from_many()
            peer.roam_to(arrival.address)
            await peer.send(b"2")
            assert new.recv(10) == b"2"


async def test_G10_a_forged_source_moves_nobody() -> None:
    """Datagrams from elsewhere, whatever they say, leave a peer's address and its queue alone."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as forger:
            peer = server.peer(("127.0.0.2", 9))
            for _ in range(10):
                forger.sendto(b"I am 127.0.0.2", server.address)
            assert len(await server.recv_from_many()) == 10
            assert (peer.address, peer.statistics().taken_packets) == (("127.0.0.2", 9), 0)


async def test_G11_what_the_buffer_has_no_room_for_is_counted() -> None:
    """Every datagram that was sent was received, or is in the count of what the kernel had no room for."""
    one, other = await open_udp_pair(buffer=20000)
    async with one, other:
        sent = 0
        for _ in range(500):
            one.send_nowait(bytes(1000))
            sent += 1
        received = len(await other.recv_many(1000))
        assert 0 < received < sent
        assert dropped(other) == {"receive_buffer_full": sent - received}


async def test_G11_trains_are_counted_at_least() -> None:
    """With gro the kernel counts a train that is lost as one: the count is not more than what is missing."""
    one, other = await open_udp_pair(buffer=20000, gro=True)
    async with one, other:
        for _ in range(10):
            await one.send_many([bytes(1000)] * 60)
        missing = 600 - len(await other.recv_many(1000))
        assert 0 < dropped(other)["receive_buffer_full"] <= missing

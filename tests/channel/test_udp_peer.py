"""One peer of many: its queue, its counters, and where it roams."""

from __future__ import annotations

import sys

import pytest

from aiotun import DeviceBusy, DeviceClosed, DeviceError, Event, EventKind
from aiotun.channel import Arrival, open_udp, serve_udp
from aiotun.endpoint import Report
from aiotun.testing.expect import parked

from .reported import reported
from .test_udp_server import name, scene

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


async def test_a_flood_costs_only_who_floods() -> None:
    """A peer beyond its queue loses its own datagrams, and the other's all arrive."""
    async with scene(2) as (server, (noisy, quiet)):
        loud, still = (server.peer(name(sock), queue_length=10) for sock in (noisy, quiet))
        for number in range(100):
            noisy.send(b"noise")
            if number % 20 == 0:
                quiet.send(b"%d" % number)
        received: list[bytes] = []
        while len(received) < 5:
            received += await still.recv_many()
        assert received == [b"0", b"20", b"40", b"60", b"80"]
        told = loud.statistics().interface
        assert told is not None
        assert told.opackets + told.dropped["queue_full"] == 100
        assert told.opackets == 10


@pytest.mark.parametrize("gso", [True, False])
async def test_a_peer_sends_as_much_at_a_time_as_the_socket(gso: bool) -> None:
    """What goes to a peer goes in trains too, and waits for its turn as long as the socket's."""
    async with (
        serve_udp(("127.0.0.1", 0), gso=gso) as server,
        server.peer(("127.0.0.1", 9)) as peer,
        open_udp(("127.0.0.1", 0), ("127.0.0.1", 9), gso=gso) as channel,
    ):
        assert peer.burst == channel.burst


async def test_who_waits_is_woken_by_his_own() -> None:
    """A datagram wakes the task that waits for its sender, and leaves the others waiting."""
    async with scene(2) as (server, socks):
        tasks = [await parked(server.peer(name(sock)).recv()) for sock in socks]
        peers = server.peers
        socks[1].send(b"1")
        assert await tasks[1] == b"1"
        assert not tasks[0].done()
        socks[0].send(b"2")
        assert await tasks[0] == b"2"
        assert len(peers) == 2


async def test_a_peer_counts_its_own() -> None:
    """Packets and bytes, either way, are counted for each peer."""
    async with scene(2) as (server, socks):
        one, other = (server.peer(name(sock)) for sock in socks)
        await one.send_many([b"22", b"333"])
        socks[0].send(b"4444")
        await one.recv()
        counters = [peer.statistics().interface for peer in (one, other)]
        assert [(c.ipackets, c.ibytes, c.opackets, c.obytes) for c in counters if c] == [(2, 5, 1, 4), (0, 0, 0, 0)]


async def test_roaming_moves_both_ways() -> None:
    """After roam_to() datagrams go to the new address and come from there; the old one is nobody's."""
    async with scene(2) as (server, (old, new)):
        peer = server.peer(name(old))
        events = peer.events()
        new.send(b"I am old")
        (arrival,) = await server.recv_from_many()
        peer.roam_to(arrival.address, local=arrival.local)
        assert (peer.address, peer.name) == (name(new), f"udp 127.0.0.1:{name(new)[1]}")
        assert await anext(events) == Event(EventKind.RENAMED, peer.name)
        await peer.send(b"hello")
        assert new.recv(10) == b"hello"
        new.send(b"1")
        old.send(b"2")
        assert await peer.recv() == b"1"
        assert await server.recv_from_many() == [Arrival(name(old), b"2")]


async def test_roaming_takes_along_what_waits() -> None:
    """What waits from the new address becomes the peer's, in order, and what it had queued comes first."""
    async with scene(3) as (server, (old, new, other)):
        peer = server.peer(name(old))
        for sock, datagram in ((old, b"1"), (new, b"2"), (other, b"3"), (new, b"4"), (new, b"5")):
            sock.send(datagram)
        (arrival,) = await server.recv_from_many(1)
        assert arrival.datagram == b"2"
        peer.roam_to(arrival.address)
        assert await peer.recv_many() == [b"1", b"4", b"5"]
        assert (await server.recv_from_many())[0].datagram == b"3"


async def test_roaming_is_the_applications_word() -> None:
    """Whatever arrives, from wherever, a peer's address is what it was until roam_to() (G10)."""
    async with scene(2) as (server, (sock, forger)):
        peer = server.peer(name(sock))
        for _ in range(5):
            forger.send(b"I am the peer")
            sock.send(b"1")
        while (await peer.recv_many()) and peer.statistics().taken_packets < 5:
            pass
        assert peer.address == name(sock)
        await peer.send(b"secret")
        assert sock.recv(10) == b"secret"


async def test_nobody_roams_onto_another() -> None:
    """An address that is another peer's, or none, is refused, and nothing changes."""
    async with scene(2) as (server, socks):
        one, other = (server.peer(name(sock)) for sock in socks)
        with pytest.raises(DeviceBusy, match=f"cannot roam to 127.0.0.1:{name(socks[1])[1]}, which is another peer's"):
            one.roam_to(other.address)
        with pytest.raises(ValueError, match="no numeric address"):
            one.roam_to(("nowhere", 9))
        one.roam_to(one.address)
        assert server.peers == {name(socks[0]): one, name(socks[1]): other}


@linux
async def test_a_peer_is_answered_from_where_it_sent_to() -> None:
    """On a server of any address, answers come from the address that the peer knows."""
    async with scene(1, "::") as (server, (sock,)):
        sock.connect(("127.0.0.6", server.address[1]))
        sock.send(b"1")
        peer = await server.accept()
        assert peer.local == "127.0.0.6"
        await peer.send(b"2")
        assert sock.recv(10) == b"2"


@linux
async def test_a_source_is_learned_once() -> None:
    """The address of ours is not changed by what anybody sends, only by roam_to() (G9, G10)."""
    async with scene(1, "0.0.0.0") as (server, (sock,)):
        peer = server.peer(name(sock))
        sock.send(b"1")
        assert (await peer.recv(), peer.local) == (b"1", "127.0.0.1")
        sock.connect(("127.0.0.6", server.address[1]))
        sock.send(b"2")
        assert (await peer.recv(), peer.local) == (b"2", "127.0.0.1")
        peer.roam_to(peer.address, local="127.0.0.6")
        assert peer.local == "127.0.0.6"


@linux
async def test_a_report_is_told_to_whom_it_is_about() -> None:
    """That a peer's port is closed is that peer's event and count, and nobody else's."""
    async with scene(2) as (server, (gone, there)):
        peer, other = server.peer(name(gone)), server.peer(name(there))
        events = peer.events()
        address = name(gone)
        gone.close()
        await peer.send(b"1")
        reported(server.fileno())
        await other.send(b"2")
        assert await anext(events) == Event(EventKind.REPORTED, Report(address, 111, "127.0.0.1"))
        counters = [one.statistics().interface for one in (peer, other)]
        assert [dict(one.dropped) for one in counters if one] == [{"reported_lost": 1}, {}]


@linux
async def test_a_report_about_nobody_is_counted() -> None:
    """What is reported of a datagram to no peer is the server's count."""
    async with scene(1) as (server, (gone,)):
        address = name(gone)
        gone.close()
        for _ in range(2):
            await server.send_to_many([(address, b"1")])
            reported(server.fileno())
        assert server.statistics().dropped == {"reported_lost": 1}


async def test_a_closed_peer_is_refused() -> None:
    """After close there is nothing to ask of a peer, and the server goes on."""
    async with scene(1) as (server, (sock,)):
        peer = server.peer(name(sock))
        await peer.aclose()
        for what in ("address", "local", "path_mtu"):
            with pytest.raises(DeviceClosed):
                getattr(peer, what)
        with pytest.raises(DeviceClosed):
            peer.roam_to(("127.0.0.1", 9))
        sock.send(b"1")
        again = await server.accept()
        assert again.address == name(sock)


async def test_the_socket_is_not_a_peers_to_give() -> None:
    """A peer has no descriptor of its own to give away; fileno() is the server's."""
    async with scene(1) as (server, (sock,)):
        peer = server.peer(name(sock))
        assert peer.fileno() == server.fileno()
        with pytest.raises(DeviceError, match="the socket is its server's, and other peers'"):
            peer.detach_fd()
        sock.send(b"1")
        assert await peer.recv() == b"1"


async def test_a_path_is_not_known_before_it_is_told() -> None:
    """path_mtu is None until the network says something, and switches are the server's."""
    async with scene(1) as (server, (sock,)):
        peer = server.peer(name(sock))
        assert peer.path_mtu is None
        assert peer.capabilities == server.capabilities

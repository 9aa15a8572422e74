"""One socket for many: peers, datagrams of nobody known, and the end."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from aiotun import ConcurrencyError, DeviceClosed, DeviceError, WouldBlock
from aiotun.channel import Arrival, UdpServer, serve_udp
from aiotun.channel.udp_address import Address
from aiotun.endpoint.busy import BULK, BusyPoll
from aiotun.testing import Ledger
from aiotun.testing.expect import parked, turns

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux does it")


@contextmanager
def senders(server: UdpServer, count: int) -> Iterator[list[socket.socket]]:
    """Sockets that are connected to the server."""
    socks = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sock.connect(("127.0.0.1", server.address[1]))
        sock.setblocking(False)
        socks.append(sock)
    try:
        yield socks
    finally:
        for sock in socks:
            sock.close()


@asynccontextmanager
async def scene(count: int = 2, host: str = "127.0.0.1") -> AsyncIterator[tuple[UdpServer, list[socket.socket]]]:
    async with serve_udp((host, 0)) as server:
        with senders(server, count) as socks:
            yield server, socks


def name(sock: socket.socket) -> Address:
    host, port = sock.getsockname()
    return host, port


# --- busy polling ---------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told to what keeps the loop awake."""
    told: list[str] = []
    monkeypatch.setattr(BusyPoll, "arrived", lambda poll: told.append("arrived"))
    monkeypatch.setattr(BusyPoll, "rest", lambda poll: told.append("rest"))
    return told


async def test_a_datagram_of_nobody_known_is_an_arrival(told: list[str]) -> None:
    """Whoever sends, the loop stays awake as long as the server was told."""
    async with scene(1) as (server, socks):
        server.busy_poll = 1
        task = await parked(server.recv_from_many())
        socks[0].send(b"1")
        await task
        assert "arrived" in told


async def test_a_server_is_not_busy_unless_told(told: list[str]) -> None:
    """Without busy_poll, which is 0, no arrival is told of."""
    async with scene(1) as (server, socks):
        task = await parked(server.recv_from_many())
        socks[0].send(b"1")
        await task
        assert (server.busy_poll, told) == (0, [])


async def test_bulk_lets_the_loop_sleep(told: list[str]) -> None:
    """Many bytes at one wake-up are told of as a stream."""
    async with scene(1) as (server, socks):
        server.busy_poll = 1
        task = await parked(server.recv_from_many())
        socks[0].send(bytes(BULK + 1))
        await task
        assert "rest" in told


async def test_peers_share_the_servers_busy_poll() -> None:
    """A peer's busy_poll is the server's, and so every other's."""
    async with scene(2) as (server, socks):
        peers = [server.peer(name(sock)) for sock in socks]
        peers[0].busy_poll = 0.5
        assert (server.busy_poll, peers[1].busy_poll) == (0.5, 0.5)


async def test_a_servers_busy_poll_outlives_its_peers() -> None:
    """A peer that closes takes nothing from the others."""
    async with scene(2) as (server, socks):
        peers = [server.peer(name(sock)) for sock in socks]
        peers[0].busy_poll = 0.5
        await peers[0].aclose()
        assert (peers[0].busy_poll, peers[1].busy_poll) == (0, 0.5)


async def test_no_time_for_a_server() -> None:
    """What is no number of seconds is refused, by the server's name."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        with pytest.raises(ValueError, match=f"{server.name}: busy_poll is a finite number of seconds"):
            server.busy_poll = -1


async def test_a_closed_servers_busy_poll() -> None:
    """Once a server is closed its busy_poll is 0, and cannot be set."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        server.busy_poll = 1
    assert server.busy_poll == 0
    with pytest.raises(DeviceClosed):
        server.busy_poll = 1


# --- peers ----------------------------------------------------------------------------------------


async def test_each_peer_has_its_datagrams() -> None:
    """What peers send arrives at each's endpoint, in order, however it is mixed on the wire."""
    async with scene(3) as (server, socks):
        peers = [server.peer(name(sock)) for sock in socks]
        for number in range(60):
            socks[number % 3].send(b"%d" % number)
        for at, peer in enumerate(peers):
            received: list[bytes] = []
            while len(received) < 20:
                received += await peer.recv_many()
            assert received == [b"%d" % number for number in range(at, 60, 3)]


async def test_each_peer_is_sent_its_own() -> None:
    """What is sent to a peer goes to its address, from the server's."""
    async with scene(2) as (server, socks):
        peers = [server.peer(name(sock)) for sock in socks]
        for at, peer in enumerate(peers):
            await peer.send_many([b"%d" % at] * 3)
        assert [sock.recvfrom(10) for sock in socks] == [(b"%d" % at, server.address) for at in range(2)]


async def test_accept_makes_a_peer_with_its_first_datagrams() -> None:
    """accept() returns whom nobody knew, with every datagram of his that waits."""
    async with scene(2) as (server, socks):
        for sock, datagram in ((socks[0], b"1"), (socks[1], b"2"), (socks[0], b"3")):
            sock.send(datagram)
        first, second = await server.accept(), await server.accept()
        assert [first.address, second.address] == [name(sock) for sock in socks]
        assert [await first.recv_many(), await second.recv_many()] == [[b"1", b"3"], [b"2"]]
        assert server.peers == {name(socks[0]): first, name(socks[1]): second}


async def test_iterating_accepts_until_the_end() -> None:
    """``async for`` is accept(), and ends when the server is closed."""
    async with scene(1) as (server, (sock,)):
        sock.send(b"1")
        found = []
        async for peer in server:
            found.append(peer.address)
            await server.aclose()
        assert found == [name(sock)]


async def test_a_peer_is_one() -> None:
    """The same address, however written, is the same peer until it is closed."""
    async with scene(1) as (server, (sock,)):
        host, port = name(sock)
        peer = server.peer((host, port))
        assert server.peer((f"::ffff:{host}", port)) is peer
        await peer.aclose()
        again = server.peer((host, port))
        assert again is not peer
        sock.send(b"1")
        assert await again.recv() == b"1"


@pytest.mark.parametrize("address", [("localhost", 9), ("127.0.0.1", 0), ("127.0.0.1", 65536)])
async def test_what_can_be_no_peer(address: Address) -> None:
    """A name, and a port that is none, is refused before there is a peer (G6)."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        with pytest.raises(ValueError, match="udp: "):
            server.peer(address)
        with pytest.raises(ValueError, match="a queue has room for at least 1 datagram, not 0"):
            server.peer(("127.0.0.1", 9), queue_length=0)
        assert server.peers == {}


async def test_a_forgotten_peer_is_freed() -> None:
    """A peer nobody holds any more is warned of and forgotten; its datagrams are nobody's again."""
    async with scene(1) as (server, (sock,)):
        peer = server.peer(name(sock))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del peer
            gc.collect()
        assert server.peers == {}
        sock.send(b"1")
        assert await server.recv_from_many() == [Arrival(name(sock), b"1")]


# --- datagrams of nobody known --------------------------------------------------------------------


async def test_without_peers_every_datagram_is_nobodys() -> None:
    """recv_from_many() returns each with its source, oldest first."""
    async with scene(2) as (server, socks):
        for number in range(10):
            socks[number % 2].send(b"%d" % number)
        received: list[Arrival] = []
        while len(received) < 10:
            batch = await server.recv_from_many(4)
            assert 1 <= len(batch) <= 4
            received += batch
        assert received == [Arrival(name(socks[number % 2]), b"%d" % number) for number in range(10)]


@linux
async def test_where_it_was_sent_to_is_told() -> None:
    """A server that receives on any address says on which, and is answered from there when it is given back."""
    async with scene(1, "0.0.0.0") as (server, (sock,)):
        sock.connect(("127.0.0.5", server.address[1]))
        sock.send(b"1")
        (arrival,) = await server.recv_from_many()
        assert arrival == Arrival(name(sock), b"1", "127.0.0.5")
        await server.send_to_many([(arrival.address, b"2", arrival.local)])
        assert sock.recv(10) == b"2"  # it is connected: from another address it would not arrive


async def test_datagrams_to_many() -> None:
    """send_to_many() sends to whomever, in order, more than one call can."""
    async with scene(2) as (server, socks):
        await server.send_to_many([(name(socks[number % 2]), b"%d" % number) for number in range(200)])
        for at, sock in enumerate(socks):
            assert [sock.recv(10) for _ in range(100)] == [b"%d" % number for number in range(at, 200, 2)]
        assert server.send_to_many_nowait([(name(socks[0]), b"1"), (name(socks[0]), b"")]) == 2
        assert [socks[0].recv(10), socks[0].recv(10)] == [b"1", b""]
        assert server.statistics().sent == 202


async def test_sending_nothing_to_many() -> None:
    """An empty batch is nothing."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        await server.send_to_many([])
        assert server.send_to_many_nowait([]) == 0


async def test_a_batch_to_nowhere_says_so() -> None:
    """An address that is none is a ValueError, once what stands before it went."""
    async with scene(1) as (server, (sock,)):
        with pytest.raises(ValueError, match="is no .host, port. that this socket can send to"):
            await server.send_to_many([(name(sock), b"1"), (("nowhere", 9), b"2")])
        assert sock.recv(10) == b"1"


async def test_nowait_would_block() -> None:
    """Without a datagram there is WouldBlock, and a limit below 1 is a ValueError."""
    async with serve_udp(("127.0.0.1", 0)) as server:
        with pytest.raises(WouldBlock, match="no datagram is queued"):
            server.recv_from_many_nowait()
        with pytest.raises(ValueError, match="a batch has at least 1 datagram, not 0"):
            server.recv_from_many_nowait(0)


@linux
async def test_a_full_socket_is_waited_for() -> None:
    """While the socket has no room send_to_many() waits, and everything goes out in the end."""
    async with scene(1) as (server, (sock,)):
        room = server._udp._send
        blocked = 3

        def crowded(*arguments: object) -> tuple[int, int, int]:
            nonlocal blocked
            blocked -= 1
            return (0, 11, 1) if blocked >= 0 else room(*arguments)  # type: ignore[arg-type]

        server._udp._send = crowded
        with pytest.raises(WouldBlock, match="no room to send"):
            server.send_to_many_nowait([(name(sock), b"1")])
        await server.send_to_many([(name(sock), b"2")])
        assert sock.recv(10) == b"2"


async def test_what_there_is_no_room_for_is_counted() -> None:
    """Datagrams of nobody known beyond the limit are dropped under a reason, and the sum is right."""
    async with serve_udp(("127.0.0.1", 0), unknown_limit=5) as server:
        with senders(server, 1) as (sock,):
            for number in range(12):
                sock.send(b"%d" % number)
            received = await server.recv_from_many(64)
            told = server.statistics()
            assert [arrival.datagram for arrival in received] == [b"0", b"1", b"2", b"3", b"4"]
            assert (told.received, told.taken, told.waiting, told.dropped) == (12, 5, 0, {"unknown_full": 7})


async def test_the_sum_is_right() -> None:
    """received = to peers + taken + waiting + dropped, whoever the datagrams were for."""
    async with scene(2) as (server, socks):
        peer = server.peer(name(socks[0]), queue_length=3)
        for number in range(10):
            for sock in socks:
                sock.send(b"%d" % number)
        await server.recv_from_many(4)
        told = server.statistics()
        assert (told.received, told.to_peers, told.taken, told.waiting) == (20, 10, 4, 6)
        counters = peer.statistics().interface
        assert counters is not None
        assert (counters.opackets, counters.dropped) == (3, {"queue_full": 7})


# --- waiting, cancelling, closing -----------------------------------------------------------------


async def test_two_that_wait_for_nobody() -> None:
    """A second task that waits for a datagram of nobody known is refused."""
    async with scene(1) as (server, (sock,)):
        task = await parked(server.accept())
        with pytest.raises(ConcurrencyError):
            await server.recv_from_many()
        sock.send(b"1")
        assert (await task).address == name(sock)


async def test_a_cancelled_receiver_loses_nothing() -> None:
    """Cancelled at any turn around an arrival, recv_from_many() loses and doubles nothing."""
    async with scene(1) as (server, (sock,)):
        received: list[bytes] = []
        for number in range(200):
            task = asyncio.create_task(server.recv_from_many())
            await turns(number % 4)
            sock.send(b"%d" % number)
            await turns(number // 4 % 4)
            task.cancel()
            try:
                received += [arrival.datagram for arrival in await task]
            except asyncio.CancelledError:
                continue
        while len(received) < 200:
            received += [arrival.datagram for arrival in await server.recv_from_many()]
        assert received == [b"%d" % number for number in range(200)]


async def test_close_ends_everything() -> None:
    """aclose() ends whoever waits, closes the peers, frees the port, and leaves nothing in the loop."""
    async with serve_udp(("127.0.0.1", 0)) as first:
        await asyncio.gather(await parked(first.accept()), first.aclose(), return_exceptions=True)
    before = Ledger.take()  # a loop that has watched something watches something of its own
    server = await serve_udp(("127.0.0.1", 0))
    address = server.address
    peer = server.peer(("127.0.0.1", 9))
    waiting = [await parked(server.accept()), await parked(peer.recv())]
    await asyncio.gather(server.aclose(), server.aclose())
    for task in waiting:
        with pytest.raises(DeviceClosed):
            await task
    assert (server.closed, peer.closed, server.peers, server.fileno()) == (True, True, {}, -1)
    for refused in (lambda: server.peer(address), server.recv_from_many_nowait):
        with pytest.raises(DeviceClosed, match="the server is closed"):
            refused()
    with pytest.raises(DeviceClosed):
        await server.send_to_many([(address, b"1")])
    assert Ledger.take() == before
    async with serve_udp(address):
        pass


async def test_close_counts_what_waits() -> None:
    """What nobody took before the end is counted as ``closed``."""
    async with scene(1) as (server, (sock,)):
        for _ in range(3):
            sock.send(b"1")
        await server.recv_from_many(1)
    told = server.statistics()
    assert (told.received, told.taken, told.waiting, told.dropped) == (3, 1, 0, {"closed": 2})


async def test_a_cancelled_close_frees_everything() -> None:
    """If cancelled, aclose() has closed the socket and every peer first."""
    server = await serve_udp(("127.0.0.1", 0))
    peers = [server.peer(("127.0.0.1", port)) for port in (7, 8, 9)]
    task = asyncio.create_task(server.aclose())
    await turns(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (server.fileno(), [peer.closed for peer in peers]) == (-1, [True] * 3)


async def test_a_forgotten_server_is_warned_of() -> None:
    """A server that nobody closed warns, and frees its socket."""
    server = await serve_udp(("127.0.0.1", 0))
    address = server.address
    with pytest.warns(ResourceWarning, match=f"UdpServer udp 127.0.0.1:{address[1]}> was never closed"):
        del server
        gc.collect()
    async with serve_udp(address):
        pass


@linux
async def test_an_error_of_the_socket_reaches_who_waits() -> None:
    """When the socket fails, whoever waits is told, and the loop is left."""
    async with scene(1) as (server, (sock,)):
        peer = server.peer(("127.0.0.1", 9))
        tasks = [await parked(server.accept()), await parked(peer.recv())]
        server._udp._receive = lambda *arguments: ([], 5, 0, 0, 0)
        sock.send(b"1")
        for task in tasks:
            with pytest.raises(DeviceError, match="cannot receive: Input/output error"):
                await task
        assert server._demux.reading.loop is None


@linux
async def test_who_waits_goes_on_after_a_report() -> None:
    """What the network reports leaves nobody unwatched who waits for a datagram, on either loop."""
    async with scene(2) as (server, (sock, gone)):
        peer = server.peer(name(sock))
        tasks = [await parked(peer.recv()), await parked(server.recv_from_many())]
        address = name(gone)
        gone.close()
        for _ in range(3):
            await server.send_to_many([(address, b"1")])
            await turns()
        sock.send(b"2")
        assert await tasks[0] == b"2"
        with senders(server, 1) as (another,):
            another.send(b"3")
            assert await tasks[1] == [Arrival(name(another), b"3")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
async def test_a_forked_child_has_no_server() -> None:
    """In a forked child the server is refused and its socket closed; the parent's goes on."""
    async with scene(1) as (server, (sock,)):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                server.peer(("127.0.0.1", 9))
            except DeviceClosed as error:
                os.write(write, f"{server.fileno()} {error}".encode())
            os._exit(0)
        os.waitpid(child, 0)
        told = os.read(read, 1000).decode()
        os.close(read)
        os.close(write)
        assert told == f"-1 {server.name}: it belongs to process {os.getpid()}, which forked this one"
        sock.send(b"1")
        assert (await server.recv_from_many())[0].datagram == b"1"

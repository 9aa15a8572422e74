"""Serving streams: bounded in connections and in handshakes, and nothing left at the end."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from aiotun.channel import StreamServer, open_stream, serve_stream
from aiotun.channel.stream_framing import Framing, LengthFraming
from aiotun.channel.stream_listening import listening
from aiotun.channel.stream_socket import StreamOptions
from aiotun.testing import watched_fds
from aiotun.testing.expect import parked, turns
from aiotun.testing.tls import tls_contexts


def connect(server: StreamServer) -> socket.socket:
    return socket.create_connection(server.address, timeout=10)


async def closed_by_peer(sock: socket.socket) -> bool:
    """Wait until the peer closes, or resets, what it was sent nothing by."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    try:
        return await loop.sock_recv(sock, 1) == b""
    except ConnectionResetError:
        return True


async def test_each_connection_is_a_channel() -> None:
    """``async for`` gives a channel for every connection, in order, and ends when the server is closed."""
    async with serve_stream("127.0.0.1", 0) as server:
        seen: list[bytes] = []

        async def serve() -> None:
            async for channel in server:
                async with channel:
                    seen.append(await channel.recv())

        serving = asyncio.create_task(serve())
        for number in range(3):
            async with open_stream(*server.address) as channel:
                await channel.send(bytes([number]))
        while len(seen) < 3:
            await turns(1)
        await server.aclose()
        await serving
        assert (seen, server.connected, server.closed) == ([b"\0", b"\1", b"\2"], 0, True)


async def test_a_silent_peer_costs_a_bounded_time() -> None:
    """A peer that connects to a TLS server and says nothing is dropped, and counted; another is served meanwhile."""
    theirs, ours = tls_contexts()
    async with serve_stream("127.0.0.1", 0, ssl=theirs, handshake_timeout=0.2) as server:
        with connect(server) as silent:
            accepting = asyncio.create_task(server.__anext__())
            async with open_stream(*server.address, ssl=ours, server_hostname="localhost") as near:
                async with await accepting as far:
                    await near.send(b"1")
                    assert await far.recv() == b"1"
            assert await closed_by_peer(silent)
        assert (server.dropped, server.connected) == ({"handshake_timeout": 1}, 0)


async def test_a_peer_that_speaks_something_else_is_counted() -> None:
    """A failed handshake ends that connection only."""
    async with serve_stream("127.0.0.1", 0, ssl=tls_contexts()[0]) as server:
        accepting = await parked(server.__anext__())
        with connect(server) as stranger:
            stranger.send(b"GET / HTTP/1.1\r\n\r\n")
            stranger.setblocking(False)
            while await asyncio.get_running_loop().sock_recv(stranger, 100):
                pass  # the alert, and the end
        assert (server.dropped, server.connected, accepting.done()) == ({"handshake_failed": 1}, 0, False)
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)


async def test_connections_are_bounded() -> None:
    """At max_connections the next waits in the kernel's backlog until one is closed."""
    async with serve_stream("127.0.0.1", 0, max_connections=2) as server:
        with connect(server), connect(server), connect(server):
            first, second = await anext(server), await anext(server)
            accepting = await parked(server.__anext__())
            assert server.connected == 2
            await first.aclose()
            await (await accepting).aclose()
            await second.aclose()
        assert server.connected == 0


async def test_a_descriptor_given_away_makes_room() -> None:
    """A channel whose descriptor was given away is none of the server's connections any more."""
    async with serve_stream("127.0.0.1", 0) as server:
        with connect(server):
            with socket.socket(fileno=(await anext(server)).detach_fd()):
                assert server.connected == 0


async def test_a_cancelled_accept_loses_no_connection() -> None:
    """However the wait for a connection is cancelled, the connection comes to the next one (E1)."""
    async with serve_stream("127.0.0.1", 0) as server:
        for ticks in range(6):
            accepting = asyncio.create_task(server.__anext__())
            await turns(ticks)
            with connect(server):
                await turns(2)
                accepting.cancel()
                try:
                    channel = await accepting
                except asyncio.CancelledError:
                    channel = await anext(server)
                await channel.aclose()


async def test_closing_ends_handshakes_and_what_was_not_taken() -> None:
    """aclose() closes connections in their handshake, and wakes who waits; nothing is watched afterwards (E6)."""
    async with serve_stream("127.0.0.1", 0, ssl=tls_contexts()[0]) as server:
        accepting = await parked(server.__anext__())
        with connect(server) as silent:
            while not server.connected:
                await turns(1)
            watched = server._socket.fileno()
            await server.aclose()
            with pytest.raises(StopAsyncIteration):
                await accepting
            assert await closed_by_peer(silent)
        assert (server.connected, watched_fds()[watched]) == (0, 0)


async def test_closing_can_be_cancelled() -> None:
    """A cancelled aclose() has freed everything (E7)."""
    async with serve_stream("127.0.0.1", 0, ssl=tls_contexts()[0]) as server:
        accepting = await parked(server.__anext__())
        with connect(server) as silent:
            while not server.connected:
                await turns(1)
            closing = asyncio.create_task(server.aclose())
            await turns(1)
            closing.cancel()
            await asyncio.gather(closing, accepting, return_exceptions=True)
            assert await closed_by_peer(silent)
        assert server.connected == 0


async def test_no_descriptor_left_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the system has no descriptor for a connection, it is accepted later, and the failure counted."""
    async with serve_stream("127.0.0.1", 0) as server:
        refusals = [OSError(errno.EMFILE, "Too many open files")]
        accept = socket.socket.accept

        def refuse_once(sock: socket.socket) -> Any:
            if refusals:
                raise refusals.pop()
            return accept(sock)

        monkeypatch.setattr(socket.socket, "accept", refuse_once)
        with connect(server):
            await (await anext(server)).aclose()
        assert server.dropped == {"no_resources": 1}


async def test_a_fault_in_a_handshake() -> None:
    """What a handshake raises that no peer is to blame for comes out of the iteration, once; the server goes on."""
    faults = [RuntimeError("a fault in the program")]

    def layers(name: str) -> Framing:
        if faults:
            raise faults.pop()
        return LengthFraming(name, 1500)

    sock = await listening("127.0.0.1", 0, 8, StreamOptions())
    async with StreamServer(sock, "tcp", 1500, layers, max_connections=8, handshake_timeout=10.0) as server:
        with connect(server):
            with pytest.raises(RuntimeError, match="a fault in the program"):
                await anext(server)
        async with open_stream(*server.address), await anext(server):
            assert server.connected == 1

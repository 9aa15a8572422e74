"""Sockets of a private network, used from the event loop outside it."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aiotun.host.private import PrivateHost

pytestmark = pytest.mark.kernel

V4, V6 = "127.0.0.1", "::1"
both_families = pytest.mark.parametrize("address", [V4, V6])


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, until its end, with the peer's address in front."""
    writer.write(f"{writer.get_extra_info('peername')[:2]} ".encode() + await reader.read())
    await writer.drain()
    writer.close()


@asynccontextmanager
async def serving(host: PrivateHost, address: str, **options: Any) -> AsyncIterator[int]:
    """Serve echo() inside, and give the port."""
    server = await host.start_server(echo, address, 0, **options)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def asked(host: PrivateHost, address: str, port: int, **options: Any) -> bytes:
    """Say hello, and return the answer."""
    reader, writer = await host.open_connection(address, port, **options)
    writer.write(b"hello")
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@both_families
async def test_a_connection_reaches_a_server_inside(address: str) -> None:
    """open_connection() and start_server() meet in the private network, in both families."""
    async with PrivateHost() as host, serving(host, address) as port:
        assert (await asked(host, address, port)).endswith(b"hello")


async def test_the_local_address_is_the_connections() -> None:
    """``local_addr`` is what the server sees."""
    async with PrivateHost() as host, serving(host, "0.0.0.0") as port:
        assert await asked(host, V4, port, local_addr=("127.0.0.9", 4321)) == b"('127.0.0.9', 4321) hello"


async def test_options_are_asyncios() -> None:
    """What else is given to open_connection() and start_server() is asyncio's: here the limit of a line."""
    limits: asyncio.Queue[int] = asyncio.Queue()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limits.put_nowait(reader._limit)  # type: ignore[attr-defined]
        writer.close()

    async with PrivateHost() as host:
        server = await host.start_server(note, V4, 0, limit=77)
        reader, writer = await host.open_connection(V4, server.sockets[0].getsockname()[1], limit=5)
        assert (reader._limit, await limits.get()) == (5, 77)  # type: ignore[attr-defined]
        writer.close()
        server.close()


async def test_a_server_of_ipv6_leaves_ipv4_alone() -> None:
    """A port served on ``::`` is free on ``0.0.0.0``, as with asyncio."""
    async with PrivateHost() as host, serving(host, "::") as port:
        server = await host.start_server(echo, "0.0.0.0", port)
        server.close()


async def test_a_port_can_be_served_again_at_once() -> None:
    """A server's port is free for the next one although a connection to it lingers."""
    async with PrivateHost() as host:
        async with serving(host, V4) as port:
            await asked(host, V4, port)
        server = await host.start_server(echo, V4, port)
        server.close()


async def test_a_server_may_start_later() -> None:
    """With ``start_serving=False`` nobody is accepted before the server's own start_serving()."""
    async with PrivateHost() as host:
        server = await host.start_server(echo, V4, 0, start_serving=False)
        assert not server.is_serving()
        await server.start_serving()
        assert (await asked(host, V4, server.sockets[0].getsockname()[1])).endswith(b"hello")
        server.close()


async def test_a_cancelled_server_is_none() -> None:
    """Cancelled, start_server() leaves no socket: the port is free."""
    async with PrivateHost() as host:
        async with serving(host, V4) as port:
            pass
        for ticks in range(3):
            starting = asyncio.create_task(host.start_server(echo, V4, port))
            for _ in range(ticks):
                await asyncio.sleep(0)
            starting.cancel()
            for server in await asyncio.gather(starting, return_exceptions=True):
                if not isinstance(server, BaseException):  # it was there before the cancel
                    server.close()
                    await server.wait_closed()
        (await host.start_server(echo, V4, port)).close()


async def test_a_refused_connection_leaves_nothing() -> None:
    """Where nobody serves, open_connection() raises what connect() says."""
    async with PrivateHost() as host:
        with pytest.raises(ConnectionRefusedError):
            await host.open_connection(V4, 9)
        with pytest.raises(OSError) as caught:
            await host.open_connection("192.0.2.1", 9)
        assert caught.value.errno == errno.ENETUNREACH


async def test_a_cancelled_connection_is_none() -> None:
    """A cancel while the connection is made leaves no socket."""
    async with PrivateHost() as host, host.open_tun(address="10.8.0.1/24") as tun:
        connecting = asyncio.create_task(host.open_connection("10.8.0.2", 80))
        await tun.recv()  # the SYN, which nobody answers
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting


async def test_an_address_that_is_not_of_the_network_is_refused() -> None:
    """A server cannot have an address that no interface inside has, and the socket is closed."""
    async with PrivateHost() as host:
        with pytest.raises(OSError) as caught:
            await host.start_server(echo, "192.0.2.1", 0)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        with pytest.raises(OSError):
            await host.datagram(local_addr=("192.0.2.1", 0))


async def test_names_are_not_looked_up() -> None:
    """A host name is refused: the machine's resolver speaks of another network."""
    text = "^private host: 'localhost' is not an IP address; names are not looked up in there$"
    async with PrivateHost() as host:
        with pytest.raises(ValueError, match=text):
            await host.open_connection("localhost", 80)
        with pytest.raises(ValueError, match=text):
            await host.start_server(echo, "localhost", 80)
        with pytest.raises(ValueError, match=text):
            await host.datagram(remote_addr=("localhost", 80))


@both_families
async def test_datagrams_go_both_ways(address: str) -> None:
    """A bound and a connected socket exchange datagrams through the loop."""
    loop = asyncio.get_running_loop()
    async with PrivateHost() as host:
        bound = await host.datagram(local_addr=(address, 0))
        connected = await host.datagram(remote_addr=bound.getsockname()[:2])
        with bound, connected:
            await loop.sock_sendall(connected, b"there")
            datagram, peer = bound.recvfrom(100)  # it is there: lo delivers at once
            assert (datagram, peer) == (b"there", connected.getsockname())
            bound.sendto(b"back", peer)
            assert await loop.sock_recv(connected, 100) == b"back"


async def test_a_datagram_socket_can_be_bound_and_connected() -> None:
    """With both addresses the socket has both; it is of UDP, and does not block."""
    async with PrivateHost() as host:
        with await host.datagram(local_addr=("127.0.0.2", 1234), remote_addr=(V4, 9)) as sock:
            assert (sock.getsockname(), sock.getpeername()) == (("127.0.0.2", 1234), (V4, 9))
            assert (sock.type, sock.getblocking()) == (socket.SOCK_DGRAM, False)


async def test_a_datagram_socket_suits_a_datagram_endpoint() -> None:
    """The socket can be given to create_datagram_endpoint()."""
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[bytes] = asyncio.Queue()

    class Protocol(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            received.put_nowait(data)

    async with PrivateHost() as host:
        bound = await host.datagram(local_addr=(V4, 0))
        peer = bound.getsockname()
        transport, _ = await loop.create_datagram_endpoint(Protocol, sock=bound)
        with await host.datagram(remote_addr=peer) as sock:
            sock.send(b"hello")
        assert await received.get() == b"hello"
        transport.close()


async def test_a_datagram_socket_has_an_address() -> None:
    """Without an address there is no family, and the request is refused."""
    async with PrivateHost() as host:
        with pytest.raises(ValueError, match="^private host: a datagram socket has a local_addr, a remote_addr, or"):
            await host.datagram()


async def test_any_socket_can_be_made() -> None:
    """socket() makes what was asked for, TCP over IPv4 by default, non-blocking."""
    async with PrivateHost() as host:
        with host.socket() as tcp, host.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
            assert (tcp.family, tcp.type, tcp.getblocking()) == (socket.AF_INET, socket.SOCK_STREAM, False)
            assert (raw.family, raw.type, raw.proto) == (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            assert not raw.getblocking()


async def test_a_socket_outlives_the_host() -> None:
    """A connection goes on after the host is closed, until its owner closes it."""
    async with PrivateHost() as host:
        server = await host.start_server(echo, V4, 0)
        reader, writer = await host.open_connection(V4, server.sockets[0].getsockname()[1])
    writer.write(b"after")
    writer.write_eof()
    assert (await reader.read()).endswith(b"after")
    writer.close()
    server.close()

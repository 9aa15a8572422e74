"""Opening streams: who answers, who does not, and what is left when nobody does."""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from pathlib import Path

import pytest

from aiotun import DeviceError, DeviceGone
from aiotun.channel import StreamBroken, StreamOptions, open_stream, open_unix, serve_stream, serve_unix
from aiotun.testing.tls import tls_contexts


@pytest.fixture
def unused() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_packets_go_both_ways_over_tcp() -> None:
    """A channel is called after its peer's address."""
    async with serve_stream("127.0.0.1", 0) as server, open_stream(*server.address) as near:
        async with await anext(server) as far:
            await near.send(b"1")
            await far.send(await far.recv() + b"2")
            assert await near.recv() == b"12"
            assert near.name == f"tcp 127.0.0.1:{server.address[1]}"


async def test_packets_go_both_ways_over_tls() -> None:
    """With a context packets go through TLS, checked by name."""
    theirs, ours = tls_contexts()
    async with serve_stream("127.0.0.1", 0, ssl=theirs) as server:
        accepting = asyncio.create_task(server.__anext__())
        async with open_stream(*server.address, ssl=ours, server_hostname="localhost") as near, await accepting as far:
            await near.send(bytes(60_000))
            assert await far.recv() == bytes(60_000)
            assert (near.name.split()[0], far.name.split()[0]) == ("tls", "tls")
            await near.aclose()
            with pytest.raises(DeviceGone, match="the peer closed the connection"):
                await far.recv()


async def test_packets_go_both_ways_over_a_unix_socket(tmp_path: Path) -> None:
    """Both ends of a unix socket are called after its path."""
    path = str(tmp_path / "socket")
    async with serve_unix(path) as server, open_unix(path) as near, await anext(server) as far:
        await near.send(b"1")
        assert await far.recv() == b"1"
        assert (near.name, far.name) == (f"unix {path}", f"unix {path}")


async def test_four_bytes_carry_what_two_cannot() -> None:
    """With a length of 4 bytes a packet may be longer than 65535 bytes."""
    async with (
        serve_stream("127.0.0.1", 0, length_bytes=4, mtu=1 << 20) as server,
        open_stream(*server.address, length_bytes=4, mtu=1 << 20) as near,
        await anext(server) as far,
    ):
        sending = asyncio.create_task(near.send(bytes(1 << 20)))
        assert await far.recv() == bytes(1 << 20)
        await sending


async def test_nobody_listens(unused: int) -> None:
    """The refusal has the address and the reason, and its errno."""
    with pytest.raises(DeviceError, match=f"^tcp: cannot connect to 127.0.0.1:{unused}: Connection refused$") as caught:
        await open_stream("127.0.0.1", unused)
    assert caught.value.errno == errno.ECONNREFUSED


async def test_no_address_of_a_name_answers(unused: int) -> None:
    """Where a name has addresses of its own, the text has each with its reason."""
    with pytest.raises(DeviceError, match=rf"to localhost:{unused}: .*127\.0\.0\.1: Connection refused"):
        await open_stream("localhost", unused)


async def test_a_local_address_that_is_not_ours(unused: int) -> None:
    """An address of another machine cannot be connected from, and both are in the text."""
    text = rf"^tcp: cannot connect from 192\.0\.2\.1:0 to 127\.0\.0\.1:{unused}: Cannot assign requested address$"
    with pytest.raises(DeviceError, match=text):
        await open_stream("127.0.0.1", unused, local=("192.0.2.1", 0))


async def test_no_socket_at_the_path(tmp_path: Path) -> None:
    """A unix path that is not there is named."""
    path = str(tmp_path / "missing")
    with pytest.raises(DeviceError, match=f"^unix: cannot connect to {re.escape(path)}: No such file or directory$"):
        await open_unix(path)


async def test_a_cancelled_handshake_leaves_nothing() -> None:
    """An opening that is cancelled in its handshake has closed its socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def open() -> None:
            await open_stream(*listener.getsockname(), ssl=tls_contexts()[1])

        opening = asyncio.create_task(open())
        listener.setblocking(False)
        peer, _ = await asyncio.get_running_loop().sock_accept(listener)
        with peer:
            loop = asyncio.get_running_loop()
            await loop.sock_recv(peer, 1 << 16)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert await loop.sock_recv(peer, 1 << 16) == b""


async def test_a_peer_without_tls() -> None:
    """A peer that does not speak TLS is StreamBroken, by name and reason."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def open() -> None:
            await open_stream(*listener.getsockname(), ssl=tls_contexts()[1])

        opening = asyncio.create_task(open())
        listener.setblocking(False)
        peer, _ = await asyncio.get_running_loop().sock_accept(listener)
        with peer:
            peer.send(b"220 ready\r\n")
            with pytest.raises(StreamBroken, match=r"^tls 127\.0\.0\.1:\d+: TLS failed: wrong version number"):
                await opening


@pytest.mark.parametrize(
    ("mtu", "length_bytes", "text"),
    [
        (65536, 2, "an mtu is 1 to 65535 with a length of 2 bytes, not 65536"),
        (0, 4, "an mtu is 1 to 4294967295 with a length of 4 bytes, not 0"),
        (1500, 3, "a length has 2 or 4 bytes, not 3"),
    ],
)
def test_an_mtu_that_cannot_be_said(mtu: int, length_bytes: int, text: str) -> None:
    """An mtu that does not fit its length is refused before there is a socket."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        open_stream("127.0.0.1", 9, mtu=mtu, length_bytes=length_bytes)  # type: ignore[arg-type]


async def test_both_ends_have_the_options() -> None:
    """Options are set on the socket that connects, and inherited by those that are accepted."""
    asked = StreamOptions(keepalive=7, user_timeout=1.5, send_buffer=40_000, no_delay=False)
    async with serve_stream("127.0.0.1", 0, options=asked) as server:
        async with open_stream(*server.address, options=asked) as near, await anext(server) as far:
            for channel in (near, far):
                with socket.socket(fileno=channel.detach_fd()) as sock:
                    tcp = socket.IPPROTO_TCP
                    assert sock.getsockopt(tcp, socket.TCP_NODELAY) == 0
                    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                    assert sock.getsockopt(tcp, socket.TCP_KEEPIDLE) == 7
                    assert sock.getsockopt(tcp, socket.TCP_USER_TIMEOUT) == 1500
                    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 80_000


async def test_an_option_that_the_system_refuses() -> None:
    """An option that cannot be set is named, with its value."""
    with pytest.raises(
        DeviceError, match=r"^tcp 127\.0\.0\.1:9: cannot set an interface \(b'missing0'\): No such device$"
    ):
        await open_stream("127.0.0.1", 9, options=StreamOptions(device="missing0"))

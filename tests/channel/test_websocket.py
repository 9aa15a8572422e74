"""Channels over WebSockets, with each other and with the library's own ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from aiotun import DeviceGone
from aiotun.channel import open_websocket, serve_websocket
from aiotun.testing.tls import tls_contexts


@pytest.mark.parametrize("secure", [False, True])
async def test_packets_go_both_ways(secure: bool) -> None:
    """Packets go both ways, over TLS as well; a close is 1001 at the other end."""
    theirs, ours = tls_contexts() if secure else (None, None)
    async with serve_websocket("127.0.0.1", 0, ssl=theirs, path="/vpn") as server:
        accepting = asyncio.create_task(server.__anext__())
        uri = f"{'wss' if secure else 'ws'}://127.0.0.1:{server.address[1]}/vpn"
        async with open_websocket(uri, ssl=ours, server_hostname="localhost") as near, await accepting as far:
            await near.send(bytes(60_000))
            await far.send(await far.recv() + b"2")
            assert await near.recv() == bytes(60_000) + b"2"
            await far.aclose()
            with pytest.raises(DeviceGone, match="the peer closed the connection: 1001"):
                await near.recv()


async def test_a_client_of_the_library_is_served() -> None:
    """The library's own client speaks to a channel: messages are packets, and its pings are answered."""
    async with serve_websocket("127.0.0.1", 0) as server:
        accepting = asyncio.create_task(server.__anext__())
        async with connect(f"ws://127.0.0.1:{server.address[1]}/") as client, await accepting as channel:
            await client.send(b"1")
            assert await channel.recv() == b"1"
            await channel.send(b"2")
            assert await client.recv() == b"2"
            receiving = asyncio.create_task(channel.recv())
            await (await client.ping())
            await client.close(4001, "enough")
            with pytest.raises(DeviceGone, match=r"4001 \(private use\) enough"):
                await receiving


async def test_a_server_of_the_library_is_spoken_to() -> None:
    """A channel speaks to the library's own server."""

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with open_websocket(f"ws://127.0.0.1:{port}/") as channel:
            await channel.send_many([b"1", bytes(65535)])
            assert [await channel.recv(), await channel.recv()] == [b"1", bytes(65535)]


async def test_a_server_that_refuses() -> None:
    """A path that is not served is an error with the status, and counted at the server."""
    async with serve_websocket("127.0.0.1", 0, path="/vpn") as server:
        accepting = asyncio.create_task(server.__anext__())
        with pytest.raises(DeviceGone, match=r"^ws 127\.0\.0\.1:\d+: the WebSocket handshake failed: .*404"):
            await open_websocket(f"ws://127.0.0.1:{server.address[1]}/other")
        await server.aclose()
        with pytest.raises(StopAsyncIteration):
            await accepting
        assert server.dropped == {"handshake_failed": 1}


@pytest.mark.parametrize("uri", ["http://localhost/", "ws:/localhost", "nonsense"])
def test_a_uri_of_something_else(uri: str) -> None:
    """What is no WebSocket's URI is refused at once."""
    with pytest.raises(ValueError, match="^websocket: "):
        open_websocket(uri)


def test_a_context_without_tls() -> None:
    """A context for ws:// would be ignored, so it is refused."""
    with pytest.raises(ValueError, match="without TLS, so there is no use for a context; write wss://"):
        open_websocket("ws://localhost/", ssl=tls_contexts()[1])


def test_the_library_is_loaded_when_it_is_needed() -> None:
    """Who imports the channels pays for the library only when a WebSocket is opened."""
    program = "import sys, aiotun.channel; print('websockets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("function", ["open_websocket", "serve_websocket"])
def test_without_the_library(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library is missing, the error names the extra."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "websockets"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "aiotun.channel.websocket_framing", raising=False)
    monkeypatch.setitem(sys.modules, "websockets", None)
    text = r"^websocket: the library websockets is missing: install the extra, aiotun\[websocket\]$"
    with pytest.raises(ImportError, match=text):
        if function == "open_websocket":
            open_websocket("ws://localhost/")
        else:
            serve_websocket("127.0.0.1", 0)

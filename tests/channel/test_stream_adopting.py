"""Channels over connections that were there before."""

from __future__ import annotations

import asyncio
import socket

import pytest

from aiotun import DeviceError, DeviceGone
from aiotun.channel import adopt_stream, adopt_streams, open_stream_pair
from aiotun.channel.stream_framing import LengthFraming
from aiotun.testing.tls import tls_contexts


def encoded(*packets: bytes) -> bytes:
    return LengthFraming("", 65535).encode(packets)


async def test_a_pair_is_each_others_peer() -> None:
    """open_stream_pair() gives two ends of one connection."""
    one, other = open_stream_pair(mtu=10)
    async with one, other:
        await one.send(b"1")
        await other.send(b"2")
        assert (await one.recv(), await other.recv(), one.mtu) == (b"2", b"1", 10)


async def test_pairs_are_told_apart() -> None:
    """Each pair has a number of its own, and each of its ends a letter."""
    one, other = open_stream_pair()
    third, fourth = open_stream_pair()
    async with one, other, third, fourth:
        first, second = (int(end.name.removeprefix("stream pair ").removesuffix(" a")) for end in (one, third))
        assert second == first + 1
        assert (other.name, fourth.name) == (f"stream pair {first} b", f"stream pair {second} b")


async def test_a_socket_is_adopted_with_tls() -> None:
    """Both ends of a socket pair do the handshake, each in its part, and then packets flow."""
    near, far = socket.socketpair()
    theirs, ours = tls_contexts()

    async def client() -> bytes:
        async with adopt_stream(near, ssl=ours, server_hostname="localhost") as channel:
            await channel.send(b"1")
            return await channel.recv()

    async def server() -> None:
        async with adopt_stream(far, ssl=theirs, server_side=True) as channel:
            await channel.send(await channel.recv() + b"2")
            with pytest.raises(DeviceGone):
                await channel.recv()

    async with asyncio.TaskGroup() as group:
        received = group.create_task(client())
        group.create_task(server())
    assert received.result() == b"12"


def test_a_datagram_socket_is_none() -> None:
    """What is no stream cannot be adopted as one, and stays the caller's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        with pytest.raises(ValueError, match="^a stream is adopted from a plain stream socket, not <socket"):
            adopt_stream(sock)


async def test_asyncio_streams_are_taken_over_with_what_they_read() -> None:
    """What a StreamReader has read and what comes after are packets of the channel, in order."""
    near, far = socket.socketpair()
    with far:
        reader, writer = await asyncio.open_connection(sock=near)
        writer.write(b"hello")
        far.send(b"line\n" + encoded(b"1", b"2")[:4])
        assert await reader.readline() == b"line\n"
        async with await adopt_streams(reader, writer) as channel:
            far.send(encoded(b"1", b"2")[4:] + encoded(b"3"))
            assert [await channel.recv() for _ in range(3)] == [b"1", b"2", b"3"]
            await channel.send(b"4")
            assert far.recv(100) == b"hello" + encoded(b"4")
        assert far.recv(100) == b""


async def test_asyncio_streams_in_tls_stay() -> None:
    """A connection that is in TLS of asyncio's cannot be taken over, and says what to use instead."""
    theirs, ours = tls_contexts()
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=theirs)
    async with server:
        address = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(*address, ssl=ours, server_hostname="localhost")
        with pytest.raises(DeviceError, match="^stream: cannot take over .*: it is no plain connection$"):
            await adopt_streams(reader, writer)
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 10)

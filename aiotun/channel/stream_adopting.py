"""Stream channels over connections that are there already."""

from __future__ import annotations

import asyncio
import itertools
import socket
import ssl as tls
from typing import cast

from ..endpoint import Opening
from ..errors import DeviceError
from .stream import StreamChannel, StreamPort
from .stream_framing import Framing, LengthBytes
from .stream_opening import LARGEST, Layers, length_framing, opened, peer_text
from .stream_tls import TlsFraming, checked_context

__all__ = ["adopt_stream", "adopt_streams", "open_stream_pair"]


_NUMBERS = itertools.count(1)


def open_stream_pair(*, mtu: int = LARGEST, length_bytes: LengthBytes = 2) -> tuple[StreamChannel, StreamChannel]:
    """Return two channels that are each other's peer, over a socket pair; the caller closes both. Does not wait."""
    layers = length_framing(mtu, length_bytes)
    name = f"stream pair {next(_NUMBERS)}"
    one, other = socket.socketpair()
    return _adopted(one, f"{name} a", mtu, layers), _adopted(other, f"{name} b", mtu, layers)


def adopt_stream(
    sock: socket.socket,
    *,
    ssl: tls.SSLContext | None = None,
    server_side: bool = False,
    server_hostname: str | None = None,
    mtu: int = LARGEST,
    length_bytes: LengthBytes = 2,
) -> Opening[StreamChannel]:
    """
    Open a channel over a connected stream socket: inherited, accepted, or through a proxy.

    The channel owns *sock* from the moment this is awaited, and sets it non-blocking; if the handshake fails, it is
    closed. With TLS (*ssl*) this waits for the handshake, as the end that *server_side* says.

    Raises:
        ValueError: If *sock* is no stream socket, or is in TLS already: give that of before, and *ssl*.
        As open_stream() otherwise.
    """
    if sock.type != socket.SOCK_STREAM or isinstance(sock, tls.SSLSocket):
        raise ValueError(f"a stream is adopted from a plain stream socket, not {sock!r}")
    plain = length_framing(mtu, length_bytes)
    layers = plain
    if ssl is not None:
        context = checked_context(ssl, server=server_side)

        def layers(name: str) -> Framing:
            return TlsFraming(name, plain(name), context, server=server_side, server_hostname=server_hostname)

    async def connected() -> socket.socket:
        return sock

    kind = "unix" if sock.family == getattr(socket, "AF_UNIX", None) else "tcp" if ssl is None else "tls"
    return Opening(lambda: opened(connected, lambda sock: f"{kind} {peer_text(sock)}", mtu, layers))


async def adopt_streams(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    mtu: int = LARGEST,
    length_bytes: LengthBytes = 2,
) -> StreamChannel:
    """
    Take a plain connection over from asyncio's streams, with what they have read of it already.

    Waits until what was written is on its way. Then the reader and the writer are at their end, and the channel has
    the connection.

    Raises:
        DeviceError: If the connection is in TLS: its state cannot leave asyncio; see ``ssl`` of open_stream().
    """
    layers = length_framing(mtu, length_bytes)
    transport = cast(asyncio.Transport, writer.transport)  # a stream's goes both ways
    inner = transport.get_extra_info("socket")
    if inner is None or transport.get_extra_info("sslcontext") is not None:
        raise DeviceError(f"stream: cannot take over {transport!r}: it is no plain connection")
    low, high = transport.get_write_buffer_limits()
    transport.set_write_buffer_limits(0)
    try:
        await writer.drain()
    finally:
        transport.set_write_buffer_limits(high, low)
    transport.pause_reading()
    sock = socket.fromfd(inner.fileno(), inner.family, socket.SOCK_STREAM)
    reader.feed_eof()
    read = await reader.read()  # at its end, so this does not wait
    transport.abort()  # closes its own descriptor of the connection, at the next turn
    kind = "unix" if sock.family == getattr(socket, "AF_UNIX", None) else "tcp"
    return _adopted(sock, f"{kind} {peer_text(sock)}", mtu, layers, read)


def _adopted(sock: socket.socket, name: str, mtu: int, layers: Layers, read: bytes = b"") -> StreamChannel:
    """Return a channel over a connected socket that needs no handshake, of which *read* was read before."""
    sock.setblocking(False)
    framing = layers(name)
    if read:
        framing.feed(read)
    return StreamChannel(StreamPort(sock, name, mtu, framing))

"""Rigs of stream channels; the network side is the other end's socket, with a framing of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..channel.stream_framing import LengthFraming
from ..channel.stream_opening import Layers, opened
from ..channel.stream_socket import establish
from ..channel.stream_tls import TlsFraming
from ..endpoint import Endpoint, FdReadiness
from ..errors import WouldBlock
from .rig import Inapplicable, Rig
from .tls import tls_contexts

__all__ = ["MTU", "StreamRig", "check_options", "stream_rig", "tcp_channel", "tls_channel", "unix_channel"]

MTU = 1500

# struct tcp_info of Linux include/uapi/linux/tcp.h: where tcpi_bytes_received, tcpi_notsent_bytes, tcpi_bytes_sent and
# tcpi_bytes_retrans are.
BYTES_RECEIVED, NOT_SENT = struct.Struct("=128xQ"), struct.Struct("=144xI")
BYTES_SENT = struct.Struct("=200xQQ")


class StreamRig(Rig):
    """An endpoint that is one end of a connection to *listener*."""

    _near: socket.socket
    _far: socket.socket

    def __init__(self, listener: socket.socket, near: Layers, far: Layers) -> None:
        self._listener = listener
        self._near_layers, self._far_layers = near, far

    async def open(self) -> Endpoint:
        """Return the near end of a new connection, established at both ends."""
        self._near = socket.socket(self._listener.family, socket.SOCK_STREAM)
        self._near.connect(self._listener.getsockname())
        self._far, _ = self._listener.accept()
        for sock in (self._near, self._far):
            sock.setblocking(False)
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._framing = self._far_layers("far")
        self._ready = FdReadiness("receiving on the network side", self._far.fileno())

        async def connect() -> socket.socket:
            return self._near

        near, _ = await asyncio.gather(
            opened(connect, "stream rig", MTU, self._near_layers), establish(self._far, "far", self._framing)
        )
        self._wait_for_arrival()
        with contextlib.suppress(WouldBlock):
            near.recv_nowait()  # what a TLS server says behind its handshake
        return near

    def output(self, batch: list[bytes]) -> None:
        self._far.sendall(self._framing.encode(batch))
        self._wait_for_arrival()

    async def input(self, count: int) -> list[bytes]:
        packets = self._framing.take(count)
        while len(packets) < count:
            try:
                self._framing.feed(self._far.recv(1 << 16))
                packets += self._framing.take(count - len(packets))
            except BlockingIOError:
                await self._ready.wait()
        return packets

    def set_up(self, up: bool) -> None:
        raise Inapplicable("a connection is neither up nor down")

    def set_mtu(self, mtu: int) -> None:
        raise Inapplicable("the longest packet is agreed on beforehand")

    def delete(self) -> None:
        self._far.send(self._framing.finish() or b"")
        self._close_far()
        poll = select.poll()
        poll.register(self._near, select.POLLRDHUP)
        poll.poll()

    async def reopen(self) -> Endpoint:
        self._close_far()
        return await self.open()

    def _close_far(self) -> None:
        self._ready.disarm()
        self._far.close()

    def _wait_for_arrival(self) -> None:
        """Wait until the kernel has everything at the other end: under load it carries it over a little later."""
        if self._near.fileno() != -1 and self._near.family == socket.AF_INET:
            while _received(self._near) < _sent(self._far):
                os.sched_yield()


def _received(sock: socket.socket) -> int:
    count: int = BYTES_RECEIVED.unpack_from(_tcp_info(sock))[0]
    return count


def _sent(sock: socket.socket) -> int:
    """Return the bytes given to the socket, those that the kernel holds back for a while included."""
    info = _tcp_info(sock)
    sent, again = BYTES_SENT.unpack_from(info)
    waiting: int = NOT_SENT.unpack_from(info)[0]
    return waiting + int(sent - again)


def _tcp_info(sock: socket.socket) -> bytes:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)


@asynccontextmanager
async def stream_rig(listener: socket.socket, near: Layers, far: Layers) -> AsyncIterator[Rig]:
    """Open a rig whose endpoint has the framing *near*, and its peer *far*; takes over *listener*."""
    with listener:
        rig = StreamRig(listener, near, far)
        rig.endpoint = await rig.open()
        try:
            yield rig
        finally:
            await rig.endpoint.aclose()
            rig._close_far()


def check_options(options: dict[str, Any]) -> None:
    """Raise Inapplicable if an option is of interfaces only."""
    if options:
        raise Inapplicable(f"a connection has no {', '.join(options)}: who sends too much waits")


def _plain(name: str) -> LengthFraming:
    return LengthFraming(name, MTU)


def tcp_channel(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a channel over TCP."""
    check_options(options)
    return stream_rig(socket.create_server(("127.0.0.1", 0)), _plain, _plain)


def tls_channel(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a channel over TLS; the endpoint is the client."""
    check_options(options)
    server, client = tls_contexts()
    return stream_rig(
        socket.create_server(("127.0.0.1", 0)),
        lambda name: TlsFraming(name, _plain(name), client, server=False, server_hostname="localhost"),
        lambda name: TlsFraming(name, _plain(name), server, server=True),
    )


def unix_channel(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a channel over a unix socket."""
    check_options(options)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("")  # to a name of no file: unix(7), autobind
    listener.listen()
    return stream_rig(listener, _plain, _plain)

"""Rigs of UDP channels, connected and one of many; the network side is a socket at the other end."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..channel import UdpChannel, UdpServer, open_udp, serve_udp
from ..channel.udp_options import UdpOptions
from ..endpoint import Carries, Endpoint, FdReadiness
from .rig import Inapplicable, Rig

__all__ = ["UdpRig", "udp_channel", "udp_packet_channel", "udp_peer"]

MTU = 1500
HOST = "127.0.0.1"

# Linux include/uapi/asm-generic/socket.h and linux/sock_diag.h: bytes in the receive buffer first, drops last.
SO_MEMINFO = 55
MEMINFO = struct.Struct("=9I")

TRUESIZE = 256
"""Bytes of buffer to ask for, for each packet of a queue: the kernel doubles it, and takes 768 for a small one."""


class UdpRig(Rig):
    """An endpoint whose other end is *far*, a socket connected to it; datagrams arrive at the socket of *near*."""

    def __init__(self, far: socket.socket, near: int) -> None:
        self._far = far
        self._near = near
        self._ready = FdReadiness("receiving on the network side", far.fileno())

    def output(self, batch: list[bytes]) -> None:
        with socket.socket(fileno=os.dup(self._near)) as near:
            for packet in batch:
                before = _arrived(near)
                self._far.send(packet)
                while _arrived(near) == before:  # under load the kernel carries it over a little later
                    os.sched_yield()

    async def input(self, count: int) -> list[bytes]:
        packets: list[bytes] = []
        while len(packets) < count:
            try:
                packets.append(self._far.recv(1 << 16))
            except BlockingIOError:
                await self._ready.wait()
        return packets

    def set_up(self, up: bool) -> None:
        raise Inapplicable("a socket is neither up nor down")

    def set_mtu(self, mtu: int) -> None:
        raise Inapplicable("the longest datagram is agreed on beforehand")

    def delete(self) -> None:
        raise Inapplicable("a socket has no end but its owner's")

    async def reopen(self) -> Endpoint:
        raise NotImplementedError

    def close(self) -> None:
        """Close the network side."""
        self._ready.disarm()
        self._far.close()


class ChannelRig(UdpRig):
    """A connected channel."""

    def __init__(self, far: socket.socket, endpoint: UdpChannel, carries: Carries | None, options: UdpOptions) -> None:
        super().__init__(far, endpoint.fileno())
        self.endpoint = endpoint
        self._carries: Carries | None = carries
        self._options = options
        self._local = _name(far.getpeername())

    async def reopen(self) -> Endpoint:
        return await open_udp(self._local, _name(self._far.getsockname()), carries=self._carries, **self._options)


class PeerRig(UdpRig):
    """A peer of a server."""

    def __init__(self, far: socket.socket, server: UdpServer, **options: Any) -> None:
        super().__init__(far, server.fileno())
        self._server = server
        self._options = options
        self.endpoint = self._open()

    async def reopen(self) -> Endpoint:
        return self._open()

    def _open(self) -> Endpoint:
        return self._server.peer(_name(self._far.getsockname()), **self._options)


@asynccontextmanager
async def _channel(
    *, carries: Carries | None = None, queue_length: int | None = None, **others: Any
) -> AsyncIterator[Rig]:
    _check(others)
    options = UdpOptions(mtu=MTU)
    if queue_length is not None:
        options["buffer"] = queue_length * TRUESIZE
    far = _far()
    try:
        async with open_udp((HOST, 0), _name(far.getsockname()), carries=carries, **options) as endpoint:
            with socket.socket(fileno=os.dup(endpoint.fileno())) as near:
                far.connect(near.getsockname())
            rig = ChannelRig(far, endpoint, carries, options)
            try:
                yield rig
            finally:
                rig.close()
    finally:
        far.close()


@asynccontextmanager
async def _peer(*, queue_length: int = 512, **others: Any) -> AsyncIterator[Rig]:
    _check(others)
    far = _far()
    try:
        async with serve_udp((HOST, 0), mtu=MTU) as server:
            far.connect(server.address)
            rig = PeerRig(far, server, queue_length=queue_length)
            try:
                yield rig
            finally:
                rig.close()
    finally:
        far.close()


def udp_channel(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a connected UDP channel."""
    return _channel(**options)


def udp_packet_channel(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a connected UDP channel that carries IP packets, and super-packets."""
    return _channel(carries="ip", **options)


def udp_peer(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of one peer of a UdpServer."""
    return _peer(**options)


def _check(others: dict[str, Any]) -> None:
    if others:
        raise Inapplicable(f"a socket has no {', '.join(others)}")


def _far() -> socket.socket:
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind((HOST, 0))
    far.setblocking(False)
    return far


def _name(told: Any) -> tuple[str, int]:
    host, port = told
    return host, port


def _arrived(sock: socket.socket) -> tuple[int, int]:
    """Return two figures, one of which changes with every datagram that arrives: the bytes kept, and the drops."""
    told = MEMINFO.unpack(sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))
    return told[0], told[-1]

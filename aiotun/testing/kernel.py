"""
Rigs of Linux kernel endpoints.

They make interfaces in the network namespace the process is in: run them in one of its own.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from ..endpoint import Endpoint, FdReadiness, Opening
from ..host import open_tap, open_tun
from .rig import Rig

__all__ = ["KernelRig", "kernel_tap", "kernel_tun"]

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23  # Linux include/uapi/linux/if_packet.h
SO_RCVBUFFORCE = 33

Open = Callable[..., Opening[Any]]
MakeSocket = Callable[[int, int, int], socket.socket]


class KernelRig(Rig):
    """An endpoint of the kernel; the network side is a packet socket, which sees what the stack sees."""

    def __init__(self, endpoint: Endpoint, open: Open, make: MakeSocket = socket.socket) -> None:
        self.endpoint = endpoint
        self._open = open
        self._make = make
        self._name = endpoint.name
        self._out = _packet_socket(self._name, make)
        self._in = _packet_socket(self._name, make)
        self._in.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        with contextlib.suppress(PermissionError):  # root of a user namespace may not; what there is will do
            self._in.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 26)
        self._ready = FdReadiness("receiving on the network side", self._in.fileno())

    def output(self, batch: list[bytes]) -> None:
        for packet in batch:
            self._out.send(packet)

    async def input(self, count: int) -> list[bytes]:
        packets: list[bytes] = []
        while len(packets) < count:
            try:
                packets.append(self._in.recv(1 << 16))
            except BlockingIOError:
                await self._ready.wait()
        return packets

    def set_up(self, up: bool) -> None:
        self._change("set", state="up" if up else "down")
        for sock in (self._out, self._in):
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # ENETDOWN, told once: not news to us

    def set_mtu(self, mtu: int) -> None:
        self._change("set", mtu=mtu)

    def delete(self) -> None:
        self._change("del")

    async def reopen(self) -> Endpoint:
        reopened: Endpoint = await self._open(self._name)
        return reopened

    def close(self) -> None:
        """Close the packet sockets."""
        self._ready.disarm()
        self._out.close()
        self._in.close()

    def _change(self, command: str, **values: Any) -> None:
        """Change the link the way ``ip link`` would, from a thread of its own, where pyroute2 may block."""
        from ..linux.configure import route_socket
        from ..linux.worker import run_in_thread

        def change() -> None:
            with route_socket(self._make) as netlink:
                index = netlink.link("get", ifname=self._name)[0]["index"]
                netlink.link(command, index=index, **values)

        run_in_thread(change)


def _packet_socket(name: str, make: MakeSocket) -> socket.socket:
    sock = make(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setblocking(False)
    sock.bind((name, ETH_P_ALL))
    return sock


@asynccontextmanager
async def _rig(open: Open, options: dict[str, Any]) -> AsyncIterator[Rig]:
    async with open("rig%d", **options) as endpoint:
        rig = KernelRig(endpoint, open)
        try:
            yield rig
        finally:
            rig.close()


def kernel_tun(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a kernel tun."""
    return _rig(open_tun, options)


def kernel_tap(**options: Any) -> AbstractAsyncContextManager[Rig]:
    """Open a rig of a kernel tap, without IPv6 chatter on it."""
    return _rig(open_tap, {"ipv6_linklocal": False, **options})

"""The demo on this machine's kernel: two network namespaces joined by the tunnel, ping(8) and TCP through it."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zlib
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from ..channel import open_udp_pair
from ..endpoint import Tun
from ..errors import DeviceError
from ..host import SystemHost
from .joined import Edge, Joined, interface_drops
from .progress import Job
from .tunnel import Tunnel

__all__ = ["SystemJob"]

EAST = ("10.77.0.1", "fd77::1")
WEST = ("10.77.0.2", "fd77::2")
CHUNK = 1 << 18
"""Bytes given to TCP at once."""
PING_EVERY = "0.2"
"""Seconds."""
LAST_BYTES = 10.0
"""Seconds that the end of the transfer may take, at most."""

RTT = re.compile(rb"time[=<]([0-9.]+) ms")
TRANSMITTED = re.compile(rb"([0-9]+) packets transmitted")

NEEDS_ROOT = (
    "the system demo makes network namespaces, which takes root: run it as `sudo aiotun demo --host system`, "
    "or without `--host system`, which needs no privilege"
)


class SystemJob(Job):
    """
    Two network namespaces of the kernel, which live as long as the job. Needs root.

    The tunnel's UDP sockets stay outside, on the loopback of the namespace we are in.

    Args:
        size: The tuns' mtu, in bytes.
        tunnel: Makes one end of the tunnel, called as Tunnel is.
    """

    title = "two network namespaces"

    def __init__(self, *, size: int = 1420, tunnel: Callable[..., Tunnel] = Tunnel) -> None:
        super().__init__()
        self._size = size
        self._tunnel = tunnel
        self._undo = contextlib.AsyncExitStack()
        self._netns = tuple(f"aiotun-{os.getpid()}-{name}" for name in ("east", "west"))

    async def __aenter__(self) -> Self:
        _check_system()
        async with self._undo:
            for netns in self._netns:
                _ip("netns", "add", netns)
                self._undo.callback(_ip, "netns", "del", netns)
            east, west = [await self._tun(*both) for both in zip(self._netns, (EAST, WEST), strict=True)]
            channels = await open_udp_pair()
            for channel in channels:
                self._undo.push_async_callback(channel.aclose)
            edges = (_edge(east), _edge(west))
            self.joined = Joined(("east", "west"), (east, west), channels, edges, tunnel=self._tunnel)
            self._undo = self._undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._undo.aclose()

    async def carry(self) -> None:
        await self.joined.run()

    async def traffic(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for address in WEST:
                tasks.create_task(self._ping(address, stop))
            tasks.create_task(self._transfer(stop))

    # --- inside -----------------------------------------------------------------------------------

    async def _tun(self, netns: str, address: tuple[str, str]) -> Tun:
        ipv4, ipv6 = address
        opening = SystemHost().open_tun("tun0", address=(f"{ipv4}/24", f"{ipv6}/64"), mtu=self._size, netns=netns)
        return await self._undo.enter_async_context(opening)

    async def _ping(self, address: str, stop: asyncio.Event) -> None:
        """Run the kernel's ping in the east until *stop*, and read what it says while it says it."""
        command = ("ip", "netns", "exec", self._netns[0], "ping", "-n", "-i", PING_EVERY, address)
        # A session of its own: a Ctrl-C in the terminal is ours to pass on.
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, start_new_session=True)
        interrupting = asyncio.create_task(_interrupt(process, stop))
        try:
            assert process.stdout is not None  # it is a pipe
            async for line in process.stdout:
                if match := RTT.search(line):
                    self.measured.rtts.append(float(match[1]) / 1e3)
                elif match := TRANSMITTED.search(line):
                    self.measured.pings += int(match[1])
            await process.wait()
        finally:
            interrupting.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _transfer(self, stop: asyncio.Event) -> None:
        """Send over the kernel's TCP until *stop*, and wait until all has arrived."""
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as sockets:
            server, client = self._sockets(sockets)
            (accepted, _), _ = await asyncio.gather(
                loop.sock_accept(server), loop.sock_connect(client, server.getsockname())
            )
            sockets.enter_context(accepted)
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(self._receive(accepted))
                sent = await _send(client, stop)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LAST_BYTES):
                        await asyncio.wait([receiving])
                receiving.cancel()
            self.measured.intact = not receiving.cancelled() and receiving.result() == sent

    async def _receive(self, sock: socket.socket) -> int:
        """Receive to the end and return the content's CRC-32."""
        loop = asyncio.get_running_loop()
        view = memoryview(bytearray(CHUNK))
        digest = 0
        while count := await loop.sock_recv_into(sock, view):
            digest = zlib.crc32(view[:count], digest)
            self.measured.content += count
        return digest

    def _sockets(self, stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
        """Return a listening socket in the west and one to connect in the east; *stack* owns them."""
        from ..linux.namespace import in_namespace, open_namespace

        def listening() -> socket.socket:
            return socket.create_server((WEST[0], 0))

        made = []
        for netns, make in zip(self._netns, (socket.socket, listening), strict=True):
            fd = open_namespace(netns)
            try:
                made.append(stack.enter_context(in_namespace(fd, make)))
            finally:
                os.close(fd)
            made[-1].setblocking(False)
        client, server = made
        return server, client


async def _send(sock: socket.socket, stop: asyncio.Event) -> int:
    """Send until *stop*, end the stream, and return the content's CRC-32."""
    loop = asyncio.get_running_loop()
    digest = 0
    for chunk in _chunks():
        if stop.is_set():
            break
        await loop.sock_sendall(sock, chunk)
        digest = zlib.crc32(chunk, digest)
    sock.shutdown(socket.SHUT_WR)
    return digest


def _chunks() -> Iterator[bytes]:
    chunks = [os.urandom(CHUNK) for _ in range(8)]
    while True:
        yield from chunks


async def _interrupt(process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    await stop.wait()
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)


def _edge(tun: Tun) -> Callable[[], Edge]:
    """The kernel counts a packet as sent when the application reads it; those dropped before are apart."""

    def edge() -> Edge:
        interface = tun.statistics().interface
        assert interface is not None  # we made it, and hold it open
        output, input = interface_drops(interface)
        return Edge(
            sent=interface.opackets + sum(output.values()),
            send_dropped=output,
            received=interface.ipackets,
            receive_dropped=input,
        )

    return edge


def _ip(*arguments: str) -> None:
    """Run ip(8), blocking for some milliseconds."""
    done = subprocess.run(("ip", *arguments), capture_output=True, text=True)
    if done.returncode:
        if os.geteuid():
            raise PermissionError(errno.EPERM, NEEDS_ROOT)
        raise DeviceError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")


def _check_system() -> None:
    """Raise if this machine cannot run the job, with what would help."""
    if sys.platform != "linux":
        raise DeviceError(f"the system demo needs Linux, this is {sys.platform}; leave out `--host system`")
    for program, package in (("ip", "iproute2"), ("ping", "iputils-ping")):
        if shutil.which(program) is None:
            raise DeviceError(f"the system demo runs {program}, which is not installed: apt install {package}")

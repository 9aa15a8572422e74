"""The devices that a broker opens for a program that may not open them itself."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, overload
from weakref import WeakSet

from ..endpoint import Endpoint, Opening, Queues, Tap, Tun, WhenDown, allowed_offload, check_offload
from ..errors import DeviceClosed, DeviceError, device_error
from .broker_messages import DEFAULT_PATH, LIMIT, Request, decode_answer
from .closing import ClosedByBlock
from .link_options import TapOptions, TunOptions, check_options
from .several import endpoints_over, one_or_several
from .system import check_platform

if TYPE_CHECKING:
    from ..linux.leased import Connection

__all__ = ["BrokerHost"]

PATIENCE = 30.0
"""Seconds for the broker's answer, which takes some milliseconds and what it does for others before."""

PAUSE = 0.01
"""Seconds until the next try, when so many wait for the broker that it has no room for one more."""

# Why nobody answers at the broker's address, and what to do about it.
REMEDIES = {
    errno.ENOENT: "there is no such socket; start `aiotun broker` as root, or give the path it listens at",
    errno.ECONNREFUSED: "nobody listens there any more; start `aiotun broker` as root",
    errno.EACCES: "this user may not connect to it; `aiotun broker --mode 0666` lets everybody, and its policy decides",
    errno.EPROTOTYPE: "something else listens there; give the path of a broker's socket",
    errno.ENOTSOCK: "it is not a socket; give the path of a broker's socket",
}

E = TypeVar("E", bound=Endpoint)


class BrokerHost(ClosedByBlock):
    """
    This machine's stack, through a broker: ``aiotun broker`` opens devices by its policy, for users without a right.

    ::

        async with aiotun.BrokerHost() as host, host.open_tun("vpn0", address="10.8.0.2/24") as tun:
            ...

    The endpoints are like SystemHost's. The broker keeps a connection to each: when it ends, or this process is
    killed, or the broker ends, the device is deleted, and what was set up around it is undone. If the broker itself is
    killed, that is undone too, and the device lasts as long as the endpoint.
    """

    def __init__(self, path: str | os.PathLike[str] = DEFAULT_PATH) -> None:
        """Take the path of the broker's socket; nothing is asked of it yet."""
        self._path = os.fspath(path)
        self._endpoints: WeakSet[Endpoint] = WeakSet()
        self._kept: list[Connection] = []  # of devices whose descriptors were detached
        self._closed = False

    def __repr__(self) -> str:
        return f"<BrokerHost {self._path}{' closed' if self._closed else ''}>"

    @overload
    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: None = None,
        netns: str | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[TunOptions],
    ) -> Opening[Tun]: ...

    @overload
    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: int,
        netns: str | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[TunOptions],
    ) -> Opening[Queues[Tun]]: ...

    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: int | None = None,
        netns: str | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[TunOptions],
    ) -> Opening[Tun] | Opening[Queues[Tun]]:
        """
        Open a tun of this machine's kernel; await the result, or enter it with ``async with``.

        Waits for the broker, some milliseconds if nobody else asks it. If cancelled, nothing is left behind.

        Args:
            name: The interface's name; there may be none of this name yet.
            queues: Open so many queues of a multi-queue device, 253 at most, and get them as Queues.
            netns: The name of a network namespace to open it in, if the policy allows another than the broker's.
            when_down: What receiving does while the interface is down.
            options: What the interface shall be: see TunOptions. None of them changes anything here.

        Raises:
            ValueError: If the name, or the value of an option, cannot be.
            PermissionError: If the policy does not allow it; the text names the rule, and what it allows.
            DeviceBusy: If there is an interface of this name.
            DeviceError: If the kernel refuses a value, or there is no broker; the text names the remedy.
            DeviceClosed: If the host is closed.
        """
        check_options("open_tun", TunOptions, options)
        return one_or_several(partial(self._open, Tun, "tun", name, options, queues, netns, when_down), queues)

    @overload
    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: None = None,
        netns: str | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[TapOptions],
    ) -> Opening[Tap]: ...

    @overload
    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: int,
        netns: str | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[TapOptions],
    ) -> Opening[Queues[Tap]]: ...

    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: int | None = None,
        netns: str | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[TapOptions],
    ) -> Opening[Tap] | Opening[Queues[Tap]]:
        """Open a tap of this machine's kernel; like open_tun(), with the options of TapOptions."""
        check_options("open_tap", TapOptions, options)
        return one_or_several(partial(self._open, Tap, "tap", name, options, queues, netns, when_down), queues)

    async def aclose(self) -> None:
        """
        Close every endpoint, and end the devices whose descriptors were detached.

        Returns when the broker has undone what it did. Idempotent; if cancelled, everything is freed first.
        """
        self._closed = True
        async with AsyncExitStack() as stack:  # goes on after a cancel
            while self._kept:
                stack.push_async_callback(_end, self._kept.pop())
            for endpoint in tuple(self._endpoints):
                stack.push_async_callback(endpoint.aclose)

    async def _open(
        self,
        endpoint: Callable[..., E],
        kind: Literal["tun", "tap"],
        name: str,
        options: TunOptions | TapOptions,
        queues: int | None,
        netns: str | None,
        when_down: WhenDown,
    ) -> list[E]:
        check_platform()
        self._check_open()
        from ..linux.leased import Connection, adopt_leased

        offload, _ = allowed_offload(check_offload(options.get("offload")))
        request = Request.make(kind, name, {**options, "offload": sorted(offload) or None}, queues, netns)
        request.settings()  # raises here what cannot be
        sock = await self._connect()
        try:
            fds = await self._ask(sock, request)
        except BaseException:
            sock.close()
            raise
        # Without an await, lest a cancel lose a descriptor.
        opened = endpoints_over(
            endpoint, adopt_leased(fds, kind, Connection(sock, self._kept.append), offload), when_down
        )
        self._endpoints.update(opened)
        if self._closed:  # meanwhile
            await Queues(opened).aclose()
            self._check_open()
        return opened

    def _check_open(self) -> None:
        if self._closed:
            raise DeviceClosed("broker host: it is closed")

    async def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(PATIENCE):
                while True:
                    try:
                        sock.connect(self._path)
                        return sock
                    except BlockingIOError:  # its backlog is full, and poll() does not tell when it is not
                        await asyncio.sleep(PAUSE)
        except BaseException as error:
            sock.close()
            if isinstance(error, OSError):
                raise self._unreachable(error) from error
            raise

    async def _ask(self, sock: socket.socket, request: Request) -> list[int]:
        """Return the descriptors of the device's queues."""
        from ..linux.passing import receive_descriptors, send_descriptors

        try:
            async with asyncio.timeout(PATIENCE):
                await send_descriptors(sock, [], request.encode())
                message, fds = await receive_descriptors(sock, LIMIT, request.queues or 1)
        except (ConnectionError, TimeoutError) as error:
            raise self._unreachable(error) from error
        try:
            if not message:
                raise DeviceError(f"broker {self._path}: it hung up; its log says why", errno.ECONNRESET)
            decode_answer(message)
        except BaseException:
            for fd in fds:
                os.close(fd)
            raise
        return fds

    def _unreachable(self, error: OSError) -> OSError:
        """Return what it means that the broker cannot be talked to."""
        code = error.errno or errno.ETIMEDOUT
        reason = REMEDIES.get(code, f"{os.strerror(code)}; its log may say more")
        text = f"broker {self._path}: {reason}"
        return PermissionError(code, text) if code == errno.EACCES else device_error(OSError(code, text), text)


async def _end(connection: Connection) -> None:
    from ..linux.worker import in_thread

    await in_thread(connection.end)

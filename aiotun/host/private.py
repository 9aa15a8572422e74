"""A network of this process's own, on the kernel's real stack, for which nobody needs a privilege."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Literal, Self, TypeVar, Unpack, overload
from weakref import WeakSet

from ..endpoint import Endpoint, Opening, Queues, Tap, Tun, WhenDown
from ..errors import DeviceClosed
from .closing import ClosedByBlock
from .device_options import KernelTapOptions, KernelTunOptions, device_terms
from .link_options import check_options, link_settings
from .options import Addresses, addresses
from .private_joining import PrivateJoining
from .private_network import CLOSED
from .private_programs import PrivatePrograms
from .private_sockets import PrivateSockets
from .several import endpoints_over, one_or_several
from .system import check_platform

if TYPE_CHECKING:
    from ..linux.kept import KeptNamespace

__all__ = ["PrivateHost"]

E = TypeVar("E", bound=Endpoint)


class PrivateHost(PrivateSockets, PrivatePrograms, PrivateJoining, ClosedByBlock):
    """
    A user, network and PID namespace: the real stack of the Linux kernel, apart from the machine's network.

    ::

        async with aiotun.PrivateHost() as host, host.open_tun(address="10.8.0.2/24") as tun:
            reader, writer = await host.open_connection("10.8.0.1", 80)

    What the sockets send by the tun's address comes out of the tun, with no privilege: a VPN client for one
    program, a sandbox, a test. lo is up inside. Two processes, of some 9 MB together, keep it; they end with their
    owner, even when that is killed, and every program inside ends with them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._endpoints: WeakSet[Endpoint] = WeakSet()

    async def start(self) -> None:
        """
        Make the network; ``async with`` does it for you.

        Takes some 30 ms, off the event loop. If cancelled, nothing is left behind.

        Raises:
            PermissionError, DeviceError: If this machine forbids it; the text names the remedy.
            RuntimeError: If it was started before.
        """
        if self._started:
            raise RuntimeError("private host: it was started before; make another one")
        check_platform()
        from ..linux.kept import KeptNamespace
        from ..linux.worker import in_thread

        self._started = True
        try:
            self._kept = await in_thread(KeptNamespace.start, discard=KeptNamespace.close)
        except BaseException:
            self._started = False
            raise
        if self._closed:  # meanwhile
            await _close(self._kept)
            raise DeviceClosed(CLOSED)

    # --- interfaces -------------------------------------------------------------------------------

    @overload
    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTunOptions],
    ) -> Opening[Tun]: ...

    @overload
    def open_tun(
        self, name: str = "tun%d", *, queues: int, when_down: WhenDown = "wait", **options: Unpack[KernelTunOptions]
    ) -> Opening[Queues[Tun]]: ...

    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: int | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTunOptions],
    ) -> Opening[Tun] | Opening[Queues[Tun]]:
        """
        Open a tun in this network; await the result, or enter it with ``async with``.

        Options, waiting and errors are those of SystemHost.open_tun(). The user must be allowed to open
        ``/dev/net/tun``, as most systems have it, but needs no right beyond that.

        Raises:
            DeviceClosed: If the host is closed.
        """
        check_options("open_tun", KernelTunOptions, options)
        return self._opening(Tun, "tun", name, options, queues, when_down)

    @overload
    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTapOptions],
    ) -> Opening[Tap]: ...

    @overload
    def open_tap(
        self, name: str = "tap%d", *, queues: int, when_down: WhenDown = "wait", **options: Unpack[KernelTapOptions]
    ) -> Opening[Queues[Tap]]: ...

    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: int | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTapOptions],
    ) -> Opening[Tap] | Opening[Queues[Tap]]:
        """Open a tap in this network; like open_tun(), with the options of SystemHost.open_tap()."""
        check_options("open_tap", KernelTapOptions, options)
        return self._opening(Tap, "tap", name, options, queues, when_down)

    async def add_address(self, interface: Endpoint | str, address: Addresses) -> None:
        """
        Give an interface of this network one more address, or several: ``add_address("lo", "10.1.0.1/32")``.

        Takes some milliseconds, off the event loop; a cancel is raised once it is done.

        Raises:
            ValueError: If one is not an address, or has no prefix length.
            DeviceError: If the kernel refuses, or there is no such interface.
        """
        from ..linux.changing import add_address

        for one in addresses(address):
            await self._change(partial(add_address, _name(interface), one))

    async def add_route(self, prefix: str, *, via: str | None = None, interface: Endpoint | str | None = None) -> None:
        """
        Lead packets for *prefix* to a router, or out of an interface; ``"default"`` is every IPv4 address.

        Replaces a route to the same prefix. Takes some milliseconds, off the event loop; a cancel is raised
        once it is done.

        Args:
            prefix: A network, ``"10.0.0.0/8"`` or ``"::/0"``.
            via: The router's address.
            interface: The endpoint, or its name; needed without *via*.

        Raises:
            ValueError: If it is no network or address, or there is neither a router nor an interface.
            DeviceError: If the kernel refuses.
        """
        from ..linux.changing import add_route

        if via is None and interface is None:
            raise ValueError(f"private host: a route to {prefix} needs a router or an interface")
        network = ip_network("0.0.0.0/0" if prefix == "default" else prefix)
        router = None if via is None else ip_address(via)
        await self._change(partial(add_route, network, router, None if interface is None else _name(interface)))

    # --- closing ----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """
        Close every endpoint, end every program inside, and free the network.

        Sockets that were made are their owners', and keep the network's stack alive until they are closed.
        Idempotent; if cancelled, everything is freed first.
        """
        self._closed = True
        async with AsyncExitStack() as stack:  # goes on after a cancel
            if self._kept is not None:
                stack.push_async_callback(_close, self._kept)
            for endpoint in tuple(self._endpoints):
                stack.push_async_callback(endpoint.aclose)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    def __del__(self) -> None:
        kept: KeptNamespace | None = getattr(self, "_kept", None)
        if kept is not None and not self._closed and not kept.abandoned:
            try:
                warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            finally:  # a warning may be an error
                kept.close()

    # --- inside -----------------------------------------------------------------------------------

    async def _change(self, change: Callable[..., None]) -> None:
        from ..linux.worker import in_thread

        await in_thread(partial(change, origin=self._network()))

    def _opening(
        self,
        endpoint: Callable[..., E],
        kind: Literal["tun", "tap"],
        name: str,
        options: KernelTunOptions | KernelTapOptions,
        queues: int | None,
        when_down: WhenDown,
    ) -> Opening[E] | Opening[Queues[E]]:
        async def open() -> list[E]:
            network = self._network()
            from ..linux import open_ports

            terms = device_terms(options, queues)
            ports = await open_ports(kind, name, link_settings(options), origin=network, terms=terms)
            opened = endpoints_over(endpoint, ports, when_down)
            self._endpoints.update(opened)
            if self._closed:  # meanwhile
                await Queues(opened).aclose()
                raise DeviceClosed(CLOSED)
            return opened

        return one_or_several(open, queues)


def _name(interface: Endpoint | str) -> str:
    return interface if isinstance(interface, str) else interface.name


async def _close(kept: KeptNamespace) -> None:
    from ..linux.worker import in_thread

    try:
        await in_thread(kept.close)
    except RuntimeError:  # no thread to be had: better late in the loop than never
        kept.close()

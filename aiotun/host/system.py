"""This machine's own network stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, overload

from ..endpoint import Endpoint, Opening, Queues, Tap, Tun, WhenDown, set_adopt
from ..errors import DeviceError
from .closing import ClosedByBlock
from .device_options import KernelTapOptions, KernelTunOptions, device_terms
from .link_options import check_options, link_settings
from .several import endpoints_over, one_or_several

if TYPE_CHECKING:
    from ..endpoint import Port

__all__ = ["SystemHost", "check_platform", "open_tap", "open_tun"]

E = TypeVar("E", bound=Endpoint)


class SystemHost(ClosedByBlock):
    """
    The kernel of this machine as a host; ``aiotun.open_tun`` and ``aiotun.open_tap`` are its methods.

    Holds nothing: aclose() does nothing, and endpoints are closed one by one.
    """

    @overload
    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: None = None,
        netns: str | os.PathLike[str] | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTunOptions],
    ) -> Opening[Tun]: ...

    @overload
    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: int,
        netns: str | os.PathLike[str] | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTunOptions],
    ) -> Opening[Queues[Tun]]: ...

    def open_tun(
        self,
        name: str = "tun%d",
        *,
        queues: int | None = None,
        netns: str | os.PathLike[str] | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTunOptions],
    ) -> Opening[Tun] | Opening[Queues[Tun]]:
        """
        Open a tun of the kernel; await the result, or enter it with ``async with``.

        Opening takes some milliseconds, off the event loop. If cancelled, nothing is left behind. The
        interface goes when the endpoint is closed, unless it was there before or is persistent.

        Args:
            name: The interface's name, at most 15 bytes; ``%d`` becomes the lowest free number.
            queues: Open so many queues of a multi-queue device, 256 at most, and get them as Queues, one queue as well.
                Another process opens more queues of the device in the same way.
            netns: The network namespace to open it in, by the name ``ip netns`` knows, or as a path.
            when_down: What receiving does while the interface is down.
            options: What the interface shall be: see TunOptions and KernelTunOptions.

        Raises:
            ValueError: If the name, an address or the namespace cannot be.
            PermissionError: If it takes a right the process lacks; the text names the remedy.
            DeviceBusy: If a process has it open; the text names it.
            DeviceError: If there is no tun driver, or the kernel refuses a value.
        """
        check_options("open_tun", KernelTunOptions, options)
        return _opening(Tun, "tun", name, options, queues, netns, when_down)

    @overload
    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: None = None,
        netns: str | os.PathLike[str] | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTapOptions],
    ) -> Opening[Tap]: ...

    @overload
    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: int,
        netns: str | os.PathLike[str] | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTapOptions],
    ) -> Opening[Queues[Tap]]: ...

    def open_tap(
        self,
        name: str = "tap%d",
        *,
        queues: int | None = None,
        netns: str | os.PathLike[str] | None = None,
        when_down: WhenDown = "wait",
        **options: Unpack[KernelTapOptions],
    ) -> Opening[Tap] | Opening[Queues[Tap]]:
        """Open a tap of the kernel; like open_tun(), with frames for packets and the options of KernelTapOptions."""
        check_options("open_tap", KernelTapOptions, options)
        return _opening(Tap, "tap", name, options, queues, netns, when_down)

    async def aclose(self) -> None:
        """Do nothing: the kernel stays."""


def _opening(
    endpoint: Callable[..., E],
    kind: Literal["tun", "tap"],
    name: str,
    options: KernelTunOptions | KernelTapOptions,
    queues: int | None,
    netns: str | os.PathLike[str] | None,
    when_down: WhenDown,
) -> Opening[E] | Opening[Queues[E]]:
    async def open() -> list[E]:
        check_platform()
        from ..linux import open_ports

        where = None if netns is None else os.fspath(netns)
        terms = device_terms(options, queues)
        return endpoints_over(
            endpoint, await open_ports(kind, name, link_settings(options), where, terms=terms), when_down
        )

    return one_or_several(open, queues)


def _adopt(fd: int, kind: Literal["tun", "tap"]) -> Port:
    check_platform()
    from ..linux import adopt_port

    return adopt_port(fd, kind)


def check_platform() -> None:
    """Raise DeviceError where there is no Linux kernel."""
    if sys.platform != "linux":
        raise DeviceError(f"kernel tun and tap are supported on Linux, not on {sys.platform}; use aiotun.SoftHost")


set_adopt(_adopt)

_HOST = SystemHost()
open_tun = _HOST.open_tun
open_tap = _HOST.open_tap

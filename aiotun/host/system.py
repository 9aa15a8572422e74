"""This machine's own network stack."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar

from ..endpoint import Endpoint, Opening, Tap, Tun, WhenDown, set_adopt
from ..errors import DeviceError
from .options import Addresses, addresses, hardware_address, positive

if TYPE_CHECKING:
    from ..endpoint import Port
    from ..linux import Settings

__all__ = ["SystemHost", "check_platform", "link_settings", "open_tap", "open_tun"]

E = TypeVar("E", bound=Endpoint)


class SystemHost:
    """
    The kernel of this machine as a host; ``aiotun.open_tun`` and ``aiotun.open_tap`` are its methods.

    Holds nothing: aclose() does nothing, and endpoints are closed one by one.
    """

    def open_tun(
        self,
        name: str = "tun%d",
        *,
        address: Addresses = (),
        mtu: int | None = None,
        queue_length: int | None = None,
        netns: str | os.PathLike[str] | None = None,
        up: bool = True,
        ipv6_linklocal: bool | None = None,
        when_down: WhenDown = "wait",
    ) -> Opening[Tun]:
        """
        Open a tun of the kernel; await the result, or enter it with ``async with``.

        Opening takes some milliseconds, off the event loop. If cancelled, nothing is left behind. The
        interface goes when the endpoint is closed, unless it was there before.

        Args:
            name: The interface's name, at most 15 bytes; ``%d`` becomes the lowest free number.
            address: Addresses with prefix length, ``"10.8.0.2/24"``, one or several, IPv4 or IPv6.
            mtu: Largest packet, in bytes; None leaves the kernel's 1500, or what an existing device has.
            queue_length: Packets the kernel keeps for the application; None gives a new device 1000.
            netns: The network namespace to open it in, by the name ``ip netns`` knows, or as a path.
            up: Whether to bring the interface up.
            ipv6_linklocal: Whether the kernel gives it a link-local address; None: not on a new tun, for
                the solicitations that come with it are packets nobody asked for.
            when_down: What receiving does while the interface is down.

        Raises:
            ValueError: If the name, an address or the namespace cannot be.
            PermissionError: If it takes a right the process lacks; the text names the remedy.
            DeviceBusy: If a process has it open; the text names it.
            DeviceError: If there is no tun driver, or the kernel refuses a value.
        """

        def settings() -> Settings:
            return link_settings(address, mtu, queue_length, None, ipv6_linklocal, up)

        return _opening(Tun, "tun", name, settings, netns, when_down)

    def open_tap(
        self,
        name: str = "tap%d",
        *,
        address: Addresses = (),
        mtu: int | None = None,
        mac: str | bytes | None = None,
        queue_length: int | None = None,
        netns: str | os.PathLike[str] | None = None,
        up: bool = True,
        ipv6_linklocal: bool | None = None,
        when_down: WhenDown = "wait",
    ) -> Opening[Tap]:
        """
        Open a tap of the kernel; like open_tun(), with frames for packets.

        Args:
            mac: The interface's hardware address, ``"02:00:00:00:00:01"``; None leaves what the kernel chose.
            ipv6_linklocal: Whether the kernel gives it a link-local address; None leaves the kernel's way.
        """

        def settings() -> Settings:
            return link_settings(address, mtu, queue_length, mac, ipv6_linklocal, up)

        return _opening(Tap, "tap", name, settings, netns, when_down)

    async def aclose(self) -> None:
        """Do nothing: the kernel stays."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def link_settings(
    address: Addresses,
    mtu: int | None,
    queue_length: int | None,
    mac: str | bytes | None,
    ipv6_linklocal: bool | None,
    up: bool,
) -> Settings:
    """Return what the options of ``open_tun()`` and ``open_tap()`` ask for, checked."""
    from ..linux import Settings

    return Settings(
        addresses=addresses(address),
        mtu=positive("mtu", mtu),
        queue_length=positive("queue_length", queue_length),
        mac=hardware_address(mac),
        ipv6_linklocal=ipv6_linklocal,
        up=up,
    )


def _opening(
    endpoint: Callable[..., E],
    kind: Literal["tun", "tap"],
    name: str,
    settings: Callable[[], Settings],
    netns: str | os.PathLike[str] | None,
    when_down: WhenDown,
) -> Opening[E]:
    async def open() -> E:
        check_platform()
        from ..linux import open_port

        return endpoint(
            await open_port(kind, name, settings(), None if netns is None else os.fspath(netns)), when_down=when_down
        )

    return Opening(open)


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

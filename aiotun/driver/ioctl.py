"""
Requests by number: each is one typed call, which this finds.

``device.ioctl(request, argument)`` takes and gives the values of the typed calls, or the packed
structures of the C headers, as fcntl.ioctl() does.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from ipaddress import ip_interface
from typing import ClassVar

from ..errors import DeviceError
from .device import Device
from .families import Family, SockAddr
from .ifnet import Flags
from .interface import InterfaceAddress
from .requests import Argument, Request, Value, decode, encode

__all__ = ["Ioctl", "interface_address"]

INTERFACE_GROUP = "i"
"""The group of requests that are of the interface, not of the device."""


class Ioctl(Device):
    """What the two drivers share: the requests that any device with a SIGIO owner knows."""

    getters: ClassVar[Mapping[int, str]] = {
        Request.FIONREAD: "nread",
        Request.FIOGETOWN: "owner",
        Request.TIOCGPGRP: "process_group",
        Request.SIOCGIFFLAGS: "get_flags",
        Request.SIOCGIFMTU: "get_mtu",
    }
    setters: ClassVar[Mapping[int, str]] = {
        Request.FIOASYNC: "set_async",
        Request.FIOSETOWN: "set_owner",
        Request.TIOCSPGRP: "set_process_group",
        Request.SIOCSIFFLAGS: "set_flags",
        Request.SIOCSIFMTU: "change_mtu",
    }
    unknown_interface_request: ClassVar[int]
    """The errno of an interface's request that the driver does not have."""

    def ioctl(self, request: int, argument: Argument = None) -> Value | bytes:
        """
        Perform a request of the device or of its interface; return what it gives, packed if *argument* is.

        Raises:
            DeviceError: If the driver has no such request: ENOTTY, and for an interface's request what the
                driver answers. And what the typed call raises.
            TypeError, ValueError: If the argument is not the request's.
            DeviceGone: If the interface was deleted.

        Modelled on tunioctl() and tunifioctl() in DragonFly if_tun.c, tap_dev_ioctl() and tap_ioctl() in
        NetBSD if_tap.c.
        """
        self.check_alive()
        if request not in self.getters and request not in self.setters:
            ours = chr(request >> 8 & 0xFF) != INTERFACE_GROUP
            raise DeviceError(
                f"{self.name}: no request {_name(request)}", errno.ENOTTY if ours else self.unknown_interface_request
            )
        known = Request(request)
        value = decode(known, argument)
        packed = isinstance(argument, bytes | bytearray | memoryview)
        if request in self.setters:
            getattr(self, self.setters[request])(value)
            return bytes(argument) if packed else None  # type: ignore[arg-type]
        result: Value = getattr(self, self.getters[request])()
        return encode(known, result, self.name) if packed else result

    # --- the typed calls --------------------------------------------------------------------------

    def set_async(self, on: int) -> None:
        """Want SIGIO, or want it no more (FIOASYNC)."""
        self.asynchronous = bool(on)

    def owner(self) -> int:
        """Return who gets SIGIO: a process, a process group if negative, 0 for nobody (FIOGETOWN)."""
        return self.sigio.owner

    def set_owner(self, id: int) -> None:
        """Send SIGIO to a process, or to a process group if *id* is negative (FIOSETOWN); raises like Sigio's."""
        self.sigio.set_owner(id)

    def process_group(self) -> int:
        """Return the process group that gets SIGIO; a process is negative here (TIOCGPGRP)."""
        return -self.sigio.owner

    def set_process_group(self, group: int) -> None:
        """Send SIGIO to a process group (TIOCSPGRP); raises like Sigio's."""
        self.sigio.set_owner(-group)

    def get_flags(self) -> int:
        """Return the interface flags (SIOCGIFFLAGS)."""
        return int(self.flags)

    def set_flags(self, flags: int) -> None:
        """Bring the interface up or down as UP in *flags* says; the other flags are the driver's (SIOCSIFFLAGS)."""
        self.set_up(bool(flags & Flags.UP))

    def get_mtu(self) -> int:
        """Return the mtu in bytes (SIOCGIFMTU)."""
        return self.mtu

    def change_mtu(self, mtu: int) -> None:
        """
        Set the mtu in bytes (SIOCSIFMTU).

        Raises:
            DeviceError: If it is below the least an interface may have (EINVAL).
        """
        try:
            self.set_mtu(mtu)
        except ValueError as error:
            raise DeviceError(str(error), errno.EINVAL) from None


def _name(request: int) -> str:
    try:
        return Request(request).name
    except ValueError:
        return f"0x{request:08x}"


def interface_address(address: SockAddr | InterfaceAddress) -> InterfaceAddress | None:
    """Return the address as an interface has it, alone in its network if it came without one; None if empty."""
    if not isinstance(address, SockAddr):
        return address
    return None if address.family is Family.UNSPEC else ip_interface(address.address.partition("%")[0])

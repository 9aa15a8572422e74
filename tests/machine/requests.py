"""The requests of the model: what each ioctl answers, and the values to ask it with."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from ipaddress import ip_interface
from typing import Any

from aiotun.driver import Request, SockAddr, TunInfo

from .device import BROADCAST, MULTICAST, POINTOPOINT, ModelDevice
from .paths import Refused

__all__ = ["ASKED", "NOBODY", "ioctl"]

NOBODY = 0x3FFFFFF0
"""A process number that no system gives."""

ON_OFF = (0, 1, -1)
OWNERS = (0, os.getpid(), -NOBODY, NOBODY, -1)
GROUPS = (0, -os.getpid(), NOBODY, -NOBODY, 1)
MODES = (POINTOPOINT, BROADCAST, POINTOPOINT | MULTICAST, BROADCAST | MULTICAST, MULTICAST, 0, POINTOPOINT | BROADCAST)
MTUS = (71, 72, 100, 1500, 20000, 0, -1)
MEDIA = (0x20, 0x23, 0x100026, 0x100030, 0x21, 0)
HARDWARE = ("f2:0b:a4:00:00:01", "02:00:00:00:00:01", "02:00:00:00:01", "02:00:00:00:00:00:01:02")

ASKED: tuple[tuple[int, tuple[Any, ...]], ...] = (
    (Request.TUNGDEBUG, (None,)),
    (Request.TUNSDEBUG, (0, 3)),
    (Request.TUNSIFINFO, tuple(TunInfo(9600, mtu, 6) for mtu in (0, 71, 72, 100, 1500))),
    (Request.TUNGIFINFO, (None,)),
    (Request.TUNSLMODE, ON_OFF),
    (Request.TUNSIFMODE, MODES),
    (Request.TUNSIFPID, (None,)),
    (Request.TUNSIFHEAD, ON_OFF),
    (Request.TUNGIFHEAD, (None,)),
    (Request.TAPGIFNAME, (None,)),
    (Request.FIOGETOWN, (None,)),
    (Request.FIOSETOWN, OWNERS),
    (Request.FIOASYNC, ON_OFF),
    (Request.FIOASYNC, (1,)),
    (Request.FIOASYNC, (1,)),
    (Request.FIONBIO, ON_OFF),
    (Request.FIONREAD, (None,)),
    (Request.TIOCSPGRP, GROUPS),
    (Request.TIOCGPGRP, (None,)),
    (Request.SIOCSIFADDR, ("10.{}.0.1", "fd00:{}::1", "0.0.0.0", "")),
    (Request.SIOCSIFDSTADDR, ("10.{}.0.1",)),
    (Request.SIOCSIFFLAGS, (1, 0, 0x8843)),
    (Request.SIOCGIFFLAGS, (None,)),
    (Request.SIOCADDMULTI, ("224.0.0.1", "224.0.0.2")),
    (Request.SIOCDELMULTI, ("224.0.0.1", "224.0.0.2")),
    (Request.SIOCGIFMTU, (None,)),
    (Request.SIOCSIFMTU, MTUS),
    (Request.SIOCGIFSTATUS, (None,)),
    (Request.SIOCSIFMEDIA, MEDIA),
    (Request.SIOCGIFMEDIA, (None,)),
    (Request.SIOCSIFPHYADDR, (*HARDWARE, "10.0.0.1")),
    (0x20007401, (None,)),
    (0x80206963, (None,)),
)
"""Every request, and what to give it; of addresses the text, in which ``{}`` becomes the device's number."""

SOCKADDRS = {
    Request.SIOCSIFADDR,
    Request.SIOCSIFDSTADDR,
    Request.SIOCADDMULTI,
    Request.SIOCDELMULTI,
    Request.SIOCSIFPHYADDR,
}
TUN_ONLY = {
    Request.TUNGDEBUG,
    Request.TUNSDEBUG,
    Request.TUNSIFINFO,
    Request.TUNGIFINFO,
    Request.TUNSLMODE,
    Request.TUNSIFMODE,
    Request.TUNSIFPID,
    Request.TUNSIFHEAD,
    Request.TUNGIFHEAD,
    Request.SIOCSIFDSTADDR,
    Request.SIOCGIFSTATUS,
}
TAP_ONLY = {
    Request.TAPGIFNAME,
    Request.FIONBIO,
    Request.SIOCSIFMEDIA,
    Request.SIOCGIFMEDIA,
    Request.SIOCSIFPHYADDR,
}
BAD = Refused("DeviceError", errno.EINVAL)


def sockaddr(text: str) -> SockAddr:
    return SockAddr.of(text) if text else SockAddr(0)


def ioctl(device: ModelDevice, request: int, argument: Any) -> Any:
    """Perform a request with a value of ASKED, addresses already made of their text."""
    device.alive()
    if request not in set(Request) or request in (TAP_ONLY if device.tun else TUN_ONLY):
        interface = chr(request >> 8 & 0xFF) == "i"
        raise Refused("DeviceError", errno.EINVAL if interface and device.tun else errno.ENOTTY)
    return _DO[Request(request)](device, argument)


def _set_owner(device: ModelDevice, id: int) -> None:
    if id == -1:
        raise Refused("PermissionError", errno.EPERM)
    if abs(id) == NOBODY:
        raise Refused("ProcessLookupError", errno.ESRCH)
    device.owner = id


def _mtu(device: ModelDevice, mtu: int) -> None:
    try:
        device.set_mtu(mtu)
    except Refused as refused:
        raise BAD if refused.kind == "ValueError" else refused from None


def _set_info(device: ModelDevice, info: TunInfo) -> None:
    _mtu(device, info.mtu)
    device.type, device.baudrate = info.type, info.baudrate


def _set_mode(device: ModelDevice, flags: int) -> None:
    if device.up:
        raise Refused("DeviceBusy", errno.EBUSY)
    if flags & ~MULTICAST not in (POINTOPOINT, BROADCAST):
        raise BAD
    device.mode = device.mode & ~(POINTOPOINT | BROADCAST) | flags


def _set_debug(device: ModelDevice, level: int) -> None:
    device.host.debug = level


def _set_lmode(device: ModelDevice, on: int) -> None:
    device.lmode = bool(on)
    if on:
        device.ifhead = False


def _set_ifhead(device: ModelDevice, on: int) -> None:
    device.ifhead = bool(on)
    if on:
        device.lmode = False


def _set_address(device: ModelDevice, address: SockAddr) -> None:
    if address.address:
        device.add_address(ip_interface(address.address))
    elif not device.tun:
        raise Refused("DeviceError", errno.EFAULT)
    _init(device)
    if not address.address:
        raise Refused("DeviceError", errno.EFAULT)


def _init(device: ModelDevice) -> None:
    device.set_up(True)
    device.changed = True
    if device.tun and any(one.version == 4 and int(one.ip) for one in device.addresses):
        device.iaset = True


def _set_destination(device: ModelDevice, address: SockAddr) -> None:
    device.destination = address
    _init(device)


def _leave(device: ModelDevice, address: SockAddr) -> None:
    if device.tun:
        return
    if not device.groups[address.address]:
        raise Refused("DeviceError", errno.ENXIO)
    device.groups[address.address] -= 1


def _join(device: ModelDevice, address: SockAddr) -> None:
    if not device.tun:
        device.groups[address.address] += 1


def _set_medium(device: ModelDevice, word: int) -> None:
    if word not in (0x20, *(duplex | 0x20 | speed for speed in (3, 6, 16) for duplex in (0, 0x100000))):
        raise Refused("DeviceError", errno.ENXIO)
    device.medium = word


def _set_mac(device: ModelDevice, address: SockAddr) -> None:
    octets = address.address.split(":")
    if address.family != 18 or len(octets) != 6:
        raise BAD
    device.mac = bytes(int(octet, 16) for octet in octets)


def _to(name: str) -> Callable[[ModelDevice, int], None]:
    return lambda device, on: setattr(device, name, bool(on))


_DO: dict[Request, Callable[[ModelDevice, Any], Any]] = {
    Request.TUNGDEBUG: lambda device, _: device.host.debug,
    Request.TUNSDEBUG: _set_debug,
    Request.TUNSIFINFO: _set_info,
    Request.TUNGIFINFO: lambda device, _: TunInfo(device.baudrate, device.mtu, device.type),
    Request.TUNSLMODE: _set_lmode,
    Request.TUNSIFMODE: _set_mode,
    Request.TUNSIFPID: lambda device, _: None,
    Request.TUNSIFHEAD: _set_ifhead,
    Request.TUNGIFHEAD: lambda device, _: int(device.ifhead),
    Request.TAPGIFNAME: lambda device, _: device.name,
    Request.FIOGETOWN: lambda device, _: device.owner,
    Request.FIOSETOWN: _set_owner,
    Request.FIOASYNC: _to("asynchronous"),
    Request.FIONBIO: _to("nonblocking"),
    Request.FIONREAD: lambda device, _: device.nread(),
    Request.TIOCSPGRP: lambda device, group: _set_owner(device, -group),
    Request.TIOCGPGRP: lambda device, _: -device.owner,
    Request.SIOCSIFADDR: _set_address,
    Request.SIOCSIFDSTADDR: _set_destination,
    Request.SIOCSIFFLAGS: lambda device, flags: device.set_up(bool(flags & 1)),
    Request.SIOCGIFFLAGS: lambda device, _: device.flags(),
    Request.SIOCADDMULTI: _join,
    Request.SIOCDELMULTI: _leave,
    Request.SIOCGIFMTU: lambda device, _: device.mtu,
    Request.SIOCSIFMTU: _mtu,
    Request.SIOCGIFSTATUS: lambda device, _: f"\tOpened by PID {os.getpid()}\n" if device.open else "",
    Request.SIOCSIFMEDIA: _set_medium,
    Request.SIOCGIFMEDIA: lambda device, _: (device.medium, device.medium),
    Request.SIOCSIFPHYADDR: _set_mac,
}

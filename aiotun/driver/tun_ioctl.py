"""The requests of a tun: tunioctl() and tunifioctl() in DragonFly if_tun.c, as typed calls."""

from __future__ import annotations

import errno
import os
import time

from ..errors import DeviceBusy, DeviceError
from ..queueing import Discipline
from .families import SOCKADDR, SockAddr
from .ifnet import Flags
from .interface import InterfaceAddress
from .ioctl import Ioctl, interface_address
from .requests import Request, TunInfo
from .tun_mode import HEAD, TunMode

__all__ = ["TunIoctl"]

IFT_PPP = 23
"""BSD sys/net/if_types.h."""


class TunIoctl(TunMode, Ioctl):
    """What can be asked of a tun, and set."""

    getters = {
        **Ioctl.getters,
        Request.TUNGIFINFO: "info",
        Request.TUNGDEBUG: "debug_level",
        Request.TUNGIFHEAD: "has_ifhead",
        Request.TUNSIFPID: "take_pid",
        Request.SIOCGIFSTATUS: "status",
    }
    setters = {
        **Ioctl.setters,
        Request.TUNSIFINFO: "set_info",
        Request.TUNSDEBUG: "set_debug",
        Request.TUNSLMODE: "set_lmode",
        Request.TUNSIFHEAD: "set_ifhead",
        Request.TUNSIFMODE: "set_ifmode",
        Request.SIOCSIFADDR: "set_address",
        Request.SIOCSIFDSTADDR: "set_destination",
        Request.SIOCADDMULTI: "accept",
        Request.SIOCDELMULTI: "accept",
    }
    unknown_interface_request = errno.EINVAL

    type = IFT_PPP
    """The interface's type, a number of BSD sys/net/if_types.h."""
    baudrate = 0
    """The speed that the interface claims, in bits per second."""
    iaset = False
    """Whether the interface has had an IPv4 address (TUN_IASET)."""
    destination: SockAddr | None = None
    """The other end's address, once it was set."""
    _bare = False

    # --- the device -------------------------------------------------------------------------------

    def info(self) -> TunInfo:
        """Return mtu, type and speed (TUNGIFINFO)."""
        return TunInfo(baudrate=self.baudrate, mtu=self.mtu, type=self.type)

    def set_info(self, info: TunInfo) -> None:
        """
        Set mtu, type and speed (TUNSIFINFO).

        Raises:
            DeviceError: If the mtu is below 72 (EINVAL); nothing is changed then.
        """
        self.change_mtu(info.mtu)
        self.type = info.type
        self.baudrate = info.baudrate

    def debug_level(self) -> int:
        """Return the level of ``debug.if_tun_debug`` (TUNGDEBUG)."""
        return self.debug.level

    def set_debug(self, level: int) -> None:
        """Set the level of ``debug.if_tun_debug``, for all tuns (TUNSDEBUG)."""
        self.debug.level = level

    def set_lmode(self, on: int) -> None:
        """Put the destination's sockaddr in front of each packet that is read (TUNSLMODE); it ends IFHEAD."""
        self.lmode = bool(on)
        self.ifhead = self.ifhead and not self.lmode
        self._set_offset()

    def set_ifhead(self, on: int) -> None:
        """Put the family in front of each packet (TUNSIFHEAD); it ends LMODE."""
        self.ifhead = bool(on)
        self.lmode = self.lmode and not self.ifhead
        self._set_offset()

    def has_ifhead(self) -> int:
        """Return 1 if the family stands in front of each packet, or 0 (TUNGIFHEAD)."""
        return int(self.ifhead)

    def set_ifmode(self, flags: int) -> None:
        """
        Make the interface point-to-point or broadcast, with MULTICAST or without (TUNSIFMODE).

        Raises:
            DeviceBusy: If the interface is up.
            DeviceError: If the flags are others (EINVAL).
        """
        if self.up:
            raise DeviceBusy(f"{self.name}: the interface is up; its mode is set while it is down")
        kinds = Flags.POINTOPOINT, Flags.BROADCAST
        if flags & ~Flags.MULTICAST not in kinds:
            raise DeviceError(f"{self.name}: no mode 0x{flags:x}, only POINTOPOINT and BROADCAST", errno.EINVAL)
        self._flags = self._flags & ~int(Flags.POINTOPOINT | Flags.BROADCAST) | flags

    def take_pid(self) -> None:
        """Make this process the one that has the device open (TUNSIFPID); nobody has a closed one."""
        if self.is_open:
            self.pid = os.getpid()

    # --- the interface ----------------------------------------------------------------------------

    def status(self) -> str:
        """Return who has the device open, a line for ifconfig (SIOCGIFSTATUS)."""
        return "" if self.pid is None else f"\tOpened by PID {self.pid}\n"

    def init(self) -> None:
        """Bring the interface up, since it was given an address. Modelled on tuninit() in DragonFly if_tun.c."""
        self.debug(self.name, "tuninit")
        self.set_up(True)
        self.lastchange = time.time()
        for address in self.addresses:
            if address.version == 4 and int(address.ip):
                self.iaset = True

    def set_address(self, address: SockAddr | InterfaceAddress) -> None:
        """
        Give the interface an address, which brings it up (SIOCSIFADDR).

        Raises:
            DeviceError: If the address is empty (EFAULT); the interface is up all the same.
        """
        given = interface_address(address)
        if given is not None:
            self.add_address(given)
        self.init()
        self.debug(self.name, "address set")
        if given is None:
            raise DeviceError(f"{self.name}: the address is empty", errno.EFAULT)

    def set_destination(self, destination: SockAddr) -> None:
        """Set the other end's address, which brings the interface up (SIOCSIFDSTADDR)."""
        self.destination = destination
        self.init()
        self.debug(self.name, "destination address set")

    def change_mtu(self, mtu: int) -> None:
        super().change_mtu(mtu)
        self.debug(self.name, "mtu set")

    def accept(self, address: SockAddr) -> None:
        """Join or leave a multicast group: a tun carries every packet, so there is nothing to do."""

    # --- the send queue ---------------------------------------------------------------------------

    @property
    def bare(self) -> bool:
        """Whether an endpoint has the device open: its packets have nothing in front."""
        return self._bare

    @bare.setter
    def bare(self, bare: bool) -> None:
        self._bare = bare
        self._set_offset()

    def _queue_by(self, discipline: Discipline) -> None:
        super()._queue_by(discipline)
        self._set_offset()

    def _set_offset(self) -> None:
        """Tell the queue where packets begin; it may misread those that were queued in another mode."""
        self._snd.offset = 0 if self.bare else HEAD if self.ifhead else SOCKADDR if self.lmode else 0

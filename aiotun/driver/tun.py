"""
The in-process tun driver: a point-to-point interface that carries IPv4 and IPv6 packets.

One read is one packet, one write is one packet. Modelled on DragonFly sys/net/tun/if_tun.c.
"""

from __future__ import annotations

import errno

from ..queueing import Discipline
from .debug import Debug
from .ifnet import Flags
from .interface import IFQ_MAXLEN, Stack
from .netisr import Netisr
from .nodes import Credentials
from .tun_input import TunInput
from .tun_ioctl import TunIoctl
from .tun_output import TunOutput

__all__ = ["TunDevice", "check_root"]


class TunDevice(TunIoctl, TunOutput, TunInput):
    """
    A tun interface and its device. Counts ``opackets`` when a packet is queued, as the driver does.

    Args:
        netisr: Where families other than IPv4 and IPv6 may be registered.
        debug: The switch of ``debug.if_tun_debug``, shared by the tuns of a host.
    """

    flags_at_start = Flags.POINTOPOINT | Flags.MULTICAST
    unknown_filter = errno.EOPNOTSUPP

    def __init__(
        self,
        name: str,
        stack: Stack,
        *,
        mtu: int = 1500,
        queue_length: int = IFQ_MAXLEN,
        snd: Discipline | None = None,
        netisr: Netisr | None = None,
        debug: Debug | None = None,
    ) -> None:
        super().__init__(name, stack, mtu=mtu, queue_length=queue_length, snd=snd)
        self.netisr = netisr
        self.debug = debug or Debug()

    def open(self, credentials: Credentials | None = None) -> None:
        """
        Take the device; one at a time, and root only.

        Raises:
            PermissionError: If the caller is not root.
            DeviceBusy, DeviceGone: Like Device.open().

        Modelled on tunopen() in DragonFly if_tun.c.
        """
        check_root(self.name, credentials)
        super().open(credentials)
        self.debug(self.name, "open")

    def closed(self) -> None:
        """The interface goes down and its addresses go. Modelled on tunclose()."""
        self.set_up(False)
        self.purge_addresses()
        self.sigio.clear()
        self.debug(self.name, "closed")


def check_root(name: str, credentials: Credentials | None) -> None:
    """Raise PermissionError if *credentials* are not root's; None is this program, which may do what it likes."""
    if credentials is not None and not credentials.root:
        raise PermissionError(errno.EPERM, f"{name}: a tun is opened by root, not by user {credentials.uid}")

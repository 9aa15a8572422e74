"""The requests of a tap: tap_dev_ioctl(), tap_ioctl() and tap_lifaddr() in NetBSD if_tap.c, as typed calls."""

from __future__ import annotations

import errno
import time
from collections import Counter

from ..errors import DeviceError
from .families import Family, SockAddr
from .interface import InterfaceAddress
from .ioctl import Ioctl, interface_address
from .media import Media, MediaStatus
from .requests import Request
from .sysctl import ether_aton

__all__ = ["TapIoctl"]

ETHER_ADDR_LEN = 6


class TapIoctl(Ioctl):
    """What can be asked of a tap, and set."""

    getters = {
        **Ioctl.getters,
        Request.TAPGIFNAME: "ifname",
        Request.SIOCGIFMEDIA: "media_status",
    }
    setters = {
        **Ioctl.setters,
        Request.FIONBIO: "set_nonblocking",
        Request.SIOCSIFMEDIA: "set_media",
        Request.SIOCSIFPHYADDR: "set_hardware_address",
        Request.SIOCSIFADDR: "set_address",
        Request.SIOCADDMULTI: "join",
        Request.SIOCDELMULTI: "leave",
    }
    unknown_interface_request = errno.ENOTTY

    mac: bytes
    """The interface's hardware address."""
    media: Media
    """The media that the interface claims to have."""
    groups: Counter[str] | None = None
    """Multicast groups joined, and how often; None until the first."""

    # --- the device -------------------------------------------------------------------------------

    def set_nonblocking(self, on: int) -> None:
        """Never sleep in a read, or sleep again (FIONBIO)."""
        self.nonblocking = bool(on)

    def ifname(self) -> str:
        """Return the interface's name (TAPGIFNAME): how the opener of the cloning device learns it."""
        return self.name

    # --- the interface ----------------------------------------------------------------------------

    def media_status(self) -> MediaStatus:
        """Return the medium selected, and those there are (SIOCGIFMEDIA). Modelled on tap_mediastatus()."""
        return self.media.status()

    def set_media(self, word: int) -> None:
        """
        Select a medium (SIOCSIFMEDIA); it changes nothing else. Modelled on tap_mediachange().

        Raises:
            DeviceError: If the interface has no such medium (ENXIO).
        """
        self.media.change(word)

    def set_hardware_address(self, address: SockAddr) -> None:
        """
        Set the hardware address (SIOCSIFPHYADDR). Modelled on tap_lifaddr().

        Raises:
            DeviceError: If the address is of another family than LINK, or has not 6 bytes (EINVAL).
        """
        if address.family is not Family.LINK:
            text = f"{self.name}: a hardware address is of family LINK, not {address.family.name}"
            raise DeviceError(text, errno.EINVAL)
        self.mac = ether_aton(address.address)

    def set_address(self, address: SockAddr | InterfaceAddress) -> None:
        """
        Give the interface an address, which brings it up (SIOCSIFADDR). Modelled on ether_ioctl() of NetBSD.

        Raises:
            DeviceError: If the address is empty (EFAULT).
        """
        given = interface_address(address)
        if given is None:
            raise DeviceError(f"{self.name}: the address is empty", errno.EFAULT)
        self.add_address(given)
        self.set_up(True)
        self.lastchange = time.time()

    def join(self, group: SockAddr) -> None:
        """Join a multicast group, once more if need be (SIOCADDMULTI). Modelled on ether_addmulti()."""
        if self.groups is None:
            self.groups = Counter()
        self.groups[group.address] += 1

    def leave(self, group: SockAddr) -> None:
        """
        Leave a multicast group as often as it was joined (SIOCDELMULTI).

        Raises:
            DeviceError: If it was not joined (ENXIO).
        """
        if not self.groups or group.address not in self.groups:
            raise DeviceError(f"{self.name}: not a member of {group.address}", errno.ENXIO)
        self.groups[group.address] -= 1
        self.groups += Counter()  # without those that were left

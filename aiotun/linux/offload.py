"""The offload of a kernel device: what the stack leaves to who reads it, and takes unfinished from who writes."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterable, Mapping

from ..endpoint import allowed_offload
from .capabilities import OFFLOADS
from .constants import INT, TUNGETVNETHDRSZ, TUNSETOFFLOAD, TUNSETVNETHDRSZ, TUNSETVNETLE

__all__ = ["Offloading", "own_header", "own_offload", "shared_header"]

HEADER = 10
"""Bytes of the vnet header: struct virtio_net_hdr, of which a longer one adds what a tun does not use..."""

TUNNEL_HEADER = 24
"""...but for the offsets of a tunnel: struct virtio_net_hdr_v1_hash_tunnel."""

LONGEST_HEADER = 522
"""Bytes of the longest that is read and written: those there are have 10 to 24."""

_MASK = {name: offload.mask for offload in OFFLOADS for name in offload.names}

# In the order in which they are tried: USO was new in Linux 6.2, tunnels in 6.17, and a mask with one bit unknown is
# refused whole.
_FLAGS = {
    "tso": ("TUN_F_CSUM", "TUN_F_TSO4", "TUN_F_TSO6"),
    "uso": ("TUN_F_CSUM", "TUN_F_USO4", "TUN_F_USO6"),
    "tunnel": ("TUN_F_UDP_TUNNEL_GSO", "TUN_F_UDP_TUNNEL_GSO_CSUM"),
}

_TUNNEL = frozenset(("tso", "tunnel"))  # what the kernel grants it with

# What ethtool calls them.
_ACTIVE = {
    "tx-checksum-ip-generic": "TUN_F_CSUM",
    "tx-tcp-segmentation": "TUN_F_TSO4",
    "tx-tcp6-segmentation": "TUN_F_TSO6",
    "tx-udp-segmentation": "TUN_F_USO4 TUN_F_USO6",
    "tx-udp_tnl-segmentation": "TUN_F_UDP_TUNNEL_GSO",
    "tx-udp_tnl-csum-segmentation": "TUN_F_UDP_TUNNEL_GSO_CSUM",
}

# GSO types by the feature that lets them be written in one piece.
_TUNNELS = (0x21, 0x24, 0x25, 0x41, 0x44, 0x45)
_WRITTEN = {"tcp_gro": (1, 4), "udp_gro": (5,), "tunnel": _TUNNELS}
_READ = {"tso": (1, 4), "uso": (5,), "tunnel": _TUNNELS}


class Offloading:
    """The offload of one device, which its queues in this process share."""

    def __init__(self, header: int) -> None:
        self.header = header
        """Bytes of vnet header before each packet."""
        self.features: frozenset[str] = frozenset()
        """What is on, of OFFLOAD."""
        self.flags: frozenset[str] = frozenset()
        """The kernel's names of what it leaves to the reader: ``TUN_F_TSO4``."""
        self.off: Mapping[str, str] = {}
        """Which flags and features are off though they were asked for, and why."""
        self.cut: frozenset[int] = frozenset()
        """The GSO types that are cut before they are written."""
        self.unwanted: frozenset[int] = frozenset()
        """The GSO types that the kernel leaves to the reader though they are off."""
        self._floor = 0  # what is never switched off again

    def switch(self, fd: int, wanted: frozenset[str]) -> None:
        """
        Have the kernel leave to the reader what is wanted, TCP first, and note what it grants.

        What is written in one piece needs nobody's leave: whether the kernel takes it shows when it is written.
        A device with the header for it keeps tunnels: of what it has queued, Linux 6.18 loses what it no longer grants,
        with a warning in its log and EINVAL for the reader. If they are off the reader has to cut them.

        Raises:
            OSError: If it refuses even to leave nothing to the reader.
        """
        asked, switched = allowed_offload(wanted)
        self.off = {feature: f"switched off by {switched}" for feature in wanted - asked}
        asked = self._without_tunnel(asked)
        kept = asked | (_TUNNEL if self.header >= TUNNEL_HEADER else frozenset())
        mask = self._floor
        fcntl.ioctl(fd, TUNSETOFFLOAD, mask)  # of an earlier holder
        granted, flags = kept - _FLAGS.keys(), set[str]()
        for feature, names in _FLAGS.items():
            if feature not in kept:
                continue
            try:
                mask = _add(fd, mask, names)
            except OSError as error:
                refusal = f"the kernel refuses it: {errno.errorcode.get(error.errno or 0, str(error.errno))}"
                self.off |= {name: refusal for name in names if name not in flags}
            else:
                granted |= {feature}
                flags.update(names)
        self._note(frozenset(flags))
        self.unwanted = frozenset(kind for feature in granted - asked for kind in _READ[feature])
        self._set(granted & asked)

    def find(self, active: frozenset[str]) -> None:
        """Note what is on already, by the names of ethtool; what is written in one piece is tried."""
        on, _ = allowed_offload(_WRITTEN)
        self._note(frozenset(flag for name, flags in _ACTIVE.items() if name in active for flag in flags.split()))
        self._set((on - _FLAGS.keys()) | {feature for feature, flags in _FLAGS.items() if self.flags.issuperset(flags)})

    def refuse(self, gso_type: int, why: str) -> None:
        """Write no more super-packets of this kind in one piece; those in tunnels are still read so."""
        if gso_type in _TUNNELS:
            self.cut |= {gso_type}
            return
        for feature, types in _WRITTEN.items():
            if gso_type in types:
                self.off = {**self.off, feature: why}
                self._set(self.features - {feature})

    def _without_tunnel(self, asked: frozenset[str]) -> frozenset[str]:
        """Return what can be of *asked*, and note why tunnels cannot."""
        if "tunnel" not in asked:
            return asked
        if "tso" not in asked:
            self.off = {**self.off, "tunnel": "needs tso, which is off"}
        elif self.header < TUNNEL_HEADER:
            why = f"the vnet header has {self.header} bytes, it needs {TUNNEL_HEADER}; they are asked for at opening"
            self.off = {**self.off, "tunnel": why}
        else:
            return asked
        return asked - {"tunnel"}

    def _note(self, flags: frozenset[str]) -> None:
        """Note what the kernel leaves to the reader."""
        self.flags = flags
        if flags.issuperset(_FLAGS["tunnel"]):
            self._floor = _masks(_FLAGS["tunnel"])

    def _set(self, features: frozenset[str]) -> None:
        self.features = features
        self.cut = frozenset(kind for feature, kinds in _WRITTEN.items() if feature not in features for kind in kinds)


def own_offload(fd: int, wanted: frozenset[str]) -> Offloading:
    """
    Return the offload of a device that is opened here, whatever an earlier holder left; with tunnels a longer header.

    Raises:
        OSError: As switch().
    """
    longer = allowed_offload(wanted)[0] >= _TUNNEL
    offloading = Offloading(own_header(fd, TUNNEL_HEADER if longer else HEADER))
    offloading.switch(fd, wanted)
    if longer and "tunnel" not in offloading.features:
        offloading.header = own_header(fd)
    return offloading


def own_header(fd: int, size: int = HEADER) -> int:
    """Give a device the vnet header that is read and written here, whatever an earlier holder left; return its size."""
    fcntl.ioctl(fd, TUNSETVNETHDRSZ, INT.pack(size))
    _little_endian(fd)
    return size


def shared_header(fd: int) -> int:
    """Return the size of a device's vnet header, which other queues of it in other processes may count on."""
    answer = bytearray(INT.size)
    fcntl.ioctl(fd, TUNGETVNETHDRSZ, answer)
    size: int = INT.unpack(answer)[0]
    if size > LONGEST_HEADER:
        raise OSError(errno.EINVAL, f"its vnet header has {size} bytes")
    _little_endian(fd)
    return size


def _add(fd: int, mask: int, names: Iterable[str]) -> int:
    mask |= _masks(names)
    fcntl.ioctl(fd, TUNSETOFFLOAD, mask)
    return mask


def _masks(names: Iterable[str]) -> int:
    mask = 0
    for name in names:
        mask |= _MASK[name]
    return mask


def _little_endian(fd: int) -> None:
    """Have the header's numbers little-endian, as they are in virtio 1 (TUNSETVNETLE)."""
    fcntl.ioctl(fd, TUNSETVNETLE, INT.pack(1))

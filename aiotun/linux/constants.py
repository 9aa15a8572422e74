"""Numbers of the kernel's interface to tun and tap, by the kernel's names."""

from __future__ import annotations

import struct

__all__ = [
    "CLONE_DEVICE",
    "CLONE_NEWNET",
    "FLAG_NAMES",
    "IFF_MULTI_QUEUE",
    "IFF_NO_PI",
    "IFF_PERSIST",
    "IFF_TAP",
    "IFF_TUN",
    "IFF_UP",
    "IFF_VNET_HDR",
    "IFREQ",
    "TUNGETDEVNETNS",
    "TUNGETIFF",
    "TUNSETIFF",
    "TUNSETOFFLOAD",
    "flag_names",
]

CLONE_DEVICE = "/dev/net/tun"

# Linux include/uapi/linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETOFFLOAD = 0x400454D0
TUNGETIFF = 0x800454D2
TUNGETDEVNETNS = 0x54E3

IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_MULTI_QUEUE = 0x0100
IFF_PERSIST = 0x0800
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000

FLAG_NAMES = {
    IFF_TUN: "IFF_TUN",
    IFF_TAP: "IFF_TAP",
    IFF_MULTI_QUEUE: "IFF_MULTI_QUEUE",
    IFF_PERSIST: "IFF_PERSIST",
    IFF_NO_PI: "IFF_NO_PI",
    IFF_VNET_HDR: "IFF_VNET_HDR",
}

# The interface flag of Linux include/uapi/linux/if.h
IFF_UP = 0x1

IFREQ = struct.Struct("16sH22x")
"""struct ifreq with ifr_flags: name, flags, and the rest of the union, 40 bytes."""

CLONE_NEWNET = 0x40000000
"""The kind of namespace that setns() shall accept; Linux include/uapi/linux/sched.h."""


def flag_names(flags: int) -> frozenset[str]:
    """Return the names of the bits set in *flags*; a bit without a name is shown as a number."""
    names = {name for bit, name in FLAG_NAMES.items() if flags & bit}
    unknown = flags & ~sum(FLAG_NAMES)
    return frozenset(names | ({hex(unknown)} if unknown else set()))

"""Numbers of the kernel's interface to tun and tap, by the kernel's names."""

from __future__ import annotations

import struct

__all__ = [
    "CLONE_DEVICE",
    "CLONE_NEWNET",
    "FLAG_NAMES",
    "IFF_ATTACH_QUEUE",
    "IFF_DETACH_QUEUE",
    "IFF_MULTI_QUEUE",
    "IFF_NAPI",
    "IFF_NAPI_FRAGS",
    "IFF_NO_PI",
    "IFF_PERSIST",
    "IFF_TAP",
    "IFF_TUN",
    "IFF_UP",
    "IFF_VNET_HDR",
    "IFREQ",
    "INT",
    "MAX_QUEUES",
    "TUNGETDEVNETNS",
    "TUNGETFEATURES",
    "TUNGETIFF",
    "TUNGETSNDBUF",
    "TUNGETVNETHDRSZ",
    "TUNSETCARRIER",
    "TUNSETFILTEREBPF",
    "TUNSETGROUP",
    "TUNSETIFF",
    "TUNSETLINK",
    "TUNSETOFFLOAD",
    "TUNSETOWNER",
    "TUNSETPERSIST",
    "TUNSETQUEUE",
    "TUNSETSNDBUF",
    "TUNSETSTEERINGEBPF",
    "TUNSETTXFILTER",
    "TUNSETVNETHDRSZ",
    "TUNSETVNETLE",
    "TUN_FLT_ALLMULTI",
    "flag_names",
]

CLONE_DEVICE = "/dev/net/tun"

# Linux include/uapi/linux/if_tun.h
TUNSETIFF = 0x400454CA
TUNSETPERSIST = 0x400454CB
TUNSETOWNER = 0x400454CC
TUNSETLINK = 0x400454CD
TUNSETGROUP = 0x400454CE
TUNGETFEATURES = 0x800454CF
TUNSETOFFLOAD = 0x400454D0
TUNSETTXFILTER = 0x400454D1
TUNGETIFF = 0x800454D2
TUNGETSNDBUF = 0x800454D3
TUNSETSNDBUF = 0x400454D4
TUNGETVNETHDRSZ = 0x800454D7
TUNSETVNETHDRSZ = 0x400454D8
TUNSETQUEUE = 0x400454D9
TUNSETVNETLE = 0x400454DC
TUNSETSTEERINGEBPF = 0x800454E0
TUNSETFILTEREBPF = 0x800454E1
TUNSETCARRIER = 0x400454E2
TUNGETDEVNETNS = 0x54E3

IFF_TUN = 0x0001
IFF_TAP = 0x0002
IFF_NAPI = 0x0010
IFF_NAPI_FRAGS = 0x0020
IFF_MULTI_QUEUE = 0x0100
IFF_ATTACH_QUEUE = 0x0200
IFF_DETACH_QUEUE = 0x0400
IFF_PERSIST = 0x0800
IFF_NO_PI = 0x1000
IFF_VNET_HDR = 0x4000

TUN_FLT_ALLMULTI = 0x0001

FLAG_NAMES = {
    IFF_TUN: "IFF_TUN",
    IFF_TAP: "IFF_TAP",
    IFF_NAPI: "IFF_NAPI",
    IFF_NAPI_FRAGS: "IFF_NAPI_FRAGS",
    IFF_MULTI_QUEUE: "IFF_MULTI_QUEUE",
    IFF_DETACH_QUEUE: "IFF_DETACH_QUEUE",
    IFF_PERSIST: "IFF_PERSIST",
    IFF_NO_PI: "IFF_NO_PI",
    IFF_VNET_HDR: "IFF_VNET_HDR",
}

MAX_QUEUES = 256
"""Queues that a device can have: MAX_TAP_QUEUES of Linux include/linux/if_tap.h."""

# The interface flag of Linux include/uapi/linux/if.h
IFF_UP = 0x1

IFREQ = struct.Struct("16sH22x")
"""struct ifreq with ifr_flags: name, flags, and the rest of the union, 40 bytes."""

INT = struct.Struct("i")
"""An int, where an ioctl takes a pointer to one."""

CLONE_NEWNET = 0x40000000
"""The kind of namespace that setns() shall accept; Linux include/uapi/linux/sched.h."""


def flag_names(flags: int) -> frozenset[str]:
    """Return the names of the bits set in *flags*; a bit without a name is shown as a number."""
    names = {name for bit, name in FLAG_NAMES.items() if flags & bit}
    unknown = flags & ~sum(FLAG_NAMES)
    return frozenset(names | ({hex(unknown)} if unknown else set()))

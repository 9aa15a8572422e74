"""What a tun device can have: the kernel's names for it, and why one does not have it."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping

import attrs

from ..endpoint import Capabilities
from .constants import FLAG_NAMES, IFF_MULTI_QUEUE, IFF_NAPI, IFF_NAPI_FRAGS, IFF_VNET_HDR, INT, TUNGETFEATURES

__all__ = [
    "IFF_NO_CARRIER",
    "NOT_ASKED",
    "OFFLOADS",
    "SINCE",
    "Offload",
    "device_capabilities",
    "kernel_features",
]

# Linux include/uapi/linux/if_tun.h
IFF_NO_CARRIER = 0x0040
IFF_ONE_QUEUE = 0x2000

FEATURES = {**FLAG_NAMES, IFF_NO_CARRIER: "IFF_NO_CARRIER", IFF_ONE_QUEUE: "IFF_ONE_QUEUE"}

OPTIONAL = (IFF_MULTI_QUEUE, IFF_NAPI, IFF_NAPI_FRAGS, IFF_NO_CARRIER, IFF_VNET_HDR)
"""What a device may be opened with or without; it is a tun or a tap without packet information in any case."""


@attrs.frozen
class Offload:
    """Offloads that the kernel grants together, with what it wants set besides (set_offload() in drivers/net/tun.c)."""

    names: tuple[str, ...]
    mask: int


TUN_F_CSUM = 0x01
TUN_F_TSO4 = 0x02
TUN_F_TSO6 = 0x04
TUN_F_TSO_ECN = 0x08
TUN_F_USO4 = 0x20
TUN_F_USO6 = 0x40
TUN_F_UDP_TUNNEL_GSO = 0x080
TUN_F_UDP_TUNNEL_GSO_CSUM = 0x100

TUNNEL = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UDP_TUNNEL_GSO

OFFLOADS = (
    Offload(("TUN_F_CSUM",), TUN_F_CSUM),
    Offload(("TUN_F_TSO4",), TUN_F_CSUM | TUN_F_TSO4),
    Offload(("TUN_F_TSO6",), TUN_F_CSUM | TUN_F_TSO6),
    Offload(("TUN_F_TSO_ECN",), TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN),
    Offload(("TUN_F_USO4", "TUN_F_USO6"), TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6),
    Offload(("TUN_F_UDP_TUNNEL_GSO",), TUNNEL),
    Offload(("TUN_F_UDP_TUNNEL_GSO_CSUM",), TUNNEL | TUN_F_UDP_TUNNEL_GSO_CSUM),
)

SINCE = {
    "IFF_NO_CARRIER": (6, 1),
    "TUN_F_USO4": (6, 2),
    "TUN_F_USO6": (6, 2),
    "TUN_F_UDP_TUNNEL_GSO": (6, 17),
    "TUN_F_UDP_TUNNEL_GSO_CSUM": (6, 17),
}
"""The Linux that first had it, where that is not older than all that are still in use."""

NOT_ASKED = "not asked for"
NEEDS_VNET_HDR = "needs IFF_VNET_HDR, which was not asked for"


def kernel_features(fd: int) -> frozenset[str]:
    """Return the flags that the kernel's driver knows; none, if it may not be asked."""
    try:
        (features,) = INT.unpack(fcntl.ioctl(fd, TUNGETFEATURES, bytes(INT.size)))
    except OSError:
        return frozenset()
    return frozenset(name for bit, name in FEATURES.items() if features & bit)


def device_capabilities(
    *, asked: frozenset[str], granted: frozenset[str], features: frozenset[str], probe: Capabilities | None = None
) -> Capabilities:
    """
    Return what a device has, and why it lacks the rest.

    Args:
        asked, granted: The names of flags, and of offloads where there are any.
        features: See kernel_features().
        probe: What is known of this kernel.
    """
    refused: Mapping[str, str] = probe.off if probe else {}
    off: dict[str, str] = {}
    for name in (FEATURES[bit] for bit in OPTIONAL):
        if name not in granted:
            missing = bool(features) and name not in features
            off[name] = refused.get(name) or ("the kernel does not know it" if missing else NOT_ASKED)
    without = NOT_ASKED if "IFF_VNET_HDR" in granted else NEEDS_VNET_HDR
    for name in (name for offload in OFFLOADS for name in offload.names):
        if name not in granted:
            off[name] = refused.get(name) or ("the kernel refused it" if name in asked else without)
    return Capabilities(
        asked=asked, granted=granted, features=features, probed=probe.probed if probe else frozenset(), off=off
    )

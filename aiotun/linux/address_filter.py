"""The address filter of a tap: which frames the kernel hands out, by where they go; struct tun_filter."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .constants import TUN_FLT_ALLMULTI

__all__ = ["MAX_UNICAST", "address_filter"]

MAX_UNICAST = 8
"""Addresses the kernel compares exactly: FLT_EXACT_COUNT of Linux drivers/net/tun.c."""

HEADER = struct.Struct("HH")
"""The head of struct tun_filter of Linux include/uapi/linux/if_tun.h: flags, addresses."""


def address_filter(name: str, addresses: Sequence[bytes], *, all_multicast: bool = False) -> bytearray:
    """
    Return the argument of TUNSETTXFILTER that lets these addresses of 6 bytes through; none at all lifts the filter.

    Raises:
        ValueError: If there are more unicast addresses than the kernel holds: it would silently lift the filter.
    """
    unicast = [address for address in addresses if not address[0] & 1]
    multicast = [address for address in addresses if address[0] & 1]
    if len(unicast) > MAX_UNICAST:
        raise ValueError(f"{name}: {len(unicast)} addresses are no groups', the kernel's filter holds {MAX_UNICAST}")
    # Unicast first: only groups may stand beyond the eighth, where it keeps hashes.
    flags = TUN_FLT_ALLMULTI if all_multicast else 0
    return bytearray(HEADER.pack(flags, len(addresses)) + b"".join(unicast + multicast))

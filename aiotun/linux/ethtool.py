"""What an interface leaves to who reads it, asked as ethtool asks: nobody needs a right for that."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

from .origin import MakeSocket

__all__ = ["active_features"]

# Linux include/uapi/linux/ethtool.h and sockios.h
SIOCETHTOOL = 0x8946
ETHTOOL_GSTRINGS = 0x1B
ETHTOOL_GSSET_INFO = 0x37
ETHTOOL_GFEATURES = 0x3A
ETH_SS_FEATURES = 4
ETH_GSTRING_LEN = 32

IFREQ = struct.Struct("16sP16x")
"""struct ifreq with ifr_data: name, and the address of what is asked."""


def active_features(make: MakeSocket, name: str) -> frozenset[str]:
    """
    Return the features that are on, by the names ``ethtool -k`` builds on: ``tx-tcp-segmentation``.

    Raises:
        OSError: If there is no such interface in the namespace of *make*.
    """
    with make(socket.AF_INET, socket.SOCK_DGRAM, 0) as sock:

        def ask(question: bytes) -> bytes:
            buffer = ctypes.create_string_buffer(question, len(question))
            fcntl.ioctl(sock, SIOCETHTOOL, IFREQ.pack(name.encode(), ctypes.addressof(buffer)))
            return buffer.raw

        answer = ask(struct.pack("IIQI", ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0))
        (count,) = struct.unpack_from("I", answer, 16)
        strings = ask(struct.pack("III", ETHTOOL_GSTRINGS, ETH_SS_FEATURES, count) + bytes(count * ETH_GSTRING_LEN))
        blocks = -(-count // 32)
        features = ask(struct.pack("II", ETHTOOL_GFEATURES, blocks) + bytes(16 * blocks))
    names = (strings[12 + at : 12 + at + ETH_GSTRING_LEN] for at in range(0, count * ETH_GSTRING_LEN, ETH_GSTRING_LEN))
    active = [struct.unpack_from("I", features, 16 + 16 * block)[0] for block in range(blocks)]
    return frozenset(name.rstrip(b"\0").decode() for bit, name in enumerate(names) if active[bit // 32] >> bit % 32 & 1)

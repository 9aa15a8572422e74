"""What the tun driver tells of an interface over rtnetlink, and no ioctl does."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import attrs

__all__ = ["TunInfo", "tun_info"]

# Linux include/uapi/linux/if_link.h
IFLA_TUN_OWNER = 1
IFLA_TUN_GROUP = 2
IFLA_TUN_TYPE = 3
IFLA_TUN_PI = 4
IFLA_TUN_PERSIST = 6
IFLA_TUN_MULTI_QUEUE = 7
IFLA_TUN_NUM_QUEUES = 8
IFLA_TUN_NUM_DISABLED_QUEUES = 9

U32 = struct.Struct("=I")
LAYERS = {b"\1": "tun", b"\2": "tap"}


@attrs.frozen(kw_only=True)
class TunInfo:
    """One interface of the tun driver; tun_fill_info() in Linux drivers/net/tun.c."""

    layer: str = "tun"
    """``tun`` or ``tap``."""
    owner: int | None = None
    """Who may attach without CAP_NET_ADMIN, as a user's number; None with no group either: everybody."""
    group: int | None = None
    """A group whose members may, as its number."""
    packet_information: bool = False
    """Whether a header of 4 bytes stands in front of every packet. TUNGETIFF cannot tell: see TunFile.settle()."""
    persistent: bool = False
    """Whether it outlives its descriptors."""
    multi_queue: bool = False
    queues: int = 1
    """Descriptors that are queues of it, detached ones included, of whatever process."""

    @property
    def kind(self) -> str:
        return f"multi-queue {self.layer}" if self.multi_queue else self.layer


def tun_info(attributes: Mapping[int, bytes]) -> TunInfo:
    """Return what the attributes within IFLA_INFO_DATA say."""

    def number(attribute: int) -> int | None:
        return U32.unpack(attributes[attribute])[0] if attribute in attributes else None

    def flag(attribute: int) -> bool:
        return attributes.get(attribute, b"\0") != b"\0"

    attached, detached = number(IFLA_TUN_NUM_QUEUES), number(IFLA_TUN_NUM_DISABLED_QUEUES)
    return TunInfo(
        layer=LAYERS.get(attributes.get(IFLA_TUN_TYPE, b""), "tun"),
        owner=number(IFLA_TUN_OWNER),
        group=number(IFLA_TUN_GROUP),
        packet_information=flag(IFLA_TUN_PI),
        persistent=flag(IFLA_TUN_PERSIST),
        multi_queue=flag(IFLA_TUN_MULTI_QUEUE),
        queues=1 if attached is None else attached + (detached or 0),
    )

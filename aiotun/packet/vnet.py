"""
The vnet header, which a tun or tap with IFF_VNET_HDR puts before each packet.

It is 10 bytes, or as many as TUNSETVNETHDRSZ asked for: 12 have num_buffers behind it, which a tun
neither reads nor writes. Its numbers are little-endian, for a device that was told TUNSETVNETLE; a
device that was not uses the machine's order, which is the same nearly everywhere.

struct virtio_net_hdr and virtio_net_hdr_mrg_rxbuf in Linux include/uapi/linux/virtio_net.h.
"""

from __future__ import annotations

import struct

from ..errors import PacketError
from .superpacket import SuperPacket
from .view import Buffer

__all__ = ["VNET_HEADER_SIZE", "VNET_MRG_HEADER_SIZE", "pack_vnet", "parse_vnet"]

VNET_HEADER_SIZE = 10
"""The length of the header, in bytes."""

VNET_MRG_HEADER_SIZE = 12
"""Its length with num_buffers, in bytes."""

_HEADER = struct.Struct("<BBHHHH")
_NEEDS_CSUM = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM; DATA_VALID and RSC_INFO are of no use here


def pack_vnet(packet: bytes, size: int = VNET_HEADER_SIZE) -> bytes:
    """
    Return the header to write before *packet*: all zero unless it is a SuperPacket.

    What follows the first 10 bytes is zero: virtio 1.2 section 5.1.6.2 wants num_buffers so.

    Args:
        packet: The packet.
        size: The length of the header, in bytes.

    Raises:
        PacketError: If size is below 10, or a field takes more than 16 bits, with reason ``bad_value``.
    """
    if size < VNET_HEADER_SIZE:
        raise _too_small(size)
    if not isinstance(packet, SuperPacket):
        return bytes(size)
    try:
        header = _HEADER.pack(
            _NEEDS_CSUM if packet.needs_csum else 0,
            packet.gso_type,
            packet.hdr_len,
            packet.gso_size,
            packet.csum_start,
            packet.csum_offset,
        )
    except struct.error as error:
        raise PacketError(f"vnet header: {error}", reason="bad_value") from error
    return header.ljust(size, b"\0")


def parse_vnet(octets: Buffer, size: int = VNET_HEADER_SIZE) -> bytes:
    """
    Return the packet behind the header: plain bytes if that says nothing, else a SuperPacket.

    The fields are taken as they are: ``SuperPacket.check()`` and ``offload.segment()`` judge them. Flags but
    NEEDS_CSUM are left out.

    Args:
        octets: Header and packet, as one read() gives them; copied once.
        size: The length of the header, in bytes.

    Raises:
        PacketError: If there are fewer bytes than the header takes, with reason ``short_vnet``; if size is
            below 10, with reason ``bad_value``.
    """
    if size < VNET_HEADER_SIZE:
        raise _too_small(size)
    if len(octets) < size:
        raise PacketError(f"vnet header: there are {len(octets)} bytes, the header takes {size}", reason="short_vnet")
    flags, gso_type, hdr_len, gso_size, csum_start, csum_offset = _HEADER.unpack_from(octets)
    needs_csum = flags & _NEEDS_CSUM != 0
    if not needs_csum and not gso_type:
        return bytes(octets[size:])
    return SuperPacket(octets[size:], gso_type, gso_size, hdr_len, csum_start, csum_offset, needs_csum)


def _too_small(size: int) -> PacketError:
    return PacketError(f"vnet header: size is {size}, it must be at least {VNET_HEADER_SIZE}", reason="bad_value")

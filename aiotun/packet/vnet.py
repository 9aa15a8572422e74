"""
The vnet header, which a tun or tap with IFF_VNET_HDR puts before each packet.

It is 10 bytes, or as many as TUNSETVNETHDRSZ asked for: 12 have num_buffers behind it, which a tun
neither reads nor writes, and 24 the offsets of a tunnel, behind a hash that a tun leaves out too. Its
numbers are little-endian, for a device that was told TUNSETVNETLE; a device that was not uses the
machine's order, which is the same nearly everywhere.

struct virtio_net_hdr, virtio_net_hdr_mrg_rxbuf and virtio_net_hdr_v1_hash_tunnel in Linux
include/uapi/linux/virtio_net.h.
"""

from __future__ import annotations

import struct

from ..errors import PacketError
from .superpacket import GSO_UDP_TUNNEL, SuperPacket
from .view import Buffer

__all__ = ["VNET_HEADER_SIZE", "VNET_MRG_HEADER_SIZE", "VNET_TUNNEL_HEADER_SIZE", "pack_vnet", "parse_vnet"]

VNET_HEADER_SIZE = 10
"""The length of the header, in bytes."""

VNET_MRG_HEADER_SIZE = 12
"""Its length with num_buffers, in bytes."""

VNET_TUNNEL_HEADER_SIZE = 24
"""Its length with the offsets of a tunnel, in bytes; without them no super-packet in a tunnel can pass."""

_HEADER = struct.Struct("<BBHHHH")
_TUNNEL = struct.Struct("<HH")
_TUNNEL_AT = 20
_NEEDS_CSUM = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM; DATA_VALID and RSC_INFO are of no use here
_TUNNEL_CSUM = 8  # VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM


def pack_vnet(packet: bytes, size: int = VNET_HEADER_SIZE) -> bytes:
    """
    Return the header to write before *packet*: all zero unless it is a SuperPacket.

    What follows the first 10 bytes is zero but for the offsets of a tunnel: virtio 1.2 section 5.1.6.2 wants
    num_buffers so.

    Args:
        packet: The packet.
        size: The length of the header, in bytes.

    Raises:
        PacketError: If size is below 10, for one in a tunnel below 24, or a field takes more than 16 bits, with reason
            ``bad_value``.
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
        if packet.gso_type & GSO_UDP_TUNNEL:
            header = _with_tunnel(packet, header, size)
    except struct.error as error:
        raise PacketError(f"vnet header: {error}", reason="bad_value") from error
    return header.ljust(size, b"\0")


def parse_vnet(octets: Buffer, size: int = VNET_HEADER_SIZE) -> bytes:
    """
    Return the packet behind the header: plain bytes if that says nothing, else a SuperPacket.

    The fields are taken as they are: ``SuperPacket.check()`` and ``offload.segment()`` judge them. Flags but
    NEEDS_CSUM and, in a tunnel, UDP_TUNNEL_CSUM are left out.

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
    fields = (gso_type, gso_size, hdr_len, csum_start, csum_offset, needs_csum)
    if not gso_type & GSO_UDP_TUNNEL or size < VNET_TUNNEL_HEADER_SIZE:
        return SuperPacket(octets[size:], *fields)
    outer, inner = _TUNNEL.unpack_from(octets, _TUNNEL_AT)
    return SuperPacket(octets[size:], *fields, False, outer, inner, flags & _TUNNEL_CSUM != 0)


def _with_tunnel(packet: SuperPacket, header: bytes, size: int) -> bytes:
    """Return the header with the offsets of a tunnel, and its flag."""
    if size < VNET_TUNNEL_HEADER_SIZE:
        raise PacketError(
            f"vnet header: size is {size}, in a tunnel it must be at least {VNET_TUNNEL_HEADER_SIZE}",
            reason="bad_value",
        )
    flags = header[0] | (_TUNNEL_CSUM if packet.tunnel_csum else 0)
    offsets = _TUNNEL.pack(packet.outer_th_offset, packet.inner_nh_offset)
    return bytes((flags,)) + header[1:].ljust(_TUNNEL_AT - 1, b"\0") + offsets


def _too_small(size: int) -> PacketError:
    return PacketError(f"vnet header: size is {size}, it must be at least {VNET_HEADER_SIZE}", reason="bad_value")

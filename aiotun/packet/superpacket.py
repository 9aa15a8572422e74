"""SuperPacket: one buffer that stands for many segments, with what the kernel says of it in its vnet header."""

from __future__ import annotations

from enum import IntEnum

from ..errors import PacketError
from .view import Buffer

__all__ = ["GSO_ECN", "GSOType", "SuperPacket"]


class GSOType(IntEnum):
    """
    What a super-packet is to be cut into, by the kernel's numbers.

    VIRTIO_NET_HDR_GSO_* in Linux include/uapi/linux/virtio_net.h; 3, UFO, makes fragments and not segments.
    """

    NONE = 0
    TCPV4 = 1
    UFO = 3
    TCPV6 = 4
    UDP_L4 = 5


GSO_ECN = 0x80
"""Set beside a TCP type if the segments may carry CWR, VIRTIO_NET_HDR_GSO_ECN."""

_NAMES = {int(kind): kind.name for kind in GSOType}
_TCP = (GSOType.TCPV4, GSOType.TCPV6)
_HEADER_LENGTHS = {int(GSOType.TCPV4): 20, int(GSOType.UFO): 8, int(GSOType.TCPV6): 20, int(GSOType.UDP_L4): 8}
_MAX_UDP_SEGMENTS = 128  # UDP_MAX_SEGMENTS
_BY_FRAGS = 0xFFFF  # GSO_BY_FRAGS, which means something else inside the kernel


class SuperPacket(bytes):
    """
    A packet (tun) or frame (tap) that is not finished: to be cut into segments, or lacking its checksum, or both.

    It is ``bytes``: as long as its buffer, equal to it, and whatever is sliced from it is plain bytes.
    ``offload.segment()`` turns it into finished packets. Offsets count from the first byte: on a tap they
    include the Ethernet header and its VLAN tags.

    Args:
        octets: The packet, without a vnet header; copied.
        gso_type: What to cut it into, ``GSOType``, perhaps with ``GSO_ECN``.
        gso_size: The payload of each segment but the last, in bytes.
        hdr_len: The length of all headers, in bytes; a hint that nobody should trust.
        csum_start: Where the bytes under the checksum begin: the offset of the transport header.
        csum_offset: Where the checksum is, counted from csum_start: 16 for TCP, 6 for UDP.
        needs_csum: Whether the checksum field holds only the pseudo-header's sum, not complemented.
        fixed_id: Whether the segments share one IPv4 identification, where it would count up otherwise.

    struct virtio_net_hdr in Linux include/uapi/linux/virtio_net.h; fixed_id is SKB_GSO_TCP_FIXEDID, for which that
    header has no room.
    """

    gso_type: int
    """What to cut it into, ``GSOType``, perhaps with ``GSO_ECN``."""
    gso_size: int
    """The payload of each segment but the last, in bytes."""
    hdr_len: int
    """The length of all headers, in bytes; a hint that nobody should trust."""
    csum_start: int
    """Where the bytes under the checksum begin: the offset of the transport header."""
    csum_offset: int
    """Where the checksum is, counted from csum_start."""
    needs_csum: bool
    """Whether the checksum field holds only the pseudo-header's sum, not complemented."""
    fixed_id: bool
    """Whether the segments share one IPv4 identification; lost in a vnet header."""

    def __new__(
        cls,
        octets: Buffer,
        gso_type: int = 0,
        gso_size: int = 0,
        hdr_len: int = 0,
        csum_start: int = 0,
        csum_offset: int = 0,
        needs_csum: bool = False,
        fixed_id: bool = False,
    ) -> SuperPacket:
        self = super().__new__(cls, octets)
        self.gso_type = gso_type
        self.gso_size = gso_size
        self.hdr_len = hdr_len
        self.csum_start = csum_start
        self.csum_offset = csum_offset
        self.needs_csum = needs_csum
        self.fixed_id = fixed_id
        return self

    def __repr__(self) -> str:
        kind = _NAMES.get(self.gso_type & ~GSO_ECN, str(self.gso_type))
        cut = f", {kind} in segments of {self.gso_size}" if self.gso_type else ""
        return f"<SuperPacket of {len(self)} bytes{cut}{', needs its checksum' if self.needs_csum else ''}>"

    __str__ = __repr__  # that of bytes would print all of them

    @property
    def longest_segment(self) -> int:
        """The length of the longest packet that it stands for, in bytes; its own, if it is one packet."""
        if not self.gso_type:
            return len(self)
        headers = self.hdr_len
        if self.needs_csum:  # of hdr_len nobody says that it is right: what forwards may put a whole packet there
            headers = self.csum_start + self._transport_header()
        return min(len(self), headers + self.gso_size)

    def _transport_header(self) -> int:
        """The length of the TCP or UDP header at csum_start, in bytes."""
        if self.gso_type & ~GSO_ECN not in _TCP:
            return 8
        offset = self[self.csum_start + 12 : self.csum_start + 13]
        return (offset[0] >> 4) * 4 if offset else 20

    def moved(self, octets: Buffer, by: int = 0) -> SuperPacket:
        """Return a super-packet of other bytes, in which all that the fields speak of stands *by* bytes later."""
        return SuperPacket(
            octets,
            self.gso_type,
            self.gso_size,
            max(self.hdr_len + by, 0) if self.hdr_len else 0,
            max(self.csum_start + by, 0) if self.needs_csum else 0,
            self.csum_offset,
            self.needs_csum,
            self.fixed_id,
        )

    def check(self, ethernet: bool = False) -> None:
        """
        Make sure that the kernel would take the packet with these fields: a refusal here is its EINVAL there.

        The packet's own bytes are not read. A wrong hdr_len within the packet passes, as does a gso_size that
        leaves but one segment.

        Args:
            ethernet: Whether this is a tap's frame.

        Raises:
            PacketError: With reason ``short_header``, ``bad_hdr_len``, ``bad_csum_off``, ``bad_gso_type`` or
                ``bad_gso_size``.

        tun_vnet_hdr_get() in Linux drivers/net/tun_vnet.h, virtio_net_hdr_to_skb() in include/linux/virtio_net.h.
        """
        for name in ("gso_type", "gso_size", "hdr_len", "csum_start", "csum_offset"):
            if not 0 <= getattr(self, name) <= 0xFFFF:
                raise _bad(f"{name} is {getattr(self, name)}, the vnet header has 16 bits for it", "bad_value")
        size = len(self)
        pulled = self.hdr_len
        if self.needs_csum:
            end = self.csum_start + self.csum_offset + 2
            if end > size:
                raise _bad(f"checksum ends at {end}, the packet has {size} bytes", "bad_csum_off")
            pulled = max(pulled, end)
        if pulled > size:
            raise _bad(f"hdr_len is {pulled}, the packet has {size} bytes", "bad_hdr_len")
        if ethernet and size < 14:
            raise _bad(f"there are {size} bytes, an Ethernet header takes 14", "short_header")
        if ethernet and 0 < pulled < 14:
            raise _bad(f"hdr_len is {pulled}, an Ethernet header takes 14", "bad_hdr_len")
        headers = self._check_gso(size)
        if self.gso_type & ~GSO_ECN == GSOType.UDP_L4 and size - headers > self.gso_size * _MAX_UDP_SEGMENTS:
            raise _bad(
                f"{size - headers} bytes in segments of {self.gso_size} are more than {_MAX_UDP_SEGMENTS}",
                "bad_gso_size",
            )

    def _check_gso(self, size: int) -> int:
        """Check type, size and the place of the checksum; return what the kernel takes for the headers' length."""
        kind = self.gso_type & ~GSO_ECN
        transport = 0
        if self.gso_type:
            if kind not in _HEADER_LENGTHS:
                raise _bad(f"gso_type is {self.gso_type}, it must be 1, 3, 4 or 5", "bad_gso_type")
            if self.gso_size in (0, _BY_FRAGS):
                raise _bad(f"gso_size is {self.gso_size}, it must be 1 to 65534", "bad_gso_size")
            transport = _HEADER_LENGTHS[kind]
        network = 40 if kind == GSOType.TCPV6 else 20
        if kind == GSOType.UDP_L4 and not self.needs_csum:
            raise _bad("gso_type is 5, that needs needs_csum", "bad_gso_type")
        if kind == GSOType.UDP_L4 and self.gso_type & GSO_ECN:
            raise _bad("gso_type is 5, GSO_ECN is for TCP", "bad_gso_type")
        if self.needs_csum:
            if self.csum_start < network:
                raise _bad(f"csum_start is {self.csum_start}, it must be at least {network}", "bad_csum_off")
            expected = 16 if kind in _TCP else 6 if kind == GSOType.UDP_L4 else self.csum_offset
            if self.csum_offset != expected:
                raise _bad(f"csum_offset is {self.csum_offset}, it must be {expected}", "bad_csum_off")
            network = self.csum_start
        elif not self.gso_type:
            return 0
        if network + transport > size:
            raise _bad(f"headers end at {network + transport}, the packet has {size} bytes", "short_header")
        return network + transport


def _bad(text: str, reason: str) -> PacketError:
    return PacketError(f"SuperPacket: {text}", reason=reason)

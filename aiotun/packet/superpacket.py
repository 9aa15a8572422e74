"""SuperPacket: one buffer that stands for many segments, with what the kernel says of it in its vnet header."""

from __future__ import annotations

from enum import IntEnum

from ..errors import PacketError
from .view import Buffer

__all__ = ["GSO_ECN", "GSO_UDP_TUNNEL", "GSO_UDP_TUNNEL_IPV4", "GSO_UDP_TUNNEL_IPV6", "GSOType", "SuperPacket"]


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

GSO_UDP_TUNNEL_IPV4 = 0x20
"""Set beside a type if the packet is inside VXLAN or Geneve over IPv4, VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4."""

GSO_UDP_TUNNEL_IPV6 = 0x40
"""The same over IPv6, VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6."""

GSO_UDP_TUNNEL = GSO_UDP_TUNNEL_IPV4 | GSO_UDP_TUNNEL_IPV6
"""Both, of which a super-packet in a tunnel has one."""

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
    include the Ethernet header and its VLAN tags. What you write on one, ``packet.mark``, may outlive it: in C the
    memory of large ones is taken again, and it goes only then.

    Args:
        octets: The packet, without a vnet header; copied.
        gso_type: What to cut it into, ``GSOType``, perhaps with ``GSO_ECN``.
        gso_size: The payload of each segment but the last, in bytes.
        hdr_len: The length of all headers, in bytes; a hint that nobody should trust.
        csum_start: Where the bytes under the checksum begin: the offset of the transport header.
        csum_offset: Where the checksum is, counted from csum_start: 16 for TCP, 6 for UDP.
        needs_csum: Whether the checksum field holds only the pseudo-header's sum, not complemented.
        fixed_id: Whether the segments share one IPv4 identification, where it would count up otherwise.
        outer_th_offset: In a tunnel, where the outer UDP header is; a tap's VLAN tag may not be counted.
        inner_nh_offset: In a tunnel, where the inner IP header is; likewise. The other fields speak of that packet.
        tunnel_csum: In a tunnel, whether the outer UDP header has a checksum: now its pseudo-header's sum.

    struct virtio_net_hdr and virtio_net_hdr_v1_hash_tunnel in Linux include/uapi/linux/virtio_net.h; fixed_id is
    SKB_GSO_TCP_FIXEDID, for which those have no room.
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

    # Of one in a tunnel; attributes of the class for all others, which are made by the million.
    outer_th_offset: int = 0
    """Where the outer UDP header is."""
    inner_nh_offset: int = 0
    """Where the inner IP header is."""
    tunnel_csum: bool = False
    """Whether the outer UDP header has a checksum: now its pseudo-header's sum, not complemented."""

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
        outer_th_offset: int = 0,
        inner_nh_offset: int = 0,
        tunnel_csum: bool = False,
    ) -> SuperPacket:
        self = super().__new__(cls, octets)
        self.gso_type = gso_type
        self.gso_size = gso_size
        self.hdr_len = hdr_len
        self.csum_start = csum_start
        self.csum_offset = csum_offset
        self.needs_csum = needs_csum
        self.fixed_id = fixed_id
        if outer_th_offset or inner_nh_offset or tunnel_csum:
            self.outer_th_offset = outer_th_offset
            self.inner_nh_offset = inner_nh_offset
            self.tunnel_csum = tunnel_csum
        return self

    def __repr__(self) -> str:
        kind = _NAMES.get(self._kind, str(self.gso_type))
        if self.gso_type & GSO_UDP_TUNNEL:
            kind += " in a tunnel"
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
        if self._kind not in _TCP:
            return 8
        offset = self[self.csum_start + 12 : self.csum_start + 13]
        return (offset[0] >> 4) * 4 if offset else 20

    @property
    def _kind(self) -> int:
        """What to cut it into, by its number in GSOType."""
        return self.gso_type & ~(GSO_ECN | GSO_UDP_TUNNEL)

    def moved(self, octets: Buffer, by: int = 0) -> SuperPacket:
        """Return a super-packet of other bytes, in which all that the fields speak of stands *by* bytes later."""
        in_tunnel = self.gso_type & GSO_UDP_TUNNEL
        return SuperPacket(
            octets,
            self.gso_type,
            self.gso_size,
            max(self.hdr_len + by, 0) if self.hdr_len else 0,
            max(self.csum_start + by, 0) if self.needs_csum else 0,
            self.csum_offset,
            self.needs_csum,
            self.fixed_id,
            max(self.outer_th_offset + by, 0) if in_tunnel else 0,
            max(self.inner_nh_offset + by, 0) if in_tunnel else 0,
            self.tunnel_csum,
        )

    def check(self, ethernet: bool = False) -> None:
        """
        Make sure that the kernel would take the packet with these fields: a refusal here is its EINVAL there.

        The packet's own bytes are not read, but for the version of an inner IP header. A wrong hdr_len within the
        packet passes, as does a gso_size that leaves but one segment. One in a tunnel passes on a tun too, where Linux
        6.18 wants its offsets to leave room for an Ethernet header that is not there.

        Args:
            ethernet: Whether this is a tap's frame.

        Raises:
            PacketError: With reason ``short_header``, ``bad_hdr_len``, ``bad_csum_off``, ``bad_gso_type``,
                ``bad_gso_size`` or ``bad_tunnel``.

        tun_vnet_hdr_get() in Linux drivers/net/tun_vnet.h, virtio_net_hdr_to_skb() and virtio_net_hdr_tnl_to_skb() in
        include/linux/virtio_net.h.
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
        if self.gso_type & GSO_UDP_TUNNEL:
            self._check_tunnel(14 if ethernet else 0)
        headers = self._check_gso(size)
        if self._kind == GSOType.UDP_L4 and size - headers > self.gso_size * _MAX_UDP_SEGMENTS:
            raise _bad(
                f"{size - headers} bytes in segments of {self.gso_size} are more than {_MAX_UDP_SEGMENTS}",
                "bad_gso_size",
            )

    def _check_tunnel(self, link: int) -> None:
        """Check that what is inside is to be cut, and that the headers can be where the offsets say."""
        kind, tunnel = self._kind, self.gso_type & GSO_UDP_TUNNEL
        if tunnel == GSO_UDP_TUNNEL:
            raise _bad("it is in a tunnel over IPv4 and over IPv6", "bad_gso_type")
        if kind in (GSOType.NONE, GSOType.UFO) or not self.needs_csum:
            raise _bad("in a tunnel are TCP and UDP segments that need needs_csum", "bad_gso_type")
        least = link + (20 if tunnel == GSO_UDP_TUNNEL_IPV4 else 40)
        if self.outer_th_offset < least:
            raise _bad(f"outer_th_offset is {self.outer_th_offset}, it must be at least {least}", "bad_tunnel")
        least = self.outer_th_offset + 8
        if self.inner_nh_offset < least:
            raise _bad(f"inner_nh_offset is {self.inner_nh_offset}, it must be at least {least}", "bad_tunnel")
        byte = self[self.inner_nh_offset : self.inner_nh_offset + 1]
        is_ipv6 = kind == GSOType.TCPV6 or (kind == GSOType.UDP_L4 and bool(byte) and byte[0] >> 4 == 6)
        least = self.inner_nh_offset + (40 if is_ipv6 else 20)
        if self.csum_start < least:
            raise _bad(f"csum_start is {self.csum_start}, it must be at least {least}", "bad_csum_off")

    def _check_gso(self, size: int) -> int:
        """Check type, size and the place of the checksum; return what the kernel takes for the headers' length."""
        kind = self._kind
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

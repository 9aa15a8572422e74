"""Address families and socket addresses, numbered and laid out as DragonFly does, on every machine."""

from __future__ import annotations

import enum
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import attrs

from ..errors import UnsupportedFamily

__all__ = ["Family", "SockAddr"]

# struct sockaddr_in, sockaddr_in6 and sockaddr_dl after their length and family bytes: netinet/in.h,
# netinet6/in6.h and net/if_dl.h of the BSDs. Ports travel in network order.
_IN = struct.Struct("!H4s8x")
_IN6 = struct.Struct("!H4x16s")
_SCOPE = struct.Struct("=I")
_DL = struct.Struct("=HBBBB8s")
_IFT_ETHER = 6

SOCKADDR = 16
"""Bytes of a plain struct sockaddr: what struct ifreq has room for."""


class Family(enum.IntEnum):
    """An address family, with the values of DragonFly sys/sys/socket.h."""

    UNSPEC = 0
    INET = 2
    LINK = 18
    IPX = 23
    INET6 = 28

    @classmethod
    def of(cls, value: int) -> Family:
        """
        Return the family of a number: DragonFly's, or this machine's own for IPv6, which differs everywhere.

        Raises:
            UnsupportedFamily: If there is none of that number.
        """
        if value == socket.AF_INET6:
            return cls.INET6
        try:
            return cls(value)
        except ValueError:
            raise UnsupportedFamily(f"address family {value}: not one of {', '.join(cls.__members__)}") from None


def _family(value: int) -> Family:
    return Family.of(value)


def _check(sockaddr: SockAddr, field: attrs.Attribute[Any], value: Any) -> None:
    """Refuse what cannot be packed, while the mistake is near."""
    sockaddr.pack()


@attrs.frozen
class SockAddr:
    """A socket address: the BSDs' struct sockaddr as a value."""

    family: Family = attrs.field(converter=_family)
    address: str = ""
    """The address as text: dotted, with colons, or, where the family has no text of its own, hexadecimal."""
    port: int = attrs.field(default=0, validator=_check)

    @classmethod
    def of(cls, address: str | IPv4Address | IPv6Address, port: int = 0) -> SockAddr:
        """
        Return the socket address of an IP address, or of a hardware address such as ``f2:0b:a4:00:00:01``.

        Raises:
            ValueError: If the text is neither.
        """
        text = str(getattr(address, "ip", address))
        try:
            ip = ip_address(text)
        except ValueError:
            return cls(Family.LINK, text.lower(), port)
        return cls(Family.INET if ip.version == 4 else Family.INET6, str(ip), port)

    @classmethod
    def parse(cls, octets: bytes) -> SockAddr:
        """
        Return the socket address at the front of *octets*; what its length byte leaves over is not looked at.

        Raises:
            ValueError: If it is cut short.
            UnsupportedFamily: If its family is unknown.
        """
        if len(octets) < 2:
            raise ValueError(f"sockaddr: {len(octets)} bytes, the length and the family alone are 2")
        if octets[0] > len(octets):
            raise ValueError(f"sockaddr: its length byte says {octets[0]}, {len(octets)} bytes are there")
        family = Family.of(octets[1])
        body = octets[2 : octets[0]]
        if family is Family.INET:
            port, packed = _IN.unpack(_whole(family, body, _IN.size))
            return cls(family, str(IPv4Address(packed)), port)
        if family is Family.INET6:
            body = _whole(family, body, _IN6.size + _SCOPE.size)
            port, packed = _IN6.unpack_from(body)
            (scope,) = _SCOPE.unpack_from(body, _IN6.size)
            return cls(family, str(IPv6Address(packed)) + (f"%{scope}" if scope else ""), port)
        if family is Family.LINK:
            name, size = _whole(family, body, 6)[3:5]
            return cls(family, _whole(family, body, 6 + name + size)[6 + name :].hex(":"))
        return cls(family, body.rstrip(b"\0").hex())

    def pack(self) -> bytes:
        """
        Return the address as its struct sockaddr: 28 bytes for IPv6, 16 for every other family.

        Raises:
            ValueError: If the address is none of its family, or the port is not 0 to 65535.
        """
        if not 0 <= self.port <= 0xFFFF:
            raise ValueError(f"{self.address}: port is {self.port}, it must be 0 to 65535")
        body = self._body()
        return bytes((len(body) + 2, self.family)) + body

    def _body(self) -> bytes:
        try:
            if self.family is Family.INET:
                return _IN.pack(self.port, IPv4Address(self.address).packed)
            if self.family is Family.INET6:
                ip = IPv6Address(self.address)
                return _IN6.pack(self.port, ip.packed) + _SCOPE.pack(int(ip.scope_id or 0))
            octets = bytes.fromhex(self.address.replace(":", ""))
        except (ValueError, struct.error):
            raise ValueError(f"{self.address!r} is not an address of family {self.family.name}") from None
        if self.family is not Family.LINK:
            return _fitting(octets, SOCKADDR - 2).ljust(SOCKADDR - 2, b"\0")
        if self.address != octets.hex(":") or not octets:
            raise ValueError(f"{self.address!r} is not a hardware address such as f2:0b:a4:00:00:01")
        return _DL.pack(0, _IFT_ETHER, 0, len(_fitting(octets, 8)), 0, octets)


def _whole(family: Family, body: bytes, size: int) -> bytes:
    """Return the first *size* bytes, all of them."""
    if len(body) < size:
        raise ValueError(f"sockaddr: {len(body) + 2} bytes, a {family.name} address takes {size + 2}")
    return body[:size]


def _fitting(octets: bytes, room: int) -> bytes:
    if len(octets) > room:
        raise ValueError(f"{octets.hex(':')}: {len(octets)} bytes, at most {room} fit a sockaddr")
    return octets

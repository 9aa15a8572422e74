"""
The addresses of UDP sockets: ``(host, port)``, whatever the family.

One address has one form, so that it can be a key: the host as inet_ntop() writes it, an IPv4 address plain even where
an IPv6 socket sees it mapped (RFC 4291 section 2.5.5.2), a link-local one with its interface's index: ``fe80::1%2``.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import Any

__all__ = [
    "Address",
    "address_of",
    "address_text",
    "family_of",
    "normal_address",
    "normal_host",
    "packed_address",
    "packed_source",
    "sockaddr",
]

Address = tuple[str, int]

MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address is preceded by in its IPv6 form."""


def normal_host(host: str) -> str:
    """
    Return the one form of a numeric host.

    Raises:
        ValueError: If it is a name, which may have many addresses, or none.
    """
    octets, scope = _parse(host)
    return _host(octets, scope)


def normal_address(address: Address) -> Address:
    """
    Return the one form of an address that datagrams can be sent to.

    Raises:
        ValueError: If the host is not numeric, or the port not from 1 to 65535.
    """
    host, port = address
    if not 0 < port < 65536:
        raise ValueError(f"udp: no datagram can be sent to port {port} of {host}")
    return normal_host(host), port


def address_text(address: Address) -> str:
    """Return the address as one writes it: ``192.0.2.1:5555``, ``[2001:db8::1]:5555``."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def family_of(address: Address) -> socket.AddressFamily:
    """Return the family of an address in its one form."""
    return socket.AF_INET6 if ":" in address[0] else socket.AF_INET


def address_of(told: Any) -> Address:
    """Return the address that the socket module tells as a tuple of 2 or 4."""
    if len(told) == 2:
        return told[0], told[1]
    octets = socket.inet_pton(socket.AF_INET6, told[0].partition("%")[0])
    return _host(octets, told[3]), told[1]


def packed_address(octets: bytes, scope: int = 0) -> str:
    """Return the host of 4 or 16 bytes; *scope* is an interface's index, and counts for link-local ones."""
    if len(octets) == 16 and not (octets[0] == 0xFE and octets[1] & 0xC0 == 0x80):
        scope = 0
    return _host(octets, scope)


@lru_cache(maxsize=1024)
def sockaddr(address: Address, family: int) -> tuple[Any, ...]:
    """
    Return what the socket module wants of an address, for a socket of *family*: never a name to look up.

    Raises:
        ValueError: If it is none, or an IPv6 address and the socket is IPv4.
    """
    try:
        host, port = address
        octets, scope = _parse(host)
        if not 0 <= port < 65536:
            raise ValueError
        if family == socket.AF_INET:
            return _ipv4(octets), port
        return socket.inet_ntop(socket.AF_INET6, octets), port, 0, scope
    except (TypeError, ValueError):
        raise ValueError(f"{address!r} is no (host, port) that this socket can send to") from None


@lru_cache(maxsize=1024)
def packed_source(host: str, family: int) -> tuple[bytes, int]:
    """Return an address of ours as the bytes of *family* and its interface's index; raises like sockaddr()."""
    try:
        octets, scope = _parse(host)
        return (socket.inet_aton(_ipv4(octets)), 0) if family == socket.AF_INET else (octets, scope)
    except (TypeError, ValueError):
        raise ValueError(f"{host!r} is no address that this socket can send from") from None


def _parse(host: str) -> tuple[bytes, int]:
    """Return a numeric host's 16 bytes, an IPv4 address mapped, and its scope."""
    plain, mark, zone = host.partition("%")
    scope = 0
    try:
        if mark:
            scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
            if not scope:
                raise ValueError
        elif ":" not in plain:
            return MAPPED + socket.inet_pton(socket.AF_INET, plain), 0
        return socket.inet_pton(socket.AF_INET6, plain), scope
    except (OSError, ValueError):
        raise ValueError(f"udp: {host!r} is no numeric address") from None


def _host(octets: bytes, scope: int) -> str:
    if octets[:-4] == MAPPED:
        octets = octets[-4:]
    if len(octets) == 4:
        return socket.inet_ntop(socket.AF_INET, octets)
    host = socket.inet_ntop(socket.AF_INET6, octets)
    return f"{host}%{scope}" if scope else host


def _ipv4(octets: bytes) -> str:
    if octets[:-4] != MAPPED:
        raise ValueError
    return socket.inet_ntop(socket.AF_INET, octets[-4:])

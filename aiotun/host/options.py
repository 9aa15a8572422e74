"""What the hosts' ``open_tun`` and ``open_tap`` accept, made into one shape."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

__all__ = ["Addresses", "addresses", "hardware_address"]

Address = str | IPv4Interface | IPv6Interface
Addresses = Address | Iterable[Address]
"""One address with its prefix length, ``"10.8.0.2/24"``, or several."""


def addresses(given: Addresses) -> list[IPv4Interface | IPv6Interface]:
    """
    Return the addresses as values, in order.

    Raises:
        ValueError: If one is not an address, or has no prefix length.
    """
    several = [given] if isinstance(given, str | IPv4Interface | IPv6Interface) else list(given)
    return [_address(one) for one in several]


def _address(given: Address) -> IPv4Interface | IPv6Interface:
    if isinstance(given, str) and "/" not in given:
        raise ValueError(f"address {given!r} has no prefix length; write {given}/24, or the length of your network")
    return ip_interface(given)


def hardware_address(mac: str | bytes | None) -> bytes | None:
    """
    Return the 6 bytes of *mac*, or None if none was given.

    Raises:
        ValueError: If it is not a hardware address.
    """
    if mac is None:
        return None
    from ..packet import parse_mac  # late: the packet room costs 25 ms that only this option needs

    return parse_mac(mac)

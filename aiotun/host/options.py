"""What the hosts' ``open_tun`` and ``open_tap`` accept, made into one shape."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

__all__ = ["Addresses", "addresses", "hardware_address", "positive"]

Address = str | IPv4Interface | IPv6Interface
Addresses = Address | Iterable[Address]
"""One address with its prefix length, ``"10.8.0.2/24"``, or several."""


def addresses(given: Addresses) -> list[IPv4Interface | IPv6Interface]:
    """
    Return the addresses as values, in order.

    Raises:
        ValueError: If one is not an address, or has no prefix length.
    """
    several = list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]
    return [_address(one) for one in several]


def _address(given: Address) -> IPv4Interface | IPv6Interface:
    if not isinstance(given, str | IPv4Address | IPv6Address):
        raise TypeError(f'an address is text like "10.8.0.2/24", not {type(given).__name__}')
    if "/" not in str(given):
        raise ValueError(f"address '{given}' has no prefix length; write {given}/24, or the length of your network")
    return ip_interface(given)


def positive(what: str, number: int | None) -> int | None:
    """
    Return *number* if it is one above 0, or None.

    Raises:
        ValueError, TypeError: If it is not.
    """
    if number is None:
        return None
    if not isinstance(number, int):
        raise TypeError(f"{what} is a number, not {type(number).__name__}")
    if not 0 < number < 2**31:
        raise ValueError(f"{what} is above 0 and below 2^31, not {number}")
    return number


def hardware_address(mac: str | bytes | None) -> bytes | None:
    """
    Return the 6 bytes of *mac*, or None if none was given.

    Raises:
        ValueError: If it is not a hardware address.
    """
    if mac is None:
        return None
    from ..packet import parse_mac  # late: the packet room costs 25 ms that only this option needs

    octets = parse_mac(mac)
    if octets[0] & 1 or not any(octets):
        raise ValueError(f"{mac!r} cannot be an interface's address: it is a group's, or nobody's")
    return octets

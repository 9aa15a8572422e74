"""What the hosts' ``open_tun`` and ``open_tap`` accept, made into one shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

from ..routing import Network, Route, Rule

__all__ = [
    "Addresses",
    "Peers",
    "Routes",
    "addresses",
    "domains_and_servers",
    "hardware_address",
    "link_group",
    "peers",
    "positive",
    "routes",
    "rules",
    "sysctls",
    "word",
]

Interface = IPv4Interface | IPv6Interface
Address = str | Interface
Addresses = Address | Iterable[Address]
"""One address with its prefix length, ``"10.8.0.2/24"``, or several."""
Peer = str | IPv4Address | IPv6Address | Interface
Peers = Peer | Iterable[Peer]
"""One far address, ``"10.8.0.1"``, or one for each IP version."""
Routes = str | Network | Route | Iterable[str | Network | Route]
"""One prefix, ``"10.0.0.0/8"``, or Route, or several."""

SYSCTL = re.compile(r"net(\.(\{name\}|[\w:-]+))+", re.ASCII)
DOMAIN = re.compile(r"(?!-)[\w-]{1,63}(\.(?!-)[\w-]{1,63})*\.?")


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


def peers(given: Peers, local: Sequence[Interface]) -> list[Interface]:
    """
    Return the far ends as values.

    Raises:
        ValueError: If one is not an address, or there is not just one address of ours for it.
    """
    several = list(given) if isinstance(given, Iterable) and not isinstance(given, str | bytes) else [given]
    found = [ip_interface(peer) for peer in several]
    for peer in found:
        ours = [one for one in local if one.version == peer.version]
        theirs = [one for one in found if one.version == peer.version]
        if len(ours) != 1 or len(theirs) != 1:
            raise ValueError(
                f"peer {peer.ip} is the far end of one IPv{peer.version} address: "
                f"there are {len(theirs)} such peers and {len(ours)} such addresses"
            )
    return found


def link_group(group: int | None) -> int | None:
    """
    Return *group* if it is one, or None.

    Raises:
        ValueError: If it is not.
    """
    if group is not None and not (isinstance(group, int) and 0 <= group < 2**31):
        raise ValueError(f"group is a number from 0 to 2^31 - 1, not {group!r}")
    return group


def word(what: str, number: int) -> int:
    """
    Return *number* if it is one from 1 to 2^32 - 1.

    Raises:
        ValueError: If it is not.
    """
    if not (isinstance(number, int) and 0 < number < 2**32):
        raise ValueError(f"{what} is a number from 1 to 2^32 - 1, not {number!r}")
    return number


def routes(given: Routes) -> list[Route]:
    """
    Return the routes as values, in order.

    Raises:
        ValueError: If one is no prefix.
    """
    several = [given] if isinstance(given, str | Network | Route) else list(given)
    return [one if isinstance(one, Route) else Route(one) for one in several]


def rules(given: Rule | Iterable[Rule]) -> list[Rule]:
    """
    Return the rules, in order.

    Raises:
        TypeError: If one is no Rule.
    """
    several = [given] if isinstance(given, Rule) else list(given)
    for one in several:
        if not isinstance(one, Rule):
            raise TypeError(f"rules are aiotun.Rule(...), not {type(one).__name__}")
    return several


def sysctls(given: Mapping[str, str | int]) -> dict[str, str]:
    """
    Return the settings with their values as text.

    Raises:
        ValueError: If one is none of a network's.
    """
    for name in given:
        if not SYSCTL.fullmatch(name):
            raise ValueError(f'sysctl {name!r} is none of a network\'s; those begin with "net."')
    return {name: str(int(value) if isinstance(value, bool) else value) for name, value in given.items()}


def domains_and_servers(given: str | Iterable[str]) -> list[IPv4Address | IPv6Address | str]:
    """
    Return what is an address as one, and what is a domain as text.

    Raises:
        ValueError: If one is neither, or there is no name server among them.
    """
    several = [_domain_or_server(one) for one in ([given] if isinstance(given, str) else given)]
    if several and all(isinstance(one, str) for one in several):
        raise ValueError("dns has domains, but no name server's address")
    return several


def _domain_or_server(given: str) -> IPv4Address | IPv6Address | str:
    try:
        return ip_address(given)
    except ValueError:
        if isinstance(given, str) and DOMAIN.fullmatch(given):
            return given
    raise ValueError(f"dns {given!r} is neither the address of a name server nor a domain")

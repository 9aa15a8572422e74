"""Entries of the kernel's routing: a route, and a rule that says which table is asked."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Literal, get_args

import attrs

__all__ = ["Network", "Route", "RouteKind", "Rule"]

Network = IPv4Network | IPv6Network
RouteKind = Literal["unicast", "unreachable", "blackhole", "prohibit", "throw"]

WORD = 2**32
"""Metrics, priorities, marks and tables are 32 bits wide."""


def _network(given: str | Network) -> Network:
    if not isinstance(given, str | IPv4Network | IPv6Network):
        raise TypeError(f'a prefix is text like "10.0.0.0/8", not {type(given).__name__}')
    return ip_network(given)


def _network_or_none(given: str | Network | None) -> Network | None:
    return None if given is None else _network(given)


def _address_or_none(given: str | IPv4Address | IPv6Address | None) -> IPv4Address | IPv6Address | None:
    return None if given is None else ip_address(given)


def _word(instance: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
    if value is not None:
        _given_word(instance, attribute, value)


def _given_word(instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if not (isinstance(value, int) and 0 <= value < WORD):
        raise ValueError(f"{attribute.name} is a number from 0 to 2^32 - 1, not {value!r}")


@attrs.frozen
class Route:
    """
    Where packets for a prefix go: out of the device whose option this is, unless it says otherwise.

    Raises:
        ValueError: If a value cannot be, or does not go with the others.
    """

    prefix: Network = attrs.field(converter=_network)
    via: IPv4Address | IPv6Address | None = attrs.field(default=None, converter=_address_or_none, kw_only=True)
    """The router."""
    metric: int | None = attrs.field(default=None, validator=_word, kw_only=True)
    """Of several routes to a prefix the smallest is taken. None is the kernel's: 0, and for IPv6 1024."""
    table: int | None = attrs.field(default=None, validator=_word, kw_only=True)
    """None is the main table, 254."""
    source: IPv4Address | IPv6Address | None = attrs.field(default=None, converter=_address_or_none, kw_only=True)
    """The address that packets of this machine are sent from, if their program chose none."""
    onlink: bool = attrs.field(default=False, kw_only=True)
    """The router is on the link, though no address of the link says so."""
    interface: str | None = attrs.field(default=None, kw_only=True)
    """Another interface to go out of."""
    kind: RouteKind = attrs.field(default="unicast", kw_only=True)
    """Other kinds lead nowhere: ``unreachable`` refuses, ``throw`` lets the next rule decide."""

    def __attrs_post_init__(self) -> None:
        if self.kind not in get_args(RouteKind):
            raise ValueError(f"kind is one of {', '.join(get_args(RouteKind))}, not {self.kind!r}")
        if self.kind != "unicast" and (self.via or self.source or self.onlink or self.interface):
            raise ValueError(f"route {self.prefix}: {self.kind} goes nowhere: no via, source, onlink or interface")
        for what, address in (("via", self.via), ("source", self.source)):
            if address is not None and address.version != self.prefix.version:
                raise ValueError(f"route {self.prefix}: {what} is {address}, of the other IP version")

    def __str__(self) -> str:
        words = [f"{'' if self.kind == 'unicast' else self.kind + ' '}{self.prefix}"]
        for word, value in (("via", self.via), ("dev", self.interface), ("metric", self.metric), ("table", self.table)):
            words += [] if value is None else [f"{word} {value}"]
        return " ".join(words)


@attrs.frozen(kw_only=True)
class Rule:
    """
    Which packets are routed by which table; what is not given fits every packet.

    Raises:
        ValueError: If a value cannot be, or does not go with the others.
    """

    table: int = attrs.field(default=254, validator=_given_word)
    """The table that is asked; 254 is the main one."""
    priority: int | None = attrs.field(default=None, validator=_word)
    """Rules are tried from the lowest up. None is the next one before all others but the first, as the kernel does."""
    fwmark: int | None = attrs.field(default=None, validator=_word)
    """The mark of a packet: SO_MARK of its socket, or a firewall's."""
    mask: int = attrs.field(default=WORD - 1, validator=_word)
    """The bits of the mark that are compared."""
    source: Network | None = attrs.field(default=None, converter=_network_or_none)
    destination: Network | None = attrs.field(default=None, converter=_network_or_none)
    iif: str | None = None
    """The interface it came in by; ``{name}`` is the device's, ``lo`` means this machine's own packets."""
    oif: str | None = None
    """The interface its socket is bound to; ``{name}`` is the device's."""
    uids: tuple[int, int] | None = None
    """The first and the last user whose sockets it may be of."""
    invert: bool = False
    """Take the packets that all this does not fit."""
    suppress_prefixlength: int | None = attrs.field(default=None, validator=_word)
    """Take no route that is this short, or shorter: 0 leaves out default routes."""
    version: Literal[4, 6] | None = None
    """IPv4 or IPv6; None is that of *source* and *destination*, or both."""

    def __attrs_post_init__(self) -> None:
        given = {prefix.version for prefix in (self.source, self.destination) if prefix is not None}
        if self.version is not None:
            given.add(self.version)
        if len(given) > 1:
            raise ValueError("a rule's version, source and destination are of one IP version")
        if self.uids is not None and not 0 <= self.uids[0] <= self.uids[1] < WORD:
            raise ValueError(f"uids are a first and a last user, not {self.uids!r}")

    @property
    def versions(self) -> tuple[Literal[4, 6], ...]:
        """The IP versions it is for."""
        prefix = self.source or self.destination
        one = self.version or (prefix.version if prefix else None)
        return (4, 6) if one is None else (one,)

    def __str__(self) -> str:
        words = ["not"] if self.invert else []
        for word, value in (
            ("from", self.source),
            ("to", self.destination),
            ("fwmark", self.fwmark),
            ("iif", self.iif),
            ("oif", self.oif),
            ("uids", self.uids),
            ("table", self.table),
            ("suppress_prefixlength", self.suppress_prefixlength),
        ):
            words += [] if value is None else [f"{word} {value}"]
        return " ".join(words)

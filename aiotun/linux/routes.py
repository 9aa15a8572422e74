"""Routes: added where they are not there, removed again where they outlive the device."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any

import attrs

from ..routing import Route
from .links import link_index
from .messages import ADD, DUMP, RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE, decode, encode
from .transaction import Transaction

__all__ = ["add_routes", "route_message"]

FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}

# Linux include/uapi/linux/rtnetlink.h
KINDS = {"unicast": 1, "blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9}
RT_TABLE_COMPAT = 252
RT_TABLE_MAIN = 254
RTPROT_STATIC = 4
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_NOWHERE = 0, 253, 255
RTNH_F_ONLINK = 4
RTM_F_CLONED = 0x200
IP6_RT_PRIO_USER = 1024
"""The metric of an IPv6 route to which none is given."""


@attrs.frozen
class Placed:
    """A route with everything resolved: what tells it from others, and what a found one must agree with."""

    route: Route
    index: int | None
    """The link it goes out of; None where it goes nowhere."""

    @property
    def key(self) -> tuple[Any, ...]:
        route = self.route
        return route.prefix, route.table or RT_TABLE_MAIN, _metric(route), self.index, route.via, KINDS[route.kind]


def add_routes(transaction: Transaction, index: int, routes: Sequence[Route], *, lasting: bool) -> None:
    """
    Add the routes that are not there.

    Args:
        index: The link they go out of where they do not say.
        lasting: Whether that link outlives us; a route that goes elsewhere does so in any case.
    """
    placed = [Placed(route, _index(transaction, route, index)) for route in routes]
    there = _there(transaction, placed)
    for one in placed:
        bound = one.index == index and not lasting
        undo = None if bound else {"send": [route_message(RTM_DELROUTE, one.route, one.index).hex()]}
        what = f"route {one.route}"
        if any(one.route.source in (None, source) for source in there.get(one.key, ())):
            transaction.found(what, undo)
        else:
            transaction.change(what, route_message(RTM_NEWROUTE, one.route, one.index, ADD), undo)


def route_message(kind: int, route: Route, index: int | None, flags: int = 0) -> bytes:
    """Return the message that adds or removes *route*, out of the link with this index."""
    table = route.table or RT_TABLE_MAIN
    scope = RT_SCOPE_LINK if index is not None and route.via is None else RT_SCOPE_UNIVERSE
    return encode(
        kind,
        flags,
        {
            "family": FAMILIES[route.prefix.version],
            "dst_len": route.prefix.prefixlen,
            "table": table if table < 256 else RT_TABLE_COMPAT,
            "proto": RTPROT_STATIC,
            "scope": scope if kind == RTM_NEWROUTE else RT_SCOPE_NOWHERE,  # which fits any
            "type": KINDS[route.kind],
            "flags": RTNH_F_ONLINK if route.onlink else 0,
        },
        [
            ("RTA_DST", str(route.prefix.network_address) if route.prefix.prefixlen else None),
            ("RTA_TABLE", table),
            ("RTA_PRIORITY", _metric(route)),
            ("RTA_OIF", index),
            ("RTA_GATEWAY", None if route.via is None else str(route.via)),
            ("RTA_PREFSRC", None if route.source is None else str(route.source)),
        ],
    )


def _metric(route: Route) -> int:
    if route.metric is not None:
        return route.metric
    return IP6_RT_PRIO_USER if route.prefix.version == 6 else 0


def _index(transaction: Transaction, route: Route, index: int) -> int | None:
    if route.kind != "unicast":
        return None
    if route.interface is None:
        return index
    with transaction.explained(f"route {route}"):
        return link_index(transaction, route.interface)


def _there(transaction: Transaction, placed: Iterable[Placed]) -> dict[tuple[Any, ...], list[Any]]:
    """Return the routes of the tables in question: what tells them from others, with their source addresses."""
    found: dict[tuple[Any, ...], list[Any]] = {}
    asked = {(one.route.prefix.version, one.route.table or RT_TABLE_MAIN, one.index) for one in placed}
    for version, table, index in sorted(asked, key=str):
        # The kernel itself leaves out other tables and links: some machines have a million routes.
        attributes = [("RTA_TABLE", table), ("RTA_OIF", index)]
        for message in _dump(transaction, encode(RTM_GETROUTE, DUMP, {"family": FAMILIES[version]}, attributes)):
            if not message["flags"] & RTM_F_CLONED:
                _add(found, version, message)
    return found


def _dump(transaction: Transaction, request: bytes) -> list[Any]:
    try:
        return list(map(decode, transaction.ask(request)))
    except OSError as error:
        if error.errno != errno.ENOENT:  # there is no such table yet
            raise
        return []


def _add(found: dict[tuple[Any, ...], list[Any]], version: int, message: Any) -> None:
    destination = message.get_attr("RTA_DST") or ("0.0.0.0" if version == 4 else "::")
    via, source = message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_PREFSRC")
    kind = message["type"]
    key = (
        Route(f"{destination}/{message['dst_len']}").prefix,
        message.get_attr("RTA_TABLE"),
        message.get_attr("RTA_PRIORITY") or 0,
        # IPv6 keeps those that lead nowhere at lo
        message.get_attr("RTA_OIF") if kind == KINDS["unicast"] else None,
        None if via is None else ip_address(via),
        kind,
    )
    found.setdefault(key, []).append(None if source is None else ip_address(source))

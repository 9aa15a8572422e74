"""The interfaces of a host: their addresses, the routes these bring, and which interface leads where."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import cast

from ..endpoint import Event, EventKind
from ..errors import DeviceError, DeviceGone
from ..packet import Address, AddressLike
from .link import EthernetLink, Link
from .neighbors import Neighbors
from .routes import NoRoute, Routes, choose_source

__all__ = ["Attached"]


class Attached:
    """What a stack knows of its interfaces."""

    def __init__(self) -> None:
        self.routes = Routes()
        self.neighbors = Neighbors()
        self._links: dict[str, Link] = {}
        self._known: dict[Link, tuple[IPv4Interface | IPv6Interface, ...]] = {}
        self._tells: dict[Link, Callable[[Event], None]] = {}
        self._own: dict[bytes, list[Link]] = {}  # who has an address of this host

    def attach(self, link: Link) -> None:
        """Take an interface in; it leaves by itself when it is deleted. One attached already is nothing to do."""
        if link in self._tells:
            return
        self._links[link.name] = link
        self._tells[link] = partial(self._changed, link)
        self.refresh(link)
        link.listen(self._tells[link])

    def detach(self, link: Link) -> None:
        """Let an interface go: its addresses, routes and neighbors are forgotten. One not attached is nothing to do."""
        tell = self._tells.pop(link, None)
        if tell is None:
            return
        link.unlisten(tell)
        self._set_addresses(link, ())
        del self._known[link]
        self.neighbors.forget(cast(EthernetLink, link), "gone")
        if self._links.get(link.name) is link:  # the name may be another's by now
            del self._links[link.name]
            self.routes.forget(link.name)

    def refresh(self, link: Link) -> None:
        """Take note of an interface's addresses. Any event of the interface, such as a new address, does it too."""
        self._set_addresses(link, tuple(link.addresses))

    def source_address(self, destination: AddressLike) -> Address:
        """
        Return the address of this host to send to *destination* from.

        Raises:
            NoRoute: If there is no route to it (ENETUNREACH).
            DeviceError: If the host has no address of that IP version (EADDRNOTAVAIL).
        """
        target = ip_address(destination)
        if target.packed in self._own:
            return target
        link, via = self._route(target.packed)
        everywhere = itertools.chain.from_iterable(self._known.values())
        source = choose_source(link.addresses, ip_address(via)) or choose_source(everywhere, target)
        if source is None:
            text = f"{link.name}: there is no IPv{target.version} address to send to {target} from"
            raise DeviceError(text, errno.EADDRNOTAVAIL)
        return source

    # --- inside -----------------------------------------------------------------------------------

    def _route(self, destination: bytes) -> tuple[Link, bytes]:
        route = self.routes.lookup(destination)
        if route is None:
            raise NoRoute(f"no route to {ip_address(destination)}")
        link = self._links.get(route.interface)
        if link is None:
            raise DeviceGone(f"{route.interface}: no such interface")
        return link, destination if route.via is None else route.via.packed

    def _set_addresses(self, link: Link, addresses: tuple[IPv4Interface | IPv6Interface, ...]) -> None:
        for address in self._known.get(link, ()):
            owners = self._own[address.ip.packed]
            owners.remove(link)
            if not owners:
                del self._own[address.ip.packed]
        for address in addresses:
            self._own.setdefault(address.ip.packed, []).append(link)
        self._known[link] = addresses
        self.routes.connect(link.name, addresses)

    def _changed(self, link: Link, event: Event) -> None:
        if event.kind is EventKind.GONE:
            self.detach(link)
            return
        self.refresh(link)
        if event.kind is EventKind.DOWN:
            self.neighbors.forget(cast(EthernetLink, link), "down")

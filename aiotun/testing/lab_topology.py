"""What a lab is made of: adding nodes and links, and the routes between them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from typing import Any, Literal, TypeVar

from ..channel import MemoryChannel
from ..channel.memory_impairment import Impairment
from .lab_host import LabHost
from .lab_interface import ETHERNET_HEADER, LabInterface, LabNode
from .lab_link import LabLink
from .lab_record import Record
from .lab_router import LabRouter
from .lab_routes import Network, set_routes
from .lab_switch import LabSwitch

__all__ = ["Topology"]

Node = LabHost | LabSwitch
N = TypeVar("N", LabHost, LabRouter, LabSwitch)


class Topology:
    """The nodes and the links of a lab."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seed: int, limit: int) -> None:
        self.seed = seed
        self.nodes: dict[str, Node] = {}
        """The hosts, routers and switches, by name."""
        self.links: list[LabLink] = []
        """The links and channels, in the order they were made."""
        self.record = Record(limit, loop.time)
        """What happened."""
        self._loop = loop
        self._names: dict[str, None] = {}  # of whatever may be in a diagram, in order
        self._peers: dict[LabInterface, LabInterface] = {}
        self._behind: list[tuple[Network, LabHost]] = []
        self._idle: list[LabInterface] = []  # those that nothing carries from yet
        self._numbers = itertools.count(1)  # of interfaces, for their Ethernet addresses
        self._settled = True

    def host(self, name: str, *addresses: str) -> LabHost:
        """
        Add a host: a SoftHost, with open_tun(), ping(), send(), protocol() and routes.

        Args:
            name: What it is called.
            addresses: Its addresses; with a prefix length, ``"10.0.0.1/24"``, it finds the others of that network by
                itself on a link to a switch.

        Raises:
            ValueError: If there is a node of that name, or an address is none.
        """
        return self._add(LabHost(*self._described(name, addresses)))

    def router(self, name: str, *addresses: str) -> LabRouter:
        """Add a router: a host that forwards between its links, and its tuns. Arguments as host()."""
        return self._add(LabRouter(*self._described(name, addresses), self.record))

    def switch(self, name: str) -> LabSwitch:
        """Add a learning Ethernet switch."""
        return self._add(LabSwitch(name, self._loop.time))

    def link(self, a: LabHost | LabSwitch, b: LabHost | LabSwitch, *, mtu: int = 1500, **impairment: Any) -> LabLink:
        """
        Join two nodes. A link to a switch carries Ethernet frames, any other IP packets.

        Args:
            a: One node.
            b: The other.
            mtu: The largest IP packet, in bytes.
            impairment: What it does to packets, both ways: ``delay`` in seconds, or the least and the most of them,
                ``loss``, ``corrupt``, ``duplicate`` and ``reorder`` as shares, ``rate`` in bits per second; see
                Impairment, and LabLink.impair() for one way.

        Raises:
            ValueError: If a value cannot be, or it would join a node with itself.
        """
        header = ETHERNET_HEADER if isinstance(a, LabSwitch) or isinstance(b, LabSwitch) else 0
        link = self._join(a.name, b.name, mtu, impairment, header=header)
        ends = [self._plug(node, end, header) for node, end in zip((a, b), link.ends, strict=True)]
        link.interfaces = ends[0], ends[1]
        self._peers |= {ends[0]: ends[1], ends[1]: ends[0]}
        self._change()
        return link

    def channel(
        self,
        a: LabNode | str,
        b: LabNode | str,
        *,
        mtu: int = 1500,
        when_full: Literal["drop", "wait"] = "drop",
        **impairment: Any,
    ) -> LabLink:
        """
        Join two endpoints for the program under test, such as both ends of a VPN: ``near, far = lab.channel(a, b)``.

        It carries any bytes, and is plugged into no stack. Arguments as link(), but for names, which need no nodes,
        and *when_full*: what happens to packets beyond 1000 that one way holds.
        """
        names = [end if isinstance(end, str) else end.name for end in (a, b)]
        return self._join(names[0], names[1], mtu, impairment, when_full=when_full)

    def route(self, prefix: str, host: LabHost) -> None:
        """Let every node send what is for *prefix* to *host*, as to a VPN gateway; it is for that to know the rest."""
        self._behind.append((ip_network(prefix), host))
        self._change()

    @contextlib.contextmanager
    def partition(self, *nodes: LabNode | str) -> Iterator[None]:
        """Cut these nodes off from all others, while the block lasts: the links and channels that lead out are down."""
        inside = {node if isinstance(node, str) else node.name for node in nodes}
        cut = [link for link in self.links if link.is_up and len(inside & set(link.names)) == 1]
        for link in cut:
            link.down()
        try:
            yield
        finally:
            for link in cut:
                link.up()

    # --- inside -----------------------------------------------------------------------------------

    def _described(
        self, name: str, addresses: tuple[str, ...]
    ) -> tuple[str, tuple[str, ...], int, Callable[[], float]]:
        """Return what makes a host: its addresses, a number of its own, and the clock."""
        number = len(self.nodes) + 1
        automatic = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", f"fd00::{number:x}"
        return name, addresses or automatic, number, self._loop.time

    def _add(self, node: N) -> N:
        if node.name in self.nodes:
            raise ValueError(f"there is a node {node.name} already")
        self.nodes[node.name] = node
        self._names[node.name] = None
        return node

    def _join(self, a: str, b: str, mtu: int, impairment: dict[str, Any], **options: Any) -> LabLink:
        if a == b:
            raise ValueError(f"a link joins two nodes, not {a} with itself")
        seed = f"{self.seed} {len(self.links)}"
        link = LabLink(self.record, (a, b), Impairment(**impairment), seed=seed, mtu=mtu, **options)
        self.links.append(link)
        self._names |= {a: None, b: None}
        return link

    def _plug(self, node: Node, end: MemoryChannel, header: int) -> LabInterface:
        interface = LabInterface(node, end, self.record, number=next(self._numbers), header=header)
        node.plug(interface)
        self._idle.append(interface)
        return interface

    def _change(self) -> None:
        """Set the routes anew: at once if the lab runs, else when it does, for all changes together."""
        self._settled = False
        if self._loop.is_running():
            self._settle()

    def _settle(self) -> None:
        if not self._settled:
            self._settled = True
            hosts = [node for node in self.nodes.values() if isinstance(node, LabHost)]
            set_routes(hosts, self._peers, self._behind)
        for interface in self._idle:
            self._carry(interface)
        self._idle.clear()

    def _carry(self, interface: LabInterface) -> None:
        """Carry what arrives to the interface's node from now on."""
        raise NotImplementedError

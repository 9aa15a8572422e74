"""Source NAT: many hosts behind one address."""

from __future__ import annotations

from random import Random, SystemRandom

from ..packet import AddressLike
from ..packet.value import to_packed
from .clock import Clock, loop_time
from .nat_fragments import Fragments
from .nat_stages import Inbound, Outbound
from .nat_table import FILTERINGS, NatTable
from .nat_timeouts import NatTimeouts
from .sending import Output

__all__ = ["Nat"]


class Nat:
    """
    Source NAT for IPv4 and IPv6 (NAT66): two stages, one for each direction, that share one table.

    ::

        nat = stages.Nat("203.0.113.5")
        await aiotun.pump(tun, uplink, outbound=[nat.outbound], inbound=[nat.inbound])

    TCP, UDP, ICMP echo, and ICMP errors with the packets they quote; other protocols are dropped. A mapping is
    endpoint-independent: an address and port inside have one port outside, the same if that is free, towards
    everybody. Fragments are translated in any order; up to 64 wait for the first of their datagram. Super-packets pass
    whole.

    A session is never ended early to make room: a full table refuses new ones (``table_full``), a host inside that has
    too many its own (``host_limit``).

    Args:
        addresses: The addresses outside, at most one of each IP version. A packet of a version without one is dropped
            on its way out.
        ports: The ports outside to use for TCP and UDP.
        limit: How many sessions there are at most; one takes about 1.4 kB.
        per_host: How many of them one address inside may have; all by default.
        filtering: Whose packets a mapping lets in: ``"address"``, any port of an address that was spoken to;
            ``"address_and_port"``, that port alone; ``"endpoint_independent"``, anybody's.
        timeouts: How long an idle session lasts.
        hairpin: Takes packets from inside to a mapping of this NAT, translated twice, back inside, such as
            ``tun.send_many_nowait``; without it they leave.
        seed: Where the choice of ports begins; by default nobody knows.
        clock: Returns the time in seconds; the running loop's by default.

    Raises:
        ValueError: If there is no address, or two of one IP version, or *ports*, *limit* or *filtering* make no sense.

    RFC 4787 (UDP), RFC 5382 (TCP), RFC 5508 (ICMP), RFC 7857; the limits of RFC 6888.
    """

    __slots__ = ("_table", "inbound", "outbound")

    outbound: Outbound
    """The stage for packets that leave."""
    inbound: Inbound
    """The stage for packets that come back."""

    def __init__(
        self,
        *addresses: AddressLike,
        ports: range = range(1024, 65536),
        limit: int = 65536,
        per_host: int | None = None,
        filtering: str = "address",
        timeouts: NatTimeouts | None = None,
        hairpin: Output | None = None,
        seed: int | None = None,
        clock: Clock = loop_time,
    ) -> None:
        outside = {len(packed): packed for packed in map(to_packed, addresses)}
        if not addresses or len(outside) < len(addresses):
            raise ValueError(f"nat: one address outside of each IP version, not {addresses}")
        if not ports or not (0 < min(ports) and max(ports) < 0x10000):
            raise ValueError(f"nat: ports are of 1 to 65535, not {ports}")
        if limit < 1 or (per_host is not None and per_host < 1):
            raise ValueError(f"nat: there is at least 1 session, not {limit}, and 1 of each host, not {per_host}")
        if filtering not in FILTERINGS:
            raise ValueError(f"nat: no filtering {filtering!r}; there are {', '.join(FILTERINGS)}")
        timeouts = timeouts or NatTimeouts()
        self._table = NatTable(
            outside,
            ports,
            limit=limit,
            per_host=limit if per_host is None else per_host,
            timeouts=timeouts,
            filtering=filtering,
            random=SystemRandom() if seed is None else Random(seed),
        )
        self.inbound = Inbound(self._table, Fragments(timeouts.fragments), clock)
        self.outbound = Outbound(self._table, Fragments(timeouts.fragments), clock, self.inbound, hairpin)

    def __repr__(self) -> str:
        return f"<Nat of {len(self)} sessions, {self.mappings} mappings>"

    def __len__(self) -> int:
        """Return how many sessions there are."""
        return len(self._table)

    def __bool__(self) -> bool:
        """True, also without sessions."""
        return True

    @property
    def mappings(self) -> int:
        """How many addresses and ports inside have a port outside now."""
        return self._table.mappings

    def clear(self) -> None:
        """Forget every session, and every fragment. What comes back for one is dropped from now on."""
        self._table.clear()
        self.outbound.clear()
        self.inbound.clear()

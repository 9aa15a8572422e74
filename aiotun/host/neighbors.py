"""
The neighbors on a tap: which Ethernet address an IP address is at, one table for ARP and neighbor discovery.

Pure: batches and the time go in, frames to output come out. What came in and was no good is dropped and counted.
"""

from __future__ import annotations

import enum
import time
from collections import Counter, deque
from ipaddress import ip_address

import attrs

from ..driver.superpackets import behind
from ..errors import PacketError
from ..packet import Address, EtherType, format_mac
from .discovery import Claim, group_mac, hear, question
from .link import EthernetLink

__all__ = ["Neighbor", "NeighborState", "Neighbors"]

# RFC 4861 section 10.
REACHABLE_TIME = 30.0
RETRANS_TIMER = 1.0
MAX_SOLICIT = 3

ETHERTYPES = {4: EtherType.IPV4.to_bytes(2, "big"), 16: EtherType.IPV6.to_bytes(2, "big")}


class NeighborState(enum.Enum):
    """What is known of a neighbor, RFC 4861 section 7.3.2. There is no DELAY: the first use of STALE probes."""

    INCOMPLETE = "incomplete"
    """It was asked for its Ethernet address; packets wait for the answer."""
    REACHABLE = "reachable"
    """It answered within the last 30 seconds."""
    STALE = "stale"
    """Where it was; the next packet goes there, and it is asked again."""
    PROBE = "probe"
    """It was asked again, and has not answered yet."""


@attrs.frozen
class Neighbor:
    """One line of the neighbor table."""

    interface: str
    address: Address
    mac: bytes | None = attrs.field(repr=lambda mac: format_mac(mac) if mac else "None")
    """Its Ethernet address; None while it is asked for."""
    state: NeighborState


class _Entry:
    """A neighbor as the table keeps it."""

    __slots__ = ("address", "ask_at", "asked", "link", "mac", "reachable_until", "waiting")

    def __init__(self, link: EthernetLink, address: bytes) -> None:
        self.link = link
        self.address = address
        self.mac: bytes | None = None
        self.reachable_until = 0.0
        self.asked = 0  # questions since it last answered
        self.ask_at = 0.0
        self.waiting: deque[bytes] = deque()

    def state(self, now: float) -> NeighborState:
        if self.mac is None:
            return NeighborState.INCOMPLETE
        if self.asked:
            return NeighborState.PROBE
        return NeighborState.REACHABLE if now < self.reachable_until else NeighborState.STALE


class Neighbors:
    """
    The neighbor table of a host.

    A neighbor that does not answer three questions, a second apart, is forgotten; the packets that waited
    for it are dropped as ``unresolved``.

    Args:
        limit: Neighbors remembered, at most; the one longest without a sign of life makes room.
        waiting: Packets that wait for one neighbor, at most; the oldest makes room (RFC 4861 section 7.2.2).
    """

    def __init__(self, *, limit: int = 1024, waiting: int = 16) -> None:
        self.used = 0
        """Frames that came in and were good."""
        self.made = 0
        """Frames made here: questions and answers."""
        self.waiting = 0
        """Packets that wait for their neighbor now."""
        self.dropped: Counter[str] = Counter()
        """Frames that were no good, and packets that waited in vain, by reason."""
        self._limit = limit
        self._room = waiting
        self._table: dict[tuple[EthernetLink, bytes], _Entry] = {}
        self._asking: dict[tuple[EthernetLink, bytes], _Entry] = {}  # in the order of ask_at

    def __len__(self) -> int:
        return len(self._table)

    @property
    def deadline(self) -> float | None:
        """When expire() is due, in the time that the other calls were given; None if nobody is being asked."""
        return next((entry.ask_at for entry in self._asking.values()), None)

    def table(self, now: float | None = None) -> tuple[Neighbor, ...]:
        """Return the neighbors at a time, the monotonic clock's by default; longest without a sign of life first."""
        now = time.monotonic() if now is None else now
        return tuple(
            Neighbor(entry.link.name, ip_address(entry.address), entry.mac, entry.state(now))
            for entry in self._table.values()
        )

    # --- from the stack ---------------------------------------------------------------------------

    def output(
        self, link: EthernetLink, address: bytes, packets: list[bytes], now: float
    ) -> tuple[list[bytes], list[bytes]]:
        """
        Return frames for the packets to the neighbor *address*, and the questions to ask first or besides.

        While its Ethernet address is not known there are no frames: the packets wait here.
        """
        entry = self._table.get((link, address))
        questions: list[bytes] = []
        if entry is not None and entry.mac is not None:
            mac = entry.mac
            if now >= entry.reachable_until and not entry.asked:
                questions = self._ask(entry, now)
        else:
            group = None if entry is not None else group_mac(link, address)
            if group is None:
                return [], self._hold(entry or self._create(link, address), packets, now)
            mac = group
        header = mac + link.mac + ETHERTYPES[len(address)]
        return [behind(header, packet) for packet in packets], questions

    def expire(self, now: float) -> list[tuple[EthernetLink, list[bytes]]]:
        """Return the questions that are due again; forget who was asked often enough."""
        questions: list[tuple[EthernetLink, list[bytes]]] = []
        for entry in [entry for entry in self._asking.values() if entry.ask_at <= now]:
            if entry.asked < MAX_SOLICIT:
                questions.append((entry.link, self._ask(entry, now)))
            else:
                self._forget(entry, "unresolved")
        return questions

    def forget(self, link: EthernetLink, reason: str) -> None:
        """Forget every neighbor on *link*; what waits for one is dropped, counted under *reason*."""
        for entry in [entry for entry in self._table.values() if entry.link is link]:
            self._forget(entry, reason)

    # --- from the link ----------------------------------------------------------------------------

    def input(self, link: EthernetLink, frames: list[bytes], now: float) -> list[bytes]:
        """Take ARP and neighbor discovery frames in; return answers, and frames that were waiting for one."""
        out: list[bytes] = []
        for frame in frames:
            try:
                out += self._take(link, hear(link, frame), now)
            except PacketError as error:
                self._drop(link, error.reason, 1)
            else:
                self.used += 1
        return out

    def _take(self, link: EthernetLink, claim: Claim, now: float) -> list[bytes]:
        """Note what a frame says; return what it was waited for with, and the answer."""
        address, mac, answer = claim.address, claim.mac, claim.answer
        if answer is not None:
            self.made += 1
            released = self._learn(link, address, mac, now) if address and mac else []
            return [*released, answer]
        entry = self._table.get((link, address)) if address else None
        where = mac or (entry.mac if entry else None)
        if entry is None or where is None:
            raise PacketError(reason=claim.unknown)
        if entry.mac not in (None, where) and not claim.override:
            # RFC 4861 section 7.2.5: it may be right, so the next packet asks.
            entry.reachable_until = min(entry.reachable_until, now)
            return []
        return self._learn(link, entry.address, where, now, confirmed=claim.confirms and entry.asked > 0)

    # --- the table --------------------------------------------------------------------------------

    def _create(self, link: EthernetLink, address: bytes) -> _Entry:
        if len(self._table) >= self._limit:
            self._forget(next(iter(self._table.values())), "unresolved")
        entry = self._table[link, address] = _Entry(link, address)
        return entry

    def _learn(
        self, link: EthernetLink, address: bytes, mac: bytes, now: float, *, confirmed: bool = False
    ) -> list[bytes]:
        """Note where a neighbor is; return frames for what waited. Only an answer confirms that it is there."""
        entry = self._table.get((link, address)) or self._create(link, address)
        if entry.mac == mac and not confirmed:
            return []
        entry.mac = mac
        entry.reachable_until = now + REACHABLE_TIME if confirmed else now
        entry.asked = 0
        self._asking.pop((link, address), None)
        self._table[link, address] = self._table.pop((link, address))
        header = mac + link.mac + ETHERTYPES[len(address)]
        frames = [behind(header, packet) for packet in entry.waiting]
        self.waiting -= len(frames)
        entry.waiting.clear()
        return frames

    def _hold(self, entry: _Entry, packets: list[bytes], now: float) -> list[bytes]:
        """Let packets wait; return the question, unless it was asked."""
        entry.waiting.extend(packets)
        excess = max(0, len(entry.waiting) - self._room)
        for _ in range(excess):
            entry.waiting.popleft()
        self.waiting += len(packets) - excess
        self._drop(entry.link, "unresolved", excess)
        return [] if entry.asked else self._ask(entry, now)

    def _ask(self, entry: _Entry, now: float) -> list[bytes]:
        """Return the question for a neighbor; one that cannot be asked for want of an own address is forgotten."""
        frame = question(entry.link, entry.address, entry.mac)
        if frame is None:
            self._forget(entry, "unresolved")
            return []
        key = entry.link, entry.address
        self._asking.pop(key, None)
        self._asking[key] = entry
        entry.asked += 1
        entry.ask_at = now + RETRANS_TIMER
        self.made += 1
        return [frame]

    def _forget(self, entry: _Entry, reason: str) -> None:
        key = entry.link, entry.address
        del self._table[key]
        self._asking.pop(key, None)
        self.waiting -= len(entry.waiting)
        self._drop(entry.link, reason, len(entry.waiting))

    def _drop(self, link: EthernetLink, reason: str, count: int) -> None:
        if count:
            self.dropped[reason] += count
            link.drop(reason, count)

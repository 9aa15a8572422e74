"""What a NAT remembers: mappings, their sessions, and when each ends. Bounded; time is an argument."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Mappings
from heapq import heappop, heappush
from random import Random

from ..packet import Protocol
from .nat_session import Mapping, Session
from .nat_timeouts import NatTimeouts

__all__ = ["FILTERINGS", "PROBES", "NatTable"]

FILTERINGS = ("endpoint_independent", "address", "address_and_port")
"""
Who may send to a mapping: anybody, any port of an address that was spoken to, or only that port.

RFC 4787 section 5.
"""

PROBES = 1024
"""How many ports are tried for one that is free, before there is none."""

_ICMP = int(Protocol.ICMP)
_TCP = int(Protocol.TCP)
_UDP = int(Protocol.UDP)
_ICMPV6 = int(Protocol.ICMPV6)

_IDENTIFIERS = range(0x10000)


class NatTable:
    """
    The mappings and sessions of one NAT.

    A mapping is endpoint-independent (RFC 4787 REQ-1): an address and port inside have the same port outside towards
    everybody, as long as any session of theirs lasts. No port is given to two of them.
    """

    def __init__(
        self,
        outside: Mappings[int, bytes],
        ports: range,
        *,
        limit: int,
        per_host: int,
        timeouts: NatTimeouts,
        filtering: str,
        random: Random,
    ) -> None:
        self.outside = outside
        self._ports = ports
        self._limit = limit
        self._per_host = per_host
        self._timeouts = timeouts
        self._filtering = filtering
        self._random = random
        self.outbound: dict[int, dict[bytes, Session]] = {_TCP: {}, _UDP: {}, _ICMP: {}, _ICMPV6: {}}
        self.inbound: dict[int, dict[bytes, Session]] = {_TCP: {}, _UDP: {}, _ICMP: {}, _ICMPV6: {}}
        self._by_inside: dict[tuple[int, bytes, bytes], Mapping] = {}
        self._by_port: dict[tuple[int, int, bytes], Mapping] = {}  # by protocol, bytes of an address, port outside
        self._hosts: Counter[bytes] = Counter()
        self._ends: list[tuple[float, int, Session]] = []  # a heap
        self._pushed = 0
        self._idle = {
            _TCP: timeouts.tcp_transitory,
            _UDP: timeouts.udp,
            _ICMP: timeouts.icmp,
            _ICMPV6: timeouts.icmp,
        }

    def __len__(self) -> int:
        """Return how many sessions there are."""
        return sum(map(len, self.outbound.values()))

    @property
    def mappings(self) -> int:
        """How many mappings there are."""
        return len(self._by_inside)

    def expire(self, now: float) -> None:
        """End the sessions whose time has come."""
        ends = self._ends
        while ends and ends[0][0] <= now:
            due, _, session = heappop(ends)
            if due != session.due:  # it ended, or its end was moved
                continue
            due = session.last + session.timeout
            if due <= now:
                self._end(session)
            else:
                self._push(session, due)

    def go_out(
        self, protocol: int, src: bytes, src_port: bytes, dst: bytes, dst_port: bytes, now: float
    ) -> Session | str:
        """Return a new session for a packet that leaves, or why there is none, as one word."""
        if len(self) >= self._limit:
            return "table_full"
        if self._hosts[src] >= self._per_host:
            return "host_limit"
        mapping = self._by_inside.get((protocol, src, src_port)) or self._map(protocol, src, src_port)
        return self._begin(mapping, dst, dst_port, now) if isinstance(mapping, Mapping) else mapping

    def come_in(self, protocol: int, src: bytes, src_port: bytes, dst_port: bytes, now: float) -> Session | str:
        """Return a new session for a packet that came from outside to a mapped port, or why there is none."""
        mapping = self._by_port.get((protocol, len(src), dst_port))
        if mapping is None or self._filtering == "address_and_port":
            return "no_session"
        if self._filtering == "address" and not mapping.remotes[src]:
            return "no_session"
        if len(self) >= self._limit:
            return "table_full"
        if self._hosts[mapping.inside] >= self._per_host:
            return "host_limit"
        return self._begin(mapping, src, src_port, now)

    def track(self, session: Session, flags: int, outbound: bool) -> None:
        """Take notice of a TCP segment of a session, which may end it sooner or later than it would have."""
        session.track(flags, outbound)
        timeout = self._timeouts.tcp if session.established else self._timeouts.tcp_transitory
        if timeout != session.timeout:
            session.timeout = timeout
            if session.last + timeout < session.due:
                self._push(session, session.last + timeout)

    def clear(self) -> None:
        """Forget everything."""
        for table in (*self.outbound.values(), *self.inbound.values(), self._by_inside, self._by_port, self._hosts):
            table.clear()  # type: ignore[attr-defined]
        self._ends.clear()

    # --- inside -----------------------------------------------------------------------------------

    def _begin(self, mapping: Mapping, remote: bytes, remote_port: bytes, now: float) -> Session:
        session = Session(mapping, remote, remote_port, now)
        protocol = mapping.protocol
        session.quick = protocol != _TCP and not session.hairpin
        session.timeout = self._idle[protocol]
        self.outbound[protocol][session.key_out] = session
        self.inbound[protocol][session.key_in] = session
        mapping.remotes[remote] += 1
        self._hosts[mapping.inside] += 1
        self._push(session, now + session.timeout)
        return session

    def _end(self, session: Session) -> None:
        mapping = session.mapping
        session.due = -1.0
        del self.outbound[mapping.protocol][session.key_out]
        del self.inbound[mapping.protocol][session.key_in]
        _decrease(mapping.remotes, session.remote)
        _decrease(self._hosts, mapping.inside)
        if not mapping.remotes:
            del self._by_inside[mapping.protocol, mapping.inside, mapping.port_inside]
            del self._by_port[mapping.protocol, len(mapping.inside), mapping.port]

    def _push(self, session: Session, due: float) -> None:
        session.due = due
        self._pushed += 1
        heappush(self._ends, (due, self._pushed, session))

    def _map(self, protocol: int, inside: bytes, port_inside: bytes) -> Mapping | str:
        outside = self.outside.get(len(inside))
        if outside is None:
            return "no_address"
        port = self._free_port(protocol, len(inside), port_inside)
        if port is None:
            return "no_port"
        mapping = Mapping(protocol, inside, port_inside, outside, port)
        self._by_inside[protocol, inside, port_inside] = mapping
        self._by_port[protocol, len(inside), port] = mapping
        return mapping

    def _free_port(self, protocol: int, size: int, wanted: bytes) -> bytes | None:
        """
        Return a port outside that is free: the same one, or any of the same parity, or any; None if none was found.

        RFC 4787 REQ-3 and REQ-4; where to look begins at random, RFC 6056.
        """
        used = self._by_port
        number = int.from_bytes(wanted, "big")
        ports = self._ports if protocol in (_TCP, _UDP) else _IDENTIFIERS
        if number in ports and (protocol, size, wanted) not in used:
            return wanted
        start = self._random.randrange(len(ports))
        other: bytes | None = None
        for step in range(min(len(ports), PROBES)):
            candidate = ports[(start + step) % len(ports)]
            port = candidate.to_bytes(2, "big")
            if (protocol, size, port) in used:
                continue
            if not (candidate ^ number) & 1:
                return port
            other = other or port
        return other


def _decrease(counts: Counter[bytes], key: bytes) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]

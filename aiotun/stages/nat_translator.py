"""What both directions of a NAT have in common: finding a packet's session, and its fragments and errors."""

from __future__ import annotations

from abc import abstractmethod

from ..errors import PacketError
from ..offload import complete
from ..packet import ICMPType, ICMPv6Type, ICMPv6View, ICMPView, Protocol
from ..pipeline import Batch, Outcome
from .clock import Clock
from .nat_fragments import Fragments
from .nat_locating import Located, locate
from .nat_rewriting import translate, translate_error, translate_later
from .nat_session import Rewriting, Session
from .nat_table import NatTable
from .stock import Stock

__all__ = ["REPLIES", "REQUESTS", "Translator"]

_ICMP = int(Protocol.ICMP)
_TCP = int(Protocol.TCP)
_ICMPV6 = int(Protocol.ICMPV6)

REQUESTS = {_ICMP: int(ICMPType.ECHO_REQUEST), _ICMPV6: int(ICMPv6Type.ECHO_REQUEST)}
REPLIES = {_ICMP: int(ICMPType.ECHO_REPLY), _ICMPV6: int(ICMPv6Type.ECHO_REPLY)}
# A redirect speaks of a router that is none at the other end.
_ERRORS = {
    _ICMP: frozenset((ICMPType.UNREACHABLE, ICMPType.TIME_EXCEEDED, ICMPType.PARAMETER_PROBLEM)),
    _ICMPV6: frozenset(range(1, 5)),
}


class Translator(Stock):
    """One direction of a NAT."""

    __slots__ = ("_clock", "_fragments", "_table")

    reason = "untranslated"
    source: bool
    """Whether the source of a packet is what gets a new address, or the destination."""

    def __init__(self, table: NatTable, fragments: Fragments, clock: Clock) -> None:
        super().__init__()
        self._table = table
        self._fragments = fragments
        self._clock = clock

    def __len__(self) -> int:
        """Return how many fragments wait for the first of their datagram."""
        return len(self._fragments)

    def __call__(self, batch: Batch) -> Batch:
        now = self._clock()
        fragments = self._fragments
        held = len(fragments)
        self._table.expire(now)
        fragments.expire(now)
        passed = Outcome()
        self._translate(batch, passed, now)
        if fragments.lost:
            passed.dropped["fragment_timeout"] += fragments.lost
            fragments.lost = 0
        return self._counted(passed, len(fragments) - held)

    def clear(self) -> None:
        """Drop the fragments that wait, counted as ``cleared``, and forget whose the others were."""
        self._fragments.clear()
        if self._fragments.lost:
            self.dropped["cleared"] += self._fragments.lost
            self._fragments.lost = 0

    @abstractmethod
    def _translate(self, batch: Batch, passed: Outcome, now: float) -> None:
        """Translate a batch into *passed*."""

    @abstractmethod
    def _find(self, packet: bytes, found: Located, now: float) -> Session | str:
        """Return the session of a packet, perhaps a new one, or why there is none."""

    @abstractmethod
    def _quoting(self, packet: bytes, quoted: Located, at: int) -> Session | None:
        """Return the session that the packet quoted at *at* is of."""

    @abstractmethod
    def _rewriting(self, session: Session) -> Rewriting:
        """Return what packets of this direction get."""

    def _error_rewriting(self, session: Session, packet: bytes) -> Rewriting:
        """Return what an error about this direction's opposite gets."""
        return self._rewriting(session)

    def _pass(self, packet: bytes, session: Session, passed: Outcome) -> None:
        """Let a translated packet go on."""
        passed.append(packet)

    def _other(self, packet: bytes, passed: Outcome, now: float) -> None:
        """Translate a packet of any kind."""
        found = locate(packet)
        if isinstance(found, str):
            passed.dropped[found] += 1
        elif not found.start:
            self._later(packet, found, passed, now)
        elif found.protocol in REQUESTS and packet[found.start] in _ERRORS[found.protocol]:
            self._error(packet, found, passed)
        else:
            self._whole(packet, found, passed, now)

    def _whole(self, packet: bytes, found: Located, passed: Outcome, now: float) -> None:
        """Translate a packet whose ports are in sight: whole, or the first fragment of one."""
        session = self._find(packet, found, now)
        if isinstance(session, str):
            passed.dropped[session] += 1
            return
        if found.protocol == _TCP:
            self._table.track(session, packet[found.start + 13], self.source)
        session.last = now
        new = self._rewriting(session)
        self._pass(translate(packet, found, new, self.source), session, passed)
        if found.fragment:
            for fragment in self._fragments.first(found.fragment, session, now):
                self._pass(translate_later(fragment, new, self.source), session, passed)

    def _later(self, packet: bytes, found: Located, passed: Outcome, now: float) -> None:
        """Translate a fragment that is not the first, or let it wait."""
        session = self._fragments.later(found.fragment, packet, now)
        if isinstance(session, Session):
            session.last = now
            self._pass(translate_later(packet, self._rewriting(session), self.source), session, passed)
        elif session != "held":
            passed.dropped[session] += 1

    def _error(self, packet: bytes, found: Located, passed: Outcome) -> None:
        """Translate an ICMP error with the packet that it quotes; it keeps no session alive. RFC 5508 section 4."""
        try:
            packet = complete(packet)
        except PacketError as error:
            passed.dropped[error.reason] += 1
            return
        if found.fragment:
            passed.dropped["unsupported"] += 1
            return
        if not _sums_up(packet, found):  # RFC 5508 REQ-3
            passed.dropped["bad_checksum"] += 1
            return
        at = found.start + 8
        quoted = locate(packet[: found.end], at)
        if isinstance(quoted, str) or not quoted.start:
            passed.dropped["bad_quote"] += 1
            return
        session = self._quoting(packet, quoted, at)
        if session is None:
            passed.dropped["no_session"] += 1
            return
        outer, inner = self._error_rewriting(session, packet), self._rewriting(session)
        self._pass(translate_error(packet, found, quoted, at, outer, inner, self.source), session, passed)


def _sums_up(packet: bytes, found: Located) -> bool:
    """Return whether the checksum of an ICMP message is right."""
    if found.protocol == _ICMP:
        return ICMPView(packet, found.start, found.end).checksum_ok
    return ICMPv6View(packet, found.start, found.end).checksum_ok(packet[8:24], packet[24:40])

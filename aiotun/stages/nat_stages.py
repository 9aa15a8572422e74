"""The two ways through a NAT, as stages that share one table."""

from __future__ import annotations

from ..pipeline import Batch, Outcome
from .clock import Clock
from .nat_fragments import Fragments
from .nat_locating import Located, ends
from .nat_quick import Quick, translate_inbound, translate_outbound
from .nat_session import Rewriting, Session
from .nat_table import NatTable
from .nat_translator import REPLIES, REQUESTS, Translator
from .sending import Output, sent

__all__ = ["Inbound", "Outbound"]


class Outbound(Translator):
    """
    Gives what leaves the address outside, and a session if it has none.

    Drops ``table_full``, ``host_limit``, ``no_port``, ``no_address``, ``unsupported``, ``no_session``,
    ``bad_checksum`` and ``bad_quote`` (ICMP errors), ``fragments_full`` and ``fragment_timeout``, and under the reasons
    of ``packet.Transport`` what cannot be read.
    """

    __slots__ = ("_hairpin", "_inbound", "_quick", "_turned")

    __name__ = "nat_outbound"
    source = True

    def __init__(
        self, table: NatTable, fragments: Fragments, clock: Clock, inbound: Inbound, hairpin: Output | None
    ) -> None:
        super().__init__(table, fragments, clock)
        self._quick = Quick.of(table.outbound, True)
        self._inbound = inbound
        self._hairpin = hairpin
        self._turned: list[bytes] = []  # to another mapping of this NAT

    def _translate(self, batch: Batch, passed: Outcome, now: float) -> None:
        translate_outbound(batch, self._quick, passed, now, self._other)
        if self._turned:
            self._turn_back(passed)

    def _turn_back(self, passed: Outcome) -> None:
        """Take what is for another mapping of this NAT through the way in: RFC 4787 REQ-9."""
        turned, self._turned = self._turned, []
        back = list(self._inbound(turned))
        refused = len(back) - sent(self._hairpin, back) if self._hairpin is not None and back else 0
        if refused:
            passed.dropped["refused"] += refused
        passed.dropped["hairpinned"] += len(turned) - refused

    def _pass(self, packet: bytes, session: Session, passed: Outcome) -> None:
        if session.hairpin and self._hairpin is not None:
            self._turned.append(packet)
        else:
            passed.append(packet)

    def _find(self, packet: bytes, found: Located, now: float) -> Session | str:
        protocol = found.protocol
        if protocol in REQUESTS and packet[found.start] != REQUESTS[protocol]:
            return "unsupported"
        src, dst, src_port, dst_port = ends(packet, found)
        session = self._table.outbound[protocol].get(src + dst + src_port + dst_port)
        return session or self._table.go_out(protocol, src, src_port, dst, dst_port, now)

    def _quoting(self, packet: bytes, quoted: Located, at: int) -> Session | None:
        protocol = quoted.protocol
        src, dst, src_port, dst_port = ends(packet, quoted, at)
        if protocol in REPLIES:
            if packet[quoted.start] != REPLIES[protocol]:
                return None
            src_port, dst_port = dst_port, src_port
        return self._table.outbound[protocol].get(dst + src + dst_port + src_port)

    def _rewriting(self, session: Session) -> Rewriting:
        return session.forth

    def _error_rewriting(self, session: Session, packet: bytes) -> Rewriting:
        # A router inside may be who speaks; it has no mapping, and the address outside all the same.
        outside = session.mapping.outside
        speaker = packet[12:16] if len(outside) == 4 else packet[8:24]
        return Rewriting.of(speaker, b"", outside, b"")


class Inbound(Translator):
    """
    Gives what comes back the address inside; what is for none of the addresses outside passes as it is.

    Drops ``no_session``, ``table_full``, ``host_limit``, and of what cannot be translated what the way out drops.
    """

    __slots__ = ("_outside", "_quick")

    __name__ = "nat_inbound"
    source = False

    def __init__(self, table: NatTable, fragments: Fragments, clock: Clock) -> None:
        super().__init__(table, fragments, clock)
        self._quick = Quick.of(table.inbound, False)
        self._outside = frozenset(table.outside.values())

    def _translate(self, batch: Batch, passed: Outcome, now: float) -> None:
        translate_inbound(batch, self._quick, passed, now, self._for_whom)

    def _for_whom(self, packet: bytes, passed: Outcome, now: float) -> None:
        """Translate a packet of any kind, if it is for an address outside; what is no packet is dropped there too."""
        version = packet[0] >> 4 if packet else 0
        if version in (4, 6) and (packet[16:20] if version == 4 else packet[24:40]) not in self._outside:
            passed.append(packet)
        else:
            self._other(packet, passed, now)

    def _find(self, packet: bytes, found: Located, now: float) -> Session | str:
        protocol = found.protocol
        src, dst, src_port, dst_port = ends(packet, found)
        if protocol in REPLIES:
            if packet[found.start] != REPLIES[protocol]:
                return "no_session"
            src_port, dst_port = dst_port, src_port
        session = self._table.inbound[protocol].get(src + dst + src_port + dst_port)
        if session is None and protocol in REPLIES:
            return "no_session"
        return session or self._table.come_in(protocol, src, src_port, dst_port, now)

    def _quoting(self, packet: bytes, quoted: Located, at: int) -> Session | None:
        protocol = quoted.protocol
        if protocol in REQUESTS and packet[quoted.start] != REQUESTS[protocol]:
            return None
        src, dst, src_port, dst_port = ends(packet, quoted, at)
        return self._table.inbound[protocol].get(dst + src + dst_port + src_port)

    def _rewriting(self, session: Session) -> Rewriting:
        return session.back

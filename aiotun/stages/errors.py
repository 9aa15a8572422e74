"""Sending ICMP errors back to whoever sent the packet: from whom, to whom, and how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import ip_interface

from ..packet import ICMPType, ICMPv6Type, error_reply, version
from .bucket import Bucket
from .clock import Clock, loop_time
from .rewriting import first_segment
from .sending import Output, sent

__all__ = ["ICMPErrors"]

_LOOPBACK6 = bytes(15) + b"\x01"


class ICMPErrors:
    """
    What a router says of packets that it cannot forward, and the way on which it says so.

    Stages that refuse packets share one, and with it the limit. Whatever keeps an error from being sent is counted,
    and never stops the stage. Nobody is told of an ICMP error, a redirect, a fragment but the first, a packet to many
    hosts or from no single one: RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 (e).

    Args:
        reply: Takes a batch the way that the refused packets came from, such as ``tun.send_many_nowait``; does not
            wait, returns how many it took.
        sources: The addresses of this host to speak from, one of each IP version that passes, as text:
            ``"10.8.0.1"``, or ``"10.8.0.1/24"``, which also says what the broadcast address is.
        rate: Errors a second, on average.
        burst: Errors at once.
        clock: Returns the time in seconds; the running loop's by default.

    Raises:
        ValueError: If a source is not an address, or there are two of one IP version.

    The limit of RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f), by the numbers of icmp_msgs_per_sec and
    icmp_msgs_burst in Linux.
    """

    __slots__ = ("_bucket", "_broadcast", "_clock", "_reply", "_sources", "sent", "unsent")

    sent: int
    """Errors sent."""
    unsent: Counter[str]
    """
    Errors not sent, by reason: ``rate_limited``, ``not_answered`` (the conditions above), ``no_source`` (no address
    of that IP version), ``refused`` (by *reply*).
    """

    def __init__(
        self,
        reply: Output,
        *sources: str,
        rate: int = 1000,
        burst: int = 50,
        clock: Clock = loop_time,
    ) -> None:
        self._reply = reply
        self._sources: dict[int, bytes] = {}
        self._broadcast: bytes | None = None
        for source in sources:
            interface = ip_interface(source)
            if interface.version in self._sources:
                raise ValueError(f"{source}: there is a source of IPv{interface.version} already")
            self._sources[interface.version] = interface.ip.packed
            if interface.version == 4 and interface.network.prefixlen < 31:
                self._broadcast = interface.network.broadcast_address.packed
        self._bucket = Bucket(rate, burst)
        self._clock = clock
        self.sent = 0
        self.unsent = Counter()

    def time_exceeded(self, refused: Sequence[bytes]) -> None:
        """Say of packets that they ran out of hops. RFC 792, RFC 4443 section 3.3."""
        self._send(refused, {4: (ICMPType.TIME_EXCEEDED, 0, 0), 6: (ICMPv6Type.TIME_EXCEEDED, 0, 0)})

    def packet_too_big(self, refused: Sequence[bytes], mtu: int) -> None:
        """Say of packets that they are longer than *mtu*, in bytes. RFC 1191 section 4, RFC 4443 section 3.2."""
        kinds = {4: (ICMPType.UNREACHABLE, 4, min(mtu, 0xFFFF)), 6: (ICMPv6Type.PACKET_TOO_BIG, 0, mtu)}
        self._send(refused, kinds)

    def unreachable(self, refused: Sequence[bytes]) -> None:
        """Say of packets that no route leads to their destination. RFC 792, RFC 4443 section 3.1."""
        self._send(refused, {4: (ICMPType.UNREACHABLE, 0, 0), 6: (ICMPv6Type.UNREACHABLE, 0, 0)})

    def _send(self, refused: Sequence[bytes], kinds: Mapping[int, tuple[int, int, int]]) -> None:
        self._bucket.fill(self._clock())
        answers: list[bytes] = []
        for packet in refused:
            answer = self._answer(packet, kinds)
            if isinstance(answer, str):
                self.unsent[answer] += 1
            else:
                answers.append(answer)
        if answers:
            taken = sent(self._reply, answers)
            self.sent += taken
            if taken < len(answers):
                self.unsent["refused"] += len(answers) - taken

    def _answer(self, packet: bytes, kinds: Mapping[int, tuple[int, int, int]]) -> bytes | str:
        """Return the error about a packet, or why there is none."""
        family = version(packet)
        source = self._sources.get(family)
        if source is None:
            return "no_source"
        if self._is_unanswered(packet, family):
            return "not_answered"
        kind, code, rest = kinds[family]
        answer = error_reply(first_segment(packet), source, kind, code, rest=rest)
        if answer is None:
            return "not_answered"
        # Only what would be sent takes a token: packets that may not be answered silence nobody.
        return answer if self._bucket.take() else "rate_limited"

    def _is_unanswered(self, packet: bytes, family: int) -> bool:
        """Return whether its source is loopback, or its destination the broadcast address of this network."""
        if family == 6:
            return packet[8:24] == _LOOPBACK6
        return packet[12:13] == b"\x7f" or packet[16:20] == self._broadcast

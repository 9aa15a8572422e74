"""Answering pings."""

from __future__ import annotations

from ..errors import PacketError
from ..offload import complete
from ..packet import AddressLike, Protocol, SuperPacket, echo_reply
from ..packet.value import to_packed
from ..pipeline import Batch, Outcome
from .sending import Output, sent
from .stock import Stock

__all__ = ["reply"]

_ICMP = int(Protocol.ICMP)
_UDP_TCP = frozenset((int(Protocol.TCP), int(Protocol.UDP)))


class reply(Stock):
    """
    Answer the echo requests that come for some addresses; everything else passes.

    Requests that make no sense, are fragments, or come from no single host pass as well; see ``packet.echo_reply()``.
    Counts ``answered``, and drops ``refused``: requests whose answer the output did not take.

    Args:
        output: Takes a batch the way that the requests came from, such as ``tun.send_many_nowait``.
        addresses: Whose pings to answer.

    RFC 1122 section 3.2.2.6, RFC 4443 section 4.2.
    """

    __slots__ = ("_addresses", "_output")

    reason = "answered"

    def __init__(self, output: Output, *addresses: AddressLike) -> None:
        super().__init__()
        self._output = output
        self._addresses = frozenset(map(to_packed, addresses))

    def __call__(self, batch: Batch) -> Batch:
        passed = Outcome()
        answers: list[bytes] = []
        for packet in batch:
            answer = self._answer(packet) if self._may_ask(packet) else None
            if answer is None:
                passed.append(packet)
            else:
                answers.append(answer)
        if answers:
            taken = sent(self._output, answers)
            if taken:
                passed.dropped["answered"] += taken
            if taken < len(answers):
                passed.dropped["refused"] += len(answers) - taken
        return self._counted(passed)

    def _may_ask(self, packet: bytes) -> bool:
        """Return whether a packet is for one of the addresses and no stream or datagram: what most are."""
        if len(packet) < 28:
            return False
        if packet[0] >> 4 == 4:
            return packet[9] == _ICMP and packet[16:20] in self._addresses
        return packet[6] not in _UDP_TCP and packet[24:40] in self._addresses

    def _answer(self, packet: bytes) -> bytes | None:
        if isinstance(packet, SuperPacket):
            try:
                packet = complete(packet)
            except PacketError:
                return None
        return echo_reply(packet)

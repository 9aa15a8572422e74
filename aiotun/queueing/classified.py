"""Packets marked with their class, so that they can be sorted before link headers hide it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence

from .discipline import Discipline

__all__ = ["Classful", "Classified", "prepend"]


class Classified(bytes):
    """
    A packet with the class or flow it belongs to, from classify() until a discipline queues it.

    Modelled on struct altq_pktattr in BSD sys/net/altq/if_altq.h.
    """

    packet: bytes
    """The plain packet, which is what is queued."""
    key: Hashable
    """The class or the flow, in the terms of the discipline that found it."""

    def __new__(cls, packet: bytes, key: Hashable) -> Classified:
        self = super().__new__(cls, packet)
        self.packet = packet
        self.key = key
        return self


def prepend(header: bytes, packet: bytes) -> bytes:
    """Return *packet* behind *header*; a mark stays, and covers both."""
    if isinstance(packet, Classified):
        return Classified(header + packet.packet, packet.key)
    return header + packet


class Classful(Discipline):
    """A discipline that sorts packets by a key; it takes the mark on a packet, and looks into one without."""

    __slots__ = ()

    @abstractmethod
    def key(self, packet: bytes) -> Hashable:
        """Return the class or flow of a layer-3 packet."""

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        """Return *batch* with each packet marked. Layer-3 packets: there is no link header yet."""
        return [Classified(packet, self.key(packet)) for packet in batch]

    def _keyed(self, batch: Sequence[bytes]) -> list[tuple[bytes, Hashable]]:
        """Return each packet, plain, with its key; everything that can fail in sorting happens here."""
        offset, key = self.offset, self.key
        return [
            (packet.packet, packet.key) if isinstance(packet, Classified) else (packet, key(packet[offset:]))
            for packet in batch
        ]

"""
A small IP stack: it answers what every host answers, finds the way out, and hands the rest to its protocols.

Conservation: ``received + offered == used + delivered + looped + sent + waiting + sum(dropped.values())``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import cast

import attrs

from ..driver.families import Family
from ..driver.netisr import Netisr
from ..offload import complete
from ..packet import Protocol, echo_reply, find_transport
from .demux import Demuxed, demux, trim
from .link import EthernetLink, Link
from .output import Output
from .pings import Pings

__all__ = ["Stack", "StackStatistics"]

ICMP, ICMPV6 = int(Protocol.ICMP), int(Protocol.ICMPV6)
LOOPBACK6 = bytes(15) + b"\1"


@attrs.frozen(kw_only=True)
class StackStatistics:
    """
    A snapshot of a stack, in packets.

    ``received + offered == used + delivered + looped + sent + waiting + sum(dropped.values())``.
    """

    received: int
    """Packets and frames that entered, looped ones included."""
    offered: int
    """Packets that were to be sent: the program's, and the stack's own answers and questions."""
    used: int
    """Packets that entered and were answered, or understood, by the stack itself."""
    delivered: int
    """Packets that entered and were queued for their protocol."""
    looped: int
    """Packets sent to an address of this host: they entered again."""
    sent: int
    """Packets queued at an interface."""
    waiting: int
    """Packets that wait until the Ethernet address of their neighbor is known."""
    dropped: Mapping[str, int]
    """Packets dropped, or refused with an error, by reason."""


class Stack(Output):
    """
    The IP stack of a host in this process.

    Attach interfaces; give what enters through one to input(). Belongs to the event loop's thread; nothing waits,
    except pings and protocol queues. Each address of an attached interface is the host's, whichever it arrives by.

    Args:
        clock: Returns the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self.netisr = Netisr()
        self.pings = Pings(self.send, self.source_address)
        self._received = self._used = self._delivered = 0

    def input(self, link: Link, batch: list[bytes]) -> None:
        """
        Take what entered through an interface: frames from a tap, packets from a tun.

        Echo requests to this host, ARP and neighbor discovery are answered, the way they came and in one batch;
        what ends a ping ends it; everything else is queued for its protocol. An echo request from an address of
        this host, or from a loopback address, is dropped as ``bad_source``.

        Raises:
            Exception: If a stage of the user's in the interface's output path does; after everything was taken.
        """
        self._received += len(batch)
        if link.header:
            tap = cast(EthernetLink, link)
            found = demux(tap.mac, batch)
            answers = self.neighbors.input(tap, found.neighbors, self._clock()) if found.neighbors else []
        else:
            found, answers = trim(batch), []
        answers += self._packets(link, found)
        for other, packets in found.others.items():
            self._deliver(link, other, packets)
        fault = self._say(link, answers)
        self._arm()
        if fault is not None:
            raise fault

    def close(self) -> None:
        """Let every interface go, close the protocol queues, end the pings; nothing of the stack stays in the loop."""
        for link in tuple(self._tells):
            self.detach(link)
        self.netisr.close()
        self._stop_timer()
        self.pings.close()

    def statistics(self) -> StackStatistics:
        """Return a snapshot of the counters."""
        return StackStatistics(
            received=self._received,
            offered=self._offered + self.neighbors.made,
            used=self._used + self.neighbors.used,
            delivered=self._delivered,
            looped=self._looped,
            sent=self._sent,
            waiting=self.neighbors.waiting,
            dropped=dict(self._dropped + self.neighbors.dropped),
        )

    # --- inside -----------------------------------------------------------------------------------

    def _packets(self, link: Link, found: Demuxed, *, outside: bool = True) -> list[bytes]:
        """Use what is for the stack, deliver the rest; return the replies, as frames where they came in frames."""
        for reason, count in found.dropped.items():
            self._drop(link, reason, count)
        own = self._own
        rest: dict[int, list[bytes]] = {4: [], 6: []}
        replies: list[bytes] = []
        for packet, frame in zip_longest(found.packets, found.frames):
            version = packet[0] >> 4
            if version == 4:
                ours = packet[16:20] in own and packet[9] == ICMP
            else:
                ours = packet[24:40] in own and find_transport(packet).protocol == ICMPV6
            if not ours:
                rest[version].append(packet)
                continue
            packet = complete(packet)
            if reply := echo_reply(packet):
                if outside and self._is_ours(packet[12:16] if version == 4 else packet[8:24]):
                    self._drop(link, "bad_source", 1)
                    continue
                self._used += 1
                replies.append(frame[6:12] + cast(EthernetLink, link).mac + frame[12:14] + reply if frame else reply)
            elif self.pings.take(packet):
                self._used += 1
            else:
                rest[version].append(packet)
        self._offered += len(replies)
        self._deliver(link, Family.INET, rest[4])
        self._deliver(link, Family.INET6, rest[6])
        return replies

    def _is_ours(self, source: bytes) -> bool:
        """Whether it is an address that nobody outside may send from, RFC 1122 section 3.2.1.3, RFC 4291 2.5.3."""
        return source in self._own or source == LOOPBACK6 or (len(source) == 4 and source[0] == 127)

    def _deliver(self, link: Link, family: Family, packets: list[bytes]) -> None:
        if packets:
            queued = self.netisr.queue(family, packets, link)
            self._delivered += queued
            if queued < len(packets):  # the interface has counted it
                reason = "input_queue_full" if family in self.netisr.queues else "no_protocol"
                self._dropped[reason] += len(packets) - queued

    def _enter(self, link: Link, packets: list[bytes]) -> BaseException | None:
        self._received += len(packets)
        replies = self._packets(link, trim(packets), outside=False)
        self._offered -= len(replies)  # _send_all() counts them
        return self._send_all(replies)[1]

"""The way out of a host: from a packet to the interface it leaves by, and to the frame it leaves in."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Iterable
from typing import cast

from ..driver.superpackets import wire_length
from ..errors import DeviceDown, DeviceError, PacketError, PacketTooBig, UnsupportedFamily
from ..offload import segment
from ..packet import SuperPacket
from .attached import Attached
from .link import EthernetLink, Link

__all__ = ["Filtered", "Output"]

FAULT = "fault"
"""Counted for packets that a stage of the user's raised over."""


class Filtered(DeviceError):
    """A stage that the user put into an interface's output path dropped the packet."""

    code = errno.EPERM
    reason = "filtered"


class Output(Attached):
    """The sending half of a stack."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._timer_loop: asyncio.AbstractEventLoop | None = None
        self._offered = self._looped = self._sent = 0
        self._dropped: Counter[str] = Counter()

    def send(self, packet: bytes) -> None:
        """
        Send a packet the way the routing table says; one to an address of this host enters it again.

        Does not wait. On a tap whose neighbor must be asked for first the packet waits in the stack; that is asked
        again by the running event loop, or by the next one that the stack is used in.

        A super-packet counts as one packet. An interface without offload cuts it in front of its send queue, where
        some of its segments may find no room; they are the interface's drops.

        Raises:
            NoRoute: If there is no route to its destination (ENETUNREACH).
            PacketTooBig: If it, or a segment of it, is longer than the interface's mtu.
            DeviceDown: If the interface is down.
            DeviceGone: If the route's interface does not exist.
            QueueFull: If the interface's send queue is full.
            Filtered: If a stage of the user's in the interface's output path dropped it (EPERM).
            UnsupportedFamily: If it is neither IPv4 nor IPv6.
            PacketError: If it is shorter than its header, or a super-packet that cannot be cut.
            TypeError: If it is not bytes; then nothing is counted.
        """
        _check_type(packet)
        self._offered += 1
        try:
            link, next_hop = self._way(packet)
        except (DeviceError, PacketError) as error:
            self._dropped[error.reason] += 1
            raise
        _, refusal = self._transmit(link, next_hop, [packet])
        if refusal is not None:
            raise refusal

    def send_many(self, batch: Iterable[bytes]) -> int:
        """
        Send packets; return how many went or wait. For which send() raises is dropped, counted under its reason.

        Raises:
            TypeError: If *batch* is bytes, or one of it is not; after those in front of it went.
            Exception: If a stage of the user's in an interface's path does; after the others went. Likewise if
                *batch* does, after those that it gave.
        """
        went, fault = self._send_all(batch)
        if fault is not None:
            raise fault
        return went

    # --- inside -----------------------------------------------------------------------------------

    def _send_all(self, batch: Iterable[bytes]) -> tuple[int, BaseException | None]:
        """Send packets; return how many went or wait, and the first fault that is the user's own."""
        ways: dict[tuple[Link, bytes | None], list[bytes]] = {}
        fault: BaseException | None = None
        try:
            for packet in batch:
                _check_type(packet)
                self._offered += 1
                try:
                    way = self._way(packet)
                except (DeviceError, PacketError) as error:
                    self._dropped[error.reason] += 1
                else:
                    ways.setdefault(way, []).append(packet)
        except BaseException as error:  # a generator may raise anything
            fault = error
        went = 0
        for (link, next_hop), packets in ways.items():
            taken, refusal = self._transmit(link, next_hop, packets)
            went += taken
            fault = fault or _fault(refusal)
        return went, fault

    def _way(self, packet: bytes) -> tuple[Link, bytes | None]:
        """Return by which interface a packet goes and who is next, b"" on a tun; None if it stays in this host."""
        if isinstance(packet, SuperPacket):
            packet.check()
            segment(packet, limit=1)  # raises if it cannot be cut
        version = packet[0] >> 4 if packet else 4
        if version not in (4, 6):
            raise UnsupportedFamily(f"packet begins with 0x{packet[0]:02x}, neither IPv4 nor IPv6")
        destination, header = (packet[16:20], 20) if version == 4 else (packet[24:40], 40)
        if len(packet) < header:
            text = f"packet is {len(packet)} bytes, an IPv{version} header alone is {header}"
            raise PacketError(text, reason="short_header")
        owners = self._own.get(destination)
        if owners:
            return owners[0], None
        link, via = self._route(destination)
        if (size := len(packet)) > link.mtu and (size := wire_length(packet)) > link.mtu:
            raise PacketTooBig(f"{link.name}: packet is {size} bytes, mtu is {link.mtu}")
        if not link.up:
            raise DeviceDown(f"{link.name}: the interface is down")
        return link, via if link.header else b""

    def _transmit(self, link: Link, next_hop: bytes | None, packets: list[bytes]) -> tuple[int, BaseException | None]:
        """
        Return how many of the packets the interface, the neighbor's queue or this host took, from the front.

        Besides, why others were not taken, or what a stage of the user's raised; all of them are counted.
        """
        count = len(packets)
        if next_hop is None:
            self._looped += count
            return count, self._enter(link, packets)
        fault = None
        if link.header:
            tap = cast(EthernetLink, link)
            packets, questions = self.neighbors.output(tap, next_hop, packets, self._clock())
            if questions:
                fault = self._say(link, questions)
            self._arm()
            if not packets:
                return count, fault
        taken, error = self._output(link, packets)
        return taken, fault or error

    def _output(self, link: Link, batch: list[bytes]) -> tuple[int, BaseException | None]:
        """Return how many packets of the batch were queued, and why the others were not; count both."""
        count = len(batch)  # now: a stage of the user's may change the list
        link.refusal = None
        try:
            queued = min(len(link.output(batch)), count)  # it may make more of them, too
        except BaseException as error:
            self._dropped[error.reason if isinstance(error, (DeviceError, PacketError)) else FAULT] += count
            return 0, error
        self._sent += queued
        if queued == count:
            return count, None
        refusal = link.refusal or Filtered(f"{link.name}: a stage of its output path dropped the packet")
        self._dropped[refusal.reason] += count - queued
        return queued, refusal

    def _enter(self, link: Link, packets: list[bytes]) -> BaseException | None:
        """Take packets of this host to itself in again, as if by *link*; return the first fault of the user's."""
        raise NotImplementedError

    def _say(self, link: Link, batch: list[bytes]) -> BaseException | None:
        """Output what the stack has to say; count what does not go. Return a fault of the user's own stage."""
        longest = link.mtu + link.header
        fit = [packet for packet in batch if len(packet) <= longest]
        self._drop(link, PacketTooBig.reason, len(batch) - len(fit))
        return _fault(self._output(link, fit)[1]) if fit else None

    def _drop(self, link: Link, reason: str, count: int) -> None:
        if count:
            link.drop(reason, count)
            self._dropped[reason] += count

    # --- the clock --------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Wake when the next question is due. A timer that runs stays: what is asked later is due later."""
        deadline = self.neighbors.deadline
        if deadline is None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the next packet inside a loop arms
            return
        if self._timer is not None and self._timer_loop is loop:
            return
        self._stop_timer()
        self._timer_loop = loop
        self._timer = loop.call_later(max(0.0, deadline - self._clock()), self._ask_again)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask_again(self) -> None:
        self._timer = None
        fault: BaseException | None = None
        try:
            for link, questions in self.neighbors.expire(self._clock()):
                said = self._say(link, questions)
                fault = fault or said
        finally:
            self._arm()
        if fault is not None:
            raise fault


def _check_type(packet: bytes) -> None:
    if not isinstance(packet, bytes):
        raise TypeError(f"a packet is bytes, not {type(packet).__name__}")


def _fault(error: BaseException | None) -> BaseException | None:
    """Return the error if it is more than an interface's refusal, which the counters tell of."""
    return None if isinstance(error, DeviceError) else error

"""The way out of a host: from a packet to the interface it leaves by, and to the frame it leaves in."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Iterable
from typing import cast

from ..errors import DeviceDown, DeviceError, PacketError, PacketTooBig, UnsupportedFamily
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
        self._offered = self._looped = self._sent = 0
        self._dropped: Counter[str] = Counter()

    def send(self, packet: bytes) -> None:
        """
        Send a packet the way the routing table says; one to an address of this host enters it again.

        Does not wait. On a tap whose neighbor must be asked for first the packet waits in the stack.

        Raises:
            NoRoute: If there is no route to its destination (ENETUNREACH).
            PacketTooBig: If it is longer than the interface's mtu.
            DeviceDown: If the interface is down.
            DeviceGone: If the route's interface does not exist.
            QueueFull: If the interface's send queue is full.
            Filtered: If a stage of the user's in the interface's output path dropped it (EPERM).
            UnsupportedFamily: If it is neither IPv4 nor IPv6.
            PacketError: If it is shorter than its header.
        """
        self._offered += 1
        try:
            link, next_hop = self._way(packet)
            if not self._transmit(link, next_hop, [packet]):
                raise self._refusal(link)
        except Exception as error:  # a stage of the user's may raise anything
            self._dropped[getattr(error, "reason", FAULT)] += 1
            raise

    def send_many(self, batch: Iterable[bytes]) -> int:
        """
        Send packets; return how many went or wait. For which send() raises is dropped, counted under its reason.

        Raises:
            Exception: If a stage of the user's in an interface's path does; after the others went.
        """
        ways: dict[tuple[Link, bytes | None], list[bytes]] = {}
        went = 0
        for packet in batch:
            self._offered += 1
            try:
                way = self._way(packet)
            except (DeviceError, PacketError) as error:
                self._dropped[error.reason] += 1
            else:
                ways.setdefault(way, []).append(packet)
        fault: Exception | None = None
        for (link, next_hop), packets in ways.items():
            try:
                taken = self._transmit(link, next_hop, packets)
            except DeviceError as error:
                self._dropped[error.reason] += len(packets)
            except Exception as error:
                self._dropped[FAULT] += len(packets)
                fault = fault or error
            else:
                went += taken
                self._count(self._refusal(link).reason, len(packets) - taken)
        if fault is not None:
            raise fault
        return went

    # --- inside -----------------------------------------------------------------------------------

    def _way(self, packet: bytes) -> tuple[Link, bytes | None]:
        """Return by which interface a packet goes and who is next, b"" on a tun; None if it stays in this host."""
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
        if len(packet) > link.mtu:
            raise PacketTooBig(f"{link.name}: packet is {len(packet)} bytes, mtu is {link.mtu}")
        if not link.up:
            raise DeviceDown(f"{link.name}: the interface is down")
        return link, via if link.header else b""

    def _transmit(self, link: Link, next_hop: bytes | None, packets: list[bytes]) -> int:
        """Return how many of the packets the interface, the neighbor's queue or this host took, from the front."""
        if next_hop is None:
            self._looped += len(packets)
            self._enter(link, packets)
            return len(packets)
        if link.header:
            tap = cast(EthernetLink, link)
            frames, questions = self.neighbors.output(tap, next_hop, packets, self._clock())
            if questions:
                self._say(link, questions)
                self._arm()
            if not frames:
                return len(packets)
        else:
            frames = packets
        queued = self._output(link, frames)
        self._sent += queued
        return queued

    def _output(self, link: Link, batch: list[bytes]) -> int:
        """Return how many packets of the batch were queued; why others were not is what _refusal() tells then."""
        link.refusal = None
        return min(len(link.output(batch)), len(batch))  # a stage of the user's may make more of them

    def _refusal(self, link: Link) -> DeviceError:
        return link.refusal or Filtered(f"{link.name}: a stage of its output path dropped the packet")

    def _enter(self, link: Link, packets: list[bytes]) -> None:
        """Take packets of this host to itself in again, as if by *link*."""
        raise NotImplementedError

    def _say(self, link: Link, batch: list[bytes]) -> None:
        """Output what the stack has to say; count what does not go. Only a fault of the user's own stage is raised."""
        longest = link.mtu + link.header
        fit = [packet for packet in batch if len(packet) <= longest]
        self._drop(link, PacketTooBig.reason, len(batch) - len(fit))
        if not fit:
            return
        try:
            queued = self._output(link, fit)
        except DeviceError as error:
            self._dropped[error.reason] += len(fit)
        except Exception:
            self._dropped[FAULT] += len(fit)
            raise
        else:
            self._sent += queued
            self._count(self._refusal(link).reason, len(fit) - queued)

    def _drop(self, link: Link, reason: str, count: int) -> None:
        if count:
            link.drop(reason, count)
            self._dropped[reason] += count

    def _count(self, reason: str, count: int) -> None:
        if count:
            self._dropped[reason] += count

    def _arm(self) -> None:
        """Wake when the next question is due. A timer that runs stays: what is asked later is due later."""
        deadline = self.neighbors.deadline
        if deadline is not None and self._timer is None:
            delay = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._ask_again)

    def _ask_again(self) -> None:
        self._timer = None
        for link, questions in self.neighbors.expire(self._clock()):
            self._say(link, questions)
        self._arm()

"""A connected UDP socket that carries packets as an endpoint sees it: super-packets whole, in and out."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from .. import speedups
from ..endpoint import BATCH, Carries, InterfaceCounters
from ..endpoint.moderation import full_packets
from ..errors import DeviceError, PacketError
from ..offload import Segmenter, segment
from .flushing import FlushingReadiness
from .udp import UdpPort
from .udp_packets import PIECES, recv_packets, send_packets
from .udp_reports import REPORTS
from .udp_socket import HARMLESS, LATER, UdpSocket

__all__ = ["UdpPacketPort"]

AT_ONCE = 256
"""Datagrams that are received at a time: four trains, or five, where a batch of packets would be one."""

AT_A_TIME = 1024
"""Datagrams that go as trains before the loop has a turn: half a millisecond, though each may have a single byte."""


class UdpPacketPort(UdpPort):
    """
    A connected UDP socket that carries IP packets, or frames. Owns the socket.

    A super-packet is sent when its first segments are; what there was no room for follows by itself when there is.
    """

    superpackets = True
    burst = BATCH  # each of up to 64 KiB

    def __init__(self, udp: UdpSocket, carries: Carries) -> None:
        super().__init__(udp)
        self.carries = carries
        self._ethernet = carries == "ethernet"
        self.writable: FlushingReadiness = FlushingReadiness(f"sending to {self.name}", udp.fileno(), self._flush_later)
        self._segmenter = Segmenter(ethernet=self._ethernet)  # what was received beyond what was asked for
        self._rest: tuple[bytes, int] | None = None  # a super-packet, and how many segments of it were sent

    def read_whole(self, limit: int) -> list[bytes]:
        if self.ahead or not speedups.active:  # in Python to merge takes longer than it saves
            return self.read_many(limit)
        batch, ended = self._receive(max(limit, AT_ONCE))
        if len(batch) > limit:
            self._segmenter.put(batch[limit:])
            del batch[limit:]
        self.more = self.ahead > 0 or not ended
        if not self.more:
            self.readable.emptied(full_packets(batch))
        if not batch:
            self._udp.hear()
        return batch

    def read_many(self, limit: int) -> list[bytes]:
        batch = self._segmenter.take(limit)
        if not batch:
            return super().read_many(limit)
        self.more = True  # as far as anybody knows
        return batch

    def read_left(self) -> list[bytes]:
        return [*self._segmenter.take(sys.maxsize), *super().read_left()]

    def write_many(self, batch: Sequence[bytes]) -> int:
        done = 0
        try:
            room = self._flush()
            while room and done < len(batch):
                sent, first, ended = self._send(batch[done:] if done else batch, 0)
                done += sent
                if not ended:
                    break
                if ended not in LATER:
                    first = self._send_singly(batch[done], first, ended)
                room = first < 0
                done += first != 0
                if first > 0:
                    self._follow(batch[done - 1], first)
        except DeviceError as error:
            error.sent = done
            raise
        return done

    def counters(self) -> InterfaceCounters:
        """
        Return what went through the socket, in datagrams, of which a super-packet is many.

        Not sent are those in ``dropped``, where a super-packet that cannot be cut is one, and one that was not sent to
        its end when the channel was closed is one, under ``unsent``.
        """
        return super().counters()

    def close_now(self) -> None:
        self._give_up()
        super().close_now()

    def detach(self) -> int:
        self._give_up()
        return super().detach()

    @property
    def ahead(self) -> int:
        return super().ahead + len(self._segmenter)

    # --- inside -----------------------------------------------------------------------------------

    def _receive(self, limit: int) -> tuple[list[bytes], int]:
        """Return packets of up to *limit* datagrams, and the errno that ended it; raise as UdpSocket.recv()."""
        udp, packets, ended = self._udp, list[bytes](), 0
        for _ in range(limit):  # a report costs one, and ends nothing
            packets, ended, count, size, empty, cut, lost = recv_packets(
                udp.socket, limit, udp.offload.gro, self._ethernet
            )
            udp.received += count
            udp.received_bytes += size
            if empty or cut or lost:
                udp.dropped.update(empty=empty, truncated=cut, no_memory=lost)
            if ended not in REPORTS:
                break
            udp.hear(ended)
            if packets:
                break
        if ended not in HARMLESS and not packets:
            raise udp.error(ended, "receive")
        return packets, ended

    def _send(self, batch: Sequence[bytes], first: int) -> tuple[int, int, int]:
        """Send what send_packets() can; return how many packets went, how many segments more, and what ended it."""
        udp = self._udp
        longest = udp.offload.segment
        packets, first, ended, count, size = send_packets(
            udp.socket, batch, first, longest, AT_A_TIME if longest else PIECES, self._ethernet
        )
        udp.sent += count
        udp.sent_bytes += size
        return packets, first, ended

    def _send_singly(self, packet: bytes, first: int, ended: int) -> int:
        """
        Send the segments of a packet from *first* on, which something happened to, each on its own.

        Returns the number of the one there was no room for; -1 if there are no more.
        """
        if ended in REPORTS:
            self._udp.hear(ended)
        try:
            pieces = segment(packet, self._ethernet, first, PIECES)
        except PacketError as error:
            self._udp.dropped[error.reason] += 1
            return -1
        done = super().write_many(pieces)
        return -1 if done == len(pieces) < PIECES else first + done

    def _follow(self, packet: bytes, first: int) -> None:
        """Have a packet sent from its segment *first* on when there is room."""
        self._rest = packet, first
        self.writable.flush_later()

    def _flush(self) -> bool:
        """Send the rest of what was begun; return whether that is all, if not it follows when there is room."""
        while self._rest is not None:
            (packet, first), self._rest = self._rest, None
            try:
                _, first, ended = self._send((packet,), first)
                if ended and ended not in LATER:
                    first = self._send_singly(packet, first, ended)
            except DeviceError as error:
                self._udp.dropped[error.reason] += 1
                raise
            if ended and first >= 0:
                self._follow(packet, first)
                return False
        return True

    def _flush_later(self) -> bool:
        """Go on sending, called by the loop; what is wrong with the socket is told to who sends next."""
        with contextlib.suppress(DeviceError):
            return self._flush()
        return True

    def _give_up(self) -> None:
        """Send what there is room for of what was begun, and drop the rest."""
        if not self._flush_later():
            self._udp.dropped["unsent"] += 1
            self._rest = None

    def _watch_anew(self) -> None:
        super()._watch_anew()
        if self._rest is not None:
            self.writable.flush_later()

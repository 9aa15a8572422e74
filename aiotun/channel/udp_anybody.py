"""Datagrams of nobody known, and to anybody: for whoever keeps sessions of his own."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import Any

from ..endpoint import BATCH, turn
from ..errors import DeviceClosed, WouldBlock
from .udp_address import Address
from .udp_demux import Arrival, Demux
from .udp_watch import SharedReadiness

__all__ = ["Anybody"]


class Anybody:
    """The part of a server that knows no peers."""

    def __init__(self, demux: Demux) -> None:
        self._demux = demux
        self._udp = demux.udp
        self.name = demux.udp.name
        self._room = SharedReadiness(f"sending by {self.name}", demux.writing)
        self._taken = 0
        self._refusal = ""  # why it cannot be used: it is closed, or another process's

    async def recv_from_many(self, limit: int = BATCH) -> list[Arrival]:
        """
        Receive 1 to *limit* datagrams of nobody known, oldest first; without peers that is every datagram.

        Canceling is safe: no datagram is lost. The loop gets a turn in every call. Raises like accept().
        """
        await turn()
        await self._wait_for_unknown()
        return self.recv_from_many_nowait(limit)

    def recv_from_many_nowait(self, limit: int = BATCH) -> list[Arrival]:
        """
        Return 1 to *limit* datagrams of nobody known.

        Raises:
            WouldBlock: If there is none.
            DeviceClosed: If the server is closed.
        """
        self._check_open()
        if limit < 1:
            raise ValueError(f"a batch has at least 1 datagram, not {limit}")
        unknown = self._demux.unknown
        if len(unknown) < limit:
            self._demux.pull(limit - len(unknown))
        if not unknown:
            raise WouldBlock(errno.EAGAIN, f"{self.name}: no datagram is queued")
        batch = [unknown.popleft() for _ in range(min(limit, len(unknown)))]
        self._taken += len(batch)
        self._demux.level()
        return batch

    async def send_to_many(self, datagrams: Iterable[Sequence[Any]]) -> None:
        """
        Send datagrams in order, each ``(address, datagram)`` or ``(address, datagram, local)``.

        Waits while the socket has no room; the loop gets a turn every 64 datagrams. If cancelled, a front part was
        sent. What cannot be sent is dropped and counted.

        Raises:
            ValueError: If an address is none; ``local`` too is numeric.
            DeviceError: If the socket fails.
            DeviceClosed: If the server is closed.
        """
        batch = list(datagrams)
        at = 0
        while at < len(batch):
            self._check_open()
            done = self._send(batch[at : at + BATCH])
            at += done
            if not done:
                await self._room.wait()
            elif at < len(batch):
                await turn()
        self._check_open()

    def send_to_many_nowait(self, datagrams: Iterable[Sequence[Any]]) -> int:
        """
        Send datagrams until the socket has no room, and return how many are done with.

        Raises:
            WouldBlock: If not even the first could be sent.
            As send_to_many() otherwise.
        """
        self._check_open()
        batch = list(datagrams)
        done = self._send(batch)
        if batch and not done:
            raise WouldBlock(errno.EAGAIN, f"{self.name}: no room to send")
        return done

    # --- inside -----------------------------------------------------------------------------------

    def _send(self, batch: Sequence[Sequence[Any]]) -> int:
        runs: list[tuple[Address, str | None, list[bytes]]] = []
        last: tuple[Address, str | None] | None = None
        for address, datagram, *local in batch:
            way = address, local[0] if local else None
            if way != last:
                runs.append((*way, []))
                last = way
            runs[-1][2].append(datagram)
        return self._udp.send(runs, self._udp.dropped)

    async def _wait_for_unknown(self) -> None:
        """Wait until there is a datagram of nobody known."""
        demux = self._demux
        while True:
            self._check_open()
            if not demux.unknown:
                demux.pull(BATCH)
            if demux.unknown:
                return
            await demux.arrived.wait()

    def _check_open(self) -> None:
        if self._refusal:
            raise DeviceClosed(f"{self.name}: {self._refusal}")

"""One UDP socket for many peers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import warnings
import weakref
from types import TracebackType
from typing import Self

from ..endpoint import Capabilities, turn
from ..endpoint.busy import check_busy_poll
from ..endpoint.forking import call_in_child
from ..endpoint.loops import running_elsewhere
from ..errors import DeviceClosed
from .udp_address import Address, address_of, normal_address, normal_host
from .udp_anybody import Anybody
from .udp_demux import Demux
from .udp_offload import OffloadSwitches, UdpOffload
from .udp_peer import PeerPort, UdpPeer
from .udp_statistics import UdpStatistics

__all__ = ["UdpServer"]


class UdpServer(Anybody, OffloadSwitches):
    """
    A UDP socket that many peers share, each an endpoint; made by serve_udp().

    A datagram goes to the peer that peer() or accept() made for its source, into that peer's bounded queue. One of
    nobody known waits, first come first served, for accept() or recv_from_many(). It takes somebody who receives,
    whichever of these, for the socket to be read; until then datagrams wait in it.

    Closing the server closes its peers. It is used in one event loop, and by the process that opened it.
    """

    def __init__(self, demux: Demux) -> None:
        super().__init__(demux)
        self._address = address_of(demux.udp.socket.getsockname())
        self._closing: asyncio.Future[None] | None = None
        call_in_child(self, UdpServer._abandon)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{' closed' if self.closed else ''}>"

    @property
    def address(self) -> Address:
        """The address that the socket receives on; its host is ``::`` or ``0.0.0.0`` if that is any."""
        return self._address

    @property
    def closed(self) -> bool:
        """Whether close has begun."""
        return self._refusal != ""

    @property
    def peers(self) -> dict[Address, UdpPeer]:
        """The peers by their addresses, as of now."""
        return {address: peer for address, port in self._demux.peers.items() if (peer := port.owner()) is not None}

    @property
    def capabilities(self) -> Capabilities:
        """What of UDP_SEGMENT and UDP_GRO was asked for and is on, and why what is off is off."""
        return self._udp.offload.capabilities()

    @property
    def busy_poll(self) -> float:
        """Seconds that the event loop stays awake after something arrived, for whomever: as every endpoint's."""
        return self._demux.reading.busy.seconds

    @busy_poll.setter
    def busy_poll(self, seconds: float) -> None:
        seconds = check_busy_poll(self.name, seconds)
        self._check_open()
        self._demux.reading.busy.set(seconds)

    def fileno(self) -> int:
        """Return the socket's descriptor, which the server keeps owning; -1 once closed."""
        return self._udp.fileno()

    # --- peers ------------------------------------------------------------------------------------

    def peer(self, address: Address, *, local: str | None = None, queue_length: int = 512) -> UdpPeer:
        """
        Return the peer at *address*, a new one if there was none; the caller closes it.

        What waits from there becomes the peer's. Does not wait.

        Args:
            address: The peer's numeric host, and its port.
            local: The address of ours to send from. None takes the one its next datagram is sent to, if the socket
                receives on any.
            queue_length: Datagrams that may wait for the peer's receiver.

        Raises:
            ValueError: If the address is none, or the queue has no room for one.
            DeviceClosed: If the server is closed.
        """
        self._check_open()
        address = normal_address(address)
        if queue_length < 1:
            raise ValueError(f"{self.name}: a queue has room for at least 1 datagram, not {queue_length}")
        known = self._demux.peers.get(address)
        if known is not None and (there := known.owner()) is not None:
            return there
        port = PeerPort(self._demux, address, None if local is None else normal_host(local), queue_length)
        peer = UdpPeer(port)
        port.owner = weakref.ref(peer)
        self._demux.add(port)
        return peer

    async def accept(self) -> UdpPeer:
        """
        Wait for a datagram of nobody known, and return its sender as a new peer, which has the datagram.

        Nothing says that the sender is who it claims to be. Canceling is safe: the datagram goes on waiting.

        Raises:
            DeviceClosed: If the server is closed.
            ConcurrencyError: If another task is in accept() or recv_from_many().
        """
        await self._wait_for_unknown()
        first = self._demux.unknown[0]
        return self.peer(first.address, local=first.local)

    def __aiter__(self) -> UdpServer:
        """Iterate over accept(), until the server is closed."""
        return self

    async def __anext__(self) -> UdpPeer:
        try:
            return await self.accept()
        except DeviceClosed:
            raise StopAsyncIteration from None

    def statistics(self) -> UdpStatistics:
        """Return what was counted so far. May ask the kernel; never waits."""
        udp = self._udp
        udp.count_overflow()
        return UdpStatistics(
            sent=udp.sent,
            sent_bytes=udp.sent_bytes,
            received=udp.received,
            received_bytes=udp.received_bytes,
            to_peers=self._demux.to_peers,
            taken=self._taken,
            waiting=len(self._demux.unknown),
            dropped={reason: count for reason, count in udp.dropped.items() if count},
        )

    async def aclose(self) -> None:
        """
        Close the socket, and its peers first.

        Tasks waiting in either get DeviceClosed. When this returns nothing is left of it in the event loop, and the
        port can be bound again. Idempotent; if cancelled, everything is freed first.

        Raises:
            RuntimeError: If it is used in the event loop of another thread, and that runs still.
        """
        if not self._refusal:
            for watch in (self._demux.reading, self._demux.writing):
                if running_elsewhere(watch.loop):
                    raise RuntimeError(f"{self.name}: cannot close it here, it is used in another thread's event loop")
            self._refusal = "the server is closed"
            self._udp.count_overflow()
            self._closing = asyncio.get_running_loop().create_future()
            try:
                async with contextlib.AsyncExitStack() as stack:  # all of them, whatever comes
                    for peer in self.peers.values():
                        stack.push_async_callback(peer.aclose)
            finally:
                self._close_now()
                self._closing.set_result(None)
        elif self._closing is not None and not self._closing.done():
            await asyncio.shield(self._closing)
        await turn()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_refusal", "not made"):
            try:
                warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)
            finally:  # a warning may be an error
                self._close_now()

    @property
    def _offload(self) -> UdpOffload:
        return self._udp.offload

    # --- inside -----------------------------------------------------------------------------------

    def _close_now(self) -> None:
        """Free the socket, and let go of who waits."""
        demux = self._demux
        self._udp.dropped["closed"] += len(demux.unknown)
        demux.unknown.clear()
        demux.close()
        self._refusal = "the server is closed"
        demux.arrived.set()
        self._room.set()

    def _abandon(self) -> None:
        """Be unusable, in a forked child; the socket's copy is closed by who opened it."""
        self._refusal = f"it belongs to process {os.getppid()}, which forked this one"

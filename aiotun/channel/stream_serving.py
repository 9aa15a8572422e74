"""Listening for stream channels: each connection becomes one, bounded in number and in the time it may take."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections import Counter, deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from ..endpoint import FdReadiness, Readiness, turn
from ..endpoint.forking import abandon_in_child, close_copy
from ..errors import device_error
from .stream import StreamChannel
from .stream_opening import Layers, opened, peer_text
from .udp_address import Address, address_text

__all__ = ["StreamServer"]

HANDSHAKES = 64
"""Connections in their handshake, or not yet asked for, at most: while there are so many none is accepted."""
BACK_OFF = 0.1
"""Seconds to let the system recover when it has no descriptor or memory for a connection."""

EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class StreamServer:
    """
    A listening socket: ``async for channel in server`` gives a StreamChannel for each connection.

    Connections are accepted only while it is iterated, each at once in its handshake, so that a slow one holds up no
    other. Who has to be closed is the channels' receiver: those handed out live on when the server is closed. Of what
    was turned away *dropped* has the reasons.
    """

    def __init__(
        self,
        sock: socket.socket,
        kind: str,
        mtu: int,
        layers: Layers,
        *,
        max_connections: int,
        handshake_timeout: float,
        path: str | None = None,
    ) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._kind = kind
        self._mtu = mtu
        self._layers = layers
        self._most = max_connections
        self._timeout = handshake_timeout
        self._path = path
        self._inode = _inode(path)
        at = sock.getsockname()
        self._address: Address = (at, 0) if isinstance(at, str) else (at[0], at[1])
        self._connected = 0
        self._handshakes: dict[asyncio.Task[StreamChannel | None], socket.socket] = {}
        self._ready: deque[StreamChannel] = deque()
        self._incoming = FdReadiness(f"accepting on {self.name}", sock.fileno())
        self._room = Readiness(f"accepting on {self.name}")
        self._dropped: Counter[str] = Counter()
        self._fault: BaseException | None = None  # of a handshake: no peer is to blame
        abandon_in_child(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{' closed' if self.closed else ''}>"

    @property
    def name(self) -> str:
        """What it listens on, as in the errors' texts: ``tcp 127.0.0.1:4433``."""
        where = self._path or address_text(self._address)
        return f"{self._kind} {where}"

    @property
    def address(self) -> Address:
        """Host and port that it listens on; of a unix socket the path, and 0."""
        return self._address

    @property
    def connected(self) -> int:
        """Connections that are open now, those in their handshake included."""
        return self._connected

    @property
    def dropped(self) -> Mapping[str, int]:
        """
        Connections that became no channel, by reason.

        ``handshake_timeout``: no handshake in time; ``handshake_failed``: the peer left, or does not speak the
        protocol; ``no_resources``: times that the system had no descriptor or memory, and the peer was left waiting.
        """
        return dict(self._dropped)

    @property
    def closed(self) -> bool:
        """Whether close has begun."""
        return self._socket.fileno() == -1

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamChannel:
        """
        Return the next channel; wait for it. Canceling loses no connection.

        Raises:
            StopAsyncIteration: If the server is closed.
            Exception: What a handshake raised that is no fault of the peer's, once.
            ConcurrencyError: If another task is waiting.
        """
        await turn()
        while not self.closed:
            if self._fault is not None:
                fault, self._fault = self._fault, None
                raise fault
            if self._ready:
                return self._ready.popleft()
            if self._connected >= self._most or len(self._handshakes) + len(self._ready) >= HANDSHAKES:
                await self._room.wait()
                continue
            try:
                accepted = self._accept()
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise device_error(error, f"{self.name}: cannot accept: {error.strerror}") from error
                self._dropped["no_resources"] += 1
                await asyncio.sleep(BACK_OFF)
                continue
            if not accepted:
                await self._incoming.wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop listening, and close what was not handed out. Idempotent; if cancelled, everything is freed first."""
        self._stop()
        pending = set(self._handshakes)
        for task in pending:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while pending:
            try:
                _, pending = await asyncio.wait(pending)
            except asyncio.CancelledError as error:
                cancelled = error  # they end all the same, in a turn or two
        while self._ready:
            await self._ready.popleft().aclose()
        if cancelled is not None:
            raise cancelled

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def abandon(self) -> None:
        """See Abandoning."""
        close_copy(self._socket.detach())

    # --- inside -----------------------------------------------------------------------------------

    def _accept(self) -> bool:
        """Accept a connection and begin its handshake; return whether there was one."""
        try:
            sock, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return False
        self._connected += 1
        task = asyncio.create_task(self._shake(sock), name=f"handshake on {self.name}")
        self._handshakes[task] = sock
        task.add_done_callback(self._shaken)
        return True

    async def _shake(self, sock: socket.socket) -> StreamChannel | None:
        async def accepted() -> socket.socket:
            return sock

        try:
            async with asyncio.timeout(self._timeout):
                name = f"{self._kind} {peer_text(sock)}"
                return await opened(accepted, name, self._mtu, self._layers, self._disconnected)
        except TimeoutError:
            self._dropped["handshake_timeout"] += 1
        except OSError:
            self._dropped["handshake_failed"] += 1
        return None

    def _shaken(self, task: asyncio.Task[StreamChannel | None]) -> None:
        sock = self._handshakes.pop(task)
        fault = None if task.cancelled() else task.exception()
        channel = None if task.cancelled() or fault else task.result()
        self._fault = fault or self._fault
        if channel is not None:
            self._ready.append(channel)
        else:
            sock.close()
            self._disconnected()
        self._incoming.wake()
        self._room.wake()

    def _disconnected(self) -> None:
        self._connected -= 1
        self._room.wake()

    def _stop(self) -> None:
        if self.closed:
            return
        self._incoming.disarm()
        if self._path is not None and _inode(self._path) == self._inode:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        self._socket.close()
        self._incoming.wake()
        self._room.wake()


def _inode(path: str | None) -> int:
    """Return the number of the file at *path*, 0 if there is none."""
    with contextlib.suppress(OSError, TypeError):
        return os.stat(path).st_ino  # type: ignore[arg-type]
    return 0

"""A device that another process opened for this one, and takes back: descriptors, and the connection they came by."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable, Sequence

from ..endpoint import OFFLOAD
from ..endpoint.forking import abandon_in_child
from .offload_port import OffloadPort
from .port import KernelPort
from .tunfile import Kind, TunFile
from .tunopen import adopt_device
from .worker import in_thread

__all__ = ["Connection", "LeasedPort", "adopt_leased"]

PATIENCE = 10.0
"""Seconds for the other process to take a device back, which takes milliseconds."""


class Connection:
    """What a lease lasts as long as. Owns the socket; ends with the last port over the device's queues."""

    def __init__(self, sock: socket.socket, keep: Callable[[Connection], None]) -> None:
        self._sock = sock
        self._keep = keep
        self._holders = 0
        self._kept = False
        self._lock = threading.Lock()  # queues may be closed in several threads
        abandon_in_child(self)

    def hold(self) -> None:
        """Count a port more."""
        self._holders += 1

    def let_go(self, *, keep: bool = False) -> bool:
        """
        Count a port less; return whether the lease is to be ended now.

        It is not when a descriptor was detached: the connection is given to its keeper then.
        """
        with self._lock:
            self._holders -= 1
            self._kept |= keep
            last = not self._holders
        if last and self._kept:
            self._keep(self)
        return last and not self._kept

    def end(self) -> None:
        """End the lease and wait, blocking, until everything that was done for it is undone. Idempotent."""
        with self._sock, contextlib.suppress(OSError):  # the other process ended: there is nothing to wait for
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(PATIENCE)
            self._sock.recv(1)

    def abandon(self) -> None:
        """See Abandoning, and hang up where nothing can be waited for."""
        self._sock.close()


class LeasedPort(KernelPort):
    """A port that ends its lease when it is closed; it lasts on when the descriptor is detached."""

    def __init__(self, file: TunFile, connection: Connection) -> None:
        super().__init__(file)
        self._connection = connection
        connection.hold()

    async def aclose(self) -> None:
        try:
            await super().aclose()
        finally:
            if self._connection.let_go():
                try:
                    await in_thread(self._connection.end)
                except RuntimeError:  # no thread to be had: then without waiting
                    self._connection.abandon()

    def close_now(self) -> None:
        super().close_now()
        if self._connection.let_go():
            self._connection.abandon()

    def detach(self) -> int:
        fd = super().detach()
        self._connection.let_go(keep=True)
        return fd


class LeasedOffloadPort(LeasedPort, OffloadPort):
    """A leased port of a device with offload."""


def adopt_leased(
    fds: Sequence[int], kind: Kind, connection: Connection, offload: frozenset[str] = OFFLOAD
) -> list[LeasedPort]:
    """
    Take over descriptors, the queues of one device, and the connection they came by; with *offload* if it has any.

    Raises:
        DeviceError: As adopt_device(); everything is closed.
    """
    with contextlib.ExitStack() as undo:
        undo.callback(connection.abandon)
        left = list(fds)
        undo.callback(lambda: _close(left))
        ports: list[LeasedPort] = []
        while left:
            file = adopt_device(left[0], kind, offload)
            undo.callback(file.close)
            if ports and file.offloading is not None:
                file.offloading = ports[0]._file.offloading  # one device
            del left[0]
            ports.append((LeasedPort if file.offloading is None else LeasedOffloadPort)(file, connection))
        undo.pop_all()
    return ports


def _close(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)

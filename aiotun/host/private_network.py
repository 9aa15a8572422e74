"""What the parts of a private host share: the network they work in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import DeviceClosed

if TYPE_CHECKING:
    from ..linux.kept import KeptNamespace

__all__ = ["CLOSED", "PrivateNetwork"]

CLOSED = "private host: it is closed"


class PrivateNetwork:
    """A network that is there from start to close."""

    def __init__(self) -> None:
        self._kept: KeptNamespace | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the host was closed."""
        return self._closed

    @property
    def pid(self) -> int:
        """
        The process that keeps the network, as ``nsenter --preserve-credentials -U -n -t PID`` wants it.

        Raises:
            DeviceClosed: If the host is closed.
        """
        return self._network().pid

    def _network(self) -> KeptNamespace:
        if self._closed:
            raise DeviceClosed(CLOSED)
        if self._kept is None:
            raise RuntimeError("private host: it was not started; write `async with aiotun.PrivateHost() as host:`")
        return self._kept

"""When there is room to send, and what was begun has left."""

from __future__ import annotations

from collections.abc import Callable

from ..endpoint import FdReadiness
from ..endpoint.loops import running_loop

__all__ = ["FlushingReadiness"]


class FlushingReadiness(FdReadiness):
    """Whether there is room to send; first what was begun is written, whether or not somebody waits."""

    __slots__ = ("_flush",)

    def __init__(self, what: str, fd: int, flush: Callable[[], bool]) -> None:
        super().__init__(what, fd, writing=True)
        self._flush = flush

    def flush_later(self) -> None:
        """Have the rest written when there is room, if there is a loop to watch for that."""
        if running_loop() is not None:
            self._bind()
            self._arm()

    def _fire(self) -> None:
        if self._flush():
            super()._fire()

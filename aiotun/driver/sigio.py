"""SIGIO: who owns a device's signal, and sending it."""

from __future__ import annotations

import asyncio
import enum
import errno
import os
import signal
from collections.abc import Callable

from ..errors import DeviceError
from .fault import report

__all__ = ["Band", "Sigio"]

SIGIO: int | None = getattr(signal, "SIGIO", None)


class Band(enum.IntEnum):
    """Why the signal was sent, with the values of <signal.h>: the same on the BSDs and on Linux."""

    POLL_IN = 1
    """Something can be read."""
    POLL_HUP = 6
    """The interface went down."""


class Sigio:
    """
    The owner of a device's SIGIO, and who else is told.

    Modelled on struct sigio in DragonFly sys/sys/filedesc.h.
    """

    __slots__ = ("_listeners", "_owner", "_scheduled", "name", "refused")

    def __init__(self, name: str) -> None:
        self.name = name
        self.refused = 0
        """Signals that the system did not let this process send."""
        self._owner = 0
        self._listeners: tuple[Callable[[Band], None], ...] = ()
        # The loop that will run it: one that is closed first never does, and must not keep the next one waiting.
        self._scheduled: asyncio.AbstractEventLoop | None = None

    @property
    def owner(self) -> int:
        """The process that gets the signal; a process group if negative, nobody if 0. Modelled on fgetown()."""
        return self._owner

    def set_owner(self, id: int) -> None:
        """
        Make a process, or a process group if *id* is negative, the owner; 0 means nobody.

        Raises:
            ProcessLookupError: If there is none of that number; the owner stays who it was.
            PermissionError: If this process may not signal it. (The BSDs ask for the same session.)

        Modelled on fsetown() in DragonFly sys/kern/kern_descrip.c.
        """
        if id:
            self._signal(id, 0)
        self._owner = id

    def clear(self) -> None:
        """Forget the owner. Modelled on funsetown() in DragonFly sys/kern/kern_descrip.c."""
        self._owner = 0

    def listen(self, told: Callable[[Band], None]) -> None:
        """Call *told* with the band of every signal from now on, owner or not."""
        self._listeners += (told,)

    def unlisten(self, told: Callable[[Band], None]) -> None:
        """Call *told* no more. One that does not listen is nothing to undo."""
        self._listeners = tuple(listener for listener in self._listeners if listener != told)

    def send(self, band: Band) -> None:
        """
        Signal the owner and tell who listens.

        An owner that died meanwhile is forgotten; a signal that was not permitted is counted in ``refused``.

        Modelled on pgsigio() of DragonFly and fownsignal() of NetBSD.
        """
        if self._owner and SIGIO is not None:
            try:
                self._signal(self._owner, SIGIO)
            except ProcessLookupError:
                self._owner = 0
            except PermissionError:
                self.refused += 1
        for listener in self._listeners:
            try:
                listener(band)
            except Exception as error:
                report(f"{self.name}: a listener failed over {band.name}", error)

    def schedule(self, band_now: Callable[[], Band | None]) -> None:
        """
        Send once on the loop's next turn, with the band as it is then; None sends nothing.

        However often it is called before that turn, it sends once. Without a running loop it sends at once.

        Modelled on softint_schedule() and tap_softintr() in NetBSD if_tap.c.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._softintr(band_now)
            return
        if self._scheduled is not loop:
            self._scheduled = loop
            loop.call_soon(self._softintr, band_now)

    def _softintr(self, band_now: Callable[[], Band | None]) -> None:
        self._scheduled = None
        band = band_now()
        if band is not None:
            self.send(band)

    def _signal(self, id: int, number: int) -> None:
        """Send a signal; number 0 only asks whether it could be sent."""
        if SIGIO is None:
            raise DeviceError(f"{self.name}: this system has no SIGIO", errno.EOPNOTSUPP)
        target = f"process {id}" if id > 0 else f"process group {-id}"
        try:
            if id == -1:  # to kill(2) that is not group 1 but every process there is
                raise PermissionError
            os.kill(id, number)
        except PermissionError:
            text = f"{self.name}: SIGIO to {target} is not permitted; name one of your own"
            raise PermissionError(errno.EPERM, text) from None
        except (ProcessLookupError, OverflowError):
            raise ProcessLookupError(errno.ESRCH, f"{self.name}: there is no {target}") from None

"""Kernel event filters of a device: the drivers' knotes, and the list they hang on."""

from __future__ import annotations

import enum
from collections.abc import Callable

from ..endpoint import Readiness
from ..errors import DeviceClosed, DeviceError
from .fault import report

__all__ = ["Filter", "Klist", "Knote", "check_filter"]


class Filter(enum.IntEnum):
    """What an event filter watches, with the values of BSD sys/sys/event.h. Devices have the first two."""

    READ = -1
    WRITE = -2
    AIO = -3
    VNODE = -4
    PROC = -5
    SIGNAL = -6
    TIMER = -7


def check_filter(name: str, filter: int, code: int) -> Filter:
    """
    Return *filter* if the device called *name* has it.

    Raises:
        DeviceError: If it is neither READ nor WRITE; with errno *code*, since the drivers differ.

    Modelled on tunkqfilter() in DragonFly if_tun.c and tap_dev_kqfilter() in NetBSD if_tap.c.
    """
    if filter not in (Filter.READ, Filter.WRITE):
        known = Filter(filter).name if filter in set(Filter) else filter
        raise DeviceError(f"{name}: event filter {known}: the device has READ and WRITE", code)
    return Filter(filter)


class Knote:
    """
    One armed filter of one device.

    A read filter is ready while something can be read, a write filter always. Made by Klist.insert().

    Modelled on struct knote in BSD sys/sys/event.h.
    """

    __slots__ = ("_evaluate", "_klist", "_notify", "_readiness", "count", "error", "filter")

    def __init__(
        self, klist: Klist, filter: Filter, evaluate: Callable[[], int], notify: Callable[[Knote], None] | None
    ) -> None:
        self.filter = filter
        self.count = 0
        """Bytes that could be read when the filter was last evaluated (kn_data); 0 in a write filter."""
        self.error: Exception | None = None
        """Why the filter is armed no more, or None."""
        self._klist = klist
        self._evaluate = evaluate
        self._notify = notify
        self._readiness = Readiness(f"waiting for a {filter.name} filter")

    def __repr__(self) -> str:
        state = "detached" if self.error else "ready" if self.ready else "idle"
        return f"<Knote {self.filter.name}: {state}, {self.count} bytes>"

    @property
    def ready(self) -> bool:
        """Whether the filter was ready when it was last evaluated."""
        return self.error is None and (self.filter is Filter.WRITE or self.count > 0)

    def poll(self) -> bool:
        """
        Evaluate the filter now and return whether it is ready.

        Raises:
            DeviceClosed: If it was detached.
            Exception: What Klist.gone() was given, if the device vanished.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.filter is Filter.READ:
            self.count = self._evaluate()
        if self.ready:
            self._readiness.set()
        else:
            self._readiness.clear()
        return self.ready

    async def wait(self) -> int:
        """
        Wait until the filter is ready; return the bytes that can be read, 0 of a write filter.

        The loop gets a turn in every call. Canceling is safe: nothing is consumed here.

        Raises:
            ConcurrencyError: If another task is waiting for this filter.
            DeviceClosed, Exception: Like poll(), also while waiting.
        """
        self.poll()
        while True:
            await self._readiness.wait()
            if self.poll():
                return self.count

    def detach(self) -> None:
        """Take the filter off its device, at any time; whoever waits for it gets DeviceClosed. Idempotent."""
        if self.error is None:
            self._klist._remove(self)
            self._end(DeviceClosed(f"{self.filter.name} filter: it was detached"))

    def _activate(self) -> None:
        if self._notify is not None:
            try:
                self._notify(self)
            except Exception as error:
                report(f"{self!r}: its callback failed", error)

    def _end(self, error: Exception) -> None:
        self.error = error
        self._readiness.wake()


class Klist:
    """
    The filters armed on one device, newest first; false while there are none.

    Modelled on struct klist in BSD sys/sys/event.h.
    """

    # A tuple, replaced at each change: a walk goes on over the old one, and all empty lists share one object.
    __slots__ = ("knotes",)

    def __init__(self) -> None:
        self.knotes: tuple[Knote, ...] = ()

    def __len__(self) -> int:
        return len(self.knotes)

    def insert(
        self, filter: Filter, evaluate: Callable[[], int], notify: Callable[[Knote], None] | None = None
    ) -> Knote:
        """
        Arm a filter and return it; one that is ready already is activated at once.

        Args:
            evaluate: Returns how many bytes can be read now; 0 is not ready. A write filter does not ask.
            notify: Called with the knote at each activation, and once when the device is gone.

        Modelled on knote_insert() in DragonFly sys/kern/kern_event.c and kqueue_register(), which evaluates.
        """
        knote = Knote(self, filter, evaluate, notify)
        ready = knote.poll()
        self.knotes = (knote, *self.knotes)
        if ready:
            knote._activate()
        return knote

    def notify(self) -> None:
        """
        Evaluate every filter and activate those that are ready.

        A filter detached meanwhile is passed over; one armed meanwhile has been evaluated by insert().

        Modelled on KNOTE() in BSD sys/sys/event.h.
        """
        for knote in self.knotes:
            if knote.error is None and knote.poll():
                knote._activate()

    def gone(self, error: Exception) -> None:
        """Release everybody: the device vanished. Each filter answers *error* from now on."""
        knotes, self.knotes = self.knotes, ()
        for knote in knotes:
            if knote.error is None:  # one that was notified here may have detached another
                knote._end(error)
                knote._activate()

    def _remove(self, knote: Knote) -> None:
        self.knotes = tuple(other for other in self.knotes if other is not knote)

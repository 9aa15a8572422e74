"""The hosts: network stacks in which interfaces live, all with one face."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .link_options import TapOptions, TunOptions
from .system import SystemHost, open_tap, open_tun

if TYPE_CHECKING:
    from .private import PrivateHost
    from .soft import SoftHost

__all__ = ["PrivateHost", "SoftHost", "SystemHost", "TapOptions", "TunOptions", "open_tap", "open_tun"]

LATE = {"PrivateHost": ".private", "SoftHost": ".soft"}


def __getattr__(name: str) -> object:
    """Load a host when it is first named: a VPN on the kernel never needs the 70 ms a SoftHost's stack takes."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LATE[name], __name__), name)

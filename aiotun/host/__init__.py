"""The hosts: network stacks in which interfaces live, all with one face."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .device_options import KernelTapOptions, KernelTunOptions
from .full_tunnel import FullTunnel, full_tunnel
from .link_options import TapOptions, TunOptions
from .probing import probe
from .system import SystemHost, open_tap, open_tun

if TYPE_CHECKING:
    from ..linux.passing import receive_tap, receive_tun, send_endpoint
    from ..linux.service import listen_fds
    from .broker import BrokerHost
    from .private import PrivateHost
    from .soft import SoftHost

__all__ = [
    "BrokerHost",
    "FullTunnel",
    "KernelTapOptions",
    "KernelTunOptions",
    "PrivateHost",
    "SoftHost",
    "SystemHost",
    "TapOptions",
    "TunOptions",
    "full_tunnel",
    "listen_fds",
    "open_tap",
    "open_tun",
    "probe",
    "receive_tap",
    "receive_tun",
    "send_endpoint",
]

LATE = {
    "BrokerHost": ".broker",
    "PrivateHost": ".private",
    "SoftHost": ".soft",
    "listen_fds": "..linux.service",
    "receive_tap": "..linux.passing",
    "receive_tun": "..linux.passing",
    "send_endpoint": "..linux.passing",
}


def __getattr__(name: str) -> object:
    """Load what not every program needs when it is first named: a SoftHost's stack alone takes 70 ms."""
    if name not in LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(LATE[name], __name__), name)

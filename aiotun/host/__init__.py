"""The hosts: network stacks in which interfaces live, all with one face."""

from .soft import SoftHost
from .system import SystemHost, open_tap, open_tun

__all__ = ["SoftHost", "SystemHost", "open_tap", "open_tun"]

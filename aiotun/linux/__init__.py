"""The Linux kernel's tun and tap: the only room with ioctl numbers, netlink and device descriptors."""

from .configure import Settings
from .opening import adopt_port, open_port
from .port import KernelPort

__all__ = ["KernelPort", "Settings", "adopt_port", "open_port"]

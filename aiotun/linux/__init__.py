"""The Linux kernel's tun and tap: the only room with ioctl numbers, netlink and device descriptors."""

from .configure import Settings
from .opening import adopt_port, open_port, open_ports
from .port import KernelPort
from .terms import Terms

__all__ = ["KernelPort", "Settings", "Terms", "adopt_port", "open_port", "open_ports"]

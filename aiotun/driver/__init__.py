"""The in-process drivers: DragonFly's tun and NetBSD's tap, without a kernel around them."""

from .device import Device
from .interface import Flags, Interface
from .network import NetworkPort, NetworkSide
from .port import DevicePort
from .tap import TapDevice
from .tun import TunDevice

__all__ = ["Device", "DevicePort", "Flags", "Interface", "NetworkPort", "NetworkSide", "TapDevice", "TunDevice"]

"""The in-process drivers: DragonFly's tun and NetBSD's tap, without a kernel around them."""

from .bpf import DLT, BpfIf, BpfListener, BpfStatistics, Captured, Direction
from .debug import Debug
from .device import Device
from .families import Family, SockAddr
from .ifnet import Flags
from .interface import Interface
from .kqueue import Filter, Knote
from .media import Media, MediaStatus
from .netisr import Netisr, ProtocolQueue
from .network import NetworkPort, NetworkSide
from .nodes import Credentials, DeviceNode
from .offload_port import OffloadPort
from .port import DevicePort
from .requests import Request, TunInfo
from .sigio import Band, Sigio
from .sysctl import SysctlTree
from .tap import TapDevice
from .tun import TunDevice
from .units import Units

__all__ = [
    "DLT",
    "Band",
    "BpfIf",
    "BpfListener",
    "BpfStatistics",
    "Captured",
    "Credentials",
    "Debug",
    "Device",
    "DeviceNode",
    "DevicePort",
    "Direction",
    "Family",
    "Filter",
    "Flags",
    "Interface",
    "Knote",
    "Media",
    "MediaStatus",
    "Netisr",
    "NetworkPort",
    "NetworkSide",
    "OffloadPort",
    "ProtocolQueue",
    "Request",
    "Sigio",
    "SockAddr",
    "SysctlTree",
    "TapDevice",
    "TunDevice",
    "TunInfo",
    "Units",
]

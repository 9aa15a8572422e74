"""The endpoint contract, the same on every host."""

from .attachment import BATCH
from .device import Device
from .endpoint import Endpoint, WhenDown
from .events import AddressChange, AddressState, Event, EventKind, EventStream
from .iteration import BatchIterator, PacketIterator
from .kinds import Tap, Tun, set_adopt
from .opening import Opening
from .port import Capabilities, ClosedPort, InterfaceCounters, Port
from .queues import Queues
from .readiness import FdReadiness, Readiness
from .statistics import Statistics
from .turn import turn

__all__ = [
    "BATCH",
    "AddressChange",
    "AddressState",
    "BatchIterator",
    "Capabilities",
    "ClosedPort",
    "Device",
    "Endpoint",
    "Event",
    "EventKind",
    "EventStream",
    "FdReadiness",
    "InterfaceCounters",
    "Opening",
    "PacketIterator",
    "Port",
    "Queues",
    "Readiness",
    "Statistics",
    "Tap",
    "Tun",
    "WhenDown",
    "set_adopt",
    "turn",
]

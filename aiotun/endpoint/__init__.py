"""The endpoint contract, the same on every host."""

from .attachment import BATCH
from .device import Device
from .endpoint import Endpoint, WhenDown
from .events import AddressChange, AddressState, Event, EventKind, EventStream
from .iteration import BatchIterator, PacketIterator
from .kinds import Tap, Tun, set_adopt
from .offload import OFFLOAD, allowed_offload, check_offload
from .opening import Opening
from .port import Capabilities, Carries, ClosedPort, InterfaceCounters, Port, SteadyPort
from .queues import Queues
from .readiness import FdReadiness, Readiness
from .reports import Report
from .statistics import Statistics
from .turn import turn

__all__ = [
    "BATCH",
    "OFFLOAD",
    "AddressChange",
    "AddressState",
    "BatchIterator",
    "Capabilities",
    "Carries",
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
    "Report",
    "Statistics",
    "SteadyPort",
    "Tap",
    "Tun",
    "WhenDown",
    "allowed_offload",
    "check_offload",
    "set_adopt",
    "turn",
]

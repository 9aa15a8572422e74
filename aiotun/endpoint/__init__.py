"""The endpoint contract, the same on every host."""

from .attachment import BATCH
from .endpoint import Endpoint, WhenDown
from .events import Event, EventKind, EventStream
from .iteration import BatchIterator, PacketIterator
from .kinds import Tap, Tun, set_adopt
from .opening import Opening
from .port import Capabilities, ClosedPort, InterfaceCounters, Port
from .readiness import FdReadiness, Readiness
from .statistics import Statistics
from .turn import turn

__all__ = [
    "BATCH",
    "BatchIterator",
    "Capabilities",
    "ClosedPort",
    "Endpoint",
    "Event",
    "EventKind",
    "EventStream",
    "FdReadiness",
    "InterfaceCounters",
    "Opening",
    "PacketIterator",
    "Port",
    "Readiness",
    "Statistics",
    "Tap",
    "Tun",
    "WhenDown",
    "set_adopt",
    "turn",
]

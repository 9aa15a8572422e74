"""
Queueing disciplines: the interface's ALTQ.

Every one obeys one law: packets offered = packets taken out + packets queued + packets
dropped, and every drop has a reason.
"""

from .classified import Classified, prepend
from .codel import CoDel
from .discipline import Discipline, QueueStatistics
from .ecn import mark_congestion
from .fair import FairQueue
from .fifo import Fifo
from .fq_codel import FQCoDel
from .priority import Priority
from .regulator import TokenBucket

__all__ = [
    "Classified",
    "CoDel",
    "Discipline",
    "FQCoDel",
    "FairQueue",
    "Fifo",
    "Priority",
    "QueueStatistics",
    "TokenBucket",
    "mark_congestion",
    "prepend",
]

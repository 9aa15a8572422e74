"""
Bounded send queues.

Every queue obeys one law: packets offered = packets taken out + packets queued + packets
dropped, and every drop has a reason.
"""

from .fifo import Fifo, QueueStatistics

__all__ = ["Fifo", "QueueStatistics"]

"""
Proving endpoints: the conformance suite, and rigs to run it over.

::

    from aiotun.testing import check_endpoint, soft_tun

    asyncio.run(check_endpoint(soft_tun))
"""

from .adopted import adopted_tap, adopted_tun
from .broker import broker_tap, broker_tun, running_broker
from .cancelling import RECEIVE, cancel_receiving, cancel_sending
from .closing import open_and_close
from .conformance import CHECKS, Check, check_endpoint
from .kernel import KernelRig, kernel_tap, kernel_tun
from .ledger import Ledger, watched_fds
from .persistent import persistent_tap, persistent_tun
from .private import private_tap, private_tun
from .rig import MakeRig, Rig
from .soft import SoftRig, soft_tap, soft_tun

__all__ = [
    "CHECKS",
    "RECEIVE",
    "Check",
    "KernelRig",
    "Ledger",
    "MakeRig",
    "Rig",
    "SoftRig",
    "adopted_tap",
    "adopted_tun",
    "broker_tap",
    "broker_tun",
    "cancel_receiving",
    "cancel_sending",
    "check_endpoint",
    "kernel_tap",
    "kernel_tun",
    "open_and_close",
    "persistent_tap",
    "persistent_tun",
    "private_tap",
    "private_tun",
    "running_broker",
    "soft_tap",
    "soft_tun",
    "watched_fds",
]

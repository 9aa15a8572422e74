"""
Proving endpoints: the conformance suite, and rigs to run it over.

::

    from aiotun.testing import check_endpoint, soft_tun

    asyncio.run(check_endpoint(soft_tun))
"""

from .cancelling import RECEIVE, cancel_receiving, cancel_sending
from .closing import open_and_close
from .conformance import CHECKS, Check, check_endpoint
from .kernel import KernelRig, kernel_tap, kernel_tun
from .ledger import Ledger, watched_fds
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
    "cancel_receiving",
    "cancel_sending",
    "check_endpoint",
    "kernel_tap",
    "kernel_tun",
    "open_and_close",
    "private_tap",
    "private_tun",
    "soft_tap",
    "soft_tun",
    "watched_fds",
]

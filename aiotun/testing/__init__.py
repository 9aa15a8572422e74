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
from .lab import Lab
from .lab_clock import Deadlock, VirtualLoop
from .lab_faults import Faults, faulty
from .lab_host import LabHost
from .lab_link import LabLink
from .lab_record import Crossing, Note
from .lab_router import LabRouter
from .lab_switch import LabSwitch
from .lab_udp import LabUdp
from .ledger import Ledger, watched_fds
from .memory import memory_channel
from .offload import leave_checksum, unfinished
from .persistent import persistent_tap, persistent_tun
from .private import private_tap, private_tun
from .rig import Inapplicable, MakeRig, Rig
from .soft import OffloadRig, SoftRig, soft_offload_tap, soft_offload_tun, soft_tap, soft_tun
from .stream import tcp_channel, tls_channel, unix_channel
from .udp import udp_channel, udp_packet_channel, udp_peer
from .websocket import websocket_channel

__all__ = [
    "CHECKS",
    "RECEIVE",
    "Check",
    "Crossing",
    "Deadlock",
    "Faults",
    "Inapplicable",
    "KernelRig",
    "Lab",
    "LabHost",
    "LabLink",
    "LabRouter",
    "LabSwitch",
    "LabUdp",
    "Ledger",
    "MakeRig",
    "Note",
    "OffloadRig",
    "Rig",
    "SoftRig",
    "VirtualLoop",
    "adopted_tap",
    "adopted_tun",
    "broker_tap",
    "broker_tun",
    "cancel_receiving",
    "cancel_sending",
    "check_endpoint",
    "faulty",
    "kernel_tap",
    "kernel_tun",
    "leave_checksum",
    "memory_channel",
    "open_and_close",
    "persistent_tap",
    "persistent_tun",
    "private_tap",
    "private_tun",
    "running_broker",
    "soft_offload_tap",
    "soft_offload_tun",
    "soft_tap",
    "soft_tun",
    "tcp_channel",
    "tls_channel",
    "udp_channel",
    "udp_packet_channel",
    "udp_peer",
    "unfinished",
    "unix_channel",
    "watched_fds",
    "websocket_channel",
]

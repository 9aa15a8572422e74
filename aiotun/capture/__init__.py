"""
Keeping what passes: pcapng and pcap files, live captures for Wireshark, a flight recorder, and replay.

::

    with PcapngWriter("vpn.pcapng") as writer, watch(path, writer, direction="out"):
        ...                                                  # every edge of the path, with what was dropped and why

    async with to_process(["wireshark", "-k", "-i", "-"]) as live:
        path.insert_after("classify", live.interface("tun0").stage("out"))

    async with replay("vpn.pcapng") as trace:
        async for packet in trace:
            ...
"""

from .blocks import Direction
from .flight import FlightRecorder
from .interface import CaptureInterface, CaptureStatistics
from .opening import open_capture
from .pcap import CapturedPacket, LinkType, PcapWriter
from .pcapng import PcapngWriter, Target
from .reading import CaptureReader
from .records import Recorded, RecordedInterface, RecordedStatistics
from .replaying import Replay, ReplayPort, replay
from .sinks import Rotation
from .streaming import LiveProcess, live, to_process
from .watching import Watch, watch

__all__ = [
    "CaptureInterface",
    "CaptureReader",
    "CaptureStatistics",
    "CapturedPacket",
    "Direction",
    "FlightRecorder",
    "LinkType",
    "LiveProcess",
    "PcapWriter",
    "PcapngWriter",
    "Recorded",
    "RecordedInterface",
    "RecordedStatistics",
    "Replay",
    "ReplayPort",
    "Rotation",
    "Target",
    "Watch",
    "live",
    "open_capture",
    "replay",
    "to_process",
    "watch",
]

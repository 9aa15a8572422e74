"""The stage that cuts super-packets."""

from __future__ import annotations

from aiotun import offload, stages
from aiotun.packet import Ethernet, SuperPacket
from aiotun.pipeline import Path

from .packets import superpacket, tcp


def test_superpackets_are_cut() -> None:
    """Each super-packet becomes its packets, in its place."""
    path = Path("x")
    path.append(stages.segment())
    assert list(path([tcp(), superpacket(), tcp(6)])) == [tcp(), *offload.segment(superpacket()), tcp(6)]
    assert list(path) == ["segment"]


def test_frames() -> None:
    """With ethernet=True it cuts frames."""
    packet = superpacket()
    frame = Ethernet(b"\2" * 6, b"\4" * 6, 0x800, packet).build()
    whole = SuperPacket(frame, packet.gso_type, packet.gso_size, 54, packet.csum_start + 14, 16, True)
    assert len(stages.segment(ethernet=True)([whole])) == 3

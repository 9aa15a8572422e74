"""What the tun driver tells over rtnetlink."""

from __future__ import annotations

import struct

import pytest

from aiotun.linux.tuninfo import TunInfo, tun_info


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def test_everything() -> None:
    """Each attribute is read, and both sorts of queues are counted."""
    told = {
        1: number(1000),
        2: number(100),
        3: b"\2",
        4: b"\1",
        5: b"\0",
        6: b"\1",
        7: b"\1",
        8: number(3),
        9: number(2),
    }
    info = tun_info(told)
    assert info == TunInfo(
        layer="tap", owner=1000, group=100, packet_information=True, persistent=True, multi_queue=True, queues=5
    )


def test_nothing() -> None:
    """An old kernel tells nothing: a plain tun of nobody's with one queue."""
    assert tun_info({}) == TunInfo()


@pytest.mark.parametrize(
    ("told", "kind"),
    [({3: b"\1"}, "tun"), ({3: b"\2"}, "tap"), ({3: b"\2", 7: b"\1"}, "multi-queue tap"), ({7: b"\0"}, "tun")],
)
def test_the_kind(told: dict[int, bytes], kind: str) -> None:
    """The kind says layer and queues."""
    assert tun_info(told).kind == kind

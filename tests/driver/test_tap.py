"""The tap driver: what it carries, what it counts when, OACTIVE and its hardware address."""

from __future__ import annotations

import time

import pytest

from aiotun.driver import Flags, TapDevice
from aiotun.errors import PacketTooBig

from .fakes import FRAME, Stack, open_tap, stack_of

MACS = FRAME[:12]
TAG = bytes.fromhex("81000064")


def test_flags() -> None:
    """A tap begins as an Ethernet interface."""
    assert open_tap(up=False).flags == Flags.BROADCAST | Flags.SIMPLEX | Flags.MULTICAST


def test_any_frame_is_carried() -> None:
    """A frame of any type is output and input: a tap looks at none."""
    tap = open_tap()
    frames = [FRAME, bytes(60), b""]
    tap.output(frames)
    tap.write_many(frames)
    assert tap.read_many(64) == stack_of(tap).entered == frames


def test_output_is_counted_at_read() -> None:
    """opackets and obytes count a frame when it is read, not when it is queued."""
    tap = open_tap()
    tap.output([FRAME] * 3)
    assert tap.counters().opackets == 0
    tap.read_many(2)
    assert (tap.counters().opackets, tap.counters().obytes) == (2, 2 * len(FRAME))


def test_output_is_counted_at_purge() -> None:
    """Frames dropped at close count as output and as dropped, as the driver counts them."""
    tap = open_tap()
    tap.output([FRAME] * 3)
    tap.close()
    assert (tap.counters().opackets, tap.counters().dropped) == (3, {"closed": 3})


def test_the_longest_frame() -> None:
    """A frame may have the mtu and an Ethernet header; one byte more is refused, the header not counted."""
    tap = open_tap()
    assert tap.output([FRAME[:14] + bytes(1500)]) == 1
    with pytest.raises(PacketTooBig, match="dev0: packet is 1501 bytes, mtu is 1500"):
        tap.output([FRAME[:14] + bytes(1501)])


def test_the_longest_tagged_frame() -> None:
    """A VLAN tag does not count against the mtu, and what is behind it does."""
    tap = open_tap()
    assert tap.output([MACS + TAG + b"\x08\x00" + bytes(1500)]) == 1
    with pytest.raises(PacketTooBig, match="dev0: packet is 1501 bytes, mtu is 1500"):
        tap.output([MACS + TAG + b"\x08\x00" + bytes(1501)])


def test_oactive_is_set_by_output() -> None:
    """OACTIVE is on while frames wait for the application."""
    tap = open_tap()
    assert not tap.flags & Flags.OACTIVE
    tap.output([FRAME])
    assert tap.flags & Flags.OACTIVE


def test_oactive_ends_with_the_last_frame() -> None:
    """OACTIVE stays until the last frame is read."""
    tap = open_tap()
    tap.output([FRAME] * 2)
    tap.read_many(1)
    assert tap.flags & Flags.OACTIVE
    tap.read_many(1)
    assert not tap.flags & Flags.OACTIVE


def test_oactive_ends_with_close() -> None:
    """OACTIVE is off once the device was closed."""
    tap = open_tap()
    tap.output([FRAME])
    tap.close()
    assert not tap.flags & Flags.OACTIVE


def test_a_given_hardware_address() -> None:
    """A tap has the hardware address it was given."""
    mac = bytes.fromhex("020000000001")
    assert TapDevice("tap0", Stack(), mac=mac).mac == mac


def test_the_drivers_own_hardware_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one given, the hardware address is the driver's prefix and three bytes of uptime."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: 0x12_ABCDEF * 1000)
    assert TapDevice("tap0", Stack()).mac == bytes.fromhex("f20ba4abcdef")

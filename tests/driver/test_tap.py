"""The tap driver: what it carries, what it counts when, OACTIVE, and its hardware address."""

from __future__ import annotations

import os
import time

import pytest

from aiotun.driver import Band, Credentials, Flags, TapDevice
from aiotun.errors import DeviceBusy, DeviceDown, PacketTooBig, QueueFull
from aiotun.pipeline import Batch
from aiotun.queueing import Fifo, TokenBucket
from aiotun.testing.expect import parked, turns

from .fakes import FRAME, Stack, advance, open_tap, simulated, stack_of

MACS = FRAME[:12]
TAG = bytes.fromhex("81000064")
OUTER = bytes.fromhex("88a80064")


def test_flags() -> None:
    """A tap begins as an Ethernet interface."""
    assert open_tap(up=False).flags == Flags.BROADCAST | Flags.SIMPLEX | Flags.MULTICAST


def test_options() -> None:
    """Name, mtu, queue and hardware address are what was given; the queue knows the Ethernet header."""
    snd, mac = Fifo(3), bytes.fromhex("020000000001")
    tap = TapDevice("tap7", Stack(), mtu=1400, snd=snd, mac=mac)
    assert (tap.name, tap.mtu, tap.snd, tap.mac, snd.offset, tap.media.name) == ("tap7", 1400, snd, mac, 14, "tap7")
    assert TapDevice("tap8", Stack(), queue_length=3).snd.max_packets == 3


def test_the_stages() -> None:
    """The paths have the steps of the driver."""
    tap = open_tap()
    assert [list(path) for path in (tap.output, tap.start, tap.input)] == [
        ["ready", "size", "segment", "enqueue", "start"],
        ["in_use", "enabled", "poll", "oactive", "wakeup", "filters", "sigio"],
        ["count", "bpf", "input"],
    ]


def test_opening() -> None:
    """A tap is opened for the process of the credentials, by anybody, once."""
    tap = TapDevice("tap0", Stack())
    tap.open(Credentials(uid=1000, pid=4242))
    assert tap.pid == 4242
    with pytest.raises(DeviceBusy, match="tap0: held by process 4242"):
        tap.open()


def test_any_frame_is_carried() -> None:
    """A frame of any type is output and input: a tap looks at none."""
    tap = open_tap()
    frames = [FRAME, bytes(60), b""]
    assert list(tap.output(frames)) == frames
    assert tap.write_many(frames) == 3
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


def test_a_purge_returns_what_it_dropped() -> None:
    """purge() returns the frames."""
    tap = open_tap()
    tap.output([FRAME])
    assert (tap.purge("x"), tap.purge("x")) == ([FRAME], [])


@pytest.mark.parametrize(
    ("header", "text"),
    [(FRAME[:14], "1501"), (MACS + TAG + b"\x08\x00", "1501"), (MACS + OUTER + TAG + b"\x08\x00", "1501")],
)
def test_the_longest_frame(header: bytes, text: str) -> None:
    """A frame may have the mtu behind its header, VLAN tags included; one byte more is refused."""
    tap = open_tap()
    tap.output_packet(header + bytes(1500))
    with pytest.raises(PacketTooBig, match=f"dev0: packet is {text} bytes, mtu is 1500"):
        tap.output_packet(header + bytes(1501))
    assert (len(tap.snd), tap.counters().dropped) == (1, {"too_big": 1})


def test_a_full_queue() -> None:
    """A frame that finds the queue full is refused and counted."""
    tap = open_tap(queue_length=1)
    tap.output_packet(FRAME)
    with pytest.raises(QueueFull, match="dev0: the send queue is full, 1 packets wait"):
        tap.output_packet(FRAME)
    assert tap.counts.collisions == 1


def test_output_while_down() -> None:
    """Output of a tap that is down raises, and is counted."""
    tap = open_tap(up=False)
    with pytest.raises(DeviceDown):
        tap.output([FRAME] * 2)
    assert tap.counters().dropped == {"down": 2}


def test_oactive() -> None:
    """OACTIVE is on from an output until the next read, however much is queued."""
    tap = open_tap()
    states = [tap.flags & Flags.OACTIVE]
    tap.output([FRAME] * 2)
    states.append(tap.flags & Flags.OACTIVE)
    tap.read_many(1)
    states.append(tap.flags & Flags.OACTIVE)
    tap.output([FRAME])
    states.append(tap.flags & Flags.OACTIVE)
    assert states == [0, Flags.OACTIVE, 0, Flags.OACTIVE]


def test_oactive_ends_with_close() -> None:
    """OACTIVE is off once the device was closed; the interface stays up."""
    tap = open_tap()
    tap.output([FRAME])
    tap.close()
    assert (tap.flags & Flags.OACTIVE, tap.up) == (0, True)


def test_closing_ends_non_blocking() -> None:
    """Whoever opens next sleeps in a read again; the SIGIO owner stays, as in the driver."""
    tap = open_tap()
    tap.nonblocking = True
    tap.set_owner(os.getpid())
    tap.close()
    assert (tap.nonblocking, tap.owner()) == (False, os.getpid())


def test_started_while_closed() -> None:
    """A frame left in the queue of a tap that nobody has open is drained when it comes up."""
    tap = TapDevice("tap0", Stack())
    tap.snd.enqueue_many([FRAME], 0.0)
    tap.set_up(True)
    assert (len(tap.snd), tap.counters().dropped, tap.counts.opackets) == (0, {"not_open": 1}, 1)


def test_drained_once() -> None:
    """What is drained is dropped once, not by the queue and by the path."""
    tap = TapDevice("tap0", Stack())
    tap.set_up(True)
    assert list(tap.output([FRAME] * 3)) == [FRAME] * 3
    assert tap.counters().dropped == {"not_open": 3}
    assert dict(tap.start.statistics().dropped) == {"not_open": 3}


def test_started_with_what_was_queued() -> None:
    """The start path is given what was queued, and not while the reader has yet to come."""
    tap = open_tap(queue_length=2)
    started: list[Batch] = []

    def look(batch: Batch) -> Batch:
        started.append(list(batch))
        return batch

    tap.start.insert_before("in_use", look, name="look")
    tap.output([FRAME])
    tap.output([FRAME] * 2)
    assert started == [[FRAME]]


@simulated
async def test_a_rate_limited_tap() -> None:
    """A frame held back sets OACTIVE, wakes and signals when it is released."""
    tap = open_tap(snd=TokenBucket(8 * len(FRAME), len(FRAME)))
    tap.output([FRAME] * 2)
    assert tap.read() == FRAME
    bands: list[Band] = []
    tap.sigio.listen(bands.append)
    tap.asynchronous = True
    task = await parked(tap.read_wait())
    held = tap.flags & Flags.OACTIVE
    flags: list[int] = []

    def look(batch: Batch) -> Batch:
        flags.append(tap.flags & Flags.OACTIVE)
        return batch

    tap.start.append(look, name="look")
    advance(1)
    assert await task == FRAME
    await turns()
    assert (held, flags, bands) == (0, [Flags.OACTIVE], [Band.POLL_IN])


def test_the_signal_of_a_stop() -> None:
    """Going down signals POLL_HUP, if SIGIO is wanted; coming up with nothing queued signals nothing."""
    tap = open_tap()
    bands: list[Band] = []
    tap.sigio.listen(bands.append)
    tap.set_up(False)
    tap.asynchronous = True
    tap.set_up(True)
    tap.set_up(False)
    assert bands == [Band.POLL_HUP]


@pytest.mark.parametrize(
    ("microseconds", "mac"),
    [
        (0x12_0000 * 1_000_000 + 0x0_ABCD, "f20ba412abcd"),
        (0x1_000001 * 1_000_000 + 3, "f20ba4000002"),
    ],
)
def test_the_drivers_own_hardware_address(monkeypatch: pytest.MonkeyPatch, microseconds: int, mac: str) -> None:
    """Without one given, the hardware address is the driver's prefix and the uptime's seconds xor microseconds."""
    monkeypatch.setattr(time, "monotonic_ns", lambda: microseconds * 1000 + 999)
    assert TapDevice("tap0", Stack()).mac == bytes.fromhex(mac)

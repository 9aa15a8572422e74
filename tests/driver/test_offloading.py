"""An interface with offload, and one without: what is queued whole, what is cut."""

from __future__ import annotations

import pytest
from offload import packets as p

from aiotun.driver import BpfIf, Device, Direction
from aiotun.errors import DeviceGone
from aiotun.offload import segment
from aiotun.packet import SuperPacket
from aiotun.queueing import Fifo, FQCoDel, Priority, TokenBucket
from aiotun.testing import leave_checksum

from .fakes import Make, both, open_tap, open_tun


def opened(make: Make, offload: bool | str = False, **options: object) -> Device:
    """A device as an endpoint has it."""
    device = make(**options)
    device.bare = True
    device.set_offload(offload)
    return device


def big(device: Device, size: int = 1000, gso_size: int = 300) -> SuperPacket:
    return p.big(4, size, gso_size, link=device.header)


def cut(device: Device, packet: bytes) -> list[bytes]:
    return segment(packet, device.header > 0)


@both
def test_without_offload_it_is_cut_in_front_of_the_queue(make: Make) -> None:
    """The queue gets the packets, and so does the reader; ``segment`` has created them."""
    device = opened(make)
    packet = big(device)
    assert device.output([packet]) == cut(device, packet)
    assert (len(device.snd), device.read_many(64)) == (4, cut(device, packet))
    (counted,) = [stage for stage in device.output.statistics().stages if stage.name == "segment"]
    assert (counted.entered, counted.created, counted.left) == (1, 3, 4)
    assert device.counts.opackets == 4


@both
def test_with_offload_it_is_queued_whole(make: Make) -> None:
    """The queue and the counters have one packet of its length, and the reader gets that very object."""
    device = opened(make, True)
    packet = big(device)
    device.output([packet])
    assert (len(device.snd), device.snd.nbytes) == (1, len(packet))
    assert device.read_whole(64)[0] is packet
    assert (device.counts.opackets, device.counts.obytes) == (1, len(packet))


@both
def test_who_wants_packets_gets_packets(make: Make) -> None:
    """read_finished() cuts what is queued whole, as many at a time as are asked for."""
    device = opened(make, True)
    packet = big(device)
    device.output([packet])
    parts = [device.read_finished(3), device.read_finished(3), device.read_finished(3)]
    assert parts == [cut(device, packet)[:3], cut(device, packet)[3:], []]


@both
@pytest.mark.parametrize(
    ("features", "tcp", "udp", "checksum"),
    [
        ("tso", True, False, True),
        ("uso", False, True, True),
        ("tcp_gro", False, False, False),
        (True, True, True, True),
        (False, False, False, False),
    ],
)
def test_each_kind_by_its_feature(make: Make, features: bool | str, tcp: bool, udp: bool, checksum: bool) -> None:
    """TCP, UDP and lone checksums are left to the reader by what was asked for; the rest is finished."""
    device = opened(make, features)
    link = device.header
    packets = [
        (big(device), tcp),
        (p.big_udp(6, link=link), udp),
        (leave_checksum(p.framed(p.tcp(4), link) if link else p.tcp(4), link > 0), checksum),
    ]
    for packet, stays in packets:
        device.output([packet])
        found = device.read_many(64)
        assert [id(one) for one in found if isinstance(one, SuperPacket)] == ([id(packet)] if stays else [])
        assert stays or found == cut(device, packet)


@both
def test_the_mtu_bounds_the_segments(make: Make) -> None:
    """A super-packet far longer than the mtu passes if its segments fit, and is too big if they do not."""
    device = opened(make, True)
    fits, too_big = big(device, 60_000, 1460), big(device, 60_000, 1461)
    assert device.output([fits, too_big]) == [fits]
    assert device.counters().dropped == {"too_big": 1}
    assert str(device.refusal) == "dev0: packet is 1501 bytes, mtu is 1500"


@both
@pytest.mark.parametrize("offload", [True, False])
def test_what_cannot_be_cut(make: Make, offload: bool) -> None:
    """Without offload it is dropped at output, with it at the reader who wants it cut; the reason is the same."""
    device = opened(make, offload)
    device.output([p.with_fields(big(device), gso_size=0)])
    assert device.read_finished(64) == []
    assert device.counters().dropped == {"bad_gso_size": 1}


@both
def test_what_does_not_fit_the_queue(make: Make) -> None:
    """Segments for which the queue has no room are dropped one by one, as the queue does."""
    device = opened(make, queue_length=3)
    packet = big(device)
    assert device.output([packet]) == cut(device, packet)[:3]
    assert device.counters().dropped == {"queue_full": 1}


def test_a_capture_sees_the_large_packet() -> None:
    """Of a tun without offload, as tcpdump does, a packet filter sees what the stack sent, not the segments."""
    tun = opened(open_tun)
    listener = tun.bpf.attach()
    packet = big(tun)
    tun.output([packet])
    assert [captured.length for captured in listener.recv_many_nowait()] == [4 + len(packet)]


def test_a_capture_of_a_tap_sees_what_is_read() -> None:
    """A tap shows packet filters what is read, whole with offload; a captured packet is plain bytes."""
    tap = opened(open_tap, True)
    listener = tap.bpf.attach()
    packet = big(tap)
    tap.output([packet])
    tap.read_finished(2)
    captured = listener.recv_nowait()
    assert (captured.packet, type(captured.packet), captured.direction) == (packet, bytes, Direction.OUT)
    assert isinstance(tap.bpf, BpfIf)


@both
@pytest.mark.parametrize(
    "snd",
    [
        lambda: Priority([Fifo(50), Fifo(50)], lambda packet: 1),
        lambda: FQCoDel(50),
        lambda: TokenBucket(10**12, 10**9, Fifo(50)),
    ],
    ids=["Priority", "FQCoDel", "TokenBucket"],
)
@pytest.mark.parametrize("offload", [True, False])
def test_in_every_discipline(make: Make, snd: object, offload: bool) -> None:
    """Also where the packets are marked with their class, they are queued whole with offload and cut without."""
    assert callable(snd)
    device = opened(make, offload, snd=snd())
    packet = big(device)
    device.output([packet])
    assert len(device.snd) == (1 if offload else 4)
    assert device.read_finished(64) == cut(device, packet)


@both
def test_the_level_says_that_segments_wait(make: Make) -> None:
    """While a super-packet is half received the device is readable, though its queue is empty."""
    device = opened(make, True)
    device.output([big(device)])
    levels = []
    for _ in range(4):
        device.read_finished(1)
        levels.append(device.readable_now())
    assert levels == [True, True, True, False]


@both
def test_closing_drops_the_rest(make: Make) -> None:
    """What was half received when the device is closed is dropped, as the one packet it was."""
    device = opened(make, True)
    device.output([big(device)])
    device.read_finished(1)
    device.close()
    assert device.counters().dropped == {"closed": 1}
    assert not device.readable_now()
    assert device.offload == frozenset()


@both
def test_destruction_leaves_the_rest_to_the_reader(make: Make) -> None:
    """Segments of a super-packet that had left the queue are still received; then the device is gone."""
    device = opened(make, True)
    packet = big(device)
    device.output([packet])
    device.read_finished(1)
    device.destroy()
    assert device.read_finished(64) == cut(device, packet)[1:]
    with pytest.raises(DeviceGone):
        device.read_finished(64)


@both
def test_switching_leaves_what_is_queued(make: Make) -> None:
    """What was queued whole stays so; what comes after the switch is cut."""
    device = opened(make, True)
    packet = big(device)
    device.output([packet])
    device.set_offload(False)
    device.output([packet])
    assert len(device.snd) == 5


def test_an_unknown_feature() -> None:
    """A feature that there is not is refused."""
    with pytest.raises(ValueError, match="'ufo'"):
        open_tun().set_offload("ufo")


@both
def test_it_enters_the_stack_whole(make: Make) -> None:
    """What is written goes through the input path in one piece, far beyond what one write may have otherwise."""
    device = opened(make, True)
    entered: list[bytes] = []
    device._stack = lambda interface, batch: entered.extend(batch)
    packet = big(device, 60_000, 1400)
    assert device.write_many([packet]) == 1
    assert entered[0] is packet
    assert (device.counts.ipackets, device.counts.ibytes) == (1, len(packet))

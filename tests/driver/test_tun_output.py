"""From the stack to the reader of a tun: the steps of output in their order, one by one."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import pytest

from aiotun.driver import Band, Family, Filter, SockAddr
from aiotun.errors import DeviceDown, DeviceGone, PacketTooBig, QueueFull, UnsupportedFamily
from aiotun.pipeline import Batch
from aiotun.queueing import Classified, Fifo

from .fakes import FOREIGN, FRAME, IPV4, IPV6, open_tun

UNSPEC = SockAddr(Family.UNSPEC)
INET = (2).to_bytes(4, sys.byteorder)
INET6 = (28).to_bytes(4, sys.byteorder)


def test_the_stages() -> None:
    """Output and start have the steps of tunoutput() and tunstart()."""
    tun = open_tun()
    assert list(tun.output) == [
        "ready", "classify", "unspec", "size", "bpf", "segment", "prepend", "enqueue", "count", "start",
    ]  # fmt: skip
    assert list(tun.start) == ["enabled", "poll", "wakeup", "sigio", "filters"]


# --- which families -------------------------------------------------------------------------------


def test_the_default_carries_ipv4() -> None:
    """By default IPv4 is queued and what else a batch holds is dropped, counted once each."""
    tun = open_tun()
    assert list(tun.output([IPV6, IPV4, FOREIGN, FRAME, b"", IPV4])) == [IPV4, IPV4]
    assert (tun.read_many(9), tun.counters().dropped) == ([IPV4, IPV4], {"unsupported_family": 4})


def test_bare_carries_both() -> None:
    """Under an endpoint IPv4 and IPv6 are queued as they are, in order, and nothing else is."""
    tun = open_tun(bare=True)
    assert list(tun.output([IPV6, FOREIGN, IPV4, FRAME, b""])) == [IPV6, IPV4]
    assert (tun.read_many(9), tun.counters().dropped) == ([IPV6, IPV4], {"unsupported_family": 3})


@pytest.mark.parametrize("mode", ["ifhead", "lmode"])
def test_bare_has_nothing_in_front(mode: str) -> None:
    """An endpoint never sees what the mode would put in front."""
    tun = open_tun(bare=True)
    setattr(tun, mode, True)
    tun.output([IPV4, IPV6])
    assert tun.read_many(2) == [IPV4, IPV6]


@pytest.mark.parametrize(("family", "queued"), [(2, 1), (28, 1), (23, 0), (0, 0)])
def test_bare_by_the_family_said(family: int, queued: int) -> None:
    """Under an endpoint a packet whose sender said its family is carried if that is IPv4 or IPv6."""
    tun = open_tun(bare=True)
    assert tun.output_to(UNSPEC, [family.to_bytes(4, sys.byteorder) + FOREIGN]) == queued
    assert tun.read_many(2) == [FOREIGN] * queued


@pytest.mark.parametrize("packet", [FOREIGN, b""])
def test_ifhead_needs_a_family(packet: bytes) -> None:
    """With IFHEAD a packet whose family nothing tells is not carried."""
    tun = open_tun()
    tun.ifhead = True
    with pytest.raises(UnsupportedFamily):
        tun.output_packet(packet)


def test_the_family_said_counts() -> None:
    """By default a packet is carried as the sender says, whatever its first byte."""
    tun = open_tun()
    assert tun.output_to(SockAddr.of("10.0.0.1"), [IPV6]) == 1
    assert tun.output_to(SockAddr.of("fd00::1"), [IPV4, IPV4]) == 0


# --- output_to ------------------------------------------------------------------------------------


def test_the_destination_is_of_one_call() -> None:
    """After output_to() the next packet's destination is its own again."""
    tun = open_tun()
    tun.lmode = True
    tun.output_to(SockAddr.of("10.0.0.9"), [IPV4])
    tun.output([IPV4])
    assert [packet[4:8] for packet in tun.read_many(2)] == [bytes((10, 0, 0, 9)), bytes((127, 0, 0, 1))]


def test_the_family_is_of_one_call() -> None:
    """After output_to() the next packet's family is its own again, also after an error."""
    tun = open_tun(up=False)
    with pytest.raises(DeviceDown):
        tun.output_to(SockAddr.of("fd00::1"), [IPV6])
    tun.set_up(True)
    assert list(tun.output([IPV4])) == [IPV4]


def test_output_to_says_how_many() -> None:
    """output_to() returns how many packets were queued, of one destination or of packets that say their family."""
    tun = open_tun(queue_length=5)
    counts = [tun.output_to(SockAddr.of("10.0.0.1"), [IPV4] * 3), tun.output_to(UNSPEC, [INET + IPV4] * 3)]
    assert (counts, tun.output_to(UNSPEC, [])) == ([3, 2], 0)


def test_unspec_by_packet() -> None:
    """For AF_UNSPEC each packet says its own family."""
    tun = open_tun()
    assert tun.output_to(UNSPEC, [INET6 + IPV4, INET + IPV6, INET6 + IPV6]) == 1
    assert tun.read_many(9) == [IPV6]


def test_unspec_in_lmode() -> None:
    """For AF_UNSPEC the sockaddr is made of the packet's own destination; a stump is filled up with zeros."""
    tun = open_tun()
    tun.lmode = True
    tun.output_to(UNSPEC, [INET + IPV4, INET + IPV4[:18]])
    head = bytes((16, 2, 0, 0))
    assert tun.read_many(2) == [head + IPV4[16:20] + bytes(8) + IPV4, head + b"\x7f\0\0\0" + bytes(8) + IPV4[:18]]


@pytest.mark.parametrize(
    ("written", "kind", "code"),
    [
        (INET[:3], Exception, errno.ENOBUFS),
        (INET6 + IPV6, UnsupportedFamily, errno.EAFNOSUPPORT),
        (INET + IPV4.ljust(1501), PacketTooBig, errno.EMSGSIZE),
    ],
)
def test_inject_answers(written: bytes, kind: type[OSError], code: int) -> None:
    """inject() raises why the packet was not queued."""
    tun = open_tun()
    with pytest.raises(kind) as caught:
        tun.inject(written)
    assert getattr(caught.value, "errno", None) == code


def test_inject_forgets_the_last_answer() -> None:
    """inject() does not repeat the error of a packet before: one that a stage takes out is no error."""
    tun = open_tun()
    tun.output([IPV6])
    tun.output.insert_before("size", lambda batch: (), name="hole")
    tun.inject(INET + IPV4)
    assert tun.counters().dropped == {"unsupported_family": 1, "hole": 1}


# --- the mtu --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ifhead", [False, True])
def test_the_mtu_bounds_the_packet(ifhead: bool) -> None:
    """A packet of the mtu is queued, whatever stands in front; one byte more is dropped as too big, alone."""
    tun = open_tun()
    tun.ifhead = ifhead
    fit, big = IPV4.ljust(1500), IPV4.ljust(1501)
    assert len(tun.output([fit, big, IPV4])) == 2
    assert (len(tun.snd), tun.counters().dropped) == (2, {"too_big": 1})


def test_a_packet_too_big_alone() -> None:
    """output_packet() of a packet over the mtu raises with both numbers."""
    with pytest.raises(PacketTooBig, match="dev0: packet is 1501 bytes, mtu is 1500"):
        open_tun().output_packet(IPV4.ljust(1501))


# --- counting -------------------------------------------------------------------------------------


def test_counted_at_output() -> None:
    """opackets and obytes count a packet when it is queued; a read counts nothing more."""
    tun = open_tun(bare=True)
    tun.output([IPV4, IPV6 + b"x"])
    tun.read_many(64)
    assert (tun.counters().opackets, tun.counters().obytes) == (2, 81)


def test_a_collision_is_no_output() -> None:
    """A packet refused by a full queue is a collision, not an opacket, and its bytes are none."""
    tun = open_tun(queue_length=1)
    tun.output([IPV4] * 3)
    assert (tun.counts.opackets, tun.counts.obytes, tun.counts.collisions) == (1, 40, 2)
    assert tun.counters().dropped == {"queue_full": 2}


def test_a_full_queue_answers() -> None:
    """output_packet() into a full queue raises with the number that waits."""
    tun = open_tun(queue_length=1)
    tun.output_packet(IPV4)
    with pytest.raises(QueueFull, match="dev0: the send queue is full, 1 packets wait"):
        tun.output_packet(IPV4)


def test_output_of_a_destroyed_tun() -> None:
    """Output of a destroyed tun raises DeviceGone, and is counted as gone."""
    tun = open_tun()
    tun.destroy()
    with pytest.raises(DeviceGone):
        tun.output([IPV4])
    assert tun.counters().dropped == {"gone": 1}


# --- classes --------------------------------------------------------------------------------------


class Marking(Fifo):
    """Marks packets with their length, and keeps the marks of those it is given to queue."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[object] = []

    def classify(self, batch: Sequence[bytes]) -> Sequence[bytes]:
        return [Classified(packet, len(packet)) for packet in batch]

    def enqueue_many(self, batch: Sequence[bytes], now: float = 0.0) -> Sequence[bytes]:
        self.keys += [getattr(packet, "key", None) for packet in batch]
        return super().enqueue_many(batch, now)


@pytest.mark.parametrize("mode", ["bare", "ifhead", "lmode", "default"])
def test_a_mark_stays_on(mode: str) -> None:
    """What the queue marked comes back to it marked, whatever was put in front."""
    snd = Marking()
    tun = open_tun(snd=snd)
    if mode != "default":
        setattr(tun, mode, True)
    tun.output([IPV4])
    assert snd.keys == [40]


# --- start ----------------------------------------------------------------------------------------


def test_started_with_what_was_queued() -> None:
    """The start path is given what was queued, once a batch."""
    tun = open_tun(queue_length=2)
    started: list[Batch] = []

    def look(batch: Batch) -> Batch:
        started.append(list(batch))
        return batch

    tun.start.insert_before("enabled", look, name="look")
    tun.output([IPV4] * 3)
    tun.output([])
    assert started == [[IPV4, IPV4]]


def test_what_output_returns() -> None:
    """output() returns what was queued though nothing was announced."""
    tun = open_tun()
    tun.enabled = False
    assert list(tun.output([IPV4])) == [IPV4]


def test_the_signal_says_poll_in() -> None:
    """SIGIO says that something can be read, at once and once for a batch, if it is wanted."""
    tun = open_tun()
    bands: list[Band] = []
    tun.sigio.listen(bands.append)
    tun.output([IPV4])
    tun.asynchronous = True
    tun.output([IPV4, IPV4])
    assert bands == [Band.POLL_IN]


def test_filters_are_notified() -> None:
    """A filter is evaluated at each output."""
    tun = open_tun()
    knote = tun.kqfilter(Filter.READ)
    tun.output([IPV4])
    assert (knote.ready, knote.count) == (True, 40)

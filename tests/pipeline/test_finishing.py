"""Cutting super-packets on the way, and making them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offload import packets as p

from aiotun.offload import coalesce, complete, segment
from aiotun.packet import GSOType, SuperPacket
from aiotun.pipeline import Batch, Outcome, Path, StageStatistics
from aiotun.pipeline.finishing import _plain, coalescing, finish, plain, segmenting
from aiotun.queueing import Classified
from aiotun.testing import leave_checksum

TCP, UDP = p.big(4), p.big_udp(6)
LACKING = leave_checksum(p.tcp(4))
PLAIN = p.tcp(4)
BROKEN = p.with_fields(TCP, gso_size=0)


@pytest.mark.parametrize("form", [plain, _plain])
def test_a_plain_batch(form: object) -> None:
    """Bytes and nothing else are plain; a super-packet or a marked packet among them makes a batch that is not."""
    assert callable(form)
    assert form([PLAIN, b""])
    for other in (TCP, LACKING, Classified(PLAIN, 1)):
        assert not form([PLAIN, other])


@pytest.mark.parametrize("packet", [TCP, UDP, p.big(6), p.big_udp(4)])
def test_super_packets_are_cut_in_their_places(packet: SuperPacket) -> None:
    """What a super-packet stands for comes in its place; plain packets are the same objects."""
    found = finish([PLAIN, packet, PLAIN])
    assert found == [PLAIN, *segment(packet), PLAIN]
    assert found[0] is PLAIN
    assert set(map(type, found)) == {bytes}


def test_frames_are_cut() -> None:
    """With *ethernet* the super-packets are frames."""
    frame = p.big(4, link=14)
    assert finish([frame], True) == segment(frame, True)


def test_a_checksum_is_finished() -> None:
    """A packet that only lacks its checksum becomes plain, and counts as no more than it is."""
    found = finish([LACKING])
    assert (found, type(found[0])) == ([complete(LACKING)], bytes)
    assert isinstance(found, Outcome) and found.created == 0


def test_a_super_packet_of_nothing() -> None:
    """One whose fields ask for nothing becomes plain bytes."""
    assert type(finish([SuperPacket(PLAIN)])[0]) is bytes


def test_a_batch_without_super_packets_is_itself() -> None:
    """Plain packets, and packets marked with their class, come back in the same list."""
    batch = [PLAIN, Classified(PLAIN, 1)]
    assert finish(batch) is batch


@pytest.mark.parametrize(
    ("whole", "stay"),
    [((), []), ((int(GSOType.NONE),), [LACKING]), ((int(GSOType.TCPV4),), [TCP]), ((int(GSOType.UDP_L4),), [UDP])],
)
def test_what_stays_whole(whole: tuple[int, ...], stay: list[bytes]) -> None:
    """Of the kinds in *whole* the packets are the same objects behind it, of the others they are cut."""
    found = finish([TCP, UDP, LACKING], whole=whole)
    assert [id(packet) for packet in found if isinstance(packet, SuperPacket)] == [id(packet) for packet in stay]


def test_ecn_is_of_its_kind() -> None:
    """GSO_ECN beside the type makes no other kind of it."""
    packet = p.with_fields(TCP, gso_type=int(GSOType.TCPV4) | 0x80)
    assert finish([packet], whole=(int(GSOType.TCPV4),))[0] is packet


def test_what_cannot_be_cut_is_dropped() -> None:
    """A super-packet with wrong fields is dropped under the reason of the error, and the others are cut."""
    found = finish([BROKEN, TCP, BROKEN])
    assert isinstance(found, Outcome)
    assert (found, found.dropped, found.created) == (segment(TCP), {"bad_gso_size": 2}, len(segment(TCP)) - 1)


def test_segments_keep_the_class() -> None:
    """The segments of a marked super-packet are marked with the same class."""
    found = finish([Classified(TCP, 7)])
    assert found == segment(TCP)
    assert {(packet.key, type(packet.packet)) for packet in found if isinstance(packet, Classified)} == {(7, bytes)}


def test_the_stage_that_cuts() -> None:
    """segmenting() is a stage called ``segment`` that takes super-packets."""
    path = Path("p")
    path.append(segmenting())
    assert path([TCP, BROKEN]) == segment(TCP)
    more = len(segment(TCP)) - 1
    dropped = {"bad_gso_size": 1}
    counted = StageStatistics(name="segment", entered=2, created=more, left=more + 1, dropped=dropped)
    assert path.statistics().stages == (counted,)


def test_the_stage_that_merges() -> None:
    """coalescing() is a stage called ``coalesce``; what it merged is counted, and the owner is told of no loss."""
    told: list[str] = []
    path = Path("p", drop=lambda reason, count: told.append(reason))
    path.append(coalescing())
    batch = p.stream(4, [100, 100, 100])
    assert path(batch) == coalesce(batch)
    assert path.statistics().stages == (
        StageStatistics(name="coalesce", entered=3, created=0, left=1, dropped={"merged": 2}),
    )
    assert told == []


def test_what_is_merged_is_chosen() -> None:
    """coalescing() passes its options on."""
    batch = [*p.stream(4, [100, 100]), *p.datagrams(4, [100, 100, 100])]
    assert coalescing(tcp=False, max_segments=2)(batch) == coalesce(batch, tcp=False, max_segments=2)


def test_in_front_of_a_plain_stage_they_are_cut_again() -> None:
    """A path that merges and then has a stage that takes no super-packets gives that stage plain packets."""
    seen: list[bytes] = []

    def look(batch: Batch) -> Batch:
        seen.extend(batch)
        return batch

    batch = p.stream(4, [100, 100, 100])
    assert Path("p", [("first", lambda batch: batch), ("coalesce", coalescing()), ("look", look)])(batch) == batch
    assert set(map(type, seen)) == {bytes}


@settings(deadline=None)
@given(st.lists(st.sampled_from([TCP, UDP, LACKING, PLAIN, BROKEN, Classified(TCP, 1), Classified(PLAIN, 2)])))
def test_nothing_is_lost_without_a_count(batch: list[bytes]) -> None:
    """Of any mixture: entered + created == left + dropped, the order stays, and nothing is left to be finished."""
    found = finish(batch)
    created, dropped = (found.created, found.dropped.total()) if isinstance(found, Outcome) else (0, 0)
    assert len(batch) + created == len(found) + dropped
    assert found == [one for packet in batch if packet is not BROKEN for one in _segments(packet)]
    assert not any(isinstance(getattr(packet, "packet", packet), SuperPacket) for packet in found)


def _segments(packet: bytes) -> list[bytes]:
    return segment(packet.packet if isinstance(packet, Classified) else packet)

"""Super-packets in a path: whole as long as they can be, cut in front of the first stage that does not take them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from offload import packets as p

from aiotun.capture import LinkType, PcapWriter
from aiotun.errors import PacketError
from aiotun.offload import segment
from aiotun.packet import SuperPacket
from aiotun.pipeline import Batch, Path, PathStatistics, StageStatistics, per_packet, stage
from aiotun.testing import leave_checksum

PLAIN = p.tcp(4)
BIG = p.big(4)
SEGMENTS = segment(BIG)
LACKING = leave_checksum(PLAIN)
BROKEN = p.with_fields(BIG, gso_size=0)


@stage(superpackets=True)
def whole(batch: Batch) -> Batch:
    return batch


def plain(batch: Batch) -> Batch:
    assert set(map(type, batch)) == {bytes}, "an unfinished packet came to a stage that takes none"
    return batch


def names(path: Path) -> list[str]:
    return [stage.name for stage in path.statistics().stages]


def test_whole_as_long_as_the_stages_take_them() -> None:
    """Through stages that take them, as from a tun to a tun, super-packets go as the same objects; none is cut."""
    path = Path("p", [("a", whole), ("b", whole)])
    assert [id(packet) for packet in path([BIG, LACKING, PLAIN])] == [id(BIG), id(LACKING), id(PLAIN)]
    assert names(path) == ["a", "b"]


def test_into_a_capture_they_go_whole() -> None:
    """A stage that writes a pcap file and takes super-packets gets the one large packet."""
    written: list[bytes] = []

    class File:
        def write(self, octets: bytes) -> None:
            written.append(octets)

    writer = PcapWriter(File(), LinkType.RAW)  # type: ignore[arg-type]

    @stage(superpackets=True)
    def capture(batch: Batch) -> Batch:
        for packet in batch:
            writer.write(packet, 0.0)
        return batch

    assert Path("p", [("capture", capture)])([BIG])[0] is BIG
    assert written[-1][-len(BIG) :] == BIG


def test_they_are_cut_in_front_of_the_first_plain_stage() -> None:
    """Stages in front of the one that takes none get them whole, those behind it get the packets."""
    seen: list[Batch] = []

    @stage(superpackets=True)
    def look(batch: Batch) -> Batch:
        seen.append(list(batch))
        return batch

    path = Path("p", [("before", look), ("plain", plain), ("behind", look)])
    assert path([BIG, PLAIN]) == [*SEGMENTS, PLAIN]
    assert seen == [[BIG, PLAIN], [*SEGMENTS, PLAIN]]
    assert isinstance(seen[0][0], SuperPacket)


def test_the_edge_is_counted() -> None:
    """What cutting added is created at ``segment for`` the stage, between the counters of its neighbors."""
    path = Path("p", [("whole", whole), ("plain", plain)])
    path([BIG, BROKEN, PLAIN])
    left = len(SEGMENTS) + 1
    dropped = {"bad_gso_size": 1}
    assert path.statistics().stages == (
        StageStatistics(name="whole", entered=3, created=0, left=3, dropped={}),
        StageStatistics(name="segment for plain", entered=3, created=len(SEGMENTS) - 1, left=left, dropped=dropped),
        StageStatistics(name="plain", entered=left, created=0, left=left, dropped={}),
    )


def test_a_finished_checksum_shows_the_edge() -> None:
    """An edge that only finished a checksum is shown as well."""
    path = Path("p", [("plain", plain)])
    assert path([LACKING]) == [PLAIN]
    assert names(path) == ["segment for plain", "plain"]


def test_the_owner_is_told_of_what_could_not_be_cut() -> None:
    """A super-packet that cannot be cut is a drop of the path, under the error's reason."""
    told: list[tuple[str, int]] = []
    path = Path("p", [("plain", plain)], drop=lambda reason, count: told.append((reason, count)))
    assert path([BROKEN]) == []
    assert told == [("bad_gso_size", 1)]


def test_an_edge_without_super_packets_is_not_shown() -> None:
    """While no super-packet came a path looks like its stages."""
    path = Path("p", [("whole", whole), ("plain", plain)])
    path([PLAIN])
    assert names(path) == list(path) == ["whole", "plain"]
    assert len(path) == 2


def test_a_picture_has_the_edge() -> None:
    """describe() and graph() show the edge like a stage."""
    path = Path("p", [("plain", plain)])
    path([BIG])
    assert path.describe().splitlines()[2:] == [
        f"  segment for plain          1 {len(SEGMENTS):>10}",
        f"  plain             {len(SEGMENTS):>10} {len(SEGMENTS):>10}",
    ]
    assert f"s0 -->|{len(SEGMENTS)}| s1" in path.graph()


def test_an_edge_is_no_stage_to_change() -> None:
    """The edge cannot be named, replaced or removed: it is there as long as its stage is."""
    path = Path("p", [("plain", plain)])
    path([BIG])
    with pytest.raises(LookupError, match="^p: no stage 'segment for plain'; it has plain$"):
        path.remove("segment for plain")
    path.remove("plain")
    assert names(path) == []
    assert path([BIG])[0] is BIG


def test_one_edge_for_plain_stages_in_a_row() -> None:
    """Behind a stage that takes none there is nothing to cut."""
    path = Path("p", [("a", plain), ("b", plain)])
    path([BIG])
    assert names(path) == ["segment for a", "a", "b"]


def test_a_stage_that_makes_them_wants_another_edge() -> None:
    """Super-packets that a stage behind a plain one makes are cut again in front of the next plain one."""

    @stage(superpackets=True)
    def make(batch: Batch) -> Batch:
        return [BIG]

    path = Path("p", [("a", plain), ("make", make), ("b", plain)])
    assert path([PLAIN]) == SEGMENTS
    assert names(path) == ["a", "make", "segment for b", "b"]


def test_putting_a_stage_in_moves_the_edge() -> None:
    """A plain stage put in front of another takes the edge over; one that takes super-packets leaves it."""
    path = Path("p", [("b", plain)])
    path([BIG])
    path.insert_before("b", whole, name="w")
    assert names(path) == ["w", "segment for b", "b"]
    path.insert_before("b", plain, name="a")
    path([BIG])
    assert names(path) == ["w", "segment for a", "a", "b"]


def test_the_edge_keeps_its_counters_through_changes() -> None:
    """A change elsewhere in the path leaves the edge's counters alone."""
    path = Path("p", [("b", plain)])
    path([BIG])
    path.append(whole)
    assert path.statistics().stages[0].entered == 1


def test_replacing_by_a_stage_that_takes_them() -> None:
    """The edge goes with the stage it was for."""
    path = Path("p", [("a", plain)])
    path([BIG])
    path.replace("a", whole)
    assert path([BIG])[0] is BIG
    assert path.statistics().created == len(SEGMENTS) - 1


def test_frames() -> None:
    """A path of frames cuts frames."""
    frame = p.big(4, link=18)
    assert Path("p", [("plain", plain)], ethernet=True)([frame]) == segment(frame, True)


def test_a_path_in_a_path_gets_them_whole() -> None:
    """A path takes super-packets as a stage, and cuts them where it needs to."""
    inner = Path("inner", [("whole", whole)])
    assert Path("outer", [("inner", inner)])([BIG])[0] is BIG
    inner.append(plain)
    assert Path("outer", [("inner", inner)])([BIG]) == SEGMENTS
    assert "segment for plain" in names(inner)


def test_a_lifted_function_takes_none() -> None:
    """per_packet() makes a plain stage unless it is told otherwise."""
    sizes: list[int] = []

    def size(packet: bytes) -> bytes:
        sizes.append(len(packet))
        return packet

    Path("p", [("size", per_packet(size))])([BIG])
    Path("p", [("size", per_packet(size, superpackets=True))])([BIG])
    assert sizes == [*map(len, SEGMENTS), len(BIG)]


def test_an_error_of_a_stage_behind_drops_the_segments() -> None:
    """What a stage raises over is dropped by the number of packets it was given."""

    def fail(batch: Batch) -> Batch:
        raise PacketError(reason="bad")

    path = Path("p", [("fail", fail)])
    with pytest.raises(PacketError):
        path([BIG])
    assert path.statistics().dropped == {"bad": len(SEGMENTS)}
    assert path.statistics().entered == 1


def drop_last(batch: Batch) -> Batch:
    return batch[:-1]


STAGES = st.sampled_from([whole, plain, stage(superpackets=True)(lambda batch: [*batch, BIG]), drop_last])


@settings(deadline=None)
@given(
    st.lists(STAGES, max_size=6),
    st.lists(st.lists(st.sampled_from([PLAIN, BIG, LACKING, BROKEN, p.big_udp(6)]), max_size=4), max_size=5),
)
def test_the_law_holds(stages: list[object], batches: list[list[bytes]]) -> None:
    """With any stages and any mixture: what enters and is created leaves or is dropped, edge by edge and in all."""
    told = 0

    def drop(reason: str, count: int) -> None:
        nonlocal told
        told += count

    path = Path("p", [(str(index), stage) for index, stage in enumerate(stages)], drop=drop)  # type: ignore[misc]
    left = sum(len(path(batch)) for batch in batches)
    counted = path.statistics()
    assert (counted.entered, counted.left, sum(counted.dropped.values())) == (sum(map(len, batches)), left, told)
    edges = [counted.entered, *(stage.left for stage in counted.stages)]
    assert [stage.entered for stage in counted.stages] == edges[:-1]
    assert edges[-1] == left
    every: list[PathStatistics | StageStatistics] = [counted, *counted.stages]
    for one in every:
        assert one.entered + one.created == one.left + sum(one.dropped.values())

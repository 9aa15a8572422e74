"""Recording every edge of a path."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun import SoftHost
from aiotun.capture import LinkType, PcapngWriter, watch
from aiotun.errors import DeviceDown
from aiotun.packet import GSOType, SuperPacket
from aiotun.pipeline import Batch, Outcome, Path, per_packet, stage
from capture.tools import IPV4, IPV6, by_tshark, read


def keep(batch: Batch) -> Batch:
    return batch


@stage(reason="not_wanted")
def filter(batch: Batch) -> Batch:
    return [packet for packet in batch if b"drop" not in packet]


def strip(batch: Batch) -> Batch:
    return [packet[1:] for packet in batch if b"drop" not in packet]


def fail(batch: Batch) -> Batch:
    raise DeviceDown("tun0: down")


def double(batch: Batch) -> Batch:
    return [*batch, *batch]


def decide(batch: Batch) -> Batch:
    outcome = Outcome()
    outcome.extend(batch[:1])
    outcome.dropped["late"] = 1
    outcome.dropped["early"] = len(batch) - 2
    return outcome


def path_of(*stages: object) -> Path:
    return Path("tun0 output", [(stage.__name__, stage) for stage in stages], ends=("stack", "snd"))  # type: ignore


Edge = list[tuple[bytes, tuple[str, ...]]]


def recorded(file: FilePath, path: Path, *batches: list[bytes]) -> dict[str, Edge]:
    """Take batches through a watched path; return the packets and comments of each edge."""
    with PcapngWriter(file) as writer, watch(path, writer, direction="out"):
        for batch in batches:
            path(batch)
    edges: dict[str, Edge] = {interface.name.removeprefix("tun0 output: "): [] for interface in writer.interfaces}
    for one in read(file):
        assert one.direction == "out"
        edges[one.interface.name.removeprefix("tun0 output: ")].append((one.packet, one.comments))
    return edges


@pytest.fixture
def file(tmp_path: FilePath) -> FilePath:
    return tmp_path / "path.pcapng"


def test_every_edge_is_an_interface(file: FilePath) -> None:
    """A packet is on every edge it passed; one that is dropped says so on the last, with stage and reason."""
    assert recorded(file, path_of(keep, filter, double), [b"pass", b"drop"]) == {
        "stack -> keep": [(b"pass", ()), (b"drop", ())],
        "keep -> filter": [(b"pass", ()), (b"drop", ("dropped by filter: not_wanted",))],
        "filter -> double": [(b"pass", ())],
        "double -> snd": [(b"pass", ()), (b"pass", ())],
    }
    assert ["tun0 output: keep -> filter", "dropped by filter: not_wanted"] in by_tshark(
        file, "frame.interface_name", "frame.comment"
    )


def test_a_batch_of_which_nothing_is_left(file: FilePath) -> None:
    """A batch that is dropped as a whole is on the edge in front of its end, and on none behind."""
    assert recorded(file, path_of(filter, keep), [b"drop", b"drop"]) == {
        "stack -> filter": [(b"drop", ("dropped by filter: not_wanted",))] * 2,
        "filter -> keep": [],
        "keep -> snd": [],
    }


def test_a_stage_that_raises(file: FilePath) -> None:
    """What an error drops has the reason that the path counts; the error is raised all the same."""
    path = path_of(keep, fail)
    with PcapngWriter(file) as writer, watch(path, writer), pytest.raises(DeviceDown):
        path([b"one"])
    assert [one.comments for one in read(file)] == [(), ("dropped by fail: down",)]


def test_a_stage_that_changes_packets(file: FilePath) -> None:
    """A packet that comes out as another says so, and the other is behind the stage."""
    assert recorded(file, path_of(strip), [b"xpass"]) == {
        "stack -> strip": [(b"xpass", ("changed by strip",))],
        "strip -> snd": [(b"pass", ())],
    }


def test_a_stage_that_changes_and_drops(file: FilePath) -> None:
    """Where nobody can know which packets were dropped, the comment claims no more than is known."""
    comment = ("changed by strip, or one of 1 of 2 dropped: strip",)
    assert recorded(file, path_of(strip), [b"xpass", b"drop"]) == {
        "stack -> strip": [(b"xpass", comment), (b"drop", comment)],
        "strip -> snd": [(b"pass", ())],
    }


def test_a_stage_that_says_why(file: FilePath) -> None:
    """The reasons of an Outcome are told."""
    edges = recorded(file, path_of(decide), [b"1", b"2", b"3"])
    assert edges["stack -> decide"][1:] == [
        (b"2", ("dropped by decide: late or early",)),
        (b"3", ("dropped by decide: late or early",)),
    ]


def test_the_same_packet_twice(file: FilePath) -> None:
    """Of one packet that is twice in a batch, and dropped once, one is dropped."""
    packet = b"twin"
    path = Path("tun0 output", [("first", lambda batch: batch[:1])], ends=("stack", "snd"))
    edges = recorded(file, path, [packet, packet])
    assert edges["stack -> first"] == [(packet, ()), (packet, ("dropped by first: first",))]


def test_super_packets_stay_whole(file: FilePath) -> None:
    """Watching cuts no super-packet where the stages take it, and records it as one."""
    packet = SuperPacket(IPV4, GSOType.NONE, csum_start=20, csum_offset=6, needs_csum=True)
    whole = per_packet(lambda packet: packet, superpackets=True)
    path = Path("tun0 output", [("whole", whole)])
    with PcapngWriter(file) as writer, watch(path, writer):
        assert path([packet])[0] is packet
    assert [type(one.packet) for one in read(file)] == [SuperPacket, SuperPacket]


def test_the_counters_go_on(file: FilePath) -> None:
    """Watching changes nothing of a path: stages, marks and counters are what they were."""
    path, plain = path_of(keep, filter), path_of(keep, filter)
    batch = [b"pass", b"drop"]
    path(batch)
    with PcapngWriter(file) as writer:
        with watch(path, writer):
            path(batch)
        path(batch)
    for _ in range(3):
        plain(batch)
    assert path.statistics() == plain.statistics()
    assert (path["keep"], path["filter"]) == (keep, filter)


def test_stages_changed_meanwhile(file: FilePath) -> None:
    """Stages may be taken out, replaced and put in while a path is watched; the watch ends without them."""
    path = path_of(keep, filter, strip)
    with PcapngWriter(file) as writer, watch(path, writer):
        path.remove("keep")
        path.replace("filter", double)
        path.append(fail)
        path.remove("fail")
        path([b"xyz"])
    assert (list(path), path["filter"], path["strip"]) == (["filter", "strip"], double, strip)


def test_watched_twice(tmp_path: FilePath) -> None:
    """Two watches of one path see the same, and end in any order."""
    path = path_of(filter)
    with PcapngWriter(tmp_path / "1") as one, PcapngWriter(tmp_path / "2") as two:
        first, second = watch(path, one), watch(path, two)
        path([b"drop"])
        first.close()
        second.close()
        second.close()
        path([b"drop"])
    assert [found.comments for found in read(tmp_path / "1")] == [("dropped by filter: not_wanted",)]
    assert len(read(tmp_path / "2")) == 1


def test_no_stage(file: FilePath) -> None:
    """A path without stages has no edge to watch."""
    with (
        PcapngWriter(file) as writer,
        pytest.raises(ValueError, match="^tun0 output: there is no stage to watch; append the"),
    ):
        watch(path_of(), writer)


async def test_an_interface_of_a_soft_host(file: FilePath) -> None:
    """The paths of a running interface are recorded: a packet that its full queue dropped says so."""
    async with SoftHost() as host, host.open_tun("tun0", address="10.8.0.1/24", queue_length=1) as tun:
        interface = host.interface("tun0")
        with PcapngWriter(file) as writer, watch(interface.output, writer, direction="out"):
            interface.output([IPV4, IPV6])
        assert await tun.recv() == IPV4
    comments = {one.comments for one in read(file) if one.packet == IPV6}
    assert ("dropped by enqueue: queue_full",) in comments


@given(st.lists(st.lists(st.sampled_from([b"pass", b"drop", b"other"]), max_size=5), max_size=4))
def test_conservation(batches: Iterable[list[bytes]]) -> None:
    """What an edge has and the next has not is what says that it was dropped."""
    file = io.BytesIO()
    path = path_of(filter, keep)
    with PcapngWriter(file) as writer, watch(path, writer):
        for batch in batches:
            path(batch)
    found = read(file.getvalue())
    dropped = [one for one in found if one.comments]
    counts = [sum(one.interface.index == index for one in found) for index in range(3)]
    assert counts[0] == counts[1] + len(dropped) == counts[2] + len(dropped)
    assert len(dropped) == path.statistics().dropped.get("not_wanted", 0)


@pytest.mark.parametrize(("ethernet", "linktype"), [(True, LinkType.ETHERNET), (False, LinkType.RAW)])
def test_frames_and_packets(file: FilePath, ethernet: bool, linktype: int) -> None:
    """What the packets begin with is known from the path, unless it is said."""
    path = Path("p", [("keep", keep)], ethernet=ethernet)
    with PcapngWriter(file) as writer, watch(path, writer), watch(path, writer, linktype=LinkType.IPV4):
        path([IPV4])
    assert [one.interface.linktype for one in read(file)] == [linktype, linktype, LinkType.IPV4, LinkType.IPV4]

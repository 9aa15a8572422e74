"""The bridge: learning, flooding, ageing, and members that come and go."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.endpoint import Event, EventKind
from aiotun.errors import DeviceBusy, DeviceClosed, DeviceGone
from aiotun.host.bridge import Bridge, Station
from aiotun.host.member import MemberStatistics
from aiotun.packet import VLAN, Ethernet, EtherType

from .fakes import EVERYBODY, FakeLink, fake_tap, faulty

A, B, C, D = (bytes((2, 0, 0, 0, 0, number)) for number in (0xA, 0xB, 0xC, 0xD))
GROUP = bytes.fromhex("01005e000001")

Taps = tuple[FakeLink, FakeLink, FakeLink]


@pytest.fixture
def taps() -> Taps:
    return fake_tap("tap0"), fake_tap("tap1"), fake_tap("tap2")


@pytest.fixture
def bridge(taps: Taps) -> Bridge:
    return Bridge("br0", taps)


def frame(src: bytes, dst: bytes = EVERYBODY, size: int = 100) -> bytes:
    return Ethernet(dst, src, EtherType.IPV4, bytes(size)).build()


def outputs(taps: Taps) -> list[list[bytes]]:
    return [tap.packets for tap in taps]


# --- forwarding ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dst", [EVERYBODY, GROUP, B])
def test_flooding(bridge: Bridge, taps: Taps, dst: bytes) -> None:
    """Frames for everybody, for a group or for an unknown station leave by every other member."""
    one = frame(A, dst)
    bridge.input(taps[0], [one], 0.0)
    assert outputs(taps) == [[], [one], [one]]


def test_forwarding(bridge: Bridge, taps: Taps) -> None:
    """A frame for a station that was heard leaves where it was heard."""
    bridge.input(taps[1], [frame(B)], 0.0)
    one = frame(A, B)
    bridge.input(taps[0], [one], 1.0)
    assert outputs(taps) == [[frame(B)], [one], [frame(B)]]


def test_one_batch_for_each(bridge: Bridge, taps: Taps) -> None:
    """The frames of a batch leave in one batch for each member, in order."""
    bridge.input(taps[1], [frame(B)], 0.0)
    for tap in taps:
        tap.batches.clear()
    first, second, third = frame(A), frame(A, B), frame(A, GROUP)
    bridge.input(taps[0], [first, second, third], 1.0)
    assert [tap.batches for tap in taps] == [[], [[first, second, third]], [[first, third]]]


def test_a_station_learned_in_the_same_batch(bridge: Bridge, taps: Taps) -> None:
    """A frame back to a station of the same member does not leave."""
    bridge.input(taps[0], [frame(A), frame(B, A)], 0.0)
    assert outputs(taps) == [[], [frame(A)], [frame(A)]]
    assert taps[0].dropped == {"same_member": 1}


def test_a_station_that_moved(bridge: Bridge, taps: Taps) -> None:
    """A station heard elsewhere is there from now on."""
    bridge.input(taps[1], [frame(B)], 0.0)
    bridge.input(taps[2], [frame(B)], 1.0)
    bridge.input(taps[0], [frame(A, B)], 2.0)
    assert frame(A, B) in taps[2].packets
    assert frame(A, B) not in taps[1].packets


@pytest.mark.parametrize(
    ("one", "reason"), [(b"", "short_header"), (frame(A)[:13], "short_header"), (frame(GROUP), "bad_source")]
)
def test_frames_that_are_none(bridge: Bridge, taps: Taps, one: bytes, reason: str) -> None:
    """A frame without a whole header, or from a group, is dropped and teaches nothing."""
    bridge.input(taps[0], [one], 0.0)
    assert outputs(taps) == [[], [], []]
    assert taps[0].dropped == {reason: 1}
    assert bridge.statistics()["tap0"].dropped == {reason: 1}
    assert bridge.table(0.0) == ()


def test_a_header_is_a_frame(bridge: Bridge, taps: Taps) -> None:
    """14 bytes are enough."""
    bridge.input(taps[0], [frame(A)[:14]], 0.0)
    assert outputs(taps)[1] == [frame(A)[:14]]


def test_nobody_else(taps: Taps) -> None:
    """A frame that no other member can take is dropped; its station is known all the same."""
    bridge = Bridge("br0", taps[:1])
    bridge.input(taps[0], [frame(A)], 0.0)
    assert taps[0].dropped == {"nowhere": 1}
    assert bridge.table(0.0) == (Station(A, "tap0", 0.0),)


def test_tags_stay(bridge: Bridge, taps: Taps) -> None:
    """A frame with a VLAN tag passes unchanged, also one that is only longer by its tag."""
    tagged = Ethernet(EVERYBODY, A, EtherType.IPV4, bytes(1500), vlans=[VLAN(5)]).build()
    bridge.input(taps[0], [tagged], 0.0)
    assert outputs(taps) == [[], [tagged], [tagged]]


# --- the table ----------------------------------------------------------------------------------


def test_the_table(bridge: Bridge, taps: Taps) -> None:
    """The table says where each station was heard and how long ago, the last one last."""
    bridge.input(taps[0], [frame(A)], 1.0)
    bridge.input(taps[1], [frame(B)], 2.0)
    bridge.input(taps[0], [frame(A)], 3.0)
    assert bridge.table(10.0) == (Station(B, "tap1", 8.0), Station(A, "tap0", 7.0))


@pytest.mark.parametrize(("now", "stays"), [(299.9, True), (300.0, False)])
def test_ageing(bridge: Bridge, taps: Taps, now: float, stays: bool) -> None:
    """A station not heard for 300 seconds is forgotten, in the table and in forwarding."""
    bridge.input(taps[1], [frame(B)], 0.0)
    bridge.input(taps[0], [frame(A, B)], now)
    assert (frame(A, B) in taps[2].packets) != stays
    assert (B in {station.mac for station in bridge.table(now)}) == stays


def test_how_a_station_reads() -> None:
    """The Ethernet address reads as people write it."""
    assert repr(Station(A, "tap0", 1.5)) == "Station(mac=02:00:00:00:00:0a, member='tap0', age=1.5)"


def test_ageing_of_your_own(taps: Taps) -> None:
    """The time to forget may be chosen; a frame counts anew."""
    bridge = Bridge("br0", taps, ageing=10.0)
    bridge.input(taps[0], [frame(A)], 0.0)
    bridge.input(taps[0], [frame(A)], 9.0)
    assert len(bridge.table(18.9)) == 1
    assert len(bridge.table(19.0)) == 0


def test_the_table_is_bounded(taps: Taps) -> None:
    """The station not heard for longest makes room for a new one; a known one needs none."""
    bridge = Bridge("br0", taps, limit=2)
    bridge.input(taps[0], [frame(A), frame(B), frame(A), frame(C), frame(A)], 0.0)
    assert [station.mac for station in bridge.table(0.0)] == [C, A]


def test_the_usual_bound(bridge: Bridge, taps: Taps) -> None:
    """1024 stations are remembered."""
    bridge.input(taps[0], [frame(b"\x02\0\0\0" + number.to_bytes(2, "big")) for number in range(1030)], 0.0)
    assert len(bridge.table(0.0)) == 1024


def test_the_clock_of_the_machine(bridge: Bridge, taps: Taps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a time the monotonic clock is asked."""
    now = 5.0
    monkeypatch.setattr("aiotun.host.bridge.time.monotonic", lambda: now)
    bridge.input(taps[0], [frame(A)])
    now = 8.0
    assert bridge.table() == (Station(A, "tap0", 3.0),)


# --- members ------------------------------------------------------------------------------------


def test_a_member_that_is_down(bridge: Bridge, taps: Taps) -> None:
    """A member that is down is skipped, and its stations are flooded to again."""
    bridge.input(taps[1], [frame(B)], 0.0)
    bridge.input(taps[2], [frame(C)], 0.0)
    taps[1].set_up(False)
    bridge.input(taps[0], [frame(A, B)], 1.0)
    assert frame(A, B) not in taps[1].packets
    assert taps[2].packets == [frame(B), frame(A, B)]
    assert [station.mac for station in bridge.table(1.0)] == [C, A]
    assert taps[1].dropped == {}


def test_a_member_that_comes_up_again(bridge: Bridge, taps: Taps) -> None:
    """A member that is up again takes part; going up forgets nothing."""
    taps[1].set_up(False)
    bridge.input(taps[0], [frame(A)], 0.0)
    taps[1].set_up(True)
    taps[0].tell(EventKind.UP)
    bridge.input(taps[1], [frame(B, A)], 0.0)
    assert taps[0].packets == [frame(B, A)]


def test_a_member_that_is_deleted(bridge: Bridge, taps: Taps) -> None:
    """A deleted member is no member any more."""
    bridge.input(taps[1], [frame(B)], 0.0)
    taps[1].destroy()
    assert bridge.members == (taps[0], taps[2])
    assert bridge.table(0.0) == ()
    assert not taps[1].listeners


def test_a_member_added_live(bridge: Bridge, taps: Taps) -> None:
    """A member that was added takes part from then on."""
    late = fake_tap("tap9")
    bridge.input(taps[0], [frame(A)], 0.0)
    bridge.add(late)
    assert late in bridge
    bridge.input(taps[0], [frame(A, GROUP)], 0.0)
    assert late.packets == [frame(A, GROUP)]


def test_a_member_removed_live(bridge: Bridge, taps: Taps) -> None:
    """A member that was removed hears nothing any more, nor is it listened to."""
    bridge.input(taps[1], [frame(B)], 0.0)
    bridge.remove(taps[1])
    bridge.input(taps[0], [frame(A, B)], 0.0)
    assert taps[1].packets == []
    assert not taps[1].listeners
    assert taps[1] not in bridge
    assert list(bridge.statistics()) == ["tap0", "tap2"]


def test_closing(bridge: Bridge, taps: Taps) -> None:
    """A closed bridge has no members, and listens to none."""
    bridge.close()
    assert bridge.members == ()
    assert not any(tap.listeners for tap in taps)


def test_closing_once(bridge: Bridge, taps: Taps) -> None:
    """A closed bridge says so, takes no member any more, and may be closed again."""
    assert not bridge.closed
    bridge.close()
    bridge.close()
    assert bridge.closed
    with pytest.raises(DeviceClosed, match="^br0: the bridge is closed$"):
        bridge.add(taps[0])
    assert not taps[0].listeners


@pytest.mark.parametrize("kind", [EventKind.GONE, EventKind.DOWN])
def test_an_event_of_a_member_that_left(bridge: Bridge, taps: Taps, kind: EventKind) -> None:
    """A member may leave while the word of its end is on the way."""
    (tell,) = taps[1].listeners
    bridge.remove(taps[1])
    tell(Event(kind))
    assert bridge.members == (taps[0], taps[2])


def test_a_bridge_that_was_not_made(taps: Taps) -> None:
    """A bridge that a member is refused for listens to none, and is not among the others."""
    among: dict[str, Bridge] = {}
    with pytest.raises(ValueError, match="^br0: tun0 is not a tap, a bridge takes frames$"):
        Bridge("br0", [taps[0], FakeLink("tun0")], among=among)
    assert not taps[0].listeners
    assert among == {}


def test_among_others(taps: Taps) -> None:
    """Of the bridges of a host one takes a tap; a closed one is none of them, and leaves it to another."""
    among: dict[str, Bridge] = {}
    one, other = Bridge("br0", taps[:1], among=among), Bridge("br1", taps[1:], among=among)
    assert among == {"br0": one, "br1": other}
    with pytest.raises(DeviceBusy, match="^br1: tap0 is a member of br0$"):
        other.add(taps[0])
    with pytest.raises(DeviceBusy, match="^br0: tap0 is a member already$"):
        one.add(taps[0])
    one.close()
    one.close()
    assert among == {"br1": other}
    other.add(taps[0])
    third = Bridge("br0", among=among)
    one.close()
    assert among == {"br1": other, "br0": third}


def test_twice_a_member(bridge: Bridge, taps: Taps) -> None:
    """A tap is a member once."""
    with pytest.raises(DeviceBusy, match="^br0: tap0 is a member already$") as caught:
        bridge.add(taps[0])
    assert caught.value.errno == errno.EBUSY


def test_a_tun(bridge: Bridge) -> None:
    """A tun has no frames to bridge."""
    with pytest.raises(ValueError, match="^br0: tun0 is not a tap, a bridge takes frames$"):
        bridge.add(FakeLink("tun0"))


def test_a_stranger(bridge: Bridge) -> None:
    """What is no member cannot be removed, nor be where frames enter."""
    with pytest.raises(DeviceGone, match="^br0: tap9 is not a member$"):
        bridge.remove(fake_tap("tap9"))
    with pytest.raises(DeviceGone, match="^br0: tap9 is not a member$"):
        bridge.input(fake_tap("tap9"), [frame(A)])


def test_reprs(bridge: Bridge) -> None:
    """The repr says who is in it."""
    assert repr(bridge) == "<Bridge br0 tap0 tap1 tap2>"
    assert repr(Bridge("br1")) == "<Bridge br1 without members>"


# --- counting -----------------------------------------------------------------------------------


def test_what_a_member_refuses(bridge: Bridge, taps: Taps) -> None:
    """A full, a closed and a small member lose frames of their own, and the others get theirs."""
    taps[1].room = 1
    taps[2].mtu = 100
    bridge.input(taps[0], [frame(A, size=100), frame(A, size=101)], 0.0)
    assert outputs(taps) == [[], [frame(A, size=100)], [frame(A, size=100)]]
    assert taps[2].dropped == {"too_big": 1}
    taps[2].open = False
    bridge.input(taps[0], [frame(A, size=1)], 0.0)
    counts = bridge.statistics()
    assert counts["tap1"].refused == {"queue_full": 2}
    assert counts["tap2"].refused == {"too_big": 1, "down": 1}
    assert [counts[name].sent for name in ("tap1", "tap2")] == [1, 1]


def test_nothing_but_long_frames(bridge: Bridge, taps: Taps) -> None:
    """A member for which nothing is short enough is not bothered."""
    taps[1].mtu = taps[2].mtu = 100
    bridge.input(taps[0], [frame(A, size=101)], 0.0)
    assert [tap.batches for tap in taps] == [[], [], []]


def test_a_member_that_raises(bridge: Bridge, taps: Taps) -> None:
    """A stage that raises is that member's loss, counted as a fault; the others get theirs, the first surfaces."""
    late = fake_tap("tap9")
    bridge.add(late)
    faulty(taps[1], RuntimeError("a fault"))
    faulty(late, RuntimeError("a later fault"))
    with pytest.raises(RuntimeError, match="^a fault$"):
        bridge.input(taps[0], [frame(A), frame(B)], 0.0)
    assert taps[2].packets == [frame(A), frame(B)]
    counts = bridge.statistics()
    assert [counts[name].refused for name in ("tap1", "tap2", "tap9")] == [{"fault": 2}, {}, {"fault": 2}]
    assert (counts["tap1"].offered, counts["tap1"].sent) == (2, 0)


@pytest.mark.parametrize(("times", "sent", "refused"), [(0, 0, {"queue_full": 2}), (2, 2, {})])
def test_a_stage_that_changes_the_batch(
    bridge: Bridge, taps: Taps, times: int, sent: int, refused: dict[str, int]
) -> None:
    """A stage may change the list it is given: frames are counted as they were offered, and no other sees it."""

    def output(batch: list[bytes]) -> list[bytes]:
        batch[:] *= times
        return batch

    taps[1].output = output  # type: ignore[method-assign]
    bridge.input(taps[0], [frame(A), frame(B)], 0.0)
    counts = bridge.statistics()["tap1"]
    assert (counts.offered, counts.sent, counts.refused) == (2, sent, refused)
    assert taps[2].packets == [frame(A), frame(B)]


def test_statistics(bridge: Bridge, taps: Taps) -> None:
    """Every frame is counted where it came in, and where it went out."""
    bridge.input(taps[1], [frame(B)], 0.0)
    bridge.input(taps[0], [frame(A, B), frame(A), frame(A, A), b""], 0.0)
    counts = bridge.statistics()
    assert counts["tap0"] == MemberStatistics(
        received=4,
        forwarded=1,
        flooded=1,
        dropped={"same_member": 1, "short_header": 1},
        offered=1,
        sent=1,
        refused={},
    )
    assert counts["tap1"].offered == counts["tap1"].sent == 2
    assert counts["tap2"].offered == counts["tap2"].sent == 2


MACS = st.sampled_from([A, B, C, D, EVERYBODY])
STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.builds(frame, MACS, MACS, st.integers(0, 130)) | st.just(b""), max_size=5))
)


@settings(deadline=None)
@given(STEPS, st.integers(0, 20))
def test_nothing_is_lost(steps: list[tuple[int, list[bytes]]], room: int) -> None:
    """For every member in and out add up, and no frame leaves where it came in."""
    taps = fake_tap("tap0"), fake_tap("tap1", mtu=100), fake_tap("tap2")
    taps[2].room = room
    bridge = Bridge("br0", taps, limit=3, ageing=3.0)
    for now, (number, frames) in enumerate(steps):
        before = len(taps[number].packets)
        bridge.input(taps[number], frames, float(now))
        assert len(taps[number].packets) == before
    for tap in taps:
        counts = bridge.statistics()[tap.name]
        assert counts.received == counts.forwarded + counts.flooded + sum(counts.dropped.values())
        assert counts.offered == counts.sent + sum(counts.refused.values())
        assert counts.sent == len(tap.packets)
    assert len(bridge.table(float(len(steps)))) <= 3

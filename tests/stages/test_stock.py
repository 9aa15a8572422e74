"""What every stage of the room promises: conservation, no errors, no dependence on how packets come in batches."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packet import strategies as s

from aiotun import stages
from aiotun.offload import segment
from aiotun.packet import SuperPacket
from aiotun.pipeline import Path
from aiotun.queueing import Fifo, TokenBucket

from .packets import ENDS, HERE, MSS, Clock, Sink, echo, fields_of, partial, superpacket, tcp, udp

Make = Callable[[], stages.Stock]


def errors() -> stages.ICMPErrors:
    """Somebody to tell, without a limit that would be used up."""
    return stages.ICMPErrors(Sink(), HERE[4], HERE[6], burst=10**9, clock=Clock())


def nat() -> stages.Nat:
    """A NAT with an address of both versions, to which some of the packets go."""
    return stages.Nat(ENDS[4][1], ENDS[6][1], seed=1, clock=Clock(), filtering="endpoint_independent")


def nat_used() -> stages.Stock:
    """The way in of a NAT that has sessions."""
    used = nat()
    used.outbound([packet for packet in s.PACKETS if packet[0]])
    return used.inbound


# Every stage, whether it takes super-packets, and whether it leaves the packets as they are.
TABLE: dict[str, tuple[Make, bool]] = {
    "clamp_mss": (lambda: stages.clamp_mss(1300), True),
    "corrupt": (lambda: stages.corrupt(0.5, seed=1), False),
    "count": (lambda: stages.count(limit=2), True),
    "decrement_ttl": (lambda: stages.decrement_ttl(errors()), True),
    "delay": (lambda: stages.delay(1.0, limit=3, clock=Clock()), True),
    "delay of none": (lambda: stages.delay(0.0, clock=Clock()), True),
    "duplicate": (lambda: stages.duplicate(0.5, seed=1), True),
    "filter": (lambda: stages.filter(lambda packet: len(packet) % 2), True),
    "fragment": (lambda: stages.fragment(68, errors()), False),
    "lose": (lambda: stages.lose(0.5, seed=1), True),
    "lose in bursts": (lambda: stages.lose(0.5, burst=3, seed=1), True),
    "nat_inbound": (nat_used, True),
    "nat_outbound": (lambda: nat().outbound, True),
    "packet_too_big": (lambda: stages.packet_too_big(68, errors()), True),
    "police": (lambda: stages.police(8000, 500, clock=Clock()), False),
    "police with room": (lambda: stages.police(8000, 70000, clock=Clock()), True),
    "reorder": (lambda: stages.reorder(0.5, seed=1), True),
    "reply": (lambda: stages.reply(Sink(), s.B4, s.B6), True),
    "route": (lambda: stages.route(lambda address: address[-1] % 3 or None, {1: None, 2: Sink()}, errors()), True),
    "shape": (lambda: stages.shape(TokenBucket(8000, 200, Fifo(50)), clock=Clock()), False),
}

every_stage = pytest.mark.parametrize("make", [make for make, _ in TABLE.values()], ids=TABLE)

SUPERPACKETS = st.sampled_from(
    [superpacket(4), superpacket(6), superpacket(4, protocol=17), partial(tcp()), partial(udp(6))]
)
BATCHES = st.lists(st.one_of(s.hostile_packets, SUPERPACKETS, st.sampled_from([tcp(), udp(6), echo()])), max_size=12)


@pytest.mark.parametrize("name", TABLE)
def test_superpackets(name: str) -> None:
    """A stage says by ``superpackets`` whether it takes them whole, and its path asks."""
    make, whole = TABLE[name]
    assert make().superpackets is whole


@every_stage
@given(batches=st.lists(BATCHES, max_size=3))
def test_conservation(make: Make, batches: list[list[bytes]]) -> None:
    """Whatever comes, nothing is raised, and every packet went on, is held, or was dropped under a reason."""
    stage = make()
    entered = left = 0
    for batch in batches:
        before = list(batch)
        out = stage(batch)
        assert batch == before
        entered, left = entered + len(batch), left + len(out)
        assert entered + stage.created == left + len(stage) + sum(stage.dropped.values())
        assert all(count > 0 for count in stage.dropped.values())


@every_stage
@given(batches=st.lists(BATCHES, max_size=3))
def test_conservation_in_a_path(make: Make, batches: list[list[bytes]]) -> None:
    """A path of which the stage is one counts the same, super-packets cut where it takes none."""
    stage = make()
    path = Path("x", [("stage", stage)])
    entered = left = 0
    for batch in batches:
        entered, left = entered + len(batch), left + len(path(batch))
        found = path.statistics()
        assert found.entered == entered
        assert found.entered + found.created == found.left + sum(found.dropped.values())
        assert (found.left, found.dropped.get("held", 0) >= len(stage)) == (left, True)


@every_stage
@given(batch=BATCHES, cuts=st.lists(st.integers(0, 12), max_size=3))
@example(batch=[tcp(), udp(6), superpacket(), echo()], cuts=[1, 2, 3])
def test_batches_make_no_difference(make: Make, batch: list[bytes], cuts: list[int]) -> None:
    """The same packets give the same packets, however they are cut into batches."""
    whole, parts = make(), make()
    ends = sorted({0, len(batch), *(min(cut, len(batch)) for cut in cuts)})
    once = list(whole(batch))
    by_parts = [packet for start, stop in pairwise(ends) for packet in parts(batch[start:stop])]
    assert by_parts == once
    assert (dict(whole.dropped), whole.created, len(whole)) == (dict(parts.dropped), parts.created, len(parts))


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [6, 17])
@pytest.mark.parametrize("name", [name for name, (_, whole) in TABLE.items() if whole])
def test_a_superpacket_stays_what_it_is(name: str, protocol: int, version: int) -> None:
    """A super-packet that goes on still is one, of as many segments and the same fields."""
    packet = superpacket(version, protocol=protocol)
    for out in TABLE[name][0]()([packet]):
        assert isinstance(out, SuperPacket)
        assert (fields_of(out), len(segment(out))) == (fields_of(packet), 3)


def test_no_stage_is_missing() -> None:
    """Every stage of the room is in the table above, but those that are functions of another room."""
    offered = {name for name in stages.__all__ if name.islower()} - {"segment", "coalesce", "protocol_of"}
    assert offered <= {name.split()[0] for name in TABLE}


def test_a_stage_without_packets_is_true() -> None:
    """A stage that holds nothing is not taken for none."""
    assert stages.reorder(0.0) and len(stages.reorder(0.0)) == 0
    assert nat() and len(nat()) == 0


@every_stage
def test_a_stage_has_a_name(make: Make) -> None:
    """A path and its pictures call a stage by the word that it is made by."""
    path = Path("x")
    path.append(make())
    (name,) = path
    assert name in {key.split()[0] for key in TABLE}
    assert repr(make()) == f"<stage {name}>"


def test_all_in_one_path() -> None:
    """Stages follow each other; super-packets stay whole as far as they may."""
    path = Path("x")
    for make in ("decrement_ttl", "clamp_mss", "nat_outbound", "count", "fragment"):
        path.append(TABLE[make][0]())
    out = path([superpacket(size=40), tcp(flags=2, options=MSS)])
    assert not any(isinstance(packet, SuperPacket) for packet in out)
    assert [stage.left for stage in path.statistics().stages][:4] == [2, 2, 2, 2]

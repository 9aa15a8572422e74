"""The last edge: super-packets cut and made, and the balance of what was offered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from endpoint.fakes import packets
from hypothesis import given, settings
from hypothesis import strategies as st
from offload.packets import super_packet, tcp

import aiotun
from aiotun.errors import DeviceDown
from aiotun.offload import segment
from aiotun.packet import SuperPacket
from aiotun.pipeline import Batch, stage
from aiotun.pipeline.pump_edge import Edge

from .pump_ends import Medium, WholeMedium, ends, turns, until


def whole(segments: int, size: int = 100) -> SuperPacket:
    """A TCP super-packet that stands for so many packets."""
    return super_packet(tcp(4, bytes(segments * size)), size)


def train(count: int, size: int = 100) -> list[bytes]:
    """Packets that follow each other in one TCP connection."""
    return segment(whole(count, size))


@stage(superpackets=True)
def untouched(batch: Batch) -> Batch:
    return batch


def balanced(edge: Edge, offered: int) -> bool:
    return offered + edge.created == edge.sent + edge.merged + edge.waiting + sum(edge.dropped.values())


class TestCutting:
    async def test_super_packets_stay_whole_between_those_that_take_them(self) -> None:
        """From an endpoint that has super-packets to one that takes them, through stages that do, nothing is cut."""
        one, other = WholeMedium("one"), WholeMedium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[untouched]) as pump:
            one.output([whole(40), whole(3)])
            await until(lambda: len(other.written) == 2)
            assert pump.statistics().outbound.created == 0
        assert other.written == [whole(40), whole(3)]
        assert all(isinstance(packet, SuperPacket) for packet in other.written)

    async def test_the_last_edge_cuts(self) -> None:
        """For an endpoint that takes none they are cut, in order, between plain packets."""
        one, other = WholeMedium("one"), Medium("other")
        plain = packets(2)
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output([plain[0], whole(40), plain[1]])
            await until(lambda: len(other.written) == 42)
            way = pump.statistics().outbound
        assert other.written == [plain[0], *segment(whole(40)), plain[1]]
        assert (way.received, way.created, way.sent) == (3, 39, 42)

    async def test_a_super_packet_of_many_segments_is_never_all_cut(self) -> None:
        """While the sink has no room no more than 64 segments exist; the rest of the super-packet waits as one."""
        one, other = WholeMedium("one"), Medium("other", room=10)
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output([whole(2000, 1)] * 3)
            await turns()
            way = pump.statistics().outbound
            assert (way.sent, way.waiting) == (10, 54 + 3)
            other.make_room(None)
            await until(lambda: len(other.written) == 6000)
        assert other.written == segment(whole(2000, 1)) * 3

    async def test_one_that_cannot_be_cut(self) -> None:
        """A super-packet that lies about itself is dropped under its reason; its neighbours go."""
        bad = SuperPacket(whole(3), gso_type=9, gso_size=100)
        one, other = WholeMedium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output([packets(1)[0], bad, packets(1)[0]])
            await until(lambda: len(other.written) == 2)
            assert pump.statistics().outbound.dropped == {"bad_gso_type": 1}

    async def test_a_cancel_in_the_middle(self) -> None:
        """What is left of a super-packet when a cancel comes counts as the one packet it is."""
        one, other = WholeMedium("one"), Medium("other", room=100)
        async with ends(one, other) as (a, b):
            async with aiotun.pump(a, b) as pump:
                one.output([whole(300, 1)])
                await until(lambda: len(other.written) == 100)
            way = pump.statistics().outbound
        assert (way.received + way.created, way.sent, way.dropped) == (129, 100, {"cancelled": 29})


class TestMerging:
    async def test_plain_packets_are_merged(self) -> None:
        """With coalesce=True what follows each other goes as one super-packet."""
        one, other = Medium("one"), WholeMedium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, coalesce=True) as pump:
            one.output(train(10))
            await until(lambda: len(other.written) == 1)
            way = pump.statistics().outbound
        assert segment(other.written[0]) == train(10)
        assert (way.received, way.merged, way.sent) == (10, 9, 1)

    @pytest.mark.parametrize(
        ("wanted", "active", "merged"), [(False, True, False), (None, True, True), (None, False, False)]
    )
    async def test_by_default_where_it_is_done_in_c(
        self, monkeypatch: pytest.MonkeyPatch, wanted: bool | None, active: bool, merged: bool
    ) -> None:
        """Unless told, an edge merges if the twin in C does it."""
        monkeypatch.setattr("aiotun.speedups.active", active)
        one, other = Medium("one"), WholeMedium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, coalesce=wanted):
            one.output(train(10))
            await until(lambda: len(other.written) == (1 if merged else 10))

    async def test_only_what_the_sink_takes(self) -> None:
        """A protocol that the sink takes no super-packets of is not merged."""
        one, other = Medium("one"), WholeMedium("other")
        other.offload = frozenset({"udp_gro"})
        async with ends(one, other) as (a, b), aiotun.pump(a, b, coalesce=True):
            one.output(train(10))
            await until(lambda: len(other.written) == 10)

    async def test_not_for_others(self) -> None:
        """A sink that takes no super-packets gets none, whatever is asked for."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, coalesce=True):
            one.output(train(10))
            await until(lambda: len(other.written) == 10)


Offers = list[tuple[list[int], int, bool]]


@given(st.lists(st.tuples(st.lists(st.integers(0, 90), max_size=5), st.integers(0, 120), st.booleans()), max_size=8))
@settings(deadline=None)
def test_it_balances_after_every_step(steps: Offers) -> None:
    """Whatever is offered, room there is and is refused: offered + created = sent + merged + waiting + dropped."""

    async def run() -> None:
        medium = Medium("sink", room=0)
        async with ends(medium) as (sink,):
            edge, offered = Edge(sink), 0
            for sizes, room, refuses in steps:
                batch: Sequence[bytes] = [whole(size, 1) if size > 1 else packets(1)[0] for size in sizes]
                edge.offer(batch)
                offered += len(batch)
                assert balanced(edge, offered)
                if refuses:
                    medium.write_script.extend([DeviceDown("down")] * 2)
                medium.make_room(room)
                before = -1
                while edge.waiting and before != edge.sent + edge.dropped.total():
                    before = edge.sent + edge.dropped.total()
                    edge.push()
                    assert balanced(edge, offered)
                medium.write_script.clear()
            edge.drop("cancelled")
            assert edge.waiting == 0
            assert balanced(edge, offered)
            assert edge.sent == len(medium.written)

    asyncio.run(run())

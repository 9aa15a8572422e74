"""Stages that hold packets back, in a pump and in a router: what they give on goes on from where it was."""

from __future__ import annotations

import asyncio
import io

import pytest
from endpoint.fakes import numbers, packets

import aiotun
from aiotun.capture import PcapngWriter, watch
from aiotun.errors import DeviceGone, PacketError
from aiotun.pipeline import Batch, Router, RouterStatistics, Stage
from aiotun.stages.delay import delay
from aiotun.stages.duplicate import duplicate
from aiotun.stages.reorder import reorder

from .pump_ends import Medium, ends, turns, udp, until
from .test_pumping import conserved

LATER = 3600.0
"""Seconds that no test waits."""


class Held(delay):
    """A delay that a test ends."""

    def __init__(self) -> None:
        super().__init__(LATER, clock=lambda: self.now)
        self.now = 0.0

    def give_on(self) -> None:
        self.now += LATER
        self._ring()


def drop_odd(batch: Batch) -> Batch:
    return [packet for packet in batch if not packet[-1] % 2]


async def test_what_is_held_goes_on() -> None:
    """Packets that a stage gives on pass the stages behind it, and go to the sink, without another packet."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[held, drop_odd]) as pump:
        one.output(packets(4))
        await until(lambda: len(held) == 4)
        held.give_on()
        await until(lambda: len(other.written) == 2)
        assert pump.statistics().outbound.dropped == {"drop_odd": 2}
    assert numbers(other.written) == [0, 2]


async def test_what_is_made_of_it() -> None:
    """Packets that a stage makes of those that were held are counted as all others."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[held, duplicate(1)]) as pump:
        one.output(packets(4))
        await until(lambda: len(held) == 4)
        held.give_on()
        await until(lambda: len(other.written) == 8)
        way = pump.statistics().outbound
    assert (way.received, way.created, way.sent) == (4, 4, 8)


async def test_real_time() -> None:
    """A delay of the stock delays, and a timer of its own ends it."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[delay(0.001)]):
        one.output(packets(4))
        await until(lambda: len(other.written) == 4)


async def test_what_is_held_is_waiting() -> None:
    """What a stage holds is neither dropped nor created, but waiting."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[held]) as pump:
        one.output(packets(4))
        await until(lambda: len(held) == 4)
        way = pump.statistics().outbound
        assert (way.received, way.waiting, way.created, way.dropped) == (4, 4, 0, {})
        held.give_on()
        await until(lambda: len(other.written) == 4)
        way = pump.statistics().outbound
        assert (way.received, way.sent, way.created, way.dropped) == (4, 4, 0, {})


async def test_what_is_held_at_the_end() -> None:
    """A stage drops what it holds when the pump ends, and its timer is gone."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b):
        async with aiotun.pump(a, b, outbound=[held]) as pump:
            one.output(packets(4))
            await until(lambda: len(held) == 4)
        way = pump.statistics().outbound
    assert (len(held), held.emit, way.dropped, conserved(way)) == (0, None, {"cancelled": 4}, True)


async def test_a_full_sink() -> None:
    """What is given on while the sink has no room waits behind what is in hand, and goes after it."""
    one, other, held = Medium("one"), Medium("other", room=0), Held()
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[held]) as pump:
        for at in (0, 10):
            one.output(packets(10, at))
            await until(lambda: len(held) == 10)
            held.give_on()
            await turns()
        assert pump.statistics().outbound.waiting == 20
        other.make_room(None)
        await until(lambda: len(other.written) == 20)
    assert numbers(other.written) == list(range(20))


async def test_a_closed_sink() -> None:
    """An endpoint that is closed while such packets wait for it ends the pump quietly."""
    one, other, held = Medium("one"), Medium("other", room=0), Held()
    async with ends(one, other) as (a, b):
        async with aiotun.pump(a, b, outbound=[held]) as pump:
            one.output(packets(4))
            await until(lambda: len(held) == 4)
            held.give_on()
            await turns()
            await b.aclose()
            await until(lambda: not pump.running)
        assert pump.statistics().outbound.dropped == {"closed": 4}


async def test_a_fault_behind() -> None:
    """A fault in a stage that such packets come to is raised by the pump."""

    def break_down(batch: Batch) -> Batch:
        raise RuntimeError("a fault in the program")

    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b):
        with pytest.raises(RuntimeError, match="a fault in the program"):
            async with aiotun.pump(a, b, outbound=[held, break_down]) as pump:
                one.output(packets(4))
                await until(lambda: len(held) == 4)
                held.give_on()
                await asyncio.Event().wait()
    assert pump.statistics().outbound.dropped == {"break_down": 4}


async def test_a_refusal_behind() -> None:
    """A stage that refuses such packets costs them, and nothing else."""

    def refuse(batch: Batch) -> Batch:
        raise PacketError("no", reason="forged")

    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[held, refuse]) as pump:
        one.output(packets(4))
        await until(lambda: len(held) == 4)
        held.give_on()
        await turns()
        assert pump.statistics().outbound.dropped == {"forged": 4}


async def test_one_stage_for_two_ways() -> None:
    """A stage that holds packets is of one way: both ways of a pump cannot have it, and afterwards it is free."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b):
        with pytest.raises(ValueError, match="other to one: stage 'Held' holds packets of another path"):
            await aiotun.pump(a, b, outbound=[held], inbound=[held])
        async with aiotun.pump(a, b, outbound=[held]):
            one.output(packets(1))
            await until(lambda: len(held) == 1)


async def test_a_stage_that_is_taken_out() -> None:
    """What a stage held that is taken out of the path stays dropped, and the pump goes on."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[held]) as pump:
        one.output(packets(4))
        await until(lambda: len(held) == 4)
        pump.outbound.remove("Held")
        held.give_on()
        one.output(packets(2, 10))
        await until(lambda: len(other.written) == 2)
        way = pump.statistics().outbound
        assert (way.dropped, way.sent, conserved(way)) == ({"held": 4}, 2, True)


async def test_a_stage_that_is_watched() -> None:
    """A stage that was watched before the pump began gives on what it holds, and it is counted as waiting."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b):
        pump = aiotun.pump(a, b, outbound=[held])
        with PcapngWriter(io.BytesIO()) as writer, watch(pump.outbound, writer):
            async with pump:
                one.output(packets(4))
                await until(lambda: len(held) == 4)
                assert pump.statistics().outbound.waiting == 4
                held.give_on()
                await until(lambda: len(other.written) == 4)


async def test_a_pump_that_never_ran() -> None:
    """A block that ends before a task had its turn lets go of the stages all the same."""
    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b):
        async with aiotun.pump(a, b, outbound=[held]):
            assert held.emit is not None
        assert held.emit is None


async def test_what_is_overtaken_at_the_end() -> None:
    """What reorder() holds back when the pump ends is dropped as the rest is, and waits for nobody."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        async with aiotun.pump(a, b, outbound=[reorder(1.0, depth=3)]) as pump:
            one.output(packets(4))
            await until(lambda: pump.statistics().outbound.waiting == 3)
        way = pump.statistics().outbound
    assert (way.waiting, way.dropped, conserved(way)) == (0, {"cancelled": 3}, True)


async def test_a_cancel_of_nobody_behind() -> None:
    """A CancelledError in a stage that such packets come to is a fault of the program."""

    def cancel(batch: Batch) -> Batch:
        raise asyncio.CancelledError

    one, other, held = Medium("one"), Medium("other"), Held()
    async with ends(one, other) as (a, b):
        with pytest.raises(RuntimeError, match="one to other: a stage raised CancelledError"):
            async with aiotun.pump(a, b, outbound=[held, cancel]):
                one.output(packets(1))
                await until(lambda: len(held) == 1)
                held.give_on()
                await asyncio.Event().wait()


class TestRouter:
    def balanced(self, seen: RouterStatistics) -> bool:
        total = seen.total
        lost = sum(total.refused.values()) + sum(total.dropped.values())
        return total.received + total.created == total.sent + total.merged + total.waiting + lost

    @pytest.mark.parametrize("place", ["to", "from", "between"])
    async def test_what_is_held_goes_on(self, place: str) -> None:
        """On every way of a router packets that were held go to whom they are for."""
        held = Held()
        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        async with ends(tun, one, other) as (a, b, c):
            router = Router(a, transit=[held] if place == "between" else [])
            router.add(b, "10.0.0.1", inbound=[held] if place == "from" else [])
            router.add(c, "10.0.0.2", outbound=[held] if place == "to" else [])
            async with router:
                one.output([udp("10.0.0.1", "10.0.0.2", number) for number in range(3)])
                await until(lambda: len(held) == 3)
                held.give_on()
                await until(lambda: len(other.written) == 3)
                assert self.balanced(router.statistics())
        assert numbers(other.written) == [0, 1, 2]

    @pytest.mark.parametrize("place", ["to", "from", "between"])
    async def test_what_is_held_at_the_end(self, place: str) -> None:
        """What the stages hold when the router ends is counted."""
        held = Held()
        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        async with ends(tun, one, other) as (a, b, c):
            router = Router(a, transit=[held] if place == "between" else [])
            router.add(b, "10.0.0.1", inbound=[held] if place == "from" else [])
            router.add(c, "10.0.0.2", outbound=[held] if place == "to" else [])
            async with router:
                one.output([udp("10.0.0.1", "10.0.0.2", number) for number in range(3)])
                await until(lambda: len(held) == 3)
            seen = router.statistics()
        assert (len(held), seen.total.waiting, self.balanced(seen)) == (0, 0, True)

    async def test_a_tun_that_ended(self) -> None:
        """When the tun has ended, what peers send is dropped at once: no stage between them takes it any more."""
        held = Held()
        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        tun.write_script.append(DeviceGone("tun: gone"))
        async with ends(tun, one, other) as (a, b, c):
            router = Router(a, transit=[held])
            router.add(b, "10.0.0.1")
            router.add(c, "10.0.0.2")
            async with router:
                one.output([udp("10.0.0.1", "192.0.2.1")], [udp("10.0.0.1", "10.0.0.2")])
                await until(lambda: router.statistics().peers[0].received == 2)
                await turns()
                assert router.statistics().peers[0].refused == {"gone": 1}
            assert (len(held), self.balanced(router.statistics())) == (0, True)

    @pytest.mark.parametrize("place", ["to", "from", "between"])
    async def test_a_fault_behind(self, place: str) -> None:
        """A fault that comes up in a timer comes out of the router."""

        def break_down(batch: Batch) -> Batch:
            raise RuntimeError("a fault in the program")

        held = Held()
        stages: list[Stage] = [held, break_down]
        tun, one, other = Medium("tun"), Medium("one"), Medium("other")
        async with ends(tun, one, other) as (a, b, c):
            router = Router(a, transit=stages if place == "between" else [])
            router.add(b, "10.0.0.1", inbound=stages if place == "from" else [])
            router.add(c, "10.0.0.2", outbound=stages if place == "to" else [])
            with pytest.raises(RuntimeError, match="a fault in the program"):
                async with router:
                    one.output([udp("10.0.0.1", "10.0.0.2")])
                    await until(lambda: len(held) == 1)
                    held.give_on()
                    await asyncio.Event().wait()

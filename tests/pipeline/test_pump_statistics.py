"""What a way counted since it began, on a path and with stages that had another life before."""

from __future__ import annotations

from endpoint.fakes import packets

import aiotun
from aiotun.pipeline import Batch, DirectionStatistics, Path, Router
from aiotun.stages import duplicate, lose

from .pump_ends import Medium, ends, udp, until
from .test_pumping import conserved


def drop_first(batch: Batch) -> Batch:
    return batch[1:]


async def carry(path: Path) -> DirectionStatistics:
    """Carry four packets in one batch through *path*, by a pump of its own."""
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=path) as pump:
        one.output(packets(4))
        await until(lambda: pump.statistics().outbound.received == 4)
        return pump.statistics().outbound


async def test_a_path_that_was_used_before() -> None:
    """A pump on a path that another had before counts its own packets, in all and by stage."""
    path = Path("mine", [("drop_first", drop_first)])
    first, second = await carry(path), await carry(path)
    assert first == second
    assert (second.sent, second.dropped, conserved(second)) == (3, {"drop_first": 1}, True)


async def test_a_path_that_was_used_since() -> None:
    """What another pump carried after this one was made, and before it began, is not counted."""
    path = Path("mine", [("drop_first", drop_first)])
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b):
        pump = aiotun.pump(a, b, outbound=path)
        await carry(path)
        async with pump:
            way = pump.statistics().outbound
    assert (way.received, way.dropped, way.stages[0].entered) == (0, {}, 0)


async def test_stages_that_were_used_before() -> None:
    """What a stage counted by itself in a pump before is not counted again."""
    path = Path("mine", [("lose", lose(1.0)), ("duplicate", duplicate(1.0))])
    first, second = await carry(path), await carry(path)
    assert (first.dropped, second.dropped) == ({"lost": 4}, {"lost": 4})
    assert (second.stages[0].dropped, conserved(second)) == ({"lost": 4}, True)


async def test_a_stage_in_the_place_of_another() -> None:
    """A stage that replaces another while the pump runs counts from nothing."""
    path = Path("mine", [("drop_first", drop_first)])
    await carry(path)
    one, other = Medium("one"), Medium("other")
    async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=path) as pump:
        path.replace("drop_first", lambda batch: batch[2:])
        one.output(packets(4))
        await until(lambda: pump.statistics().outbound.received == 4)
        way = pump.statistics().outbound
    assert (way.dropped, way.stages[0].dropped, conserved(way)) == ({"drop_first": 2}, {"drop_first": 2}, True)


async def test_a_router_on_a_used_path() -> None:
    """A peer's way counts from when the router began."""
    path = Path("mine", [("drop_first", drop_first)])
    tun, one = Medium("tun"), Medium("one")
    async with ends(tun, one) as (a, b):
        router = Router(a)
        router.add(b, "10.0.0.1", inbound=path)
        await carry(path)
        async with router:
            one.output([udp("10.0.0.1", "192.0.2.1")] * 3)
            await until(lambda: len(tun.written) == 2)
            assert router.statistics().peers[0].refused == {"drop_first": 1}

"""Nothing is missing: through a whole graph, and whatever stages, endpoints and cancels do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs
from endpoint.fakes import packets
from hypothesis import given, settings
from hypothesis import strategies as st

import aiotun
from aiotun.errors import DeviceDown, DeviceGone, PacketError
from aiotun.pipeline import Batch, DirectionStatistics
from aiotun.pipeline.stage import Stage
from aiotun.stages.duplicate import duplicate
from aiotun.stages.lose import lose
from aiotun.stages.reorder import reorder

from .conservation import run
from .pump_ends import Medium, ends, turns


async def test_a_graph_that_loses_doubles_and_reorders() -> None:
    """Through a router, wires and pumps every packet is delivered, or dropped by name, or in a stage's hands."""
    account = await run(20_000, seed=1)
    assert account.missing == 0
    assert set(account.dropped) == {"lost", "no_route", "overlimit", "closed", "cancelled"}
    assert account.delivered > 5000


def refuse_odd(batch: Batch) -> Batch:
    if len(batch) % 2:
        raise PacketError("an odd batch", reason="odd")
    return batch


def break_at_seven(batch: Batch) -> Batch:
    if len(batch) == 7:
        raise RuntimeError("a fault in the program")
    return batch


STAGES: dict[str, Callable[[], Stage]] = {
    "lose": lambda: lose(0.3, seed=1),
    "duplicate": lambda: duplicate(0.3, seed=1),
    "reorder": lambda: reorder(0.3, seed=1),
    "nothing": lambda: lambda batch: [],
    "half": lambda: lambda batch: batch[::2],
    "twice": lambda: lambda batch: [*batch, *batch],
    "refuse": lambda: refuse_odd,
    "break": lambda: break_at_seven,
}


@attrs.frozen
class Step:
    """What happens before so many turns of the loop."""

    what: str
    size: int
    turns: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["output", "output", "output", "room", "room", "down", "gone", "close source", "close sink"]),
        st.integers(0, 100),
        st.integers(0, 4),
    ),
    max_size=12,
)


@given(st.lists(st.sampled_from(sorted(STAGES)), max_size=4, unique=True), steps, st.booleans())
@settings(deadline=None, max_examples=200)
def test_whatever_happens(names: list[str], script: list[Step], block: bool) -> None:
    """Every packet that left the source went into the sink once for each copy, or is counted, at any end."""
    asyncio.run(play(names, script, block))


async def play(names: list[str], script: list[Step], block: bool) -> None:
    one, other = Medium("one"), Medium("other", room=0)
    async with ends(one, other) as (a, b):
        pump = aiotun.pump(a, b, outbound=[(name, STAGES[name]()) for name in names])

        async def pumping() -> None:
            if block:
                async with pump:
                    await asyncio.Event().wait()
            else:
                await pump

        task = asyncio.create_task(pumping())
        for step in script:
            if step.what == "output" and not a.closed:
                one.output(packets(step.size))
            elif step.what == "room":
                other.make_room(step.size)
            elif step.what == "down":
                other.write_script.extend([DeviceDown("down")] * step.size)
            elif step.what == "gone":
                one.output(DeviceGone("one: gone"))
            elif step.what.startswith("close"):
                await (a if step.what == "close source" else b).aclose()
            await turns(step.turns)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            assert isinstance(task.exception(), DeviceGone | RuntimeError | None)
        way = pump.statistics().outbound
        taken = a.statistics()
        check(way)
        assert way.received == taken.received_packets
        assert way.sent == len(other.written)


def check(way: DirectionStatistics) -> None:
    lost = sum(way.dropped.values())
    assert way.received + way.created == way.sent + way.merged + way.waiting + lost
    held = sum(stage.entered + stage.created - stage.left - sum(stage.dropped.values()) for stage in way.stages)
    assert way.waiting == held, "what waits after the end is in the stages' hands"
    assert min(way.dropped.values(), default=1) > 0

"""Which clock stages read."""

from __future__ import annotations

import time

from driver.fakes import advance, simulated

from aiotun.stages.clock import loop_time


@simulated
async def test_the_loops() -> None:
    """In a running loop the time is the loop's."""
    before = loop_time()
    advance(5.0)
    assert loop_time() == before + 5.0


def test_the_systems() -> None:
    """Without a loop it is the system's, which does not go back."""
    assert time.monotonic() <= loop_time() <= time.monotonic()

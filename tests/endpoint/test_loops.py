"""Which event loop runs, and where."""

from __future__ import annotations

import asyncio

from loops import loop_in_a_thread

from aiotun.endpoint.loops import running_elsewhere, running_loop


async def test_the_running_loop_is_this_one() -> None:
    """Inside a loop it is the one that runs, and not elsewhere."""
    assert running_loop() is asyncio.get_running_loop()
    assert not running_elsewhere(running_loop())


def test_without_a_loop_there_is_none() -> None:
    """Outside of any loop there is none to run."""
    assert running_loop() is None
    assert not running_elsewhere(None)


def test_a_loop_that_does_not_run_is_not_elsewhere() -> None:
    """A loop that was closed, or stands still, may be touched from here."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        assert not running_elsewhere(loop)
    assert not running_elsewhere(loop)


async def test_the_loop_of_another_thread_is_elsewhere() -> None:
    """A loop that runs in another thread is elsewhere, for a loop as for none."""
    with loop_in_a_thread(type(asyncio.get_running_loop())) as loop:
        assert running_elsewhere(loop)
        assert await asyncio.to_thread(running_elsewhere, loop)


def test_the_loop_of_another_thread_is_elsewhere_without_one_here() -> None:
    """A thread without a loop of its own may not touch another thread's either."""
    with loop_in_a_thread() as loop:
        assert running_elsewhere(loop)

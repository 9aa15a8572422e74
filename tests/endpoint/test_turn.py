"""One turn of the event loop."""

from __future__ import annotations

import asyncio

from aiotun.endpoint import turn


async def test_a_turn_lets_others_run() -> None:
    """turn() lets every callback that is due run before it goes on."""
    ran: list[int] = []
    for number in range(3):
        asyncio.get_running_loop().call_soon(ran.append, number)
    await turn()
    assert ran == [0, 1, 2]


async def test_a_turn_is_one_turn() -> None:
    """turn() does not wait for callbacks that become due during it."""
    loop = asyncio.get_running_loop()
    ran: list[int] = []
    loop.call_soon(lambda: loop.call_soon(ran.append, 1))
    await turn()
    assert ran == []
    await turn()


async def test_a_turn_can_be_cancelled() -> None:
    """A task in its turn is cancelled like any other."""

    async def take() -> None:
        await turn()

    task = asyncio.create_task(take())
    await turn()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()

"""A virtual clock: it jumps when there is nothing else to do, and says so when there never will be."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from aiotun.testing import Deadlock, VirtualLoop, lab_clock

T = TypeVar("T")

YEAR = 365 * 24 * 3600.0


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_year_is_over_at_once() -> None:
    """The clock begins at 0, and a sleep of a year ends exactly a year later."""

    async def main() -> tuple[float, float]:
        begin = now()
        await asyncio.sleep(YEAR)
        return begin, now()

    assert run(main()) == (0, YEAR)


def test_timers_fire_in_order_and_never_early() -> None:
    """Of timers a nanosecond's fraction apart, each finds the clock at its own time."""
    times = [0.1 + 0.2, 0.3, 5e-10, 1e-10, 0.3 + 1e-10]

    async def main() -> list[float]:
        loop, found = asyncio.get_running_loop(), list[float]()
        for when in times:
            loop.call_at(when, lambda: found.append(now()))
        await asyncio.sleep(1)
        return found

    assert run(main()) == sorted(times)


def test_the_clock_stands_while_something_is_ready() -> None:
    """A thousand turns of the loop take no time, though a timer waits."""

    async def main() -> float:
        sleeping = asyncio.create_task(asyncio.sleep(0.001))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not sleeping.done()
        await sleeping
        return now()

    assert run(main()) == 0.001


def test_a_ready_socket_comes_before_a_timer() -> None:
    """What a socket already has is received before the clock jumps."""

    async def main() -> tuple[bytes, float]:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            asyncio.get_running_loop().call_later(1, far.send, b"late")
            far.send(b"early")
            return await asyncio.get_running_loop().sock_recv(near, 10), now()

    assert run(main()) == (b"early", 0)


def test_a_timer_beside_a_silent_socket_is_due() -> None:
    """The clock does not wait for a descriptor that has nothing."""

    async def main() -> float:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await asyncio.get_running_loop().sock_recv(near, 10)
            return now()

    assert run(main()) == 30


def test_a_thread_takes_no_time() -> None:
    """While an executor works the clock stands, whatever is scheduled."""
    released = threading.Event()

    async def main() -> tuple[bool, float]:
        asyncio.get_running_loop().call_later(1, lambda: None)
        asyncio.get_running_loop().call_soon(released.set)
        return await asyncio.to_thread(released.wait), now()

    assert run(main()) == (True, 0)


def test_a_deadlock_names_who_waits_and_where() -> None:
    """When nothing will ever happen, the error has the time, each task by name, and the functions it waits in."""

    async def lonely() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.sleep(12.5)
        await asyncio.create_task(lonely(), name="bob")

    with pytest.raises(Deadlock) as caught:
        run(main())
    first, *tasks = str(caught.value).splitlines()
    assert first == "at 12.5 s nothing is scheduled and nothing is ready; these tasks wait:"
    assert len(tasks) == 2 and "main" in tasks[0] and tasks[1].startswith("  bob: ")
    assert "lonely" in tasks[-1] and "Event.wait" in tasks[-1] and __file__ in tasks[-1]


def test_after_a_deadlock_everything_is_cleaned_up() -> None:
    """The finally blocks of the tasks that waited have run when the runner is closed."""
    cleaned: list[str] = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("main")

    with pytest.raises(Deadlock):
        run(main())
    assert cleaned == ["main"]


def test_a_descriptor_is_given_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a silent descriptor of the kernel, the error comes after real seconds, and says so."""
    monkeypatch.setattr(lab_clock, "PATIENCE", 0.01)

    async def main() -> None:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            await asyncio.get_running_loop().sock_recv(near, 10)

    with pytest.raises(Deadlock, match=r"^at 0 s .*, and no descriptor of the kernel was in 0.01 real seconds; these"):
        run(main())


def test_a_descriptor_that_becomes_ready_meanwhile_is_served() -> None:
    """What another thread sends is received, though nothing is scheduled."""

    async def main() -> bytes:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            loop = asyncio.get_running_loop()
            sender = threading.Thread(target=far.send, args=(b"hello",))
            loop.call_soon(sender.start)
            received = await loop.sock_recv(near, 10)
            sender.join()
            return received

    assert run(main()) == b"hello"


def test_a_timer_that_never_comes_is_no_timer() -> None:
    """A sleep without end is a deadlock."""
    with pytest.raises(Deadlock, match="^at 0 s nothing is scheduled"):
        run(asyncio.sleep(math.inf))


def test_the_time_limit_ends_what_repeats_itself() -> None:
    """Beside something periodic a wait without end ends at the limit, and says who waits."""

    async def repeat() -> None:
        while True:
            await asyncio.sleep(25)

    async def main() -> None:
        repeating = asyncio.create_task(repeat(), name="keepalive")
        try:
            await asyncio.Event().wait()
        finally:
            repeating.cancel()

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(100)) as runner:
        with pytest.raises(TimeoutError) as caught:
            runner.run(main())
        assert runner.get_loop().time() == 100
    first, *tasks = str(caught.value).splitlines()
    assert first == "the time limit of 100 virtual seconds is over; these tasks wait:"
    assert [task.partition(":")[0] for task in tasks][-1] == "  keepalive" and len(tasks) == 2

"""Blocking calls in a thread of their own, and what a cancel does to them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aiotun.linux.worker import in_thread, run_in_thread


async def test_the_result_comes_back() -> None:
    """in_thread() returns what the function returns."""
    assert await in_thread(lambda: 42) == 42


async def test_it_runs_in_another_thread() -> None:
    """The function does not run in the loop's thread."""
    assert await in_thread(threading.get_ident) != threading.get_ident()


async def test_an_error_comes_back() -> None:
    """in_thread() raises what the function raises."""
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)


async def test_a_cancel_waits_for_the_thread_and_discards_the_result() -> None:
    """A cancel is raised once the thread ended, and its result is given to discard."""
    go = threading.Event()
    discarded: list[str] = []

    def work() -> str:
        go.wait()
        return "device"

    task = asyncio.create_task(in_thread(work, discard=discarded.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert discarded == ["device"]


async def test_a_cancel_with_an_error_discards_nothing() -> None:
    """When the function failed there is nothing to discard; the cancel is what is raised."""
    go = threading.Event()
    discarded: list[str] = []

    def work() -> str:
        go.wait()
        raise ValueError

    task = asyncio.create_task(in_thread(work, discard=discarded.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert discarded == []


def test_the_blocking_form_returns_and_raises() -> None:
    """run_in_thread() gives back the result or the error."""
    assert run_in_thread(lambda: "here") == "here"
    with pytest.raises(ValueError):
        run_in_thread(lambda: int("no number"))


async def test_what_is_discarded_does_not_hold_up_the_loop() -> None:
    """A result nobody will get is discarded in a thread: closing a device takes its time."""
    go = threading.Event()
    where: list[int] = []
    task = asyncio.create_task(in_thread(go.wait, discard=lambda _: where.append(threading.get_ident())))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(task, return_exceptions=True)
    assert where and where != [threading.get_ident()]


def test_a_result_that_comes_after_the_loop_was_closed_is_discarded() -> None:
    """Closed while the thread runs, the loop gets nothing any more: the result is discarded in the thread."""
    go, discarded = threading.Event(), threading.Event()
    loop = asyncio.new_event_loop()
    task = loop.create_task(in_thread(go.wait, discard=lambda _: discarded.set()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    go.set()
    ended("aiotun")
    assert discarded.is_set()
    forget(task)


def test_a_result_the_loop_did_not_come_to_see_is_discarded() -> None:
    """Closed between the thread's end and the task's next step, the loop leaves the result to be discarded, once."""
    go = threading.Event()
    discarded: list[bool] = []
    loop = asyncio.new_event_loop()
    task = loop.create_task(in_thread(go.wait, discard=discarded.append))
    loop.run_until_complete(asyncio.sleep(0))
    go.set()
    ended("aiotun")
    loop.close()
    forget(task)
    assert discarded == [True]


def test_a_result_of_a_task_that_was_destroyed_is_discarded() -> None:
    """A task destroyed while the thread runs leaves its result to be discarded, though the loop is open."""
    go = threading.Event()
    discarded: list[bool] = []
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        task = loop.create_task(in_thread(go.wait, discard=discarded.append))
        runner.run(asyncio.sleep(0))
        asyncio.tasks._unregister_task(task)  # or the runner would wait for it
        forget(task)
        go.set()
        ended("aiotun")
    assert discarded == [True]


def ended(name: str) -> None:
    """Wait for the threads of that name."""
    for thread in threading.enumerate():
        if thread.name == name:
            thread.join()


def forget(task: asyncio.Task[bool]) -> None:
    """Destroy a task that will never end, as the garbage collector does, without the complaint."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()

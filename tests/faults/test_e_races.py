"""Rows E of the fault catalogue: cancels, closing, event loops and threads at the wrong moment; not forks."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import threading
import warnings
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from endpoint.fakes import FakePort, packets
from loops import loop_in_a_thread

import aiotun
from aiotun import EventKind
from aiotun.endpoint import Endpoint, EventStream, turn
from aiotun.linux import KernelPort, monitor, opening
from aiotun.linux.tunfile import TunFile
from aiotun.linux.tunopen import open_device
from aiotun.pipeline import Path
from aiotun.testing import MakeRig, watched_fds
from aiotun.testing.expect import drain, numbers, parked, turns

from .scene import (
    ADDRESS,
    PACKET,
    MakeLoop,
    exists,
    forgotten,
    ip,
    iterate,
    on_both_hosts,
    on_both_loops,
    opened,
    run,
    send_from_the_stack,
    waited,
)

kernel = pytest.mark.kernel
on_asyncio = pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop's own methods cannot be listened to


# --- E4: iterators that are left ------------------------------------------------------------------


@on_both_hosts
async def test_E4_an_iterator_that_is_left_leaves_nothing(make_rig: MakeRig) -> None:
    """Left by break and dropped, an iterator is collected in silence, and the next reader has what follows."""
    async with make_rig() as rig:
        rig.output([rig.packet(number) for number in range(3)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            async for _ in rig.endpoint:
                break
            async for _ in rig.endpoint.batches(1):
                break
            gc.collect()
        assert rig.number(await rig.endpoint.recv()) == 2


# --- E6, E8: closing ------------------------------------------------------------------------------


async def test_E6_closing_in_a_callback_releases_everybody_at_once() -> None:
    """aclose() that a callback starts releases receiver, sender and reader of events in its very first step."""
    endpoint = Endpoint(FakePort(write=[0]))
    stream = endpoint.events()
    waiting: list[asyncio.Task[Any]] = [
        await parked(endpoint.recv()),
        await parked(endpoint.send(packets(1)[0])),
        await parked(collect(stream)),
    ]
    loop, closing = asyncio.get_running_loop(), []
    loop.call_soon(lambda: closing.append(loop.create_task(endpoint.aclose())))
    await turns(3)  # the callback, the first step of aclose(), and of who was woken by it
    assert [task.done() for task in waiting] == [True, True, True]
    results = await asyncio.gather(*waiting, *closing, return_exceptions=True)
    assert [type(result) for result in results] == [aiotun.DeviceClosed, aiotun.DeviceClosed, list, type(None)]


async def collect(stream: EventStream) -> list[Any]:
    return [event async for event in stream]


@kernel
@on_asyncio
async def test_E8_a_close_leaves_the_loop_before_it_closes_the_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a close: the endpoint is closed, reader and writer leave the loop, the descriptor is closed."""
    tun = await aiotun.open_tun("order0", up=False)
    fd, order = tun.fileno(), []
    waiting = [await parked(tun.recv()), await parked(tun.writable())]

    def listen(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def listening(first: Any, *rest: Any) -> Any:
            if first == fd:
                order.append((name, tun.closed))
            return real(first, *rest)

        monkeypatch.setattr(owner, name, listening)

    listen(asyncio.get_running_loop(), "remove_reader")
    listen(asyncio.get_running_loop(), "remove_writer")
    listen(os, "close")
    await tun.aclose()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [("remove_reader", True), ("remove_writer", True), ("close", True)]


# --- E10: a loop that is closed -------------------------------------------------------------------


@kernel
@on_both_loops
def test_E10_an_endpoint_forgotten_after_its_loop_frees_its_device(make: MakeLoop) -> None:
    """Collected after its loop was closed, an endpoint warns, frees the device, and asks nothing of the loop."""
    with asyncio.Runner(loop_factory=make) as runner:
        tun = runner.run(opened("orphan0"))
        runner.run(waited(tun))
    with pytest.warns(ResourceWarning, match="<Tun orphan0> was never closed"):
        del tun
        gc.collect()
    assert not exists("orphan0")


@kernel
@on_both_loops
def test_E10_a_loop_closed_under_a_waiting_task_leaves_a_closable_device(make: MakeLoop) -> None:
    """Closed with a task in recv(), a loop does not keep the next one from closing the endpoint."""
    loop = make()
    tun = loop.run_until_complete(opened("orphan1"))
    task = loop.run_until_complete(parked(tun.recv()))
    loop.close()
    run(make, tun.aclose())
    assert not exists("orphan1")
    forgotten(task)


@kernel
@on_both_loops
def test_E10_a_loop_closed_during_an_opening_leaves_no_device(make: MakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that is opened when there is no loop any more is closed by the thread that opened it."""
    made, go = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> TunFile:
        file = open_device(*arguments)
        made.set()
        go.wait()
        return file

    monkeypatch.setattr(opening, "open_device", slow)
    loop = make()
    task = loop.create_task(opened("orphan2"))
    loop.run_until_complete(asyncio.sleep(0))
    made.wait()
    assert exists("orphan2")
    loop.close()
    go.set()
    for thread in threading.enumerate():
        if thread.name == "aiotun":
            thread.join()
    assert not exists("orphan2")
    forgotten(task)


# --- E11: other loops, other threads, no loop -----------------------------------------------------


@kernel
@on_both_loops
def test_E11_an_endpoint_goes_on_in_the_next_loop(make: MakeLoop) -> None:
    """Receiving, sending and closing work in a second loop, once the first is closed."""

    async def receive(tun: aiotun.Tun) -> bytes:
        send_from_the_stack(b"hello")
        return (await tun.recv())[-5:]

    with asyncio.Runner(loop_factory=make) as first:
        tun = first.run(opened("next0", address=ADDRESS))
        first.run(receive(tun))
        first.run(waited(tun))
    with asyncio.Runner(loop_factory=make) as second:
        assert second.run(receive(tun)) == b"hello"
        second.run(tun.send(PACKET))
        second.run(tun.aclose())
    assert not exists("next0")


@kernel
@on_both_loops
def test_E11_events_go_on_in_the_next_loop(make: MakeLoop) -> None:
    """The same stream of events tells in a second loop what happened between the two, and what happens there."""

    async def watched() -> tuple[aiotun.Tun, EventStream]:
        tun = await opened("next1", up=False)
        return tun, tun.events()

    async def told(events: EventStream) -> list[object]:
        first = await anext(events)
        ip("link", "set", "next1", "mtu", "1400")
        second = await anext(events)
        return [(event.kind, event.value) for event in (first, second)]

    tun, events = run(make, watched())
    ip("link", "set", "next1", "mtu", "1300")
    with asyncio.Runner(loop_factory=make) as second:
        assert second.run(told(events)) == [(EventKind.MTU, 1300), (EventKind.MTU, 1400)]
        second.run(tun.aclose())


@kernel
@on_both_loops
def test_E11_when_down_raise_goes_on_in_the_next_loop(make: MakeLoop) -> None:
    """In a second loop a waiting recv() still raises DeviceDown when the interface goes down."""
    with asyncio.Runner(loop_factory=make) as first:
        tun = first.run(opened("next2", when_down="raise"))
        first.run(waited(tun))

    async def receive() -> None:
        task = await parked(tun.recv())
        ip("link", "set", "next2", "down")
        with pytest.raises(aiotun.DeviceDown):
            await task
        await tun.aclose()

    run(make, receive())


@kernel
@on_both_loops
def test_E11_opened_in_one_loop_used_in_the_loop_of_a_thread(make: MakeLoop) -> None:
    """An endpoint nobody waited in yet is used, and closed, in the loop of another thread, while the first runs."""

    async def receive(tun: aiotun.Tun) -> bytes:
        send_from_the_stack(b"there")
        received = await tun.recv()
        await tun.aclose()
        return received[-5:]

    async def main() -> bytes:
        tun = await opened("thread0", address=ADDRESS)
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, run, make, receive(tun))

    assert run(make, main()) == b"there"


async def _recv(tun: aiotun.Tun) -> None:
    await tun.recv()


async def _readable(tun: aiotun.Tun) -> None:
    await tun.readable()


async def _writable(tun: aiotun.Tun) -> None:
    await tun.writable()


async def _events(tun: aiotun.Tun) -> None:
    tun.events()


async def _aclose(tun: aiotun.Tun) -> None:
    await tun.aclose()


async def _detach(tun: aiotun.Tun) -> None:
    tun.detach_fd()


@kernel
@on_both_loops
@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (_recv, aiotun.ConcurrencyError, "thread1: another task is already receiving"),
        (_readable, aiotun.ConcurrencyError, "thread1: another task is already receiving"),
        (
            _writable,
            RuntimeError,
            "thread1: cannot watch the interface here, it is used in another thread's event loop",
        ),
        (_events, RuntimeError, "thread1: cannot watch the interface here, it is used in another thread's event loop"),
        (_aclose, RuntimeError, "thread1: cannot close it here, it is used in another thread's event loop"),
        (_detach, RuntimeError, "thread1: cannot give it away here, it is used in another thread's event loop"),
    ],
)
def test_E11_the_loop_of_another_thread_is_refused(
    use: Callable[[aiotun.Tun], Coroutine[Any, Any, None]], error: type[Exception], text: str, make: MakeLoop
) -> None:
    """While a task of one thread's loop waits, another thread's loop is refused, and the task is undisturbed."""

    async def received(tun: aiotun.Tun, task: asyncio.Task[bytes]) -> bytes:
        send_from_the_stack(b"undisturbed")
        try:
            return await task
        finally:
            await tun.aclose()

    with loop_in_a_thread(make) as loop:

        def there(coroutine: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        tun = there(opened("thread1", address=ADDRESS))
        task = there(parked(tun.recv()))
        with pytest.raises(error, match=text):
            run(make, use(tun))
        assert there(received(tun, task)).endswith(b"undisturbed")


@kernel
@on_both_loops
def test_E11_forgotten_in_one_thread_it_is_freed_by_the_loop_of_another(
    make: MakeLoop, disarmed: list[int | None]
) -> None:
    """Collected in another thread than its loop's, an endpoint is closed by that loop, which alone may be touched."""
    with loop_in_a_thread(make) as loop:
        tun = asyncio.run_coroutine_threadsafe(opened("thread2"), loop).result()
        asyncio.run_coroutine_threadsafe(waited(tun), loop).result()
        fd = tun.fileno()
        with pytest.warns(ResourceWarning, match="<Tun thread2> was never closed"):
            del tun
            gc.collect()
        asyncio.run_coroutine_threadsafe(turns(), loop).result()
        assert not watched_fds()[fd]
        assert disarmed == [asyncio.run_coroutine_threadsafe(ident(), loop).result()]
    assert not exists("thread2")


@pytest.fixture
def disarmed(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """The threads in which a device's port left its event loop."""
    threads: list[int | None] = []
    real = KernelPort.disarm

    def disarm(port: KernelPort) -> None:
        threads.append(threading.get_ident())
        real(port)

    monkeypatch.setattr(KernelPort, "disarm", disarm)
    return threads


async def ident() -> int:
    """Return the thread that this runs in."""
    return threading.get_ident()


@kernel
@on_both_loops
def test_E11_a_deletion_met_in_one_thread_ends_the_receiver_in_another(
    make: MakeLoop, disarmed: list[int | None]
) -> None:
    """A sender of one thread that meets the deletion leaves the receiver's loop to its own thread."""
    with loop_in_a_thread(make) as loop:

        def there(coroutine: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

        tun = there(opened("thread3"))
        task = there(parked(tun.recv()))
        ip("link", "del", "thread3")
        with pytest.raises(aiotun.DeviceGone):
            tun.send_nowait(PACKET)
        there(asyncio.wait([task]))
        assert isinstance(task.exception(), aiotun.DeviceGone)
        assert set(disarmed) == {there(ident())}
        there(tun.aclose())


@kernel
@pytest.mark.parametrize("when_down", ["wait", "raise"])
@on_both_loops
def test_E11_nowait_forms_need_no_loop(make: MakeLoop, when_down: Any) -> None:
    """Without any event loop packets are sent and received by the nowait forms, and waiting is said to need one."""
    tun = run(make, opened("noloop0", address=ADDRESS, when_down=when_down))
    with pytest.raises(aiotun.WouldBlock):
        tun.recv_nowait()
    send_from_the_stack(b"hello")
    assert tun.recv_nowait().endswith(b"hello")
    tun.send_nowait(PACKET)
    with pytest.raises(RuntimeError, match="no running event loop"):
        tun.events()
    run(make, tun.aclose())


# --- E13, E14: exceptions at the wrong moment -----------------------------------------------------


@kernel
async def test_E13_a_callback_that_raises_is_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What raises while the kernel's announcements are heard is logged once; the loop does not watch on, and spin."""
    logged: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context.get("exception")))
    broken = OSError(5, "Input/output error")

    def fail(*_: object) -> None:
        raise broken

    async with aiotun.open_tun("broken0") as tun:
        events = tun.events()
        monkeypatch.setattr(monitor, "announcements", fail)
        ip("link", "set", "broken0", "mtu", "1400")
        while not logged:
            await turn()
        await turns(50)
        assert logged == [broken]
        del events


@kernel
@on_both_loops
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_E14_an_interrupt_in_a_consumer_frees_the_device(error: type[BaseException], make: MakeLoop) -> None:
    """KeyboardInterrupt and SystemExit out of ``async for`` reach who runs the loop, after the device was closed."""

    async def consume() -> None:
        async with aiotun.open_tun("stop0", address=ADDRESS) as tun:
            send_from_the_stack(b"stop")
            async for _ in tun:
                raise error

    with pytest.raises(error):
        run(make, consume())
    assert not exists("stop0")


@pytest.fixture
def control_c() -> Iterator[None]:
    """SIGINT as Python has it; a shell starts programs in the background with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@kernel
@on_both_loops
def test_E14_a_control_c_frees_the_device(make: MakeLoop, control_c: None) -> None:
    """SIGINT while ``async for`` waits ends the program's main task, after the device was closed."""

    async def consume() -> None:
        async with aiotun.open_tun("stop1") as tun:
            asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
            await iterate(tun)

    with pytest.raises(KeyboardInterrupt):
        run(make, consume())
    assert not exists("stop1")


def test_E14_an_interrupt_in_a_stage_propagates() -> None:
    """A KeyboardInterrupt in a stage reaches whoever called the path; its packets are counted as dropped."""

    def interrupt(batch: Sequence[bytes]) -> Sequence[bytes]:
        raise KeyboardInterrupt

    path = Path("tun0 output", [("count", list), ("interrupt", interrupt)])
    with pytest.raises(KeyboardInterrupt):
        path(packets(3))
    assert sum(path.statistics().dropped.values()) == 3


# --- E15, E16: timeouts and siblings --------------------------------------------------------------


@on_both_hosts
async def test_E15_a_wait_for_that_races_the_arrival_loses_nothing(make_rig: MakeRig) -> None:
    """asyncio.wait_for() around recv(), timed to end as the packet arrives, returns it or leaves it, 300 times."""
    chance = random.Random(15)
    async with make_rig() as rig:
        received: list[bytes] = []
        sent: list[int] = []  # an arrival later than its timeout may be after the next one's
        loop = asyncio.get_running_loop()

        def arrive(number: int) -> None:
            rig.output([rig.packet(number)])
            sent.append(number)

        for number in range(300):
            seconds = chance.uniform(0.0001, 0.001)
            loop.call_later(seconds, arrive, number)
            try:
                received.append(await asyncio.wait_for(rig.endpoint.recv(), seconds + chance.uniform(0, 0.0002)))
            except TimeoutError:
                continue
        while len(received) < 300:
            received.append(await rig.endpoint.recv())
        assert numbers(rig, received) == sent


@on_both_hosts
async def test_E15_a_cancel_of_a_wait_for_loses_nothing(make_rig: MakeRig) -> None:
    """A task cancelled inside asyncio.wait_for(), which on Python 3.11 may swallow it, loses no packet, 300 times."""
    chance = random.Random(15)

    async def receive(endpoint: Endpoint) -> bytes:
        return await asyncio.wait_for(endpoint.recv(), 10)

    async with make_rig() as rig:
        received: list[bytes] = []
        for number in range(300):
            task = asyncio.create_task(receive(rig.endpoint))
            await turns(chance.randrange(5))
            rig.output([rig.packet(number)])
            await turns(chance.randrange(5))
            task.cancel()
            try:
                received.append(await task)
            except asyncio.CancelledError:
                continue
        received += drain(rig.endpoint)
        assert numbers(rig, received) == list(range(300))


@on_both_hosts
async def test_E16_a_failing_sibling_leaves_the_endpoint_usable(make_rig: MakeRig) -> None:
    """When a sibling in the TaskGroup fails, iteration ends with it, and the endpoint goes on for the next task."""

    async def fail() -> None:
        await turns()
        raise ZeroDivisionError

    async with make_rig() as rig:
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(iterate(rig.endpoint))
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        rig.output([rig.packet(7)])
        assert rig.number(await rig.endpoint.recv()) == 7


# --- E17: starvation ------------------------------------------------------------------------------


class EndlessPort(FakePort):
    """A port with a million packets queued."""

    left = 1_000_000

    def read_many(self, limit: int) -> list[bytes]:
        count = min(limit, self.left)
        self.left -= count
        return packets(1) * count


async def _packets(endpoint: Endpoint) -> int:
    count = 0
    async for _ in endpoint:
        count += 1
        if count == 1_000_000:
            break
    return count


async def _batches(endpoint: Endpoint) -> int:
    count = 0
    async for batch in endpoint.batches():
        count += len(batch)
        if count == 1_000_000:
            break
    return count


@pytest.mark.parametrize(("receive", "most"), [(_packets, 128), (_batches, 64)])
async def test_E17_a_million_queued_packets_let_others_run(
    receive: Callable[[Endpoint], Awaitable[int]], most: int
) -> None:
    """While a million packets are taken, every other task has its turn once per 64 of them; per 128, one by one."""
    port = EndlessPort()
    longest, seen = 0, port.left

    async def tick() -> None:
        nonlocal longest, seen
        while True:
            longest, seen = max(longest, seen - port.left), port.left
            await turn()

    async with Endpoint(port) as endpoint:
        ticking = asyncio.create_task(tick())
        assert await receive(endpoint) == 1_000_000
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    assert longest <= most


async def test_E17_a_sender_of_a_million_packets_lets_others_run() -> None:
    """While a million packets are sent, every other task has its turn at least once per 64 of them."""
    sent, longest, seen = 0, 0, 0

    class SinkPort(FakePort):
        def write_many(self, batch: Sequence[bytes]) -> int:
            nonlocal sent
            sent += len(batch)
            return len(batch)

    async def tick() -> None:
        nonlocal longest, seen
        while True:
            longest, seen = max(longest, sent - seen), sent
            await turn()

    async with Endpoint(SinkPort()) as endpoint:
        ticking = asyncio.create_task(tick())
        await endpoint.send_many(packets(1) * 1_000_000)
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)
    assert (sent, longest) == (1_000_000, 64)

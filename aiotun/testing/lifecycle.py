"""Checks: down is a state, gone is the end."""

from __future__ import annotations

from ..endpoint import EventKind
from ..errors import DeviceDown, DeviceGone
from .expect import expect, expect_error, numbers, parked, turns
from .ledger import watched_fds
from .rig import MakeRig, Rig

__all__ = ["CHECKS"]


async def _iterate(rig: Rig) -> None:
    async for _ in rig.endpoint:
        pass


async def sending_while_down_is_refused(make: MakeRig) -> None:
    """send() on an interface that is down raises DeviceDown, and works again once it is up."""
    async with make() as rig:
        rig.set_up(False)
        with expect_error(DeviceDown, rig.endpoint.name):
            await rig.endpoint.send(rig.packet(0))
        rig.set_up(True)
        await rig.endpoint.send(rig.packet(1))
        expect(numbers(rig, await rig.input(1)) == [1], "the stack saw something else")


async def writable_waits_for_up(make: MakeRig) -> None:
    """writable() on an interface that is down waits until it is up."""
    async with make() as rig:
        rig.set_up(False)
        task = await parked(rig.endpoint.writable())
        rig.set_up(True)
        await task


async def deletion_ends_a_waiting_writable(make: MakeRig) -> None:
    """A writable() that waits on an interface that is down raises DeviceGone when it is deleted."""
    async with make() as rig:
        rig.set_up(False)
        task = await parked(rig.endpoint.writable())
        rig.delete()
        with expect_error(DeviceGone, rig.endpoint.name):
            await task


async def recv_waits_while_down(make: MakeRig) -> None:
    """recv() waits through down and up, and returns the packet that comes then."""
    async with make() as rig:
        task = await parked(rig.endpoint.recv())
        rig.set_up(False)
        await turns()
        expect(not task.done(), "recv() ended when the interface went down")
        rig.set_up(True)
        rig.output([rig.packet(6)])
        expect(rig.number(await task) == 6, "another packet came")


async def down_keeps_what_is_queued(make: MakeRig) -> None:
    """Packets queued before the interface went down are received, at the latest once it is up again."""
    async with make() as rig:
        rig.output([rig.packet(number) for number in range(5)])
        rig.set_up(False)
        rig.set_up(True)
        expect(numbers(rig, await rig.endpoint.recv_many(10)) == list(range(5)), "packets were lost")


async def when_down_raise_refuses_at_once(make: MakeRig) -> None:
    """With ``when_down="raise"``, recv() on an interface that is down raises DeviceDown, in both forms."""
    async with make(when_down="raise") as rig:
        rig.set_up(False)
        with expect_error(DeviceDown, rig.endpoint.name):
            await rig.endpoint.recv()
        with expect_error(DeviceDown, rig.endpoint.name):
            rig.endpoint.recv_nowait()


async def when_down_raise_wakes_the_receiver(make: MakeRig) -> None:
    """With ``when_down="raise"``, a waiting recv() raises DeviceDown when the interface goes down."""
    async with make(when_down="raise") as rig:
        task = await parked(rig.endpoint.recv())
        rig.set_up(False)
        with expect_error(DeviceDown, rig.endpoint.name):
            await task
        rig.set_up(True)
        rig.output([rig.packet(2)])
        expect(rig.number(await rig.endpoint.recv()) == 2, "it does not work after up")


async def deletion_ends_a_waiting_recv(make: MakeRig) -> None:
    """A recv() that waits when the interface is deleted raises DeviceGone at once."""
    async with make() as rig:
        task = await parked(rig.endpoint.recv())
        rig.delete()
        with expect_error(DeviceGone, rig.endpoint.name):
            await task


async def deletion_ends_iteration_loudly(make: MakeRig) -> None:
    """An ``async for`` that waits when the interface is deleted raises DeviceGone; so does the next one."""
    async with make() as rig:
        task = await parked(_iterate(rig))
        rig.delete()
        with expect_error(DeviceGone):
            await task
        with expect_error(DeviceGone):
            await _iterate(rig)


async def deletion_is_seen_without_waiting(make: MakeRig) -> None:
    """After the deletion every form of receiving and sending raises DeviceGone."""
    async with make() as rig:
        rig.delete()
        with expect_error(DeviceGone):
            rig.endpoint.recv_nowait()
        with expect_error(DeviceGone):
            await rig.endpoint.recv()
        with expect_error(DeviceGone):
            rig.endpoint.send_nowait(rig.packet(0))
        with expect_error(DeviceGone):
            await rig.endpoint.send(rig.packet(0))


async def a_deleted_device_leaves_the_loop(make: MakeRig) -> None:
    """After the deletion the event loop no longer watches the device, which would poll ready for ever."""
    async with make() as rig:
        fd = rig.endpoint.fileno()
        task = await parked(rig.endpoint.recv())
        rig.delete()
        with expect_error(DeviceGone):
            await task
        expect(not watched_fds()[fd], "the loop still watches the descriptor")


async def events_tell_what_happens(make: MakeRig) -> None:
    """events() tells down, up and mtu in order; a deletion is down and then gone, which ends them."""
    async with make() as rig:
        events = rig.endpoint.events()
        rig.set_up(False)
        rig.set_up(True)
        rig.set_mtu(1400)
        rig.delete()
        told = [(event.kind, event.value) async for event in events]
        changes = [(EventKind.DOWN, None), (EventKind.UP, None), (EventKind.MTU, 1400)]
        deletion = [(EventKind.DOWN, None), (EventKind.GONE, None)]
        expect(told == changes + deletion, f"told {told}")


CHECKS = (
    sending_while_down_is_refused,
    writable_waits_for_up,
    deletion_ends_a_waiting_writable,
    recv_waits_while_down,
    down_keeps_what_is_queued,
    when_down_raise_refuses_at_once,
    when_down_raise_wakes_the_receiver,
    deletion_ends_a_waiting_recv,
    deletion_ends_iteration_loudly,
    deletion_is_seen_without_waiting,
    a_deleted_device_leaves_the_loop,
    events_tell_what_happens,
)

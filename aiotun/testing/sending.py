"""Checks: what sending promises."""

from __future__ import annotations

import asyncio
import contextlib

from ..errors import DeviceDown, PacketError, PacketTooBig, UnsupportedFamily
from .expect import expect, expect_error, numbers, turns
from .rig import Inapplicable, MakeRig

__all__ = ["CHECKS"]


async def packets_enter_whole_and_in_order(make: MakeRig) -> None:
    """send() puts every packet into the stack as it is, in order, from the smallest to the mtu."""
    async with make() as rig:
        sent = [rig.packet(number, size) for number, size in enumerate((28, 64, 576, 1499, 1500))]
        for packet in sent:
            await rig.endpoint.send(packet)
        expect(await rig.input(len(sent)) == sent, "the stack saw something else")


async def batches_enter_in_order(make: MakeRig) -> None:
    """send_many() puts a batch longer than one wake-up's into the stack, in order."""
    async with make() as rig:
        await rig.endpoint.send_many([rig.packet(number) for number in range(200)])
        entered = numbers(rig, await rig.input(200))
        expect(entered == list(range(200)), f"entered: {entered}")


async def nowait_forms_send_at_once(make: MakeRig) -> None:
    """send_nowait() and send_many_nowait() send without waiting; the latter says how many."""
    async with make() as rig:
        rig.endpoint.send_nowait(rig.packet(0))
        count = rig.endpoint.send_many_nowait([rig.packet(1), rig.packet(2)])
        expect(count == 2, f"sent {count}")
        expect(numbers(rig, await rig.input(3)) == [0, 1, 2], "the stack saw something else")


async def an_empty_batch_is_nothing(make: MakeRig) -> None:
    """Sending no packets sends nothing and raises nothing."""
    async with make() as rig:
        await rig.endpoint.send_many([])
        expect(rig.endpoint.send_many_nowait([]) == 0, "something was sent")
        expect(rig.endpoint.statistics().sent_packets == 0, "something was counted")


async def a_packet_over_the_mtu_is_refused(make: MakeRig) -> None:
    """A packet longer than the mtu raises PacketTooBig, with both numbers in the text."""
    async with make() as rig:
        with expect_error(PacketTooBig, rig.endpoint.name, "1501", "1500"):
            await rig.endpoint.send(rig.packet(0, 1501))
        await rig.endpoint.send(rig.packet(1, 1500))
        expect(numbers(rig, await rig.input(1)) == [1], "the refused packet went out")


async def a_raised_mtu_counts_at_once(make: MakeRig) -> None:
    """After the mtu was raised under the endpoint, a packet of the new size can be sent."""
    async with make() as rig:
        rig.set_mtu(2000)
        expect(rig.endpoint.mtu == 2000, f"mtu is {rig.endpoint.mtu}")
        await rig.endpoint.send(rig.packet(1, 2000))
        rig.output([rig.packet(2, 2000)])
        expect(len(await rig.endpoint.recv()) == 2000 + rig.header, "the received packet is not whole")


async def an_empty_packet_is_refused(make: MakeRig) -> None:
    """An empty packet raises PacketError."""
    async with make() as rig:
        with expect_error(PacketError, rig.endpoint.name):
            await rig.endpoint.send(b"")


async def a_packet_shorter_than_its_header_is_refused(make: MakeRig) -> None:
    """A packet shorter than its own header raises PacketError; the kernel would take it and lose it."""
    async with make() as rig:
        if rig.endpoint.kind not in ("tun", "tap"):
            raise Inapplicable("a channel carries any bytes")
        with expect_error(PacketError, rig.endpoint.name, "1 byte"):
            await rig.endpoint.send(b"\x45")


async def what_is_not_bytes_is_refused(make: MakeRig) -> None:
    """Text, or a buffer that may change later, raises TypeError, and nothing of its batch is sent."""
    async with make() as rig:
        for foreign in ("text", bytearray(64), memoryview(bytes(64)), 7):
            with expect_error(TypeError, rig.endpoint.name, type(foreign).__name__):
                await rig.endpoint.send_many([rig.packet(0), foreign])  # type: ignore[list-item]
        with expect_error(TypeError, "generator"):
            await rig.endpoint.send_many(rig.packet(0) for _ in range(2))  # type: ignore[arg-type]
        expect(rig.endpoint.statistics().sent_packets == 0, "something was sent")


async def refusals_let_others_run(make: MakeRig) -> None:
    """A task that does nothing but send to an interface that is down still lets others have their turns."""
    async with make() as rig:
        rig.set_up(False)
        other = asyncio.create_task(turns(8))
        for _ in range(1000):
            with contextlib.suppress(DeviceDown):
                await rig.endpoint.send(rig.packet(0))
        expect(other.done(), "another task had no 8 turns in 1000 refused sends")


async def a_foreign_family_is_refused(make: MakeRig) -> None:
    """A tun refuses what is neither IPv4 nor IPv6 with UnsupportedFamily, and says what came before it was sent."""
    async with make() as rig:
        if rig.endpoint.kind != "tun":
            return  # a frame of any type is a frame
        with expect_error(UnsupportedFamily, rig.endpoint.name) as caught:
            await rig.endpoint.send_many([rig.packet(0), rig.packet(1), b"\0" * 64, rig.packet(3)])
        expect(caught[0].sent == 2, f"sent is {caught[0].sent}")
        expect(numbers(rig, await rig.input(2)) == [0, 1], "what came before was not sent")


async def an_unfit_packet_keeps_its_batch_back(make: MakeRig) -> None:
    """A batch with a packet over the mtu is refused whole: nothing of it is sent."""
    async with make() as rig:
        with expect_error(PacketTooBig):
            await rig.endpoint.send_many([rig.packet(0), rig.packet(1, 1501)])
        await rig.endpoint.send(rig.packet(2))
        expect(numbers(rig, await rig.input(1)) == [2], "a part of the refused batch was sent")


async def a_forwarder_drops_what_is_unfit(make: MakeRig) -> None:
    """With ``drop=True`` unfit packets are dropped and counted by reason, and the others are sent in order."""
    async with make() as rig:
        batch = [rig.packet(0), rig.packet(1, 1501), rig.packet(2), b"", rig.packet(3)]
        await rig.endpoint.send_many(batch, drop=True)
        entered = numbers(rig, await rig.input(3))
        expect(entered == [0, 2, 3], f"entered: {entered}")
        dropped = rig.endpoint.statistics().dropped
        expect(sum(dropped.values()) == 2 and dropped["too_big"] == 1, f"dropped: {dropped}")


async def a_forwarder_survives_down(make: MakeRig) -> None:
    """With ``drop=True`` packets for an interface that is down are dropped and counted as ``down``."""
    async with make() as rig:
        rig.set_up(False)
        await rig.endpoint.send_many([rig.packet(0), rig.packet(1)], drop=True)
        rig.set_up(True)
        await rig.endpoint.send_many([rig.packet(2)], drop=True)
        expect(numbers(rig, await rig.input(1)) == [2], "the stack saw something else")
        dropped = rig.endpoint.statistics().dropped
        expect(dropped == {"down": 2}, f"dropped: {dropped}")


async def what_is_sent_is_counted(make: MakeRig) -> None:
    """The endpoint and the interface count the packets sent and their bytes."""
    async with make() as rig:
        batch = [rig.packet(number, 100) for number in range(5)]
        await rig.endpoint.send_many(batch)
        statistics = rig.endpoint.statistics()
        expect(statistics.sent_packets == 5, f"{statistics.sent_packets} packets")
        expect(statistics.sent_bytes == sum(map(len, batch)), f"{statistics.sent_bytes} bytes")
        expect(statistics.interface is None or statistics.interface.ipackets == 5, f"{statistics.interface}")


CHECKS = (
    packets_enter_whole_and_in_order,
    batches_enter_in_order,
    nowait_forms_send_at_once,
    an_empty_batch_is_nothing,
    a_packet_over_the_mtu_is_refused,
    a_raised_mtu_counts_at_once,
    an_empty_packet_is_refused,
    a_packet_shorter_than_its_header_is_refused,
    what_is_not_bytes_is_refused,
    refusals_let_others_run,
    a_foreign_family_is_refused,
    an_unfit_packet_keeps_its_batch_back,
    a_forwarder_drops_what_is_unfit,
    a_forwarder_survives_down,
    what_is_sent_is_counted,
)

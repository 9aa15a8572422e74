"""The pump: both ways, back-pressure, what ends it, and what becomes of every packet."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence

import pytest
from endpoint.fakes import numbers, packets
from offload import packets as p

import aiotun
from aiotun.channel import open_udp_pair
from aiotun.errors import DeviceDown, DeviceError, DeviceGone, PacketError
from aiotun.offload import segment
from aiotun.pipeline import Batch, DirectionStatistics, Path, Pump
from aiotun.stages import Nat

from .pump_ends import Medium, ends, turns, until


def conserved(way: DirectionStatistics) -> bool:
    return way.received + way.created == way.sent + way.merged + way.waiting + sum(way.dropped.values())


def drop_odd(batch: Batch) -> Batch:
    return [packet for packet in batch if not packet[-1] % 2]


def break_down(batch: Batch) -> Batch:
    raise RuntimeError("a fault in the program")


EXITING = """
import asyncio, sys, aiotun

async def main():
    async with aiotun.SoftHost() as host, host.open_tun() as a, host.open_tun() as b:
        host.interface(a.name).output([bytes.fromhex("4500001400000000400100007f0000017f000001")])
        await aiotun.pump(a, b, outbound=[lambda batch: sys.exit(3)])

asyncio.run(main())
"""


class TestCarrying:
    async def test_packets_go_both_ways(self) -> None:
        """What comes out of one endpoint goes into the other, in order."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b):
            one.output(packets(3))
            other.output(packets(2, 10))
            await until(lambda: len(other.written) == 3 and len(one.written) == 2)
        assert (numbers(other.written), numbers(one.written)) == ([0, 1, 2], [10, 11])

    async def test_each_way_has_its_stages(self) -> None:
        """outbound is from the first endpoint to the second, inbound back; pairs give names."""
        one, other = Medium("one"), Medium("other")
        async with (
            ends(one, other) as (a, b),
            aiotun.pump(a, b, outbound=[drop_odd], inbound=[("half", drop_odd)]) as pump,
        ):
            one.output(packets(4))
            other.output(packets(2))
            await until(lambda: len(other.written) == 2 and len(one.written) == 1)
            assert (list(pump.outbound), list(pump.inbound)) == (["drop_odd"], ["half"])

    async def test_a_path_is_used_as_it_is(self) -> None:
        """A Path that the caller has stays the caller's, with its counters."""
        path = Path("mine", [("odd", drop_odd)])
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=path) as pump:
            assert pump.outbound is path

    async def test_stages_change_live(self) -> None:
        """A stage that is put in while the pump runs sees the next batch."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            pump.outbound.append(drop_odd)
            one.output(packets(4))
            await until(lambda: len(other.written) == 2)
        assert numbers(other.written) == [0, 2]

    async def test_two_tasks(self) -> None:
        """A pump is two tasks, however many packets it carries."""
        one, other = Medium("one"), Medium("other")
        before = len(asyncio.all_tasks())
        async with ends(one, other) as (a, b), aiotun.pump(a, b):
            one.output(*[packets(64)] * 10)
            await until(lambda: len(other.written) == 640)
            assert len(asyncio.all_tasks()) - before == 2
        assert len(asyncio.all_tasks()) == before

    async def test_the_loop_has_turns(self) -> None:
        """A stage that makes many packets of few does not keep the loop from its turn for more than 64."""
        one, other = Medium("one"), Medium("other")
        at: list[int] = []
        passes = 0

        def note(batch: Sequence[bytes]) -> int:
            at.append(passes)
            return len(batch)

        other.write_many = note  # type: ignore[method-assign]
        async with ends(one, other) as (a, b):
            async with aiotun.pump(a, b, outbound=[("many", lambda batch: [*batch] * 300)]) as pump:
                one.output(packets(1))
                while pump.statistics().outbound.sent < 300:
                    passes += 1
                    await asyncio.sleep(0)
        assert at == list(range(at[0], at[0] + 5))

    async def test_a_real_host(self) -> None:
        """Between two tuns of one stack what the stack sends to the first comes back by the second."""
        async with aiotun.SoftHost() as host, host.open_tun() as a, host.open_tun() as b, aiotun.pump(a, b) as pump:
            host.interface(a.name).output(packets(5))
            await until(lambda: b.statistics().sent_packets == 5)
            assert pump.statistics().outbound.sent == 5

    @pytest.mark.kernel
    async def test_the_kernels_tuns(self) -> None:
        """Two stacks of the kernel whose tuns are joined talk to each other."""
        async with (
            aiotun.PrivateHost() as ours,
            aiotun.PrivateHost() as theirs,
            ours.open_tun(address="10.8.0.1/24") as a,
            theirs.open_tun(address="10.8.0.2/24") as b,
            aiotun.pump(a, b, outbound=[("pass", lambda batch: batch)]) as pump,
        ):
            loop = asyncio.get_running_loop()
            here, there = ("10.8.0.1", 7), ("10.8.0.2", 9)
            with (
                await ours.datagram(local_addr=here, remote_addr=there) as client,
                await theirs.datagram(local_addr=there, remote_addr=here) as server,
            ):
                await loop.sock_sendall(client, b"ping")
                assert await loop.sock_recv(server, 100) == b"ping"
                await loop.sock_sendall(server, b"pong")
                assert await loop.sock_recv(client, 100) == b"pong"
            assert conserved(pump.statistics().outbound)


class TestBackPressure:
    async def test_a_full_sink_keeps_the_source_from_being_read(self) -> None:
        """While the sink has no room no more than one batch is in hand; the rest stays where it was."""
        one, other = Medium("one"), Medium("other", room=10)
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output(*[packets(64)] * 100)
            await turns()
            way = pump.statistics().outbound
            assert (way.received, way.sent, way.waiting) == (64, 10, 54)

    async def test_room_lets_it_go_on(self) -> None:
        """What waited is sent first, once, in order."""
        one, other = Medium("one"), Medium("other", room=10)
        async with ends(one, other) as (a, b), aiotun.pump(a, b):
            one.output(packets(64), packets(64, 64))
            await until(lambda: len(other.written) == 10)
            other.make_room(None)
            await until(lambda: len(other.written) == 128)
        assert numbers(other.written) == list(range(128))

    async def test_the_other_way_goes_on(self) -> None:
        """A full sink holds up its own direction only."""
        one, other = Medium("one"), Medium("other", room=0)
        async with ends(one, other) as (a, b), aiotun.pump(a, b):
            one.output(packets(64))
            other.output(packets(3))
            await until(lambda: len(one.written) == 3)
        assert other.written == []


class TestDropping:
    @pytest.mark.parametrize(
        ("refusal", "reason"),
        [
            (DeviceDown("down"), "down"),
            (DeviceError("no"), "refused"),
            (PacketError("bad", reason="short_header"), "short_header"),
        ],
    )
    async def test_a_refused_packet_is_dropped(self, refusal: Exception, reason: str) -> None:
        """A packet that the sink refuses is counted under the error's reason; the others go."""
        one, other = Medium("one"), Medium("other")
        other.write_script.extend([refusal, 1, refusal])
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output(packets(3))
            await until(lambda: len(other.written) == 2)
            assert pump.statistics().outbound.dropped == {reason: 1}
        assert numbers(other.written) == [0, 2]

    async def test_a_refusal_in_a_batch(self) -> None:
        """What stood before a refused packet went out once, what is behind it goes as well."""
        one, other = Medium("one"), Medium("other")
        refusal = DeviceDown("down")
        refusal.sent = 2
        again = DeviceDown("down")
        other.write_script.extend([refusal, again])
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output(packets(5))
            await until(lambda: len(other.written) == 4)
            assert pump.statistics().outbound.dropped == {"down": 1}
        assert numbers(other.written) == [0, 1, 3, 4]

    async def test_too_big(self) -> None:
        """One packet longer than the sink's mtu does not take its batch with it."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output([*packets(2), packets(1)[0] + bytes(1500), *packets(2, 2)])
            await until(lambda: len(other.written) == 4)
            assert pump.statistics().outbound.dropped == {"too_big": 1}

    async def test_no_room_between_refusals(self) -> None:
        """Packets that are tried one by one wait for room as all others do."""
        one, other = Medium("one"), Medium("other")
        other.write_script.extend([DeviceDown("down"), DeviceDown("down"), 0])
        async with ends(one, other) as (a, b), aiotun.pump(a, b) as pump:
            one.output(packets(3))
            await until(lambda: len(other.written) == 2)
            assert conserved(pump.statistics().outbound)
        assert numbers(other.written) == [1, 2]

    async def test_a_stage_may_refuse_a_batch(self) -> None:
        """An error of aiotun's tree in a stage drops the batch under its reason, and the pump goes on."""
        one, other = Medium("one"), Medium("other")
        refusals = iter([PacketError("no", reason="replayed")])

        def check(batch: Batch) -> Batch:
            for refusal in refusals:
                raise refusal
            return batch

        async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[check]) as pump:
            one.output(packets(3), packets(2))
            await until(lambda: len(other.written) == 2)
            assert pump.statistics().outbound.dropped == {"replayed": 3}


class TestEnding:
    @pytest.mark.parametrize("closed", [0, 1])
    async def test_a_closed_endpoint_ends_it_quietly(self, closed: int) -> None:
        """The end of either endpoint is the end of both ways, and no error."""
        async with ends(Medium("one"), Medium("other")) as both:
            pumping = asyncio.ensure_future(carry(aiotun.pump(*both)))
            await turns()
            await both[closed].aclose()
            await pumping

    async def test_what_was_in_hand_for_a_closed_sink(self) -> None:
        """Packets in hand for an endpoint that is closed count as ``closed``."""
        one, other = Medium("one"), Medium("other", room=1)
        async with ends(one, other) as (a, b):
            pump = aiotun.pump(a, b)
            pumping = asyncio.ensure_future(carry(pump))
            one.output(packets(3))
            await until(lambda: len(other.written) == 1)
            await b.aclose()
            await pumping
            assert pump.statistics().outbound.dropped == {"closed": 2}

    async def test_a_deleted_source(self) -> None:
        """A device that is deleted ends the pump with its DeviceGone, alone, and its cause stays."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as both:
            gone = DeviceGone("one: the interface was deleted")
            one.output(gone)
            with pytest.raises(DeviceGone) as caught:
                await aiotun.pump(*both)
        assert caught.value is gone

    async def test_a_deleted_sink(self) -> None:
        """The packets in hand for a deleted device count as ``gone``."""
        one, other = Medium("one"), Medium("other")
        other.write_script.append(DeviceGone("other: the interface was deleted"))
        async with ends(one, other) as both:
            pump = aiotun.pump(*both)
            one.output(packets(3))
            with pytest.raises(DeviceGone):
                await pump
        assert pump.statistics().outbound.dropped == {"gone": 3}

    async def test_a_fault_in_a_stage(self) -> None:
        """What a stage raises that is no refusal ends the pump at once; its batch is dropped under the stage's name."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as both:
            pump = aiotun.pump(*both, outbound=[break_down])
            one.output(packets(3))
            with pytest.raises(RuntimeError, match="a fault in the program"):
                await pump
        assert pump.statistics().outbound.dropped == {"break_down": 3}

    async def test_a_fault_comes_out_in_the_block(self) -> None:
        """An error of a direction cancels the block it runs beside, and comes out there, alone."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as both:
            with pytest.raises(RuntimeError, match="a fault in the program") as caught:
                async with aiotun.pump(*both, outbound=[break_down]):
                    one.output(packets(1))
                    await asyncio.Event().wait()
        assert caught.value.__context__ is None

    async def test_both_ways_fail(self) -> None:
        """Only when both ways fail is it a group."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as both:
            one.output(packets(1))
            other.output(packets(1))
            with pytest.raises(ExceptionGroup) as caught:
                await aiotun.pump(*both, outbound=[break_down], inbound=[break_down])
        assert len(caught.value.exceptions) == 2

    async def test_a_fault_of_the_block(self) -> None:
        """What the block raises comes out as it is, and the pump has ended."""
        before = asyncio.all_tasks()
        async with ends(Medium("one"), Medium("other")) as both:
            fault = ValueError("mine")
            with pytest.raises(ValueError, match="mine") as caught:
                async with aiotun.pump(*both):
                    raise fault
        assert caught.value is fault
        assert asyncio.all_tasks() == before

    async def test_the_endpoints_stay_open(self) -> None:
        """The endpoints are the caller's before and after, to be used at once."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b):
            async with aiotun.pump(a, b):
                await turns()
            one.output(packets(1))
            assert await a.recv() == packets(1)[0]
            await b.send(packets(1)[0])

    async def test_it_runs_once(self) -> None:
        """A pump that ran does not run again."""
        async with ends(Medium("one"), Medium("other")) as both:
            pump = aiotun.pump(*both)
            async with pump:
                assert pump.running
            assert not pump.running
            with pytest.raises(RuntimeError, match="the pump between one and other runs once"):
                await pump

    async def test_a_second_reader(self) -> None:
        """Who else receives from an endpoint of the pump is told in the pump's block."""
        async with ends(Medium("one"), Medium("other")) as (a, b):
            receiving = asyncio.ensure_future(a.recv())
            await turns()
            with pytest.raises(aiotun.ConcurrencyError):
                await aiotun.pump(a, b)
            receiving.cancel()

    def test_an_exit_in_a_stage(self) -> None:
        """SystemExit in a stage ends the program, with its status."""
        ended = subprocess.run([sys.executable, "-c", EXITING], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 3, ended.stderr


class TestCancelling:
    async def test_a_cancel_counts_what_was_in_hand(self) -> None:
        """Packets that were read and not sent when a cancel came are ``cancelled``; no other is missing."""
        one, other = Medium("one"), Medium("other", room=10)
        async with ends(one, other) as both:
            pump = aiotun.pump(*both)
            pumping = asyncio.ensure_future(carry(pump))
            one.output(packets(64), packets(64))
            await until(lambda: len(other.written) == 10)
            pumping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pumping
            assert pump.statistics().outbound.dropped == {"cancelled": 54}
            assert len(await both[0].recv_many()) == 64

    async def test_the_end_of_the_block_is_a_cancel(self) -> None:
        """What is in hand at the end of the block is counted too."""
        one, other = Medium("one"), Medium("other", room=1)
        async with ends(one, other) as both:
            async with aiotun.pump(*both) as pump:
                one.output(packets(3))
                await until(lambda: len(other.written) == 1)
            assert pump.statistics().outbound.dropped == {"cancelled": 2}

    @pytest.mark.parametrize("turn", range(12))
    async def test_at_any_turn(self, turn: int) -> None:
        """Whenever a cancel comes, every packet is with the source, sent, or counted, and none twice."""
        one, other = Medium("one"), Medium("other", room=70)
        async with ends(one, other) as both:
            pump = aiotun.pump(*both, outbound=[drop_odd])
            pumping = asyncio.ensure_future(carry(pump))
            one.output(*[packets(64, 64 * at) for at in range(5)])
            await turns(turn)
            pumping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pumping
            left = sum(len(batch) for batch in one.read_script if isinstance(batch, list))
            way = pump.statistics().outbound
            assert (way.received + left, way.waiting) == (320, 0)
            assert conserved(way)
            assert numbers(other.written) == list(range(0, 2 * way.sent, 2))


class TestLooking:
    async def test_statistics(self) -> None:
        """The counters of a way: what came, what each stage left, what went."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[drop_odd]) as pump:
            one.output(packets(4))
            await until(lambda: len(other.written) == 2)
            seen = pump.statistics()
        assert (seen.outbound.received, seen.outbound.sent, seen.outbound.dropped) == (4, 2, {"drop_odd": 2})
        assert [(stage.name, stage.entered, stage.left) for stage in seen.outbound.stages] == [("drop_odd", 4, 2)]
        assert str(seen) == (
            "one -> other: 4 received, 2 sent\n"
            "  drop_odd          4 -> 2\n"
            "           2 dropped: drop_odd\n"
            "other -> one: 0 received, 0 sent"
        )

    @pytest.mark.parametrize(
        ("format", "picture"),
        [
            (
                "mermaid",
                'flowchart LR\n    a(["one"])\n    b(["other"])\n    out0["drop_odd"]\n'
                '    out0_drop_odd[/"drop_odd"/]\n    out_end_too_big[/"too_big"/]\n'
                "    a -->|3| out0\n    out0 -->|1| b\n    b -->|0| a\n"
                "    out0 -.->|1| out0_drop_odd\n    out0 -.->|1| out_end_too_big\n",
            ),
            (
                "dot",
                'digraph "the pump between one and other" {\n    rankdir=LR;\n'
                '    a [label="one", shape=oval];\n    b [label="other", shape=oval];\n'
                '    out0 [label="drop_odd", shape=box];\n'
                '    out0_drop_odd [label="drop_odd", shape=parallelogram];\n'
                '    out_end_too_big [label="too_big", shape=parallelogram];\n'
                '    a -> out0 [label="3"];\n    out0 -> b [label="1"];\n    b -> a [label="0"];\n'
                '    out0 -> out0_drop_odd [label="1", style=dashed];\n'
                '    out0 -> out_end_too_big [label="1", style=dashed];\n}\n',
            ),
        ],
    )
    async def test_graph(self, format: str, picture: str) -> None:
        """The picture has both endpoints, both ways, and what was dropped at each place."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b), aiotun.pump(a, b, outbound=[drop_odd]) as pump:
            one.output([*packets(2), packets(1)[0] + bytes(1500)])
            await until(lambda: pump.statistics().outbound.dropped.get("too_big") == 1)
            assert pump.graph(format) == picture

    async def test_another_format(self) -> None:
        """A format that there is not is refused, with those that there are."""
        async with ends(Medium("one"), Medium("other")) as both:
            with pytest.raises(ValueError, match="no graph format 'svg'; there are mermaid, dot"):
                aiotun.pump(*both).graph("svg")

    async def test_its_name(self) -> None:
        """repr() names the two endpoints."""
        async with ends(Medium("one"), Medium("other")) as both:
            assert repr(aiotun.pump(*both)) == "<Pump one <-> other>"


async def carry(pump: Pump) -> None:
    await pump


class TestMistakes:
    async def test_an_endpoint_and_itself(self) -> None:
        """A pump is between two endpoints."""
        one = Medium("one")
        async with ends(one) as (a,):
            with pytest.raises(ValueError, match="is between two endpoints, not one and itself"):
                aiotun.pump(a, a)

    async def test_packets_into_frames(self) -> None:
        """A tun and a tap are not joined: which is which is said."""
        async with aiotun.SoftHost() as host, host.open_tun("tun0") as tun, host.open_tap("tap0") as tap:
            for pair in ((tun, tap), (tap, tun)):
                with pytest.raises(ValueError, match="tun0 carries packets and tap0 frames"):
                    aiotun.pump(*pair)

    async def test_frames_between_channels(self) -> None:
        """Super-frames of a channel are cut behind their Ethernet header, for a sink and for a stage that need that."""
        (far, near), (a, b) = await open_udp_pair(carries="ethernet", gro=True), await open_udp_pair()
        big = p.big(4, 5000, 1000, link=14)
        seen: list[bytes] = []

        def look(batch: Batch) -> Batch:
            seen.extend(batch)
            return batch

        async with far, near, a, b, aiotun.pump(near, a, outbound=[look]) as pump:
            await far.send(big)
            arrived = [await b.recv() for _ in range(5)]
        assert arrived == seen == segment(big, True)
        assert not pump.statistics().outbound.dropped

    async def test_packets_into_a_channel_of_frames(self) -> None:
        """A tun and a channel that carries frames are not joined either; one that carries anything goes with both."""
        one, other = await open_udp_pair(carries="ethernet")
        async with aiotun.SoftHost() as host, host.open_tun("tun0") as tun, one, other:
            with pytest.raises(ValueError, match="tun0 carries packets and udp .* frames"):
                aiotun.pump(tun, one)

    async def test_a_stage_for_a_list(self) -> None:
        """One stage is no list of stages; the argument is named."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b):
            with pytest.raises(TypeError, match="one to other: outbound is a list of stages, not"):
                aiotun.pump(a, b, outbound=drop_odd)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="other to one: inbound is a list of stages, not 5"):
                aiotun.pump(a, b, inbound=5)  # type: ignore[arg-type]

    async def test_a_nat_for_a_stage(self) -> None:
        """A NAT is two stages, which the error names."""
        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b):
            with pytest.raises(TypeError, match=r"has two stages, \.outbound and \.inbound"):
                aiotun.pump(a, b, outbound=[Nat("203.0.113.5")])  # type: ignore[list-item]

    async def test_a_cancel_of_nobody(self) -> None:
        """A stage that raises CancelledError is a fault of the program, and the way is named."""

        def cancel(batch: Batch) -> Batch:
            raise asyncio.CancelledError

        one, other = Medium("one"), Medium("other")
        async with ends(one, other) as (a, b):
            pump = aiotun.pump(a, b, outbound=[cancel])
            one.output(packets(2))
            with pytest.raises(RuntimeError, match="one to other: a stage raised CancelledError"):
                await pump
        way = pump.statistics().outbound
        assert (way.dropped, conserved(way)) == ({"cancel": 2}, True)

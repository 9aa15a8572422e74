"""Replaying a capture: the same packets, as far apart, with the endpoint's promises."""

from __future__ import annotations

import asyncio
import errno
import heapq
import io
import itertools
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP

from aiotun import SoftHost
from aiotun.capture import LinkType, PcapngWriter, Recorded, open_capture, replay
from aiotun.endpoint import Endpoint
from aiotun.errors import ConcurrencyError, DeviceClosed, DeviceError, PacketError, WouldBlock
from aiotun.offload import segment
from aiotun.packet import GSOType, SuperPacket
from aiotun.testing import RECEIVE
from aiotun.testing.expect import parked, turns
from capture.tools import FRAME, IPV4, IPV6, packets

START = 1_700_000_000_000_000_000
LONG = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / bytes(range(44)))
SUPER = SuperPacket(LONG, GSOType.UDP_L4, 11, 28, 20, 6, needs_csum=True)
MS = 1_000_000


def capture(*recorded: tuple[bytes, int], **options: Any) -> io.BytesIO:
    """A capture of packets with their times, in nanoseconds from the start."""
    file = io.BytesIO()
    with PcapngWriter(file, **options) as writer:
        interface = writer.interface("tun0")
        for packet, time in recorded:
            interface.write(packet, START + time)
    file.seek(0)
    return file


def numbered(count: int, step: int = 0) -> io.BytesIO:
    return capture(*((number.to_bytes(4, "big"), number * step) for number in range(count)))


async def everything(trace: Endpoint) -> list[bytes]:
    return [packet async for packet in trace]


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer when nothing else is to be done."""

    now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        timers = self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if timers and not self._ready:  # type: ignore[attr-defined]
            self.now = max(self.now, timers[0].when())
        super()._run_once()  # type: ignore[misc]


def virtually(main: Callable[[VirtualLoop], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()


@settings(max_examples=40)
@given(st.lists(st.tuples(packets, st.integers(0, 10**12)), max_size=20))
def test_a_replay_reproduces_the_capture(recorded: list[tuple[bytes, int]]) -> None:
    """Every packet comes again, byte for byte and in order, and then iteration ends."""

    async def main(loop: VirtualLoop) -> None:
        async with replay(capture(*recorded)) as trace:
            assert await everything(trace) == [packet for packet, _ in recorded]

    virtually(main)


@settings(max_examples=40)
@given(st.lists(st.tuples(packets, st.integers(0, 10**9)), max_size=20), st.sampled_from([0.5, 1.0, 4.0]))
def test_a_recorded_replay_is_the_capture(recorded: list[tuple[bytes, int]], speed: float) -> None:
    """A replay that is recorded by the loop's clock has the same times between packets, at the speed asked for."""

    async def main(loop: VirtualLoop) -> None:
        times = []
        async with replay(capture(*recorded), speed=speed) as trace:
            async for _ in trace:
                times.append(loop.time() - 1000)
        due = list(itertools.accumulate((time - recorded[0][1] for _, time in recorded), max))
        assert times == pytest.approx([max(0, time) / 1e9 / speed for time in due], abs=1e-6)

    virtually(main)


def test_a_file_written_again_is_the_same(tmp_path: Path) -> None:
    """What is read from a capture and written again is the same file, byte for byte."""
    first, second = tmp_path / "first", tmp_path / "second"

    def write(path: Path, recorded: list[Recorded]) -> None:
        with PcapngWriter(path) as writer:
            interfaces = [writer.interface("tun0"), writer.interface("tap0", LinkType.ETHERNET)]
            for one in recorded:
                interfaces[one.interface.index].write(
                    one.packet,
                    one.time_ns,
                    length=one.length,
                    direction=one.direction,
                    comments=one.comments,
                    dropped=one.dropped,
                    packet_id=one.packet_id,
                )
            writer.flush()
            path.with_suffix(".blocks").write_bytes(path.read_bytes())  # without statistics, which say when

    with PcapngWriter(tmp_path / "source") as writer:
        tun, tap = writer.interface("tun0"), writer.interface("tap0", LinkType.ETHERNET)
        tun.write_many([IPV4, SUPER, IPV6], START, "out")
        tap.write(FRAME, START + 1, direction="in", comments=("one", "two"), dropped=2, packet_id=3)
    with open_capture(tmp_path / "source") as reader:
        write(first, list(reader))
    with open_capture(first) as reader:
        write(second, list(reader))
    assert first.with_suffix(".blocks").read_bytes() == second.with_suffix(".blocks").read_bytes()


async def test_as_fast_as_possible() -> None:
    """Without a speed nothing is waited for."""
    async with replay(numbered(300, 10**12), speed=None) as trace:
        assert [int.from_bytes(packet, "big") for packet in await everything(trace)] == list(range(300))


async def test_batches() -> None:
    """recv_many() and batches() give what is due, at most the limit."""
    async with replay(numbered(100), speed=None) as trace:
        assert len(await trace.recv_many(7)) == 7
        assert [len(batch) async for batch in trace.batches(64)] == [64, 29]


async def test_the_end() -> None:
    """After the last packet receiving raises DeviceClosed, as often as it is tried."""
    async with replay(numbered(1), speed=None) as trace:
        assert await trace.recv() == bytes(4)
        for _ in range(2):
            with pytest.raises(DeviceClosed, match="^capture: the capture has ended$"):
                await trace.recv()
        with pytest.raises(DeviceClosed):
            trace.recv_nowait()
        assert await everything(trace) == []


def test_nothing_before_it_is_due() -> None:
    """recv_nowait() refuses what is not due yet, and gives it once it is."""

    async def main(loop: VirtualLoop) -> None:
        async with replay(numbered(2, 1000 * MS)) as trace:
            assert trace.recv_nowait() == bytes(4)
            with pytest.raises(WouldBlock):
                trace.recv_nowait()
            loop.now += 0.999
            with pytest.raises(WouldBlock):
                trace.recv_nowait()
            loop.now += 0.001
            assert trace.recv_nowait() == b"\0\0\0\1"

    virtually(main)


def test_who_is_late_gets_what_is_due() -> None:
    """A slow receiver gets all that became due in one batch, and the schedule stays."""

    async def main(loop: VirtualLoop) -> None:
        async with replay(numbered(6, 1000 * MS)) as trace:
            assert len(await trace.recv_many()) == 1
            await asyncio.sleep(3.5)
            assert len(await trace.recv_many()) == 3
            await trace.recv()
            assert loop.time() == 1004

    virtually(main)


@pytest.mark.parametrize("repeat", [1, 3])
def test_repeats(repeat: int) -> None:
    """A capture is replayed as often as asked, each time at its own pace."""

    async def main(loop: VirtualLoop) -> None:
        times = []
        async with replay(numbered(3, 1000 * MS), repeat=repeat) as trace:
            async for packet in trace:
                times.append((packet[-1], loop.time() - 1000))
        assert times == [(number, turn * 2.0 + number) for turn in range(repeat) for number in range(3)]

    virtually(main)


async def test_without_end() -> None:
    """A capture may be replayed for ever; an empty one ends all the same."""
    async with replay(numbered(2), speed=None, repeat=None) as trace:
        assert [(await trace.recv())[-1] for _ in range(200)] == [0, 1] * 100
    async with replay(numbered(0), speed=None, repeat=None) as trace:
        assert await everything(trace) == []


def two_interfaces() -> io.BytesIO:
    file = io.BytesIO()
    with PcapngWriter(file) as writer:
        tun, tap = writer.interface("tun0"), writer.interface("tap0", LinkType.ETHERNET)
        tun.write(IPV4, START, direction="out")
        tap.write(FRAME, START, direction="in")
        tun.write(IPV6, START, direction="in")
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [IPV4, FRAME, IPV6]),
        ({"interface": "tun0"}, [IPV4, IPV6]),
        ({"interface": 1}, [FRAME]),
        ({"direction": "in"}, [FRAME, IPV6]),
        ({"interface": 0, "direction": "in"}, [IPV6]),
    ],
)
async def test_some_of_it(options: dict[str, Any], expected: list[bytes]) -> None:
    """Only packets of one interface, or of one direction, are replayed if asked."""
    async with replay(two_interfaces(), speed=None, **options) as trace:
        assert await everything(trace) == expected


@pytest.mark.parametrize("interface", ["none", 2])
async def test_an_interface_that_is_not_there(interface: str | int) -> None:
    """An interface that the capture has not is an error at its end, which has the names there are."""
    async with replay(two_interfaces(), speed=None, interface=interface) as trace:
        with pytest.raises(ValueError, match=f"there is no interface {interface!r}; it has tun0, tap0$"):
            await everything(trace)


async def test_an_interface_without_packets() -> None:
    """An interface that is there and has no packets of the direction is no error."""
    async with replay(two_interfaces(), speed=None, interface="tap0", direction="out") as trace:
        assert await everything(trace) == []


def test_a_direction_that_is_none() -> None:
    """A direction is one of two words."""
    with pytest.raises(ValueError, match='replay: direction is "in" or "out", not \'outbound\''):
        replay(two_interfaces(), direction="outbound")  # type: ignore[arg-type]


async def test_super_packets() -> None:
    """A super-packet comes cut, and whole to who asks for it; an order of both keeps all of it once."""
    segments = segment(SUPER)
    async with replay(capture((IPV4, 0), (SUPER, 0), (IPV6, 0)), speed=None) as trace:
        assert await everything(trace) == [IPV4, *segments, IPV6]
    async with replay(capture((IPV4, 0), (SUPER, 0), (IPV6, 0)), speed=None) as trace:
        whole = await trace.recv_many(superpackets=True)
        assert (whole, type(whole[1])) == ([IPV4, SUPER, IPV6], SuperPacket)
    async with replay(capture((SUPER, 0), (SUPER, 0)), speed=None) as trace:
        first = trace.recv_many_nowait(1)
        assert first + await trace.recv_many(superpackets=True) == [*segments, SUPER]


async def test_cut_packets_do_not_come() -> None:
    """A packet of which not everything was kept is counted, and does not come."""
    async with replay(capture((IPV4, 0), (b"four", 0), snaplen=8), speed=None, repeat=2) as trace:
        assert await everything(trace) == [b"four", b"four"]
        counted = trace.statistics().interface
    assert counted is not None
    assert (counted.opackets, counted.dropped) == (2, {"truncated": 2})


async def test_a_broken_file() -> None:
    """Where the file is broken recv() says so, after the packets before it, and then it has ended."""
    file = numbered(2)
    octets = file.getvalue()
    broken = octets[: octets.rindex(b"\5\0\0\0")] + b"\1\0\0\0\7\0\0\0"
    async with replay(io.BytesIO(broken), speed=None) as trace:
        assert await trace.recv_many() == [bytes(4), b"\0\0\0\1"]
        with pytest.raises(PacketError, match="is 7 bytes"):
            await trace.recv()
        with pytest.raises(DeviceClosed):
            await trace.recv()


async def test_sending_is_refused() -> None:
    """A capture takes no packets, and the error says what would."""
    async with replay(numbered(1)) as trace:
        with pytest.raises(
            DeviceError, match=r"^capture: a capture takes no packets; replay\(\) has answers="
        ) as error:
            await trace.send(IPV4)
        assert error.value.errno == errno.EOPNOTSUPP
        await trace.send_many([IPV4, IPV6], drop=True)
        assert trace.statistics().dropped == {"refused": 2}


async def test_answers() -> None:
    """What is sent is recorded where it is asked to be."""
    file = io.BytesIO()
    with PcapngWriter(file) as writer:
        async with replay(numbered(1), answers=writer.interface("answers")) as trace:
            await trace.send(IPV4)
            assert trace.statistics().sent_packets == 1
    file.seek(0)
    assert [(one.packet, one.direction) for one in open_capture(file)] == [(IPV4, "in")]


async def test_into_an_interface(tmp_path: Path) -> None:
    """A capture is replayed into an interface of a host like any endpoint's packets."""
    path = tmp_path / "ping.pcapng"
    path.write_bytes(capture((IPV4, 0), (IPV4, 1000)).getvalue())
    async with SoftHost() as host, host.open_tun("tun0", address="192.0.2.2/24") as tun, replay(path) as trace:
        async for batch in trace.batches():
            await tun.send_many(batch)
        counted = tun.statistics().interface
    assert counted is not None
    assert counted.ipackets == 2


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"speed": 0}, "^replay: speed is 0, it must be above 0, or None for no pauses$"),
        ({"speed": float("nan")}, "^replay: speed is nan, it must be above 0"),
        ({"repeat": 0}, "^replay: repeat is 0, it must be at least 1, or None for ever$"),
    ],
)
def test_bad_options(options: dict[str, Any], text: str) -> None:
    """A replay that cannot be is refused."""
    with pytest.raises(ValueError, match=text):
        replay(io.BytesIO(), **options)


def test_only_files(tmp_path: Path) -> None:
    """What reading could wait for is refused; what is not there is missing."""
    with pytest.raises(ValueError, match=": only a file can be replayed, for reading it must not wait$"):
        replay(tmp_path)
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none")


# --- what every endpoint promises -----------------------------------------------------------------


@pytest.mark.parametrize("how", RECEIVE)
async def test_a_cancel_takes_nothing(how: str) -> None:
    """However receiving is cancelled around the time that a packet is due, none is lost, doubled or reordered."""
    chance = random.Random(1)
    received: list[bytes] = []
    async with replay(numbered(300, 50_000)) as trace:
        while len(received) < 250:
            task = asyncio.create_task(RECEIVE[how](trace))
            await turns(chance.randrange(12))
            cancelled = task.cancel()
            try:
                received += await task
            except asyncio.CancelledError:
                assert cancelled
        received += await everything(trace)
    assert [int.from_bytes(packet, "big") for packet in received] == list(range(300))


async def test_one_reader() -> None:
    """A second receiver is refused, and the first undisturbed."""
    async with replay(capture((b"one", 0), (b"two", 10**13))) as trace:
        assert await trace.recv() == b"one"
        waiting = await parked(trace.recv())
        with pytest.raises(ConcurrencyError):
            await trace.recv()
        waiting.cancel()
        await asyncio.wait([waiting])


async def test_close() -> None:
    """Closing ends who waits, leaves no timer, and is idempotent."""
    trace = replay(capture((b"one", 0), (b"two", 10**13)))
    assert await trace.recv() == b"one"
    waiting = await parked(everything(trace))
    await trace.aclose()
    await trace.aclose()
    assert await waiting == []
    with pytest.raises(DeviceClosed, match="^capture: the endpoint is closed$"):
        await trace.recv()
    assert trace.fileno() == -1


async def test_the_file_is_closed(tmp_path: Path) -> None:
    """The file that replay() opened is closed with the endpoint, the caller's is not."""
    file = numbered(2)
    (tmp_path / "x").write_bytes(file.getvalue())
    async with replay(tmp_path / "x") as trace:
        await trace.recv()
    async with replay(file) as trace:
        await trace.recv()
    assert not file.closed


def test_another_loop() -> None:
    """A replay goes on in the next event loop where the one before left it."""
    trace = replay(numbered(3, MS))

    async def one() -> bytes:
        return await trace.recv()

    async def last() -> bytes:
        async with trace:
            return await trace.recv()

    assert [asyncio.run(one()), asyncio.run(one()), asyncio.run(last())] == [bytes(4), b"\0\0\0\1", b"\0\0\0\2"]

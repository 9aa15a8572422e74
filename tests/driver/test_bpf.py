"""Listening on an interface: what is seen, what is kept, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import struct
import sys
import time

import pytest

from aiotun.driver.bpf import DLT, BpfIf, BpfListener, BpfStatistics, Captured, Direction
from aiotun.errors import ConcurrencyError, DeviceClosed, DeviceError, DeviceGone, WouldBlock
from aiotun.testing.expect import parked, turns

IN, OUT = Direction.IN, Direction.OUT
BATCH = [b"one", b"two", b"three"]
CLOSED = "^tap0: the capture was closed$"
GONE = "^tap0: the interface was deleted$"


@pytest.fixture
def bpf() -> BpfIf:
    return BpfIf(DLT.EN10MB, "tap0")


@pytest.fixture
def listener(bpf: BpfIf) -> BpfListener:
    return bpf.attach()


def packets(listener: BpfListener) -> list[bytes]:
    """Everything the listener has queued."""
    try:
        return [captured.packet for captured in listener.recv_many_nowait(10_000)]
    except WouldBlock:
        return []


async def collect(listener: BpfListener) -> list[bytes]:
    """Everything that iterating yields, up to its end."""
    return [captured.packet async for captured in listener]


@pytest.mark.parametrize(("dlt", "value"), [(DLT.NULL, 0), (DLT.EN10MB, 1)])
def test_a_dlt_has_its_number(dlt: DLT, value: int) -> None:
    """A link type has the number of net/bpf.h, and the interface tells which is its own."""
    assert dlt == value
    assert BpfIf(dlt, "dev0").dlt is dlt


# --- the attachment point -------------------------------------------------------------------------


def test_false_while_nobody_listens(bpf: BpfIf) -> None:
    """An interface that nobody listens to is false; it is true from attach() to close()."""
    states = [bool(bpf)]
    listener = bpf.attach()
    states.append(bool(bpf))
    listener.close()
    assert [*states, bool(bpf)] == [False, True, False]


def test_an_unused_one_is_small() -> None:
    """What nobody listens to costs its slots alone."""
    assert sys.getsizeof(BpfIf(DLT.NULL, "tun0")) <= 80
    assert BpfIf(DLT.NULL, "tun0").listeners is BpfIf(DLT.NULL, "tun1").listeners


def test_everybody_sees_everything(bpf: BpfIf) -> None:
    """Each listener gets every packet, in order."""
    listeners = [bpf.attach(), bpf.attach()]
    bpf.mtap(BATCH, IN)
    assert [packets(listener) for listener in listeners] == [BATCH, BATCH]


def test_one_leaves_the_others_stay(bpf: BpfIf, listener: BpfListener) -> None:
    """A listener that leaves takes nobody with it."""
    stays = bpf.attach()
    listener.close()
    bpf.mtap(BATCH, IN)
    assert packets(stays) == BATCH


@pytest.mark.parametrize("direction", Direction)
def test_what_is_captured(
    bpf: BpfIf, listener: BpfListener, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A captured packet has its time, its direction, its bytes and its length."""
    monkeypatch.setattr(time, "time", lambda: 1234.5)
    bpf.mtap([b"three"], direction)
    assert listener.recv_nowait() == Captured(1234.5, direction, b"three", 5)


def test_one_time_for_a_batch(bpf: BpfIf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read once for a batch, however many listen."""
    times = iter([1.0, 2.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    listeners = [bpf.attach(), bpf.attach()]
    bpf.mtap(BATCH, IN)
    assert {captured.time for listener in listeners for captured in listener.recv_many_nowait()} == {1.0}


def test_the_family_in_front(bpf: BpfIf, listener: BpfListener) -> None:
    """ptap() puts the family in front of each packet, 4 bytes in host order."""
    bpf.ptap(2, [b"one", b"two"], IN)
    header = struct.pack("=I", 2)
    assert packets(listener) == [header + b"one", header + b"two"]


def test_a_family_for_each(bpf: BpfIf, listener: BpfListener) -> None:
    """ptap() takes one family for each packet."""
    bpf.ptap([2, 28], [b"one", b"two"], OUT)
    assert packets(listener) == [struct.pack("=I", 2) + b"one", struct.pack("=I", 28) + b"two"]


@pytest.mark.parametrize("families", [2, [2, 2]])
def test_the_direction_with_families(bpf: BpfIf, listener: BpfListener, families: int | list[int]) -> None:
    """ptap() passes the direction on."""
    bpf.ptap(families, [b"one", b"two"], OUT)
    assert [captured.direction for captured in listener.recv_many_nowait()] == [OUT, OUT]


def test_a_family_too_few(bpf: BpfIf, listener: BpfListener) -> None:
    """Families and packets of different number are a mistake."""
    with pytest.raises(ValueError):
        bpf.ptap([2], [b"one", b"two"], IN)


def test_a_listener_that_leaves_while_told(bpf: BpfIf) -> None:
    """A filter may close another listener: the walk goes on."""
    other = bpf.attach()

    def closes(packet: bytes) -> bool:
        other.close()
        return True

    bpf.attach(accept=closes)
    last = bpf.attach()
    bpf.mtap(BATCH, IN)
    assert packets(last) == BATCH


# --- bounds, filters and counters -----------------------------------------------------------------


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_what_does_not_fit_is_dropped(bpf: BpfIf, limit: int, kept: int) -> None:
    """Of a batch, as many packets as there is room for are kept, from its front; the others are counted."""
    listener = bpf.attach(limit=limit)
    bpf.mtap(BATCH, IN)
    assert listener.statistics().dropped == 3 - kept
    assert packets(listener) == BATCH[:kept]


def test_a_full_queue(bpf: BpfIf) -> None:
    """A full queue takes nothing; room made is used."""
    listener = bpf.attach(limit=2)
    bpf.mtap(BATCH, IN)
    bpf.mtap([b"four"], IN)
    listener.recv_nowait()
    bpf.mtap([b"five", b"six"], IN)
    assert listener.statistics() == BpfStatistics(received=6, accepted=6, taken=1, queued=2, dropped=3)
    assert packets(listener) == [b"two", b"five"]


def test_a_thousand_by_default(bpf: BpfIf, listener: BpfListener) -> None:
    """A thousand packets wait unless one says otherwise."""
    bpf.mtap([b""] * 1001, IN)
    statistics = listener.statistics()
    assert (statistics.queued, statistics.dropped) == (1000, 1)


@pytest.mark.parametrize(("snaplen", "kept"), [(1, b"t"), (4, b"thre"), (5, b"three"), (6, b"three")])
def test_snaplen(bpf: BpfIf, snaplen: int, kept: bytes) -> None:
    """A packet is cut to the snaplen, and its length told all the same."""
    listener = bpf.attach(snaplen=snaplen)
    bpf.mtap([b"three"], IN)
    captured = listener.recv_nowait()
    assert (captured.packet, captured.length, listener.snaplen) == (kept, 5, snaplen)


def test_snaplen_by_default(listener: BpfListener) -> None:
    """By default 256 KiB of a packet are kept."""
    assert listener.snaplen == 262144


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"limit": 0}, "tap0: a capture holds at least 1 packet, not 0"),
        ({"snaplen": 0}, "tap0: a capture takes at least 1 byte of a packet, not 0"),
    ],
)
def test_bounds_that_keep_nothing(bpf: BpfIf, options: dict[str, int], text: str) -> None:
    """A capture of no packets, or of no bytes, is refused, and nobody listens."""
    with pytest.raises(ValueError, match=f"^{text}$"):
        bpf.attach(**options)  # type: ignore[arg-type]
    assert not bpf


def test_a_filter(bpf: BpfIf) -> None:
    """A filter chooses what is kept; what it refuses is counted as received alone."""
    listener = bpf.attach(accept=lambda packet: packet.startswith(b"t"))
    bpf.mtap(BATCH, IN)
    assert listener.statistics() == BpfStatistics(received=3, accepted=2, taken=0, queued=2, dropped=0)
    assert packets(listener) == [b"two", b"three"]


def test_a_filter_sees_the_whole_packet(bpf: BpfIf) -> None:
    """A filter sees a packet before it is cut, with the family in front."""
    seen: list[bytes] = []
    bpf.attach(snaplen=1, accept=lambda packet: not seen.append(packet))  # type: ignore[func-returns-value]
    bpf.ptap(2, [b"one"], IN)
    assert seen == [struct.pack("=I", 2) + b"one"]


def test_a_filter_that_fails(bpf: BpfIf) -> None:
    """A filter that raises ends its own capture; its reader gets the error, the others the packets."""

    def fails(packet: bytes) -> bool:
        raise ZeroDivisionError

    broken = bpf.attach(accept=fails)
    other = bpf.attach()
    bpf.mtap(BATCH, IN)
    bpf.mtap(BATCH, IN)
    assert packets(other) == BATCH * 2
    assert broken.statistics() == BpfStatistics(received=3, accepted=0, taken=0, queued=0, dropped=0)
    with pytest.raises(ZeroDivisionError):
        broken.recv_nowait()


def test_conservation(bpf: BpfIf) -> None:
    """Everything accepted is taken, queued or dropped."""
    listener = bpf.attach(limit=4)
    for size in range(1, 6):
        bpf.mtap([b"x"] * size, IN)
        listener.recv_many_nowait(2)
    listener.close()
    counted = listener.statistics()
    assert counted == BpfStatistics(received=15, accepted=15, taken=9, queued=0, dropped=6)


# --- receiving now --------------------------------------------------------------------------------


def test_nothing_now(listener: BpfListener) -> None:
    """With nothing queued recv_nowait() would block."""
    with pytest.raises(WouldBlock, match="tap0: no packet was captured") as error:
        listener.recv_nowait()
    assert error.value.errno == errno.EAGAIN


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_a_batch_now(bpf: BpfIf, listener: BpfListener, limit: int, count: int) -> None:
    """recv_many_nowait() returns up to so many, oldest first, and leaves the others."""
    bpf.mtap(BATCH, IN)
    assert [captured.packet for captured in listener.recv_many_nowait(limit)] == BATCH[:count]
    counted = listener.statistics()
    assert (counted.taken, counted.queued) == (count, 3 - count)


async def test_a_batch_of_nothing(listener: BpfListener) -> None:
    """A batch has at least one packet."""
    with pytest.raises(ValueError, match="^a batch has at least 1 packet, not 0$"):
        listener.recv_many_nowait(0)
    with pytest.raises(ValueError, match="^a batch has at least 1 packet, not 0$"):
        await listener.recv_many(0)


async def test_64_by_default(bpf: BpfIf, listener: BpfListener) -> None:
    """A batch has 64 packets by default."""
    bpf.mtap([b""] * 200, IN)
    assert (len(listener.recv_many_nowait()), len(await listener.recv_many())) == (64, 64)


# --- receiving ------------------------------------------------------------------------------------


async def test_recv_waits(bpf: BpfIf, listener: BpfListener) -> None:
    """recv() waits for a packet, and leaves the others queued."""
    task = await parked(listener.recv())
    bpf.mtap(BATCH, IN)
    assert (await task).packet == b"one"
    assert packets(listener) == [b"two", b"three"]


async def test_recv_many(bpf: BpfIf, listener: BpfListener) -> None:
    """recv_many() returns what is queued, up to its limit."""
    bpf.mtap(BATCH, IN)
    assert [captured.packet for captured in await listener.recv_many(2)] == BATCH[:2]


async def test_recv_gives_the_loop_a_turn(bpf: BpfIf, listener: BpfListener) -> None:
    """recv() lets the loop's other callbacks run though a packet is queued."""
    ran: list[bool] = []
    bpf.mtap(BATCH, IN)
    asyncio.get_running_loop().call_soon(ran.append, True)
    await listener.recv()
    assert ran


async def test_waiting_again(bpf: BpfIf, listener: BpfListener) -> None:
    """Once everything is taken recv() waits again."""
    bpf.mtap([b"one"], IN)
    await listener.recv()
    task = await parked(listener.recv())
    assert not listener._ready._level  # it sleeps, and does not look over and over
    bpf.mtap([b"two"], IN)
    assert (await task).packet == b"two"


async def test_what_is_not_kept_wakes_nobody(bpf: BpfIf) -> None:
    """Packets that the filter refuses do not wake the reader."""
    listener = bpf.attach(accept=lambda packet: False)
    task = await parked(listener.recv())
    bpf.mtap(BATCH, IN)
    assert not listener._ready._level
    task.cancel()


async def test_a_cancelled_recv(bpf: BpfIf, listener: BpfListener) -> None:
    """A cancelled recv() loses no packet, though it was woken for one."""
    task = await parked(listener.recv())
    bpf.mtap(BATCH, IN)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert packets(listener) == BATCH


async def test_one_reader(bpf: BpfIf, listener: BpfListener) -> None:
    """A second reader is refused, though a packet is there by now; the first gets it."""
    task = await parked(listener.recv())
    bpf.mtap([b"one"], IN)
    for second in (listener.recv, listener.recv_many, listener.__anext__):
        with pytest.raises(ConcurrencyError, match="^another task is already receiving what tap0 captured$"):
            await second()
    assert (await task).packet == b"one"


# --- iterating ------------------------------------------------------------------------------------


async def test_iterating(bpf: BpfIf, listener: BpfListener) -> None:
    """Iterating yields every packet in order, waits for more, and ends quietly with detach()."""
    task = asyncio.create_task(collect(listener))
    bpf.mtap(BATCH, IN)
    await turns()
    bpf.mtap([b"four"], IN)
    await turns()
    assert not task.done()
    listener.detach()
    assert await task == [*BATCH, b"four"]
    assert listener.statistics().taken == 4


async def test_leaving_and_coming_back(bpf: BpfIf, listener: BpfListener) -> None:
    """Iterating again goes on where it was left."""
    bpf.mtap(BATCH, IN)
    async for captured in listener:
        assert captured.packet == b"one"
        break
    listener.detach()
    assert await collect(listener) == [b"two", b"three"]


# --- the end --------------------------------------------------------------------------------------


def test_detach_leaves_what_is_queued(bpf: BpfIf, listener: BpfListener) -> None:
    """A detached listener sees no more, and still gives what it has."""
    bpf.mtap([b"one"], IN)
    listener.detach()
    bpf.mtap([b"two"], IN)
    assert packets(listener) == [b"one"]
    with pytest.raises(DeviceClosed, match=CLOSED):
        listener.recv_nowait()


def test_close_drops_what_is_queued(bpf: BpfIf, listener: BpfListener) -> None:
    """A closed listener has nothing: what was queued is counted as dropped, once."""
    bpf.mtap(BATCH, IN)
    listener.close()
    listener.close()
    assert listener.statistics() == BpfStatistics(received=3, accepted=3, taken=0, queued=0, dropped=3)
    with pytest.raises(DeviceClosed, match=CLOSED):
        listener.recv_nowait()


def test_with(bpf: BpfIf) -> None:
    """Leaving the ``with`` block closes the listener it gave."""
    with bpf.attach() as listener:
        bpf.mtap(BATCH, IN)
        assert listener.recv_nowait().packet == b"one"
    assert not bpf
    assert listener.statistics().queued == 0


async def test_close_releases_the_reader(listener: BpfListener) -> None:
    """A waiting reader learns that the listener was closed."""
    task = await parked(listener.recv())
    listener.close()
    with pytest.raises(DeviceClosed, match=CLOSED):
        await task


async def test_gone_after_what_is_queued(bpf: BpfIf, listener: BpfListener) -> None:
    """When the interface is deleted one gets what is queued, then, each time, DeviceGone."""
    bpf.mtap(BATCH, IN)
    bpf.gone()
    got: list[bytes] = []
    with pytest.raises(DeviceGone, match=GONE):
        async for captured in listener:
            got.append(captured.packet)
    assert got == BATCH
    for _ in range(2):
        with pytest.raises(DeviceGone, match=GONE):
            await listener.recv()


async def test_gone_releases_every_reader(bpf: BpfIf) -> None:
    """Every waiting reader learns that the interface was deleted."""
    tasks = [await parked(bpf.attach().recv()) for _ in range(2)]
    bpf.gone()
    assert [type(await task) for task in map(error_of, tasks)] == [DeviceGone, DeviceGone]


async def error_of(task: asyncio.Task[Captured]) -> BaseException | None:
    await asyncio.wait([task])
    return task.exception()


def test_nobody_listens_to_what_is_gone(bpf: BpfIf, listener: BpfListener) -> None:
    """After the interface was deleted nobody listens, and nobody can attach."""
    bpf.gone()
    assert not bpf
    with pytest.raises(DeviceGone, match=GONE):
        bpf.attach()


def test_closing_what_is_gone(bpf: BpfIf, listener: BpfListener) -> None:
    """A listener of a deleted interface can be closed; the first reason stays."""
    bpf.gone()
    listener.close()
    with pytest.raises(DeviceGone, match=GONE):
        listener.recv_nowait()


# --- writing --------------------------------------------------------------------------------------


def test_write() -> None:
    """What is written goes to the interface, as it is."""
    written: list[bytes] = []
    BpfIf(DLT.NULL, "tun0", written.append).attach().write(b"\2\0\0\0one")
    assert written == [b"\2\0\0\0one"]


def test_an_interface_that_takes_nothing(listener: BpfListener) -> None:
    """Writing to an interface that takes no packets is EOPNOTSUPP."""
    with pytest.raises(DeviceError, match="^tap0: the interface takes no packets from a capture$") as error:
        listener.write(b"one")
    assert error.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize("end", [BpfListener.detach, BpfListener.close])
def test_writing_after_the_end(bpf: BpfIf, end: object) -> None:
    """A listener that was detached or closed writes no more."""
    written: list[bytes] = []
    listener = BpfIf(DLT.NULL, "tap0", written.append).attach()
    assert callable(end)
    end(listener)
    with pytest.raises(DeviceClosed, match=CLOSED):
        listener.write(b"one")
    assert written == []

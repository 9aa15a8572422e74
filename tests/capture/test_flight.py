"""The flight recorder: what it remembers, and when it tells."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path as FilePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiotun import pump as pump_of
from aiotun.capture import FlightRecorder, LinkType
from aiotun.channel import memory_pair
from aiotun.errors import PacketError
from aiotun.packet import GSOType, SuperPacket
from aiotun.pipeline import Batch, Path, per_packet, stage
from capture.tools import IPV4, by_scapy, by_tshark, read


def keep(batch: Batch) -> Batch:
    return batch


@stage(reason="not_wanted")
def filter(batch: Batch) -> Batch:
    return [packet for packet in batch if b"drop" not in packet]


def shorten(batch: Batch) -> Batch:
    return [packet[:-1] for packet in batch]


def fail(batch: Batch) -> Batch:
    raise PacketError("bad", reason="short_header")


def path_of(*stages: object) -> Path:
    return Path("tun0 output", [(stage.__name__, stage) for stage in stages], ends=("stack", "snd"))  # type: ignore


def told(recorder: FlightRecorder) -> list[tuple[bytes, str]]:
    """What the recorder says of each packet."""
    file = io.BytesIO()
    assert recorder.dump(file) is None
    return [(one.packet, *one.comments) for one in read(file.getvalue())]  # type: ignore[misc]


def watching(path: Path, **options: int) -> FlightRecorder:
    recorder = FlightRecorder(**options)  # type: ignore[arg-type]
    recorder.watch(path, direction="out")
    return recorder


def test_the_story_of_a_packet() -> None:
    """Each packet has the stages it passed, and where it ended."""
    path = path_of(keep, filter, shorten)
    with watching(path) as recorder:
        path([b"pass", b"drop"])
        assert told(recorder) == [
            (b"pass", "passed keep, filter; changed by shorten"),
            (b"drop", "passed keep; dropped by filter: not_wanted"),
            (b"pas", "made by shorten; left"),
        ]


def test_a_packet_that_left() -> None:
    """A packet that came through is told to have left."""
    path = path_of(keep, filter)
    with watching(path) as recorder:
        path([b"pass"])
        assert told(recorder) == [(b"pass", "passed keep, filter; left")]


def test_a_stage_that_raises() -> None:
    """What an error drops has its reason."""
    path = path_of(keep, fail)
    with watching(path) as recorder:
        with pytest.raises(PacketError):
            path([b"one"])
        assert told(recorder) == [(b"one", "passed keep; dropped by fail: short_header")]


def test_a_dump_from_within() -> None:
    """A batch under way says so."""
    found = []

    def look(batch: Batch) -> Batch:
        found.extend(told(recorder))
        return batch

    path = path_of(keep, look)
    with watching(path) as recorder:
        path([b"one"])
        assert found == [(b"one", "passed keep; was under way")]
        assert told(recorder) == [(b"one", "passed keep, look; left")]


def test_a_path_within_itself() -> None:
    """A stage that sends a packet through its own path confuses no story."""

    def answer(batch: Batch) -> Batch:
        if b"ask" in batch:
            path([b"drop"])
        return batch

    path = path_of(keep, answer, filter)
    with watching(path) as recorder:
        path([b"ask"])
        assert told(recorder) == [
            (b"ask", "passed keep, answer, filter; left"),
            (b"drop", "passed keep, answer; dropped by filter: not_wanted"),
        ]


def test_a_super_packet_that_is_cut() -> None:
    """A super-packet that the path cuts for a stage is told to be."""
    packet = SuperPacket(IPV4, GSOType.NONE, csum_start=20, csum_offset=6, needs_csum=True)
    path = Path("p", [("whole", per_packet(lambda packet: packet, superpackets=True)), ("keep", keep)])
    with watching(path) as recorder:
        (finished,) = path([packet])
        (first, comment, _), second = told(recorder)  # type: ignore[misc]
        assert (first, comment) == (packet, "passed whole; changed by segment")
        assert second == (finished, "made by segment; passed keep; left")


def test_the_newest_are_kept() -> None:
    """Of more packets than it remembers, the newest batches are left."""
    path = path_of(keep)
    with watching(path, limit=10) as recorder:
        for number in range(20):
            path([b"%d" % number] * 4)
        assert len(recorder) == 8
        assert [packet for packet, _ in told(recorder)] == [b"18"] * 4 + [b"19"] * 4


def test_bytes_are_bounded() -> None:
    """Bytes are bounded too, those of changed packets counted."""
    path = path_of(shorten)
    with watching(path, max_bytes=10_000) as recorder:
        for _ in range(50):
            path([bytes(1000)])
            assert recorder.nbytes <= 10_000
        assert len(recorder) == 5


def test_a_batch_beyond_the_limits() -> None:
    """The newest batch is kept whole, whatever the limits."""
    path = path_of(keep)
    with watching(path, limit=1, max_bytes=1) as recorder:
        path([b"one", b"two"])
        assert [packet for packet, _ in told(recorder)] == [b"one", b"two"]


@given(st.lists(st.lists(st.sampled_from([b"pass", b"drop"]), min_size=1, max_size=5), max_size=10))
def test_every_packet_has_an_end(batches: list[list[bytes]]) -> None:
    """Every packet is told once, with the end that it had."""
    path = path_of(keep, filter)
    ends = {b"pass": "passed keep, filter; left", b"drop": "passed keep; dropped by filter: not_wanted"}
    with watching(path) as recorder:
        for batch in batches:
            path(batch)
        assert told(recorder) == [(packet, ends[packet]) for batch in batches for packet in batch]


def test_an_exception_is_dumped(tmp_path: FilePath) -> None:
    """An exception that leaves the block gets a note of the file, which tshark and scapy read."""
    path = path_of(keep)
    with pytest.raises(ZeroDivisionError) as error, FlightRecorder(file=tmp_path / "%Y.pcapng") as recorder:
        recorder.watch(path, direction="in")
        path([IPV4])
        1 / 0  # noqa: B018
    (file,) = tmp_path.iterdir()
    assert error.value.__notes__ == [f"flight recorder: the last packets are in {file}"]
    assert by_tshark(file, "frame.comment", "frame.interface_name") == [["passed keep; left", "tun0 output"]]
    assert [bytes(found) for found in by_scapy(file)] == [IPV4]
    assert b"ZeroDivisionError" in file.read_bytes()


def test_a_dump_that_fails(tmp_path: FilePath) -> None:
    """A dump that fails leaves the exception what it is, with a note."""
    with pytest.raises(ZeroDivisionError) as error, FlightRecorder(file=tmp_path / "none" / "x"):
        1 / 0  # noqa: B018
    (note,) = error.value.__notes__
    assert note.startswith("flight recorder: the last packets could not be written: [Errno 2]")


@pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_an_end_is_not_dumped(tmp_path: FilePath, kind: type[BaseException]) -> None:
    """A cancel, an interrupt or an exit is no accident: nothing is written."""
    with pytest.raises(kind), FlightRecorder(file=tmp_path / "x"):
        raise kind
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_overwritten(tmp_path: FilePath) -> None:
    """Dumps of one second have names of their own."""
    recorder = FlightRecorder(file=tmp_path / "flight.pcapng")
    assert [recorder.dump(), recorder.dump()] == [tmp_path / "flight.pcapng", tmp_path / "flight-2.pcapng"]


async def test_a_signal_dumps(tmp_path: FilePath) -> None:
    """A signal dumps, as often as it comes, and no more after close()."""
    path = path_of(keep)
    with FlightRecorder(file=tmp_path / "flight.pcapng") as recorder:
        recorder.watch(path)
        recorder.dump_on_signal(signal.SIGUSR2)
        path([IPV4])
        for count in (1, 2):
            os.kill(os.getpid(), signal.SIGUSR2)
            while len(list(tmp_path.iterdir())) < count:
                await asyncio.sleep(0)
    assert b"flight recorder: SIGUSR2" in (tmp_path / "flight.pcapng").read_bytes()
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL


def test_the_path_is_left_as_it_was() -> None:
    """close() takes the probes out, forgets everything, and may be called twice."""
    path = path_of(keep)
    recorder = watching(path)
    path([b"one"])
    recorder.close()
    recorder.close()
    assert path["keep"] is keep
    assert (len(recorder), recorder.nbytes) == (0, 0)


def test_refusals() -> None:
    """A path is watched once, has stages, and the recorder remembers something."""
    path = path_of(keep)
    with watching(path) as recorder:
        with pytest.raises(ValueError, match="^tun0 output: the flight recorder watches it already$"):
            recorder.watch(path)
        with pytest.raises(ValueError, match="^tun0 output: there is no stage to watch$"):
            recorder.watch(path_of())
    with pytest.raises(ValueError, match="^flight recorder: it remembers at least 1 packet and 1 byte, not 0 and 1$"):
        FlightRecorder(0, 1)


def test_frames_and_packets() -> None:
    """What the packets begin with is known from the path."""
    with FlightRecorder() as recorder:
        for ethernet in (True, False):
            path = Path("p", [("keep", keep)], ethernet=ethernet)
            recorder.watch(path)
            path([b"packet"])
        file = io.BytesIO()
        recorder.dump(file)
    assert [one.interface.linktype for one in read(file.getvalue())] == [LinkType.ETHERNET, LinkType.RAW]


@pytest.mark.parametrize("inside", [True, False])
async def test_a_pump_that_ends(tmp_path: FilePath, inside: bool) -> None:
    """A fault of a stage of a pump is dumped, whether the recorder's block is inside the pump's or around it."""

    def break_down(batch: Batch) -> Batch:
        raise RuntimeError("bad key")

    file = tmp_path / "flight.pcapng"
    source, a = memory_pair()
    b, sink = memory_pair()
    pump = pump_of(a, b, outbound=[break_down])
    recorder = FlightRecorder(file=str(file))
    async with source, a, b, sink:
        with pytest.raises(RuntimeError, match="bad key") as raised:
            async with AsyncExitStack() as stack:
                if not inside:
                    stack.enter_context(recorder)
                await stack.enter_async_context(pump)
                if inside:
                    stack.enter_context(recorder)
                recorder.watch(pump.outbound)
                await source.send(IPV4)
                await asyncio.Event().wait()
    assert raised.value.__notes__ == [f"flight recorder: the last packets are in {file}"]
    assert [one.comments for one in read(file)] == [("dropped by break_down: break_down (RuntimeError: bad key)",)]


def test_a_cancel_is_no_fault(tmp_path: FilePath) -> None:
    """A cancel of the block without a fault writes nothing."""
    file = tmp_path / "flight.pcapng"
    path = path_of(keep, fail)
    with pytest.raises(asyncio.CancelledError), FlightRecorder(file=str(file)) as recorder:
        recorder.watch(path)
        with pytest.raises(PacketError):
            path([b"one"])
        raise asyncio.CancelledError
    assert not file.exists()

"""What fails behind the delivery of a packet loses none."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from aiotun.driver import Filter, Knote
from aiotun.driver.sigio import Band
from aiotun.errors import DeviceClosed, DeviceDown, DeviceGone
from aiotun.pipeline import Batch

from .fakes import FRAME, Make, both, open_tap, open_tun, unit


def fail(*_: object) -> Any:
    raise RuntimeError("a fault")


@pytest.fixture
def reported(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.ERROR, "aiotun.driver")
    return caplog


@both
def test_a_stage_of_start_that_raises(make: Make, reported: pytest.LogCaptureFixture) -> None:
    """The packets are queued and count as nothing else; the fault is reported."""
    device = make()
    device.start.append(fail, name="fails")
    assert list(device.output([unit(make)])) == [unit(make)]
    assert (len(device.snd), device.counters().dropped) == (1, {})
    assert reported.messages == ["dev0: starting failed"]


@both
def test_a_filters_callback_that_raises(make: Make, reported: pytest.LogCaptureFixture) -> None:
    """The other filters are told, and the sender hears nothing of it."""
    device = make()
    told: list[Knote] = []
    other = device.kqfilter(Filter.READ, told.append)
    device.kqfilter(Filter.READ, fail)
    device.output([unit(make)])
    assert told == [other]
    assert reported.messages == [f"<Knote READ: ready, {len(unit(make))} bytes>: its callback failed"]


def test_a_listener_of_sigio_that_raises(reported: pytest.LogCaptureFixture) -> None:
    """The listeners behind it are told."""
    tun, told = open_tun(), list[Band]()
    tun.set_async(1)
    tun.sigio.listen(fail)
    tun.sigio.listen(told.append)
    tun.output([unit(open_tun)])
    assert told == [Band.POLL_IN]
    assert reported.messages == ["dev0: a listener failed over POLL_IN"]


@both
def test_a_capture_closed_by_its_own_filter(make: Make) -> None:
    """A filter that closes its capture gets none of the batch it was looking at."""
    device = make()
    capture = device.bpf.attach(accept=lambda packet: capture.close() or True)  # type: ignore[func-returns-value]
    device.write(unit(make))
    with pytest.raises(DeviceClosed):
        capture.recv_nowait()


@both
@pytest.mark.parametrize(
    ("happens", "error", "reason"),
    [("destroy", DeviceGone, "gone"), ("down", DeviceDown, "down")],
)
def test_a_stage_that_ends_its_own_interface(make: Make, happens: str, error: type[Exception], reason: str) -> None:
    """Nothing is queued in an interface that a stage took down meanwhile."""
    device = make()

    def end(batch: Batch) -> Batch:
        if happens == "destroy":
            device.destroy()
        else:
            device.set_up(False)
        return batch

    device.output.insert_before("enqueue", end)
    with pytest.raises(error):
        device.output([unit(make)])
    assert (len(device.snd), device.counters().dropped) == (0, {reason: 1})


def test_a_classifier_that_raises_behind_the_header() -> None:
    """What a tap's queue raises over is lost, and the interface says so."""
    from aiotun.queueing import Fifo, Priority

    tap = open_tap()
    tap.snd = Priority([Fifo(), Fifo()], fail)
    with pytest.raises(RuntimeError):
        tap.output([FRAME])
    assert tap.counters().dropped == {"enqueue": 1}


@both
def test_an_address_as_text(make: Make) -> None:
    """An address that is not an ip_interface() is refused before it is anywhere."""
    device = make()
    with pytest.raises(TypeError, match="^dev0: an address is an ip_interface\\(\\), not '10.0.0.1/8'$"):
        device.add_address("10.0.0.1/8")  # type: ignore[arg-type]
    assert device.addresses == []


@both
def test_less_than_no_room(make: Make) -> None:
    """A read with room for -1 bytes is refused, and takes nothing."""
    device = make()
    device.output([unit(make)])
    with pytest.raises(ValueError, match="^dev0: a read has room for 0 bytes or more, not -1$"):
        device.read(-1)
    assert len(device.snd) == 1


@both
def test_a_filter_ends_with_the_close(make: Make) -> None:
    """A filter is of one opening: whoever waits for it is told that the device was closed."""
    device = make()

    async def wait() -> None:
        task = asyncio.ensure_future(device.kqfilter(Filter.READ).wait())
        await asyncio.sleep(0)
        device.close()
        with pytest.raises(DeviceClosed, match="^dev0: the device was closed$"):
            await task

    asyncio.run(wait())


@both
def test_the_log_has_the_fault_itself(make: Make, reported: pytest.LogCaptureFixture) -> None:
    """What is reported without a loop has the traceback, of a callback and of the start path alike."""
    device = make()
    device.kqfilter(Filter.READ, fail)
    device.start.append(fail, name="fails")
    device.output([unit(make)])
    faults = [record.exc_info and type(record.exc_info[1]) for record in reported.records]
    assert faults == [RuntimeError, RuntimeError]


@both
def test_no_room_at_all(make: Make) -> None:
    """A read with room for nothing takes the packet and returns nothing of it, as in C."""
    device = make()
    device.output([unit(make)])
    assert device.read(0) == b""
    assert (len(device.snd), device.counts.truncated) == (0, 1)


@both
def test_errors_add_up(make: Make) -> None:
    """Each write that fails adds its packets to the input errors."""
    device = make()
    device.input.insert_before("count", fail, name="fails")
    for count in (1, 2):
        with pytest.raises(RuntimeError):
            device.write_many([unit(make)] * count)
    assert device.counts.ierrors == 3


@both
def test_output_adds_up(make: Make) -> None:
    """Packets and bytes of every read or output add up."""
    device = make()
    for _ in range(2):
        device.output([unit(make)])
        device.read()
    assert (device.counts.opackets, device.counts.obytes) == (2, 2 * len(unit(make)))


@both
def test_the_flags_of_a_deleted_interface(make: Make) -> None:
    """Deleting an interface takes UP and RUNNING away, and leaves the other flags."""
    device = make()
    device.destroy()
    assert device.flags == type(device).flags_at_start

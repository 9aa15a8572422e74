"""SIGIO: real signals to this process and its groups, and who else is told."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from aiotun.driver import sigio as module
from aiotun.driver.sigio import Band, Sigio
from aiotun.errors import DeviceError
from aiotun.testing.expect import turns

NOBODY = 2**22 + 1  # above the largest pid_max of Linux


@pytest.fixture
def sigio() -> Sigio:
    return Sigio("tap0")


@pytest.fixture
def caught() -> Iterator[list[int]]:
    """The SIGIOs that reach this process."""
    signals: list[int] = []
    before = signal.signal(signal.SIGIO, lambda number, frame: signals.append(number))
    yield signals
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What is asked of kill(2), where nothing is really sent."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda id, number: calls.append((id, number)))
    return calls


def fails(error: type[OSError]) -> Callable[[int, int], None]:
    def kill(id: int, number: int) -> None:
        raise error

    return kill


@pytest.mark.parametrize(("band", "value"), [(Band.POLL_IN, 1), (Band.POLL_HUP, 6)])
def test_a_band_has_its_number(band: Band, value: int) -> None:
    """A band has the number of signal.h."""
    assert band == value


# --- the owner ------------------------------------------------------------------------------------


def test_nobody_at_first(sigio: Sigio) -> None:
    """At first nobody owns the signal."""
    assert sigio.owner == 0


@pytest.mark.parametrize("id", [os.getpid(), -os.getpgrp()], ids=["process", "group"])
def test_the_owner(sigio: Sigio, id: int) -> None:
    """A process, or a group by its negative, becomes the owner."""
    sigio.set_owner(id)
    assert sigio.owner == id


def test_setting_an_owner_sends_nothing(sigio: Sigio, killed: list[tuple[int, int]]) -> None:
    """Setting the owner asks the system with signal 0, which reaches nobody."""
    sigio.set_owner(4242)
    assert killed == [(4242, 0)]


def test_nobody_by_zero(sigio: Sigio, killed: list[tuple[int, int]]) -> None:
    """Owner 0 is nobody, and is not asked for: to kill(2) that is one's own group."""
    sigio.set_owner(4242)
    sigio.set_owner(0)
    assert (sigio.owner, len(killed)) == (0, 1)


def test_clear(sigio: Sigio) -> None:
    """clear() forgets the owner."""
    sigio.set_owner(os.getpid())
    sigio.clear()
    assert sigio.owner == 0


@pytest.mark.parametrize(
    ("id", "named"),
    [(NOBODY, f"process {NOBODY}"), (-NOBODY, f"process group {NOBODY}"), (2**40, f"process {2**40}")],
)
def test_an_owner_that_is_not(sigio: Sigio, id: int, named: str) -> None:
    """A number of no process or group is ESRCH, and the owner stays who it was."""
    sigio.set_owner(os.getpid())
    with pytest.raises(ProcessLookupError) as error:
        sigio.set_owner(id)
    assert (error.value.errno, error.value.strerror) == (errno.ESRCH, f"tap0: there is no {named}")
    assert sigio.owner == os.getpid()


@pytest.mark.parametrize(("id", "named"), [(1, "process 1"), (-2, "process group 2")])
def test_an_owner_of_somebody_else(sigio: Sigio, id: int, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may not be signalled is EPERM, with the remedy in the text."""
    monkeypatch.setattr(os, "kill", fails(PermissionError))
    with pytest.raises(PermissionError) as error:
        sigio.set_owner(id)
    text = f"tap0: SIGIO to {named} is not permitted; name one of your own"
    assert (error.value.errno, error.value.strerror) == (errno.EPERM, text)
    assert sigio.owner == 0


def test_process_group_1(sigio: Sigio, killed: list[tuple[int, int]]) -> None:
    """Group 1 is refused without asking: to kill(2) its negative is every process."""
    with pytest.raises(PermissionError, match="process group 1 "):
        sigio.set_owner(-1)
    assert killed == []


def test_a_system_without_sigio(sigio: Sigio, killed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no SIGIO nobody can own it, and who listens is told."""
    monkeypatch.setattr(module, "SIGIO", None)
    with pytest.raises(DeviceError, match="^tap0: this system has no SIGIO$") as error:
        sigio.set_owner(4242)
    assert error.value.errno == errno.EOPNOTSUPP
    told: list[Band] = []
    sigio.listen(told.append)
    sigio.send(Band.POLL_IN)
    assert (told, killed) == ([Band.POLL_IN], [])


# --- sending --------------------------------------------------------------------------------------


def test_a_real_signal(sigio: Sigio, caught: list[int]) -> None:
    """The owner gets a real SIGIO, once for each send()."""
    sigio.set_owner(os.getpid())
    sigio.send(Band.POLL_IN)
    sigio.send(Band.POLL_HUP)
    assert caught == [signal.SIGIO, signal.SIGIO]


def test_a_real_signal_to_a_group() -> None:
    """A process group gets a real SIGIO."""
    program = (
        "import os, signal; from aiotun.driver.sigio import *; os.setpgid(0, 0);"
        "signal.signal(signal.SIGIO, lambda *_: print('caught'));"
        "sigio = Sigio('tap0'); sigio.set_owner(-os.getpid()); sigio.send(Band.POLL_IN)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "caught\n"


def test_without_an_owner(sigio: Sigio, killed: list[tuple[int, int]]) -> None:
    """Without an owner no signal is sent."""
    sigio.send(Band.POLL_IN)
    assert killed == []


def test_an_owner_that_died(sigio: Sigio, killed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner that died meanwhile is forgotten; that is no error, and is not counted."""
    sigio.set_owner(4242)
    monkeypatch.setattr(os, "kill", fails(ProcessLookupError))
    sigio.send(Band.POLL_IN)
    assert (sigio.owner, sigio.refused) == (0, 0)


def test_a_signal_that_is_not_permitted(
    sigio: Sigio, killed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal that the system refuses is counted, and the owner stays."""
    sigio.set_owner(4242)
    assert sigio.refused == 0
    monkeypatch.setattr(os, "kill", fails(PermissionError))
    sigio.send(Band.POLL_IN)
    sigio.send(Band.POLL_IN)
    assert (sigio.owner, sigio.refused) == (4242, 2)


@pytest.mark.parametrize("band", Band)
def test_who_listens_is_told(sigio: Sigio, band: Band) -> None:
    """Who listens is told the band, owner or not."""
    first: list[Band] = []
    second: list[Band] = []
    sigio.listen(first.append)
    sigio.listen(second.append)
    sigio.send(band)
    assert first == second == [band]


def test_told_when_the_signal_is_refused(
    sigio: Sigio, killed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who listens is told, whatever became of the signal."""
    told: list[Band] = []
    sigio.listen(told.append)
    sigio.set_owner(4242)
    for error in (PermissionError, ProcessLookupError):
        monkeypatch.setattr(os, "kill", fails(error))
        sigio.send(Band.POLL_IN)
    assert len(told) == 2


def test_unlisten(sigio: Sigio) -> None:
    """After unlisten() one is told no more; others are."""
    left: list[Band] = []
    stays: list[Band] = []
    leave = left.append
    sigio.listen(leave)
    sigio.listen(stays.append)
    sigio.unlisten(leave)
    sigio.unlisten(leave)
    sigio.send(Band.POLL_IN)
    assert (left, stays) == ([], [Band.POLL_IN])


def test_leaving_while_told(sigio: Sigio) -> None:
    """One may leave while it is told; the others are told all the same."""
    told: list[Band] = []

    def leave(band: Band) -> None:
        sigio.unlisten(leave)

    sigio.listen(leave)
    sigio.listen(told.append)
    sigio.send(Band.POLL_IN)
    assert told == [Band.POLL_IN]


def test_an_unused_one_is_small() -> None:
    """What nobody uses costs its slots alone."""
    assert sys.getsizeof(Sigio("tap0")) <= 80
    assert Sigio("tap0")._listeners is Sigio("tap1")._listeners


# --- the soft interrupt ---------------------------------------------------------------------------


async def test_scheduled_once(sigio: Sigio) -> None:
    """Scheduled often before the loop's next turn, the signal is sent once, then."""
    told: list[Band] = []
    sigio.listen(told.append)
    for _ in range(3):
        sigio.schedule(lambda: Band.POLL_IN)
    assert told == []
    await turns()
    assert told == [Band.POLL_IN]


async def test_scheduled_again(sigio: Sigio) -> None:
    """After it was sent it can be scheduled again."""
    told: list[Band] = []
    sigio.listen(told.append)
    for _ in range(2):
        sigio.schedule(lambda: Band.POLL_IN)
        await turns()
    assert told == [Band.POLL_IN, Band.POLL_IN]


async def test_scheduled_while_sent(sigio: Sigio) -> None:
    """A signal scheduled by one who is told of it is sent in the turn after."""
    told: list[Band] = []

    def again(band: Band) -> None:
        told.append(band)
        if len(told) < 3:
            sigio.schedule(lambda: Band.POLL_IN)

    sigio.listen(again)
    sigio.schedule(lambda: Band.POLL_IN)
    await turns()
    assert len(told) == 3


async def test_the_state_as_it_is_then(sigio: Sigio) -> None:
    """The band is that of the moment of sending, not of scheduling."""
    told: list[Band] = []
    sigio.listen(told.append)
    state = Band.POLL_IN
    sigio.schedule(lambda: state)
    state = Band.POLL_HUP
    await turns()
    assert told == [Band.POLL_HUP]


async def test_nothing_to_say_by_then(sigio: Sigio) -> None:
    """No band by then sends nothing, and does not stand in the way of the next."""
    told: list[Band] = []
    sigio.listen(told.append)
    sigio.schedule(lambda: None)
    await turns()
    assert told == []
    sigio.schedule(lambda: Band.POLL_IN)
    await turns()
    assert told == [Band.POLL_IN]


def test_scheduled_without_a_loop(sigio: Sigio) -> None:
    """Without a running loop a scheduled signal is sent at once."""
    told: list[Band] = []
    sigio.listen(told.append)
    sigio.schedule(lambda: Band.POLL_IN)
    assert told == [Band.POLL_IN]


def test_scheduled_in_a_loop_that_ended(sigio: Sigio) -> None:
    """A loop that was closed before its next turn does not keep the next loop from sending."""
    told: list[Band] = []
    sigio.listen(told.append)

    async def schedule(wait: bool) -> None:
        sigio.schedule(lambda: Band.POLL_IN)
        if wait:
            await turns()

    loop = asyncio.new_event_loop()
    ended = loop.create_task(schedule(False))
    ended.add_done_callback(lambda _: loop.stop())
    loop.run_until_complete(ended)
    loop.close()
    told.clear()
    asyncio.run(schedule(True))
    assert told == [Band.POLL_IN]

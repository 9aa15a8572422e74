"""Row E12 of the fault catalogue: a fork with devices open. The child's epoll is the parent's, and its devices are."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import select
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from children import in_child, living_child
from processes import watchers_ended

import aiotun
from aiotun.channel import UdpChannel, open_udp
from aiotun.endpoint.moderation import ModeratedReadiness
from aiotun.testing import soft_tun
from aiotun.testing.expect import parked, turns

from .scene import (
    ADDRESS,
    MakeLoop,
    descriptors,
    exists,
    ip,
    on_both_loops,
    opened,
    run,
    send_from_the_stack,
    waited,
)

__all__ = ["watchers_ended"]  # a fixture

pytestmark = pytest.mark.kernel


async def _close(tun: aiotun.Tun) -> None:
    await tun.aclose()


async def _leave(tun: aiotun.Tun) -> None:
    async with tun:
        pass


async def _forget(tun: aiotun.Tun) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tun.__del__()


@on_both_loops
@pytest.mark.parametrize("do", [_close, _leave, _forget])
def test_E12_a_child_does_not_deafen_its_parent(do: Callable[[aiotun.Tun], Any], make: MakeLoop) -> None:
    """Whatever a child does to end the endpoint is quiet there, and the parent hears the next packet."""
    with asyncio.Runner(loop_factory=make) as runner:
        tun = runner.run(opened("fork0", address=ADDRESS))
        events = runner.run(first_events(tun))
        task = runner.run(parked(tun.recv()))
        assert in_child(lambda: str(asyncio.run(do(tun)))) == "None"
        send_from_the_stack(b"heard")
        assert runner.run(received(task)).endswith(b"heard")
        ip("link", "set", "fork0", "mtu", "1400")
        assert runner.run(received(asyncio.ensure_future(anext(events), loop=runner.get_loop()))).value == 1400
        runner.run(tun.aclose())


async def first_events(tun: aiotun.Tun) -> Any:
    return tun.events()


async def received(task: Any) -> Any:
    async with asyncio.timeout(10):
        return await task


@on_both_loops
def test_E12_a_child_of_multiprocessing_does_not_deafen_its_parent(make: MakeLoop) -> None:
    """A worker of multiprocessing that inherits an endpoint ends well, and the parent hears the next packet."""
    with asyncio.Runner(loop_factory=make) as runner:
        tun = runner.run(opened("fork1", address=ADDRESS))
        task = runner.run(parked(tun.recv()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 on: forking with threads about
            worker = multiprocessing.get_context("fork").Process(target=_used, args=(tun,))
            worker.start()
        worker.join()
        status = worker.exitcode
        worker.close()
        send_from_the_stack(b"heard")
        assert (status, runner.run(received(task))[-5:]) == (0, b"heard")
        runner.run(tun.aclose())


def _used(tun: aiotun.Tun) -> None:
    """Use the endpoint in a worker: exit with 0 if it refuses."""
    try:
        tun.recv_nowait()
    except RuntimeError:
        del tun
        gc.collect()
        return
    sys.exit(1)


@on_both_loops
def test_E12_a_child_says_whose_it_is(make: MakeLoop) -> None:
    """The child's copy names the process it belongs to, and what it was stays known."""
    tun = run(make, opened("fork2", mtu=1400))

    def look() -> str:
        try:
            tun.recv_nowait()
        except RuntimeError as error:
            return f"{error} {tun.fileno()} {tun.name} {tun.mtu} {tun.statistics().sent_packets}"
        return "received"

    told = in_child(look)
    run(make, tun.aclose())
    assert told == f"fork2: it belongs to process {os.getpid()}, which forked this one; open another -1 fork2 1400 0"


@on_both_loops
def test_E12_a_child_has_none_of_its_descriptors(make: MakeLoop, always_a_stream: None) -> None:
    """Device, netlink sockets, the timer for pauses and a UDP channel's socket are closed in the child."""
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(turns())  # what uvloop opens for itself
        before = descriptors()
        tun = runner.run(opened("fork3"))
        events = runner.run(first_events(tun))
        runner.run(waited(tun))
        udp = runner.run(udp_to_nobody())
        ours = descriptors().items() - before.items()
        left = in_child(lambda: str(ours & descriptors().items()))
        runner.run(tun.aclose())
        runner.run(udp.aclose())
        del events
    kinds = sorted(kind.rstrip("0123456789]") for _, kind in ours)
    assert kinds[:2] == ["/dev/net/tun", "anon_inode:[timerfd"]
    assert set(kinds[2:]) == {"socket:["} and len(kinds) >= 5
    assert left == "set()"


@pytest.fixture
def always_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait is a pause, with a timer of its own."""

    def stream(readiness: ModeratedReadiness, packets: int) -> None:
        readiness._stream = True

    monkeypatch.setattr(ModeratedReadiness, "emptied", stream)


async def udp_to_nobody() -> UdpChannel:
    return await open_udp(None, ("127.0.0.1", 9))


@on_both_loops
def test_E12_a_child_does_not_keep_the_device(make: MakeLoop) -> None:
    """The parent's close deletes the interface although a child that was forked before lives on."""
    tun = run(make, opened("fork4"))
    with living_child():
        run(make, tun.aclose())
        assert not exists("fork4")


@on_both_loops
def test_E12_a_fork_while_a_device_opens_does_not_keep_it(make: MakeLoop) -> None:
    """A child forked while a thread of the parent opens a device has no copy of it either."""

    async def open_and_fork() -> bool:
        opening = asyncio.create_task(opened("fork5"))
        while not exists("fork5"):
            await asyncio.sleep(0)
        with living_child():
            await (await opening).aclose()
            return exists("fork5")

    assert not run(make, open_and_fork())


@on_both_loops
def test_E12_a_descriptor_passed_to_a_program_arrives(make: MakeLoop) -> None:
    """A program that is passed the device's descriptor has it: uvloop forks for it, as for every program."""
    program = "import fcntl, sys; print(fcntl.ioctl(int(sys.argv[1]), 0x800454D2, bytes(40))[:5].decode())"

    async def passed() -> bytes:
        async with aiotun.open_tun("fork6") as tun:
            fd = tun.fileno()
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, str(fd), pass_fds=[fd], stdout=subprocess.PIPE
            )
            return (await process.communicate())[0]

    assert run(make, passed()) == b"fork6\n"


@on_both_loops
def test_E12_a_child_opens_its_own(make: MakeLoop) -> None:
    """A child of a process with a device open can open, use and close another."""

    async def use() -> bytes:
        async with aiotun.open_tun("fork8", address=ADDRESS) as tun:
            send_from_the_stack(b"own")
            return (await tun.recv())[-3:]

    tun = run(make, opened("fork7"))
    told = in_child(lambda: run(make, use()).decode())
    run(make, tun.aclose())
    assert told == "own"


@on_both_loops
def test_E12_a_child_does_not_end_its_parents_private_host(make: MakeLoop) -> None:
    """Closed, or forgotten, by a child, a private network goes on, without a warning in the child."""

    def end() -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            host.__del__()
            asyncio.run(host.aclose())
        return "quiet"

    with asyncio.Runner(loop_factory=make) as runner:
        host = aiotun.PrivateHost()
        runner.run(host.start())
        told = in_child(end)
        status = runner.run(host.run(["true"])).returncode
        runner.run(host.aclose())
    assert (told, status) == ("quiet", 0)


def test_E12_a_child_does_not_set_its_parents_level() -> None:
    """What a child does to its copy of an in-process device leaves the parent's descriptor as it was."""

    async def look() -> tuple[str, str]:
        async with soft_tun() as rig:
            fd = rig.endpoint.fileno()
            rig.output([rig.packet(1)])
            told = in_child(lambda: str(rig.set_up(False)))
            return told, str(select.select([fd], [], [], 0)[0] == [fd])

    assert asyncio.run(look()) == ("None", "True")

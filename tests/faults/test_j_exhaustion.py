"""Rows J of the fault catalogue: what is not to be had any more."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import resource
import socket
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from endpoint.fakes import packets

import aiotun
import aiotun.offload  # says that coalesce() has two forms
from aiotun import speedups
from aiotun.endpoint import Tun
from aiotun.host.routes import Routes
from aiotun.linux.origin import HERE
from aiotun.packet import TCP, IPv4
from aiotun.pipeline import Path
from aiotun.testing import soft_tun
from aiotun.testing.expect import parked

from .scene import ADDRESS, PACKET, descriptors, exists, ip, opened, send_from_the_stack

kernel = pytest.mark.kernel


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """Let this process open *count* descriptors more, at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(fd) for fd in descriptors()}
    free = [fd for fd in range(max(used) + count + 1) if fd not in used]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[count] if count < len(free) else max(used) + count + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _plain() -> None:
    await (await opened("few0")).aclose()


async def _configured() -> None:
    await (await opened("few0", address=ADDRESS, mtu=1400)).aclose()


async def _watched() -> None:
    async with aiotun.open_tun("few0") as tun:
        tun.events()


async def _private() -> None:
    async with aiotun.PrivateHost() as host, host.open_tun("few0"):
        pass


@kernel
@pytest.mark.parametrize("do", [_plain, _configured, _watched, _private])
async def test_J1_running_out_of_descriptors_anywhere_leaves_nothing(do: Callable[[], Any]) -> None:
    """With room for 0, 1, 2 and more descriptors an opening fails with EMFILE until it works, and leaves nothing."""
    await do()  # what the first opening loads stays
    before = descriptors()
    for count in range(30):
        with room_for(count):
            error = await failure(do)
        assert descriptors() == before, f"with room for {count}"
        assert not exists("few0")
        if error is None:
            break
        assert errno.EMFILE in codes(error), repr(error)
    assert count > 1


async def failure(do: Callable[[], Any]) -> BaseException | None:
    try:
        await do()
    except Exception as error:
        return error
    return None


def codes(error: BaseException | None) -> set[int | None]:
    """Return the errno of an error, and of what it came from."""
    found = set()
    while error is not None:
        found.add(getattr(error, "errno", None))
        error = error.__cause__ or error.__context__
    return found


@kernel
@pytest.mark.parametrize("code", [errno.ENFILE, errno.EMFILE, errno.ENOMEM, errno.ENOBUFS])
@pytest.mark.parametrize("call", range(4))
async def test_J1_a_system_without_files_left_leaves_nothing(
    call: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENFILE, and its like, at any socket of an opening ends it with that errno, and leaves no interface (J2)."""
    calls = 0
    real = socket.socket

    def make(family: int, type: int, proto: int) -> socket.socket:
        nonlocal calls
        calls += 1
        if calls == call + 1:
            raise OSError(code, os.strerror(code))
        return real(family, type, proto)

    with monkeypatch.context() as patch:
        patch.setattr(HERE, "make_socket", make)
        error = await failure(_configured)
    gc.collect()
    assert not exists("few0")
    if calls > call:
        assert code in codes(error)
    else:  # as many sockets as that are not needed
        assert error is None and call > 1


@kernel
async def test_J3_a_consumer_without_memory_loses_its_packet_only() -> None:
    """A MemoryError over one packet, in ``async for``, leaves the device open and the next packet where it is."""
    async with aiotun.open_tun("memory0", address=ADDRESS) as tun:
        send_from_the_stack(b"first", b"second")
        with pytest.raises(MemoryError):
            async for _ in tun:
                raise MemoryError
        assert (await tun.recv()).endswith(b"second")


def test_J3_a_stage_without_memory_drops_its_packets() -> None:
    """A MemoryError in a stage reaches the caller, its packets are counted, and the next batch passes."""
    failing = [MemoryError()]

    def stage(batch: Sequence[bytes]) -> Sequence[bytes]:
        if failing:
            raise failing.pop()
        return batch

    path = Path("tun0 output", [("stage", stage)])
    with pytest.raises(MemoryError):
        path(packets(2))
    assert path(packets(3)) == packets(3)
    assert sum(path.statistics().dropped.values()) == 2


async def test_J5_opening_and_closing_costs_no_memory() -> None:
    """After 500 openings and closings more than the first 100 Python has allocated less than 16 bytes for each."""
    async with soft_tun() as rig:
        await rig.endpoint.aclose()

        async def cycle(count: int) -> int:
            for _ in range(count):
                await (await rig.reopen()).aclose()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before = await cycle(100)
            after = await cycle(500)
        finally:
            tracemalloc.stop()
    assert after - before < 8_000


def test_J6_a_look_up_costs_the_same_among_thousands() -> None:
    """Among 255 x 8 routes of each IP version a look-up asks once for each length there is, not for each route."""
    routes = Routes()
    for high in range(255):
        for low in range(8):
            routes.add(f"10.{high}.{low}.0/24", interface="tun0")
            routes.add(f"fd00:{high:x}:{low:x}::/48", interface="tun0")
    routes.add("0.0.0.0/0", interface="tun0")
    for high in range(255):
        four, six = routes.lookup(f"10.{high}.7.7"), routes.lookup(f"fd00:{high:x}:7::7")
        assert four is not None and four.prefix == IPv4Network(f"10.{high}.7.0/24")
        assert six is not None and six.prefix == IPv6Network(f"fd00:{high:x}:7::/48")
    assert {size: len(lengths) for size, lengths in routes._table._walks.items()} == {4: 2, 16: 1}


def _work(count: int) -> int:
    """Return how many calls it takes to look for what can be merged among so many packets of a flow each."""
    batch = [
        IPv4("10.0.0.1", "10.0.0.2", 6, TCP(1000 + number, 80, bytes(100)).build("10.0.0.1", "10.0.0.2")).build()
        for number in range(count)
    ]
    calls = 0

    def counted(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(counted)
    try:
        left = speedups.pure["coalesce"](batch)  # in C nothing is called that could be counted
    finally:
        sys.setprofile(None)
    assert left == batch
    return calls


def test_J7_as_many_flows_as_packets_cost_no_more_each() -> None:
    """Where no two packets are of one flow, twice as many are twice the work."""
    few, many = _work(500), _work(1000)
    assert few > 500
    assert many < 2.2 * few


# --- J9: a sandbox without netlink ----------------------------------------------------------------

REFUSALS = [errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT]


@pytest.fixture
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A device that is there, and no netlink from now on; the descriptor is the test's."""
    tun = asyncio.run(opened("sandbox0", address=ADDRESS, mtu=1400))
    fd = tun.detach_fd()
    real = socket.socket

    def make(family: int, type: int, proto: int) -> socket.socket:
        if family == socket.AF_NETLINK:
            raise OSError(request.param, os.strerror(request.param))
        return real(family, type, proto)

    monkeypatch.setattr(HERE, "make_socket", make)
    yield fd


@kernel
@pytest.mark.parametrize("sandbox", REFUSALS, indirect=True)
async def test_J9_without_netlink_packets_flow(sandbox: int) -> None:
    """A device adopted where netlink is refused receives and sends; name, mtu and up are asked by ioctl."""
    async with Tun.from_fd(sandbox) as tun:
        send_from_the_stack(b"heard")
        assert (await tun.recv()).endswith(b"heard")
        await tun.send(PACKET)
        assert (tun.name, tun.mtu) == ("sandbox0", 1400)
        ip("link", "set", "sandbox0", "mtu", "1300")
        assert tun.mtu == 1300
        ip("link", "set", "sandbox0", "down")
        ip("link", "set", "sandbox0", "name", "sandbox1")
        assert tun.name == "sandbox1"


@kernel
@pytest.mark.parametrize("sandbox", REFUSALS, indirect=True)
async def test_J9_without_netlink_there_are_no_events_and_no_counters(sandbox: int) -> None:
    """events() says that it cannot watch; of the interface's counters nothing is told, rather than nothing counted."""
    async with Tun.from_fd(sandbox) as tun:
        with pytest.raises(aiotun.AiotunError, match="sandbox0: cannot watch the interface: "):
            tun.events()
        assert tun.statistics().interface is None


@kernel
@pytest.mark.parametrize("sandbox", REFUSALS, indirect=True)
async def test_J9_without_netlink_down_is_asked_for(sandbox: int) -> None:
    """With ``when_down="raise"`` recv() raises DeviceDown of an interface that is down, asked by ioctl."""
    async with Tun.from_fd(sandbox, when_down="raise") as tun:
        task = await parked(tun.recv())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        ip("link", "set", "sandbox0", "down")
        with pytest.raises(aiotun.DeviceDown):
            await tun.recv()


@kernel
@pytest.mark.parametrize("sandbox", REFUSALS, indirect=True)
async def test_J9_without_netlink_a_deletion_ends_the_reader(sandbox: int) -> None:
    """The descriptor itself tells who waits to receive that the interface was deleted."""
    async with Tun.from_fd(sandbox) as tun:
        task = await parked(tun.recv())
        ip("link", "del", "sandbox0")
        with pytest.raises(aiotun.DeviceGone):
            await task


@kernel
@pytest.mark.parametrize("code", REFUSALS)
async def test_J9_opening_without_netlink_says_so(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new device cannot be configured without netlink: the refusal is raised, and the interface is gone."""

    def refuse(family: int, type: int, proto: int) -> socket.socket:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(HERE, "make_socket", refuse)
        error = await failure(lambda: opened("sandbox2"))
    assert code in codes(error)
    assert not exists("sandbox2")

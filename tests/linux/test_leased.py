"""Devices that another process opened: their connection ends with the last port, unless a descriptor was detached."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from aiotun import DeviceError
from aiotun.endpoint import OFFLOAD
from aiotun.linux import leased
from aiotun.linux.leased import Connection, LeasedPort, adopt_leased
from aiotun.linux.terms import Terms
from aiotun.linux.tunopen import another_queue, open_device
from aiotun.linux.worker import in_thread


def connection() -> tuple[Connection, socket.socket, list[Connection]]:
    """Return a connection, the lender's end of it, and where it is kept."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(10)
    kept: list[Connection] = []
    return Connection(ours, kept.append), theirs, kept


def test_the_last_port_ends_it() -> None:
    """Of two ports the second that lets go is told to end the lease."""
    ours, theirs, kept = connection()
    ours.hold()
    ours.hold()
    assert [ours.let_go(), ours.let_go()] == [False, True]
    ours.abandon()
    assert (theirs.recv(1), kept) == (b"", [])
    theirs.close()


@pytest.mark.parametrize("first", [True, False])
def test_one_detached_port_keeps_it(first: bool) -> None:
    """When a descriptor of one port was detached, first or last, nobody ends the lease, and its keeper has it."""
    ours, theirs, kept = connection()
    ours.hold()
    ours.hold()
    assert [ours.let_go(keep=first), ours.let_go(keep=not first)] == [False, False]
    assert kept == [ours]
    ours.abandon()
    theirs.close()


def test_the_end_waits_for_the_lender() -> None:
    """end() tells the lender, and returns when the lender has hung up."""
    ours, theirs, _ = connection()
    order: list[str] = []

    def lend() -> None:
        assert theirs.recv(1) == b""
        order.append("undone")
        theirs.close()

    lender = threading.Thread(target=lend)
    lender.start()
    ours.end()
    order.append("ended")
    lender.join()
    assert order == ["undone", "ended"]


def test_the_end_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lender that does not answer is given up."""
    monkeypatch.setattr(leased, "PATIENCE", 0.01)
    ours, theirs, _ = connection()
    ours.end()
    theirs.close()


def test_a_lender_that_is_gone() -> None:
    """With a lender that ended before, there is nothing to wait for; and a second end is nothing."""
    ours, theirs, _ = connection()
    theirs.close()
    ours.end()
    ours.end()


def test_a_forked_child_does_not_keep_it() -> None:
    """A child that is forked closes its copy: a forgotten child keeps no lease alive."""
    ours, theirs, _ = connection()
    hear, tell = os.pipe()
    child = os.fork()
    if not child:
        theirs.close()
        os.read(hear, 1)
        os._exit(0)
    ours.abandon()
    assert theirs.recv(1) == b""
    os.write(tell, b"!")
    os.waitpid(child, 0)
    os.close(hear)
    os.close(tell)
    theirs.close()


@asynccontextmanager
async def ports(
    queues: int | None = None, offload: frozenset[str] = frozenset()
) -> AsyncIterator[tuple[list[LeasedPort], socket.socket, list[Connection]]]:
    """Lease a tun, whose lender hangs up as soon as it is asked to."""
    ours, theirs, kept = connection()
    theirs.setblocking(False)
    files = [open_device("tun", "port%d", terms=Terms(queues=queues, offload=offload))]
    files += [another_queue(files[0], "tun") for _ in range(1, queues or 1)]
    asyncio.get_running_loop().add_reader(theirs, theirs.close)
    try:
        yield adopt_leased([file.detach() for file in files], "tun", ours), theirs, kept
    finally:
        if theirs.fileno() != -1:
            asyncio.get_running_loop().remove_reader(theirs)
            theirs.close()


Close = Callable[[LeasedPort], object]


@pytest.mark.kernel
async def test_closing_ends_the_lease() -> None:
    """aclose() returns when the device is closed and the lender has hung up."""
    async with ports() as ((port,), theirs, _):
        asyncio.get_running_loop().remove_reader(theirs)
        order: list[str] = []

        def lend() -> None:
            theirs.setblocking(True)
            assert theirs.recv(1) == b""
            order.append(str(port.fileno()))
            theirs.close()

        lender = asyncio.create_task(in_thread(lend))
        await port.aclose()
        order.append("closed")
        await lender
        assert order == ["-1", "closed"]


@pytest.mark.kernel
async def test_the_last_queue_ends_the_lease() -> None:
    """Of several queues the last that is closed ends the lease."""
    async with ports(3) as ((first, second, third), theirs, _):
        await first.aclose()
        second.close_now()
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        asyncio.get_running_loop().remove_reader(theirs)
        third.close_now()
        assert theirs.recv(1) == b""


@pytest.mark.kernel
async def test_a_detached_descriptor_keeps_the_lease() -> None:
    """detach() gives the descriptor away and the connection to its keeper."""
    async with ports() as ((port,), theirs, kept):
        os.close(port.detach())
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        (connection,) = kept
        connection.abandon()


@pytest.mark.kernel
async def test_what_cannot_be_adopted_is_closed() -> None:
    """If one of the descriptors is no tun, all are closed, and the connection with them."""
    ours, theirs, _ = connection()
    hear, tell = os.pipe()
    with pytest.raises(DeviceError, match="cannot be adopted as a tun"):
        adopt_leased([open_device("tun", "port%d").detach(), hear, tell], "tun", ours)
    assert theirs.recv(1) == b""
    theirs.close()


@pytest.mark.kernel
async def test_without_a_thread_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be had, closing hangs up and leaves the rest to the lender."""

    async def none(function: object) -> None:
        raise RuntimeError("can't start new thread")

    async with ports() as ((port,), theirs, _):
        asyncio.get_running_loop().remove_reader(theirs)
        monkeypatch.setattr(leased, "in_thread", none)
        await port.aclose()
        assert (port.fileno(), theirs.recv(1)) == (-1, b"")


async def test_the_queues_of_one_device_share_its_offload() -> None:
    """What is switched on one leased queue is switched on all of them."""
    async with ports(2, OFFLOAD) as (leased_ports, _, _):
        leased_ports[0].device.offload = ["tso"]
        assert [set(port.offload) for port in leased_ports] == [{"tso"}, {"tso"}]
        for port in leased_ports:
            port.close_now()

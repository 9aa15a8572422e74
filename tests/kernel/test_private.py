"""Private networks on the kernel: the endpoint contract, what is left after them, and after a killed owner."""

from __future__ import annotations

import asyncio
import os
import random
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from processes import children, watchers_ended

import aiotun
from aiotun import Event, EventKind
from aiotun.host.private import PrivateHost
from aiotun.testing import CHECKS, Check, Ledger, MakeRig
from aiotun.testing.private import private_tap, private_tun

__all__ = ["watchers_ended"]

pytestmark = pytest.mark.kernel

ROOT = Path(aiotun.__file__).parents[1]

RIGS = [pytest.param(private_tun, id="private tun"), pytest.param(private_tap, id="private tap")]


@pytest.mark.parametrize("make", RIGS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check, make: MakeRig) -> None:
    """The endpoint keeps the promise the check is named after."""
    async with asyncio.timeout(60):
        await check(make)


async def test_events_come_from_inside() -> None:
    """events() tells of the interface inside, whatever happens to one of the same name here."""
    async with PrivateHost() as host, host.open_tun("event0") as inside, aiotun.open_tun("event0") as here:
        events, others = inside.events(), here.events()
        subprocess.run(["ip", "link", "set", "event0", "mtu", "1300"], check=True)
        await host.run(["ip", "link", "set", "event0", "mtu", "1200"], check=True)
        assert await anext(others) == Event(EventKind.MTU, 1300)
        assert await anext(events) == Event(EventKind.MTU, 1200)


async def test_a_device_that_moves_away_says_so() -> None:
    """A tun that a program inside moves to one more namespace tells that it moved, and goes on."""
    async with PrivateHost() as host, host.open_tun("move0") as tun:
        events = tun.events()
        shell = ["unshare", "--net", "sh", "-c", "echo $$; read line"]
        elsewhere = await host.spawn(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert elsewhere.stdout is not None
        pid = (await elsewhere.stdout.readline()).decode().strip()
        await host.run(["ip", "link", "set", "move0", "netns", pid], check=True)
        told = [(await anext(events)).kind]
        while told[-1] is not EventKind.MOVED:
            told.append((await anext(events)).kind)
        assert tun.name == "move0"
        await elsewhere.communicate(b"")


async def test_packets_between_two_private_networks() -> None:
    """What a socket in one sends is received by a socket in the other, carried from tun to tun."""
    async with PrivateHost() as one, PrivateHost() as other:
        near = await one.open_tun(address="10.8.0.1/24")
        far = await other.open_tun(address="10.8.0.2/24")
        receiver = await other.datagram(local_addr=("10.8.0.2", 9))
        with receiver, await one.datagram(remote_addr=("10.8.0.2", 9)) as sender:
            sender.send(b"across")
            await far.send(await near.recv())
            assert await asyncio.get_running_loop().sock_recv(receiver, 100) == b"across"
        counters = far.statistics().interface
        assert counters is not None
        assert counters.ipackets == 1


async def test_one_host_after_another_leaves_nothing() -> None:
    """After 20 hosts with a tun and a socket each, no descriptor, task, thread or process is left."""

    async def cycle() -> None:
        async with PrivateHost() as host, host.open_tun():
            host.socket(socket.AF_INET, socket.SOCK_DGRAM).close()

    await cycle()  # what the first one loads stays
    before = Ledger.take(), children()
    for _ in range(20):
        await cycle()
    assert (Ledger.take(), children()) == before


OWNER = textwrap.dedent("""
    import asyncio, sys
    from aiotun.host.private import PrivateHost

    async def main():
        async with PrivateHost() as host, host.open_tun("mark0") as tun:
            await host.spawn(["sh", "-c", "trap '' TERM; setsid sleep 1000 & echo ready; wait"])
            await tun.recv()

    async def cycles():
        print("ready", flush=True)
        while True:
            async with PrivateHost() as host, host.open_tun("mark0") as tun:
                await host.run(["true"])

    asyncio.run(cycles() if sys.argv[1] == "cycles" else main())
""")


@pytest.fixture
def mark() -> str:
    """A word for the environment, by which the processes of one test are known."""
    return f"AIOTUN_TEST={os.getpid()}-{time.monotonic_ns()}"


@contextmanager
def owner(mark: str, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program with private networks until it is killed; what it starts has the mark."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    name, _, value = mark.partition("=")
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path, name: value},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[bytes]) -> str:
    """Return the next line a program prints."""
    assert process.stdout is not None
    return process.stdout.readline().decode().strip()


def marked(mark: str) -> list[int]:
    """Return the processes with the mark; a zombie has no environment any more, nor anything else."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in _environment(pid)]


def _environment(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # it ended meanwhile, or is not ours to look into
        return []


def ended(pid: int) -> bool:
    """Wait for the end of a process that is not ours; ten seconds are too long."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(process, select.POLLIN)
    try:
        return bool(poll.poll(10_000))
    finally:
        os.close(process)


def all_ended(mark: str, *, but: tuple[int, ...] = ()) -> bool:
    """Wait for the end of every process with the mark, and of those that they start meanwhile."""
    while pids := set(marked(mark)) - set(but):
        if not all(ended(pid) for pid in pids):
            return False
    return True


def test_a_killed_owner_leaves_nothing(mark: str) -> None:
    """SIGKILL of the owner ends the keeper and every program inside, whatever that does about signals."""
    with owner(mark, OWNER, "wait") as process:
        assert line(process) == "ready"
        # Owner, keeper and init, stand-in and attendant, shell and sleep; who forked the attendant may still be there.
        assert len(marked(mark)) >= 7
    assert all_ended(mark)


def test_an_owner_killed_at_any_moment_leaves_nothing(mark: str) -> None:
    """SIGKILL at random moments of starting, opening, running and closing leaves no process behind."""
    moments = random.Random(1)
    with ExitStack() as stack:
        processes = [stack.enter_context(owner(mark, OWNER, "cycles")) for _ in range(6)]
        for process in processes:
            line(process)
            time.sleep(moments.random() / 10)
            process.kill()
    assert all_ended(mark)


FORKING = textwrap.dedent("""
    import asyncio, os, signal
    from aiotun.host.private import PrivateHost

    async def main():
        async with PrivateHost() as host:
            child = os.fork()
            if not child:
                os.read(0, 1)
                os._exit(0)
            print(child, host.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
""")


def test_a_forked_child_does_not_keep_it(mark: str) -> None:
    """A child that the killed owner had forked holds its descriptors; the network ends all the same."""
    with owner(mark, FORKING) as process:
        child, keeper = map(int, line(process).split())
        assert process.wait() == -signal.SIGKILL
        assert ended(keeper)
        assert all_ended(mark, but=(child,))
        assert marked(mark) == [child]
        process.communicate()
    assert all_ended(mark)

"""The ladder of privileges: the contract on each rung, and what each rung needs."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

import aiotun
from aiotun.linux.passing import send_endpoint
from aiotun.testing import CHECKS, Check, MakeRig
from aiotun.testing.adopted import adopted_tap, adopted_tun
from aiotun.testing.broker import broker_tap, broker_tun, running_broker
from aiotun.testing.persistent import persistent_tap, persistent_tun

from .nobody import NOBODY, as_nobody, nobody_needed, output_of, tun_for_everybody

__all__ = ["tun_for_everybody"]

pytestmark = pytest.mark.kernel

RIGS = [
    pytest.param(adopted_tun, id="adopted tun"),
    pytest.param(adopted_tap, id="adopted tap"),
    pytest.param(persistent_tun, id="persistent tun"),
    pytest.param(persistent_tap, id="persistent tap"),
]


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The path of a broker that serves this user."""
    with running_broker() as path:
        yield path


@pytest.mark.parametrize("make", RIGS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_promise(check: Check, make: MakeRig) -> None:
    """The endpoint keeps the promise the check is named after."""
    async with asyncio.timeout(60):
        await check(make)


@pytest.mark.parametrize("make", [broker_tun, broker_tap], ids=["broker tun", "broker tap"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_promise_of_a_brokers_endpoint(check: Check, make: MakeRig, broker: str) -> None:
    """The endpoint that a broker opened keeps the promise the check is named after."""
    async with asyncio.timeout(60):
        await check(partial(make, path=broker))


def say(address: str, what: bytes) -> None:
    """Send a datagram out of this namespace's stack."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(what, (address, 9))


DROPPING = """
    async def main():
        async with aiotun.open_tun("drop0", address="10.9.0.1/24", sysctl={"net.ipv4.ip_forward": 1}) as tun:
            drop()
            events = tun.events()
            print("ready", flush=True)
            packet = await tun.recv()
            await tun.send(packet)
            print(packet[-3:], flush=True)
            while (event := await anext(events)).kind is not aiotun.EventKind.MTU:
                pass
            print(event.value, tun.mtu, flush=True)
            counters = tun.statistics().interface
            print(counters.opackets, counters.ipackets)
            try:
                os.close(tun.device.open_namespace())
            except PermissionError as error:
                print(error.strerror)
        print(sorted(name for _, name in socket.if_nameindex()))

    asyncio.run(main())
"""


@nobody_needed
def test_privileges_dropped_after_opening() -> None:
    """Opened by root, a tun works on for nobody: packets, events, mtu, counters, and close, which undoes everything."""
    with as_nobody(DROPPING) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        say("10.9.0.2", b"one")
        assert process.stdout.readline() == "b'one'\n"
        subprocess.run(["ip", "link", "set", "drop0", "mtu", "1300"], check=True)
        told = process.stdout.read().splitlines()
        assert told == [
            "1300 1300",
            "1 1",
            "drop0: not allowed to open its network namespace; it takes CAP_NET_ADMIN there",
            "['lo']",
        ]
        assert process.wait() == 0


MOVED = """
    async def main():
        async with aiotun.open_tun("drop0", address="10.9.0.1/24") as tun:
            drop()
            events = tun.events()
            print("ready", flush=True)
            while (await anext(events)).kind is not aiotun.EventKind.MOVED:
                pass
            print(tun.name, tun.mtu, tun.statistics().interface, flush=True)
            sys.stdin.readline()
            await tun.send(bytes.fromhex("450000140000000040fd0000c0000201c6336401"))

    asyncio.run(main())
"""


@nobody_needed
def test_without_privileges_a_device_that_moved_is_known_as_it_was() -> None:
    """Where nobody may not look, name and mtu are those of before, there are no counters, and packets still go."""
    subprocess.run(["ip", "netns", "add", "away"], check=True)
    try:
        with as_nobody(MOVED) as process:
            assert process.stdout is not None
            process.stdout.readline()
            subprocess.run(["ip", "link", "set", "drop0", "netns", "away"], check=True)
            assert process.stdout.readline() == "drop0 1500 None\n"
            subprocess.run(["ip", "-n", "away", "link", "set", "drop0", "up"], check=True)
            process.communicate("\n", timeout=60)
            assert process.returncode == 0
    finally:
        subprocess.run(["ip", "netns", "del", "away"], check=True)


RECEIVING = """
    async def main():
        drop()
        with socket.socket(fileno=int(sys.argv[1])) as sock:
            async with await aiotun.linux.passing.receive_tun(sock) as tun:
                print(tun.name, (await tun.recv())[-4:], os.getuid())

    asyncio.run(main())
"""


@nobody_needed
async def test_a_device_passed_to_nobody() -> None:
    """What root opened and sent over a socket is received by nobody, with the packets that were in the queue."""
    near, far = socket.socketpair()
    with near, far:
        tun = await aiotun.open_tun("pass0", address="10.9.0.1/24")
        say("10.9.0.2", b"kept")
        await send_endpoint(near, tun)
        assert tun.closed
        lines = await asyncio.to_thread(output_of, RECEIVING, str(far.fileno()), pass_fds=(far.fileno(),))
    assert lines == [f"pass0 b'kept' {NOBODY}"]


LAUNCHER = """if True:
    import os, sys
    os.dup2(int(sys.argv[1]), 3)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "vpn0"}
    os.execv(sys.argv[2], sys.argv[2:])
"""

LISTENING = """
    async def main():
        drop()
        fds = aiotun.linux.service.listen_fds()
        print(fds, os.environ.get("LISTEN_FDS"), os.get_inheritable(3))
        async with aiotun.Tun.from_fd(fds["vpn0"][0]) as tun:
            print(tun.name)

    asyncio.run(main())
"""


@nobody_needed
async def test_a_device_from_the_service_manager() -> None:
    """A device that came as LISTEN_FDS says is found by its name, adopted, and in the environment no more."""
    fd = (await aiotun.open_tun("stored0")).detach_fd()
    try:
        with as_nobody(LISTENING, wrapper=(sys.executable, "-c", LAUNCHER, str(fd)), pass_fds=(fd,)) as process:
            output, _ = process.communicate(timeout=60)
    finally:
        os.close(fd)
    assert output.splitlines() == ["{'vpn0': [3]} None False", "stored0"]


ATTACHING = """
    async def main():
        drop()
        for options in ({"address": "10.9.0.1/24"}, {"mtu": 1300}):
            try:
                async with aiotun.open_tun(sys.argv[1], **options) as tun:
                    print("ready", flush=True)
                    print((await tun.recv())[-3:], flush=True)
            except PermissionError as error:
                print(error.strerror)

    asyncio.run(main())
"""


@pytest.fixture(params=[NOBODY, 65533], ids=["own", "another's"])
def device(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A persistent tun of some user's, up and with an address, and the user."""
    subprocess.run(["ip", "tuntap", "add", "dev", "own0", "mode", "tun", "user", str(request.param)], check=True)
    subprocess.run(["ip", "link", "set", "own0", "addrgenmode", "none", "up"], check=True)
    subprocess.run(["ip", "addr", "add", "10.9.0.1/24", "dev", "own0"], check=True)
    yield "own0", request.param
    subprocess.run(["ip", "link", "del", "own0"], check=True)


@nobody_needed
@pytest.mark.usefixtures("tun_for_everybody")
def test_attaching_to_a_persistent_device(device: tuple[str, int]) -> None:
    """The owner of a device attaches to it without a privilege but changes no setting; another user does neither."""
    name, owner = device
    with as_nobody(ATTACHING, name) as process:
        assert process.stdout is not None
        if owner == NOBODY:
            assert process.stdout.readline() == "ready\n"
            say("10.9.0.2", b"hey")
            assert process.stdout.readline() == "b'hey'\n"
            expected = [f"{name}: cannot set mtu 1300: "]
        else:
            expected = [f"{name}: not allowed to open this tun; it takes CAP_NET_ADMIN"] * 2
        refusals = process.stdout.read().splitlines()
        assert [refusal[: len(start)] for refusal, start in zip(refusals, expected, strict=True)] == expected
        assert process.wait() == 0
    assert name in {name for _, name in socket.if_nameindex()}

"""The full tunnel on the kernel: where packets go while it is up, when the tun is gone, and afterwards."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import pytest
from network import changed, guardians, snapshot, told, wait_for_end

import aiotun
from aiotun.channel import open_udp

pytestmark = pytest.mark.kernel

ROOT = Path(aiotun.__file__).parents[1]

ETH_P_ALL = 3
FARAWAY = {4: "198.51.100.7", 6: "2001:db8:ffff::7"}
"""Addresses that only a default route leads to."""

SETUP = """
    ip netns add internet
    ip link add wan0 type veth peer name wan1 netns internet
    ip address add 192.0.2.1/24 dev wan0
    ip address add 2001:db8::1/64 dev wan0 nodad
    ip -n internet address add 192.0.2.2/24 dev wan1
    ip -n internet address add 2001:db8::2/64 dev wan1 nodad
    ip -n internet link set lo up
    ip -n internet link set wan1 up
    ip link set wan0 up
    ip route add default via 192.0.2.2
    ip -6 route add default via 2001:db8::2
    ip neighbor add 192.0.2.2 lladdr 02:00:00:00:00:02 dev wan0
    ip neighbor add 2001:db8::2 lladdr 02:00:00:00:00:02 dev wan0
"""


@pytest.fixture(autouse=True)
def wan() -> Iterator[str]:
    """A real link with a default route of both IP versions behind it."""
    for line in SETUP.strip().splitlines():
        subprocess.run(line.split(), check=True)
    yield "wan0"
    subprocess.run(["ip", "netns", "del", "internet"], check=True)
    subprocess.run(["ip", "link", "del", "wan0"], check=False, capture_output=True)


@pytest.fixture
def wire(wan: str) -> Iterator[socket.socket]:
    """All that leaves by the real link."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL)) as sock:
        sock.bind((wan, ETH_P_ALL))
        sock.settimeout(10)
        yield sock


def send(text: bytes, address: str, mark: int = 0) -> None:
    """Send a datagram the way any program does, or with a mark."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        sock.sendto(text, (address, 9))


def passed(wire: socket.socket, last: bytes) -> list[bytes]:
    """Return the last word of each test datagram that left by the real link, up to *last*, which must come."""
    found: list[bytes] = []
    while not found or found[-1] != last:
        packet = wire.recv(2000)
        if b"test:" in packet:
            found.append(packet.partition(b"test:")[2])
    return found


@pytest.mark.parametrize("version", [4, 6])
async def test_everything_goes_into_the_tun(wire: socket.socket, version: int) -> None:
    """What any program sends comes out of the tun, and what carries the mark leaves by the real link."""
    async with (
        aiotun.open_tun("full0", address=["10.8.0.2/24", "fd00:8::2/64"]) as tun,
        aiotun.full_tunnel(tun, fwmark=77),
    ):
        send(b"test:inside", FARAWAY[version])
        send(b"test:outside", FARAWAY[version], mark=77)
        assert (await tun.recv()).endswith(b"test:inside")
        assert passed(wire, b"outside") == [b"outside"]


async def test_what_is_on_the_link_stays_there(wire: socket.socket) -> None:
    """Networks that the machine has better routes to than the default are not for the tunnel."""
    async with aiotun.open_tun("full1", address="10.8.0.2/24") as tun, aiotun.full_tunnel(tun):
        send(b"test:neighbor", "192.0.2.2")
        assert passed(wire, b"neighbor") == [b"neighbor"]


@pytest.mark.parametrize("version", [4, 6])
async def test_exceptions_go_past_it(wire: socket.socket, version: int) -> None:
    """``except_for`` leaves a prefix its old way, and only that."""
    exceptions = ["198.51.100.0/24", "2001:db8:ffff::/48"]
    elsewhere = {4: "203.0.113.1", 6: "2001:db8:eeee::7"}
    async with (
        aiotun.open_tun("full2", address=["10.8.0.2/24", "fd00:8::2/64"]) as tun,
        aiotun.full_tunnel(tun, except_for=exceptions),
    ):
        send(b"test:tunnel", elsewhere[version])
        send(b"test:exception", FARAWAY[version])
        assert passed(wire, b"exception") == [b"exception"]
        assert (await tun.recv()).endswith(b"test:tunnel")


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("how", ["deleted", "down", "closed"])
async def test_nothing_leaks_without_the_tun(
    wire: socket.socket, version: int, how: Literal["deleted", "down", "closed"]
) -> None:
    """With the tun gone or down, programs get an error, and nothing leaves by the real link but what is marked."""
    tun = await aiotun.open_tun("full3", address=["10.8.0.2/24", "fd00:8::2/64"])
    async with aiotun.full_tunnel(tun, fwmark=77):
        if how == "closed":
            await tun.aclose()
        else:
            command = {"deleted": ["del", "full3"], "down": ["set", "full3", "down"]}[how]
            subprocess.run(["ip", "link", *command], check=True)
        with pytest.raises(OSError) as caught:
            send(b"test:leak", FARAWAY[version])
        assert caught.value.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH)
        send(b"test:outside", FARAWAY[version], mark=77)
        assert passed(wire, b"outside") == [b"outside"]
    await tun.aclose()


async def test_without_the_kill_switch_packets_go_their_old_way(wire: socket.socket) -> None:
    """``kill_switch=False``: with the tun gone, the main table's default route is taken."""
    async with aiotun.open_tun("full4", address="10.8.0.2/24") as tun, aiotun.full_tunnel(tun, kill_switch=False):
        subprocess.run(["ip", "link", "del", "full4"], check=True)
        send(b"test:old way", FARAWAY[4])
        assert passed(wire, b"old way") == [b"old way"]


@pytest.mark.parametrize("kill_switch", [True, False, "hold"])
@pytest.mark.parametrize("gone", [False, True])
async def test_afterwards_all_is_as_before(kill_switch: bool | Literal["hold"], gone: bool) -> None:
    """When the block ends, rules, routes, addresses and settings are what they were, the tun there or not."""
    tun = await aiotun.open_tun("full5", address=["10.8.0.2/24", "fd00:8::2/64"])
    before = snapshot()
    async with aiotun.full_tunnel(tun, kill_switch=kill_switch, except_for=["203.0.113.0/24"]):
        assert snapshot() != before
        if gone:
            await tun.aclose()
    after = snapshot()
    if gone:
        before = {name: value for name, value in before.items() if name != "link full5"}
        for found in (before, after):
            for name in ("routes -4", "routes -6"):
                found[name] = [route for route in found[name] if route.get("dev") != "full5"]
            found["sysctls"] = [line for line in found["sysctls"] if "full5" not in line]
    assert after == before
    await tun.aclose()


async def test_a_persistent_tun_has_no_default_route_afterwards() -> None:
    """On a tun that outlives the tunnel nothing of it stays."""
    subprocess.run(["ip", "tuntap", "add", "dev", "full6", "mode", "tun", "user", "root"], check=True)
    try:
        before = snapshot()
        async with aiotun.open_tun("full6", address="10.8.0.2/24") as tun, aiotun.full_tunnel(tun):
            assert told("route", "show", "default", "dev", "full6", "table", "51820")
        assert changed(before) == {}
    finally:
        subprocess.run(["ip", "link", "del", "full6"], check=True)


async def test_the_channels_packets_are_marked(wire: socket.socket) -> None:
    """What goes by ``sockets`` leaves by the real link, so the tunnel does not carry itself."""
    async with (
        aiotun.open_tun("full7", address="10.8.0.2/24") as tun,
        open_udp(None, (FARAWAY[4], 9)) as channel,
        aiotun.full_tunnel(tun, sockets=[channel]) as tunnel,
    ):
        await channel.send(b"test:by the channel")
        assert passed(wire, b"by the channel") == [b"by the channel"]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            tunnel.mark(sock)
            sock.sendto(b"test:by another", (FARAWAY[4], 9))
        assert passed(wire, b"by another") == [b"by another"]


async def test_replies_pass_strict_reverse_path_filtering() -> None:
    """A marked socket gets its reply though the link filters strictly, which it does again afterwards."""
    Path("/proc/sys/net/ipv4/conf/wan0/rp_filter").write_text("1")
    subprocess.run(["ip", "neighbor", "del", "192.0.2.2", "dev", "wan0"], check=True)
    subprocess.run(["ip", "-n", "internet", "address", "add", f"{FARAWAY[4]}/32", "dev", "lo"], check=True)
    program = f"""
        import socket
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(({FARAWAY[4]!r}, 9))
        print("ready", flush=True)
        sock.sendto(*sock.recvfrom(100))
    """
    command = ["ip", "netns", "exec", "internet", sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdout is not None and echo.stdout.readline() == "ready\n"
        async with aiotun.open_tun("full8", address="10.8.0.2/24") as tun, aiotun.full_tunnel(tun) as tunnel:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                tunnel.mark(sock)
                sock.settimeout(10)
                sock.sendto(b"there and back", (FARAWAY[4], 9))
                assert sock.recv(100) == b"there and back"
    assert Path("/proc/sys/net/ipv4/conf/wan0/rp_filter").read_text() == "1\n"


async def test_two_tunnels_need_two_tables() -> None:
    """A second tunnel by the same table is refused, and changes nothing."""
    async with (
        aiotun.open_tun("full9", address="10.8.0.2/24") as one,
        aiotun.open_tun("full10", address="10.9.0.2/24") as other,
        aiotun.full_tunnel(one),
    ):
        before = snapshot()
        with pytest.raises(aiotun.DeviceError, match="full10: cannot set route 0.0.0.0/0 table 51820: .*already"):
            async with aiotun.full_tunnel(other):
                pass
        assert changed(before) == {}


async def test_what_is_on_the_link_stays_there_with_two_tunnels(wire: socket.socket) -> None:
    """A second tunnel is as good as the first, whose rules are not its own, and stays so when the first has ended."""
    async with (
        aiotun.open_tun("full11", address="10.8.0.2/24") as one,
        aiotun.open_tun("full12", address="10.9.0.2/24") as other,
        AsyncExitStack() as first,
    ):
        await first.enter_async_context(aiotun.full_tunnel(one))
        async with aiotun.full_tunnel(other, fwmark=78):
            send(b"test:both", "192.0.2.2")
            assert passed(wire, b"both") == [b"both"]
            await first.aclose()
            send(b"test:second", "192.0.2.2")
            assert passed(wire, b"second") == [b"second"]


async def test_in_another_namespace() -> None:
    """The tunnel is where its tun is."""
    async with aiotun.open_tun("full11", netns="internet", address="10.8.0.2/24") as tun:
        before, here = snapshot("internet"), snapshot()
        async with aiotun.full_tunnel(tun):
            assert "51820" in str(told("rule", netns="internet"))
            assert snapshot() == here
        assert changed(before, "internet") == {}


async def test_in_a_private_network() -> None:
    """In a private network the tunnel needs no privilege, and nobody to guard it."""
    guarding = guardians()
    async with aiotun.PrivateHost() as host, host.open_tun("full12", address="10.8.0.2/24") as tun:
        command = ["sh", "-c", "ip rule; ip route show table all; cat /proc/sys/net/ipv4/conf/full12/rp_filter"]
        strict = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/full12/rp_filter"]
        await host.run(strict, check=True)
        before = await host.run(command)
        async with aiotun.full_tunnel(tun):
            inside = await host.run(command)
            assert guardians() == guarding
            assert inside.stdout.endswith(b"\n2\n")
            with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"test:private", (FARAWAY[4], 9))
                assert (await tun.recv()).endswith(b"test:private")
        assert (await host.run(command)).stdout == before.stdout


OWNER = textwrap.dedent("""
    import asyncio, sys, aiotun

    async def main():
        kill_switch = {"True": True, "hold": "hold"}[sys.argv[1]]
        async with aiotun.open_tun("killed0", address=["10.8.0.2/24", "fd00:8::2/64"]) as tun:
            async with aiotun.full_tunnel(tun, kill_switch=kill_switch):
                print("ready", flush=True)
                sys.stdin.read()

    asyncio.run(main())
""")


def killed(kill_switch: str) -> None:
    """Kill a process while its tunnel is up, and wait for its guardian's end."""
    command = [sys.executable, "-W", "error", "-c", OWNER, kill_switch]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    others = guardians()
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
    with owner:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        guarding = guardians() - others
        owner.send_signal(signal.SIGKILL)
    wait_for_end(guarding)


def test_killed_it_leaves_nothing() -> None:
    """After SIGKILL everything is as before: the guardian undoes it."""
    before = snapshot()
    killed("True")
    assert changed(before) == {}


async def test_a_kill_switch_that_holds(wire: socket.socket) -> None:
    """With ``"hold"`` nothing leaks though the process was killed, until the next tunnel like it has ended."""
    before = snapshot()
    killed("hold")
    with pytest.raises(OSError):
        send(b"test:leak", FARAWAY[4])
    send(b"test:outside", FARAWAY[4], mark=51820)
    assert passed(wire, b"outside") == [b"outside"]
    async with aiotun.open_tun("full13", address="10.8.0.2/24") as tun, aiotun.full_tunnel(tun, kill_switch="hold"):
        send(b"test:inside", FARAWAY[4])
        assert (await tun.recv()).endswith(b"test:inside")
    assert changed(before) == {}


async def test_only_once() -> None:
    """A tunnel that was entered is not entered again."""
    async with aiotun.open_tun("full14", address="10.8.0.2/24") as tun:
        tunnel = aiotun.full_tunnel(tun)
        async with tunnel:
            pass
        with pytest.raises(RuntimeError, match="full14: this full tunnel was entered before"):
            async with tunnel:
                pass

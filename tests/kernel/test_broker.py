"""The broker, the program itself: what it opens for nobody, what it refuses, and what is left after a SIGKILL."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import aiotun
from aiotun import DeviceGone
from aiotun.host.broker import BrokerHost
from aiotun.linux.peer import peer_of
from aiotun.testing.broker import running_broker

from .nobody import NOBODY, ROOT, as_nobody, nobody_needed, output_of, tun_for_everybody

__all__ = ["tun_for_everybody"]

pytestmark = pytest.mark.kernel

POLICY = f"""
[[rule]]
name = "road warriors"
users = [{NOBODY}]
kinds = ["tun"]
interfaces = ["vpn*"]
addresses = ["10.8.0.0/24"]
routes = ["10.16.0.0/12"]
mtu = [1280, 1500]
sysctls = ["net.ipv4.conf.{{name}}.*"]
queues = 2
devices = 2

[[rule]]
name = "crowd"
users = [{NOBODY}]
kinds = ["tun"]
interfaces = ["crowd*"]
devices = 200
rate = 100000
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """The path of a broker that serves nobody, in the other sense."""
    with running_broker(POLICY) as path:
        yield path


def pid_of(path: str) -> int:
    """Return the process of the broker that listens at *path*."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(path)
        return peer_of(sock).pid


def links() -> set[str]:
    """Return the interfaces of this namespace."""
    return {name for _, name in socket.if_nameindex()}


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells; half a minute is too long."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


RESPONDER = """
    from aiotun.packet import echo_reply

    async def main():
        drop()
        async with BrokerHost(sys.argv[1]) as host:
            async with host.open_tun("vpn0", address="10.8.0.2/24", mtu=1400, routes="10.16.5.0/24") as tun:
                print(tun.name, tun.mtu, os.getresuid(), flush=True)
                async for packet in tun:
                    reply = echo_reply(packet)
                    if reply:
                        await tun.send(reply)

    asyncio.run(main())
"""


@nobody_needed
def test_a_device_of_nobodys_carries_pings(broker: str) -> None:
    """A program of nobody's gets the tun it asked for, with address, mtu and route, and answers the kernel's pings."""
    with as_nobody(RESPONDER, broker) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == f"vpn0 1400 ({NOBODY}, {NOBODY}, {NOBODY})\n"
        for address in ("10.8.0.9", "10.16.5.1"):
            ping = ["ping", "-q", "-c", "3", "-i", "0.01", "-W", "5", address]
            assert "3 received" in subprocess.run(ping, capture_output=True, text=True).stdout


ASKING = """
    async def main():
        drop()
        opened = []
        async with BrokerHost(sys.argv[1]) as host:
            for open, name, options in eval(sys.argv[2]):
                try:
                    opened.append(await getattr(host, open)(name, **options))
                    print("opened", name)
                except OSError as error:
                    print(type(error).__name__, error.errno, error.strerror)

    asyncio.run(main())
"""

HAS = "the broker's rule 'road warriors' allows"


@nobody_needed
@pytest.mark.parametrize(
    ("open", "name", "options", "answer"),
    [
        ("open_tap", "vpn0", {}, f"vpn0: {HAS} the kind tun, not tap"),
        ("open_tun", "eth0", {}, f"eth0: {HAS} the names vpn*, not eth0"),
        ("open_tun", "vpn0", {"address": "10.9.0.1/24"}, f"vpn0: {HAS} addresses in 10.8.0.0/24, not 10.9.0.1/24"),
        ("open_tun", "vpn0", {"address": "10.8.0.1/8"}, f"vpn0: {HAS} addresses in 10.8.0.0/24, not 10.8.0.1/8"),
        ("open_tun", "vpn0", {"routes": "0.0.0.0/0"}, f"vpn0: {HAS} routes to 10.16.0.0/12, not 0.0.0.0/0"),
        ("open_tun", "vpn0", {"mtu": 9000}, f"vpn0: {HAS} an mtu of 1280 to 1500, not 9000"),
        ("open_tun", "vpn0", {"queues": 3}, f"vpn0: {HAS} 2 queues at most, not 3"),
        ("open_tun", "vpn0", {"group": 1}, f"vpn0: {HAS} no options: group was asked for"),
        ("open_tun", "vpn0", {"netns": "blue"}, f"vpn0: {HAS} no namespaces: 'blue' was asked for"),
    ],
)
def test_what_the_policy_does_not_allow(broker: str, open: str, name: str, options: object, answer: str) -> None:
    """A request that goes beyond the rule is refused, with a sentence that names the rule and what it allows."""
    assert output_of(ASKING, broker, repr([(open, name, options)])) == [f"PermissionError 1 {answer}"]
    assert links() == {"lo"}


@nobody_needed
def test_no_more_devices_than_allowed(broker: str) -> None:
    """The third device of a user who may have two is refused."""
    requests: list[object] = [("open_tun", f"vpn{number}", {}) for number in range(3)]
    refusal = f"PermissionError 1 vpn2: {HAS} 2 devices for each user, and there are 2"
    assert output_of(ASKING, broker, repr(requests)) == ["opened vpn0", "opened vpn1", refusal]
    wait_for(lambda: links() == {"lo"})


@nobody_needed
def test_a_taken_name_is_busy(broker: str) -> None:
    """A name that is taken is refused as busy, whoever has it: here the first client itself."""
    requests = [("open_tun", "vpn0", {"queues": 2}), ("open_tun", "vpn0", {"queues": 2})]
    busy = "DeviceBusy 16 vpn0: there is an interface of this name, and only new ones are leased"
    assert output_of(ASKING, broker, repr(requests)) == ["opened vpn0", busy]
    wait_for(lambda: links() == {"lo"})


async def test_a_user_without_a_rule_is_refused(broker: str) -> None:
    """Root has no rule in this policy, and is refused like everybody else."""
    async with BrokerHost(broker) as host:
        with pytest.raises(PermissionError, match="vpn0: the broker's policy has no rule for uid 0"):
            await host.open_tun("vpn0")


@nobody_needed
def test_garbage_does_no_harm(broker: str) -> None:
    """Clients that send garbage, descriptors, too much or nothing keep nothing of the broker's, nor others from it."""
    pid = pid_of(broker)
    descriptors = Path(f"/proc/{pid}/fd")
    wait_for(lambda: "socket" in str([os.readlink(fd) for fd in descriptors.iterdir()]))
    output_of(ASKING, broker, repr([("open_tun", "vpn0", {})]))  # what the first opening loads stays
    wait_for(lambda: links() == {"lo"})
    before = len(os.listdir(descriptors))
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    silent.connect(broker)
    for garbage in (b"\xff" * 100, b"[" * 16000, b"x" * 60000, b"{}", b'{"version": 1}', b"9" * 16000):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(broker)
            socket.send_fds(sock, [garbage], [0, 1, 2])
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(broker)
    assert output_of(ASKING, broker, repr([("open_tun", "vpn0", {})])) == ["opened vpn0"]
    silent.close()
    wait_for(lambda: len(os.listdir(descriptors)) == before)


def test_what_privileges_are_left(broker: str) -> None:
    """Of all capabilities the broker has CAP_NET_ADMIN left, for good."""
    status = Path(f"/proc/{pid_of(broker)}/status").read_text()
    sets = dict(re.findall(r"^(Cap\w+|NoNewPrivs):\t(\w+)$", status, re.MULTILINE))
    only = f"{1 << 12:016x}"
    assert sets == {
        "CapInh": f"{0:016x}",
        "CapPrm": only,
        "CapEff": only,
        "CapBnd": only,
        "CapAmb": f"{0:016x}",
        "NoNewPrivs": "1",
    }


CROWD = """
    import signal, time

    async def client(number, told):
        async with BrokerHost(sys.argv[1]) as host, host.open_tun(f"crowd{number}") as tun:
            os.write(told, b"!")
            await tun.recv()

    drop()
    hear, tell = os.pipe()
    children = []
    for number in range(200):
        child = os.fork()
        if not child:
            asyncio.run(client(number, tell))
        children.append(child)
    os.close(tell)
    opened = b""
    while len(opened) < 200:
        opened += os.read(hear, 200) or sys.exit("a client ended")
    print("opened", flush=True)
    sys.stdin.readline()
    for child in children:
        os.kill(child, signal.SIGKILL)
    print("killed", flush=True)
"""


@nobody_needed
def test_two_hundred_killed_clients_leave_nothing(broker: str) -> None:
    """200 clients at once have a device each, and when all are killed by SIGKILL no device is left."""
    with as_nobody(CROWD, broker) as clients:
        assert clients.stdin is not None
        assert clients.stdout is not None
        assert clients.stdout.readline() == "opened\n"
        assert links() == {"lo", *(f"crowd{number}" for number in range(200))}
        print(file=clients.stdin, flush=True)
        assert clients.stdout.readline() == "killed\n"
        wait_for(lambda: links() == {"lo"})


async def test_sigterm_ends_it_with_nothing_left() -> None:
    """On SIGTERM the broker ends with status 0; its clients' devices are deleted, its socket is gone."""
    with running_broker() as path:
        async with BrokerHost(path) as host, host.open_tun("vpn0", address="10.8.0.1/24") as tun:
            assert "vpn0" in links()
            os.kill(pid_of(path), signal.SIGTERM)
            with pytest.raises(DeviceGone):
                while True:  # other packets are the kernel's own
                    await tun.recv()
    assert links() == {"lo"}
    assert not os.path.exists(path)


async def test_a_killed_broker_leaves_its_clients_alone() -> None:
    """A device whose broker was killed works on, and closing it waits for nobody."""
    with running_broker() as path:
        async with BrokerHost(path) as host, host.open_tun("vpn0", address="10.8.0.1/24") as tun:
            os.kill(pid_of(path), signal.SIGKILL)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"on", ("10.8.0.2", 9))
            assert (await tun.recv())[-2:] == b"on"
    assert links() == {"lo"}


async def test_a_device_made_persistent_ends_all_the_same() -> None:
    """What a client makes persistent is deleted with its connection, when it is killed as well as here."""
    with running_broker() as path:
        async with BrokerHost(path) as host, host.open_tun("vpn0") as tun:
            tun.device.persistent = True
        assert links() == {"lo"}


async def test_what_outlives_a_device_is_undone() -> None:
    """A setting of the network that a client asked for is what it was before, once the client has closed."""
    setting = Path("/proc/sys/net/ipv4/ip_forward")
    before = setting.read_text()
    policy = f"""
        [[rule]]
        users = [{os.geteuid()}]
        kinds = ["tun"]
        interfaces = ["vpn*"]
        sysctls = ["net.ipv4.ip_forward"]
    """
    other = "0" if before.strip() == "1" else "1"
    with running_broker(policy) as path:
        async with BrokerHost(path) as host, host.open_tun("vpn0", sysctl={"net.ipv4.ip_forward": other}):
            assert setting.read_text().strip() == other
        assert setting.read_text() == before


async def test_queues_come_together() -> None:
    """Several queues of one device come over one connection, and the lease ends with the last of them."""
    with running_broker(POLICY.replace(str(NOBODY), "0")) as path:
        async with BrokerHost(path) as host:
            queues = await host.open_tun("vpn0", queues=2, address="10.8.0.1/24")
            assert [queue.name for queue in queues] == ["vpn0", "vpn0"]
            await queues[0].aclose()
            assert "vpn0" in links()
            await queues[1].aclose()
            assert links() == {"lo"}


async def test_a_detached_descriptor_lasts_as_long_as_the_host() -> None:
    """detach_fd() gives the device away; it is deleted when the host is closed, not before."""
    with running_broker() as path:
        async with BrokerHost(path) as host:
            fd = (await host.open_tun("vpn0")).detach_fd()
            async with aiotun.Tun.from_fd(fd) as tun:
                assert tun.name == "vpn0"
                await asyncio.sleep(0)
                await host.aclose()
                with pytest.raises(DeviceGone):
                    await tun.recv()


async def test_a_namespace_by_its_name(tmp_path: Path) -> None:
    """A device is opened in the namespace that a rule allows, configured there, and ends there."""
    policy = f"""
        [[rule]]
        users = [{os.geteuid()}]
        kinds = ["tun"]
        interfaces = ["vpn*"]
        netns = ["blue"]
        addresses = ["10.8.0.0/24"]
    """
    subprocess.run(["ip", "netns", "add", "blue"], check=True)
    try:
        with running_broker(policy) as path:
            async with BrokerHost(path) as host, host.open_tun("vpn0", netns="blue", address="10.8.0.1/24") as tun:
                assert "vpn0" not in links()
                told = subprocess.run(["ip", "-n", "blue", "addr", "show", "vpn0"], capture_output=True, text=True)
                assert "10.8.0.1/24" in told.stdout
                tun.device.persistent = True
            told = subprocess.run(["ip", "-n", "blue", "link"], capture_output=True, text=True, check=True)
            assert "vpn0" not in told.stdout
    finally:
        subprocess.run(["ip", "netns", "del", "blue"], check=True)


LAUNCHER = """if True:
    import os, sys
    os.dup2(int(sys.argv[1]), 3)
    os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    os.execv(sys.argv[2], sys.argv[2:])
"""


async def test_started_by_a_service_manager(tmp_path: Path) -> None:
    """A broker that is given its listening socket serves there, and leaves the socket to the manager when it ends."""
    path, policy = str(tmp_path / "socket"), tmp_path / "policy.toml"
    policy.write_text(POLICY.replace(str(NOBODY), "0"))
    policy.chmod(0o600)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        broker = [sys.executable, "-m", "aiotun", "broker", "--socket", "/nowhere", "--policy", str(policy)]
        command = [sys.executable, "-c", LAUNCHER, str(listener.fileno()), *broker]
        search = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        with subprocess.Popen(
            command, env=os.environ | {"PYTHONPATH": search}, pass_fds=(listener.fileno(),)
        ) as process:
            try:
                async with BrokerHost(path) as host, host.open_tun("vpn0") as tun:
                    assert tun.name == "vpn0"
            finally:
                process.terminate()
        assert process.returncode == 0
    assert os.path.exists(path)


REFUSED = """
    import aiotun.cli.broker, aiotun.host.broker_server

    drop()
    sys.exit(aiotun.cli.broker.run_broker(aiotun.cli.broker.Options(socket=sys.argv[1], policy=sys.argv[2])))
"""


@nobody_needed
def test_without_privileges_it_does_not_start(tmp_path: Path) -> None:
    """A broker that could open nothing says what it takes, and its status is 1."""
    with tempfile.TemporaryDirectory() as directory, (tmp_path / "told").open("w+") as told:
        os.chmod(directory, 0o777)
        policy = Path(directory) / "policy.toml"
        policy.write_text(POLICY)
        policy.chmod(0o644)
        with as_nobody(REFUSED, f"{directory}/socket", str(policy), stderr=told) as process:
            assert process.wait(timeout=60) == 1
        told.seek(0)
        lacking = "it takes CAP_NET_ADMIN: run it as root, or with AmbientCapabilities= in its unit"
        assert told.read() == f"aiotun broker: {lacking}\n"
        assert os.listdir(directory) == ["policy.toml"]


WITH_ONE = """
    import ctypes
    import aiotun.cli.broker, aiotun.host.broker_server, aiotun.host.broker_policy_file

    PR_SET_KEEPCAPS = 8
    ctypes.CDLL(None).prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    drop()
    sys.exit(aiotun.cli.broker.run_broker(aiotun.cli.broker.Options(socket=sys.argv[1], policy=sys.argv[2])))
"""


@nobody_needed
@pytest.mark.usefixtures("tun_for_everybody")
async def test_the_one_capability_is_enough(tmp_path: Path) -> None:
    """Run as another user than root, with CAP_NET_ADMIN and by root's policy, a broker opens and ends devices."""
    with tempfile.TemporaryDirectory() as directory, (tmp_path / "told").open("w+") as told:
        os.chmod(directory, 0o777)
        path, policy = f"{directory}/socket", Path(directory) / "policy.toml"
        policy.write_text(POLICY.replace(str(NOBODY), "0"))
        policy.chmod(0o644)
        with as_nobody(WITH_ONE, path, str(policy), stderr=told) as process:
            wait_for(lambda: "serving" in (tmp_path / "told").read_text())
            status = Path(f"/proc/{process.pid}/status").read_text()
            assert f"Uid:\t{NOBODY}" in status
            async with BrokerHost(path) as host, host.open_tun("vpn0", address="10.8.0.1/24") as tun:
                tun.device.persistent = True
            assert links() == {"lo"}
            process.terminate()
            assert process.wait() == 0

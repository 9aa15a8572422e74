"""Opening as a transaction: every setting arrives, a refusal at any step undoes the others, and so does SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import random
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from network import changed, guardians, snapshot, told, wait_for_end

import aiotun
from aiotun import Route, Rule
from aiotun.linux.constants import IFF_NO_PI, IFF_TUN, IFREQ, TUNSETIFF
from aiotun.linux.transaction import Transaction
from aiotun.testing import Ledger

pytestmark = pytest.mark.kernel

ROOT = Path(aiotun.__file__).parents[1]

RULES = [
    Rule(fwmark=5, mask=0xFF, table=5000),
    Rule(source="10.1.0.0/16", table=77, priority=100, uids=(0, 0), oif="{name}", invert=True),
    Rule(destination="2001:db8::/32", iif="lo", suppress_prefixlength=0),
]
ROUTES: list[str | Route] = [
    "10.0.0.0/8",
    "2001:db8:1::/48",
    Route("172.16.0.0/12", via="192.0.2.9", interface="real0", metric=7),
    Route("0.0.0.0/0", table=5000, source="10.8.0.2"),
    Route("192.168.0.0/16", kind="unreachable", metric=900),
    Route("fd00:77::/32", kind="blackhole"),
]
EVERYTHING: dict[str, Any] = {
    "address": ["10.8.0.2/24", "fd00:8::2/64"],
    "mtu": 1400,
    "queue_length": 77,
    "group": 7,
    "ipv6_linklocal": False,
    "routes": ROUTES,
    "rules": RULES,
    "sysctl": {"net.ipv4.conf.{name}.rp_filter": 2, "net.ipv4.ip_default_ttl": 99},
}


@pytest.fixture(autouse=True)
def real() -> Iterator[None]:
    """A link that is not ours."""
    subprocess.run(["ip", "link", "add", "real0", "type", "veth", "peer", "name", "real1"], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.1/24", "dev", "real0"], check=True)
    subprocess.run(["ip", "link", "set", "real0", "up"], check=True)
    yield
    subprocess.run(["ip", "link", "del", "real0"], check=True)


@pytest.fixture
def persistent() -> Iterator[str]:
    """A tun that was there before, down, with settings and an IPv6 address of its own."""
    subprocess.run(["ip", "tuntap", "add", "dev", "keep0", "mode", "tun", "user", "root"], check=True)
    subprocess.run(["ip", "link", "set", "keep0", "mtu", "1300", "txqueuelen", "55", "group", "3"], check=True)
    for address in ("10.77.0.1/24", "fd00:77::1/64 noprefixroute metric 77"):
        subprocess.run(["ip", "address", "add", *address.split(), "dev", "keep0"], check=True)
    yield "keep0"
    subprocess.run(["ip", "link", "del", "keep0"], check=True)


# --- every setting ------------------------------------------------------------------------------------


async def test_a_peer_arrives() -> None:
    """``peer`` is the far end of the address of its IP version, and packets for it come out."""
    async with aiotun.open_tun("peer0", address=["10.8.0.2/32", "fd00:8::2/128"], peer=["10.9.0.1", "fd00:9::1"]):
        (link,) = told("address", "show", "dev", "peer0")
        (route,) = told("route", "get", "10.9.0.1")
    found = [(one["local"], one.get("address"), one["prefixlen"]) for one in link["addr_info"]]
    assert found == [("10.8.0.2", "10.9.0.1", 32), ("fd00:8::2", "fd00:9::1", 128)]
    assert (route["dev"], route["prefsrc"]) == ("peer0", "10.8.0.2")


async def test_a_group_arrives() -> None:
    """``group`` is what `ip link` lists by."""
    async with aiotun.open_tun("group0", group=42):
        assert [link["ifname"] for link in told("link", "show", "group", "42") if link] == ["group0"]


async def test_routes_arrive() -> None:
    """Plain prefixes lead into the device, a Route where it says; the kernel has each with what was asked for."""
    async with aiotun.open_tun("route0", address=["10.8.0.2/24", "fd00:8::2/64"], routes=ROUTES):
        asked = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
        four = [told("route", "show", prefix)[0] for prefix in asked]
        (table,) = told("route", "show", "table", "5000")
        six = [told("-6", "route", "show", prefix)[0] for prefix in ("2001:db8:1::/48", "fd00:77::/32")]
    names = ("type", "dev", "gateway", "metric")
    assert [tuple(one.get(name) for name in names) for one in four] == [
        ("unicast", "route0", None, None),
        ("unicast", "real0", "192.0.2.9", 7),
        ("unreachable", None, None, 900),
    ]
    assert (table["dst"], table["dev"], table["prefsrc"]) == ("default", "route0", "10.8.0.2")
    assert [(one["type"], one["dev"]) for one in six] == [("unicast", "route0"), ("blackhole", "lo")]


async def test_a_route_with_a_router_on_the_link() -> None:
    """``onlink`` lets a router be reached that no address speaks of."""
    route = Route("10.50.0.0/16", via="203.0.113.1", interface="real0", onlink=True)
    async with aiotun.open_tun("route1", routes=[route]):
        (found,) = told("route", "show", "10.50.0.0/16")
    assert (found["gateway"], "onlink" in found["flags"]) == ("203.0.113.1", True)


async def test_rules_arrive() -> None:
    """Rules are there with their selectors, for both IP versions unless they speak of one."""
    async with aiotun.open_tun("rule0", rules=RULES):
        four, six = told("-4", "rule"), told("-6", "rule")
    (selected,) = [one for one in four if one["priority"] == 100]
    names = ("not", "src", "srclen", "oif", "uid_start", "uid_end", "table", "protocol")
    found = tuple(selected.get(name, "missing") for name in names)
    assert found == (None, "10.1.0.0", 16, "rule0", 0, 0, "77", "static")
    marked = [one for one in (*four, *six) if one.get("fwmark") == "0x5"]
    assert [(one["fwmask"], one["table"]) for one in marked] == [("0xff", "5000")] * 2
    (only,) = [one for one in six if one.get("dst") == "2001:db8::"]
    assert (only["dstlen"], only["iif"], only["suppress_prefixlen"]) == (32, "lo", 0)


async def test_rules_come_before_those_that_are_there() -> None:
    """Without a priority a rule gets the next one before all but the first, as the kernel gives."""
    async with aiotun.open_tun(
        "rule1", rules=[Rule(fwmark=5, table=50, version=4), Rule(fwmark=6, table=60, version=4)]
    ):
        found = [(one["priority"], one["table"]) for one in told("-4", "rule")]
    assert found == [(0, "local"), (32764, "60"), (32765, "50"), (32766, "main"), (32767, "default")]


async def test_settings_of_the_network_arrive() -> None:
    """``sysctl`` writes the device's own settings under its name, and those of the whole network."""
    async with aiotun.open_tun("sys0", sysctl={"net.ipv4.conf.{name}.rp_filter": "2", "net.ipv4.ip_default_ttl": 99}):
        assert Path("/proc/sys/net/ipv4/conf/sys0/rp_filter").read_text() == "2\n"
        assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == "99\n"
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == "64\n"


async def test_a_tap_is_open_when_its_address_can_be_used() -> None:
    """When a tap is open, duplicate address detection is done: no address is tentative, and a socket can have it."""
    async with aiotun.open_tap("dad0", address="fd00:8::2/64"):
        (link,) = told("address", "show", "dev", "dad0")
    (found,) = [one for one in link["addr_info"] if one.get("local") == "fd00:8::2"]
    assert not found.get("tentative")


async def test_an_address_that_somebody_has_is_refused() -> None:
    """When somebody on the link answers for the address, the opening fails with EADDRINUSE, and nothing is left."""
    before = snapshot()
    opening = asyncio.ensure_future(_open_tap("dad1", address="fd00:8::2/64", sysctl={DAD_TRANSMITS: 9}))
    fd = await _device()
    while True:
        frame = await _frame(fd)
        if frame[20] == 58 and frame[54] == 135 and frame[62:78] == ADDRESS:  # neighbor solicitation, RFC 4861
            break
    os.write(fd, _advertisement(frame))
    with pytest.raises(aiotun.DeviceError, match="dad1: address fd00:8::2/64 .*duplicate address detection") as caught:
        await opening
    assert caught.value.errno == errno.EADDRINUSE
    assert changed(before) == {}


ADDRESS = ip_address("fd00:8::2").packed


async def _open_tap(name: str, **options: Any) -> aiotun.Tap:
    tap: aiotun.Tap = await aiotun.open_tap(name, **options)
    return tap


async def _device() -> int:
    """Wait until this process has a device open, and return its descriptor."""
    while True:
        for entry in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/self/fd/{entry}") == "/dev/net/tun":
                    return int(entry)
        await asyncio.sleep(0)


async def _frame(fd: int) -> bytes:
    """Wait for what the stack sends; the device may have no interface yet."""
    while True:
        try:
            return os.read(fd, 2000)
        except (BlockingIOError, OSError):
            await asyncio.sleep(0)


def _advertisement(solicitation: bytes) -> bytes:
    """Return the answer of a neighbor who has the address, RFC 4861 section 4.4."""
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
    from scapy.layers.l2 import Ether

    target, theirs = Ether(solicitation)["ICMPv6ND_NS"].tgt, "02:00:00:00:00:99"
    answer = ICMPv6ND_NA(tgt=target, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=theirs)
    return bytes(Ether(src=theirs, dst="33:33:00:00:00:01") / IPv6(src=target, dst="ff02::1", hlim=255) / answer)


async def test_a_cancel_ends_the_wait_for_an_address() -> None:
    """An opening cancelled during duplicate address detection ends at once, not a second later."""
    before = snapshot()
    opening = asyncio.ensure_future(_open_tap("dad2", address="fd00:8::2/64", sysctl={DAD_TRANSMITS: 100}))
    await _frame(await _device())
    opening.cancel()
    async with asyncio.timeout(20):  # detection takes 100 s
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert changed(before) == {}


DAD_TRANSMITS = "net.ipv6.conf.{name}.dad_transmits"


# --- undone -----------------------------------------------------------------------------------------


async def test_afterwards_all_is_as_before() -> None:
    """When the endpoint is closed, everything that was set is as it was, and nobody guards it any more."""
    before, guarding, ttl = snapshot(), guardians(), Path("/proc/sys/net/ipv4/ip_default_ttl").read_text()
    async with aiotun.open_tun("all0", **EVERYTHING):
        assert len(guardians() - guarding) == 1
    assert (snapshot(), guardians()) == (before, guarding)
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == ttl


async def test_what_dies_with_the_device_needs_no_guardian() -> None:
    """A new device with addresses and routes through it costs no process."""
    guarding = guardians()
    async with aiotun.open_tun("cheap0", address="10.8.0.2/24", mtu=1400, routes=["10.0.0.0/8"]):
        assert guardians() == guarding


@pytest.mark.parametrize("up", [False, True])
async def test_a_device_that_was_there_gets_back_what_it_had(persistent: str, up: bool) -> None:
    """Addresses, mtu, queue length, group and state of a persistent device are as before, its IPv6 address too."""
    if up:
        subprocess.run(["ip", "link", "set", persistent, "up"], check=True)
    await (await aiotun.open_tun(persistent, up=False)).aclose()  # the kernel's first look at it changes it
    before = snapshot()
    async with aiotun.open_tun(persistent, **EVERYTHING):
        assert snapshot() != before
    assert changed(before) == {}


async def test_a_tiny_mtu_costs_a_device_nothing_for_good(persistent: str) -> None:
    """Below 1280 bytes the kernel takes the IPv6 addresses away; afterwards they are back."""
    before = snapshot()
    async with aiotun.open_tun(persistent, mtu=600, up=False):
        (link,) = told("-6", "address", "show", "dev", persistent) or [{"addr_info": []}]
        assert not link.get("addr_info")
    after = snapshot()
    assert (after["link keep0"], after["routes -6"]) == (before["link keep0"], before["routes -6"])


async def test_what_somebody_else_changed_is_left_alone(persistent: str) -> None:
    """A setting that is no longer as we left it stays; what is gone already is no error."""
    options: Any = {"mtu": 1400, "address": "10.8.0.2/24", "sysctl": {"net.ipv4.ip_default_ttl": 99}}
    async with aiotun.open_tun(persistent, **options, rules=[Rule(fwmark=5, priority=9, version=4)]):
        subprocess.run(["ip", "link", "set", persistent, "mtu", "1350"], check=True)
        subprocess.run(["ip", "address", "del", "10.8.0.2/24", "dev", persistent], check=True)
        subprocess.run(["ip", "rule", "del", "priority", "9"], check=True)
        Path("/proc/sys/net/ipv4/ip_default_ttl").write_text("33")
    assert told("link", "show", persistent)[0]["mtu"] == 1350
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == "33\n"
    Path("/proc/sys/net/ipv4/ip_default_ttl").write_text("64")


async def test_what_was_there_stays() -> None:
    """A rule and a route that were there as asked for are not ours to remove."""
    subprocess.run(["ip", "rule", "add", "priority", "9", "fwmark", "5", "table", "50"], check=True)
    subprocess.run(["ip", "route", "add", "unreachable", "10.66.0.0/16"], check=True)
    before = snapshot()
    rules = [Rule(fwmark=5, table=50, version=4), Rule(fwmark=5, table=50, priority=9, version=4)]
    async with aiotun.open_tun("there0", rules=rules, routes=[Route("10.66.0.0/16", kind="unreachable")]):
        assert snapshot()["rules -4"] == before["rules -4"]
    assert changed(before) == {}
    subprocess.run(["ip", "rule", "del", "priority", "9"], check=True)
    subprocess.run(["ip", "route", "del", "unreachable", "10.66.0.0/16"], check=True)


async def test_a_route_that_is_somebody_elses_is_not_replaced() -> None:
    """A route to the same prefix with the same metric is refused, with what to do about it."""
    before = snapshot()
    with pytest.raises(aiotun.DeviceError, match="taken0: cannot set route 192.0.2.0/24: .*give this one a metric"):
        await aiotun.open_tun("taken0", routes=["192.0.2.0/24"])
    assert changed(before) == {}


async def test_a_detached_device_keeps_its_settings() -> None:
    """Whoever detaches the descriptor gets the device as it is: its rules stay, and nobody guards them."""
    guarding = guardians()
    tun = await aiotun.open_tun("detach0", rules=[Rule(fwmark=5, priority=9, version=4)])
    fd = tun.detach_fd()
    assert guardians() == guarding
    assert [one["priority"] for one in told("rule", "show", "priority", "9")] == [9]
    os.close(fd)
    subprocess.run(["ip", "rule", "del", "priority", "9"], check=True)


async def test_undone_without_the_guardian() -> None:
    """If the guardian was killed, closing undoes everything all the same."""
    before, guarding = snapshot(), guardians()
    async with aiotun.open_tun("orphan0", **EVERYTHING):
        (guardian,) = guardians() - guarding
        os.kill(guardian, signal.SIGKILL)
    assert changed(before) == {}


async def test_what_cannot_be_undone_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the kernel refuses an undo, closing warns of it, and goes on with the others."""
    before = snapshot()
    tun = await aiotun.open_tun("warn0", rules=[Rule(fwmark=5, priority=9, version=4)], sysctl={TTL: 99})
    transaction: Any = tun._port.transaction  # type: ignore[attr-defined]
    monkeypatch.setattr(transaction._guardian, "undo", lambda: (transaction._guardian, ["rule: refused"])[1])
    guardian = transaction._guardian
    with pytest.warns(RuntimeWarning, match="warn0: not undone: rule: refused"):
        await tun.aclose()
    monkeypatch.undo()
    assert guardian.undo() == []
    assert changed(before) == {}


TTL = "net.ipv4.ip_default_ttl"


# --- refused ----------------------------------------------------------------------------------------


class Refusing:
    """Lets so many steps be made, and refuses the next."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self._step = Transaction.step

    def __call__(self, transaction: Transaction, what: str, make: Callable[[], object], *rest: Any) -> None:
        refused = self.left == 0
        self.left -= 1

        def refuse() -> None:
            raise OSError(errno.ENOMEM, "injected")

        self._step(transaction, what, refuse if refused else make, *rest)


STEPS = 4 + 2 + 2 + 1 + len(ROUTES) + 4
"""Link attributes, sysctls, addresses, up, routes, rules."""


@pytest.mark.parametrize("steps", range(STEPS))
async def test_a_refusal_at_any_step_undoes_the_others(
    persistent: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever step is refused, everything before it is undone, and the error names the step."""
    before, guarding = snapshot(), guardians()
    refusing = Refusing(steps)
    monkeypatch.setattr(Transaction, "step", lambda *arguments: refusing(*arguments))
    with pytest.raises(aiotun.DeviceError, match="keep0: cannot set .*: injected"):
        await aiotun.open_tun(persistent, **EVERYTHING)
    assert (snapshot(), guardians()) == (before, guarding)


async def test_there_are_so_many_steps(persistent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of the test above are all there are."""
    refusing = Refusing(1000)
    monkeypatch.setattr(Transaction, "step", lambda *arguments: refusing(*arguments))
    async with aiotun.open_tun(persistent, **EVERYTHING):
        assert 1000 - refusing.left == STEPS


@pytest.mark.parametrize("option", ["routes", "rules", "sysctl"])
async def test_what_the_kernel_refuses_is_named(option: str) -> None:
    """A value that only the kernel knows to be wrong is refused with the step's name, and nothing is left."""
    wrong: dict[str, tuple[Any, str]] = {
        "routes": ([Route("10.60.0.0/16", via="198.51.100.1")], "cannot set route 10.60.0.0/16 via 198.51.100.1: "),
        "rules": ([Rule(iif="a-name-that-is-too-long")], "cannot set rule iif a-name-that-is-too-long"),
        "sysctl": ({"net.ipv4.no_such_setting": 1}, "cannot set sysctl net.ipv4.no_such_setting to 1: "),
    }
    value, text = wrong[option]
    before = snapshot()
    with pytest.raises(OSError, match=f"^refuse0: {text}"):
        await aiotun.open_tun("refuse0", rules=[*RULES, *(value if option == "rules" else [])], **_one(option, value))
    assert changed(before) == {}


def _one(option: str, value: Any) -> Any:
    return {} if option == "rules" else {option: value}


@pytest.mark.parametrize("ticks", range(0, 6))
async def test_a_cancelled_opening_leaves_nothing(ticks: int) -> None:
    """Cancelled at any turn, an opening undoes what it did."""
    before, guarding = snapshot(), guardians()
    opening = asyncio.ensure_future(_open_tap("cancel1", **EVERYTHING))
    for _ in range(ticks):
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert (snapshot(), guardians()) == (before, guarding)


async def test_one_after_another_leaves_nothing() -> None:
    """After 20 openings with everything set, no descriptor, task, thread or process is left."""

    async def cycle() -> None:
        await (await aiotun.open_tun("cycle0", **EVERYTHING)).aclose()

    await cycle()  # what the first one loads stays
    before = Ledger.take(), guardians(), snapshot()
    for _ in range(20):
        await cycle()
    assert (Ledger.take(), guardians(), snapshot()) == before


def test_out_of_descriptors_anywhere_leaves_nothing(persistent: str) -> None:
    """Whichever descriptor cannot be had, the opening fails with EMFILE, and everything before it is undone."""
    script = """
        import asyncio, errno, os, resource, sys, aiotun
        from aiotun import Route, Rule
        from ipaddress import IPv4Address, IPv4Network, IPv6Network

        def fds():
            return len(os.listdir("/proc/self/fd"))

        async def attempt(name):
            async with aiotun.open_tun(name, **eval(sys.argv[2])):
                pass

        async def main():
            await attempt(sys.argv[1])  # so that everything is loaded
            before, refused = fds(), 0
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            for limit in range(before - 1, before + 40):
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
                try:
                    await attempt(sys.argv[1])
                except OSError as error:
                    assert error.errno in (errno.EMFILE, errno.EAGAIN), repr(error)
                    refused += 1
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
                assert fds() == before, limit
            print(refused > 5, refused < 41)

        asyncio.run(main())
    """
    before, guarding = snapshot(), guardians()
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script), persistent, repr(EVERYTHING)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("True True\n", "")
    assert (changed(before), guardians()) == ({}, guarding)


# --- killed -----------------------------------------------------------------------------------------

OWNER = textwrap.dedent("""
    import asyncio, sys, aiotun
    from ipaddress import IPv4Address, IPv4Network, IPv6Network
    from aiotun import Route, Rule
    from aiotun.linux import transaction

    left = int(sys.argv[2])
    step = transaction.Transaction.step
    def counted(self, what, make, *rest):
        global left
        left -= 1
        def stop():
            if left == 0 and sys.argv[3] == "before":
                print("ready", flush=True)
                sys.stdin.read()
            make()
            if left == 0:
                print("ready", flush=True)
                sys.stdin.read()
        step(self, what, stop, *rest)
    transaction.Transaction.step = counted

    async def main():
        async with aiotun.open_tun(sys.argv[1], **eval(sys.argv[4])):
            print("ready", flush=True)
            sys.stdin.read()

    asyncio.run(main())
""")


def kill_at(name: str, step: int, moment: str, number: int = signal.SIGKILL) -> int:
    """Kill a process that opens a device at a step of it; wait for its guardian, and return its exit status."""
    command = [sys.executable, "-W", "error", "-c", OWNER, name, str(step), moment, repr(EVERYTHING)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    others = guardians()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        guarding = guardians() - others
        os.killpg(owner.pid, number)
    assert len(guarding) == 1
    wait_for_end(guarding)
    return owner.returncode


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [1, 3, 5, 7, 9, 11, 14, 17, STEPS])
def test_killed_in_the_middle_leaves_nothing(persistent: str, step: int, moment: str) -> None:
    """SIGKILL at a step of an opening, before it was made or after, leaves all as it was."""
    before = snapshot()
    assert kill_at(persistent, step, moment) == -signal.SIGKILL
    assert changed(before) == {}


def test_killed_with_a_device_of_its_own_leaves_nothing() -> None:
    """SIGKILL takes rules, other links' routes and settings with it, not only the device."""
    before = snapshot()
    assert kill_at("kill0", STEPS + 1, "after") == -signal.SIGKILL
    assert changed(before) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_guardian_outlives_what_ends_its_owner(persistent: str, number: signal.Signals) -> None:
    """A signal to the guardian itself does not end it before its work is done."""
    before, others = snapshot(), guardians()
    command = [sys.executable, "-c", OWNER, persistent, "1000", "after", repr(EVERYTHING)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        guarding = guardians() - others
        for guardian in guarding:
            os.kill(guardian, number)
        owner.kill()
    wait_for_end(guarding)
    assert len(guarding) == 1
    assert changed(before) == {}


def test_killed_at_random_moments_leaves_nothing(persistent: str) -> None:
    """SIGKILL at a random moment of opening and closing leaves nothing, whatever was being done."""
    script = OWNER.replace(
        "asyncio.run(main())",
        "async def cycles():\n"
        "    print('ready', flush=True)\n"
        "    while True:\n"
        "        await (await aiotun.open_tun(sys.argv[1], **eval(sys.argv[4]))).aclose()\n"
        "asyncio.run(cycles())",
    )
    before, others, moments = snapshot(), guardians(), random.Random(4)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, persistent, "100000", "after", repr(EVERYTHING)]
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as owner:
            assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
            with pytest.raises(subprocess.TimeoutExpired):
                owner.wait(0.15 + moments.random() / 10)
            owner.kill()
        wait_for_end(guardians() - others)
        assert changed(before) == {}


# --- without rights ---------------------------------------------------------------------------------


def test_without_rights_what_is_as_it_should_be_can_be_opened(persistent: str) -> None:
    """A user without CAP_NET_ADMIN opens a device that has every setting already; nothing is changed."""
    settings = {
        "address": ["10.77.0.1/24", "fd00:77::1/64"],
        "mtu": 1300,
        "queue_length": 55,
        "group": 3,
        "routes": [
            Route("10.0.0.0/8"),
            Route("2001:db8:1::/48"),
            Route("192.168.0.0/16", kind="unreachable", metric=9),
        ],
        "rules": [Rule(fwmark=5, table=50, version=4)],
        "sysctl": {"net.ipv4.conf.{name}.rp_filter": 0, "net.ipv4.ip_default_ttl": 64},
    }
    for command in (
        "ip link set keep0 addrgenmode none",
        "ip link set keep0 up",
        "ip route add 10.0.0.0/8 dev keep0",
        "ip route add unreachable 192.168.0.0/16 metric 9",
        "ip -6 route add 2001:db8:1::/48 dev keep0",
        "ip rule add fwmark 5 table 50",
    ):
        subprocess.run(command.split(), check=True)
    script = textwrap.dedent("""
        import asyncio, sys, aiotun
        from ipaddress import IPv4Network, IPv6Network
        from aiotun import Route, Rule
        async def main():
            async with aiotun.open_tun("keep0", **eval(sys.argv[1])) as tun:
                print(tun.name)
        asyncio.run(main())
    """)
    with os.fdopen(os.open("/dev/net/tun", os.O_RDWR), "rb") as file:  # its carrier comes with who attaches to it
        fcntl.ioctl(file, TUNSETIFF, IFREQ.pack(b"keep0", IFF_TUN | IFF_NO_PI))
    before = snapshot()
    unprivileged = ["setpriv", "--bounding-set", "-net_admin", sys.executable, "-W", "error", "-c", script]
    done = subprocess.run([*unprivileged, repr(settings)], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("keep0\n", "")
    assert changed(before) == {}
    wrong = subprocess.run([*unprivileged, repr(settings | {"mtu": 1301})], capture_output=True, text=True, cwd=ROOT)
    assert "PermissionError: [Errno 1] keep0: cannot set mtu 1301: " in wrong.stderr
    assert "CAP_NET_ADMIN" in wrong.stderr
    assert changed(before) == {}
    subprocess.run(["ip", "rule", "del", "fwmark", "5"], check=True)
    subprocess.run(["ip", "route", "del", "unreachable", "192.168.0.0/16", "metric", "9"], check=True)

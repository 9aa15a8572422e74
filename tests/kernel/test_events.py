"""Events of a kernel interface: what happens to it, told once each and in the kernel's order."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
from collections.abc import Iterator
from ipaddress import ip_address, ip_interface
from typing import Any

import pytest
import uvloop

import aiotun
from aiotun import AddressChange, Event, EventKind
from aiotun.linux import monitor as monitor_module
from aiotun.linux.monitor import Monitor
from aiotun.linux.rtnetlink import query_link

pytestmark = pytest.mark.kernel

LOOPS = pytest.mark.parametrize("factory", [asyncio.SelectorEventLoop, uvloop.new_event_loop])


def ip(*commands: str) -> None:
    """Change the network with the tool an administrator uses, in one process."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands).encode(), check=True)


def usable(address: str) -> Event:
    return Event(EventKind.ADDRESS, AddressChange(ip_interface(address), "usable"))


def removed(address: str) -> Event:
    return Event(EventKind.ADDRESS, AddressChange(ip_interface(address), "removed"))


def mtu(size: int) -> Event:
    return Event(EventKind.MTU, size)


async def take(events: aiotun.EventStream, count: int) -> list[Event]:
    """Take so many events."""
    async with asyncio.timeout(5):
        return [await anext(events) for _ in range(count)]


def monitor_of(endpoint: aiotun.Tun | aiotun.Tap) -> Monitor:
    """The kernel port's monitor."""
    port: Any = endpoint._port
    found: Monitor = port._monitor
    return found


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace called "other"."""
    ip("netns add other")
    yield "other"
    subprocess.run(["ip", "netns", "del", "other"], check=False, stderr=subprocess.DEVNULL)


async def test_an_address_comes_and_goes() -> None:
    """Both families, with their prefix lengths, in order; IPv6 begins as tentative, though a tun has no neighbors."""
    async with aiotun.open_tun("addr0") as tun:
        events = tun.events()
        ip("address add 10.7.0.1/24 dev addr0", "address add fd07::1/64 dev addr0")
        assert await take(events, 3) == [
            usable("10.7.0.1/24"),
            Event(EventKind.ADDRESS, AddressChange(ip_interface("fd07::1/64"), "tentative")),
            usable("fd07::1/64"),
        ]
        ip("address del 10.7.0.1/24 dev addr0", "address del fd07::1/64 dev addr0")
        assert await take(events, 2) == [
            removed("10.7.0.1/24"),
            removed("fd07::1/64"),
        ]


async def test_an_address_with_a_peer() -> None:
    """Of a point-to-point address the change says who is at the other end."""
    async with aiotun.open_tun("addr1") as tun:
        events = tun.events()
        ip("address add 10.7.0.1 peer 10.7.0.2/32 dev addr1")
        expected = AddressChange(ip_interface("10.7.0.1/32"), "usable", ip_address("10.7.0.2"))
        assert await take(events, 1) == [Event(EventKind.ADDRESS, expected)]


async def test_a_tap_finds_out_whether_an_address_is_free() -> None:
    """An IPv6 address of a tap is tentative first, and usable once nobody else was found to have it."""
    async with aiotun.open_tap("addr2", ipv6_linklocal=False) as tap:
        events = tap.events()
        ip("address add fd07::2/64 dev addr2")
        changes = [event.value for event in await take(events, 2)]
        assert changes == [AddressChange(ip_interface("fd07::2/64"), state) for state in ("tentative", "usable")]


async def test_links_and_addresses_in_one_order() -> None:
    """What happens to the link and to its addresses is told as it happened, in one row."""
    async with aiotun.open_tun("order0") as tun:
        events = tun.events()
        ip(
            "link set order0 mtu 1400",
            "address add 10.7.1.1/24 dev order0",
            "link set order0 mtu 1300",
            "address add 10.7.1.2/24 dev order0",
            "link set order0 down",
            "address del 10.7.1.2/24 dev order0",
            "link set order0 up",
        )
        assert await take(events, 7) == [
            mtu(1400),
            usable("10.7.1.1/24"),
            mtu(1300),
            usable("10.7.1.2/24"),
            Event(EventKind.DOWN),
            removed("10.7.1.2/24"),
            Event(EventKind.UP),
        ]


async def test_what_does_not_change_is_not_told() -> None:
    """An address whose lifetime is set anew, and an alias for the link, are announced by the kernel, and no events."""
    async with aiotun.open_tun("quiet0", address="fd07::1/64") as tun:
        events = tun.events()
        ip("address replace fd07::1/64 dev quiet0 valid_lft 1000 preferred_lft 900", "link set quiet0 alias name")
        ip("link set quiet0 mtu 1400")
        assert await take(events, 1) == [mtu(1400)]


async def test_other_links_addresses_are_not_ours() -> None:
    """Only the device's own addresses are told."""
    async with aiotun.open_tun("mine1") as tun, aiotun.open_tun("other1"):
        events = tun.events()
        ip("address add 10.7.2.2/32 dev other1", "address add 10.7.2.1/32 dev mine1")
        assert await take(events, 1) == [usable("10.7.2.1/32")]


async def test_the_carrier_is_told_apart_from_up() -> None:
    """Carrier off and on leaves the interface up (B14)."""
    async with aiotun.open_tun("carry0") as tun:
        events = tun.events()
        ip("link set carry0 carrier off")
        assert await take(events, 1) == [Event(EventKind.CARRIER, False)]
        ip("link set carry0 carrier on")
        assert await take(events, 1) == [Event(EventKind.CARRIER, True)]


async def test_down_is_no_loss_of_carrier() -> None:
    """An interface that goes down keeps its carrier: one event, not two."""
    async with aiotun.open_tun("carry1") as tun:
        events = tun.events()
        ip("link set carry1 down", "link set carry1 up")
        assert await take(events, 2) == [Event(EventKind.DOWN), Event(EventKind.UP)]


async def test_a_carrier_lost_while_down_is_told_with_up() -> None:
    """Of a link that is down the kernel announces no carrier; its next announcement does."""
    async with aiotun.open_tun("carry2") as tun:
        events = tun.events()
        ip("link set carry2 down", "link set carry2 carrier off", "link set carry2 up")
        assert await take(events, 3) == [
            Event(EventKind.DOWN),
            Event(EventKind.UP),
            Event(EventKind.CARRIER, False),
        ]


async def test_a_move_takes_the_addresses_and_up(namespace: str) -> None:
    """Leaving, the link goes down and loses its addresses; what happens there afterwards is told too (B11)."""
    async with aiotun.open_tun("move3", address="10.7.3.1/24") as tun:
        events = tun.events()
        ip(f"link set move3 netns {namespace}")
        told = await take(events, 3)
        assert told[-1] == Event(EventKind.MOVED)
        assert set(told[:2]) == {Event(EventKind.DOWN), removed("10.7.3.1/24")}
        subprocess.run(["ip", "-n", namespace, "address", "add", "10.7.3.9/24", "dev", "move3"], check=True)
        assert await take(events, 1) == [usable("10.7.3.9/24")]


async def test_an_overrun_is_made_up_for() -> None:
    """
    After more announcements than the socket holds, what was told ends where the kernel's state is, and goes on.

    A new device, a small buffer, and thousands of changes while the loop does not run.
    """
    async with aiotun.open_tun("flood0", address="10.7.4.1/24") as tun:
        events = tun.events()
        monitor_of(tun)._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        flood = [f"link set flood0 mtu {1300 + number % 100}" for number in range(1000)]
        extra = [f"address add 10.7.4.{number}/24 dev flood0" for number in range(10, 30)]
        ip(*flood, "address del 10.7.4.1/24 dev flood0", *extra, "link set flood0 mtu 1234 down")
        # The kernel promotes the second address when the first goes; so which are left is the kernel's to say.
        told = await take(events, 1 + 1 + 1 + len(extra))
        assert mtu(1234) in told
        assert Event(EventKind.DOWN) in told
        assert removed("10.7.4.1/24") in told
        assert {event.value.address for event in told if isinstance(event.value, AddressChange)} == {
            ip_interface(f"10.7.4.{number}/24") for number in (1, *range(10, 30))
        }
        ip("link set flood0 mtu 1400")
        assert await take(events, 1) == [mtu(1400)], "it was told twice, or is deaf"


async def test_overruns_while_the_world_goes_on() -> None:
    """Changes that go on during many overruns are followed to the end, and nothing is told that is not so (B2, J9)."""
    async with aiotun.open_tun("storm0") as tun:
        events = tun.events()
        monitor_of(tun)._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        storm = [
            f"link set storm0 mtu {1300 + number % 100}\naddress add 10.7.5.{number % 250}/32 dev storm0"
            f"\naddress del 10.7.5.{number % 250}/32 dev storm0"
            for number in range(1, 300)
        ]
        process = await asyncio.create_subprocess_exec("ip", "-batch", "-", stdin=asyncio.subprocess.PIPE)
        await process.communicate("\n".join([*storm, "link set storm0 mtu 1234", ""]).encode())
        held: set[Any] = set()
        size = 1500
        while size != 1234 or held:  # after an overrun the link comes first, and then the addresses
            (event,) = await take(events, 1)
            if isinstance(event.value, AddressChange):
                gone = event.value.state == "removed"
                assert gone == (event.value.address in held), "told twice, or removed and never there"
                (held.remove if gone else held.add)(event.value.address)
            else:
                assert event.value != size
                assert isinstance(event.value, int)
                size = event.value


async def test_an_overrun_without_a_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look again takes no descriptor that may not be had at that moment (J1)."""

    def refuse(*_: object, **__: object) -> socket.socket:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async with aiotun.open_tun("full0") as tun:
        events = tun.events()
        monitor_of(tun)._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        monkeypatch.setattr(socket, "socket", refuse)
        ip(*(f"link set full0 mtu {1300 + number}" for number in range(100)))
        told = await take(events, 1)
        while told != [mtu(1399)]:
            told = await take(events, 1)
        monkeypatch.undo()


async def test_a_move_in_an_overrun(namespace: str) -> None:
    """A device that left while announcements were lost has moved, though there is another one of its name."""
    async with aiotun.open_tun("lost2", up=False) as tun:
        events = tun.events()
        monitor_of(tun)._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        flood = [f"link set lost2 mtu {1300 + number}" for number in range(100)]
        ip(*flood, f"link set lost2 netns {namespace}", "tuntap add dev lost2 mode tun")
        assert await take(events, 2) == [Event(EventKind.MOVED), mtu(1399)]
        ip("tuntap del dev lost2 mode tun")


async def test_a_deletion_in_an_overrun() -> None:
    """A device that was deleted while announcements were lost is gone."""
    async with aiotun.open_tun("lost1") as tun:
        events = tun.events()
        monitor_of(tun)._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        ip(*(f"link set lost1 mtu {1300 + number}" for number in range(100)), "link del lost1")
        assert await take(events, 1) == [Event(EventKind.GONE)]


async def test_a_rename_in_an_overrun_is_no_move() -> None:
    """Between asking a device for its name and the kernel for its link it may be renamed."""
    async with aiotun.open_tun("twice0") as tun:
        events = tun.events()
        monitor = monitor_of(tun)
        query = query_link

        def late(sock: socket.socket, name: str) -> object:
            if name == "twice0":
                ip("link set twice0 name twice1")
            return query(sock, name)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(monitor_module, "query_link", late)
            monitor._look_again()
        assert await take(events, 1) == [Event(EventKind.RENAMED, "twice1")]


async def test_what_was_seen_is_not_told_again() -> None:
    """Changes that happen while the kernel is asked are told by the answer, or by their announcements, not by both."""
    async with aiotun.open_tun("once0") as tun:
        events = tun.events()
        monitor = monitor_of(tun)
        changes = [("link set once0 mtu 1400", "link set once0 mtu 1300")]
        query = query_link

        def late(sock: socket.socket, name: str) -> object:
            if changes:
                ip(*changes.pop())
            return query(sock, name)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(monitor_module, "query_link", late)
            monitor._look_again()
        ip("link set once0 mtu 1200")
        assert await take(events, 2) == [mtu(1300), mtu(1200)]


@LOOPS
def test_the_next_loop_hears_what_happened_between(factory: Any) -> None:
    """Opened in one asyncio.run() and used in the next, an endpoint misses nothing that happened in between."""
    with asyncio.Runner(loop_factory=factory) as runner:
        tun = runner.run(_opened("next0"))
        events = runner.run(_events(tun))
    ip("link set next0 mtu 1400", "address add 10.7.6.1/24 dev next0")
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(take(events, 2)) == [mtu(1400), usable("10.7.6.1/24")]
        later = runner.run(_events(tun))
        ip("link set next0 mtu 1300")
        assert runner.run(take(later, 1)) == [mtu(1300)]
        runner.run(tun.aclose())


async def _opened(name: str) -> aiotun.Tun:
    return await aiotun.open_tun(name)


async def _events(tun: aiotun.Tun) -> aiotun.EventStream:
    return tun.events()


async def test_close_frees_the_monitors_socket() -> None:
    """After aclose() nothing watches: the descriptor of the announcements is closed."""
    tun = await aiotun.open_tun("free0")
    tun.events()
    fd = monitor_of(tun)._socket.fileno()
    await tun.aclose()
    with pytest.raises(OSError):
        os.fstat(fd)

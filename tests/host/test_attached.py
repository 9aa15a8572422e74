"""The interfaces of a host, their addresses and routes as they come and go."""

from __future__ import annotations

import errno
from ipaddress import ip_address, ip_interface

import pytest

from aiotun.endpoint import EventKind
from aiotun.errors import DeviceError, DeviceGone
from aiotun.host.attached import Attached
from aiotun.host.routes import NoRoute

from .fakes import FakeLink, datagram, fake_tap
from .test_discovery import PEER4


@pytest.fixture
def host() -> Attached:
    return Attached()


@pytest.fixture
def tun(host: Attached) -> FakeLink:
    tun = FakeLink("tun0", "10.8.0.1/24", "fd08::1/64")
    host.attach(tun)
    return tun


def prefixes(host: Attached) -> list[str]:
    return [str(route.prefix) for route in host.routes]


def test_attaching_brings_routes(host: Attached, tun: FakeLink) -> None:
    """The networks of an interface's addresses are routes."""
    assert prefixes(host) == ["10.8.0.0/24", "fd08::/64"]
    assert host.source_address("10.8.0.1") == ip_address("10.8.0.1")


def test_attaching_twice(host: Attached, tun: FakeLink) -> None:
    """An interface is attached once, and listened to once."""
    host.attach(tun)
    assert len(tun.listeners) == 1


def test_addresses_that_change(host: Attached, tun: FakeLink) -> None:
    """After a refresh routes and own addresses are those of the interface."""
    tun.addresses[0] = ip_interface("10.7.0.1/24")
    host.refresh(tun)
    assert prefixes(host) == ["10.7.0.0/24", "fd08::/64"]
    assert bytes((10, 7, 0, 1)) in host._own
    assert bytes((10, 8, 0, 1)) not in host._own


@pytest.mark.parametrize("kind", [EventKind.UP, EventKind.DOWN, EventKind.ADDRESS])
def test_any_event_refreshes(host: Attached, tun: FakeLink, kind: EventKind) -> None:
    """Whatever happens to an interface, its addresses are read again."""
    tun.addresses.clear()
    tun.tell(kind)
    assert prefixes(host) == []


def test_an_address_on_two_interfaces(host: Attached, tun: FakeLink) -> None:
    """An address that two interfaces have stays the host's until both are gone."""
    other = FakeLink("tun1", "10.8.0.1/24")
    host.attach(other)
    tun.destroy()
    assert host._own[bytes((10, 8, 0, 1))] == [other]
    assert host.routes.lookup("10.8.0.9").interface == "tun1"  # type: ignore[union-attr]
    other.destroy()
    assert host._own == {}


def test_an_address_twice_on_one_interface(host: Attached) -> None:
    """One address with two prefixes is one address."""
    tun = FakeLink("tun0", "10.8.0.1/24", "10.8.0.1/16")
    host.attach(tun)
    assert prefixes(host) == ["10.8.0.0/16", "10.8.0.0/24"]
    tun.addresses.pop()
    host.refresh(tun)
    assert host._own == {bytes((10, 8, 0, 1)): [tun]}


def test_a_deleted_interface(host: Attached, tun: FakeLink) -> None:
    """A deleted interface takes along its addresses and every route by it."""
    host.routes.add("10.9.0.0/16", "tun0")
    tun.destroy()
    assert prefixes(host) == []
    assert not tun.listeners
    assert not (host._own or host._known or host._links)
    with pytest.raises(NoRoute):
        host.source_address("10.8.0.1")


def test_a_name_taken_anew(host: Attached, tun: FakeLink) -> None:
    """The end of an interface does not touch the one that has its name by now."""
    successor = FakeLink("tun0", "10.6.0.1/24")
    host.attach(successor)
    host.routes.add("10.9.0.0/16", "tun0")
    host.detach(tun)
    assert host.source_address("10.9.0.1") == ip_address("10.6.0.1")


def test_detaching_a_stranger(host: Attached, tun: FakeLink) -> None:
    """What is not attached need not be detached."""
    host.detach(FakeLink("tun1"))
    host.detach(tun)
    host.detach(tun)
    assert prefixes(host) == []


@pytest.mark.parametrize(("event", "reason"), [("down", "down"), ("gone", "gone")])
def test_neighbors_go_with_their_tap(host: Attached, event: str, reason: str) -> None:
    """When a tap goes down, or away, what waits for a neighbor on it is dropped under that reason."""
    tap = fake_tap("tap0", "10.0.0.1/24")
    host.attach(tap)
    host.neighbors.output(tap, PEER4, [datagram("10.0.0.1", "10.0.0.2")], 0.0)
    tap.tell(EventKind.UP)
    assert len(host.neighbors) == 1
    if event == "down":
        tap.set_up(False)
    else:
        tap.destroy()
    assert tap.dropped == {reason: 1}
    assert len(host.neighbors) == 0


# --- sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("destination", "source"),
    [
        ("10.8.0.9", "10.8.0.1"),
        ("fd08::9", "fd08::1"),
        ("10.8.0.1", "10.8.0.1"),
        ("10.9.0.1", "10.8.0.1"),
        ("10.5.0.1", "10.7.0.1"),
        (ip_address("10.7.0.1").packed, "10.7.0.1"),
    ],
)
def test_the_source(host: Attached, tun: FakeLink, destination: str | bytes, source: str) -> None:
    """The source is an address of the interface the packet leaves by, one in the network of who is next."""
    other = FakeLink("tun1", "10.6.0.1/24", "10.7.0.1/24")
    host.attach(other)
    host.routes.add("10.9.0.0/16", "tun0")
    host.routes.add("10.5.0.0/16", "tun1", "10.7.0.9")
    assert host.source_address(destination) == ip_address(source)


def test_the_source_to_ourselves(host: Attached) -> None:
    """To an address of this host that address is the source."""
    host.attach(FakeLink("tun0", "10.8.0.1/24", "10.8.0.5/24"))
    assert host.source_address("10.8.0.5") == ip_address("10.8.0.5")


def test_a_source_from_elsewhere(host: Attached, tun: FakeLink) -> None:
    """An interface without an address of its own borrows one of the host."""
    host.attach(FakeLink("tun1"))
    host.routes.add("10.9.0.0/16", "tun1")
    assert host.source_address("10.9.0.1") == ip_address("10.8.0.1")


def test_no_source(host: Attached) -> None:
    """A host without an address of that IP version has none to send from."""
    host.attach(FakeLink("tun0", "10.8.0.1/24"))
    host.routes.add("::/0", "tun0")
    text = "^tun0: there is no IPv6 address to send to fd09::1 from$"
    with pytest.raises(DeviceError, match=text) as caught:
        host.source_address("fd09::1")
    assert caught.value.errno == errno.EADDRNOTAVAIL


def test_no_route(host: Attached) -> None:
    """Without a route there is no interface to take a source from."""
    with pytest.raises(NoRoute, match="^no route to 10.9.9.9$"):
        host.source_address("10.9.9.9")


def test_a_route_to_nowhere(host: Attached) -> None:
    """A route by an interface that does not exist leads nowhere."""
    host.routes.add("10.9.0.0/16", "tun7")
    with pytest.raises(DeviceGone, match="^tun7: no such interface$"):
        host.source_address("10.9.9.9")

"""The routing table: the longest prefix, what addresses bring, and errors that are sentences."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_interface, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiotun.errors import DeviceError
from aiotun.host.routes import NoRoute, Route, Routes, choose_source


@pytest.fixture
def routes() -> Routes:
    routes = Routes()
    routes.add("0.0.0.0/0", "tun0", "10.0.0.1")
    routes.add("10.0.0.0/8", "tun1")
    routes.add("10.9.0.0/16", "tun2")
    routes.add("10.9.9.9/32", "tun3")
    routes.add("::/0", "tun4")
    routes.add("fd00::/64", "tun5")
    return routes


def by(routes: Routes, destination: str) -> str | None:
    route = routes.lookup(destination)
    return None if route is None else route.interface


@pytest.mark.parametrize(
    ("destination", "interface"),
    [
        ("10.9.9.9", "tun3"),
        ("10.9.9.8", "tun2"),
        ("10.9.255.255", "tun2"),
        ("10.10.0.0", "tun1"),
        ("10.8.255.255", "tun1"),
        ("11.0.0.0", "tun0"),
        ("9.255.255.255", "tun0"),
        ("fd00::1", "tun5"),
        ("fd00:0:0:1::", "tun4"),
    ],
)
def test_the_longest_prefix_wins(routes: Routes, destination: str, interface: str) -> None:
    """Of all prefixes that hold the destination the longest is taken."""
    assert by(routes, destination) == interface


@pytest.mark.parametrize("destination", ["10.9.9.9", IPv4Address("10.9.9.9"), bytes((10, 9, 9, 9))])
def test_a_destination_in_any_form(routes: Routes, destination: str | IPv4Address | bytes) -> None:
    """A destination may be text, an object, or the bytes out of a packet."""
    route = routes.lookup(destination)
    assert route == Route(IPv4Network("10.9.9.9/32"), "tun3")


@pytest.mark.parametrize("destination", ["ten", b"\x0a\x09"])
def test_no_destination(routes: Routes, destination: str | bytes) -> None:
    """What is not an address is refused."""
    with pytest.raises(ValueError):
        routes.lookup(destination)


def test_no_route() -> None:
    """Without a route there is none, for either IP version."""
    routes = Routes()
    assert routes.lookup("10.0.0.1") is None
    assert routes.lookup("fd00::1") is None


def test_an_error_of_its_own() -> None:
    """NoRoute is ENETUNREACH, counted as no_route."""
    error = NoRoute("no route to 10.9.9.9")
    assert (error.errno, error.reason, str(error)) == (errno.ENETUNREACH, "no_route", "no route to 10.9.9.9")


def test_added_is_returned() -> None:
    """Adding returns the route, and looking up finds it."""
    routes = Routes()
    route = routes.add("10.9.0.0/16", "tun0", "10.0.0.1", 5)
    assert route == Route(ip_network("10.9.0.0/16"), "tun0", IPv4Address("10.0.0.1"), 5)
    assert routes.lookup("10.9.1.1") is route
    assert not route.connected


def test_the_lowest_metric_wins() -> None:
    """Of two routes for one prefix the lower metric is taken, in whichever order they came."""
    routes = Routes()
    routes.add("10.0.0.0/8", "tun5", metric=5)
    routes.add("10.0.0.0/8", "tun3", metric=3)
    routes.add("10.0.0.0/8", "tun4", metric=4)
    assert by(routes, "10.1.1.1") == "tun3"
    routes.remove("10.0.0.0/8", 3)
    assert by(routes, "10.1.1.1") == "tun4"


def test_length_before_metric() -> None:
    """A longer prefix is taken whatever its metric."""
    routes = Routes()
    routes.add("10.0.0.0/8", "tun0")
    routes.add("10.1.0.0/16", "tun1", metric=9)
    assert by(routes, "10.1.1.1") == "tun1"


def test_a_duplicate() -> None:
    """One prefix has one route per metric."""
    routes = Routes()
    routes.add("10.0.0.0/8", "tun0", metric=2)
    routes.add("10.0.0.0/8", "tun1", metric=1)
    with pytest.raises(DeviceError, match=r"^10.0.0.0/8: there is a route by tun0 with metric 2 already$") as caught:
        routes.add("10.0.0.0/8", "tun2", metric=2)
    assert caught.value.errno == errno.EEXIST
    assert len(routes) == 2


def test_a_duplicate_of_a_connected_route() -> None:
    """What an address brought cannot be added again."""
    routes = Routes()
    routes.connect("tun0", [ip_interface("10.0.0.1/8")])
    with pytest.raises(DeviceError, match="by tun0 with metric 0 already"):
        routes.add("10.0.0.0/8", "tun1")


@pytest.mark.parametrize(("prefix", "via"), [("10.0.0.0/8", "fd00::1"), ("fd00::/64", "10.0.0.1")])
def test_a_router_of_the_other_version(prefix: str, via: str) -> None:
    """Prefix and router are of one IP version."""
    routes = Routes()
    with pytest.raises(ValueError, match=f"^{prefix}: the router {via} is of another IP version$"):
        routes.add(prefix, "tun0", via)
    assert len(routes) == 0


def test_host_bits() -> None:
    """A prefix with bits behind it is no prefix."""
    with pytest.raises(ValueError, match="host bits"):
        Routes().add("10.0.0.1/8", "tun0")


def test_removing(routes: Routes) -> None:
    """Without its route a destination falls to the next shorter prefix."""
    routes.remove("10.9.0.0/16")
    assert by(routes, "10.9.1.1") == "tun1"
    assert by(routes, "10.9.9.9") == "tun3"
    assert len(routes) == 5


def test_a_length_comes_back(routes: Routes) -> None:
    """The last route of a length may go and another come."""
    routes.remove("10.9.9.9/32")
    assert by(routes, "10.9.9.9") == "tun2"
    routes.add("10.9.9.9/32", "tun6")
    assert by(routes, "10.9.9.9") == "tun6"


def test_nothing_is_left(routes: Routes) -> None:
    """A table that is empty again is as small as a new one."""
    routes.connect("tun9", [ip_interface("10.7.0.1/24")])
    routes.connect("tun9", [])
    for route in list(routes):
        routes.remove(str(route.prefix))
    assert (len(routes._table), routes._connected) == (0, {})


@pytest.mark.parametrize(("prefix", "metric"), [("10.9.9.0/24", 0), ("10.9.0.0/16", 1), ("12.0.0.0/8", 0)])
def test_removing_what_is_not_there(routes: Routes, prefix: str, metric: int) -> None:
    """A route that is not there cannot be removed."""
    with pytest.raises(DeviceError, match=f"^{prefix}: there is no route with metric {metric} to remove$") as caught:
        routes.remove(prefix, metric)
    assert caught.value.errno == errno.ESRCH
    assert len(routes) == 6


def test_removing_a_connected_route() -> None:
    """What an address brought goes with the address only."""
    routes = Routes()
    routes.connect("tun0", [ip_interface("10.0.0.1/8")])
    with pytest.raises(DeviceError, match="no route"):
        routes.remove("10.0.0.0/8")


def test_addresses_bring_routes() -> None:
    """Each address brings the route to its network, once."""
    routes = Routes()
    routes.connect("tun0", map(ip_interface, ("10.0.0.1/24", "10.0.0.2/24", "fd00::1/64")))
    assert list(routes) == [
        Route(ip_network("10.0.0.0/24"), "tun0", connected=True),
        Route(ip_network("fd00::/64"), "tun0", connected=True),
    ]


def test_addresses_take_their_routes_with_them() -> None:
    """A network stays while an address in it does; routes that were added stay."""
    routes = Routes()
    routes.add("10.0.0.0/8", "tun0")
    routes.connect("tun0", map(ip_interface, ("10.0.0.1/24", "10.0.0.2/24", "10.1.0.1/24")))
    routes.connect("tun0", map(ip_interface, ("10.0.0.2/24", "10.2.0.1/24")))
    assert [str(route.prefix) for route in routes] == ["10.0.0.0/8", "10.0.0.0/24", "10.2.0.0/24"]
    routes.connect("tun0", [])
    assert [str(route.prefix) for route in routes] == ["10.0.0.0/8"]


def test_two_interfaces_in_one_network() -> None:
    """The interface that came first has the network, until its address goes."""
    routes = Routes()
    routes.connect("tun0", [ip_interface("10.0.0.1/24")])
    routes.connect("tun1", [ip_interface("10.0.0.2/24")])
    assert by(routes, "10.0.0.9") == "tun0"
    routes.connect("tun0", [])
    assert by(routes, "10.0.0.9") == "tun1"


def test_forgetting_an_interface(routes: Routes) -> None:
    """An interface takes all its routes along, and brings its networks again when it comes back."""
    routes.connect("tun1", [ip_interface("10.7.0.1/24")])
    routes.forget("tun1")
    assert by(routes, "10.7.0.1") == "tun0"
    assert len(routes) == 5
    routes.connect("tun1", [ip_interface("10.7.0.1/24")])
    assert by(routes, "10.7.0.2") == "tun1"


def test_the_order_of_iteration() -> None:
    """IPv4 comes first, then by address, then by length, then by metric."""
    routes = Routes()
    for prefix, metric in [("::/0", 0), ("10.0.0.0/16", 0), ("10.0.0.0/8", 2), ("10.0.0.0/8", 1), ("9.0.0.0/8", 0)]:
        routes.add(prefix, "tun0", metric=metric)
    assert [(str(route.prefix), route.metric) for route in routes] == [
        ("9.0.0.0/8", 0),
        ("10.0.0.0/8", 1),
        ("10.0.0.0/8", 2),
        ("10.0.0.0/16", 0),
        ("::/0", 0),
    ]


def test_the_table_as_text() -> None:
    """The table reads like netstat -r."""
    routes = Routes()
    routes.add("0.0.0.0/0", "tun0", "10.0.0.1")
    routes.add("10.9.9.9/32", "tun10", metric=20)
    routes.add("fd00:1::1/128", "tun0", "fd00::1")
    routes.connect("tun0", map(ip_interface, ("10.0.0.2/24",)))
    assert routes.describe() == (
        "Destination    Gateway   Flags  Metric  Netif\n"
        "0.0.0.0/0      10.0.0.1  UGS    0       tun0\n"
        "10.0.0.0/24    link      UC     0       tun0\n"
        "10.9.9.9/32    link      UHS    20      tun10\n"
        "fd00:1::1/128  fd00::1   UGHS   0       tun0"
    )


prefixes4 = st.builds(
    lambda bits, length: IPv4Network((bits >> 32 - length << 32 - length, length)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 32),
)


@settings(deadline=None)
@given(st.lists(prefixes4, max_size=20, unique=True), st.integers(0, 2**32 - 1), st.data())
def test_against_a_plain_search(prefixes: list[IPv4Network], bits: int, draw: st.DataObject) -> None:
    """The table finds what a search through all prefixes finds."""
    routes = Routes()
    for prefix in prefixes:
        routes.add(prefix, str(prefix))
    for prefix in draw.draw(st.lists(st.sampled_from(prefixes), unique=True) if prefixes else st.just([])):
        routes.remove(prefix)
        prefixes.remove(prefix)
    inside = [prefix[0] for prefix in prefixes[:3]]
    for destination in [IPv4Address(bits), *inside]:
        holding = [prefix for prefix in prefixes if destination in prefix]
        expected = max(holding, key=lambda prefix: prefix.prefixlen, default=None)
        route = routes.lookup(destination)
        assert (route and route.prefix) == expected


# --- sources ------------------------------------------------------------------------------------

ADDRESSES = [ip_interface(text) for text in ("10.1.0.1/16", "10.1.2.1/24", "10.3.0.1/24", "fe80::1/64", "fd00::1/64")]


@pytest.mark.parametrize(
    ("destination", "source"),
    [
        ("10.1.2.9", "10.1.2.1"),
        ("10.1.3.9", "10.1.0.1"),
        ("10.3.0.9", "10.3.0.1"),
        ("192.0.2.1", "10.1.0.1"),
        ("fe80::9", "fe80::1"),
        ("fd00::9", "fd00::1"),
        ("2001:db8::1", "fd00::1"),
    ],
)
def test_the_source(destination: str, source: str) -> None:
    """The source is in the destination's network, the smallest; else of its scope; else the first."""
    assert choose_source(ADDRESSES, ip_address(destination)) == ip_address(source)


def test_a_prefix_that_holds_everything() -> None:
    """A prefix of length 0 holds the destination too, before a better scope."""
    addresses = [ip_interface("fd00::1/64"), ip_interface("fe80::1/0")]
    assert choose_source(addresses, ip_address("2001:db8::1")) == ip_address("fe80::1")


def test_no_source() -> None:
    """Without an address of the same IP version there is no source."""
    assert choose_source([ip_interface("10.0.0.1/8")], ip_address("fd00::1")) is None


def test_a_source_without_its_zone() -> None:
    """The zone of an interface's address does not go into a packet."""
    source = choose_source([ip_interface("fe80::1%tap0/64")], ip_address("fe80::2"))
    assert source == IPv6Address("fe80::1")

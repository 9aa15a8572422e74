"""Routes and rules as values: what they accept, and what they say of themselves."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

import pytest

from aiotun.routing import Route, Rule


def test_a_route_takes_text() -> None:
    """Prefix, router and source are text or values of ipaddress, and values afterwards."""
    route = Route("10.0.0.0/8", via="10.8.0.1", source=IPv4Address("10.8.0.2"))
    assert (route.prefix, route.via) == (IPv4Network("10.0.0.0/8"), IPv4Address("10.8.0.1"))
    assert route == Route(IPv4Network("10.0.0.0/8"), via=IPv4Address("10.8.0.1"), source="10.8.0.2")


def test_a_lone_address_is_a_prefix() -> None:
    """An address without a length is a route to that address."""
    assert Route("2001:db8::1").prefix == IPv6Network("2001:db8::1/128")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"prefix": "10.0.0.1/8"}, "has host bits set"),
        ({"prefix": "nowhere"}, "nowhere"),
        ({"via": "fd00::1"}, "route 10.0.0.0/8: via is fd00::1, of the other IP version"),
        ({"source": "fd00::1"}, "source is fd00::1"),
        ({"via": "10.0.0.0/8"}, "10.0.0.0/8"),
        ({"metric": -1}, "metric is a number from 0 to 2"),
        ({"metric": 2**32}, "metric is a number"),
        ({"table": "main"}, "table is a number"),
        ({"kind": "local"}, "kind is one of unicast, unreachable"),
        ({"kind": "unreachable", "via": "10.8.0.1"}, "unreachable goes nowhere"),
        ({"kind": "throw", "interface": "eth0"}, "throw goes nowhere"),
    ],
)
def test_a_route_that_cannot_be(options: dict[str, Any], text: str) -> None:
    """What cannot be a route is refused with the value and its name."""
    with pytest.raises(ValueError, match=text):
        Route(**({"prefix": "10.0.0.0/8"} | options))


def test_a_prefix_of_a_foreign_type() -> None:
    """A number is not taken for an address."""
    with pytest.raises(TypeError, match="a prefix is text like"):
        Route(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("route", "text"),
    [
        (Route("10.0.0.0/8"), "10.0.0.0/8"),
        (
            Route("::/0", via="fe80::1", interface="eth0", metric=5, table=7),
            "::/0 via fe80::1 dev eth0 metric 5 table 7",
        ),
        (Route("10.0.0.0/8", kind="blackhole"), "blackhole 10.0.0.0/8"),
    ],
)
def test_a_route_as_text(route: Route, text: str) -> None:
    """A route says of itself what `ip route` would."""
    assert str(route) == text


@pytest.mark.parametrize(
    ("rule", "versions"),
    [
        (Rule(), (4, 6)),
        (Rule(version=6), (6,)),
        (Rule(source="10.0.0.0/8"), (4,)),
        (Rule(destination="2001:db8::/32"), (6,)),
        (Rule(destination="2001:db8::/32", version=6), (6,)),
    ],
)
def test_the_ip_versions_of_a_rule(rule: Rule, versions: tuple[int, ...]) -> None:
    """A rule is for the IP version of its prefixes, or for both."""
    assert rule.versions == versions


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"source": "10.0.0.0/8", "destination": "::/0"}, "of one IP version"),
        ({"source": "10.0.0.0/8", "version": 6}, "of one IP version"),
        ({"uids": (5, 4)}, "uids are a first and a last user"),
        ({"uids": (-1, 4)}, "uids are"),
        ({"fwmark": 2**32}, "fwmark is a number"),
        ({"mask": -1}, "mask is a number"),
        ({"table": None}, "table"),
        ({"priority": "low"}, "priority is a number"),
        ({"suppress_prefixlength": -1}, "suppress_prefixlength is a number"),
    ],
)
def test_a_rule_that_cannot_be(options: dict[str, Any], text: str) -> None:
    """What cannot be a rule is refused with the value's name."""
    with pytest.raises(ValueError, match=text):
        Rule(**options)


def test_a_rule_as_text() -> None:
    """A rule says of itself what `ip rule` would."""
    rule = Rule(source="10.0.0.0/8", fwmark=5, table=77, invert=True, suppress_prefixlength=0)
    assert str(rule) == "not from 10.0.0.0/8 fwmark 5 table 77 suppress_prefixlength 0"

"""What a policy allows, and how it says what it does not."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import attrs
import pytest

from aiotun.host.broker_messages import Request
from aiotun.host.broker_policy import Policy, Rule
from aiotun.linux.peer import Peer
from aiotun.routing import Route
from aiotun.routing import Rule as RoutingRule

ALICE = Peer(pid=1, uid=1001, gids=frozenset([100, 7]))
BOB = Peer(pid=2, uid=1002, gids=frozenset([100]))

RULE = Rule(
    name="vpn",
    users=frozenset([1001]),
    kinds=("tun",),
    interfaces=("vpn*", "wg[0-3]"),
    addresses=(ip_network("10.8.0.0/16"), ip_network("fd00::/64")),
    routes=(ip_network("10.0.0.0/8"),),
    mtu=(1280, 1500),
    queue_length=2000,
    sysctls=("net.ipv4.conf.{name}.*",),
    options=("mac",),
    netns=("blue*",),
    queues=4,
    devices=2,
)


def judged(
    name: str = "vpn0", *, policy: tuple[Rule, ...] = (RULE,), by: Peer = ALICE, held: int = 0, **given: Any
) -> str:
    """Return the name of the rule that allows a request, or why none does."""
    kind, queues, netns = given.pop("kind", "tun"), given.pop("queues", None), given.pop("netns", None)
    request = Request.make(kind, name, given, queues, netns)
    try:
        return Policy(policy).judge(by, request, request.settings(), lambda rule: held).name
    except PermissionError as error:
        assert error.errno == 1
        return str(error.strerror)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"name": "wg3"},
        {"name": "vpn%d"},
        {"name": "wg%d"},
        {"address": ["10.8.0.2/24", "fd00::2/64"]},
        {"address": "10.8.0.2/32", "peer": "10.8.0.1"},
        {"routes": ["10.1.0.0/16", Route("10.0.0.0/8", metric=5)]},
        {"mtu": 1280},
        {"mtu": 1500},
        {"queue_length": 2000},
        {"queues": 4},
        {"netns": "blue7"},
        {"sysctl": {"net.ipv4.conf.{name}.rp_filter": 0}},
        {"up": False, "ipv6_linklocal": True},
        {"held": 1},
    ],
)
def test_what_is_allowed(given: dict[str, Any]) -> None:
    """A request that stays within the rule is allowed."""
    assert judged(**given) == "vpn"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"kind": "tap"}, "the kind tun, not tap"),
        ({"name": "wg4"}, "the names vpn*, wg[0-3], not wg4"),
        ({"name": "eth%d"}, "the names vpn*, wg[0-3], not eth%d"),
        ({"netns": "red"}, "the namespaces blue*, not 'red'"),
        ({"address": "10.9.0.1/24"}, "addresses in 10.8.0.0/16, fd00::/64, not 10.9.0.1/24"),
        ({"address": "10.8.0.1/8"}, "addresses in 10.8.0.0/16, fd00::/64, not 10.8.0.1/8"),
        ({"address": ["10.8.0.1/24", "fd01::1/64"]}, "addresses in 10.8.0.0/16, fd00::/64, not fd01::1/64"),
        (
            {"address": "10.8.0.1/32", "peer": "192.0.2.1"},
            "addresses in 10.8.0.0/16, fd00::/64, not 192.0.2.1/32",
        ),
        ({"mtu": 1279}, "an mtu of 1280 to 1500, not 1279"),
        ({"mtu": 1501}, "an mtu of 1280 to 1500, not 1501"),
        ({"queue_length": 2001}, "a queue length of up to 2000, not 2001"),
        ({"queues": 5}, "4 queues at most, not 5"),
        ({"routes": "0.0.0.0/0"}, "routes to 10.0.0.0/8, not 0.0.0.0/0"),
        ({"routes": "::/0"}, "routes to 10.0.0.0/8, not ::/0"),
        ({"routes": [Route("10.0.0.0/8", interface="eth0")]}, "routes out of the device itself, not of 'eth0'"),
        ({"sysctl": {"net.ipv4.ip_forward": 1}}, "the settings net.ipv4.conf.{name}.*, not net.ipv4.ip_forward"),
        ({"rules": [RoutingRule()]}, "the options mac, not rules"),
        ({"group": 7}, "the options mac, not group"),
        ({"dns": "10.8.0.1"}, "the options mac, not dns"),
        ({"held": 2}, "2 devices for each user, and there are 2"),
    ],
)
def test_what_is_not(given: dict[str, Any], reason: str) -> None:
    """A request that goes beyond the rule is refused, with what the rule allows and what was asked."""
    name = given.get("name", "vpn0")
    assert judged(**given) == f"{name}: the broker's rule 'vpn' allows {reason}"


BARE = Rule(name="bare", users=frozenset([1001]), kinds=("tun", "tap"), interfaces=("*",))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"netns": "red"}, "no namespaces: 'red' was asked for"),
        ({"address": "10.9.0.1/24"}, "no addresses: 10.9.0.1/24 was asked for"),
        ({"mtu": 1500}, "no mtu: 1500 was asked for"),
        ({"queue_length": 1}, "no queue length: 1 was asked for"),
        ({"queues": 2}, "1 queue at most, not 2"),
        ({"routes": "10.0.0.0/8"}, "no routes: 10.0.0.0/8 was asked for"),
        ({"sysctl": {"net.a": 1}}, "no settings: net.a was asked for"),
        ({"kind": "tap", "mac": "02:00:00:00:00:01"}, "no options: mac was asked for"),
        ({"held": 1}, "1 device for each user, and there is 1"),
    ],
)
def test_what_a_rule_does_not_speak_of(given: dict[str, Any], reason: str) -> None:
    """What a rule does not name it does not allow."""
    assert judged(policy=(BARE,), **given) == f"vpn0: the broker's rule 'bare' allows {reason}"


def test_nobodys_rule() -> None:
    """A user for whom there is no rule is told just that."""
    assert judged(by=BOB) == "vpn0: the broker's policy has no rule for uid 1002"


@pytest.mark.parametrize(("gid", "allowed"), [(7, True), (100, True), (8, False)])
def test_groups(gid: int, allowed: bool) -> None:
    """A rule for a group is for all its members, whichever of their groups it is."""
    rule = attrs.evolve(BARE, users=frozenset(), groups=frozenset([gid]))
    assert (judged(policy=(rule,)) == "bare") is allowed


def test_the_first_rule_that_allows_it() -> None:
    """Of several rules the first that allows everything is taken, others notwithstanding."""
    foreign = attrs.evolve(RULE, name="foreign", users=frozenset([1002]))
    assert judged(policy=(foreign, BARE, RULE)) == "bare"
    assert judged(policy=(foreign, BARE, RULE), mtu=1400) == "vpn"


def test_rules_do_not_add_up() -> None:
    """What one rule allows of the name and another of the address is not allowed together."""
    other = attrs.evolve(BARE, interfaces=("eth*",), addresses=(ip_network("0.0.0.0/0"),))
    assert judged(policy=(RULE, other), address="192.0.2.1/24").startswith("vpn0: the broker's rule 'vpn' allows")


def test_the_nearest_rule_is_named() -> None:
    """The refusal is of the rule that the request came furthest with."""
    taps = attrs.evolve(RULE, name="taps", kinds=("tap",))
    assert (
        judged(policy=(taps, RULE), mtu=9000) == "vpn0: the broker's rule 'vpn' allows an mtu of 1280 to 1500, not 9000"
    )

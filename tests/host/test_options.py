"""What the hosts' openings accept as addresses and hardware addresses."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Any

import pytest

from aiotun.host.options import (
    Addresses,
    addresses,
    domains_and_servers,
    hardware_address,
    link_group,
    peers,
    positive,
    routes,
    rules,
    sysctls,
    word,
)
from aiotun.routing import Route, Rule

V4, V6 = IPv4Interface("10.8.0.2/24"), IPv6Interface("fd00::2/64")
MAC = bytes.fromhex("020000000001")

ACCEPTED: list[tuple[Callable[[], Addresses], list[IPv4Interface | IPv6Interface]]] = [
    (lambda: (), []),
    (lambda: "10.8.0.2/24", [V4]),
    (lambda: V4, [V4]),
    (lambda: V6, [V6]),
    (lambda: ["10.8.0.2/24", V6], [V4, V6]),
    (lambda: ("fd00::2/64", "10.8.0.2/24"), [V6, V4]),
    (lambda: iter(["10.8.0.2/24"]), [V4]),
    (lambda: "10.8.0.2/255.255.255.0", [V4]),
    (lambda: "10.8.0.2/32", [ip_interface("10.8.0.2/32")]),
]


@pytest.mark.parametrize(("given", "expected"), ACCEPTED)
def test_addresses(given: Callable[[], Addresses], expected: list[object]) -> None:
    """One address or several, as text or as values, become a list of values in order."""
    assert addresses(given()) == expected


@pytest.mark.parametrize("given", ["10.8.0.2", "fd00::2"])
def test_a_missing_prefix(given: str) -> None:
    """An address without a prefix length is refused, saying what to write."""
    with pytest.raises(ValueError, match=f"address '{given}' has no prefix length; write {given}/24"):
        addresses(given)


@pytest.mark.parametrize("given", ["10.8.0/24", "10.8.0.2/33", "vpn.example/24", "/24", "10.8.0.2/"])
def test_no_address(given: str) -> None:
    """What is no address is refused."""
    with pytest.raises(ValueError):
        addresses(given)


def test_one_bad_address_among_good_ones() -> None:
    """One address that is none refuses them all."""
    with pytest.raises(ValueError):
        addresses(["10.8.0.2/24", "10.8.0.3"])


def test_no_hardware_address() -> None:
    """None stays None: the driver chooses."""
    assert hardware_address(None) is None


@pytest.mark.parametrize("given", ["02:00:00:00:00:01", "02-00-00-00-00-01", MAC])
def test_hardware_address(given: str | bytes) -> None:
    """A hardware address is text or 6 bytes."""
    assert hardware_address(given) == MAC


@pytest.mark.parametrize("given", ["02:00:00:00:00", "zz:00:00:00:00:01", "", b"", MAC + b"x"])
def test_no_hardware_address_at_all(given: str | bytes) -> None:
    """What is no hardware address is refused."""
    with pytest.raises(ValueError):
        hardware_address(given)


@pytest.mark.parametrize("foreign", [5, b"10.0.0.1/24", None, 1.5])
def test_an_address_of_a_foreign_type(foreign: object) -> None:
    """What is neither text nor an address is refused by its type, not taken for a number."""
    with pytest.raises(TypeError, match="an address is text"):
        addresses([foreign])  # type: ignore[list-item]


def test_an_address_object_without_its_prefix() -> None:
    """An address object without a network is as incomplete as its text."""
    with pytest.raises(ValueError, match="no prefix length"):
        addresses([ip_address("10.8.0.2")])  # type: ignore[list-item]


@pytest.mark.parametrize("mac", ["01:00:5e:00:00:01", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"])
def test_a_mac_nobody_may_have(mac: str) -> None:
    """A group's address, and that of nobody, are refused as the kernel would."""
    with pytest.raises(ValueError, match="cannot be an interface's address"):
        hardware_address(mac)


@pytest.mark.parametrize(
    ("number", "error"), [(0, ValueError), (-1, ValueError), (2**40, ValueError), ("9", TypeError)]
)
def test_a_number_out_of_range(number: object, error: type[Exception]) -> None:
    """A number that cannot be is refused under its option's name."""
    with pytest.raises(error, match="mtu"):
        positive("mtu", number)  # type: ignore[arg-type]


LOCAL: list[IPv4Interface | IPv6Interface] = [V4, V6]


@pytest.mark.parametrize(
    ("given", "expected"),
    [((), []), ("10.8.0.1", ["10.8.0.1/32"]), (["10.8.0.1/30", "fd00::1"], ["10.8.0.1/30", "fd00::1/128"])],
)
def test_peers(given: Any, expected: list[str]) -> None:
    """A far end is an address, one for each IP version, with a prefix length if it is given one."""
    assert peers(given, LOCAL) == [ip_interface(one) for one in expected]


@pytest.mark.parametrize(
    ("given", "local"),
    [("10.8.0.1", [V6]), ("10.8.0.1", [V4, V4]), (["10.8.0.1", "10.8.0.3"], [V4]), ("nobody", [V4])],
)
def test_peers_that_cannot_be(given: Any, local: list[Any]) -> None:
    """A far end without one address of ours for it, and what is no address, are refused."""
    with pytest.raises(ValueError, match="peer 10.8.0|nobody"):
        peers(given, local)


@pytest.mark.parametrize("given", ["10.0.0.0/8", ip_network("10.0.0.0/8"), Route("10.0.0.0/8"), ["10.0.0.0/8"]])
def test_routes(given: Any) -> None:
    """Routes are one prefix or Route, or several."""
    assert routes(given) == [Route("10.0.0.0/8")]


def test_rules_of_a_foreign_type() -> None:
    """Rules are one Rule, or several; text is not."""
    assert rules(Rule(fwmark=5)) == rules([Rule(fwmark=5)]) == [Rule(fwmark=5)]
    with pytest.raises(TypeError, match=r"rules are aiotun.Rule\(...\), not str"):
        rules(["from 10.0.0.0/8"])  # type: ignore[list-item]


def test_sysctls() -> None:
    """Values are text afterwards, and a truth value is a number."""
    given: dict[str, str | int] = {"net.ipv4.ip_forward": True, "net.ipv4.tcp_rmem": "4096 131072 6291456"}
    assert sysctls(given) == {"net.ipv4.ip_forward": "1", "net.ipv4.tcp_rmem": "4096 131072 6291456"}


@pytest.mark.parametrize("name", ["kernel.panic", "net", "net..x", "net/ipv4", "net.ipv4.../../kernel.panic", "net. x"])
def test_a_sysctl_that_is_no_networks(name: str) -> None:
    """Only settings of a network, by a name that leads nowhere else."""
    with pytest.raises(ValueError, match="none of a network's"):
        sysctls({name: 1})


@pytest.mark.parametrize("group", [-1, 2**31, "office"])
def test_a_group_that_cannot_be(group: Any) -> None:
    """A group is a number."""
    assert link_group(0) == 0
    with pytest.raises(ValueError, match="group is a number"):
        link_group(group)


def test_name_servers_and_domains() -> None:
    """What is an address is a server, and the rest are domains."""
    assert domains_and_servers("10.8.0.1") == [ip_address("10.8.0.1")]
    given = ["fd00::1", "corp.example", "_tcp.corp.example."]
    assert domains_and_servers(given) == [ip_address("fd00::1"), *given[1:]]


@pytest.mark.parametrize(
    "given", [["corp.example"], ["10.8.0.1", "-x"], ["10.8.0.1", "two words"], ["10.8.0.1", "a\nb"]]
)
def test_dns_that_cannot_be(given: list[str]) -> None:
    """Domains alone, and what is neither a domain nor an address, are refused: it would be an option or a line."""
    with pytest.raises(ValueError, match="dns"):
        domains_and_servers(given)


@pytest.mark.parametrize("number", [0, 2**32, "5"])
def test_a_word_out_of_range(number: Any) -> None:
    """A mark or a table that cannot be is refused under its name."""
    assert word("fwmark", 5) == 5
    with pytest.raises(ValueError, match="fwmark is a number from 1"):
        word("fwmark", number)

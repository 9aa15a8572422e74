"""What the hosts' openings accept as addresses and hardware addresses."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

import pytest

from aiotun.host.options import Addresses, addresses, hardware_address, positive

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

"""The bridge: Ethernet segments in two namespaces joined by two processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .program import Program, free_of_complaints, namespaces, ping, run

pytestmark = pytest.mark.kernel


@contextmanager
def bridge(*addresses: str, outer: str = "127.0.0.1") -> Iterator[None]:
    """
    Join the namespaces red and blue, whose taps get these addresses.

        red --tap0-- tap_bridge --(loopback, UDP)-- tap_bridge --tap0-- blue
    """
    red, blue = ([f"--address={address}"] if address else [] for address in addresses)
    with (
        Program("tap_bridge.py", "5001", outer, "5002", "--netns=red", *red) as one,
        Program("tap_bridge.py", "5002", outer, "5001", "--netns=blue", *blue) as other,
    ):
        yield
    assert (free_of_complaints(one), free_of_complaints(other)) == ([], [])


@pytest.mark.parametrize("outer", ["127.0.0.1", "::1"])
def test_stations_in_two_places_ping_each_other(outer: str) -> None:
    """Kernel pings between the two namespaces all come back."""
    with namespaces("red", "blue"), bridge("10.9.0.1/24", "10.9.0.2/24", outer=outer):
        assert ping("red", "10.9.0.2", 300) == 300


def test_arp_passes() -> None:
    """A station learns the other's own hardware address: it is one segment."""
    with namespaces("red", "blue"), bridge("10.9.0.1/24", "10.9.0.2/24"):
        ping("red", "10.9.0.2", 1)
        mac = run("ip", "netns", "exec", "blue", "cat", "/sys/class/net/tap0/address").strip()
        assert f"lladdr {mac}" in run("ip", "-n", "red", "neighbor", "show", "10.9.0.2")


def test_joins_a_bridge_of_several_stations() -> None:
    """
    A tap in a bridge takes along whoever else is in it.

        green --veth-- br0 in red --tap0-- ... --tap0-- blue
    """
    with namespaces("red", "green", "blue"):
        run("ip", "-n", "red", "link", "add", "br0", "up", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", "red", "link", "add", "port", "up", "type", "veth", "peer", "eth0", "netns", "green")
        run("ip", "-n", "red", "link", "set", "port", "master", "br0")
        run("ip", "-n", "green", "address", "add", "10.9.0.3/24", "dev", "eth0")
        run("ip", "-n", "green", "link", "set", "eth0", "up")
        with bridge("", "10.9.0.2/24"):
            run("ip", "-n", "red", "link", "set", "tap0", "master", "br0")
            assert ping("green", "10.9.0.2", 100) == 100
